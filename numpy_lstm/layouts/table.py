"""How frameworks store the weights of a cell: one layer, one direction. Data only; ``__init__.py`` reads it.

Stored arrays stand apart by two spaces or a new line, each as ``name = blocks[gates] axes``:

    kernel = W[ifgo] d (g h)         (D, 4H): four blocks side by side, i first
    upward.W = W[gifo] (h g) d       (4H, D): interleaved, the four gates of a unit next to one another
    w = W,U[igfo] d+r (g h)          (D+R, 4H): acts on [x, h]
    B = b,b2[iofg] 1 (s g h)         (1, 8H): all of b, then all of b2 (s counts the blocks before the bracket)
    i{i,f}.bias = b[if] h            one array per gate, each with its own spelling of it
    0 = b2[n] h                      nowhere stored, and zero

Axes: d inputs, h units, r recurrent width. Blocks: W (h,d), U (h,r), b (h), p peepholes (h), M projection (r,h), and
b2, a second bias that is added to the first; for the candidate n of the GRU page it is that page's own b_hn.
Arrays with blocks that a cell lacks (p, M) are left out. Names of nested trees are joined by dots.
[ran] checked against the framework, [src] read in its source, [doc] in its documentation.
"""

from ..pages import GRU, LSTM, RNN, CoupledLSTM, GRUResetBefore, Page, PeepholeLSTM, PeepholeOldLSTM

# Added to b_f by the framework while it runs, so not in what it stores. (TF: the default of the argument forget_bias.)
FORGET_BIAS = {"tf_block": 1, "haiku": 1}

