"""Where a mistake is at home: the networks in which the catalogue is tried, and random cases of them."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm.activations import clip
from numpy_lstm.cases.case import Case
from numpy_lstm.cases.network import Network
from numpy_lstm.mistakes import Workbench
from numpy_lstm.pages.clipped_lstm import ClippedLSTM
from numpy_lstm.steps import Steps


class Home(NamedTuple):
    """Where a mistake is at home: a network, how its weights are stored, and whether its rows have lengths.

    ``drawn`` are further options of ``Case.random``; ``steps`` is the mask that rows have in place of lengths.
    """

    name: str
    network: Network
    layout: str
    lengths: bool = False
    drawn: tuple[tuple[str, Any], ...] = ()
    steps: str = ""


HOMES = (
    Home("LSTM", Network("LSTM"), "torch"),
    Home("LSTM with lengths", Network("LSTM"), "torch", True),
    Home("LSTM, two layers", Network("LSTM", layers=2), "torch"),
    Home("LSTM, both directions", Network("LSTM", direction="bidirectional"), "torch", True),
    Home("LSTM, projected", Network("LSTM", projection=2), "torch"),
    Home("LSTM, zoneout", Network("LSTM", zoneout=True), "torch"),
    Home("LSTM, peepholes", Network("PeepholeLSTM"), "onnx"),
    Home("LSTM, coupled gates", Network("CoupledLSTM"), "records"),
    Home("LSTM, layer norm", Network("LayerNormLSTM"), "records"),
    Home("GRU", Network("GRU"), "torch"),
    Home("GRU, reset before", Network("GRUResetBefore"), "keras"),
    Home("RNN", Network("RNN"), "torch"),
    Home("LSTM, dropout", Network("LSTM", layers=2), "torch", drawn=(("drop", 0.4),)),
    Home("LSTM, every cell", Network("LSTM"), "torch", drawn=(("cells", True),)),
    Home("LSTM, rows that start anew", Network("LSTM"), "torch", steps="reset"),
    Home("LSTM, holes", Network("LSTM"), "torch", steps="read"),
    Home("LSTM, clipped", Network(ClippedLSTM.having(c=clip(0.3))), "records"),
)
SIZES = {"T": 4, "B": 3, "D": 2, "H": 3}


@cache
def bench(home: Home, seed: int, sizes: tuple[int, ...] = tuple(SIZES.values()), **options: Any) -> Workbench:
    """A random case at this home; options: ``scale`` of the weights, ``cotangents``, ``zero`` and ``given``."""
    T, B, _, _ = sizes
    zero, given = options.pop("zero", False), options.pop("given", "all")
    lengths = [*([max(1, T // 2), T, 1] * B)[:B]] if B > 1 else [max(1, T - 1)]
    case = Case.random(
        home.network,
        home.layout,
        dict(zip("TBDH", sizes, strict=True)),
        np.random.default_rng([seed, HOMES.index(home)]),
        lengths=lengths if home.lengths else _mask(home.steps, T, B),
        **{**dict(home.drawn), **options},
    )
    changed = {}
    for k, a in case.arrays.items():
        if (zero and k.endswith("_0")) or (given != "all" and k.endswith("_n") and "d_" in k):
            changed[k] = 0 * a
    if given == "last":
        last = np.arange(T)[:, None, None] == np.array(case.arrays.get("lengths", [T] * B))[None, :, None] - 1
        changed["d_output"] = case.arrays["d_output"] * last
    return Workbench(case._replace(arrays=case.arrays | changed))


def _mask(kind: str, T: int, B: int) -> Steps | None:
    """Rows that start anew, or that have holes, each at another step."""
    t, b = np.indices((T, B))
    middle = (t + b) % T == T // 2
    return {"reset": Steps(reset=middle), "read": Steps(read=~middle)}.get(kind)


def suite(home: Home, seed: int, cotangents: float) -> list[Workbench]:
    """The cases of our suite: D unlike H, D = H, and cotangents so large that nothing that clips stays unseen."""
    square = (SIZES["T"], SIZES["B"], SIZES["H"], SIZES["H"])
    return [
        bench(home, seed, cotangents=cotangents),
        bench(home, seed, square, cotangents=cotangents),
        bench(home, seed, cotangents=1024.0),
    ]
