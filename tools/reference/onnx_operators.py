"""Graphs made by hand: every attribute of LSTM, GRU and RNN, and every other supported operator in the forms of the
opsets. Names begin with hand_."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnx_golden import Numbers, case

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


class Graph:
    """A graph under construction: constants are initializers."""
    def __init__(self, name, opset):
        self.name, self.opset, self.nodes, self.constants = name, opset, [], []
        self.inputs, self.numbers, self.values = [], Numbers(name), {}

    def input(self, name, shape, value=None):
        value = self.numbers(*[6 if d in ("B", None) else 5 if d == "T" else d for d in shape]) if value is None else value
        self.inputs.append(helper.make_tensor_value_info(name, INT64 if value.dtype.kind == "i" else FLOAT, shape))
        self.values[name] = value
        return name

    def constant(self, value, name=None):
        value = np.asarray(value)
        name = name or f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.astype("float32") if value.dtype == np.float64 else value, name))
        return name

    def weights(self, *shape, scale=0.4):
        return self.constant((self.numbers(*shape) * np.float32(scale)).astype("float32"))

    def __call__(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)] if isinstance(outputs, int) else outputs
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if len(names) == 1 else names

    def done(self, outputs, **more):
        """outputs: by name, the shapes (None: as inferred)."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, [helper.make_tensor_value_info(n, FLOAT, s) for n, s in outputs.items()], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], producer_name="onnx.helper",
                                  ir_version=4 if self.opset < 10 else 8)
        case(self.name, onnx.shape_inference.infer_shapes(model), self.values, **more)


def recurrent(name, op="LSTM", opset=14, directions=1, units=4, bias=True, lengths=None, states=None, peepholes=False, outputs=("Y",), layout=0,
              T="T", refused=None, notes="", **attributes):
    """One recurrent node. lengths: "input", a list of constants, or None. states: "input", "constant", "zeros" or None."""
    g = Graph("hand_" + name, opset)
    rows = 6
    x = g.input("X", ["B", T, 3] if layout else [T, "B", 3])
    if lengths is not None or states in ("constant", "zeros"):  # the number of rows is in the file
        g.inputs[0] = helper.make_tensor_value_info("X", FLOAT, [rows, 5, 3] if layout else [5, rows, 3])
    k = GATES[op]
    inputs = [x, g.weights(directions, k * units, 3), g.weights(directions, k * units, units), g.weights(directions, 2 * k * units) if bias else ""]
    if lengths == "input":
        value = np.array([5, 3, 1, 4, 2, 5], "int32")
        g.inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [rows]))
        g.values["lengths"] = value
        inputs.append("lengths")
    else:
        inputs.append(g.constant(np.array(lengths, "int32")) if lengths is not None else "")
    axes = {} if layout else {"X": 1, "Y": 2, "Y_h": 1, "Y_c": 1, "h": 1, "c": 1}
    for state in ["h", "c"][:2 if op == "LSTM" else 1]:
        shape = [rows, directions, units] if layout else [directions, rows, units]
        if states == "input":
            open_shape = ["B" if d == rows else d for d in shape]
            inputs.append(g.input(state, open_shape))
        elif states:
            inputs.append(g.constant(np.zeros(shape, "float32") if states == "zeros" else g.numbers(*shape)))
        else:
            inputs.append("")
    if op == "LSTM":
        inputs.append(g.weights(directions, 3 * units) if peepholes else "")
    while not inputs[-1]:
        inputs.pop()
    order = ["Y", "Y_h", "Y_c"][:3 if op == "LSTM" else 2]
    produced = [o if o in outputs else "" for o in order]
    while not produced[-1]:
        produced.pop()
    if layout:
        attributes["layout"] = layout
    if directions == 2:
        attributes["direction"] = "bidirectional"
    g(op, *inputs, outputs=produced, hidden_size=units, **attributes)
    g.done({o: None for o in outputs}, axes=axes, refused=refused, notes=notes)


