"""Which inputs an output listens to: |dy_s/dx_t| for every pair of steps."""

from typing import Any

import numpy as np

from .. import arrays, layers, wiring
from ..pages.page import Page
from ..scan import Forward
from .jacobians import Progress, over
from .signals import norm


def sensitivity_map(
    layer: Any, params: Any, run: Any, readout: Any = None, outputs: Any = None, progress: Progress | None = None
) -> Any:
    """The norm of dy_s/dx_t for y = h V^T: (S,T,B); Frobenius norm over outputs and inputs.

    Parameters
    ----------
    layer, params, run : a Page or any layer, and its run (of plain arrays x)
    readout : V (N,R), N outputs; the identity, all of h, if absent
    outputs : the S steps s to look at; every one if absent

    One backward pass for each s and each of the N rows of V. On padding the norm is zero. Raises ValueError if V does
    not fit the outputs of the layer, or a step is not one of the run's; TypeError for what is no layer or no run.
    """
    layer = layers.Recurrent(layer) if isinstance(layer, Page) else layer
    if not hasattr(layer, "backward"):
        also = ": layers, params = twin.network()" if hasattr(layer, "network") else ""
        raise TypeError(f"layer is a {arrays.type_name(layer)}; expected a Page or a layer of numpy_lstm.layers{also}")
    if not isinstance(run, Forward | wiring.Run):
        raise TypeError(f"run is a {arrays.type_name(run)}; expected the run that layer.forward returned")
    T, B, R = run.hs.shape
    V = np.eye(R) if readout is None else arrays.on_host(readout)
    V = arrays.like(np.asarray(V, run.hs.dtype), run.hs)
    if V.ndim != 2 or V.shape[1] != R:
        raise ValueError(f"readout has shape {V.shape}; expected (N, {R}), where {R} is the width of hs")
    steps = range(T) if outputs is None else list(arrays.on_host(outputs))
    if wrong := [s for s in steps if not 0 <= s < T]:
        raise ValueError(f"outputs has {wrong[0]}; expected steps from 0 to {T - 1}")
    found = arrays.like(np.zeros((len(steps), T, B)), run.hs)
    for k in over(0, len(steps), progress):
        for row in V:
            dhs = np.zeros_like(run.hs)
            dhs[steps[k]] = row
            found[k] = np.hypot(found[k], norm(layer.backward(params, run, dhs).dxs))
    return found
