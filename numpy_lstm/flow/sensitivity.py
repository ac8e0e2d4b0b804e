"""Which inputs an output listens to: |dy_s/dx_t| for every pair of steps."""

from typing import Any

import numpy as np

from .. import arrays, compose
from ..cells.cell import Cell
from .jacobians import Progress, over
from .signals import norm


def sensitivity_map(
    layer: Any, params: Any, run: Any, readout: Any = None, outputs: Any = None, progress: Progress | None = None
) -> Any:
    """The norm of dy_s/dx_t for y = h V^T: (S,T,B); Frobenius norm over outputs and inputs.

    Parameters
    ----------
    layer, params, run : a Cell or any layer, and its run (of plain arrays x)
    readout : V (N,R), N outputs; the identity, all of h, if absent
    outputs : the S steps s to look at; every one if absent

    One backward pass for each s and each of the N rows of V. Raises ValueError if V does not fit the
    outputs of the layer.
    """
    layer = compose.Recurrent(layer) if isinstance(layer, Cell) else layer
    T, B, R = run.hs.shape
    V = np.eye(R) if readout is None else arrays.on_host(readout)
    V = arrays.like(np.asarray(V, run.hs.dtype), run.hs)
    if V.ndim != 2 or V.shape[1] != R:
        raise ValueError(f"readout has shape {V.shape}; expected (N, {R}), where {R} is the width of hs")
    steps = range(T) if outputs is None else outputs
    found = arrays.like(np.zeros((len(steps), T, B)), run.hs)
    for k in over(0, len(steps), progress):
        for row in V:
            dhs = np.zeros_like(run.hs)
            dhs[steps[k]] = row
            found[k] = np.hypot(found[k], norm(layer.backward(params, run, dhs).dxs))
    return found
