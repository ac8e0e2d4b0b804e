"""Explain: the equations of a page, read from its source, and what follows from them: terms, derivations, traces."""

from .adjoint import Term, terms
from .expressions import Row
from .rows import Equations, rows

__all__ = ["Equations", "Row", "Term", "rows", "terms"]
