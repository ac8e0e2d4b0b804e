"""Mistakes of the catalogue as edits of the page's backward pass: what each puts in place of what.

An edit is data that ``web/runtime.js`` carries out: ``values`` and ``params`` are read by the adjoint, ``saved`` by the
whole backward pass, ``contracted`` by the parameter gradients; ``derivative`` is taken for that of an activation;
``arriving`` and ``leaving`` change what comes to a state and what a step hands on, ``given`` and ``last`` what enters
from outside; ``gradients`` and the like what comes out. A number fills an array, a name is another array of the step.
Each is held against the numbers of the catalogue by a test.
"""

from collections.abc import Callable
from typing import Any

from ..mistakes import CATALOGUE, Workbench, label

Edit = dict[str, Any]


def _pair(pair: str, *kinds: str) -> Edit:
    return {kind + a: kind + b for kind in kinds for a, b in ((pair[0], pair[1]), (pair[1], pair[0]))}


def _slope(wrong: str) -> Callable[[str], Edit]:
    return lambda k: {"derivative": {k or "y": wrong}}


def _fixed(key: str, **changes: Any) -> Edit:
    return {key: changes}


SLOPES = {  # what is taken for the derivative of tanh(c), a gate, the candidate: tanh-derivative-missing, and so on
    "derivative-missing": "one",
    "derivative-twice": "twice",
    "derivative-sign": "plus",
    "derivative-not-squared": "complement",
    "derivative-of-sigmoid": "logistic",
    "derivative-of-activation": "ofValue",
    "in-place-of-its-derivative": "value",
}
EDITS: dict[str, Edit | Callable[[str], Edit]] = {
    "cell-carry-dropped": _fixed("leaving", c=0),
    "hidden-carry-dropped": _fixed("leaving", h=0),
    "immediate-derivative": _fixed("leaving", h=0, c=0),
    "carry-doubled": lambda k: {"leaving": {k: 2}},
    "carry-halved": lambda k: {"leaving": {k: 0.5}},
    "carry-sign": lambda k: {"leaving": {k: -1}},
    "cell-carry-clipped": lambda k: {"leaving": {"c": ["clip", float(k)]}},
    "cell-cotangent-overwritten": _fixed("arriving", c=0),
    "carry-through-tanh-derivative": _fixed("arriving", c=["slope", "c"]),
    "carry-through-output-gate": _fixed("arriving", c=["factor", "o"]),
    "clipped-on-the-way": lambda k: {"arriving": {"h": ["clip", float(k)]}},
    "output-path-to-cell-missing": _fixed("derivative", y="zero"),
    "output-path-to-cell-twice": _fixed("derivative", y="double"),
    "forget-gate-missing-in-carry": _fixed("values", f=1),
    "output-gate-missing": _fixed("values", o=1),
    "input-gate-missing": _fixed("values", i=1),
    "candidate-missing": _fixed("values", g=1),
    "old-cell-missing": _fixed("values", c_prev=1),
    "output-tanh-missing": _fixed("values", y=1),
    "df-from-new-cell": _fixed("values", c_prev="c"),
    "df-from-forget-gate": _fixed("values", c_prev="f"),
    "df-from-tanh-of-old-cell": _fixed("values", c_prev=["tanh"]),
    "di-from-input-gate": _fixed("values", g="i"),
    "di-from-pre-activation": _fixed("values", g="a_g"),
    "dg-from-candidate": _fixed("values", i="g"),
    "dg-from-forget-gate": _fixed("values", i="f"),
    "carry-from-input-gate": _fixed("values", f="i"),
    "do-from-cell": _fixed("values", y="c"),
    "do-from-hidden": _fixed("values", y="h"),
    "do-from-old-cell": _fixed("values", y=["tanh", "c_prev"]),
    "output-path-from-input-gate": _fixed("values", o="i"),
    "coupled-share-forgotten": _fixed("values", g=0),
    "coupled-share-added": _fixed("values", g=["times", -1]),
    "cached-gates-exchanged": lambda k: {"values": _pair(k, "", "a_")},
    "cached-activations-exchanged": lambda k: {"values": _pair(k, "")},
    **{
        f"{of}-{name}": _slope(wrong)
        for of in ("tanh", "sigmoid", "candidate")
        for name, wrong in SLOPES.items()
        if f"{of}-{name}" in CATALOGUE
    },
    "tanh-derivative-of-tanh": _slope("ofValue"),
    "sigmoid-complement-for-its-derivative": _slope("complement"),
    "sigmoid-derivative-sign": _slope("sign"),
    "sigmoid-derivative-of-tanh": _slope("bend"),
    "one-minus-cell-squared": _fixed("derivative", y="square"),
    "pre-activation-taken-for-gate": _slope("raw"),
    "one-minus-pre-activation-squared": _slope("square"),
    "rnn-derivative-missing": _fixed("derivative", h="one"),
    "rnn-derivative-of-output": _fixed("derivative", h="ofValue"),
    "rnn-derivative-of-pre-activation": _fixed("derivative", h="square"),
    "rnn-derivative-not-squared": _fixed("derivative", h="complement"),
    "gate-without-gradient": _slope("zero"),
    "gate-cotangent-sign": _slope("sign"),
    "gate-cotangent-doubled": _slope("double"),
    "gate-omitted-in-dh": lambda k: {"params": {f"U_{k}": 0}},
    "gate-omitted-in-dx": lambda k: {"params": {f"W_{k}" if k else "W": 0}},
    "gate-doubled-in-dh": lambda k: {"params": {f"U_{k}": ["times", 2]}},
    "recurrent-weights-transposed": lambda k: {
        "params": {f"U_{j}" if j else "U": ["T"] for j in ("ifgorzn" if k == "all" else [k])}
    },
    "gates-weights-exchanged-in-backward": lambda k: {"params": _pair(k, "W_", "U_")},
    "gates-exchanged-in-backward": lambda k: {
        "params": _pair(k, "W_", "U_"),
        "gradients": _pair(k, "W_", "U_", "b_"),
    },
    "gru-kept-state-forgotten": _fixed("values", z=0),
    "gru-kept-state-by-candidate-share": _fixed("values", z="q"),
    "gru-candidate-share-missing": _fixed("values", q=1),
    "gru-candidate-by-update-gate": _fixed("values", q="z"),
    "gru-update-forgets-candidate": _fixed("values", n=0),
    "gru-update-sign": _fixed("derivative", z="sign"),
    "gru-update-from-new-state": _fixed("values", h_prev="h"),
    "gru-reset-missing-in-product": _fixed("values", r=1),
    "gru-reset-from-state": _fixed("values", u="h_prev"),
    "gru-second-bias-without-reset": _fixed("gradients", b_hn="b_n"),
    "gru-candidate-weights-without-reset": _fixed("products", U_n=["outer", "a_n", "h_prev"]),
    "gru-reset-missing-in-state": _fixed("values", r=1),
    "gru-candidate-from-unreset-state": _fixed("contracted", s="h_prev"),
    "output-peephole-missing-in-cell": _fixed("params", p_o=0),
    "peephole-missing-in-cell": lambda k: {"params": {f"p_{k}": 0}},
    "no-peephole-in-cell": _fixed("params", p_i=0, p_f=0, p_o=0),
    "output-peephole-from-old-cell": _fixed("products", p_o=["product", "a_o", "c_prev"]),
    "peephole-from-new-cell": lambda k: {"products": {f"p_{k}": ["product", f"a_{k}", "c"]}},
    "peephole-from-tanh-of-cell": lambda k: {"products": {f"p_{k}": ["product", f"a_{k}", "y"]}},
    "forget-peephole-from-input-delta": _fixed("gradients", p_f="p_i"),
    "statistics-constant": lambda k: {"statistics": k},
    "next-forget-gate-in-carry": _fixed("saved", f=["next"]),
    "value-of-the-next-step": lambda k: {"saved": {k: ["next"]}},
    "value-of-the-previous-step": lambda k: {"saved": {k: ["previous"]}},
    "value-of-the-last-step": lambda k: {"saved": {k: ["last"]}},
    "cache-of-the-last-step": {"saved": {"*": ["last"]}},
    "cache-of-the-first-step": {"saved": {"*": ["first"]}},
    "recurrent-gradient-from-new-state": _fixed("contracted", h_prev="h"),
    "input-of-another-step": lambda k: {"contracted": {"x": [k]}},
    "state-of-another-step": lambda k: {"contracted": {"h_prev": [k]}},
    "delta-of-another-step": lambda k: {"deltas": k},
    "initial-state-missing-in-recurrent-gradient": _fixed("contracted", h_prev=["start"], s=["start"]),
    "initial-cell-missing-in-forget-gate": _fixed("saved", c_prev=["start"]),
    "first-df-from-new-cell": _fixed("saved", c_prev=["swapped", "c"]),
    "gradient-overwritten": {"only": {"": 0}},
    "bias-gradient-overwritten": _fixed("only", b=0),
    "gradient-of-last-step": {"only": {"": -1}},
    "initial-state-gradient-one-step-early": {"first": dict.fromkeys("hcifo", "late")},
    "initial-state-gradient-zero": lambda k: {"first": {k: 0}},
    "middle-cotangents-ignored": {"given": "last only"},
    "last-output-cotangent-overwritten": {"given": "not last"},
    "output-cotangents-doubled": {"given": "double"},
    "output-cotangent-of-another-step": lambda k: {"given": k},
    "output-cotangents-reversed-in-time": {"given": "reversed"},
    "last-state-cotangent-ignored": lambda k: {"last": {k: 0}},
    "last-state-cotangent-doubled": lambda k: {"last": {k: ["times", 2]}},
    "last-state-cotangents-exchanged": _fixed("last", h="c", c="h"),
    "last-state-cotangent-at-every-step": {"given": "last everywhere"},
    "truncated-windows": lambda k: {"every": int(k)},
    "truncated-at-the-end": lambda k: {"end": int(k)},
    "sign-flipped": _fixed("gradients", all=["times", -1]),
    "zero-gradient": _fixed("gradients", all=["times", 0]),
    "halved": _fixed("gradients", all=["times", 0.5]),
    "gradients-not-reset": _fixed("gradients", all=["times", 2]),
    "time-mean": _fixed("gradients", all=["overT"]),
    "times-time": _fixed("gradients", all=["byT"]),
    "scaled-by-learning-rate": lambda k: {"gradients": {"all": ["times", float(k)]}},
    "bias-gradient-doubled": _fixed("gradients", b=["times", 2]),
    "bias-gradient-halved": _fixed("gradients", b=["times", 0.5]),
    "bias-gradient-time-mean": _fixed("gradients", b=["overT"]),
    "gradients-of-one-gate-zero": lambda k: {"gradients": {f"{kind}_{k}": ["times", 0] for kind in "WUb"}},
    "bias-gradient-of-another-gate": lambda k: {"gradients": {f"b_{k[0]}": f"b_{k[1]}"}},
    "weight-gradients-of-another-gate": lambda k: {"gradients": {f"{kind}_{k[0]}": f"{kind}_{k[1]}" for kind in "WU"}},
}
PARAMETERS_ONLY = ("sign-flipped", "halved", "time-mean", "times-time")  # the page has these of parameters alone


def found(bench: Workbench) -> dict[str, Edit]:
    """The mistakes of the page that can be made on this bench, by label."""
    made = {}
    for name, edit in EDITS.items():
        for k in CATALOGUE[name].conceivable(bench):
            one = edit(k) if callable(edit) else edit
            slopes = {bench.function(field) for field in one.get("derivative", {})}
            if "identity" not in slopes and (name not in PARAMETERS_ONLY or k == "parameters"):  # a row has no identity
                made[label(CATALOGUE[name], k)] = one
    return made
