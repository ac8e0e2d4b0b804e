"""Explain: the equations of a page, read from its source, and what follows from them.

``rows(page)`` reads them, ``terms`` derives what each adds to which cotangent; ``derive`` and ``trace`` print both as a
derivation and with numbers, ``page`` makes an HTML file that computes; ``first_difference`` holds a page's own adjoint
against them. No formula is stated here: a page of one's own is explained as it stands.
"""

from .adjoint import Term, terms
from .examples import example
from .expressions import Row
from .held import Difference, first_difference
from .page import Document, page
from .rows import Equations, rows
from .trace import Trace

__all__ = [
    "Difference",
    "Document",
    "Equations",
    "Row",
    "Term",
    "Trace",
    "example",
    "first_difference",
    "page",
    "rows",
    "terms",
]
