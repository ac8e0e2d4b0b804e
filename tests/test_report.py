"""Verdicts and their reasons, reports as text and JSON, and checks of a plain loss: no false alarm, none missed."""

import itertools
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import cases
import numpy_lstm as nl
from cases import seeds, standard
from numpy_lstm import check, tree
from numpy_lstm.check import report, truth
from reference import regimes, torch_oracle

u = 2.0**-53


def row(got: object, truth_: object, paths: object = None, roundoff: float = u, **options: object) -> check.Row:
    (only,) = check.compare({"a": np.asarray(got)}, {"a": np.asarray(truth_)}, paths, roundoff, **options)
    return only


ONE = np.array([1.0, -2.0, 4.0, 0.5])


@pytest.mark.parametrize(
    ("got", "options", "verdict", "reason"),
    [
        (ONE, {}, "pass", "rounding"),
        (ONE * (1 + 15 * u), {}, "pass", "rounding"),
        (ONE * (1 + 100 * u), {}, "fail", "different"),
        (ONE * (1 + 1e-7), {}, "fail", "single-precision"),
        (ONE * (1 + 100 * u), {"textbook_paths": {"a": 100 * np.abs(ONE)}}, "pass", "cancellation"),
        (ONE * (1 + 100 * u), {"noise": [{"a": ONE}, {"a": ONE * (1 + 20 * u)}]}, "pass", "forward-error"),
        (ONE * (1 + 1e-5), {"noise": [{"a": ONE}, {"a": ONE * (1 + 1e-6)}]}, "cannot tell", "noise-limited"),
        (ONE * (1 + 1e-3), {"noise": [{"a": ONE}, {"a": ONE * (1 + 1e-6)}]}, "fail", "different"),
        (
            ONE * (1 + np.array([1, 100, 100, 1]) * u),
            {
                "textbook_paths": {"a": np.array([0, 200, 0, 0.0])},
                "noise": [{"a": ONE}, {"a": ONE * (1 + np.array([0, 0, 1, 0]) * 20 * u)}],
            },
            "pass",
            "forward-error",
        ),
        (ONE * (1 + 1e-9), {"resolution": 1e-8}, "cannot tell", "below-resolution"),
        (ONE * (1 + 1e-7), {"resolution": 1e-8}, "fail", "single-precision"),
        (ONE * (1 + 1e-9), {"tolerance": 1e-8, "resolution": 1e-9}, "pass", "within-tolerance"),
        (ONE * (1 + 1e-9), {"tolerance": 1e-8, "resolution": 1e-7}, "cannot tell", "below-resolution"),
        (ONE * (1 + 1e-6), {"tolerance": 1e-8, "resolution": 1e-7}, "fail", "different"),
        (0 * ONE, {}, "fail", "all-zero"),
        (ONE * np.array([1, np.nan, 1, 1]), {"tolerance": 1.0}, "fail", "not-finite"),
        (ONE.astype(np.float32) / np.float32(3), {"roundoff": 2.0**-24}, "fail", "different"),
        (2 * ONE, {}, "fail", "different"),
    ],
)
def test_verdicts(got: np.ndarray, options: dict, verdict: str, reason: str) -> None:
    paths = {"a": np.abs(ONE)}
    found = row(got, ONE, paths, **options)
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(("got", "verdict"), [(0.0, "pass"), (1e-39, "pass"), (1e-30, "fail")])
def test_what_a_precision_cannot_hold_is_not_asked_for(got: float, verdict: str) -> None:
    """Gates that are shut harder than float32 can say: the truth is 1e-60, a right code gives 0."""
    for truth_ in ([1e-60], [1.0, 1e-60]):
        answer = np.array([*truth_[:-1], got], np.float32)
        assert row(answer, np.array(truth_), {"a": np.abs(truth_)}, 2.0**-24).verdict == verdict
    assert row(np.array([1.0, 0.0]), np.array([1.0, 1e-60]), {"a": np.array([1.0, 1e-60])}).verdict == "fail"


