"""What several test files share: the cells, the standard problem, and the row-by-row comparison with the rows."""

from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import check
from reference import chain_rule

PAGES = list(nl.PAGES)
VARIANTS = [nl.ReLURNN, *(nl.ABLATIONS[name] for name in ("NIG", "NFG", "NOG", "NIAF", "NOAF"))]
SHIPPED = list(nl.VARIANTS)
CELLS = PAGES + VARIANTS
LAYERS = list(nl.pages.LAYERS)
READING = [nl.AdditiveAttentionLSTM]  # cells that read more than x
THOROUGH = False  # pytest --thorough: conftest.py


def seeds(most: int, usual: int = 3) -> range:
    """``usual`` seeds, which see what can go wrong, or ``most`` with ``pytest --thorough``."""
    return range(most if THOROUGH else usual)


def standard(cell: nl.Page, seed: int = 0, **sizes: int) -> check.Problem:
    """T=20, B=4, D=5, H=7; random, unequal, non-zero h0 and c0; gradient into every h_t, c_t and the last state."""
    sizes = {"T": 20, "B": 4, "D": 5, "H": 7, "S": 3, "N": 6, "A": 4} | sizes
    return check.Problem.random(cell, rng=np.random.default_rng(seed), **sizes)


def equation_ids(cell: nl.Page) -> list[str]:
    """``lstm-L9'-f``: the adjoint of row L9 with respect to its operand f."""
    return [f"{cell.name.lower()}-{row.tag}'-{k}" for row in chain_rule.rows(cell) for k in row.operands()]


def equation_error(cell: nl.Page, equation: str, seed: int = 0) -> float:
    """Normwise distance between what the page and what the machine say reaches this operand, seen through this row.

    The parameters by which other rows multiply the operand are zero when cotangents are contracted with them, and
    nothing from outside arrives at the operand itself; so of the rows with parameters only this one contributes.
    """
    _, tag, operand = equation.split("-")
    rows = chain_rule.rows(cell)
    row = next(row for row in rows if f"{row.tag}'" == tag)
    problem = standard(cell, seed, T=1)
    (params, xs, first), (_, arriving) = problem.point, problem.cotangents
    if operand in cell.State._fields:
        arriving = arriving._replace(**{operand: np.zeros_like(getattr(arriving, operand))})
    silenced = {k for other in rows if other is not row for k in other.factors(operand)} - set(row.operands())
    only = type(params)(*(0 * a if k in silenced else a for k, a in params._asdict().items()))

    _, values = cell.step(params, xs[0], first)
    _, d = cell.step_back(only, values, arriving)
    contracted = cell.gradients(cell.functions, only, values, d)
    got = getattr(d if operand in d._fields else contracted, operand)

    names = {k: np.atleast_2d(a) for k, a in params._asdict().items()}
    names |= {f"{k}_prev": a for k, a in first._asdict().items()} | {"x": xs[0]}
    names = chain_rule.evaluate(rows, names) | {k: np.atleast_2d(a) for k, a in only._asdict().items()}
    expected: Any = chain_rule.pull(rows, names, arriving._asdict())[operand]
    if cell in PAGES and not np.any(expected):
        return np.inf  # a comparison of zeros with zeros would see nothing
    return check.normwise(got, np.reshape(expected, got.shape))
