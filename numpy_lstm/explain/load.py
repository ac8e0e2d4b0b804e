"""A page by its name, or out of a Python file of one's own."""

import sys
from importlib import util
from pathlib import Path

from ..cases.network import CELLS
from ..check.given import CaseError
from ..files import regular
from ..pages import LAYERS, AdditiveAttentionLSTM
from ..pages.page import Page

NAMED = CELLS | {p.name: p for p in (*LAYERS, AdditiveAttentionLSTM)}


def page(text: str) -> Page:
    """The page that ``LSTM``, ``mgu.py`` or ``cells.py::MGU`` names; a file is run to find it.

    Raises CaseError for an unknown name, a file that cannot be run, and one without the page, or with several.
    """
    if text in NAMED:
        return NAMED[text]
    file, _, name = text.partition("::")
    if not file.endswith(".py"):
        raise CaseError(f"{text!r} is no known cell and no file.py; expected one of {', '.join(NAMED)}, or a file")
    found = [p for p in _pages(Path(file)) if name in ("", p.name)]
    if len(found) != 1:
        has = f"several pages, {', '.join(p.name for p in found)}" if found else "no page"
        raise CaseError(f"{file} has {has}{name and f' {name}'}; expected one, or the name: {file}::NAME")
    return found[0]


def complete(cell: Page) -> Page:
    """The page. Raises CaseError where a page of one's own has its equations only."""
    if cell.adjoint is None or cell.gradients is None:
        how = "numpy-lstm derive FILE --format python writes both"
        raise CaseError(f"{cell.name} has no adjoint, or no gradients; expected both: {how}")
    return cell


def _pages(path: Path) -> list[Page]:
    """The pages that a file makes of functions of its own, or else by wrapping, once each."""
    name = f"explained {path.stem}"
    spec = util.spec_from_file_location(name, regular(path))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = util.module_from_spec(spec)  # where the types of its records are looked up
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CaseError(f"{path} cannot be run: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(str(path.parent))
    found = list({id(p): p for p in vars(module).values() if isinstance(p, Page)}.values())
    own = [p for p in found if p.values.__module__ == name]
    return own or [p for p in found if p not in CELLS.values()]  # projected(LSTM, 3), say