def test_what_a_row_says() -> None:
    found = row([1.0, 0.0, 3.0, np.inf], [1.0, 2.0, 3.0 + 4 * u, 1.0])
    assert (found.zeros, found.nonfinite, found.absolute) == (1, 1, np.inf)
    found = row([1.0, 2.0, 0.0], [1.0, 2.0 + 4 * u, 0.0])
    assert (found.absolute, found.ulp, found.worst, found.zeros) == (4 * u, 1.0, (1,), 0)
    assert (found.got, found.truth) == (2.0, 2.0 + 4 * u)
    assert found.relative == pytest.approx(2 * u)
    assert row([0.0, 1.0], [0.0, 1.0]).verdict == "pass"
    assert np.inf == row([1e-30, 1.0], [0.0, 1.0], {"a": np.array([0.0, 1.0])}).K, "nothing may arrive there"


def test_reports_as_text_and_json() -> None:
    good, bad = {"a": ONE, "b": ONE}, {"a": ONE, "b": 2 * ONE}
    passing, failing = check.compare(good, good), check.compare(bad, good)
    assert (passing.verdict, failing.verdict) == ("pass", "fail")
    assert [line.split()[0] for line in str(failing).splitlines()] == ["array", "a", "b"]
    assert "fail (different)" in str(failing).splitlines()[2]
    assert all(line.startswith("| ") and line.endswith(" |") for line in failing.markdown().splitlines())
    said = json.loads(json.dumps(failing.to_dict(), allow_nan=False))
    assert said["schema"] == report.SCHEMA
    assert [r["verdict"] for r in said["rows"]] == ["pass", "fail"]
    assert set(said["rows"][0]) == set(check.Row._fields)
    json.dumps(check.compare({"a": ONE * np.inf}, {"a": ONE}).to_dict(), allow_nan=False)


@pytest.mark.parametrize("regime", regimes.REGIMES)
def test_torch_is_not_failed_for_its_cancellation(regime: str) -> None:
    """In saturated gates its K is large, its formula right; the reason says so. A wrong digit there is still seen."""
    for seed in seeds(5, 2):
        p = regimes.lstm_problem(regime, seed)
        exact, paths, wide = truth.gradient(p), p.absolute_paths(), p.textbook_paths()
        theirs = check.compare(torch_oracle.module(p), exact, paths, textbook_paths=wide)
        assert theirs.verdict == "pass"
        assert {r.reason for r in check.compare(p.gradient(), exact, paths, textbook_paths=wide)} == {"rounding"}
        if regime.endswith(("+10", "+15", "+8", "counter", "1000")):
            assert "cancellation" in {r.reason for r in theirs}
        wrong = p.gradient()
        largest = np.unravel_index(np.argmax(np.abs(wrong.params.U_o)), wrong.params.U_o.shape)
        wrong.params.U_o[largest] *= 1 + 1e-9
        assert check.compare(wrong, exact, paths, textbook_paths=wide).verdict == "fail"


