"""Two worked examples for other people's test suites: a cell of one's own in PyTorch, and an LSTM in C.

The first is how a test of your own may look: the fixture ``numpy_lstm_case`` comes with the package. The second runs a
compiled program that knows nothing of Python on a case file and judges the answer file that it writes.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import numpy_lstm as nl
from numpy_lstm import cli

VECTORS = Path(__file__).parent.parent / "reference" / "vectors"


class MyLSTMCell(torch.nn.Module):
    """A cell as many write it: one linear map of [x, h], and by hand, because autograd was too slow, its backward."""

    def __init__(self, D: int, H: int, forget: float = 0.0) -> None:
        super().__init__()
        self.gates = torch.nn.Linear(D + H, 4 * H, dtype=torch.float64)
        self.forget = forget

    def forward(self, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        h, c = state
        i, f, g, o = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = MyCellUpdate.apply(torch.sigmoid(i), torch.sigmoid(f + self.forget), torch.tanh(g), c)
        return torch.sigmoid(o) * torch.tanh(c), c


class MyCellUpdate(torch.autograd.Function):
    """c = f c_prev + i g."""

    wrong = False

    @staticmethod
    def forward(ctx: Any, i: Any, f: Any, g: Any, c: Any) -> Any:
        ctx.save_for_backward(i, f, g, c)
        return f * c + i * g

    @staticmethod
    def backward(ctx: Any, dc: Any) -> Any:
        i, f, g, c = ctx.saved_tensors
        dc_prev = dc if MyCellUpdate.wrong else dc * f
        return dc * g, dc * c, dc * i, dc_prev


def run_mine(case: nl.cases.Case) -> dict[str, Any]:
    """The answer of MyLSTMCell to a case in the layout of torch."""
    given = {k: torch.tensor(a) for k, a in case.arrays.items()}
    cell = MyLSTMCell(case.sizes["D"], case.sizes["H"])
    with torch.no_grad():
        cell.gates.weight.copy_(torch.cat([given["weight_ih_l0"], given["weight_hh_l0"]], dim=1))
        cell.gates.bias.copy_(given["bias_ih_l0"] + given["bias_hh_l0"])
    x, h0, c0 = (given[k].requires_grad_() for k in ("x", "h_0", "c_0"))
    state, outputs = (h0, c0), []
    for x_t in x:
        state = cell(x_t, state)
        outputs.append(state[0])
    output = torch.stack(outputs)
    loss = (given["d_output"] * output).sum() + (given["d_h_n"] * state[0]).sum() + (given["d_c_n"] * state[1]).sum()
    loss.backward()
    weight = cell.gates.weight.grad
    return {
        "output": output.detach(),
        "h_n": state[0].detach(),
        "c_n": state[1].detach(),
        "d_x": x.grad,
        "d_h_0": h0.grad,
        "d_c_0": c0.grad,
        "d_weight_ih_l0": weight[:, : x.shape[2]],
        "d_weight_hh_l0": weight[:, x.shape[2] :],
        "d_bias_ih_l0": cell.gates.bias.grad,
        "d_bias_hh_l0": cell.gates.bias.grad,
    }


def test_my_torch_cell(numpy_lstm_case: Any) -> None:
    case = numpy_lstm_case("LSTM", layout="torch", T=6, B=3, D=4, H=5)
    numpy_lstm_case.check(case, run_mine(case))


def test_my_torch_cell_with_a_mistake(numpy_lstm_case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its author would read: the table, the step and the mistake by name."""
    monkeypatch.setattr(MyCellUpdate, "wrong", True)
    case = numpy_lstm_case("LSTM", layout="torch", T=6, B=3, D=4, H=5)
    with pytest.raises(AssertionError) as failure:
        numpy_lstm_case.check(case, run_mine(case))
    text = str(failure.value)
    assert text.startswith("fail")
    assert "d_weight_ih_l0[W_f]" in text
    assert "first wrong in backward order: d_x at step 4" in text
    assert "likely mistake: forget-gate-missing-in-carry" in text


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize(
    ("bug", "status", "says"),
    [
        (0, 0, "PASS"),
        (1, 1, "likely mistake: cell-carry-dropped"),
        (2, 1, "likely mistake: gate-order"),
        (3, 1, "likely mistake: bias"),
    ],
)
def test_an_lstm_in_c(bug: int, status: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, answer = tmp_path / "lstm", tmp_path / "answer.json"
    source = VECTORS / "lstm.c"
    options = ["-O2", "-std=c11", "-Wall", "-Werror", f"-DBUG={bug}"]
    subprocess.run(["gcc", *options, source, "-o", program, "-lm"], check=True)
    case = VECTORS / "lstm" / "plain.json"
    subprocess.run([program, case, answer], check=True)
    verdict = tmp_path / "verdict.json"
    assert cli.main(["judge", str(case), str(answer), "--json", str(verdict)]) == status
    assert says in capsys.readouterr().out
    assert json.loads(verdict.read_text(encoding="utf-8"))["verdict"] == ("pass" if status == 0 else "fail")
