"""The interactive page: its numbers, its mistakes, curves and scripts, against the package."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cases
import numpy_lstm as nl
from numpy_lstm.cases import RECORDS, Case, Network
from numpy_lstm.explain import edits, rows
from numpy_lstm.explain.page import CELLS, beginning, example, far_back, page
from numpy_lstm.explain.skeleton import python
from numpy_lstm.mistakes import CATALOGUE, Workbench
from numpy_lstm.ops import affine, contract, row, sum_rows
from page_tab import ROOT, Tab, gap, passes

WORST = 1e-12
AGREE = "the page and numpy-lstm agree\n"


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


def test_a_case_is_shown_as_it_stands(browser: Any, tmp_path: Path) -> None:
    """A projected cell, and of a batch the first row, which ends before the others."""
    sizes, rng = {"T": 6, "B": 3, "D": 2, "H": 4}, np.random.default_rng(0)
    case = Case.random(Network("PeepholeLSTM", projection=3), RECORDS, sizes, rng, lengths=[4, 6, 1], cells=True)
    tab = Tab(browser, page(case).write(tmp_path / "case.html"))
    got, right = tab.computed(str(case.network.of_cell()), 6), case.run()
    for found, role in ((got["values"], "values"), (got["cotangents"], "cotangents")):
        assert (
            max(
                gap(v[k], right[f"{role}.{k}"][t, 0])
                for v, t in zip(found, got["at"], strict=True)
                for k in v
                if f"{role}.{k}" in right
            )
            <= WORST
        )
    assert max(gap(a, right[f"d_{k}_0"][0]) for k, a in got["dfirst"].items()) <= WORST
    tab.close()


def test_numbers_stand_in_the_rows_of_a_page_of_ones_own(browser: Any, tmp_path: Path) -> None:
    def values(F: Any, p: Any, x: Any, prev: Any) -> Any:
        a = 2 * affine(x, p.W, prev.h, p.U, p.b) / 3  # (R1)
        h = (1.5 - F.h(a)) / (2 - a / (1 + a * a)) - prev.h * 0.5  # (R2)
        return nl.RNN.Trace(x=x, h_prev=prev.h, a=a, h=h)

    made = {"Trace": nl.RNN.Trace, "Params": nl.RNN.Params, "contract": contract, "sum_rows": sum_rows, "row": row}
    exec(python(rows(replace(nl.RNN, values=values))), made)
    cell = replace(nl.RNN, values=values, adjoint=made["adjoint"], gradients=made["gradients"])
    tab = Tab(browser, page(cell).write(tmp_path / "own.html"))
    got = tab.computed("RNN", 4)
    right = passes(cell, got)[1]
    assert max(gap(got["dparams"][k], a) for k, a in right.dparams._asdict().items()) <= WORST
    tab.close()


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
