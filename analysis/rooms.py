"""Every room of the library on CuPy arrays: each case against the same on NumPy arrays, the largest normwise error.

``cases`` takes the module that stands for CuPy, so that a stand-in without a device sees the same faults.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import arrays, check, flow, layers, layouts, onnx, tree

T, B, D, H = 9, 4, 5, 6
LENGTHS = [9, 1, 5, 0]
EXACT = 1e-13  # normwise: rounding
LAYOUTS = ("torch", "keras", "onnx", "tf_block", "flax", "cudnn")

Case = Callable[[], float]


def cases(cupy: Any, seed: int = 0) -> Iterator[tuple[str, Case]]:
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
    yield from _flow(there, gap, draw)
    yield from _checks(there, gap, draw, rng)


def _flow(there: Any, gap: Any, draw: Any) -> Iterator[tuple[str, Case]]:
    """Every instrument, on a ragged run, and where padding matters on one without."""

    def seen(cell: Any, read: Callable[[Any, Any], Any], ragged: bool = True) -> tuple[Any, Any]:
        found = []
        for given in (lambda g: (there(g), g))(draw(cell)):
            p, xs, first, dlast = (given[k] for k in ("params", "xs", "first", "dlast"))
            lengths = [9, 9, 5, 9] if ragged else None
            (one,) = flow.passes(cell, p, xs, first, lengths, given["dhs"], dlast=dlast)
            found.append(read(one, p))
        return found[0], found[1]

    def table(read: Any) -> float:
        got, want = seen(nl.LSTM, read)
        json.dumps(got.to_dict())
        str(got)
        got.to_csv()
        return check.normwise(got.columns, want.columns)

    def diagnosis(cell: Any, ragged: bool) -> float:
        got, want = seen(cell, lambda p, _: flow.diagnose(p), ragged)
        if (got.verdict, got.advice) != (want.verdict, want.advice):
            raise AssertionError(f"{got} against {want}")
        return abs(got.rate / want.rate - 1)

    def of_stack() -> float:
        mask = layers.dropout_mask(np.random.default_rng(0), (T, B, 2 * H), 0.3)
        above = layers.Masked(nl.Recurrent(nl.GRU), {"x": mask})
        wired, found = nl.Stack((nl.bidirectional(nl.LSTM), above)), []
        params, dhs = wired.init(D, H, np.random.default_rng(0)), np.ones((T, B, H))
        xs = draw(nl.LSTM)["xs"]
        for p, x, d in (there((params, xs, dhs)), (params, xs, dhs)):
            found.append([(q.cotangents, q.given) for q in flow.passes(wired, p, x, None, LENGTHS, d)])
        return gap(found[0], found[1])

    def of_twin() -> float:
        here, moved = (nl.nn.LSTM(D, H, 2, rng=np.random.default_rng(0), engine="fast") for _ in range(2))
        moved.load_state_dict(there(here.state_dict()))
        xs, dhs, found = draw(nl.LSTM)["xs"], np.ones((T, B, H)), []
        for twin, x, d in ((moved, *there((xs, dhs))), (here, xs, dhs)):
            found.append([(q.cotangents, q.given) for q in flow.passes(twin, x, d_output=d)])
        return gap(found[0], found[1])

    def gates() -> float:
        got, want = seen(nl.GRU, lambda p, params: flow.gates(nl.GRU, params, p.run))
        return 0.0 if got == want == ("r", "z") else 1.0

    yield "flow.passes of a stack", of_stack
    yield "flow.passes of a twin", of_twin
    yield "flow.gates", gates
    yield "flow.norms", lambda: table(lambda p, _: flow.norms(p))
    yield "flow.contribution_norms", lambda: table(lambda p, _: flow.contribution_norms(p))
    yield "flow.saturation", lambda: table(lambda p, _: flow.saturation(p))
    for cell in (nl.LSTM, nl.GRU, nl.RNN):
        for ragged in (True, False):
            name = f"flow.diagnose {cell.name}{' ragged' if ragged else ''}"
            yield name, lambda cell=cell, ragged=ragged: diagnosis(cell, ragged)
    zoneout = nl.zoneout(nl.LSTM)
    for name, cell, read in (
        ("split", nl.LSTM, lambda p, _: flow.split(p)),
        ("split of h", nl.GRU, lambda p, _: flow.split(p, "h")),
        ("split, peepholes", nl.PeepholeLSTM, lambda p, _: flow.split(p)),
        ("split, masks", zoneout, lambda p, _: flow.split(p)),
        ("contributions", nl.LSTM, lambda p, _: list(flow.contributions(p))),
        ("carry_factors", nl.GRU, lambda p, params: flow.carry_factors(nl.GRU, params, p.run)),
        ("carry_factors, masks", zoneout, lambda p, params: flow.carry_factors(zoneout, params, p.run, 1, 8)),
        ("direct_path", nl.LSTM, lambda p, params: flow.direct_path(nl.LSTM, params, p.run, 2, 7)),
        ("step_jacobians", nl.LSTM, lambda p, params: flow.step_jacobians(nl.LSTM, params, p.run)),
        ("jacobian_product", nl.LSTM, lambda p, params: flow.jacobian_product(nl.LSTM, params, p.run)),
        ("singular_values", nl.RNN, lambda _, params: flow.singular_values(params.U)),
        ("spectral_radius", nl.RNN, lambda _, params: flow.spectral_radius(params.U)),
        ("lyapunov_exponents", nl.RNN, lambda p, params: flow.lyapunov_exponents(nl.RNN, params, p.run, 2)),
        ("sensitivity_map", nl.RNN, lambda p, params: flow.sensitivity_map(nl.RNN, params, p.run, outputs=[3, 8])),
    ):
        yield f"flow.{name}", lambda cell=cell, read=read: gap(*seen(cell, read))


def _checks(there: Any, gap: Any, draw: Any, rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """Each route, K, and the judges of others' gradients."""
    small = check.Problem.random(nl.LSTM, 4, 2, 3, 4, rng)
    on_device = small._replace(point=there(small.point), cotangents=there(small.cotangents))

    def route(take: Callable[[Any], Any], bound: float) -> float:
        """Held against the gradient; a route that is not exact is scaled by what it reaches."""
        return gap(take(on_device), small.gradient()) * (EXACT / bound)

    def differentials() -> tuple[Any, Any]:
        """J v and J^T w at the point, on the device."""

        def values(point: Any) -> Any:
            return on_device.outputs(point)

        def pulled(w: Any) -> Any:
            return on_device._replace(cotangents=w).gradient()

        return lambda v: check.directional(values, on_device.point, v), pulled

    def dot() -> float:
        jvp, vjp = differentials()
        return check.dot_test(jvp, vjp, on_device.point, on_device.cotangents, rng, pairs=3).error

    def taylor() -> float:
        direction = tree.random_like(on_device.point, rng)
        direction = tree.scale(1 / tree.norm(direction), direction)
        found = check.taylor_test(on_device.loss, on_device.gradient(), on_device.point, direction)
        return 0.0 if abs(found.slope - 2) < 0.02 else float(found.slope)

    def curvature() -> float:
        direction = tree.random_like(small.point, rng)
        got = check.hessian_vector(on_device.gradient, on_device.point, there(direction))
        return float(gap(got, check.hessian_vector(small.gradient, small.point, direction)))

    def asserted() -> float:
        check.assert_gradients(small.gradient().params._asdict(), on_device.gradient().params._asdict())
        check.assert_gradients(on_device.gradient().params._asdict(), small.gradient().params._asdict())
        return 0.0

    def verified(loss: Callable[[Any], Any], route: str, chunk: int | None = None) -> float:
        report = check.verify(loss, on_device.gradient(), on_device.point, chunk=chunk)
        return 0.0 if report.verdict == "pass" and report.route.startswith(route) else 1.0

    def again() -> check.Problem:
        last, states = on_device.cotangents.last, on_device.cotangents.states
        return check.Problem.of(nl.LSTM, *on_device.point, dlast=last, dstates=states)

    def refused() -> float:
        """A gradient that is wrong on the device."""
        wrong = tree.scale(1.001, on_device.gradient())
        return 0.0 if check.verify(on_device.loss, wrong, on_device.point, chunk=40).verdict == "fail" else 1.0

    def judged() -> float:
        sizes = {"T": 3, "B": 2, "D": 2, "H": 3}
        case = check.Case.random(check.Network("LSTM"), "torch", sizes, rng)
        verdict = check.judge(case, there(dict(case.run()))).verdict
        return 0.0 if verdict == "pass" else 1.0

    yield "gradient", lambda: gap(on_device.gradient(), small.gradient())
    yield "complex step", lambda: route(lambda p: check.complex_step(p.loss, p.point), EXACT)
    yield "complex step, in chunks", lambda: route(lambda p: check.complex_step(p.loss, p.point, chunk=40), EXACT)
    yield "central differences", lambda: route(lambda p: check.finite_difference(p.loss, p.point), 1e-8)
    yield "Richardson", lambda: route(lambda p: check.richardson(p.loss, p.point), 1e-10)
    yield "dot test", dot
    yield "Taylor test", taylor
    yield "Hessian-vector product", curvature
    yield "absolute paths", lambda: check.normwise(on_device.absolute_paths(), small.absolute_paths())
    yield "assert_gradients", asserted
    yield "verify", lambda: verified(on_device.loss, "complex step")
    yield "verify, in chunks", lambda: verified(on_device.loss, "complex step", 40)
    yield "verify by differences", lambda: verified(lambda p: float(on_device.loss(p).real), "Richardson")
    yield "verify, wrong", refused
    yield "Problem.of", lambda: gap(again().gradient(), small.gradient())
    yield "judge", judged