def recurrent_cases():
    three = ("Y", "Y_h", "Y_c")
    for op in GATES:
        low, all_outputs = op.lower(), three[:3 if op == "LSTM" else 2]
        recurrent(low, op, 7)
        recurrent(low + "_outputs", op, 11, outputs=all_outputs)
        recurrent(low + "_last", op, 13, outputs=("Y_h",))
        recurrent(low + "_no_bias", op, 14, bias=False)
        recurrent(low + "_reverse", op, 14, direction="reverse", outputs=all_outputs)
        recurrent(low + "_both", op, 14, directions=2, outputs=all_outputs)
        recurrent(low + "_states", op, 14, states="input", outputs=all_outputs)
        recurrent(low + "_both_states", op, 22, directions=2, states="input", outputs=all_outputs)
        recurrent(low + "_states_zeros", op, 9, states="zeros")
        recurrent(low + "_lengths_constant", op, 14, lengths=[5, 3, 1, 4, 2, 5], outputs=all_outputs, refused="sequence_lens")
        recurrent(low + "_lengths_full", op, 14, lengths=[5] * 6)
        recurrent(low + "_lengths", op, 14, lengths="input", outputs=all_outputs)
        recurrent(low + "_clip", op, 14, clip=1.0, refused="clip")
        # onnxruntime supports only layout 0; layout 1 is computed below
    recurrent("lstm_lengths_reverse", lengths="input", direction="reverse", outputs=three)
    recurrent("lstm_lengths_both", lengths="input", directions=2, outputs=three)
    recurrent("lstm_states_constant", states="constant", outputs=three, refused="differ from row to row")
    recurrent("lstm_peepholes", peepholes=True, outputs=three)
    recurrent("lstm_peepholes_both", peepholes=True, directions=2)
    recurrent("lstm_input_forget", input_forget=1, refused="input_forget")
    recurrent("lstm_activations", activations=["HardSigmoid", "Relu", "Tanh"])
    recurrent("lstm_activations_both", directions=2, activations=["Sigmoid", "Tanh", "Relu", "HardSigmoid", "Softsign", "Tanh"])
    recurrent("lstm_activations_case", activations=["sigmoid", "TANH", "tanh"])
    recurrent("lstm_hard_sigmoid_alpha", activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[1 / 6], activation_beta=[0.5])
    recurrent("gru_linear_before_reset", "GRU", linear_before_reset=1, outputs=three[:2])
    recurrent("gru_both_linear_before_reset", "GRU", directions=2, linear_before_reset=1)
    recurrent("gru_activations", "GRU", activations=["HardSigmoid", "Softsign"])
    recurrent("gru_lengths_linear_before_reset", "GRU", linear_before_reset=1, lengths="input", outputs=three[:2])
    recurrent("rnn_relu", "RNN", activations=["Relu"])
    recurrent("rnn_both_activations", "RNN", directions=2, activations=["Relu", "Tanh"])
    recurrent("rnn_leaky_relu", "RNN", activations=["LeakyRelu"], activation_alpha=[0.2])
    recurrent("rnn_elu", "RNN", activations=["Elu"], activation_alpha=[1.0])
    recurrent("rnn_softplus", "RNN", activations=["Softplus"])
    recurrent("rnn_scaled_tanh", "RNN", activations=["ScaledTanh"], activation_alpha=[1.7159], activation_beta=[0.6667])
    recurrent("rnn_affine", "RNN", activations=["Affine"], activation_alpha=[0.5], activation_beta=[0.1])
    recurrent("rnn_thresholded_relu", "RNN", activations=["ThresholdedRelu"], activation_alpha=[0.1])


def sequence(name, build, shape=("B", "T", 4), opset=13, after="lstm", out=None, **more):
    """A batch-first LSTM, then build(graph, its output [B, T, 4]); if `after` is None, build on the input."""
    g = Graph("hand_" + name, opset)
    y = g.input("x", list(shape))
    if after:
        y = g("Transpose", y, perm=[1, 0, 2])
        y = g("LSTM", y, g.weights(1, 16, shape[-1]), g.weights(1, 16, 4), g.weights(1, 32), hidden_size=4)
        y = g("Squeeze", y, g.constant(np.array([1]))) if opset >= 13 else g("Squeeze", y, axes=[1])
        y = g("Transpose", y, perm=[1, 0, 2])
    result = build(g, y)
    names = list(result) if isinstance(result, (list, tuple)) else [result]
    g.done({n: None for n in names}, **more)


def ints(*values):
    return np.array(values, "int64")


