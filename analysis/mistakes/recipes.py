"""Ways in which people check a gradient, each a function: does it catch this mistake?

Each makes a case of its own, weak or strong, and compares what code with the mistake would answer there with
derivatives. A mistake that cannot be made in that case, or gives nothing wrong there, is missed. One whose
forward pass is wrong in the same way agrees with its own differences, which the tests of the catalogue prove, and is
missed by all that compare with nothing else.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from numpy_lstm import check
from numpy_lstm.cases.names import is_gradient
from numpy_lstm.mistakes import Mistake, Workbench

from ..verify import routes
from . import differences, node_cases
from .homes import SIZES, Home, bench, suite

Arrays = dict[str, Any]
GRADCHECK = (4, 2, 3, 2)  # T, B, D, H: a hundred numbers to differentiate by


class Recipe(NamedTuple):
    """A check by name; ``about`` says what it is. ``catches`` gets a home, a mistake, a variant and a seed."""

    name: str
    about: str
    catches: Callable[[Home, Mistake, str, int], bool]


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
    return list(differences.gradient_names(b.case).values())


def _answer(b: Workbench, mistake: Mistake, variant: str) -> Arrays | None:
    return mistake.answer(b, variant) if variant in mistake.conceivable(b) else None


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
) -> Callable[[Home, Mistake, str, int], bool]:
    def catches(home: Home, mistake: Mistake, variant: str, seed: int) -> bool:
        b = bench(home, seed, sizes, **options)
        return _worst(b, mistake, variant, truth(b), names(b)) > tolerance

    return catches


def _check_grad(home: Home, mistake: Mistake, variant: str, seed: int) -> bool:
    """``scipy.optimize.check_grad`` is the norm of the difference, with a forward difference."""
    b = bench(home, seed)
    answer = None if mistake.consistent else _answer(b, mistake, variant)
    if answer is None:
        return False
    return float(np.sqrt(sum(np.sum((answer[k] - a) ** 2) for k, a in _forward(b).items()))) > 1e-5


def _element_by_element(home: Home, mistake: Mistake, variant: str, seed: int) -> bool:
    """Parameters, from a zero state and for the last output, each element to 1 %."""
    b = bench(home, seed, zero=True, given="last")
    answer = None if mistake.consistent else _answer(b, mistake, variant)
    if answer is None:
        return False
    truth = _central(b)
    return any(np.any(np.abs(answer[k] - truth[k]) > 0.01 * np.abs(answer[k]) + 1e-9) for k in parameters(b))


@cache
def _losses(b: Workbench) -> Callable[[list[Any]], float]:
    """The loss as a function of a list of arrays, remembered: gradcheck asks for the same points again and again."""
    known: dict[bytes, float] = {}
    names = differences.gradient_names(b.case)

    def loss(arrays: list[Any]) -> float:
        key = b"".join(a.tobytes() for a in arrays)
        if key not in known:
            given = {k: a.copy() for k, a in zip(names, arrays, strict=True)}
            known[key] = float(differences.loss(b.case, given))
        return known[key]

    return loss


def _gradcheck(fast: bool, cotangents: float = 1.0) -> Callable[[Home, Mistake, str, int], bool]:
    def catches(home: Home, mistake: Mistake, variant: str, seed: int) -> bool:
        b = bench(home, seed, GRADCHECK, cotangents=cotangents)
        answer = None if mistake.consistent else _answer(b, mistake, variant)
        if answer is None:
            return False
        names = differences.gradient_names(b.case)
        gradients, arrays = [answer[name] for name in names.values()], [b.case.arrays[k] for k in names]
        return not routes.torch_oracle.gradcheck(_losses(b), gradients, arrays, fast)

    return catches


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


def _ours(cotangents: float) -> Callable[[Home, Mistake, str, int], bool]:
    def catches(home: Home, mistake: Mistake, variant: str, seed: int) -> bool:
        for b in suite(home, seed, cotangents):
            answer = _answer(b, mistake, variant)
            if answer is not None and killed(b, answer):
                return True
        return False

    return catches


def _onnx(_: Home, mistake: Mistake, variant: str, __: int) -> bool:
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
