"""What the instruments of gradient flow take: twins, ragged batches, and one clear error for anything else."""

import doctest
import sys
from typing import Any

import numpy as np
import pytest
import torch
from test_flow import LENGTHS, seen

import numpy_lstm as nl
from cases import standard
from numpy_lstm import check, flow, tree

TWINS = {
    "LSTM": (nl.nn.LSTM, {"num_layers": 2, "bidirectional": True, "proj_size": 2}),
    "GRU": (nl.nn.GRU, {"batch_first": True}),
    "RNN": (nl.nn.RNN, {"nonlinearity": "relu", "num_layers": 2}),
}


@pytest.mark.parametrize("engine", ["explicit", "fast"])
@pytest.mark.parametrize("kind", TWINS)
def test_straight_from_a_twin(kind: str, engine: str) -> None:
    """The contributions of its passes are the gradients that the twin returns, whatever the engine."""
    make, options = TWINS[kind]
    g = np.random.default_rng(0)
    twin = make(3, 4, **options, rng=g, engine=engine)
    x = g.standard_normal((5, 6, 3))
    lengths = [5, 2, 6, 1, 3] if twin.batch_first else [5, 2, 4, 1, 3, 5]
    run = twin.forward(x, lengths=lengths)
    given = {"d_output": g.standard_normal(run.output.shape), "d_h_n": g.standard_normal(run.h_n.shape)}
    grads = run.backward(**given)
    found = flow.passes(twin, x, lengths=lengths, **given)
    layers = [f"l{p.name.replace('.1', '_reverse').replace('.0', '')}" for p in found]
    for layer, p in zip(layers, found, strict=True):
        U = tree.map(lambda a: 0 * a, p.params)
        for step in flow.contributions(p):
            U = tree.add(U, step)
        ours = nl.layouts.dump_gradients("torch", U, p.cell)["weight_hh_l0"]
        assert check.normwise(ours, grads.params[f"weight_hh_{layer}"]) <= 1e-14
        assert flow.split(p)
    with pytest.raises(ValueError, match="x has shape"):
        flow.passes(twin, x[..., :2])


def test_the_examples_in_its_docstrings_run() -> None:
    found = doctest.testmod(sys.modules["numpy_lstm.flow.passes"])
    assert found.attempted > 8
    assert found.failed == 0


def test_a_twins_dropout_is_drawn_as_in_its_forward() -> None:
    def twin() -> Any:
        return nl.nn.LSTM(3, 4, 2, dropout=0.5, rng=np.random.default_rng(0), engine="fast")

    x = np.random.default_rng(1).standard_normal((5, 2, 3))
    d_output = np.ones((5, 2, 4))
    bottom, top = flow.passes(twin(), x, d_output=d_output)
    hidden = bottom.run.hs == 0
    assert np.any(top.run.values.x == 0)
    assert not np.any(hidden)
    assert np.array_equal(top.run.hs, twin().forward(x).output) or np.allclose(top.run.hs, twin()(x)[0], rtol=1e-12)
    assert not np.any(flow.passes(twin().eval(), x, d_output=d_output)[1].run.values.x == 0)


@pytest.mark.parametrize("options", [{"num_layers": 2, "bidirectional": True}, {"bias": False}], ids=str)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_straight_from_a_state_dict(kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(3, 4, **options)
    ours = nl.nn.from_state_dict(theirs.state_dict())
    assert type(ours) is getattr(nl.nn, kind)
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(x.astype(float))[0], theirs(torch.from_numpy(x))[0].detach().numpy(), atol=1e-5)
    d_output = np.ones((5, 2, 8 if "num_layers" in options else 4))
    assert len(flow.passes(ours, x.astype(float), d_output=d_output)) == (4 if "num_layers" in options else 1)


def test_a_state_dict_that_fits_no_layer() -> None:
    arrays = nl.nn.LSTM(3, 4).state_dict()
    with pytest.raises(
        nl.layouts.LayoutError, match=r"no weight_ih_l0 and weight_hh_l0 among lstm\.weight_ih_l0, lstm"
    ):
        nl.nn.from_state_dict({f"lstm.{name}": a for name, a in arrays.items()})
    with pytest.raises(nl.layouts.LayoutError, match=r"weight_hh_l0 has shape \(15, 4\); expected 4, 3 or 1 times 4"):
        nl.nn.from_state_dict(arrays | {"weight_hh_l0": np.ones((15, 4))})