@pytest.mark.parametrize("scale", [1.0, 1 / 560, 1e-6, 1e3])
@pytest.mark.parametrize("cell", [nl.LSTM, nl.GRU, nl.RNN], ids=lambda cell: cell.name)
def test_one_wrong_element_is_seen_at_any_scale(cell: nl.Page, scale: float) -> None:
    """A single element of median size, off by 1e-10 of itself."""
    p = standard(cell)
    p = p._replace(cotangents=tree.scale(scale, p.cotangents))
    exact, paths = truth.gradient(p), p.absolute_paths()
    right = p.gradient()
    assert check.compare(right, exact, paths).verdict == "pass"
    for k, (name, a) in enumerate(tree.leaves(right)):
        vector = tree.flatten(right)
        median = int(np.argsort(np.abs(a), axis=None)[a.size // 2])
        start = sum(b.size for _, b in list(tree.leaves(right))[:k])
        vector[start + median] *= 1 + 1e-10
        assert check.compare(tree.unflatten(vector, right), exact, paths).verdict == "fail", name


def bounded(problem: check.Problem, offset: float, scale: float, complex_numbers: bool) -> object:
    """The loss with an offset and a scale; one that takes real numbers only, as a loss in another library."""

    def loss(point: check.Point) -> object:
        if not complex_numbers and np.iscomplexobj(point.params[0]):
            raise TypeError("real numbers only")
        return offset + scale * problem.loss(point)

    return loss


EVERY = list(itertools.product(["complex step", "differences"], [1e-6, 1.0, 1e3], [0.0, 1e3, 1e6, 1e9]))


@pytest.mark.parametrize(("route", "scale", "offset"), EVERY if cases.THOROUGH else EVERY[::5] + EVERY[2::9])
def test_checking_a_loss(route: str, scale: float, offset: float) -> None:
    """A right gradient never fails, whatever is added to the loss; a wrong one passes at no offset."""
    p = standard(nl.LSTM, T=2, B=2, D=1, H=2)
    loss = bounded(p, offset, scale, route == "complex step")
    right = tree.scale(scale, p.gradient())
    found = check.verify(loss, right, p.point).verdict
    if offset == 0 or (offset == 1e3 and scale > 1e-6):
        assert found == "pass"
    assert found != "fail"
    assert check.verify(loss, tree.scale(0.0, right), p.point).verdict != "pass"
    assert check.verify(loss, tree.scale(1 + 1e-5, right), p.point).verdict != "pass"
    if found == "pass":
        assert check.verify(loss, tree.scale(1 + 1e-6, right), p.point).verdict == "fail"


W = np.array([0.3, -0.7, 1.1])


def tensor_loss(w: np.ndarray) -> Any:
    return (torch.tensor(w, dtype=torch.float64, requires_grad=True) ** 2).sum()


def halves(w: np.ndarray) -> Any:
    if np.iscomplexobj(w):
        raise TypeError("real\nnumbers only")
    return np.sum(w) / 2


@pytest.mark.parametrize(
    ("loss", "right", "because"),
    [
        (lambda w: np.sum(w**2), 2 * W, ""),
        (lambda w: 2 * np.sum(np.abs(w)), 2 * np.sign(W), "the loss gives a real number for complex arrays: is there"),
        (lambda w: np.sum(np.sqrt(w * np.conj(w))), np.sign(W), "its complex step is not its difference, "),
        (lambda w: np.sum(w.astype(float)), np.ones(3), "the loss does not take complex arrays: ComplexWarning: "),
        (halves, np.full(3, 0.5), "the loss does not take complex arrays: TypeError: real numbers only"),
        (tensor_loss, torch.tensor(2 * W), "the loss does not take complex arrays: "),
    ],
)
def test_the_route_is_told_and_why(loss: Any, right: Any, because: str) -> None:
    found = check.verify(loss, right, W)
    assert found.because.startswith(because) if because else not found.because
    route = "Richardson differences, 10 calls of the loss for each of 3 numbers; " if because else "complex step\n"
    head, blank, columns, row = str(found).splitlines()
    assert f"{head}\n".startswith(f"PASS, by {route}{because}")
    assert (blank, columns.split()[0], row.split()[0]) == ("", "array", "gradient")
    assert found.markdown().startswith(f"PASS, by {route}")
    said = json.loads(json.dumps(found.to_dict()))
    assert (said["route"] == "complex step", said["because"]) == (not because, found.because)
    assert str(check.verify(loss, 3 * np.asarray(right), W)).startswith(f"FAIL, by {route}")


PENALTIES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "norm": (lambda a: 1e-5 * np.linalg.norm(a) ** 2, lambda a: 2e-5 * a),
    "vdot": (lambda a: 1e-5 * np.vdot(a, a), lambda a: 2e-5 * a),
    "abs": (lambda a: 1e-5 * np.sum(np.abs(a) ** 2), lambda a: 2e-5 * a),
    "real": (lambda a: 1e-5 * np.sum(a.real**2), lambda a: 2e-5 * a),
    "conjugate": (lambda a: 1e-5 * np.sum(a * np.conj(a)), lambda a: 2e-5 * a),
    "sum of abs": (lambda a: 1e-4 * np.sum(np.abs(a)), lambda a: 1e-4 * np.sign(a)),
}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("only", ["w", "v"])
def test_a_small_term_that_is_not_analytic_is_seen(penalty: str, only: str) -> None:
    """In whichever array it stands; the gradient without it fails."""
    point = {"w": np.array([[0.7, -0.4], [0.9, -1.3]]), "v": np.array([0.5, -0.8, 1.2])}
    decay, slope = PENALTIES[penalty]
    data = {"w": 2 * np.sum(np.tanh(point["w"])) / np.cosh(point["w"]) ** 2, "v": np.exp(point["v"])}

    def loss(p: Any) -> Any:
        return np.sum(np.tanh(p["w"])) ** 2 + np.sum(np.exp(p["v"])) + decay(p[only])

    found = check.verify(loss, data | {only: data[only] + slope(point[only])}, point)
    assert (found.verdict, found.route.partition(" ")[0]) == ("pass", "Richardson"), f"{found}"
    assert check.verify(loss, data, point).verdict == "fail"


@pytest.mark.parametrize(
    ("loss", "low", "high"),
    [
        (lambda w: np.sum(np.where(w.real > 0, w, 0)) + np.sum(w**2), 0.0, 1.0),
        (lambda w: float(np.sum(np.maximum(w, 0)) + np.sum(w**2)), 0.0, 1.0),
        (lambda w: 1e-3 * np.sum(np.abs(w)) + np.sum(w**2), -1e-3, 1e-3),
    ],
)
def test_any_slope_may_be_right_at_a_kink(loss: Any, low: float, high: float) -> None:
    at = np.array([0.0, 0.8, 0.0])
    for slope in (low, high, 0.3 * low + 0.7 * high):
        right = 2 * at + np.where(at > 0, high, slope)
        (only,) = check.verify(loss, right, at)
        assert (only.verdict, only.reason) == ("cannot tell", "kink")
        assert check.verify(loss, right + np.array([0, 0.1 * high, 0]), at).verdict == "fail"
    assert check.verify(loss, 2 * at + np.where(at > 0, high, high + 0.5 * (high - low)), at).verdict == "fail"


def test_kinks_nearby_do_no_harm() -> None:
    """Steps are made shorter until they pass none; the complex step is held against such differences too."""
    p = standard(nl.ReLURNN, T=5)
    assert check.verify(p.loss, p.gradient(), p.point).verdict == "pass"
    assert check.verify(p.loss, tree.scale(1 + 1e-6, p.gradient()), p.point).verdict == "fail"
    at = np.array([0.01, -0.003, 0.8])
    right = np.maximum(at, 0) + np.sign(at)
    for factor, verdict in ((1, "pass"), (1 + 1e-6, "fail")):
        found = check.verify(lambda w: float(np.sum(np.maximum(w, 0) ** 2 / 2 + np.abs(w))), factor * right, at)
        assert found.verdict == verdict, f"{found}"


@pytest.mark.parametrize(
    ("loss", "right", "verdicts"),
    [
        (lambda w: np.sum(np.sin(1e6 * w)), 1e6 * np.cos(1e6 * W), {"pass", "cannot tell"}),
        (lambda w: np.sum(np.sin(1e4 * w.real)), 1e4 * np.cos(1e4 * W), {"pass"}),
        (lambda w: np.sum(np.sin(1e9 * w.real)), 1e9 * np.cos(1e9 * W), {"pass", "cannot tell"}),  # smooth at 2^-8
        (lambda w: np.sum(np.sin(1e12 * w.real)), 1e12 * np.cos(1e12 * W), {"pass", "cannot tell"}),
        (lambda w: np.sum(np.sin(1e13 * w)), 1e13 * np.cos(1e13 * W), {"cannot tell"}),
        (lambda w: round(float(np.sum(np.sin(w))), 6), np.cos(W), {"pass", "cannot tell"}),
        (lambda w: np.float32(np.sum(np.sin(w.astype(np.float32)))), np.cos(W), {"pass", "cannot tell"}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*imaginary")
def test_no_right_gradient_fails_for_its_loss(loss: Any, right: Any, verdicts: set[str]) -> None:
    """However fast the loss varies, and however few digits it has."""
    assert check.verify(loss, right, W).verdict in verdicts
    assert check.verify(loss, 1.5 * right, W).verdict != "pass"


def test_a_loss_of_any_size() -> None:
    for size in (1e-288, 1e-100, 1e200):
        for right in (1.0, 1.1):
            report = check.verify(lambda w, s=size: s * np.sum(np.tanh(w)), right * size / np.cosh(W) ** 2, W)
            assert report.verdict == ("pass" if right == 1 else "fail"), f"{report}"


def test_other_warnings_of_a_loss_do_not_change_the_route() -> None:
    def loss(w: np.ndarray) -> Any:
        warnings.warn("an old function", DeprecationWarning, stacklevel=1)
        return np.sum(w**2)

    with warnings.catch_warnings(action="ignore"):
        assert check.verify(loss, 2 * W, W).route == "complex step"


LOSS = np.sum
BAD_CHECKS: dict[str, tuple[Callable[[], Any], str]] = {
    "a point that is a list": (
        lambda: check.verify(LOSS, np.ones(2), [1.0, 2.0]),
        "point.0 is a float; expected a NumPy array (np.array(a) makes one, of a list too)",
    ),
    "a point of tensors": (
        lambda: check.verify(LOSS, np.ones(2), {"w": torch.ones(2)}),
        "point.w is a torch.Tensor; expected a NumPy array (a.detach().numpy() makes one)",
    ),
    "a point of integers": (
        lambda: check.verify(LOSS, np.ones(2), np.arange(2)),
        "point has dtype int64 and shape (2,); expected float64, at least one number",
    ),
    "no point": (lambda: check.verify(LOSS, W, None), "point is None; expected a NumPy array, or a dict of them"),
    "a loss that is a number": (lambda: check.verify(3.5, W, W), "loss is a float; expected a function of the point"),
    "a loss that is a vector": (
        lambda: check.verify(lambda w: w**2, W, W),
        "the loss gives an array of shape (3,); expected one number: its sum, say",
    ),
    "a loss that returns nothing": (
        lambda: check.verify(lambda w: None, W, W),
        "the loss gives a NoneType; expected one number",
    ),
    "a loss that is NaN": (
        lambda: check.verify(lambda w: np.nan, W, W),
        "the loss is nan at the point; expected a finite number",
    ),
    "a complex loss": (
        lambda: check.verify(lambda w: 1j * np.sum(w), W, W),
        "the loss gives a complex number at a real point; expected a real one",
    ),
    "a gradient that is a function": (
        lambda: check.verify(LOSS, lambda w: w, W),
        "the gradient is a function; expected its arrays: call it at the point",
    ),
    "a gradient that is a list": (
        lambda: check.verify(LOSS, [1.0, 1.0, 1.0], W),
        "the gradient is no array but a list or record of them; expected the shape (3,)",
    ),
    "a gradient of another shape": (
        lambda: check.verify(LOSS, np.ones((3, 1)), W),
        "the gradients do not match in shape: the gradient: (3, 1), expected (3,)",
    ),
    "a tolerance that is none": (
        lambda: check.verify(LOSS, np.ones(3), W, tolerance=np.nan),
        "tolerance is nan; expected a number between 0 and 1",
    ),
    "a chunk of nothing": (
        lambda: check.verify(LOSS, np.ones(3), W, chunk=0),
        "chunk is 0; expected how many directions a call takes, at least 1",
    ),
    "a masked gradient": (
        lambda: check.verify(LOSS, np.ma.array(np.ones(3), mask=[0, 1, 0]), W),
        "the gradient is a numpy.ma.MaskedArray; expected a plain array: .filled(0) makes one",
    ),
    "no gradient": (
        lambda: check.assert_gradients({"w": W, "b": W}, {"w": None, "b": W}),
        "w is None; expected an array "
        "(torch leaves .grad None where no gradient arrived: before backward(), or unused)",
    ),
    "complex gradients": (
        lambda: check.assert_gradients({"w": W}, {"w": 1j * W}),
        "w has dtype complex128 and shape (3,); expected real numbers, at least one",
    ),
    "a part of plain arrays": (
        lambda: nl.judge.assert_gradients({"w": W}, {"w": W}, partial=True),
        "assert_gradients() got an unexpected keyword argument 'partial'",
    ),
    "the file of a case": (
        lambda: check.assert_gradients("case.json", {"w": W}),
        "expected is a str; numpy_lstm.judge.assert_gradients takes a case",
    ),
    "normwise of other shapes": (
        lambda: check.normwise({"w": np.ones((3, 1))}, {"w": np.ones(3)}),
        "w has shape (3, 1); expected (3,)",
    ),
    "normwise with one absent": (
        lambda: check.normwise({"w": None, "b": W}, {"w": W, "b": W}),
        "the arrays to be compared are b; expected w, b",
    ),
    "normwise of a list": (
        lambda: check.normwise([1.0, 2.0], np.ones(2)),
        "the arrays to be compared are 0, 1; expected a single one",
    ),
    "a route with a vector": (
        lambda: check.complex_step(lambda w: w**2, W),
        "the loss gives an array of shape (3,); expected one number",
    ),
    "a route with a chunk that the loss does not see": (
        lambda: check.finite_difference(np.sum, W, chunk=2),
        "the loss gives an array of shape (); expected one number for each of the points along the leading axis",
    ),
    "a route with a list": (
        lambda: check.complex_step(np.sum, [1.0]),
        "point.0 is a float; expected a NumPy array (np.array(a) makes one, of a list too)",
    ),
}


@pytest.mark.parametrize("what", BAD_CHECKS)
def test_what_a_check_cannot_take(what: str) -> None:
    call, message = BAD_CHECKS[what]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == message


def test_tensors_and_records_are_compared() -> None:
    assert check.normwise({"w": torch.tensor(W, requires_grad=True)}, {"w": W}) == 0
    assert check.normwise(W, torch.tensor(2 * W)) == 0.5
    p = standard(nl.RNN, T=2)
    params = p.gradient().params
    shuffled = dict(reversed(list(params._asdict().items())))
    assert check.assert_gradients(params, shuffled).verdict == "pass"


@pytest.mark.parametrize("bias", [0.0, 8.0])
def test_assertion_allows_for_the_size_of_sums(bias: float) -> None:
    """1600 terms in the gradient of a parameter, added up by others in another order."""
    rng = np.random.default_rng(1)
    x, d = rng.standard_normal((100, 16, 32)), rng.standard_normal((100, 16, 64))
    ours, fast = (nl.nn.LSTM(32, 64, rng=np.random.default_rng(0), engine=k) for k in ("explicit", "fast"))
    weights = ours.state_dict()
    weights["bias_ih_l0"][64:128] += bias
    theirs = torch.nn.LSTM(32, 64, dtype=torch.float64)
    for model in (ours, fast):
        model.load_state_dict(weights)
    theirs.load_state_dict({k: torch.tensor(a) for k, a in weights.items()})
    (torch.tensor(d) * theirs(torch.tensor(x))[0]).sum().backward()
    want = ours.forward(x).backward(d).params
    check.assert_gradients(want, fast.forward(x).backward(d).params)
    check.assert_gradients(want, {k: p.grad for k, p in theirs.named_parameters()})
    wrong = {k: a.copy() for k, a in want.items()}
    median = np.argsort(np.abs(want["weight_hh_l0"]), axis=None)[want["weight_hh_l0"].size // 2]
    wrong["weight_hh_l0"].flat[median] *= 1 + 1e-10
    with pytest.raises(AssertionError, match=r"weight_hh_l0 .*different"):
        check.assert_gradients(want, wrong)


def test_assertion_on_plain_dicts() -> None:
    want = {"dW": ONE, "db": ONE[:2]}
    assert check.assert_gradients(want, {k: a.copy() for k, a in want.items()}).verdict == "pass"
    check.assert_gradients(want, {k: a.astype(np.float32) for k, a in want.items()})
    with pytest.raises(AssertionError, match=r"(?s)fail.*array .*dW .*different"):
        check.assert_gradients(want, want | {"dW": -ONE})
    with pytest.raises(check.CaseError, match=r"db: \(4,\), expected \(2,\)"):
        check.assert_gradients(want, want | {"db": ONE})
    with pytest.raises(check.CaseError, match="dW: absent"):
        check.assert_gradients(want, {"db": ONE[:2]})
    check.assert_gradients(want, {"dW": ONE * (1 + 1e-6), "db": ONE[:2]}, tolerance=1e-5)
    with pytest.raises(AssertionError, match="cannot tell"):
        check.assert_gradients(want, {"dW": ONE * (1 + 1e-6), "db": ONE[:2]}, resolution=1e-5)
