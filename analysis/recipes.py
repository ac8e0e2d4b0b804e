"""Ways in which people check a gradient, each a function: does it catch this mistake?

Each makes a case of its own, so weak or strong as it is, and holds what somebody with the mistake would answer there
against derivatives. A mistake that cannot be made in that case, or gives nothing wrong there, is missed. One whose
forward pass is wrong in the same way agrees with its own differences, which the tests of the catalogue prove, and is
missed by all that compare with nothing else.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm import check
from numpy_lstm.cases.case import Case
from numpy_lstm.cases.names import is_gradient
from numpy_lstm.cases.network import Network
from numpy_lstm.mistakes import Mistake, Workbench

from . import differences, node_cases, routes

Arrays = dict[str, Any]


class Setting(NamedTuple):
    """Where a mistake is at home: a network, how its weights are stored, and whether its rows have lengths."""

    name: str
    network: Network
    layout: str
    lengths: bool = False


SETTINGS = (
    Setting("LSTM", Network("LSTM"), "torch"),
    Setting("LSTM with lengths", Network("LSTM"), "torch", True),
    Setting("LSTM, two layers", Network("LSTM", layers=2), "torch"),
    Setting("LSTM, both directions", Network("LSTM", direction="bidirectional"), "torch", True),
    Setting("LSTM, projected", Network("LSTM", projection=2), "torch"),
    Setting("LSTM, zoneout", Network("LSTM", zoneout=True), "torch"),
    Setting("LSTM, peepholes", Network("PeepholeLSTM"), "onnx"),
    Setting("LSTM, coupled gates", Network("CoupledLSTM"), "records"),
    Setting("LSTM, layer norm", Network("LayerNormLSTM"), "records"),
    Setting("GRU", Network("GRU"), "torch"),
    Setting("GRU, reset before", Network("GRUResetBefore"), "keras"),
    Setting("RNN", Network("RNN"), "torch"),
)
SIZES = {"T": 4, "B": 3, "D": 2, "H": 3}
GRADCHECK = (4, 2, 3, 2)  # T, B, D, H: a hundred numbers to differentiate by


@cache
def bench(setting: Setting, seed: int, sizes: tuple[int, ...] = tuple(SIZES.values()), **options: Any) -> Workbench:
    """A random case in this setting; options: ``scale`` of the weights, ``cotangents``, ``zero`` and ``given``."""
    T, B, _, _ = sizes
    zero, given = options.pop("zero", False), options.pop("given", "all")
    lengths = [*([max(1, T // 2), T, 1] * B)[:B]] if B > 1 else [max(1, T - 1)]
    case = Case.random(
        setting.network,
        setting.layout,
        dict(zip("TBDH", sizes, strict=True)),
        np.random.default_rng([seed, SETTINGS.index(setting)]),
        lengths=lengths if setting.lengths else None,
        **options,
    )
    changed = {}
    for k, a in case.arrays.items():
        if (zero and k.endswith("_0")) or (given != "all" and k.endswith("_n") and "d_" in k):
            changed[k] = 0 * a
    if given == "last":
        last = np.arange(T)[:, None, None] == np.array(case.arrays.get("lengths", [T] * B))[None, :, None] - 1
        changed["d_output"] = case.arrays["d_output"] * last
    return Workbench(case._replace(arrays=case.arrays | changed))


class Recipe(NamedTuple):
    """A check by name; ``about`` says what it is. ``catches`` gets a setting, a mistake, a variant and a seed."""

    name: str
    about: str
    catches: Callable[[Setting, Mistake, str, int], bool]


@cache
def _exact(b: Workbench) -> Arrays:
    return differences.complex_step(b.case)


@cache
def _central(b: Workbench) -> Arrays:
    return differences.central(b.case)


@cache
def _single(b: Workbench) -> Arrays:
    return differences.central(b.case, step=1e-2, dtype=np.float32)


@cache
def _forward(b: Workbench) -> Arrays:
    return differences.forward(b.case)


def parameters(b: Workbench) -> list[str]:
    """The names of the parameter gradients."""
    return [f"{place}d_{k}" for place in b.case.network.places() for k in b.case.names()]


def everything(b: Workbench) -> list[str]:
    """The names of the gradients of all inputs."""
    return [differences.gradient_name(k) for k in differences.inputs(b.case)]


def _answer(b: Workbench, mistake: Mistake, variant: str) -> Arrays | None:
    return mistake.answer(b, variant) if variant in mistake.variants(b) else None


def _worst(b: Workbench, mistake: Mistake, variant: str, truth: Mapping[str, Any], names: list[str]) -> float:
    """The largest normwise error of an array; zero where the mistake agrees with its own differences."""
    answer = None if mistake.consistent else _answer(b, mistake, variant)
    return 0.0 if answer is None else check.worst(check.normwise(answer[k], truth[k]) for k in names)


def _by(
    truth: Callable[[Workbench], Arrays],
    tolerance: float,
    names: Callable[[Workbench], list[str]] = everything,
    sizes: tuple[int, ...] = tuple(SIZES.values()),
    **options: Any,
) -> Callable[[Setting, Mistake, str, int], bool]:
    def catches(setting: Setting, mistake: Mistake, variant: str, seed: int) -> bool:
        b = bench(setting, seed, sizes, **options)
        return _worst(b, mistake, variant, truth(b), names(b)) > tolerance

    return catches


def _check_grad(setting: Setting, mistake: Mistake, variant: str, seed: int) -> bool:
    """``scipy.optimize.check_grad`` is the norm of the difference, with a forward difference."""
    b = bench(setting, seed)
    answer = None if mistake.consistent else _answer(b, mistake, variant)
    if answer is None:
        return False
    return float(np.sqrt(sum(np.sum((answer[k] - a) ** 2) for k, a in _forward(b).items()))) > 1e-5


def _element_by_element(setting: Setting, mistake: Mistake, variant: str, seed: int) -> bool:
    """Parameters, from a zero state and for the last output, each element to 1 %."""
    b = bench(setting, seed, zero=True, given="last")
    answer = None if mistake.consistent else _answer(b, mistake, variant)
    if answer is None:
        return False
    truth = _central(b)
    return any(np.any(np.abs(answer[k] - truth[k]) > 0.01 * np.abs(answer[k]) + 1e-9) for k in parameters(b))


@cache
def _losses(b: Workbench) -> Callable[[list[Any]], float]:
    """The loss as a function of a list of arrays, remembered: gradcheck asks for the same points again and again."""
    known: dict[bytes, float] = {}
    names = differences.inputs(b.case)

    def loss(arrays: list[Any]) -> float:
        key = b"".join(a.tobytes() for a in arrays)
        if key not in known:
            given = {k: a.copy() for k, a in zip(names, arrays, strict=True)}
            known[key] = float(differences.loss(b.case._replace(arrays=b.case.arrays | given)))
        return known[key]

    return loss


def _gradcheck(fast: bool, cotangents: float = 1.0) -> Callable[[Setting, Mistake, str, int], bool]:
    def catches(setting: Setting, mistake: Mistake, variant: str, seed: int) -> bool:
        b = bench(setting, seed, GRADCHECK, cotangents=cotangents)
        answer = None if mistake.consistent else _answer(b, mistake, variant)
        if answer is None:
            return False
        names = differences.inputs(b.case)
        gradients = [answer[differences.gradient_name(k)] for k in names]
        arrays = [b.case.arrays[k] for k in names]
        return not routes.torch_oracle.gradcheck(_losses(b), gradients, arrays, fast)

    return catches


def suite(setting: Setting, seed: int, cotangents: float) -> list[Workbench]:
    """The cases of our suite: D unlike H, D = H, and cotangents so large that nothing that clips stays unseen."""
    square = (SIZES["T"], SIZES["B"], SIZES["H"], SIZES["H"])
    return [
        bench(setting, seed, cotangents=cotangents),
        bench(setting, seed, square, cotangents=cotangents),
        bench(setting, seed, cotangents=1024.0),
    ]


@cache
def _paths(b: Workbench) -> Arrays:
    return b.case.absolute_paths()


def killed(b: Workbench, answer: Arrays) -> bool:
    """Our own check: each gradient against the complex step to K = 32, each forward value against ours to 2e-15."""
    gradients, paths = _exact(b), _paths(b)
    values = [k for k in b.right if not is_gradient(k) and "values." not in k]
    far = check.worst(check.normwise(answer[k], b.right[k]) for k in values)
    K = check.worst(check.K(answer[k], a, paths[k]) for k, a in gradients.items())
    return far > 2e-15 or K > 32


def _ours(cotangents: float) -> Callable[[Setting, Mistake, str, int], bool]:
    def catches(setting: Setting, mistake: Mistake, variant: str, seed: int) -> bool:
        for b in suite(setting, seed, cotangents):
            answer = _answer(b, mistake, variant)
            if answer is not None and killed(b, answer):
                return True
        return False

    return catches


def _onnx(_: Setting, mistake: Mistake, variant: str, __: int) -> bool:
    for b, expected in node_cases.load():
        answer = _answer(b, mistake, variant)
        if answer is not None and not all(np.allclose(answer[k], a, rtol=1e-3, atol=1e-7) for k, a in expected.items()):
            return True
    return False


def recipes() -> list[Recipe]:
    """All recipes, ours last; those that need torch or onnx only where these are installed."""
    T, B, D, H = SIZES.values()
    found = [
        Recipe(
            "one step from zero",
            "T = 1, zero state, parameters only; exact derivatives to 1e-6",
            _by(_exact, 1e-6, parameters, (1, B, D, H), zero=True, given="outputs"),
        ),
        Recipe(
            "last step, zero state",
            "loss on the last output, zero state, parameters only; exact derivatives to 1e-6",
            _by(_exact, 1e-6, parameters, zero=True, given="last"),
        ),
        Recipe(
            "parameters only",
            "random state, loss on every output, parameters only; exact derivatives to 1e-6",
            _by(_exact, 1e-6, parameters, given="outputs"),
        ),
        Recipe(
            "weights 0.01", "every gradient, tiny weights; exact derivatives to 1e-6", _by(_exact, 1e-6, scale=0.01)
        ),
        Recipe("H = 1", "every gradient, one unit; exact derivatives to 1e-6", _by(_exact, 1e-6, sizes=(T, B, D, 1))),
        Recipe("B = 1", "every gradient, one row; exact derivatives to 1e-6", _by(_exact, 1e-6, sizes=(T, 1, D, H))),
        Recipe("D = H", "every gradient, D = H; exact derivatives to 1e-6", _by(_exact, 1e-6, sizes=(T, B, H, H))),
        Recipe("tolerance 1e-2", "every gradient; exact derivatives, each array to 1e-2", _by(_exact, 1e-2)),
        Recipe("float32 differences", "every gradient; central differences in float32, to 0.1", _by(_single, 0.1)),
        Recipe("check_grad", "as scipy's: norm of the gap to forward differences below 1e-5", _check_grad),
    ]
    if routes.HAS_TORCH:
        found += [
            Recipe("gradcheck", "torch.autograd.gradcheck at its defaults, every gradient", _gradcheck(False)),
            Recipe("gradcheck, fast", "the same with fast_mode=True", _gradcheck(True)),
            Recipe("gradcheck, loss 1e-6", "gradcheck of the loss times 1e-6", _gradcheck(False, 1e-6)),
        ]
    if node_cases.HAS_ONNX:
        found += [Recipe("ONNX node cases", "forward values of the onnx package's LSTM, GRU and RNN cases", _onnx)]
    return [
        *found,
        Recipe(
            "in the form of TMVA's",
            "central differences of parameters, zero state, last output, each element to 1e-2",
            _element_by_element,
        ),
        Recipe("ours, loss 1", "our suite", _ours(1.0)),
        Recipe("ours, loss 1/560", "our suite, cotangents times 1/560", _ours(1 / 560)),
        Recipe("ours, loss 1e-6", "our suite, cotangents times 1e-6", _ours(1e-6)),
    ]