def test_padding_is_in_no_median_and_no_export() -> None:
    p, back = seen(nl.LSTM, LENGTHS)
    table = flow.norms(p, ["h", "c"])
    expected = np.linalg.norm(back.cotangents.c, axis=-1)
    shown = {int(line.split()[0]): line.split() for line in str(table).splitlines()[2:]}
    for t in (0, 5, 19):
        alive = [expected[t, b] for b, n in enumerate(LENGTHS) if t < n]
        assert float(shown[t][2]) == pytest.approx(np.median(alive), rel=5e-3)
    assert len(table.to_csv().splitlines()) == 1 + sum(LENGTHS)
    assert table.to_dict()["columns"]["c"][7] == [table["c"][7, 0], None, None, table["c"][7, 3]]
    assert np.isnan(flow.Table("", "", [0], {}, np.zeros((1, 2), bool)).quantiles(np.ones((1, 2)), 0.5)[0])


def test_exponents_of_a_short_row_are_those_of_its_own_steps() -> None:
    (params, xs, first), _ = standard(nl.GRU)[1:3]
    run = nl.forward(nl.GRU, params, xs, first, [20, 12, 9, 20])
    short = nl.forward(nl.GRU, params, xs[:12], first)
    found = flow.lyapunov_exponents(nl.GRU, params, run, 3, 4)
    np.testing.assert_allclose(found[1], flow.lyapunov_exponents(nl.GRU, params, short, 3, 4)[1], rtol=1e-12)
    with pytest.raises(ValueError, match="skip is 9; row 2 has no step left after them"):
        flow.lyapunov_exponents(nl.GRU, params, run, 3, 9)


def test_a_diagnosis_of_the_longest_rows() -> None:
    (params, xs, first), (_, last) = standard(nl.LSTM)[1:3]
    (p,) = flow.passes(nl.LSTM, params, xs, first, [12, 7, 3, 12], dlast=last)
    (q,) = flow.passes(nl.LSTM, params, xs[:12], first, dlast=last)
    both = q._replace(cotangents=tree.map(lambda a: a[:, [0, 3]], q.cotangents))
    assert flow.diagnose(p).rate == pytest.approx(flow.diagnose(both).rate, rel=1e-12)


NOT_A_PASS = r"p is a numpy_lstm.scan.{}; expected a Pass"
TAKE_A_PASS = [flow.diagnose, flow.saturation, flow.norms, flow.contributions, flow.contribution_norms, flow.split]


@pytest.mark.parametrize("instrument", TAKE_A_PASS, ids=lambda f: f.__name__)
def test_what_is_not_a_pass(instrument: Any) -> None:
    p, back = seen(nl.LSTM)
    with pytest.raises(
        TypeError, match=NOT_A_PASS.format("Backward") + r" of its run and this \(see flow.passes_of\)$"
    ):
        instrument(back)
    with pytest.raises(TypeError, match=NOT_A_PASS.format("Forward") + r" \(see flow.passes\)$"):
        instrument(p.run)
    with pytest.raises(
        TypeError, match=r"p is a tuple of 2 Pass, one for each cell; expected one of them, such as p\[0"
    ):
        instrument((p, p))


TAKE_A_RUN = [
    lambda *a: flow.step_jacobian(*a, 0),
    flow.step_jacobians,
    flow.jacobian_product,
    flow.direct_path,
    flow.lyapunov_exponents,
]


