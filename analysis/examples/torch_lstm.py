"""The gradient flow of a torch.nn.LSTM, GRU or RNN, step by step, from its saved weights: what fused kernels hide.

    python -m analysis.examples.torch_lstm WEIGHTS [--prefix lstm.] [--inputs x.npy]

WEIGHTS is a .safetensors or .npz file, or a .pt of ``torch.save(model.state_dict(), ...)`` (which needs torch to read).
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import numpy_lstm as nl
from numpy_lstm import command, flow, weight_files
from numpy_lstm.files import regular

from .. import figures


def read(path: Path, prefix: str = "") -> dict[str, Any]:
    """The arrays of a file whose names start with ``prefix``, without it. Raises ValueError if there are none."""
    if path.suffix in {".pt", ".pth"}:
        from reference.torch_oracle import read_state_dict

        arrays: Mapping[str, Any] = read_state_dict(regular(path))
    elif path.suffix in {".safetensors", ".npz"}:
        arrays = weight_files.read(path)
    else:
        raise ValueError(f"{path}: expected a file .safetensors, .npz, .pt or .pth")
    chosen = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    chosen = {name: a for name, a in chosen.items() if name.startswith(("weight_", "bias_"))}
    if "weight_hh_l0" not in chosen:
        raise ValueError(f"{path} has no {prefix}weight_hh_l0; expected one of its names: {', '.join(arrays)}")
    return chosen


def look(twin: nl.nn.Twin, xs: Any, rng: np.random.Generator) -> tuple[flow.Pass, ...]:
    """One Pass for each layer and direction; the loss is a random vector times the last h of the top layer."""
    directions = 2 if twin.bidirectional else 1
    h_n = np.zeros((directions * twin.num_layers, xs.shape[1], twin.cell.R or twin.hidden_size))
    for d in range(-directions, 0):
        h_n[d] = rng.standard_normal(h_n[d].shape)
    found = flow.passes(twin, xs, d_h_n=h_n)
    names = [f"l{k // directions}{'_reverse' * (k % directions)}" for k in range(len(found))]
    return tuple(p._replace(name=name) for p, name in zip(found, names, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit status."""
    return command.run(_main, argv, (ValueError,))


def _main(argv: Sequence[str] | None) -> int:
    """Print the flow of every layer and direction, by torch's suffix, and save tables and figures."""
    parser = command.Parser(prog="python -m analysis.examples.torch_lstm", description=command.first_line(__doc__))
    parser.add_argument("weights", type=Path)
    parser.add_argument("--prefix", default="", help="of the layer's names within a larger model, such as lstm.")
    parser.add_argument("--nonlinearity", choices=["tanh", "relu"], default="tanh", help="of an RNN; default: tanh")
    parser.add_argument("--inputs", type=Path, help="an .npy file of shape (T, B, input_size); default: white noise")
    parser.add_argument("--seed", type=command.natural, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"), help="default: out")
    options = parser.parse_args(argv)
    command.need("matplotlib")
    rng = np.random.default_rng(options.seed)
    twin = nl.nn.from_state_dict(read(options.weights, options.prefix), options.nonlinearity)
    given = options.inputs is not None
    xs = np.load(regular(options.inputs)) if given else rng.standard_normal((100, 16, twin.input_size))
    passes = look(twin, xs.astype(np.float64), rng)
    options.out.mkdir(parents=True, exist_ok=True)
    for p in passes:
        print(flow.diagnose(p), "\n")
        if flow.gates(p.cell, p.params, p.run):
            print(flow.saturation(p), "\n")
        state = p.cell.State._fields
        norms = flow.norms(p, [*state, *(k for k in p.cell.Trace._fields if k[0] == "a")])
        print(norms, "\n")
        parts = {path: np.linalg.norm(part, axis=-1) for path, part in flow.split(p).items()}
        title = f"{p.name}: norm of each path's part of dL/d{state[-1]}_t"
        paths = flow.Table(title, "step", norms.index, parts)
        print(paths, "\n")
        for kind, table in (("norms", norms), ("paths", paths), ("weights", flow.contribution_norms(p))):
            table.to_csv(options.out / f"torch_lstm_{p.name}_{kind}.csv")
        figures.plot(norms, options.out / f"torch_lstm_{p.name}")
    print(f"written to {options.out}/torch_lstm_*.csv, .svg, .png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
