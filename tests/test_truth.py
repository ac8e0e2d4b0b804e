"""The truth service: against differences that know no derivative rule, and its proofs where balls mislead."""

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import numpy_lstm as nl
from numpy_lstm import activations, check, tree
from numpy_lstm.activations import IDENTITY, RELU
from numpy_lstm.cases import network as networks
from numpy_lstm.cases import truth as case_truth
from numpy_lstm.cases.case import Case
from numpy_lstm.cases.names import is_gradient
from numpy_lstm.cases.network import Network
from numpy_lstm.check import CaseError, truth
from numpy_lstm.check.balls import Balls, value_of
from numpy_lstm.layers import Backward

needs_flint = pytest.mark.skipif(
    importlib.util.find_spec("flint") is None, reason="python-flint, of the extra truth, is not installed"
)
SMALL = {"T": 3, "B": 2, "D": 2, "H": 2}
LARGE = {"T": 20, "B": 4, "D": 5, "H": 7}


def drawn(network: Network, layout: str = "records", sizes: Mapping[str, int] = SMALL, **more: Any) -> Case:
    return Case.random(network, layout, sizes, np.random.default_rng(1), **more)


WIRINGS = {
    "LSTM with lengths": drawn(Network(), "torch", lengths=[3, 1]),
    "bidirectional GRU": drawn(Network("GRU", direction="bidirectional"), "torch", lengths=[2, 3]),
    "stacked projected peephole": drawn(Network("PeepholeLSTM", projection=1, layers=2)),
    "zoneout": drawn(Network("LSTM", zoneout=True), lengths=[3, 0]),
    "reversed LSTM with normalisation": drawn(Network("LayerNormLSTM", direction="reverse")),
    "ReLU": drawn(Network("ReLURNN")),
}


def by_differences(case: Case) -> dict[str, Any]:
    """Every gradient by central differences of the loss in 70 digits: of the layer only ``forward`` is ever called."""
    with mpmath.workdps(70):
        call = case.call(truth.exact)
        layer = case.network.layer(call.masks)

        def loss(point: Any) -> Any:
            run = layer.forward(*point, call.lengths)
            given, seen = (tree.flatten(x) for x in ((call.dhs, call.dlast), (run.hs, run.last)))
            return np.sum(given * seen)

        run = layer.forward(call.params, call.xs, call.first, call.lengths)
        d = check.finite_difference(loss, (call.params, call.xs, call.first), mpmath.mpf("1e-22"))
        named = case.answer(run, Backward(d[1], d[2], d[0], layer.backward(call.params, run, call.dhs).cotangents))
    return {k: a.astype(np.float64) for k, a in named.items() if "cotangents." not in k}


