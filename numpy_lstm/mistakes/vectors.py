"""Sets of cases that fail for every known mistake, for people who write a cell in another language.

Each weight, gate and bias half is drawn by itself, T, B, D and H differ (but for the case in which D = H), states are
not zero, and gradient flows into every output. Expected results are the truth, rounded once. A case says which
mistakes of the catalogue it kills, that is, from which its expected results differ by more than ``SHOWS``, and which
survive it. None may survive the whole set, but for float32 itself where answers are judged as float32.
"""

import json
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import layouts
from ..cases import files, truth
from ..cases.case import Case
from ..cases.inputs import RECORDS, names
from ..cases.names import is_gradient, parse
from ..cases.network import Network
from ..check.given import CaseError
from ..pages.page import Page

SCHEMA = "numpy-lstm/vectors/1"
FORMATS = (*files.FORMATS, "onnx")
DIGITS = 50
SHOWS = {"float64": 1e-10, "float32": 1e-5}  # normwise, in any array


class Recipe(NamedTuple):
    """One case of a set. ``steps``: the values and cotangents of single steps are among the expected results."""

    name: str
    says: str
    network: dict[str, Any] = {}  # noqa: RUF012
    sizes: dict[str, int] = {}  # noqa: RUF012
    lengths: tuple[int, ...] | None = None
    shift: dict[str, float] = {}  # noqa: RUF012
    cotangents: float = 1.0
    steps: bool = False


SIZES = {"T": 6, "B": 3, "D": 4, "H": 5}
RAGGED = (3, 6, 1)
# The candidate of the GRU is n, and its update gate z keeps the old state, as f does.
SATURATED = {"b_f": 8.0, "b_g": 4.0, "b_z": 8.0, "b_n": 4.0, "b": 3.0}
RECIPES = (
    Recipe("plain", "one layer read forward", steps=True),
    Recipe("lengths", "a short row, a full one and one of length 1", lengths=RAGGED, steps=True),
    Recipe("saturated", "gates and candidate near their limits", shift=SATURATED),
    Recipe("large", "cotangents twenty times as large, so that clipping shows", cotangents=20.0),
    Recipe("square", "D = H, so that exchanged or transposed arrays fit", sizes={"D": 5}),
    Recipe("bidirectional", "both directions, rows of three lengths", {"direction": "bidirectional"}, lengths=RAGGED),
    Recipe("layers", "two layers", {"layers": 2}),
    Recipe("projected", "outputs projected to 2 numbers", {"projection": 2}),
    Recipe("zoneout", "zoneout with given masks", {"zoneout": True}),
)


def cases(
    cell: str | Page,
    layout: str,
    dtype: str = "float64",
    seed: int = 0,
    only: Sequence[str] | None = None,
    mistakes: bool = True,
) -> list[Case]:
    """The set for a cell, with true results: every recipe, or ``only`` those of these names, that the layout can hold.

    ``about`` of each tells the ``conditioning``, the largest S / |g| of all components of its gradients: so many
    times does a relative error of the data grow. It lists the mistakes that it ``kills`` and the ``survivors``; not
    so without ``mistakes``, which takes most of the time. Nothing in a case depends on the machine.
    Raises CaseError for unknown names, LayoutError for a layout without a place for the cell.
    """
    if unknown := [k for k in only or () if k not in [recipe.name for recipe in RECIPES]]:
        raise CaseError(f"{unknown[0]!r} is no recipe; known are {', '.join(r.name for r in RECIPES)}")
    names(layout, Network(cell).check().of_cell())
    chosen = [r for r in RECIPES if (only is None or r.name in only) and _possible(cell, layout, r)]
    return [_case(cell, layout, dtype, seed, recipe, mistakes) for recipe in chosen]


