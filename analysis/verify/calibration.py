"""How often the judge errs: right answers of other codes that it fails, and mistakes that it passes.

Cases are drawn afresh for every seed: any cell and wiring, weights from a tenth of the usual to thirty times, one step
to fifty. Right answers are those of PyTorch, of textbook derivatives, of parameter gradients added up step by step, and
of sums taken in another order; wrong ones the catalogue's, and single numbers off by a little. The judge's bounds were
chosen on seeds from 0 on; what is claimed is claimed for other seeds.
"""

import argparse
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import scan, tree
from numpy_lstm.cases import RECORDS, Case, Network, parse
from numpy_lstm.cases.network import Parts
from numpy_lstm.cases.truth import fill_soon
from numpy_lstm.check.paths import lossy
from numpy_lstm.command import positive
from numpy_lstm.judge import Judge
from numpy_lstm.layers import Recurrent
from numpy_lstm.mistakes import Workbench, possible
from numpy_lstm.progress import bar
from numpy_lstm.sequences import at

from .. import output
from . import routes

CLAIMED = 1000  # the first seed of those that the claim is about
EVERY = 8  # of so many cases one gets wrong answers too
DOUBT = 0.05  # of the right answers at usual weights may get no verdict
OFF = 1e-10  # by which a median number is off
KINDS = {  # of weights: how often they are drawn, and their scale
    "small": (2, (0.1, 0.5)),
    "usual": (4, (0.5, 1.0)),
    "large": (2, (1.0, 8.0)),
    "huge": (2, (8.0, 30.0)),
    "saturated": (1, (0.5, 1.0)),
    "trained-like": (1, (1.0, 4.0)),
}
PAGES = (*nl.PAGES, nl.ReLURNN, *nl.ABLATIONS.values())
TORCH = (nl.LSTM, nl.GRU, nl.RNN)
VERDICTS = ("pass", "cannot tell", "fail")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--cases", type=positive, default=350, help="each with 6 right answers; default: 350")


def draw(rng: np.random.Generator) -> tuple[str, Case]:
    """A kind of weights, and a case with its true results. Trained-like: heavy tails, many units, x as after a ReLU."""
    often = np.array([n for n, _ in KINDS.values()])
    kind = str(rng.choice(list(KINDS), p=often / often.sum()))
    page = PAGES[rng.integers(len(PAGES))] if rng.random() < 0.5 else TORCH[rng.integers(len(TORCH))]
    wired = len(page.reads) == 1 and rng.random() < 0.4
    direction = ("forward", "reverse", "bidirectional")[rng.integers(3)] if wired else "forward"
    B, D, H = (int(n) for n in rng.integers(1, [4, 9, 9]))
    T = int(math.exp(rng.uniform(0, math.log(50.5))))
    if kind == "trained-like":
        B, D, H, T = 1, 8 * D, 8 * H, min(T, 9)
    narrow = page in (nl.LSTM, nl.PeepholeLSTM) and H > 1 and rng.random() < 0.2
    zoned = not wired and rng.random() < 0.1
    projection = int(rng.integers(1, H)) if narrow else 0
    network = Network(page, projection, zoned, direction, int(rng.integers(1, 3)) if wired else 1)
    torchs = routes.HAS_TORCH and page in TORCH and not zoned and direction != "reverse" and rng.random() < 0.7
    gates = [k for k in page.Params._fields if k.startswith("b")]
    case = Case.random(
        network,
        "torch" if torchs else RECORDS,
        {"T": T, "B": B, "D": D, "H": H},
        rng,
        lengths=[int(n) for n in rng.integers(1, T + 1, B)] if rng.random() < 0.3 else None,
        shift={str(rng.choice(gates)): float(rng.uniform(-15, 15))} if kind == "saturated" and gates else None,
        scale=math.exp(rng.uniform(*np.log(KINDS[kind][1]))),
    )
    if kind == "trained-like":
        heavy = {
            k: a * _single(rng.standard_t(3, a.shape)) for k, a in case.arrays.items() if "weight" in k or "U" in k
        }
        case = case._replace(arrays=case.arrays | heavy | {"x": np.abs(case.arrays["x"])})
    return kind, fill_soon(case)


def _single(a: Any) -> Any:
    return a.astype(np.float32).astype(np.float64)


class StepByStep(Recurrent):
    """A page whose parameter gradients are added up step by step, the last first, as autograd and textbooks do."""

    def backward(self, params: Any, run: Any, dhs: Any = None, dcs: Any = None, dlast: Any = None, **_: Any) -> Any:
        """The other parameter gradients; all else as ever."""
        back, total = scan.backward(self.cell, params, run, dhs, dcs, dlast), None
        for t in range(len(run.hs))[::-1]:
            v, d = (at(record, t) for record in (run.values, back.cotangents))
            step = self.cell.gradients(self.cell.functions, params, v, d)
            total = step if total is None else tree.add(step, total)
        return back._replace(dparams=total)