def equal(got: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return all(np.array_equal(got[k], a) for k, a in expected.items())


ARITHMETICS = [False, *([True] if importlib.util.find_spec("flint") else [])]  # mpmath; balls, where they are


@pytest.mark.parametrize("name", WIRINGS)
def test_every_bit_is_that_of_a_difference_of_losses(name: str) -> None:
    differences = by_differences(WIRINGS[name])
    for certify in ARITHMETICS:
        found = case_truth.results(WIRINGS[name], certify=certify)
        assert equal(found.values, differences)
        assert found.certified == (found.total if certify else None)
        assert found.total == sum(a.size for a in found.values.values())
        assert {a.dtype for a in found.values.values()} == {np.dtype(np.float64)}
        assert found.arithmetic.startswith("python-flint" if certify else "mpmath")
        assert found.values.keys() == WIRINGS[name].run().keys()


def test_a_wrong_page_differs_however_well_its_numbers_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(F: Any, p: Any, v: Any, d: Any) -> Any:
        return nl.LSTM.adjoint(F, p, v._replace(c=v.y), d)

    case = WIRINGS["LSTM with lengths"]
    differences = by_differences(case)
    monkeypatch.setitem(networks.CELLS, "LSTM", replace(nl.LSTM, adjoint=wrong))
    for certify in ARITHMETICS:
        found = case_truth.results(case, certify=certify)
        assert not equal(found.values, differences)
        assert equal(found.values, {k: a for k, a in differences.items() if not is_gradient(k)})


@needs_flint
@pytest.mark.parametrize(
    "more",
    [{}, {"shift": {"b_f": 15.0}}, {"shift": {"b_g": 30.0}}, {"scale": 8 * np.sqrt(7)}, {"cotangents": 1e-6}],
    ids=["standard", "open forget gate", "saturated candidate", "chaotic, U(-8, 8)", "tiny loss"],
)
def test_every_component_is_certified_and_mpmath_agrees(more: Any) -> None:
    case = drawn(Network(), sizes=LARGE, **more)
    proved = case_truth.results(case)
    assert proved.certified == proved.total == 13756
    assert equal(proved.values, case_truth.results(case, certify=False).values)


@needs_flint
@pytest.mark.parametrize("cell", networks.CELLS)
def test_every_cell_is_certified(cell: str) -> None:
    found = case_truth.results(drawn(Network(cell), lengths=[3, 2]), certify=True)
    assert found.certified == found.total


def test_padding_has_no_influence_whatever_it_holds() -> None:
    case = WIRINGS["zoneout"]
    x = case.arrays["x"].copy()
    x[:, 0] = x[2, 1] = np.nan
    spoiled = case._replace(arrays=case.arrays | {"x": x, "lengths": np.array([0, 2])})
    clean = spoiled._replace(arrays=spoiled.arrays | {"x": np.nan_to_num(x)})
    expected = case_truth.results(clean, certify=False).values
    assert not expected["d_x"][:, 0].any()
    for certify in (None, False):
        assert equal(case_truth.results(spoiled, certify=certify).values, expected)


def test_no_steps() -> None:
    found = case_truth.results(drawn(Network(), "torch", SMALL | {"T": 0}))
    assert not found.values["d_weight_ih_l0"].any()
    assert found.certified in (None, found.total)


def test_a_problem() -> None:
    problem = check.Problem.random(nl.projected(nl.LSTM, 2), 3, 2, 2, 3, np.random.default_rng(0))
    found = truth.results(problem)
    exact = dict(tree.leaves(truth.gradient(problem)))
    assert equal(found.values, {k: a.astype(np.float64) for k, a in exact.items()})
    assert found.values.keys() == exact.keys()
    bare = problem._replace(cotangents=problem.cotangents._replace(last=nl.LSTM.partial_state()))
    assert not equal(truth.results(bare).values, found.values)


def test_biases_are_added_in_many_digits() -> None:
    case = WIRINGS["LSTM with lengths"]
    sums = case.arrays["bias_ih_l0"] + (tiny := np.full(8, 2.0**-60))
    assert np.array_equal(sums, case.arrays["bias_ih_l0"])
    moved = case._replace(arrays=case.arrays | {"bias_hh_l0": tiny})
    still = case._replace(arrays=case.arrays | {"bias_hh_l0": 0 * tiny})
    with mpmath.workdps(50):
        a, b = (case_truth._run(c, truth.exact, lambda z: z)["output"][0, 0, 0] for c in (moved, still))
        assert 0 < abs(a - b) < 2.0**-60


def test_filling_a_case() -> None:
    case = WIRINGS["ReLU"]._replace(about={"why": "a test"})
    full = case_truth.fill(case, certify=False)
    assert equal(full.expected, case_truth.results(case).values)
    assert full.about["why"] == "a test"
    assert full.about["truth"].keys() == {"arithmetic", "digits"}
    assert full.arrays is case.arrays
    assert case.expected == {}
    json.dumps(full.about)


@needs_flint
def test_filling_a_case_with_proof() -> None:
    about = case_truth.fill(WIRINGS["ReLU"], digits=40, certify=True).about["truth"]
    assert about["certified"] == about["total"]
    assert about["digits"] == 40
    assert "balls of 133 bits" in about["arithmetic"]
    json.dumps(about)


@pytest.mark.parametrize("certify", [False, True])
def test_threads_do_not_share_their_precision(certify: bool) -> None:
    case = drawn(Network("RNN"))
    before = mpmath.mp.prec
    runs = [(30, 50)[k % 2] for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda digits: case_truth.results(case, digits, certify).values, runs))
    right = case_truth.results(case, 50, certify).values
    assert all(equal(values, right) for values in found)
    assert mpmath.mp.prec == before


@pytest.mark.parametrize("digits", [3, 16])
def test_too_few_digits(digits: int) -> None:
    with pytest.raises(ValueError, match=f"^digits is {digits}; expected at least the 17 of float64$"):
        case_truth.results(WIRINGS["ReLU"], digits)


