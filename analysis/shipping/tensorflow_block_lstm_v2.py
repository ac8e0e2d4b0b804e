"""TensorFlow: the gradient of ``tf.raw_ops.BlockLSTMV2`` as automatic differentiation gives it.

    python tensorflow_block_lstm_v2.py IN.npz OUT.npz [--how tape|graph|by_hand|v1] [--peepholes]

The op runs a whole LSTM: w (D+H, 4H) acts on [x, h], columns i, f, g, o ("ifco" in TensorFlow's words, its ci is our
g). Its older sister BlockLSTM has the columns i, g, f, o and adds ``forget_bias``. In TensorFlow 2.21.0 and in the
nightly 2.22.0.dev20260905 the file python/ops/rnn_grad.py registers one and the same function for both, and that
function calls the kernel BlockLSTMGrad, which is that of the older op. The right kernel, BlockLSTMGradV2, exists and
is not called.

--how tape (default): tf.GradientTape, eager. graph: the same inside tf.function. by_hand: tf.raw_ops.BlockLSTMGradV2
    on the same tensors, for comparison. v1: BlockLSTM under the tape, with its own order of columns, forget_bias 0.
--peepholes: use p_i, p_f, p_o; without it they are neither used nor written.

All cotangents reach the op: every h_t, the last h (through the last h_t) and the last c (through the last of the cs).
float32: the op takes half and float only.
"""

import json
import os
import sys
from importlib.metadata import version

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

ORDER = {"tape": "ifgo", "graph": "ifgo", "by_hand": "ifgo", "v1": "igfo"}
WRT = ("x", "cs_prev", "h_prev", "w", "b", "wci", "wcf", "wco")


def main(given: dict[str, np.ndarray], how: str, peepholes: bool) -> dict[str, np.ndarray]:
    """The framework's values and gradients under the names of the case studies."""
    order = ORDER[how]
    steps, _, inputs = given["x"].shape
    units = given["h_0"].shape[1]
    theirs = {
        "x": given["x"],
        "cs_prev": given["c_0"],
        "h_prev": given["h_0"],
        "w": np.hstack([np.vstack([given[f"W_{k}"].T, given[f"U_{k}"].T]) for k in order]),
        "b": np.concatenate([given[f"b_{k}"] for k in order]),
        **{f"wc{k}": given[f"p_{k}"] if peepholes else np.zeros(units) for k in "ifo"},
    }
    tensors = {k: tf.constant(a.astype(np.float32)) for k, a in theirs.items()}
    d_hs = given["d_output"].copy()
    d_hs[-1] += given["d_h_n"]
    d_cs = np.zeros_like(d_hs)
    d_cs[-1] = given["d_c_n"]
    d_hs, d_cs = (tf.constant(a.astype(np.float32)) for a in (d_hs, d_cs))
    length = tf.constant(steps, tf.int64)

    def op():
        if how == "v1":
            return tf.raw_ops.BlockLSTM(
                seq_len_max=length, **tensors, forget_bias=0.0, cell_clip=0.0, use_peephole=peepholes
            )
        return tf.raw_ops.BlockLSTMV2(seq_len_max=length, **tensors, cell_clip=0.0, use_peephole=peepholes)

    def differentiate():
        with tf.GradientTape() as tape:
            tape.watch(list(tensors.values()))
            run = op()
            loss = tf.reduce_sum(d_hs * run.h) + tf.reduce_sum(d_cs * run.cs)
        return run, tape.gradient(loss, [tensors[k] for k in WRT])

    if how == "by_hand":
        run = op()
        back = tf.raw_ops.BlockLSTMGradV2(
            seq_len_max=length, **tensors, **run._asdict(), cs_grad=d_cs, h_grad=d_hs, use_peephole=peepholes
        )
        grads = [getattr(back, f"{k}_grad") for k in WRT]
    else:
        run, grads = (tf.function(differentiate) if how == "graph" else differentiate)()

    d = {k: g.numpy() for k, g in zip(WRT, grads, strict=True)}
    out = {"output": run.h.numpy(), "h_n": run.h.numpy()[-1], "c_n": run.cs.numpy()[-1]}
    out |= {"d_x": d["x"], "d_h_0": d["h_prev"], "d_c_0": d["cs_prev"]}
    for k, block, bias in zip(order, np.split(d["w"], 4, axis=1), np.split(d["b"], 4), strict=True):
        out |= {f"d_W_{k}": block[:inputs].T, f"d_U_{k}": block[inputs:].T, f"d_b_{k}": bias}
    if peepholes:
        out |= {f"d_p_{k}": d[f"wc{k}"] for k in "ifo"}
    return out


if __name__ == "__main__":
    source, target, *options = sys.argv[1:]
    how = options[options.index("--how") + 1] if "--how" in options else "tape"
    with np.load(source) as file:
        np.savez(target, **main(dict(file), how, "--peepholes" in options))
    print(json.dumps({"tensorflow": tf.__version__, "numpy": version("numpy")}))
