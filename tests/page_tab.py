"""The interactive page in Debian's chromium, offline; where there is no chromium, tests of it are skipped."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_lstm as nl
from numpy_lstm.explain.page import page

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from test_train_files import record as run_record

    folder = tmp_path_factory.mktemp("page")
    nl.train.record.write(folder / "run.json", run_record())
    return page(record=folder / "run.json").write(folder / "page.html")


def unavailable(reason: str) -> None:
    if os.environ.get("NUMPY_LSTM_BROWSER") == "required":
        pytest.fail(f"a browser is required here: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    try:
        import axe_playwright_python.sync_playwright  # noqa: F401
        from playwright import sync_api
    except ImportError as error:
        unavailable(f"{error.name} is not installed")
    if (chromium := shutil.which("chromium")) is None:
        unavailable("chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Tab:
    """A tab that shows the page, offline; all that it complained of or asked for stands in ``said``."""

    def __init__(self, browser: Any, document: Path, address: str = "", **options: Any) -> None:
        self.context = browser.new_context(offline=True, **{"viewport": {"width": 1280, "height": 1000}, **options})
        self.page, self.said = self.context.new_page(), []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else self.said.append(r.url))
        self.page.goto(document.as_uri() + address)
        self.page.wait_for_selector("h1")
        self.page.evaluate((ROOT / "tests" / "explain_page.js").read_text(encoding="utf-8"))

    def ask(self, name: str, argument: Any = None) -> Any:
        return self.page.evaluate(f"argument => tests.{name}(argument)", argument)

    def computed(self, cell: str, T: int, scale: float = 1, bias: float = 0, end: float | None = None) -> Any:
        return self.ask("computed", {"cell": cell, "T": T, "scale": scale, "bias": bias, "end": end})

    def text(self, selector: str) -> str:
        self.page.evaluate("page.now()")
        return str(self.page.text_content(selector))

    def close(self) -> None:
        assert self.said == []
        self.context.close()


@pytest.fixture(scope="session")
def tab(browser: Any, document: Path) -> Iterator[Tab]:
    opened = Tab(browser, document)
    yield opened
    opened.close()


def gap(got: Any, right: Any) -> float:
    """The normwise error; of what should be zero, the norm."""
    got, right = np.asarray(got, float).ravel(), np.asarray(right, float).ravel()
    return float(np.linalg.norm(got - right) / (np.linalg.norm(right) or 1))


def passes(cell: nl.Page, problem: dict[str, Any]) -> tuple[Any, Any]:
    """``nl`` on the numbers that the page says it has."""

    def state(of: dict[str, Any]) -> Any:
        return cell.State(**{k: np.array(of[k], float)[None] for k in cell.carries})

    params = cell.Params(**{k: np.array(a, float) for k, a in problem["params"].items()})
    run = nl.forward(cell, params, np.array(problem["xs"], float)[:, None], state(problem["first"]))
    dhs = np.array([g[cell.gives[0]] for g in problem["given"]], float)[:, None]
    return run, nl.backward(cell, params, run, dhs=dhs, dlast=state(problem["last"]))
