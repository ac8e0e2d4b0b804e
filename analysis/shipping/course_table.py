"""The LSTM exercises of the deeplearning.ai sequence-models course: what circulates as right, what students printed.

Nothing is run here but the legacy random generator, from which the course draws its inputs:
``numpy.random.seed(1)``, then ``randn`` for every array in the order below. The printed numbers are single entries;
``printed`` has them in arrays that are NaN elsewhere, under the names of the other case studies. In the course
samples are columns, a gate acts on [a_prev; x], f is the forget gate, i the update gate, c the candidate. The
sequence exercise: c_0 = 0, forward over 7 steps, backward over the first 4, loss the sum over t of <da_t, a_t>. The
cell exercise: one step, random c_prev, cotangents da_next and dc_next.

See SETS for the sources. Places are web pages and public files that show the numbers; eight or twelve digits each.
"""

import numpy as np

N_X, M, N_A = 3, 10, 5
WEIGHTS = [(f"{kind}{k}", (N_A, N_A + N_X) if kind == "W" else (N_A, 1)) for k in "fioc" for kind in "Wb"]
DRAWS = {
    "sequence": [("x", (N_X, M, 7)), ("a0", (N_A, M)), *WEIGHTS, ("da", (N_A, M, 4))],
    "cell": [
        ("xt", (N_X, M)), ("a_prev", (N_A, M)), ("c_prev", (N_A, M)), *WEIGHTS,
        ("Wy", (2, N_A)), ("by", (2, 1)), ("da_next", (N_A, M)), ("dc_next", (N_A, M)),
    ],
}  # fmt: skip

# What was printed. sequence_*: dx[1][2] over the four steps, da0[2][3], dWf[3][1], dWi[1][2], dWc[3][1], dWo[1][2] and
# db_[4]. cell_*: dxt[1][2], da_prev[2][3], dc_prev[2][3], then as above.
SETS = {
    # Expected output of the revised notebook; equals automatic differentiation.
    "sequence_revised": {
        "dx": [0.00218254, 0.28205375, -0.48292508, -0.43281115], "da0": 0.312770310257, "dWf": -0.0809802310938,
        "dWi": 0.40512433093, "dWc": -0.0793746735512, "dWo": 0.038948775763,
        "dbf": -0.15745657, "dbi": -0.50848333, "dbc": -0.42510818, "dbo": -0.17958196,
    },
    # What the solutions that circulate print: neither dh nor dc is carried from one step to the one before.
    "sequence_solutions": {
        "dx": [-0.00173313, 0.08287442, -0.30545663, -0.43281115], "da0": -0.0959115019540047,
        "dWf": -0.06981985612744011, "dWi": 0.10237182024854774, "dWc": -0.062498379492745254,
        "dWo": 0.04843891314443011, "dbf": -0.0565788, "dbi": -0.15399065, "dbc": -0.29691142, "dbo": -0.29798344,
    },
    # Expected output of the first notebook, also before it is filled in. As above, and three biases are worse: for i, c
    # and o it is the sum over t of db_f(t), plus db_k of step 1 alone, as if each step did db_k = db_f + its own db_k.
    "sequence_first": {
        "dx": [-0.00173313, 0.08287442, -0.30545663, -0.43281115], "da0": -0.095911501954, "dWf": -0.0698198561274,
        "dWi": 0.102371820249, "dWc": -0.0624983794927, "dWo": 0.0484389131444,
        "dbf": -0.0565788, "dbi": -0.06997391, "dbc": -0.27441821, "dbo": 0.16532821,
    },
    # community.deeplearning.ai, topic 67533, "LSTM_backward wrong output": in step 1, the adjoint of f has c_1 for c_0.
    "sequence_topic_67533": {"dx": [-0.00424213, 0.28205375, -0.48292508, -0.43281115], "da0": 0.36036164521813085},
    # community.deeplearning.ai, topic 8480, "C5W1A1 wrong results of lstm_backward"; not explained.
    "sequence_topic_8480": {
        "dx": [0.01034214, 1.03473735, -0.2398793, -0.43281115], "da0": 0.5883931290038376, "dWf": -0.02269017674887574,
        "dWi": 0.6099853844261891, "dWc": -0.013857139274558946, "dWo": 0.04772920545685257,
        "dbf": -0.199665, "dbi": -0.7340795, "dbc": -0.56981661,
    },
    # Expected output of the cell exercise, in all notebooks; equals automatic differentiation.
    "cell_expected": {
        "dxt": 3.23055911511, "da_prev": -0.0639621419711, "dc_prev": 0.797522038797, "dWf": -0.147954838164,
        "dWi": 1.05749805523, "dWc": 2.30456216369, "dWo": 0.331311595289,
        "dbf": 0.18864637, "dbi": -0.40142491, "dbc": 0.25587763, "dbo": 0.13893342,
    },
    # community.deeplearning.ai, topic 22398, "lstm_cell_backward: output is not an expected one".
    # o and dc_prev are right, the rest is not explained.
    "cell_topic_22398": {
        "dxt": 2.12579913944835, "da_prev": -0.20552946045398332, "dc_prev": 0.7975220387970015,
        "dWf": -0.2640682847873236, "dWi": 1.5829585105119015, "dWc": -1.5415530038483163, "dWo": 0.3313115952892109,
        "dbf": -0.77359774, "dbi": -0.32039169, "dbc": 0.23712318, "dbo": 0.13893342,
    },
    # A question of May 2023 about the ungraded cell exercise; only the last four numbers are quoted; not explained.
    "cell_question_2023": {"dbf": 1.23112653, "dbi": -1.22362657, "dbc": 1.13641227, "dbo": -0.18974623},
}  # fmt: skip
GATES = {"i": "i", "f": "f", "g": "c", "o": "o"}


