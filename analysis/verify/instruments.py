"""The instruments of flow and the checks on CuPy arrays: for ``rooms``.

``there`` moves a tree to the device, ``gap`` is the normwise error of one there, ``draw`` makes the arguments of a run.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import cases, check, flow, judge, layers, tree

T, B, D, H = 9, 4, 5, 6
LENGTHS = [9, 1, 5, 0]
EXACT = 1e-13  # normwise: rounding

Probe = Callable[[], float]


def flows(there: Any, gap: Any, draw: Any) -> Iterator[tuple[str, Probe]]:
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


def checks(there: Any, gap: Any, rng: np.random.Generator) -> Iterator[tuple[str, Probe]]:
    """Each route, K, and the judges of others' gradients."""
    small = check.Problem.random(nl.LSTM, 4, 2, 1, 3, rng)
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
        got, want = (one.gradient().params._asdict() for one in (on_device, small))
        check.assert_gradients(got, want)
        check.assert_gradients(want, got)
        return 0.0

    def verified(loss: Callable[[Any], Any], route: str, chunk: int | None = None) -> float:
        report = check.verify(loss, on_device.gradient(), on_device.point, chunk=chunk)
        return 0.0 if report.verdict == "pass" and report.route.startswith(route) else 1.0

    def again() -> check.Problem:
        last, states = on_device.cotangents.last, on_device.cotangents.states
        return check.Problem.of(nl.LSTM, *on_device.point, dlast=last, dstates=states)

    def ragged(of: Any) -> float:
        """Gradient, complex step, S and the textbook's, of a page or a layer, masks of NumPy within."""
        page, width, masks = isinstance(of, nl.Page), 1 if isinstance(of, nl.Page) else 2, rng.random((3, B, 2))
        wired = of if page else layers.Masked(of, {"x": masks})
        params, xs = of.init(2, 3, rng), rng.standard_normal((3, B, 2))
        dhs, found = rng.standard_normal((3, B, 3 * width)), []
        for p, x, d in (there((params, xs, dhs)), (params, xs, dhs)):
            problem = check.Problem.of(wired, p, x, dhs=d, lengths=[3, 1, 2, 0])
            stepped = check.complex_step(problem.loss, problem.point)
            found.append((problem.gradient(), stepped, problem.absolute_paths(), problem.textbook_paths()))
        (got, got_step, *got_paths), (want, _, *want_paths) = found
        return max(gap(got, want), gap(got_step, want), check.normwise(got_paths, want_paths))

    def refused() -> float:
        """A gradient that is wrong on the device."""
        wrong = tree.scale(1.001, on_device.gradient())
        return 0.0 if check.verify(on_device.loss, wrong, on_device.point, chunk=40).verdict == "fail" else 1.0

    def judged() -> float:
        sizes = {"T": 3, "B": 2, "D": 2, "H": 3}
        case = cases.Case.random(cases.Network("LSTM"), "torch", sizes, rng)
        verdict = judge.judge(case, there(dict(case.run()))).verdict
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
    yield "Problem, ragged", lambda: ragged(nl.GRU)
    yield "Problem of a layer, ragged", lambda: ragged(nl.bidirectional(nl.LSTM))
    yield "judge", judged