def activation_cases():
    simple = {"Relu": {}, "Tanh": {}, "Sigmoid": {}, "LeakyRelu": {"alpha": 0.2}, "Elu": {"alpha": 0.7}, "Selu": {}, "HardSigmoid": {"alpha": 0.25, "beta": 0.4},
              "Softplus": {}, "Softsign": {}, "Exp": {}, "Neg": {}, "Abs": {}, "ThresholdedRelu": {"alpha": 0.1}, "Erf": {}, "Sin": {}, "Cos": {}}
    for op, attributes in simple.items():
        sequence(op.lower(), lambda g, y: g(op, y, **attributes))
    sequence("leakyrelu_default", lambda g, y: g("LeakyRelu", y))
    sequence("hardsigmoid_default", lambda g, y: g("HardSigmoid", y))
    sequence("hardswish", lambda g, y: g("HardSwish", y), opset=14)
    sequence("mish", lambda g, y: g("Mish", y), opset=18)
    sequence("gelu", lambda g, y: g("Gelu", y), opset=20)
    sequence("gelu_tanh", lambda g, y: g("Gelu", y, approximate="tanh"), opset=20)
    sequence("prelu", lambda g, y: g("PRelu", y, g.constant([0.1, 0.2, 0.3, 0.4])))
    sequence("clip", lambda g, y: g("Clip", y, g.constant(np.float32(-0.1)), g.constant(np.float32(0.2))))
    sequence("clip_attributes", lambda g, y: g("Clip", y, min=-0.1, max=0.2), opset=9)
    sequence("relu6", lambda g, y: g("Clip", g("Mul", y, g.constant(np.float32(20))), g.constant(np.float32(0)), g.constant(np.float32(6))))
    for opset in (11, 13):
        sequence(f"softmax_{opset}", lambda g, y: g("Softmax", y, axis=-1 if opset == 13 else 2), opset=opset)
        sequence(f"log_softmax_{opset}", lambda g, y: g("LogSoftmax", y, axis=2), opset=opset)
    sequence("softmax_time", lambda g, y: g("Softmax", y, axis=1))
    sequence("softmax_old_axis_1", lambda g, y: g("Softmax", y, axis=1), shape=("B", 4), after=None, opset=9)
    sequence("softmax_old_flattens", lambda g, y: g("Softmax", y, axis=1), shape=("B", 5, 4), after=None, opset=11)
    sequence("dropout", lambda g, y: g("Identity", g("Dropout", y, ratio=0.5)), opset=11)
    sequence("dropout_13", lambda g, y: g("Dropout", y, g.constant(np.float32(0.5))))
    sequence("sqrt", lambda g, y: g("Sqrt", g("Abs", y)))
    sequence("log", lambda g, y: g("Log", g("Add", g("Abs", y), g.constant(np.float32(1)))))
    sequence("reciprocal", lambda g, y: g("Reciprocal", g("Add", y, g.constant(np.float32(2)))))


def last(g, y):
    return g("Gather", y, g.constant(np.array(-1, "int64")), axis=1)


def dense_cases():
    def gemm(g, y, **attributes):
        y = last(g, y)
        shape = (2, 4) if attributes.get("transB") else (4, 2)
        return g("Gemm", y, g.weights(*shape), g.weights(2), **attributes)
    sequence("gemm", lambda g, y: gemm(g, y))
    sequence("gemm_trans_b", lambda g, y: gemm(g, y, transB=1))
    sequence("gemm_alpha_beta", lambda g, y: gemm(g, y, alpha=0.5, beta=2.0))
    sequence("gemm_no_c", lambda g, y: g("Gemm", last(g, y), g.weights(4, 2)))
    sequence("gemm_scalar_c", lambda g, y: g("Gemm", last(g, y), g.weights(4, 2), g.constant(np.float32(0.3))))
    sequence("gemm_row_c", lambda g, y: g("Gemm", last(g, y), g.weights(4, 2), g.weights(1, 2)))
    sequence("gemm_old", lambda g, y: g("Gemm", last(g, y), g.weights(4, 2), g.weights(2)), opset=7)
    sequence("matmul", lambda g, y: g("MatMul", y, g.weights(4, 2)))
    sequence("matmul_add", lambda g, y: g("Add", g("MatMul", y, g.weights(4, 2)), g.weights(2)))
    sequence("matmul_add_left", lambda g, y: g("Add", g.weights(2), g("MatMul", y, g.weights(4, 2))))
    sequence("matmul_vector", lambda g, y: g("MatMul", y, g.weights(4)), refused="two axes")
    sequence("matmul_values", lambda g, y: g("MatMul", y, g("Transpose", y, perm=[0, 2, 1])), shape=("B", 5, 4))
    sequence("matmul_values_scaled", lambda g, y: g("MatMul", g("Softmax", g("Div", g("MatMul", y, g("Transpose", y, perm=[0, 2, 1])), g.constant(np.float32(2))), axis=-1), y), shape=("B", 5, 4))
    sequence("matmul_open", lambda g, y: g("MatMul", y, g("Transpose", y, perm=[0, 2, 1])), refused="open size")
    sequence("matmul_mlp", lambda g, y: g("Tanh", g("Add", g("MatMul", g("Relu", g("Add", g("MatMul", y, g.weights(4, 5)), g.weights(5))), g.weights(5, 3)), g.weights(3))))
    sequence("einsum", lambda g, y: g("Einsum", y, g.weights(4, 2), equation="btf,fu->btu"), refused="Einsum")
    sequence("lonely_dense", lambda g, y: g("Gemm", y, g.weights(4, 2), g.weights(2)), shape=("B", 4), after=None)
    embedding()


