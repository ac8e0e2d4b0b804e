"""Explain: the equations of a page, read from its source, and what follows: terms, derivations, traces, HTML."""

from .adjoint import Term, terms
from .expressions import Row
from .page import Document, page
from .rows import Equations, rows

__all__ = ["Document", "Equations", "Row", "Term", "page", "rows", "terms"]
