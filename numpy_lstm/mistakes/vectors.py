"""Sets of cases that fail for every known mistake, for people who write a cell in another language.

Each weight, gate and bias half is drawn by itself, T, B, D and H differ, states are not zero, and gradient flows into
every output; each of the cases at corners gives up one of these. Expected results are the truth, rounded once. A case
says which mistakes of the catalogue it kills, that is, from which its expected results differ by more than ``SHOWS``,
and which survive it. None may survive the whole set, but for the precision itself where less than float64 is promised.
"""

import json
import zlib
from collections.abc import Container, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import layouts
from ..cases import files, truth
from ..cases.case import Case
from ..cases.folder import replacing
from ..cases.inputs import RECORDS, names
from ..cases.names import is_gradient, parse
from ..cases.network import Network
from ..cases.onnx_cases import expressible, write_onnx
from ..check.given import CaseError
from ..pages.page import Page
from . import CATALOGUE, Workbench, label
from .recipes import RECIPES, SIZES, SMALL, Recipe, steps_of

SCHEMA = "numpy-lstm/vectors/1"
FORMATS = (*files.FORMATS, "onnx")
DIGITS = 50
SHOWS = {"float64": 1e-10, "float32": 1e-5, "float16": 0.05, "bfloat16": 0.4}  # normwise, in any array


def cases(
    cell: str | Page,
    layout: str,
    dtype: str = "float64",
    seed: int = 0,
    only: Sequence[str] | None = None,
    mistakes: bool = True,
    *,
    sizes: Mapping[str, int] | None = None,
    state: bool = True,
    bias: bool = True,
    corners: bool = True,
) -> list[Case]:
    """The set for a cell, with true results: every recipe, or ``only`` those of these names, that the layout can hold.

    ``sizes`` T, B, D, H in place of those of the recipes; without ``state`` or ``bias`` no case has them; without
    ``corners`` the set is the cases in which all is random, which kill every mistake.

    ``about`` of each tells the ``conditioning``, the largest S / |g| of all components of its gradients: so many
    times does a relative error of the data grow. It lists the mistakes that it ``kills`` and the ``survivors``, at
    corners those alone that no case before it kills; not so without ``mistakes``, which takes most of the time.
    Nothing in a case depends on the machine.
    Raises CaseError for unknown names, LayoutError for a layout without a place for the cell.
    """
    if unknown := [k for k in only or () if k not in [recipe.name for recipe in RECIPES]]:
        raise CaseError(f"{unknown[0]!r} is no recipe; known are {', '.join(r.name for r in RECIPES)}")
    names(layout, Network(cell).check().of_cell())
    if dtype not in SHOWS:
        raise CaseError(f"dtype is {dtype!r}; expected {' or '.join(SHOWS)}")
    chosen = [r for r in RECIPES if (r.name in only if only is not None else corners or not r.corner)]
    chosen = [r for r in chosen if _possible(cell, layout, r)]
    more: dict[str, Any] = ({} if state else {"first": "absent"}) | ({} if bias else {"bias": False})
    for recipe in chosen:  # before the long work
        _expect_small(Network(cell, **recipe.network), recipe, _sizes(recipe, sizes))
    made: list[Case] = []
    known: set[str] = set()
    for recipe in chosen:
        case = _case(cell, layout, dtype, seed, recipe, sizes, more)
        if mistakes:
            kills, survivors = _mistakes(case, known if recipe.corner else set())
            known |= {*kills}
            case = case._replace(about=case.about | {"kills": kills, "survivors": survivors})
        made.append(case)
    return made


