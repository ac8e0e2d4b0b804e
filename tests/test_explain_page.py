"""The interactive page, in a browser that may ask for nothing: its numbers against ``nl``, and what a reader does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train_files import record as run_record

import cases
import numpy_lstm as nl
from numpy_lstm.cases.network import CELLS
from numpy_lstm.explain import edits
from numpy_lstm.explain.page import beginning, example, far_back, page
from numpy_lstm.mistakes import CATALOGUE, Workbench

ROOT = Path(__file__).parent.parent
WORST = 1e-12
AGREE = "the page and numpy-lstm agree\n"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    nl.train.record.write(folder / "run.json", run_record())
    return page(record=folder / "run.json").write(folder / "page.html")


def unavailable(reason: str) -> None:
    if os.environ.get("NUMPY_LSTM_BROWSER") == "required":
        pytest.fail(f"a browser is required here: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright import sync_api
    except ImportError:
        unavailable("playwright is not installed")
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


@pytest.fixture(scope="module")
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


ENDS = [(4, 1, 0, None), (20, 0, -6, 2), (20, 4, 10, -2), (20, 4, -6, 2), (20, 1, 10, 2)]


def test_every_number_of_every_cell_is_that_of_nl_at_all_ends_of_the_sliders(tab: Tab) -> None:
    worst = {}
    for name, cell in CELLS.items():
        for ends in ENDS:
            got = tab.computed(name, *ends)
            run, back = passes(cell, got)
            pairs = [(got["dparams"][k], a) for k, a in back.dparams._asdict().items()]
            pairs += [(got["dfirst"][k], a) for k, a in back.dfirst._asdict().items()]
            for right, found in ((run.values, got["values"]), (back.cotangents, got["cotangents"])):
                pairs += [([v[k] for v in found], getattr(right, k)[got["at"]]) for k in found[0]]
            worst[f"{name} {ends}"] = max(gap(a, b) for a, b in pairs)
    print("worst", max((e, k) for k, e in worst.items()))
    assert {k: e for k, e in worst.items() if not e <= WORST} == {}


def test_every_mistake_gives_the_numbers_of_the_catalogue(tab: Tab) -> None:
    rng, worst, names = np.random.default_rng(0), [], set()
    for cell in CELLS.values() if cases.THOROUGH else nl.PAGES:
        bench = Workbench(beginning(example(cell), 4))
        labels = list(edits.found(bench))
        if not cases.THOROUGH:  # those that no cell before had, one variant of each
            new = [str(label) for label in rng.permutation(labels) if label.partition("[")[0] not in names]
            labels = list({label.partition("[")[0]: label for label in new}.values())
        for label, (dparams, dfirst, ds) in zip(labels, tab.ask("mistaken", [cell.name, labels]), strict=True):
            name, _, variant = label.rstrip("]").partition("[")
            answer = CATALOGUE[name].answer(bench, variant)
            pairs = [(a, answer[f"d_{k}"]) for k, a in dparams.items()]
            pairs += [(a, answer[f"d_{k}_0"]) for k, a in dfirst.items()] + [([d["x"] for d in ds], answer["d_x"])]
            pairs += [([d[k] for d in ds], answer[f"cotangents.{k}"]) for k in ds[0] if f"cotangents.{k}" in answer]
            worst.append((max(gap(a, b) for a, b in pairs), f"{cell} {label}"))
            names.add(name)
    print(len(worst), "edits of", len(names), "mistakes; worst", max(worst))
    assert len(names) >= 50
    assert [w for w in worst if not w[0] <= WORST] == []


def test_every_number_moved_agrees_with_the_derived_one(tab: Tab) -> None:
    for name in CELLS:
        found = tab.ask("moved", name)
        assert found["no"] == [], name
        assert len(found["small"]) <= 0.05 * len(found["yes"]), (name, found["small"])


def test_curves_and_splits_are_those_of_flow(tab: Tab) -> None:
    for name, cell in CELLS.items():
        tab.computed(name, 8)
        parts, call = tab.ask("split"), beginning(example(cell), 8).call()
        (made,) = nl.flow.passes(nl.Recurrent(cell), call.params, call.xs, call.first, dhs=call.dhs, dlast=call.dlast)
        right = nl.flow.split(made)
        assert {k for part in parts for k in part} == {*right}, name
        size = max(np.abs(a).max() for a in right.values())
        for k, a in right.items():
            assert np.abs(np.array([p.get(k, [0.0] * 3) for p in parts]) - a[:, 0]).max() <= 1e-10 * size, (name, k)
    for T, bias, scale in ((60, 0, 1), (100, 3, 1), (40, -6, 2)):
        for curve in tab.ask("far", {"far": T, "farBias": bias, "farScale": scale}):
            norms = far_norms(curve["name"], T, bias, scale)
            rate = nl.flow.fit_rate(norms)
            assert np.abs(np.array(curve["norms"]) / norms - 1).max() <= 1e-10, curve["name"]
            assert abs(curve["rate"] / rate - 1) <= 1e-10, curve["name"]


def far_norms(name: str, T: int, bias: float, scale: float) -> Any:
    cell = {"RNN": nl.RNN, "GRU": nl.GRU}.get(name, nl.LSTM)
    call, signal = far_back(cell).call(), "c" if cell == nl.LSTM else "h"
    params = call.params._replace(**{k: scale * a for k, a in call.params._asdict().items() if a.ndim == 2})
    if opened := {"LSTM": "b_f", "GRU": "b_z"}.get(cell.name):
        params = params._replace(**{opened: getattr(params, opened) + bias})
    (made,) = nl.flow.passes(nl.Recurrent(cell), params, call.xs[:T], call.first, dlast=call.dlast)
    norms = nl.flow.norms(made)[signal][::-1, 0]
    if name == "direct path":
        kept = np.cumprod(nl.flow.carry_factors(cell, params, made.run)[:0:-1], axis=0)
        norms[1:] = np.linalg.norm(getattr(made.cotangents, signal)[-1] * kept, axis=-1)[:, 0]
    return norms


def test_copied_scripts_run_and_agree(tab: Tab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in CELLS:
        for ends in ((4, 1, 0, None), (20, 4, 10, 2), (12, 0.5, -6, -2)):
            tab.computed(name, *ends)
            script = tab.page.evaluate("page.python()")
            exec(compile(script, f"{name}.py", "exec"), {"__name__": "__main__"})
            assert capsys.readouterr().out == AGREE
    with pytest.raises(AssertionError):
        exec(compile(script.replace('"b_f": [', '"b_f": [1 + '), "wrong.py", "exec"), {})
    (tmp_path / "copied.py").write_text(script)
    command = [sys.executable, tmp_path / "copied.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == (AGREE, "")