def write_set(
    directory: str | PathLike[str],
    cell: str | Page = "LSTM",
    layout: str = "torch",
    dtype: str = "float64",
    seed: int = 0,
    format: str = "json",
) -> list[Path]:
    """Write the set, an index of it and the description of the format; returns the paths of all files.

    ``format`` is json, npz, safetensors, or onnx: node-test folders of the cases that ONNX can express, alone.
    """
    if format not in FORMATS:
        raise CaseError(f"{format!r} is no format; known are {', '.join(FORMATS)}")
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise CaseError(f"{directory} is a file; expected a directory")
    made = cases(cell, layout, dtype, seed, mistakes=format != "onnx")
    if format == "onnx":
        from ..cases.onnx_cases import expressible, write_onnx

        if not (made := [case for case in made if expressible(case)]):
            raise CaseError(f"ONNX expresses no case of {cell} in layout {layout}; expected layout onnx")
        return [path for case in made for path in write_onnx(directory / _stem(case), case)]
    listed = [
        {"file": f"{_stem(case)}.{format}", "name": case.name, "what": case.about["what"]}
        | {"conditioning": case.about["conditioning"]}
        for case in made
    ]
    killers: dict[str, list[str]] = {k: [] for case in made for k in case.about["kills"] + case.about["survivors"]}
    for case in made:
        for mistake in case.about["kills"]:
            killers[mistake].append(_stem(case))
    index = {
        "schema": SCHEMA,
        **{"cell": str(cell), "layout": layout, "dtype": dtype, "seed": seed},
        "cases": listed,
        "survivors": [k for k, by in killers.items() if not by],
        "killed": {k: by for k, by in killers.items() if by},
    }
    written = [files.write_case(directory / f"{_stem(case)}.{format}", case) for case in made]
    written.append(files.write_text(directory / "index.json", _lines(index)))
    return [*written, files.write_text(directory / "FORMAT.md", files.description())]


def _lines(index: dict[str, Any]) -> str:
    """JSON, one case and one mistake a line."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n }"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n" + ",\n".join(f"  {json.dumps(v)}" for v in value) + "\n ]"
        return json.dumps(value)

    return "{\n" + ",\n".join(f" {json.dumps(k)}: {text(v)}" for k, v in index.items()) + "\n}\n"


def _stem(case: Case) -> str:
    return case.name.rpartition(" ")[2]


def _possible(cell: str | Page, layout: str, recipe: Recipe) -> bool:
    try:
        return bool(names(layout, Network(cell, **recipe.network).of_cell()))
    except ValueError:  # the cell cannot be projected, or the layout cannot hold it
        return False


def _case(cell: str | Page, layout: str, dtype: str, seed: int, recipe: Recipe, mistakes: bool) -> Case:
    network = Network(cell, **recipe.network)
    fields = network.of_cell().Params._fields
    case = Case.random(
        network,
        layout,
        SIZES | recipe.sizes,
        np.random.default_rng([seed, zlib.crc32(recipe.name.encode())]),
        lengths=recipe.lengths,
        shift={k: v for k, v in recipe.shift.items() if k in fields},
        cotangents=recipe.cotangents,
        name=f"{cell} {layout} {recipe.name}",
    )
    case = truth.fill(case._replace(dtype=dtype), DIGITS, certify=False)
    conditioning = _conditioning(case)
    if not recipe.steps:
        case = case._replace(expected={k: a for k, a in case.expected.items() if not _of_steps(k)})
    stored = "one array for each field" if layout == RECORDS else layouts.notation(layout, network.of_cell())
    about: dict[str, Any] = {
        "what": recipe.says,
        "stored": stored,
        "seed": seed,
        "digits": DIGITS,
        "conditioning": conditioning,
    }
    if mistakes:
        about["kills"], about["survivors"] = _mistakes(case)
    return case._replace(about=about)


def _of_steps(name: str) -> bool:
    return parse(name).of_steps


def _conditioning(case: Case) -> float:
    """The largest S / |g|, in two digits: no sum in it cancels, so every machine finds the same."""
    paths, largest = case.absolute_paths(), 0.0
    for k, g in case.expected.items():
        if is_gradient(k) and not _of_steps(k):
            some = (paths[k] > 0) & (g != 0)
            largest = max(largest, float(np.max(paths[k][some] / np.abs(g[some]), initial=0)))
    return float(f"{largest:.1e}")


def _mistakes(case: Case) -> tuple[list[str], list[str]]:
    """The labels of all mistakes that can be made here: those that show in the expected results, and the others."""
    from . import Workbench, label, possible

    bench = Workbench(case)
    found: tuple[list[str], list[str]] = ([], [])
    for mistake, variant in possible(bench):
        answer = mistake.answer(bench, variant)
        shows = any(_differs(answer[k], a, SHOWS[case.dtype]) for k, a in case.expected.items())
        found[0 if shows else 1].append(label(mistake, variant))
    return found


def _differs(got: Any, truth: Any, least: float) -> bool:
    """Whether the normwise error is above ``least``, or no number."""
    with np.errstate(all="ignore"):
        return not float(np.linalg.norm(got - truth)) <= least * float(np.linalg.norm(truth))
