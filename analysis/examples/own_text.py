"""RNN, GRU and LSTM on a text of yours: how far back does the surprise at the last character send a gradient?

    python -m analysis.examples.own_text --text FILE

Each network is at its initialisation (edit SETTINGS); every character is a random vector, as in an untrained embedding.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numpy_lstm import command, flow

from .. import figures, networks, next_symbol, text

SETTINGS = ["RNN:orthogonal", "GRU:orthogonal", "LSTM:orthogonal:1", "LSTM:orthogonal:chrono"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit status."""
    return command.run(_main, argv, (text.InputError,))


def _main(argv: Sequence[str] | None) -> int:
    """Print a diagnosis of each network, and save its norms as a table and a figure."""
    parser = command.Parser(prog="python -m analysis.examples.own_text", description=command.first_line(__doc__))
    parser.add_argument("--text", metavar="FILE", help="a UTF-8 text; default: the topics of Python's help")
    parser.add_argument(
        "--steps", type=command.positive, default=100, help="characters read before the loss; default: 100"
    )
    parser.add_argument("--seed", type=command.natural, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"), help="default: out")
    options = parser.parse_args(argv)
    command.need("matplotlib")
    corpus = text.load(options.text)
    codes = text.windows(corpus, options.steps + 1, 16, np.random.default_rng(options.seed))
    options.out.mkdir(parents=True, exist_ok=True)
    A, D, H = len(corpus.symbols), 16, 64
    print(f"{corpus}\n")
    columns = {}
    for name in SETTINGS:
        rng = np.random.default_rng(options.seed)
        setting = networks.setting(name)
        cell = setting.page
        params = networks.params(setting, D, H, options.steps, rng)
        E, V = rng.standard_normal((A, D)), rng.standard_normal((A, H)) / np.sqrt(H)
        w = next_symbol.Weights(E, params, cell.zero_state(16, H), V, np.zeros(A))
        p = next_symbol.last_surprise(cell, w, codes)._replace(name=setting.label)
        print(flow.diagnose(p), "\n")
        if flow.gates(cell, params, p.run):
            print(flow.saturation(p), "\n")
        norms = flow.norms(p, ["h"])["h"][::-1]
        columns[setting.label] = norms / norms[0]
    lags = np.arange(options.steps)
    table = flow.Table("|dL/dh_t| relative to the last step", "steps back from the loss", lags, columns)
    print(table)
    table.to_csv(options.out / "own_text.csv")
    figures.plot(table, options.out / "own_text")
    print(f"\nwritten to {options.out}/own_text.csv, .svg, .png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
