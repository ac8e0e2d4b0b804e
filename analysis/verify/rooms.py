"""Every room of the library on CuPy arrays: each case against the same on NumPy arrays, the largest normwise error.

``cases`` takes the module that stands for CuPy, so that a stand-in without a device sees the same faults.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import arrays, check, layers, layouts, onnx, tree

from .instruments import LENGTHS, B, D, H, Probe, T, checks, flows
from .trained import trainings

LAYOUTS = ("torch", "keras", "onnx", "tf_block", "flax", "cudnn")


def cases(cupy: Any, seed: int = 0) -> Iterator[tuple[str, Probe]]:
    """Name of the room, and what runs there and returns the error; raises where something does not work."""
    rng = np.random.default_rng(seed)

    def there(value: Any) -> Any:
        return tree.map(cupy.asarray, value)

    def gap(got: Any, want: Any) -> float:
        """``got`` must live on the device."""
        for name, a in tree.leaves(got):
            if not arrays.is_cupy(a):
                raise TypeError(f"{name or 'the result'} is a {arrays.type_name(a)}; expected a CuPy array")
        return check.normwise(got, want)

    def draw(cell: Any, width: int = D, T: int = T) -> dict[str, Any]:
        zero = cell.zero_state(B, H)
        params = tree.map(lambda a: a / np.sqrt(a.shape[-1]), tree.random_like(cell.init(width, H, rng), rng))
        given = {"params": params, "first": tree.random_like(zero, rng), "dlast": tree.random_like(zero, rng)}
        xs = rng.standard_normal((T, B, width))
        if masks := {k: rng.random((T, B, H)) for k in cell.reads if k != "x"}:
            xs = cell.Input(x=xs, **masks)
        return given | {"xs": xs, "dhs": rng.standard_normal((T, B, cell.R or H))}

    def page(cell: Any, module: Any, lengths: Any, T: int = T, **options: Any) -> float:
        def run(g: dict[str, Any]) -> Any:
            ran = module.forward(cell, g["params"], g["xs"], g["first"], lengths, **options)
            back = module.backward(cell, g["params"], ran, dhs=g["dhs"], dlast=g["dlast"])
            return ran.hs, ran.last, tuple(back)[:3]

        given = draw(cell, T=T)
        return gap(run(there(given)), run(given))

    def checkpointed(engine: str) -> float:
        """Long enough for several segments of the explicit path."""
        return page(nl.GRU, nl.checkpointed, [70, 1, 40, 0], 70, **{"segments": 3, "engine": engine})

    cells = [*nl.PAGES, nl.ReLURNN, *(nl.ABLATIONS[k] for k in ("NIG", "NFG", "NOG", "NIAF", "NOAF"))]
    cells += [nl.projected(nl.LSTM, 3), nl.zoneout(nl.LSTM)]
    for cell in cells:
        for lengths in (None, LENGTHS):
            ragged = " ragged" if lengths else ""
            yield f"{cell.name}{ragged}", lambda cell=cell, lengths=lengths: page(cell, nl, lengths)
    for cell in (nl.LSTM, nl.GRU, nl.RNN):
        for lengths in (None, LENGTHS):
            ragged = " ragged" if lengths else ""
            yield f"fast {cell.name}{ragged}", lambda cell=cell, lengths=lengths: page(cell, nl.fast, lengths)
    for engine in ("explicit", "fast"):
        yield f"checkpointed {engine}", lambda engine=engine: checkpointed(engine)

    def layer(wired: Any) -> float:
        params, xs = wired.init(D, H, rng), rng.standard_normal((T, B, D))
        dhs = rng.standard_normal((T, B, wired.width(H)))

        def run(params: Any, xs: Any, dhs: Any) -> Any:
            ran = wired.forward(params, xs, None, LENGTHS)
            back = wired.backward(params, ran, dhs)
            return ran.hs, ran.last, tuple(back)[:3]

        return gap(run(*there((params, xs, dhs))), run(params, xs, dhs))

    mask = layers.dropout_mask(rng, (T, B, 2 * H), 0.3)
    masks = {f"keep_{k}": rng.random((T, B, H)) for k in "hc"}
    dropped = layers.Masked(nl.Recurrent(nl.GRU), {"x": mask})
    for name, wired in (
        ("Reversed", nl.Reversed(nl.Recurrent(nl.LSTM))),
        ("Parallel", nl.Parallel((nl.Recurrent(nl.RNN), nl.Recurrent(nl.GRU, "fast")))),
        ("Stack, dropout", nl.Stack((nl.bidirectional(nl.LSTM), dropped))),
        ("Masked, zoneout", layers.Masked(nl.Recurrent(nl.zoneout(nl.LSTM)), masks)),
        ("Recurrent, checkpointed", nl.Recurrent(nl.LSTM, "checkpointed")),
    ):
        yield name, lambda wired=wired: layer(wired)

    def twin(kind: str, **options: Any) -> float:
        here, moved = (getattr(nl.nn, kind)(D, H, rng=np.random.default_rng(seed), **options) for _ in range(2))
        moved.load_state_dict(there(here.state_dict()))
        x = rng.standard_normal((T, B, D))
        ran, other = moved.forward(cupy.asarray(x), lengths=LENGTHS), here.forward(x, lengths=LENGTHS)
        d = rng.standard_normal(other.output.shape)
        states = (moved.state_dict(), here.state_dict())
        got, want = (ran.output, ran.h_n, ran.c_n), (other.output, other.h_n, other.c_n)
        got, want = (*got, *ran.backward(cupy.asarray(d))), (*want, *other.backward(d))
        return max(gap(got, want), gap(*states))

    for kind in ("LSTM", "GRU", "RNN"):
        for engine in ("explicit", "fast"):
            options = {"engine": engine, "num_layers": 2, "bidirectional": True, "bias": engine == "fast"}
            yield f"nn.{kind} {engine}", lambda kind=kind, options=options: twin(kind, **options)
    yield "nn.LSTM projected, batch first", lambda: twin("LSTM", proj_size=3)

    def from_state_dict() -> float:
        given = nl.nn.GRU(D, H, rng=rng).state_dict()
        return gap(nl.nn.from_state_dict(there(given)).state_dict(), given)

    yield "nn.from_state_dict", from_state_dict

    def layout(name: str) -> float:
        params = draw(nl.LSTM)["params"]
        here, moved = layouts.dump(name, params), layouts.dump(name, there(params))
        gradients = layouts.dump_gradients(name, there(params)), layouts.dump_gradients(name, params)
        return max(gap(moved, here), gap(layouts.load(name, moved), layouts.load(name, here)), gap(*gradients))

    for name in LAYOUTS:
        yield f"layout {name}", lambda name=name: layout(name)

    def node() -> float:
        G = rng.standard_normal
        inputs = {"X": G((T, B, D)), "W": G((2, 4 * H, D)), "R": G((2, 4 * H, H)), "B": G((2, 8 * H))}
        inputs |= {"sequence_lens": np.array(LENGTHS), "initial_h": G((2, B, H))}
        attributes, dY = {"direction": "bidirectional"}, G((T, 2, B, H))
        ran, want = (onnx.run("LSTM", given, attributes) for given in (there(inputs), inputs))
        outputs = (ran.Y, ran.Y_h, ran.Y_c), (want.Y, want.Y_h, want.Y_c)
        return max(gap(*outputs), gap(ran.backward(cupy.asarray(dY)), want.backward(dY)))

    yield "onnx", node
    yield from flows(there, gap, draw)
    yield from checks(there, gap, rng)
    yield from trainings(there, gap, seed)