def flipped(case: Case, arrays: dict[str, Any]) -> dict[str, Any]:
    """Units, features and rows counted from the other end, in the layout of records; time stays."""
    found = {}
    for k, a in arrays.items():
        name = parse(k)
        steps = name.of_steps or name.field in ("x", "output") or name.field.startswith("keep_")
        found[k] = np.flip(a, tuple(range(int(steps), a.ndim)))
        deeper = name.place not in ("", "l0.", "l0_reverse.") and name.field.startswith("W")
        if case.network.ways == 2 and (name.field == "output" or deeper):  # two directions stand side by side
            found[k] = np.roll(found[k], a.shape[-1] // 2, -1)
    return found


def right_answers(case: Case) -> Iterator[tuple[str, dict[str, Any]]]:
    """Answers to a case, by who gives them; each in float64 and float32."""
    for dtype in (np.float64, np.float32):
        stepwise = Parts(cell=lossy, recurrent=StepByStep)
        yield "textbook", case.run(dtype, Parts(cell=lossy))
        yield "step by step", case.run(dtype, stepwise)
        if case.layout == RECORDS:
            turned = case._replace(arrays=flipped(case, case.arrays)).run(dtype, stepwise)
            yield "other order", flipped(case, turned)
        else:
            yield "torch.nn", routes.torch_oracle.answer(case._replace(dtype=np.dtype(dtype).name))


def wrong_answers(case: Case, usual: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Whole answers with a mistake of the catalogue that shows; at usual weights also with one median number off."""
    bench = Workbench(case)
    asked = [k for k in bench.right if not parse(k).of_steps]
    right = {k: bench.right[k] for k in asked}
    for mistake, variant in possible(bench):
        answer = mistake.answer(bench, variant)
        if nl.check.worst(nl.check.normwise(answer[k], right[k]) for k in asked) > 1e-9:
            yield mistake.name, {k: answer[k] for k in asked}
    for k in asked if usual else ():
        sizes = np.abs(right[k])
        if parse(k).is_gradient and np.any(sizes):
            wrong = right[k].copy()
            wrong.flat[np.argsort(np.where(sizes > 0, sizes, np.inf), axis=None)[np.sum(sizes > 0) // 2]] *= 1 + OFF
            yield "one number", right | {k: wrong}


def rates(seed: int, cases: int) -> tuple[Counter[tuple[str, str, str]], list[str]]:
    """How often each verdict is given: (kind of weights, right or wrong answers, verdict); and what was misjudged."""
    found: Counter[tuple[str, str, str]] = Counter()
    misjudged = []
    for n in bar(range(cases), desc="cases"):
        kind, case = draw(np.random.default_rng([seed, n]))
        judge = Judge(case)
        given = [("right", who, a) for who, a in right_answers(case)]
        if n % EVERY == 0:
            with np.errstate(all="ignore"):  # at huge weights what is wrong may overflow
                given += [("wrong", who, a) for who, a in wrong_answers(case, kind == "usual")]
        for what, who, answer in given:
            verdict = judge.report(answer).verdict
            found[kind, what, verdict] += 1
            if verdict == ("fail" if what == "right" else "pass"):
                misjudged.append(f"{verdict}: {who}, {kind} weights, case {n} of seed {seed}")
    return found, misjudged


def markdown(found: Counter[tuple[str, str, str]]) -> str:
    """One row for each kind of weights, and all of them."""

    def cells(name: str, kinds: Iterable[str]) -> list[str]:
        row = [name]
        for what in ("right", "wrong"):
            counts = {v: sum(found[kind, what, v] for kind in kinds) for v in VERDICTS}
            total = sum(counts.values())
            wrongly = counts["fail" if what == "right" else "pass"]
            row += [f"{total}", f"{wrongly}", f"{counts['cannot tell'] / max(total, 1):.1%}"]
        return row

    header = ["weights", "right answers", "failed", "cannot tell", "mistakes", "passed", "cannot tell"]
    named = [f"{kind}, scale {low:g} to {high:g}" for kind, (_, (low, high)) in KINDS.items()]
    rows = [cells(name, [kind]) for name, kind in zip(named, KINDS, strict=True)]
    return output.table(header, [*rows, cells("all", KINDS)])


def run(out: Path, seed: int, cases: int) -> list[str]:
    """Count, print and save; returns what was misjudged, and where there is too often no verdict."""
    found, misjudged = rates(CLAIMED + seed, cases)
    table = markdown(found)
    print(f"{table}\n\nBounds: none misjudged; at usual weights no verdict on {DOUBT:.0%} of the right answers.\n")
    output.write_text(out / "calibration.md", table + "\n")
    rows = [{"weights": k, "answers": what, "verdict": v, "count": n} for (k, what, v), n in sorted(found.items())]
    output.write_json(out / "calibration.json", {"schema": 1, "seed": seed, "rows": rows, "misjudged": misjudged})
    usual = {v: found["usual", "right", v] for v in VERDICTS}
    if usual["cannot tell"] > DOUBT * sum(usual.values()):
        misjudged.append(f"no verdict on {usual['cannot tell']} of {sum(usual.values())} right answers, usual weights")
    return misjudged