TABLE: dict[str, dict[Page | tuple[Page, ...], str]] = {
    # PyTorch 2.13 torch.nn [ran]; projection: LSTM with proj_size.
    "torch": {
        LSTM: """
            weight_ih_l0 = W[ifgo] (g h) d  weight_hh_l0 = U[ifgo] (g h) r  weight_hr_l0 = M r h
            bias_ih_l0 = b[ifgo] (g h)      bias_hh_l0 = b2[ifgo] (g h)""",
        GRU: """
            weight_ih_l0 = W[rzn] (g h) d   weight_hh_l0 = U[rzn] (g h) r
            bias_ih_l0 = b[rzn] (g h)       bias_hh_l0 = b2[rzn] (g h)""",
        RNN: "weight_ih_l0 = W h d  weight_hh_l0 = U h r  bias_ih_l0 = b h  bias_hh_l0 = b2 h",
    },
    # PyTorch 2.13 torch.nn.LSTMCell, GRUCell, RNNCell [ran].
    "torch_cell": {
        LSTM: """
            weight_ih = W[ifgo] (g h) d  weight_hh = U[ifgo] (g h) r
            bias_ih = b[ifgo] (g h)      bias_hh = b2[ifgo] (g h)""",
        GRU: """
            weight_ih = W[rzn] (g h) d   weight_hh = U[rzn] (g h) r
            bias_ih = b[rzn] (g h)       bias_hh = b2[rzn] (g h)""",
        RNN: "weight_ih = W h d  weight_hh = U h r  bias_ih = b h  bias_hh = b2 h",
    },
    # Keras 3.15 [ran]; GRU: reset_after=True and False.
    "keras": {
        LSTM: "kernel = W[ifgo] d (g h)  recurrent_kernel = U[ifgo] r (g h)  bias = b[ifgo] (g h)",
        GRU: "kernel = W[zrn] d (g h)  recurrent_kernel = U[zrn] r (g h)  bias = b,b2[zrn] s (g h)",
        GRUResetBefore: "kernel = W[zrn] d (g h)  recurrent_kernel = U[zrn] r (g h)  bias = b[zrn] (g h)",
        RNN: "kernel = W d h  recurrent_kernel = U r h  bias = b h",
    },
    # ONNX LSTM, GRU (linear_before_reset = 1 and 0), RNN, opset 7 to 22 [src], LSTM [ran].
    "onnx": {
        (LSTM, PeepholeLSTM, PeepholeOldLSTM): """
            W = W[iofg] 1 (g h) d  R = U[iofg] 1 (g h) r  B = b,b2[iofg] 1 (s g h)  P = p[iof] 1 (g h)""",
        (GRU, GRUResetBefore): "W = W[zrn] 1 (g h) d  R = U[zrn] 1 (g h) r  B = b,b2[zrn] 1 (s g h)",
        RNN: "W = W 1 h d  R = U 1 h r  B = b,b2 1 (s h)",
    },
    # TensorFlow 2.21 raw ops LSTMBlockCell and BlockLSTM [ran]; cell_clip is no matter of layout.
    "tf_block": {
        (LSTM, PeepholeLSTM): """
            w = W,U[igfo] d+r (g h)  b = b[igfo] (g h)  wc{i,f,o} = p[ifo] h""",
    },
    # TensorFlow 2.21 raw op BlockLSTMV2 [ran].
    "tf_block_v2": {
        (LSTM, PeepholeLSTM): """
            w = W,U[ifgo] d+r (g h)  b = b[ifgo] (g h)  wc{i,f,o} = p[ifo] h""",
    },
    # Flax 0.12 linen.LSTMCell, OptimizedLSTMCell [ran]; linen.GRUCell: shapes [ran], equations [src].
    "flax": {
        LSTM: """
            i{i,f,g,o}.kernel = W[ifgo] d h  h{i,f,g,o}.kernel = U[ifgo] r h  h{i,f,g,o}.bias = b[ifgo] h""",
        GRU: """
            i{r,z,n}.kernel = W[rzn] d h  i{r,z,n}.bias = b[rzn] h
            h{r,z,n}.kernel = U[rzn] r h  h{n}.bias = b2[n] h""",
    },
    # Flax 0.12 nnx.OptimizedLSTMCell [ran], nnx.GRUCell, which has no second bias, and nnx.SimpleCell [src].
    "flax_nnx": {
        LSTM: "dense_i.kernel = W[ifgo] d (g h)  dense_h.kernel = U[ifgo] r (g h)  dense_h.bias = b[ifgo] (g h)",
        GRU: """
            dense_i.kernel = W[rzn] d (g h)  dense_i.bias = b[rzn] (g h)
            dense_h.kernel = U[rzn] r (g h)  0 = b2[n] h""",
        RNN: "dense_i.kernel = W d h  dense_h.kernel = U r h  dense_i.bias = b h",
    },
    # Equinox 0.13 LSTMCell, GRUCell [ran].
    "equinox": {
        LSTM: "weight_ih = W[ifgo] (g h) d  weight_hh = U[ifgo] (g h) r  bias = b[ifgo] (g h)",
        GRU: "weight_ih = W[rzn] (g h) d  weight_hh = U[rzn] (g h) r  bias = b[rzn] (g h)  bias_n = b2[n] h",
    },
    # Haiku 0.0.17 LSTM [ran].
    "haiku": {LSTM: "linear.w = W,U[igfo] d+r (g h)  linear.b = b[igfo] (g h)"},
    # MXNet 1.9 gluon.rnn [ran]; projection_size [doc].
    "mxnet": {
        LSTM: """
            l0_i2h_weight = W[ifgo] (g h) d  l0_h2h_weight = U[ifgo] (g h) r  l0_h2r_weight = M r h
            l0_i2h_bias = b[ifgo] (g h)      l0_h2h_bias = b2[ifgo] (g h)""",
        GRU: """
            l0_i2h_weight = W[rzn] (g h) d   l0_h2h_weight = U[rzn] (g h) r
            l0_i2h_bias = b[rzn] (g h)       l0_h2h_bias = b2[rzn] (g h)""",
        RNN: "l0_i2h_weight = W h d  l0_h2h_weight = U h r  l0_i2h_bias = b h  l0_h2h_bias = b2 h",
    },
    # cuDNN 9, by linLayerID, CUDNN_RNN_DOUBLE_BIAS [doc].
    "cudnn": {
        LSTM: """
            matrix_{0,1,2,3} = W[ifgo] h d  matrix_{4,5,6,7} = U[ifgo] h r  matrix_8 = M r h
            bias_{0,1,2,3} = b[ifgo] h      bias_{4,5,6,7} = b2[ifgo] h""",
        GRU: """
            matrix_{0,1,2} = W[rzn] h d     matrix_{3,4,5} = U[rzn] h r
            bias_{0,1,2} = b[rzn] h         bias_{3,4,5} = b2[rzn] h""",
        RNN: "matrix_0 = W h d  matrix_1 = U h r  bias_0 = b h  bias_1 = b2 h",
    },
    # Chainer 7.8 links.LSTM [ran].
    "chainer": {LSTM: "upward.W = W[gifo] (h g) d  upward.b = b[gifo] (h g)  lateral.W = U[gifo] (h g) r"},
    # Chainer 7.8 links.NStepLSTM, one layer [ran].
    "chainer_nstep": {
        LSTM: """
            w{0,1,2,3} = W[ifgo] h d  w{4,5,6,7} = U[ifgo] h r  b{0,1,2,3} = b[ifgo] h  b{4,5,6,7} = b2[ifgo] h""",
    },
    # Haste, TensorFlow and PyTorch layers [src].
    "haste": {LSTM: "kernel = W[igfo] d (g h)  recurrent_kernel = U[igfo] r (g h)  bias = b[igfo] (g h)"},
    # ROOT TMVA BasicLSTM, GRU and RNN layers: GetWeightsAt(k), GetBiasesAt(k) [src]. Tags in its weight files do not
    # name their contents: they call these arrays W_i, U_i, W_f, U_f, ... in turn. No GRU of TMVA has a second bias.
    "tmva": {
        LSTM: """
            weights_{0,1,2,3} = W[ifgo] h d  weights_{4,5,6,7} = U[ifgo] h r  biases_{0,1,2,3} = b[ifgo] h 1""",
        GRU: """
            weights_{0,1,2} = W[rzn] h d  weights_{3,4,5} = U[rzn] h r  biases_{0,1,2} = b[rzn] h 1  0 = b2[n] h""",
        GRUResetBefore: """
            weights_{0,1,2} = W[rzn] h d  weights_{3,4,5} = U[rzn] h r  biases_{0,1,2} = b[rzn] h 1""",
        RNN: "weights_0 = W h d  weights_1 = U h r  biases_0 = b h 1",
    },
    # WebNN lstm with layout "iofg" and gru with "zrn", its defaults [src]. Its published decomposition lets o look at
    # the old cell: that is PeepholeOldLSTM. PeepholeLSTM, like ONNX, looks at the new one. p_o is stored alike.
    "webnn_iofg": {
        (LSTM, PeepholeLSTM, PeepholeOldLSTM): """
            weight = W[iofg] 1 (g h) d  recurrentWeight = U[iofg] 1 (g h) r  peepholeWeight = p[iof] 1 (g h)
            bias = b[iofg] 1 (g h)      recurrentBias = b2[iofg] 1 (g h)""",
        (GRU, GRUResetBefore): """
            weight = W[zrn] 1 (g h) d   recurrentWeight = U[zrn] 1 (g h) r
            bias = b[zrn] 1 (g h)       recurrentBias = b2[zrn] 1 (g h)""",
    },
    # WebNN lstm with layout "ifgo" and gru with "rzn" [src]; peepholes stay i, o, f.
    "webnn_ifgo": {
        (LSTM, PeepholeLSTM, PeepholeOldLSTM): """
            weight = W[ifgo] 1 (g h) d  recurrentWeight = U[ifgo] 1 (g h) r  peepholeWeight = p[iof] 1 (g h)
            bias = b[ifgo] 1 (g h)      recurrentBias = b2[ifgo] 1 (g h)""",
        (GRU, GRUResetBefore): """
            weight = W[rzn] 1 (g h) d   recurrentWeight = U[rzn] 1 (g h) r
            bias = b[rzn] 1 (g h)       recurrentBias = b2[rzn] 1 (g h)""",
    },
    # Caffe LSTM layer: its blobs by the names that it gives them inside [src].
    "caffe": {LSTM: "W_xc = W[ifog] (g h) d  b_c = b[ifog] (g h)  W_hc = U[ifog] (g h) r"},
    # Core ML neural networks: LSTMWeightParams, GRULayerParams, SimpleRecurrentLayerParams [doc]. Pre-activations are
    # clipped at 50 there; forgetBias, which adds 1 to b_f, is no matter of layout.
    "coreml": {
        (LSTM, PeepholeLSTM): """
            {inputGate,forgetGate,blockInput,outputGate}WeightMatrix = W[ifgo] h d
            {inputGate,forgetGate,blockInput,outputGate}RecursionMatrix = U[ifgo] h r
            {inputGate,forgetGate,blockInput,outputGate}BiasVector = b[ifgo] h
            {inputGate,forgetGate,outputGate}PeepholeVector = p[ifo] h""",
        GRUResetBefore: """
            {updateGate,resetGate,outputGate}WeightMatrix = W[zrn] h d
            {updateGate,resetGate,outputGate}RecursionMatrix = U[zrn] h r
            {updateGate,resetGate,outputGate}BiasVector = b[zrn] h""",
        RNN: "weightMatrix = W h d  recursionMatrix = U h r  biasVector = b h",
    },
    # Core ML ML programs: the operations lstm, gru, rnn; gru has its one bias outside the reset [doc].
    "coreml_mil": {
        LSTM: "weight_ih = W[ifog] (g h) d  weight_hh = U[ifog] (g h) r  bias = b[ifog] (g h)",
        GRU: "weight_ih = W[rnz] (g h) d  weight_hh = U[rnz] (g h) r  bias = b[rnz] (g h)  0 = b2[n] h",
        RNN: "weight_ih = W h d  weight_hh = U h r  bias = b h",
    },
    # TensorFlow Lite LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM; without the arrays of the input gate, i = 1 - f [src].
    "tflite": {
        (LSTM, PeepholeLSTM): """
            input_to_{input,forget,cell,output}_weights = W[ifgo] h d
            recurrent_to_{input,forget,cell,output}_weights = U[ifgo] h r
            cell_to_{input,forget,output}_weights = p[ifo] h  projection_weights = M r h
            {input,forget,cell,output}_gate_bias = b[ifgo] h""",
        CoupledLSTM: """
            input_to_{forget,cell,output}_weights = W[fgo] h d
            recurrent_to_{forget,cell,output}_weights = U[fgo] h r
            {forget,cell,output}_gate_bias = b[fgo] h  projection_weights = M r h""",
    },
    # OpenVINO LSTMCell-4 [doc].
    "openvino": {LSTM: "W = W[figo] (g h) d  R = U[figo] (g h) r  B = b[figo] (g h)"},
    # Tutorials after Olah 2015, "Understanding LSTM Networks": one matrix per gate on [h, x], C is the candidate.
    "tutorial": {LSTM: "W_{f,i,C,o} = U,W[figo] h r+d  b_{f,i,C,o} = b[figo] h"},
}