def write_set(
    directory: str | PathLike[str],
    cell: str | Page = "LSTM",
    layout: str = "torch",
    dtype: str = "float64",
    seed: int = 0,
    format: str = "json",
    **options: Any,
) -> list[Path]:
    """Write the set, an index of it and the description of the format; returns the paths of all files.

    ``format`` is json, npz, safetensors, or onnx: node-test folders of the cases that ONNX can express, alone;
    ``options`` are those of ``cases``. The directory is new, empty, or holds a set, which is replaced: whole, or not
    at all. Raises CaseError for one that holds anything else.
    """
    if format not in FORMATS:
        raise CaseError(f"{format!r} is no format; known are {', '.join(FORMATS)}")
    directory = Path(directory)
    stems = {recipe.name for recipe in RECIPES}
    names = {"index.json", "FORMAT.md", *stems, *(f"{stem}.{suffix}" for stem in stems for suffix in files.FORMATS)}
    with replacing(directory, names) as new:
        made = cases(cell, layout, dtype, seed, mistakes=format != "onnx", **options)
        written = _write(new, made, {"cell": str(cell), "layout": layout, "dtype": dtype, "seed": seed}, format)
    return [directory / path.relative_to(new) for path in written]


def _write(directory: Path, made: list[Case], what: dict[str, Any], format: str) -> list[Path]:
    if format == "onnx":
        if not (made := [case for case in made if expressible(case)]):
            raise CaseError(
                f"ONNX expresses no case of {what['cell']} in layout {what['layout']}; expected layout onnx"
            )
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
        **what,
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
        own, page = Network(cell, **recipe.network).of_cell(), Network(cell).page
        lacks = ("cells" in recipe.drawn and "c" not in own.carries) or (recipe.network and len(page.reads) > 1)
        bare = recipe.drawn.get("bias", True) or any(names(layout, own).values())
        return bool(names(layout, own)) and not lacks and bare
    except ValueError:  # the cell cannot be projected, or the layout cannot hold it
        return False


def _sizes(recipe: Recipe, sizes: Mapping[str, int] | None) -> dict[str, int]:
    usual = {**(SMALL if recipe.corner else SIZES), **(sizes or {})}
    return usual | {k: n if isinstance(n, int) else usual[n] for k, n in recipe.sizes.items()}


def _expect_small(network: Network, recipe: Recipe, sizes: Mapping[str, int]) -> None:
    """Raise CaseError for what ``files.read_case`` would not read."""
    T, B, D, H = (sizes[k] for k in "TBDH")
    with files.naming(f"case {recipe.name}", "drawn"):
        files.expect_short(T, T * B * H * len([*network.places()]))
        if (numbers := max(T * B * D, H * max(D, H))) > files.LARGEST_RUN:
            raise CaseError(f"has an array of {numbers} numbers; expected at most {files.LARGEST_RUN}")


def _case(cell: str | Page, layout: str, dtype: str, seed: int, recipe: Recipe, sizes: Any, more: Any) -> Case:
    network = Network(cell, **recipe.network)
    fields, usual = network.of_cell().Params._fields, _sizes(recipe, sizes)
    rng = np.random.default_rng([seed, zlib.crc32(recipe.name.encode())])
    drawn = recipe.drawn | more
    drawn |= {"lengths": steps_of(drawn.get("lengths"), usual["T"], usual["B"])}
    drawn |= {"shift": {k: v for k, v in drawn.get("shift", {}).items() if k in fields}}
    case = Case.random(network, layout, usual, rng, **drawn, dtype=dtype, name=f"{cell} {layout} {recipe.name}")
    case = truth.fill(case, DIGITS, certify=False)
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


def _mistakes(case: Case, known: Container[str]) -> tuple[list[str], list[str]]:
    """The labels of all mistakes that can be made here: those that show in the expected results, and the others.

    Those that are ``known`` to be killed by other cases are left out.
    """
    bench = Workbench(case)
    found: tuple[list[str], list[str]] = ([], [])
    for mistake in CATALOGUE.values():
        for variant in mistake.conceivable(bench):
            if label(mistake, variant) in known or not mistake.shows(bench, variant):
                continue
            answer = mistake.answer(bench, variant)
            shows = any(_differs(answer[k], a, SHOWS[case.dtype]) for k, a in case.expected.items())
            found[0 if shows else 1].append(label(mistake, variant))
    return found


def _differs(got: Any, truth: Any, least: float) -> bool:
    """Whether the normwise error is above ``least``, or no number."""
    with np.errstate(all="ignore"):
        return not float(np.linalg.norm(got - truth)) <= least * float(np.linalg.norm(truth))