@pytest.mark.parametrize(("module", "package"), [("flint", "python-flint"), ("mpmath", "mpmath")])
def test_a_missing_library_is_named(module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"^{package} is not installed; pip install 'numpy-lstm\[truth\]'$"):
        case_truth.results(WIRINGS["ReLU"], certify=module == "flint")
    if module == "flint":
        assert case_truth.results(WIRINGS["ReLU"]).certified is None


def test_importing_it_loads_neither_library() -> None:
    code = "import sys, numpy_lstm.check.truth; print(*{m.split('.')[0] for m in sys.modules})"
    root = Path(__file__).parent.parent
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert not {"mpmath", "flint", "gmpy2"} & set(loaded.stdout.split())


def test_rounding_is_to_nearest() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        man, exp = int(rng.integers(-(2**62), 2**62)) * int(rng.integers(1, 2**62)), int(rng.integers(-1250, 890))
        assert truth.nearest(man, exp) == float(Fraction(man) * Fraction(2) ** exp)
    least = 2.0**-1074
    tie = {(1, -1075): 0.0, (3, -1075): 2 * least, ((1 << 200) + 1, -1275): least, (2**53 + 1, 0): 2.0**53}
    for (man, exp), rounded in tie.items():
        assert truth.nearest(man, exp) == rounded
        assert truth.nearest(-man, exp) == -rounded
    double = (2**53 - 1) * 2**20 + 2**19  # one bit below a tie that rounding to 53 bits first would make
    assert truth.nearest(double - 1, -1075 - 19) == float(Fraction(double - 1, 2 ** (1075 + 19)))
    assert truth.nearest(1, 1024) == math.inf
    assert truth.nearest(-(2**54 - 1), 970) == -math.inf
    assert math.copysign(1, truth.nearest(-1, -5000)) == -1


STRADDLING = {
    "sigmoid": (activations.SIGMOID, 0.0),
    "tanh": (activations.TANH, 0.0),
    "relu": (RELU, 0.0),
    "softsign": (activations.SOFTSIGN, 0.0),
    "softplus": (activations.SOFTPLUS, 0.0),
    "leaky_relu": (activations.leaky_relu(), 0.0),
    "thresholded_relu": (activations.thresholded_relu(), 1.0),
    "hard_sigmoid below": (activations.hard_sigmoid(), -2.5),
    "hard_sigmoid above": (activations.hard_sigmoid(), 2.5),
    "elu": (activations.elu(), 0.0),
    "clipped below": (activations.clipped(activations.SIGMOID, 2.0), -2.0),
    "clipped above": (activations.clipped(activations.TANH, 2.0), 2.0),
}


def encloses(enter: Any, f: Any, kink: float) -> bool:
    """Whether balls across the kink hold all that f takes on them."""
    import flint

    for middle in (-4e-4, 0.0, 4e-4):
        ball = flint.arb(kink) + flint.arb(middle, 1e-3)
        found = value_of(f(enter(np.array([ball], dtype=object))))[0]
        for at in np.linspace(middle - 1e-3, middle + 1e-3, 21)[1:-1]:
            z = mpmath.mpf(kink) + mpmath.mpf(float(at))
            low, high = (mpmath.ldexp(*map(int, end.man_exp())) for end in (found.lower(), found.upper()))
            if not low <= f(np.array([z], dtype=object))[0] <= high:
                return False
    return True


@needs_flint
@pytest.mark.parametrize("name", STRADDLING)
def test_a_ball_across_a_branch_holds_both_sides(name: str) -> None:
    import flint

    function, kink = STRADDLING[name]
    with flint.ctx.workprec(200), mpmath.workdps(50):
        for f in (function.f, function.d, function.complement):
            assert encloses(Balls, f, kink)


@needs_flint
def test_bare_balls_do_not() -> None:
    import flint

    with flint.ctx.workprec(200), mpmath.workdps(50):
        assert not encloses(lambda a: a, RELU.f, 0.0)
        assert not encloses(lambda a: a, activations.SOFTSIGN.d, 0.0)


