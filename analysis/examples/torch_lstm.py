"""The gradient flow of a torch.nn.LSTM, step by step, from its saved weights: what its fused kernels do not show.

    python -m analysis.examples.torch_lstm WEIGHTS [--prefix lstm.] [--inputs x.npy]

WEIGHTS is a .safetensors or .npz file, or a .pt of ``torch.save(model.state_dict(), ...)`` (which needs torch to read).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import command, flow
from numpy_lstm.layouts import LayoutError

from .. import figures


def read(path: Path, prefix: str = "") -> dict[str, Any]:
    """The arrays of a file whose names start with ``prefix``, without it. Raises ValueError if there are none."""
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        arrays = load_file(path)
    elif path.suffix == ".npz":
        arrays = dict(np.load(path))
    elif path.suffix in {".pt", ".pth"}:
        from reference.torch_oracle import read_state_dict

        arrays = read_state_dict(path)
    else:
        raise ValueError(f"{path}: expected a file .safetensors, .npz, .pt or .pth")
    chosen = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    chosen = {name: a for name, a in chosen.items() if name.startswith(("weight_", "bias_"))}
    if "weight_hh_l0" not in chosen:
        raise ValueError(f"{path} has no {prefix}weight_hh_l0; expected one of its names: {', '.join(arrays)}")
    return chosen


def twin(arrays: dict[str, Any]) -> nl.nn.LSTM:
    """The twin with these weights; sizes, depth, directions and projection are read off their shapes."""
    four_H, D = arrays["weight_ih_l0"].shape
    R = arrays["weight_hh_l0"].shape[1]
    lstm = nl.nn.LSTM(
        D,
        four_H // 4,
        num_layers=len([k for k in arrays if k.startswith("weight_hh_l") and not k.endswith("_reverse")]),
        bias="bias_ih_l0" in arrays,
        bidirectional="weight_hh_l0_reverse" in arrays,
        proj_size=R if "weight_hr_l0" in arrays else 0,
    )
    lstm.load_state_dict(arrays)
    return lstm


def look(lstm: nl.nn.LSTM, xs: Any, rng: np.random.Generator) -> tuple[flow.Pass, ...]:
    """One Pass for each layer and direction; the loss is a random vector times the last h of the top layer."""
    layers, params = lstm.network()
    width = lstm.cell.R or lstm.hidden_size
    top = tuple(lstm.cell.partial_state(h=rng.standard_normal((xs.shape[1], width))) for _ in params[-1])
    return flow.passes(layers, params, xs, dlast=(*(None for _ in params[:-1]), top))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit status."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    """Print the flow of every layer and direction, and save tables and figures."""
    parser = command.Parser(prog="python -m analysis.examples.torch_lstm", description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--prefix", default="", help="of the LSTM's names within a larger model, such as lstm.")
    parser.add_argument("--inputs", type=Path, help="an .npy file of shape (T, B, input_size); default: white noise")
    parser.add_argument("--seed", type=command.natural, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"), help="default: out")
    options = parser.parse_args(argv)
    command.need("matplotlib")
    rng = np.random.default_rng(options.seed)
    try:
        lstm = twin(read(options.weights, options.prefix))
        given = options.inputs is not None
        xs = np.load(options.inputs) if given else rng.standard_normal((100, 16, lstm.input_size))
        passes = look(lstm, xs.astype(np.float64), rng)
        options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError, LayoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return command.BAD_INPUT
    for p in passes:
        print(flow.diagnose(p._replace(name=f"layer and direction {p.name}")), "\n")
        print(flow.saturation(p), "\n")
        norms = flow.norms(p, ["h", "c", "a_i", "a_f", "a_g", "a_o"])
        print(norms, "\n")
        parts = {path: np.linalg.norm(part, axis=-1) for path, part in flow.split(p).items()}
        paths = flow.Table(f"{p.name}: norm of each path's part of dL/dc_t", "step", norms.index, parts)
        print(paths, "\n")
        for kind, table in (("norms", norms), ("paths", paths), ("weights", flow.contribution_norms(p))):
            table.to_csv(options.out / f"torch_lstm_{p.name}_{kind}.csv")
        figures.plot(norms, options.out / f"torch_lstm_{p.name}")
    print(f"written to {options.out}/torch_lstm_*.csv, .svg, .png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
