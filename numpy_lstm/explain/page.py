"""One HTML file that computes every number of a cell, forward and backward; Python builds it, nothing is requested."""

import base64
import hashlib
import html
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..cases import CaseError, files
from ..cases.case import RECORDS, Case
from ..cases.network import KNOWN, Network
from ..flow.given import state_field
from ..flow.roles import keeper
from ..mistakes import CATALOGUE, LOSSES, Workbench
from ..pages import GRU, LSTM, RNN
from ..pages.page import Page
from ..train import TrainingError
from ..train import record as records
from .edits import found
from .javascript import described
from .load import complete

STEPS, UNITS = 100, 32  # the largest case that the page shows
CELLS = {cell.name: cell for cell in KNOWN}
SIZES, LONG = {"T": STEPS, "B": 1, "D": 2, "H": 3}, {"T": STEPS, "B": 1, "D": 4, "H": 8}
ASKED = (  # in questions, beside those that can be chosen
    *("each-norm-clipped", "clipped-at-the-end", "padding-in-the-backward-pass"),
    "last-state-cotangent-of-short-rows-lost",
)
SCRIPTS = (
    *("operations", "runtime", "paths", "state", "formula", "diagram"),
    *("step", "time", "broken", "questions", "training", "main"),
)


@dataclass(frozen=True)
class Document:
    """The page as text; in a notebook it displays itself."""

    text: str

    def _repr_html_(self) -> str:
        frame = 'width="100%" height="900" style="border:0" title="Every number of a cell"'
        return f'<iframe srcdoc="{html.escape(self.text)}" {frame}></iframe>'

    def write(self, path: str | Path) -> Path:
        """Write it, whole or not at all. Raises CaseError where that cannot be."""
        return files.write_text(path, self.text)


def page(what: Case | Page | str | None = None, record: str | Path | None = None, seed: int = 0) -> Document:
    """The page of every known cell, of one ``what`` opens first (a page of one's own, or a name), or of a case.

    A case has one layer that reads forward, at most 100 steps and 32 units, and no masks; its first row is shown.
    ``record`` is the file of a training run, which is shown too; ``seed`` draws the numbers of the examples.
    Raises CaseError for any other case, an unknown cell, or what is no run record.
    """
    try:
        training = None if record is None else records.read(Path(record))
    except TrainingError as error:
        raise CaseError(str(error)) from None
    if isinstance(what, Case):
        examples = {_of_case(what).name: what}
    else:
        opened = Network(LSTM if what is None else what).check()
        if not complete(opened.page).carries:
            raise CaseError(f"{opened.page.name} carries nothing; expected a cell")
        cells = {opened.page.name: opened.page} | {k: cell for k, cell in CELLS.items() if k != opened.page.name}
        examples = {name: example(cell, seed) for name, cell in cells.items()}
    data = _data(examples, STEPS if isinstance(what, Case) else 4, seed)
    return Document(_document(data | {"record": training}))


def example(cell: Page, seed: int = 0) -> Case:
    """A case with numbers of one decimal: 100 steps, of which the page shows four at first. No state is zero."""
    case = Case.random(Network(cell), RECORDS, SIZES, np.random.default_rng(seed), scale=np.sqrt(SIZES["H"]))
    rounded = {k: np.round(a, 1) for k, a in case.arrays.items()}
    arrays = {k: np.where(a == 0, 0.1, a) for k, a in rounded.items()}
    return case._replace(name=f"example of {cell.name}", arrays=arrays)


def beginning(case: Case, T: int) -> Case:
    """The first steps of a case."""
    long = ("x", "d_output", "d_c")
    return case._replace(arrays={k: a[:T] if k in long else a for k, a in case.arrays.items()})


def far_back(cell: Page, seed: int = 0) -> Case:
    """A case of 100 steps with parameters as they are usually drawn, whose loss looks at the last state alone."""
    rng = np.random.default_rng(seed)
    case = Case.random(Network(cell), RECORDS, LONG, rng)
    params = {k: np.round(a, 3) for k, a in cell.init(LONG["D"], LONG["H"], rng)._asdict().items()}
    states = {k: np.round(a, 2) for k, a in case.arrays.items() if k == "x" or k.endswith("_0")}
    ends = {f"d_{k}_n": np.zeros((1, LONG["H"])) for k in cell.carries} | {"d_h_n": np.full((1, LONG["H"]), 0.25)}
    return case._replace(arrays=states | params | ends | {"d_output": 0 * case.arrays["d_output"]})