def cancelling(cell: nl.Page) -> check.Problem:
    """A problem whose c is 0, as the difference of two equal products that no arithmetic holds exactly."""
    p = cell.init(1, 1, np.random.default_rng(0))
    p = p._replace(**{k: 0 * a for k, a in p._asdict().items()})
    one = np.ones(1)
    p = p._replace(b_i=one, b_f=one, b_g=-one)
    first = cell.State(h=np.ones((1, 1)), c=np.ones((1, 1)))
    return check.Problem.of(cell, p, np.ones((1, 1, 1)), first, dhs=np.ones((1, 1, 1)))


@needs_flint
def test_no_proof_at_a_kink() -> None:
    """c = f 1 + i (-1) = 0 straddles the kink of relu, whose slope is then anything from 0 to 1."""
    problem = cancelling(nl.LSTM.having("kinked", g=IDENTITY, y=RELU))
    found = truth.results(problem, certify=True)
    assert found.certified is not None
    assert 0 < found.certified < found.total
    assert "1336 bits; else mpmath" in found.arithmetic
    assert equal(found.values, truth.results(problem, certify=False).values)


@needs_flint
def test_proof_where_a_smooth_function_meets_the_same_zero() -> None:
    """tanh has no kink: all is known but what is 0 by cancellation, here the gradients of the output gate."""
    problem = cancelling(nl.LSTM.having("smooth", g=IDENTITY))
    balls = truth._run(problem, lambda v: truth._numbers(v, lambda z: _ball(z)), Balls)
    assert not any(z.is_exact() for z in balls["params.b_i"])
    found = truth.results(problem, certify=True)
    unproved = {"params.W_o", "params.U_o", "params.b_o"}
    assert found.certified == found.total - len(unproved)
    assert all(not found.values[k].any() for k in unproved)
    assert found.values["params.b_i"].all()


def _ball(z: float) -> Any:
    import flint

    return flint.arb(z)


@needs_flint
def test_zeros_are_certified_only_when_exact() -> None:
    case = drawn(Network(), lengths=[3, 1])
    silent = case._replace(arrays=case.arrays | {k: 0 * a for k, a in case.arrays.items() if is_gradient(k)})
    found = case_truth.results(silent, certify=True)
    assert found.certified == found.total
    assert not found.values["d_x"].any()


@needs_flint
def test_precision_is_given_back() -> None:
    import flint

    with flint.ctx.workprec(77), mpmath.workdps(19):
        for certify in (True, False):
            case_truth.results(WIRINGS["ReLU"], certify=certify)
            with pytest.raises(CaseError):
                case_truth.results(WIRINGS["ReLU"]._replace(arrays={}), certify=certify)
            assert (flint.ctx.prec, mpmath.mp.dps) == (77, 19)


@needs_flint
@pytest.mark.parametrize("cell", [*nl.PAGES, nl.projected(nl.LSTM, 3), nl.zoneout(nl.GRU)], ids=lambda cell: cell.name)
def test_the_gradient_in_balls_is_that_of_mpmath(cell: nl.Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 50 digits and, at a point with more digits than a float has, in 70."""
    problem = check.Problem.random(cell, **SMALL | {"H": 3}, rng=np.random.default_rng(0))
    with mpmath.workdps(70):
        finer = problem._replace(point=tree.map(lambda a: a / mpmath.mpf(3), truth.exact(problem.point)))
    for p, digits in ((problem, 50), (finer, 70)):
        balls = truth.gradient(p, digits)
        assert all(isinstance(z, mpmath.mpf) for _, a in tree.leaves(balls) for z in a.flat)
        with monkeypatch.context() as without:
            without.setattr(truth, "_narrow", lambda balls, share: False)
            numbers = truth.gradient(p, digits)
        with mpmath.workdps(80):
            assert check.normwise(balls, numbers) <= 10.0 ** (5 - digits)
            assert any(np.any(a != b) for (_, a), (_, b) in zip(tree.leaves(balls), tree.leaves(numbers), strict=True))


@needs_flint
def test_wide_balls_are_not_taken_for_numbers() -> None:
    from flint import arb

    big, exact, wide, nothing = arb(3), arb(0), arb(1, 1e-20), arb(0, float("inf"))
    assert truth._narrow(np.array([big, exact]), 1e-25)
    assert truth._narrow(np.array([exact, exact]), 1e-25)
    assert not truth._narrow(np.array([big, wide]), 1e-25)
    assert not truth._narrow(np.array([big, nothing]), 1e-25)