@pytest.mark.parametrize("instrument", TAKE_A_RUN, ids=lambda f: f.__name__)
def test_what_is_not_a_run(instrument: Any) -> None:
    p, back = seen(nl.LSTM)
    gru = seen(nl.GRU)[0]
    fast = nl.fast.forward(nl.LSTM, p.params, p.run.values.x)
    for arguments, message in (
        ((p.cell, p.params, p), r"run is a numpy_lstm.flow.passes.Pass; expected the Forward of a single cell"),
        ((p.cell, p.params, back), r"run is a numpy_lstm.scan.Backward; expected the Forward of a single cell"),
        (
            (p.cell, p.params, fast),
            "run is of numpy_lstm.fast, which keeps no values; expected one of numpy_lstm.forward",
        ),
        ((p.cell, p.params, gru.run), "run.values is a numpy_lstm.pages.gru.Trace; expected LSTM.Trace"),
        ((p.cell, gru.params, p.run), "params is a numpy_lstm.pages.gru.Params; expected LSTM.Params"),
        ((nl.Recurrent(p.cell), p.params, p.run), "cell is a numpy_lstm.layers.Recurrent; expected a Page such as"),
    ):
        with pytest.raises(TypeError, match=message):
            instrument(*arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: flow.step_jacobian(p.cell, p.params, p.run, 20), "t is 20; expected a step from 0 to 19"),
        (lambda p: flow.step_jacobian(p.cell, p.params, p.run, 1.5), "t is 1.5; expected a step from 0 to 19"),
        (lambda p: flow.jacobian_product(p.cell, p.params, p.run, 3, 2), "start, stop are 3, 2; expected 0 <="),
        (lambda p: flow.lyapunov_exponents(p.cell, p.params, p.run, 15), "count is 15; expected 1 to 14, the size"),
        (lambda p: flow.lyapunov_exponents(p.cell, p.params, p.run, 1, 20), "skip is 20; expected 0 to 19"),
        (lambda p: flow.split(p, "x"), "signal is 'x'; expected 'h' or 'c', the state of LSTM"),
        (lambda p: flow.direct_path(p.cell, p.params, p.run, signal="f"), "signal is 'f'; expected 'h' or 'c'"),
        (
            lambda p: flow.norms(p, ["forget"]),
            "a field is 'forget'; expected a field of LSTM's Trace: x, h_prev, c_prev",
        ),
        (lambda p: flow.diagnose(p, "forget"), "signal is 'forget'; expected a field of LSTM's Trace: x, h_prev"),
        (lambda p: flow.fit_rate(np.ones(50), (10, 60)), "lags are 10 to 60; expected two or more within 0 to 49"),
        (
            lambda p: flow.fit_rate(np.ones((50, 2))),
            r"signal has shape \(50, 2\); expected \(T,\), one number for each",
        ),
        (
            lambda p: flow.sensitivity_map(p.cell, p.params, p.run, np.eye(3)),
            r"readout has shape \(3, 3\); expected \(N, 7\)",
        ),
        (
            lambda p: flow.sensitivity_map(p.cell, p.params, p.run, outputs=[3, 20]),
            "outputs has 20; expected steps from 0 to 19",
        ),
        (lambda p: flow.sensitivity_map(p.cell, p.params, p), "run is a numpy_lstm.flow.passes.Pass; expected the run"),
        (
            lambda p: flow.sensitivity_map(nl.nn.LSTM(3, 4), p.params, p.run),
            "layer is a numpy_lstm.nn.LSTM; expected a Page or a layer of numpy_lstm.layers: layers, params = twin",
        ),
        (lambda p: flow.passes_of(p.cell, p.params, p.run, p.run), "expected the Backward that backward"),
        (
            lambda p: flow.passes_of(p.cell, p.params, p, nl.backward(p.cell, p.params, p.run, dhs=p.run.hs)),
            "run is a numpy_lstm.flow.passes.Pass; expected the run that back went through",
        ),
        (
            lambda p: flow.passes(p.params, p.params, p.run),
            "layer is a numpy_lstm.pages.lstm.Params; expected a Page, a",
        ),
        (
            lambda p: _of_fast(p, nl.Recurrent(p.cell, "fast")),
            "back keeps no cotangents of LSTM; expected those of numpy_lstm.b",
        ),
    ],
)
def test_bad_input_gets_one_clear_error(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call(seen(nl.LSTM)[0])
    assert "\n" not in str(caught.value)


def _of_fast(p: flow.Pass, layer: Any) -> Any:
    run = layer.forward(p.params, p.run.values.x)
    return flow.passes_of(layer, p.params, run, layer.backward(p.params, run, p.run.hs))