def embedding():
    g = Graph("hand_embedding", 13)
    ids = g.input("ids", ["B", "T"], g.numbers.ids(6, 5))
    y = g("Gather", g.weights(9, 3), ids)
    y = g("Transpose", y, perm=[1, 0, 2])
    _, h = g("GRU", y, g.weights(1, 12, 3), g.weights(1, 12, 4), g.weights(1, 24), hidden_size=4, linear_before_reset=1, outputs=["", "h"])
    y = g("Squeeze", "h", g.constant(ints(0)))
    g.done({y: None})


def convolution_cases():
    def conv(name, weights=(6, 3, 3), shape=("B", 3, 8), bias=True, opset=13, then=None, refused=None, **attributes):
        def build(g, y):
            y = g("Conv", y, g.weights(*weights), *([g.weights(weights[0])] if bias else []), **attributes)
            return then(g, y) if then else y
        sequence("conv_" + name, build, shape=shape, after=None, opset=opset, refused=refused)
    conv("1d")
    conv("1d_pads", pads=[1, 1], kernel_shape=[3])
    conv("1d_causal", pads=[2, 0])
    conv("1d_strides", strides=[2], pads=[1, 1], bias=False)
    conv("1d_dilations", dilations=[2])
    conv("1d_groups", weights=(6, 1, 3), group=3)
    conv("1d_same_upper", auto_pad="SAME_UPPER", strides=[2])
    conv("1d_same_lower", auto_pad="SAME_LOWER", strides=[2], opset=11)
    conv("1d_valid", auto_pad="VALID", opset=7)
    conv("1d_open", shape=("B", 3, "T"), pads=[1, 1], refused="open size")
    conv("2d", weights=(2, 3, 3, 3), shape=("B", 3, 5, 6))
    conv("2d_uneven", weights=(2, 1, 3, 2), shape=("B", 1, 5, 6), pads=[1, 0, 0, 1], strides=[2, 1], dilations=[1, 2])
    conv("2d_depthwise", weights=(3, 1, 3, 3), shape=("B", 3, 5, 6), group=3, pads=[1, 1, 1, 1])
    def then_lstm(g, y):
        y = g("Transpose", g("Relu", y), perm=[2, 0, 1])
        y, h = g("LSTM", y, g.weights(1, 16, 6), g.weights(1, 16, 4), hidden_size=4, outputs=["seq", "hid"])
        return g("Gemm", g("Squeeze", "hid", g.constant(ints(0))), g.weights(4, 2), g.weights(2))
    conv("1d_lstm", then=then_lstm)
    pools = {"max_pool": ("MaxPool", dict(kernel_shape=[2], strides=[2])), "max_pool_overlapping": ("MaxPool", dict(kernel_shape=[3], strides=[1])),
             "max_pool_pads": ("MaxPool", dict(kernel_shape=[3], strides=[2], pads=[1, 1])), "average_pool": ("AveragePool", dict(kernel_shape=[2], strides=[2])),
             "average_pool_pads": ("AveragePool", dict(kernel_shape=[3], strides=[2], pads=[1, 1])),
             "average_pool_count": ("AveragePool", dict(kernel_shape=[3], strides=[2], pads=[1, 1], count_include_pad=1)),
             "max_pool_same": ("MaxPool", dict(kernel_shape=[3], strides=[2], auto_pad="SAME_UPPER")), "global_max": ("GlobalMaxPool", {}), "global_average": ("GlobalAveragePool", {}),
             "max_pool_ceil": ("MaxPool", dict(kernel_shape=[3], strides=[2], ceil_mode=1))}
    for name, (op, attributes) in pools.items():
        sequence(name, lambda g, y: g(op, y, **attributes), shape=("B", 3, 8), after=None)
    sequence("max_pool_2d", lambda g, y: g("MaxPool", y, kernel_shape=[2, 3], strides=[2, 1]), shape=("B", 3, 6, 5), after=None)
    sequence("average_pool_2d", lambda g, y: g("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2]), shape=("B", 3, 6, 5), after=None)
    sequence("global_average_2d", lambda g, y: g("Flatten", g("GlobalAveragePool", y)), shape=("B", 3, 6, 5), after=None)


def norm_cases():
    def batch_norm(g, y, **more):
        return g("BatchNormalization", y, g.weights(3), g.weights(3), g.weights(3), g.constant(abs(g.numbers(3)) + np.float32(0.5)), **more)
    sequence("batch_norm_1d", lambda g, y: batch_norm(g, y, epsilon=1e-3), shape=("B", 3, 8), after=None)
    sequence("batch_norm_rows", lambda g, y: batch_norm(g, y), shape=("B", 3), after=None, opset=9)
    sequence("batch_norm_2d", lambda g, y: batch_norm(g, y), shape=("B", 3, 4, 5), after=None, opset=15)
    sequence("layer_norm", lambda g, y: g("LayerNormalization", y, g.weights(4), g.weights(4), axis=-1, epsilon=1e-5), opset=17)
    sequence("layer_norm_no_bias", lambda g, y: g("LayerNormalization", y, g.weights(4)), opset=17)
    sequence("layer_norm_two_axes", lambda g, y: g("LayerNormalization", y, g.weights(5, 4), g.weights(5, 4), axis=1), shape=("B", 5, 4), after=None, opset=17)
    sequence("instance_norm", lambda g, y: g("InstanceNormalization", y, g.weights(3), g.weights(3)), shape=("B", 3, 8), after=None)
    sequence("lp_norm", lambda g, y: g("LpNormalization", y, axis=-1, p=2))
    sequence("reduce_l2", lambda g, y: g("Div", y, g("ReduceL2", y, axes=[-1], keepdims=1)))


def arithmetic_cases():
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
        k = lambda g: g.constant(abs(g.numbers(4)) + np.float32(0.5))
        sequence(op.lower() + "_constant", lambda g, y: g(op, y, k(g)))
        sequence(op.lower() + "_constant_left", lambda g, y: g(op, k(g), g("Add", y, g.constant(np.float32(2)))))
        sequence(op.lower() + "_values", lambda g, y: g(op, y, g("Add", g("Tanh", y), g.constant(np.float32(1.5)))))
    sequence("add_scalar", lambda g, y: g("Add", y, g.constant(np.float32(0.5))))
    sequence("add_time_constant", lambda g, y: g("Add", y, g.weights(5, 4)), shape=("B", 5, 4))
    sequence("add_column", lambda g, y: g("Add", y, g.weights(5, 1)), shape=("B", 5, 4))
    sequence("mul_broadcast_row", lambda g, y: g("Mul", y, g("ReduceMean", y, axes=[1], keepdims=1)))
    sequence("mul_broadcast_feature", lambda g, y: g("Mul", y, g("Sigmoid", g("ReduceSum", y, g.constant(ints(-1)), keepdims=1))))
    sequence("pow_2", lambda g, y: g("Pow", y, g.constant(np.float32(2))))
    sequence("pow_half", lambda g, y: g("Pow", g("Abs", y), g.constant(np.float32(0.5))))
    sequence("pow_3", lambda g, y: g("Pow", y, g.constant(np.float32(3))))
    sequence("sum_three", lambda g, y: g("Sum", y, g("Tanh", y), g("Sigmoid", y)))
    sequence("mean_two", lambda g, y: g("Mean", y, g("Tanh", y)))
    sequence("one_minus", lambda g, y: g("Sub", g.constant(np.float32(1)), y))
    sequence("denormalize", lambda g, y: g("Add", g("Mul", last(g, y), g.constant([2.0, 3.0, 4.0, 5.0])), g.constant([1.0, -1.0, 0.5, 0.0])))


def reduce_cases():
    for op in ("ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin"):
        axes = (lambda g, *a: dict(inputs=[g.constant(ints(*a))], more={})) if op == "ReduceSum" else (lambda g, *a: dict(inputs=[], more={"axes": list(a)}))
        def reduce(g, y, *a, **more):
            given = axes(g, *a)
            return g(op, y, *given["inputs"], **given["more"], **more)
        name = op[6:].lower()
        sequence(f"reduce_{name}_time", lambda g, y: reduce(g, y, 1, keepdims=0))
        sequence(f"reduce_{name}_features", lambda g, y: reduce(g, y, -1, keepdims=1))
    sequence("reduce_mean_18", lambda g, y: g("ReduceMean", y, g.constant(ints(1)), keepdims=0), opset=18)
    sequence("reduce_max_18", lambda g, y: g("ReduceMax", y, g.constant(ints(-2)), keepdims=0), opset=18)
    sequence("reduce_sum_9", lambda g, y: g("ReduceSum", y, axes=[1], keepdims=0), opset=9)
    sequence("reduce_two_axes", lambda g, y: g("ReduceMean", y, axes=[1, 2], keepdims=1))
    sequence("reduce_sum_square", lambda g, y: g("ReduceSumSquare", y, axes=[2], keepdims=0), shape=("B", 5, 4))
    sequence("arg_max_value", lambda g, y: g("Cast", g("ArgMax", last(g, y), axis=1, keepdims=0), to=FLOAT), refused="ArgMax")


def shape_cases():
    sequence("slice_last", lambda g, y: g("Slice", y, g.constant(ints(-1)), g.constant(ints(9223372036854775807)), g.constant(ints(1))))
    sequence("slice_steps", lambda g, y: g("Slice", y, g.constant(ints(0)), g.constant(ints(5)), g.constant(ints(1)), g.constant(ints(2))), shape=("B", 5, 4))
    sequence("slice_backwards", lambda g, y: g("Slice", y, g.constant(ints(-1)), g.constant(ints(-9223372036854775807)), g.constant(ints(1)), g.constant(ints(-1))))
    sequence("slice_features", lambda g, y: g("Slice", y, g.constant(ints(1)), g.constant(ints(3)), g.constant(ints(2))))
    sequence("slice_two_axes", lambda g, y: g("Slice", y, g.constant(ints(1, 0)), g.constant(ints(4, 2)), g.constant(ints(1, 2))), shape=("B", 5, 4))
    sequence("slice_attributes", lambda g, y: g("Slice", y, axes=[1], starts=[1], ends=[3]), opset=9, shape=("B", 5, 4))
    sequence("slice_window", lambda g, y: g("Slice", y, g.constant(ints(-3)), g.constant(ints(9223372036854775807)), g.constant(ints(1))), shape=("B", 5, 4))
    sequence("gather_last", last)
    sequence("gather_first", lambda g, y: g("Gather", y, g.constant(np.array(0)), axis=1))
    sequence("gather_list", lambda g, y: g("Gather", y, g.constant(ints(3, 0, 1)), axis=2))
    sequence("gather_time_list", lambda g, y: g("Gather", y, g.constant(ints(0, 2, 4)), axis=1), shape=("B", 5, 4))
    sequence("concat_features", lambda g, y: g("Concat", y, g("Tanh", y), axis=2))
    sequence("concat_time", lambda g, y: g("Concat", y, g("Tanh", y), axis=1), shape=("B", 5, 4))
    sequence("concat_negative_axis", lambda g, y: g("Concat", last(g, y), g("ReduceMax", y, axes=[1], keepdims=0), axis=-1))
    sequence("split_equal", lambda g, y: g("Mul", *g("Split", y, outputs=2, axis=2)))
    sequence("split_sizes", lambda g, y: g("Split", y, g.constant(ints(1, 3)), outputs=["first", "second"], axis=2))
    sequence("split_attribute", lambda g, y: g("Split", y, outputs=["first", "second"], axis=2, split=[3, 1]), opset=11)
    sequence("split_18", lambda g, y: g("Split", y, outputs=["first", "second"], axis=-1, num_outputs=2), opset=18)
    sequence("unsqueeze", lambda g, y: g("Unsqueeze", last(g, y), g.constant(ints(1))))
    sequence("unsqueeze_squeeze_11", lambda g, y: g("Squeeze", g("Unsqueeze", last(g, y), axes=[2]), axes=[2]), opset=11)
    sequence("transpose_features", lambda g, y: g("Transpose", y, perm=[0, 2, 1]), shape=("B", 5, 4))
    sequence("transpose_pair", lambda g, y: g("Relu", g("Transpose", g("Transpose", y, perm=[1, 0, 2]), perm=[1, 0, 2])))
    sequence("flatten", lambda g, y: g("Flatten", y), shape=("B", 5, 4))
    sequence("flatten_gemm", lambda g, y: g("Gemm", g("Flatten", y, axis=1), g.weights(20, 2), g.weights(2)), shape=("B", 5, 4))
    sequence("reshape_flat", lambda g, y: g("Reshape", y, g.constant(ints(-1, 20))), shape=("B", 5, 4))
    sequence("reshape_zero", lambda g, y: g("Reshape", y, g.constant(ints(0, 0, 2, 2))), shape=("B", 5, 4))
    sequence("reshape_rows", lambda g, y: g("Reshape", y, g.constant(ints(-1, 10, 2))), shape=("B", 5, 4))
    sequence("reshape_of_shape", reshape_of_shape, shape=("B", 5, 4))
    sequence("reshape_time_distributed", time_distributed)
    sequence("expand", lambda g, y: g("Expand", g("Unsqueeze", last(g, y), g.constant(ints(1))), g.constant(ints(1, 3, 1))))
    sequence("tile", lambda g, y: g("Tile", g("Unsqueeze", last(g, y), g.constant(ints(1))), g.constant(ints(1, 3, 1))))
    sequence("pad_time", lambda g, y: g("Pad", y, g.constant(ints(0, 2, 0, 0, 1, 0))), shape=("B", 5, 4))
    sequence("pad_value", lambda g, y: g("Pad", y, g.constant(ints(0, 0, 1, 0, 0, 1)), g.constant(np.float32(0.5))))
    sequence("pad_attributes", lambda g, y: g("Pad", y, pads=[0, 1, 0, 0, 0, 0]), opset=10, shape=("B", 5, 4))
    sequence("pad_reflect", lambda g, y: g("Pad", y, g.constant(ints(0, 2, 0, 0, 1, 0)), mode="reflect"), shape=("B", 5, 4), after=None)
    sequence("pad_edge", lambda g, y: g("Pad", y, g.constant(ints(0, 2, 0, 0, 1, 0)), mode="edge"), shape=("B", 5, 4), after=None)
    sequence("cast_float16_weights", float16_weights)
    sequence("constant_nodes", constant_nodes)
    sequence("where_folds", where_folds)
    sequence("identity", lambda g, y: g("Identity", g("Identity", y)))
    sequence("two_outputs", lambda g, y: [g("Softmax", last(g, y), axis=1), g("Tanh", y)])
    sequence("unused_node", lambda g, y: (g("Exp", y), g("Tanh", y))[1])
    sequence("if_constant", if_constant)
    if_by_constants()
    states_by_hand()
    sequence("scan", scan_refused, refused="Scan")
    sequence("unknown_operator", lambda g, y: g("Hardmax", y), refused="Hardmax")
    sequence("random", lambda g, y: g("Add", y, g("RandomNormalLike", y)), refused="RandomNormalLike")


def reshape_of_shape(g, y):
    rows = g("Gather", g("Shape", y), g.constant(np.array(0)), axis=0)
    shape = g("Concat", g("Unsqueeze", rows, g.constant(ints(0))), g.constant(ints(-1)), axis=0)
    return g("Reshape", y, shape)


def time_distributed(g, y):
    """Rows and timesteps are joined to one axis for a Gemm, then separated again, with sizes that are not known."""
    shape = g("Shape", y)
    rows, steps = [g("Unsqueeze", g("Gather", shape, g.constant(np.array(i)), axis=0), g.constant(ints(0))) for i in (0, 1)]
    z = g("Gemm", g("Reshape", y, g.constant(ints(-1, 4))), g.weights(4, 2), g.weights(2))
    return g("Reshape", z, g("Concat", rows, steps, g.constant(ints(2)), axis=0))


def float16_weights(g, y):
    w = g.constant((g.numbers(4, 2) * np.float32(0.4)).astype("float16"))
    return g("MatMul", y, g("Cast", w, to=FLOAT))


def constant_nodes(g, y):
    w = g("Constant", value=numpy_helper.from_array((g.numbers(4, 2) * np.float32(0.4)).astype("float32")))
    b = g("Constant", value_floats=[0.25, -0.5])
    return g("Add", g("MatMul", y, w), b)


def where_folds(g, y):
    size = g("Size", g.constant(np.zeros(3, "float32")))
    small = g("Less", size, g.constant(np.array(4)))
    k = g("Where", g("Not", small), g.constant(np.float32(7)), g.constant(np.float32(0.5)))
    return g("Mul", y, k)


def branch(name, op, source="lstm_out"):
    return helper.make_graph([helper.make_node(op, [source], [name + "_y"])], name, [], [helper.make_tensor_value_info(name + "_y", FLOAT, None)])


def if_constant(g, y):
    g("Identity", y, outputs=["lstm_out"])
    condition = g("Equal", g("Size", g.constant(np.zeros(2, "float32"))), g.constant(np.array(2)))
    return g("If", condition, then_branch=branch("yes", "Tanh"), else_branch=branch("no", "Exp"))


def if_by_constants():
    g = Graph("hand_if_by_constants", 16)
    x = g.input("x", ["B", 5, 3])
    g.inputs.append(helper.make_tensor_value_info("sr", INT64, []))
    g.values["sr"] = np.array(16000)
    y = g("LSTM", g("Transpose", x, perm=[1, 0, 2]), g.weights(1, 16, 3), g.weights(1, 16, 4), hidden_size=4)
    g("Transpose", g("Squeeze", y, g.constant(ints(1))), perm=[1, 0, 2], outputs=["lstm_out"])
    y = g("If", g("Equal", "sr", g.constant(np.array(16000))), then_branch=branch("yes", "Tanh"), else_branch=branch("no", "Exp"))
    g.done({y: None}, config={"constants": {"sr": 16000}}, asked=["x"])


def states_by_hand():
    """h and c in one tensor [2, B, 4], as in silero-vad. A request without initial states starts from zeros."""
    g = Graph("hand_states", 16)
    x, state = g.input("x", ["B", 5, 3]), g.input("state", [2, "B", 4], np.zeros((2, 6, 4), "float32"))
    h, c = [g("Slice", state, g.constant(ints(i)), g.constant(ints(i + 1)), g.constant(ints(0))) for i in (0, 1)]
    y, hn, cn = g("LSTM", g("Transpose", x, perm=[1, 0, 2]), g.weights(1, 16, 3), g.weights(1, 16, 4), g.weights(1, 32), "", h, c, hidden_size=4, outputs=["seq", "hn", "cn"])
    y = g("Transpose", g("Squeeze", "seq", g.constant(ints(1))), perm=[1, 0, 2], outputs=["y"])
    g("Concat", "hn", "cn", axis=0, outputs=["stateN"])
    g.done({"y": None, "stateN": None}, axes={"state": 1, "stateN": 1}, config={"states": {"state": "stateN"}}, asked=["x"], shown=["y"])


def scan_refused(g, y):
    value = lambda n: helper.make_tensor_value_info(n, FLOAT, None)
    body = helper.make_graph([helper.make_node("Add", ["s", "v"], ["t"]), helper.make_node("Sin", ["t"], ["u"])], "body", [value("s"), value("v")], [value("t"), value("u")])
    start = g("ReduceSum", y, g.constant(ints(1)), keepdims=0)
    return g("Scan", start, y, outputs=["end", "all"], body=body, num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1])[1]


def cases():
    recurrent_cases()
    activation_cases()
    dense_cases()
    convolution_cases()
    norm_cases()
    arithmetic_cases()
    reduce_cases()
    shape_cases()