def inputs(exercise: str) -> dict[str, np.ndarray]:
    """The problem of the exercise under the names of the other case studies."""
    rng = np.random.RandomState(1)
    a = {name: rng.randn(*shape) for name, shape in DRAWS[exercise]}
    out = {f"W_{k}": a[f"W{v}"][:, N_A:] for k, v in GATES.items()}
    out |= {f"U_{k}": a[f"W{v}"][:, :N_A] for k, v in GATES.items()}
    out |= {f"b_{k}": a[f"b{v}"][:, 0] for k, v in GATES.items()}
    if exercise == "sequence":
        nothing = np.zeros((M, N_A))
        out |= {"x": a["x"].transpose(2, 1, 0)[:4], "h_0": a["a0"].T, "c_0": nothing}
        return out | {"d_output": a["da"].transpose(2, 1, 0), "d_h_n": nothing, "d_c_n": nothing}
    out |= {"x": a["xt"].T[None], "h_0": a["a_prev"].T, "c_0": a["c_prev"].T, "d_output": np.zeros((1, M, N_A))}
    return out | {"d_h_n": a["da_next"].T, "d_c_n": a["dc_next"].T}


def printed(name: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The gradient of every input, NaN where nothing was printed."""
    out = {f"d_{k}": np.full(a.shape, np.nan) for k, a in given.items() if not k.startswith("d_")}
    for key, value in SETS[name].items():
        if key in ("dx", "dxt"):
            out["d_x"][:, 2, 1] = value
        elif key in ("da0", "da_prev"):
            out["d_h_0"][3, 2] = value
        elif key == "dc_prev":
            out["d_c_0"][3, 2] = value
        else:
            gate = {v: k for k, v in GATES.items()}[key[2]]
            row, column = (4, None) if key[1] == "b" else (1, 2) if key[2] in "io" else (3, 1)
            if column is None:
                out[f"d_b_{gate}"][row] = value
            else:
                out[f"d_U_{gate}"][row, column] = value
    return {k: a for k, a in out.items() if not np.all(np.isnan(a))}
