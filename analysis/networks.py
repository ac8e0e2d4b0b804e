"""Networks at initialisation, named by a setting: ``LSTM:uniform:1`` is the LSTM, PyTorch-like, with forget bias 1."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import numpy_lstm as nl
from numpy_lstm import command, flow, init

from . import text

CELLS = {cell.name: cell for cell in (*nl.PAGES, nl.ReLURNN)}
INITS = ("uniform", "orthogonal", "identity")
SIZES = {"T": 100, "B": 16, "D": 16, "H": 64}
LABELS = {"uniform": "", "orthogonal": "orth. ", "identity": "identity "}


class Setting(NamedTuple):
    """A cell, its initialisation (see ``params``), and the forget bias: a number, ``chrono`` or none."""

    cell: str
    init: str
    forget: float | str | None

    @property
    def label(self) -> str:
        """For a figure: ``orth. LSTM, b_f=1``."""
        forget = "" if self.forget is None else ", chrono" if self.forget == "chrono" else f", b_f={self.forget:g}"
        return f"{LABELS[self.init]}{self.cell}{forget}"

    @property
    def page(self) -> nl.Page:
        """The page of the cell."""
        return CELLS[self.cell]


def setting(name: str) -> Setting:
    """``CELL[:INIT[:FORGET]]``. Raises InputError, which lists what there is."""
    cell, _, rest = name.partition(":")
    how, _, forget = rest.partition(":")
    how = how or "uniform"
    if cell not in CELLS or how not in INITS:
        raise text.InputError(
            f"network {name!r}: expected CELL[:INIT[:FORGET]], CELL one of {', '.join(CELLS)}, INIT of "
            f"{', '.join(INITS)}"
        )
    if forget and "b_f" not in CELLS[cell].Params._fields:
        raise text.InputError(f"network {name!r}: {cell} has no forget bias")
    if not forget or forget == "chrono":
        return Setting(cell, how, forget or None)
    try:
        return Setting(cell, how, command.number(forget))
    except argparse.ArgumentTypeError as error:
        raise text.InputError(f"network {name!r}: the forget bias {error}; expected one, or chrono") from None


def require(names: Sequence[str], instrument: Callable[..., Any]) -> None:
    """Raise InputError for a network whose cell this instrument of a run refuses."""
    for name in names:
        p = noise_pass({"network": name, "seed": 0, "T": 2, "B": 1, "D": 2, "H": 3})
        try:
            instrument(p.cell, p.params, p.run)
        except TypeError as error:
            raise text.InputError(f"network {name!r}: {error}") from None


def params(s: Setting, D: int, H: int, T: int, rng: np.random.Generator, gain: float = 1.0, dtype: str = "f8") -> Any:
    """Parameters for D inputs and H units.

    ``uniform``: in +-1/sqrt(H), PyTorch's, but with zero biases; ``orthogonal``: U, and Glorot-uniform W; ``identity``:
    U, and tiny W (Le et al. 2015). U is scaled by ``gain``; chrono holds memories up to T steps.
    """
    cell = s.page
    if s.init == "uniform":
        p = init.uniform(cell.Params, cell.sizes(H, D=D), rng)
        p = p._replace(**{k: np.zeros_like(a) for k, a in p._asdict().items() if k[0] == "b"})
    else:
        p = init.glorot_orthogonal(cell.Params, cell.sizes(H, D=D), rng, forget_bias=0.0)
    if s.init == "identity":
        p = p._replace(**{k: np.eye(H) for k in p._fields if k[0] == "U"})
        p = p._replace(**{k: 0.001 * rng.standard_normal((H, D)) for k in p._fields if k[0] == "W"})
    p = p._replace(**{k: gain * a for k, a in p._asdict().items() if k[0] == "U"})
    if s.forget == "chrono":
        p = init.chrono(p, T, rng)
    elif s.forget is not None:
        p = p._replace(b_f=np.full_like(p.b_f, s.forget))
    return nl.tree.map(lambda a: a.astype(dtype), p)


def noise_pass(point: dict[str, Any]) -> flow.Pass:
    """A network with white-noise inputs and zero first state; the loss is a random unit vector times the last h.

    ``point`` has network, seed, and T, B, D, H; gain, dtype and input (the standard deviation of x) may be absent.
    """
    s, dtype = setting(point["network"]), point.get("dtype", "f8")
    T, B, D, H = (point[k] for k in "TBDH")
    rng = np.random.default_rng(point["seed"])
    p = params(s, D, H, T, rng, point.get("gain", 1.0), dtype)
    xs = (point.get("input", 1.0) * rng.standard_normal((T, B, D))).astype(dtype)
    last = rng.standard_normal((B, H))
    last = (last / np.linalg.norm(last, axis=1, keepdims=True)).astype(dtype)
    return flow.passes(s.page, p, xs, dlast=s.page.partial_state(h=last))[0]