def _of_case(case: Case) -> Page:
    """The cell of a case; CaseError for one that the page cannot show."""
    cell, sizes = case.network.check().of_cell(), case.sizes
    if case.network.layers > 1 or case.network.direction != "forward" or cell.reads != ("x",):
        wiring = ", ".join(f"{k} {v}" for k, v in case.network._asdict().items() if k != "cell")
        raise CaseError(f"case {case.name} has {wiring}; expected one layer, read forward, without masks")
    if other := {"read", "reset", "restart", "l0.dropout"} & {*case.arrays}:
        raise CaseError(f"case {case.name} has {min(other)}; expected no masks")
    if not 1 <= sizes["T"] <= STEPS or max(sizes["H"], sizes["D"]) > UNITS:
        came = f"T={sizes['T']}, D={sizes['D']} and H={sizes['H']}"
        raise CaseError(f"case {case.name} has {came}; expected 1 to {STEPS} steps, at most {UNITS} inputs and units")
    return cell


def _data(examples: dict[str, Case], T: int, seed: int) -> dict[str, Any]:
    """All that the page is made of, but for its record."""
    benches = {name: Workbench(case) for name, case in examples.items()}
    shown = [Workbench(beginning(case, T)) for case in examples.values()]
    far = [Workbench(far_back(cell, seed)) for cell in (RNN, GRU, LSTM)]
    mistakes: dict[str, Any] = {}
    for n, bench in enumerate(shown):
        for name, edit in found(bench).items() if not bench.case.network.projection else ():
            mistakes.setdefault(name, [edit, []])[1].append(n)
    said: dict[str, Any] = {m.name: m for m in LOSSES if m.name in ("mean-of-sequence-means", "padding-in-the-mean")}
    said |= {name: CATALOGUE[name] for name in (*ASKED, *dict.fromkeys(k.partition("[")[0] for k in mistakes))}
    return {
        "cells": {name: _cell(bench) for name, bench in benches.items()},
        "cases": {name: _numbers(bench) for name, bench in benches.items()},
        "far": {bench.cell.name: {"cell": _cell(bench), **_numbers(bench)} for bench in far},
        "mistakes": mistakes,
        "said": {name: [m.says, m.source] for name, m in said.items()},
        "steps": T,
    }


def _cell(bench: Workbench) -> dict[str, Any]:
    """What the page knows of a cell; ``bias`` is the parameter that opens the gate which keeps the state."""
    state = state_field(bench.whole, None)
    kept = keeper(bench.whole, bench.call.params, bench.run, state)
    bias = {} if kept is None or kept.bias is None else {"bias": kept.bias, "shuts": kept.shuts}
    network = bench.case.network
    named = {"named": bench.cell.name, "projection": network.projection}
    return {**described(bench.whole), "signal": state, **named, **bias}


def _numbers(bench: Workbench) -> dict[str, Any]:
    """The first row of the case."""
    call, T = bench.call, bench.lengths[0]
    given: dict[str, Any] = {bench.whole.gives[0]: call.dhs}
    if call.dcs is not None:
        given |= {"c": call.dcs}
    return {
        "params": {k: a.tolist() for k, a in call.params._asdict().items()},
        "xs": call.xs[:T, 0].tolist(),
        "first": {k: a[0].tolist() for k, a in call.first._asdict().items()},
        "given": {k: a[:T, 0].tolist() for k, a in given.items()},
        "last": {k: a[0].tolist() for k, a in call.dlast._asdict().items()},
    }


def _document(data: dict[str, Any]) -> str:
    """The HTML, with a policy that lets nothing in but its own scripts, style and font."""
    web = resources.files(__package__) / "web"

    def text(name: str) -> str:
        return (web / name).read_text(encoding="utf-8")

    def url(kind: str, name: str) -> str:
        return f"data:{kind};base64,{base64.b64encode((web / name).read_bytes()).decode()}"

    words = json.loads(text("words.json"))
    style = text("style.css").replace("@FONT@", url("font/woff2", "stix-math.woff2"))
    imports = json.dumps({"imports": {"lit-html": url("text/javascript", "lit-html.js")}})
    safe = json.dumps({**data, "words": words}, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    safe = safe.replace("<!--", "<\\u0021--")
    script = "\n".join(
        ['import { html, svg, mathml, render, nothing } from "lit-html";', f"const DATA = {safe};"]
        + [text(f"{name}.js") for name in SCRIPTS]
    )
    hashes = " ".join(f"'sha256-{_hash(part)}'" for part in (imports, script))
    policy = (
        f"default-src 'none'; script-src {hashes} data:; style-src 'sha256-{_hash(style)}'; font-src data:; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!doctype html><html lang="{words["language"]}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(words['title'])}</title><style>{style}</style>"
        f'<script type="importmap">{imports}</script></head><body><div id="app"></div>'
        f'<noscript>{html.escape(words["noscript"])}</noscript><script type="module">{script}</script></body></html>\n'
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
