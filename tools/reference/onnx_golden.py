"""Common code of the golden cases of ONNX files. A case is NAME.onnx, and NAME.json with the request, the error of
onnxruntime in float32, and the outputs in float64. onnx.reference computes these on the same graph in double precision.

All tensors of a request and of the outputs have the batch first, also if another axis is the batch in the file.
A case that must be refused has `refused`, a part of the error message, instead of numbers.
"""
import json, os, warnings, zlib

warnings.filterwarnings("ignore")
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_loop

import onnx_recurrent

OUT, ONLY = None, None
report = {"made": 0, "failed": []}
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


class Numbers:
    """Random numbers of a case, which depend only on its name."""
    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def __call__(self, *shape):
        return self.rng.normal(size=shape).astype("float32").round(3)

    def ids(self, *shape, most=9):
        return self.rng.integers(0, most, size=shape)


def wide(tensor):
    """Convert a float tensor to double."""
    if tensor.data_type in FLOATS:
        new = numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float64"), tensor.name)
        tensor.CopyFrom(new)


def widen_type(type_proto):
    if type_proto.HasField("tensor_type") and type_proto.tensor_type.elem_type in FLOATS:
        type_proto.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def widen_graph(graph):
    for tensor in graph.initializer:
        wide(tensor)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        widen_type(value.type)
    for node in graph.node:
        widen_node(node)


def widen_node(node):
    """Convert constants, the targets of Cast, and subgraphs to double."""
    for a in node.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            widen_graph(a.g)
        elif a.type == onnx.AttributeProto.TENSOR:
            wide(a.t)
        elif node.op_type == "Cast" and a.name == "to" and a.i in FLOATS:
            a.i = onnx.TensorProto.DOUBLE
        elif node.op_type == "Constant" and a.name in ("value_float", "value_floats"):
            values = np.asarray(a.f if a.name == "value_float" else list(a.floats), "float32").astype("float64")
            a.CopyFrom(onnx.helper.make_attribute("value", numpy_helper.from_array(values)))
    if node.op_type == "ConstantOfShape" and not node.attribute:
        node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(np.zeros(1, "float64"))))


class LeakyRelu(OpRun):
    """Replaces the LeakyRelu of the package, which rounds to float32."""
    op_domain = ""

    def _run(self, x, alpha=None):
        return (np.where(x < 0, x * float(np.float32(0.01 if alpha is None else alpha)), x),)


class Loop(op_loop.Loop):
    """Replaces the Loop of the package, which joins the outputs of the iterations along the first axis. The operator
    stacks them along a new axis."""
    op_domain = ""

    def _run(self, M, cond, *args, context=None, body=None, attributes=None, **more):
        names, count, cond = self.body.input_names, 0, cond is None or bool(cond)
        states, stacked = list(args), [[] for _ in range(self.K)]
        while cond and (M is None or count < M):
            values = dict(context or {}, **dict(zip(names, [np.array(count, "int64"), np.array(True), *states])))
            outputs = self._run_body(values, attributes=attributes)
            cond, states, count = bool(outputs[0]), outputs[1:1 + self.N], count + 1
            for list_of, value in zip(stacked, outputs[1 + self.N:]):
                list_of.append(value)
        return (*states, *[np.stack(values) for values in stacked])


class Softmax(OpRun):
    """Before opset 13 the axes from `axis` on count as one."""
    op_domain = ""

    def _run(self, x, axis=None):
        old = self.run_params["opsets"][""] < 13
        axis = (1 if old else -1) if axis is None else axis
        axes = tuple(range(axis % x.ndim, x.ndim)) if old else axis
        y = np.exp(x - x.max(axis=axes, keepdims=True))
        return (self.of(y / y.sum(axis=axes, keepdims=True)),)

    def of(self, y):
        return y


class LogSoftmax(Softmax):
    def of(self, y):
        return np.log(y)


class GlobalMaxPool(OpRun):
    op_domain = ""

    def _run(self, x):
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class BatchNormalization(OpRun):
    """Replaces the BatchNormalization of the package, which in opsets 9 and 14 uses the mean of the batch."""
    op_domain = ""

    def _run(self, x, scale, bias, mean, var, epsilon=None, **more):
        scale, bias, mean, var = [v.reshape([-1] + [1] * (x.ndim - 2)) for v in (scale, bias, mean, var)]
        return (scale * (x - mean) / np.sqrt(var + float(np.float32(1e-5 if epsilon is None else epsilon))) + bias,)


NEW = [onnx_recurrent.LSTM, onnx_recurrent.GRU, onnx_recurrent.RNN, LeakyRelu, Loop, Softmax, LogSoftmax, GlobalMaxPool, BatchNormalization]


def in_float64(model, inputs):
    double = onnx.ModelProto()
    double.CopyFrom(model)
    widen_graph(double.graph)
    for function in double.functions:
        for node in function.node:
            widen_node(node)
    feeds = {n: v.astype("float64") if v.dtype.kind == "f" else v for n, v in inputs.items()}
    return [np.asarray(y) for y in ReferenceEvaluator(double, new_ops=NEW).run(None, feeds)]


def in_onnxruntime(model, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def operators(graph):
    for node in graph.node:
        yield node.op_type
        for a in node.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                yield from operators(a.g)


def shortest(x):
    """Nested lists of short decimals. Those of float32 read back to the same number; those of float64 have 13
    digits."""
    if isinstance(x, list):
        return [shortest(y) for y in x]
    if x.dtype == np.float32:
        return x.astype("U32").astype("float64").tolist()
    return [shortest(y) for y in x] if x.ndim else float(f"{x:.13g}") if x.dtype.kind == "f" else x.tolist()


def measure(y32, y64):
    """The error of onnxruntime, and the largest number."""
    for a, b in zip(y32, y64):
        if a.shape != b.shape:
            raise ValueError(f"onnxruntime gives the shape {a.shape}, the reference {b.shape}")
    d = np.concatenate([(a.astype("float64") - b).ravel() for a, b in zip(y32, y64)])
    largest = float(max(np.max(np.abs(b), initial=0) for b in y64))
    if not np.all(np.isfinite(d)) or np.max(np.abs(d)) > 2e-5 * max(1, largest):
        raise ValueError(f"onnxruntime and the reference differ by {np.max(np.abs(d)):.3g} of {largest:.3g}")
    return {"max_abs": float(np.max(np.abs(d))), "rms": float(np.sqrt(np.mean(d ** 2))), "values": int(d.size)}, largest


def batch_first(values, axes):
    """Move the axis of the batch to the front. The axis None: the tensor has no axis of the batch."""
    return {n: v if not v.ndim else v[None] if axes.get(n, 0) is None else np.moveaxis(v, axes.get(n, 0), 0) for n, v in values.items()}


def slim(model):
    """Remove the exporter's notes on every node, which are most of a small file."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    del model.graph.metadata_props[:], model.metadata_props[:]


def case(name, model, inputs, axes=None, config=None, refused=None, notes="", asked=None, shown=None):
    """inputs: arrays by name, as the graph has them. axes: the axis of the batch, by name of input or output, if it is
    not 0. config: `constants` and `states` for the model's entry. asked: the inputs of the request, if others are
    constants or states. shown: the outputs of the answer, if others are states."""
    if ONLY and ONLY not in name:
        return
    axes = axes or {}
    try:
        slim(model)
        meta = {"notes": notes or name.replace("_", " "), "exporter": f"{model.producer_name} {model.producer_version}".strip(),
                "opset": next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
                "layers": sorted(set(operators(model.graph))), "model": name + ".onnx", "also": []}
        if config:
            meta["config"] = config
        names = [o.name for o in model.graph.output]
        given = batch_first({n: v for n, v in inputs.items() if not asked or n in asked}, axes)
        if len(given) == 1:
            meta["request"] = {"instances": shortest(next(iter(given.values())))}
        else:
            meta["request"] = {"inputs": {n: shortest(v) for n, v in given.items()}}
        if refused:
            meta["refused"] = refused
        else:
            y32, y64 = in_onnxruntime(model, inputs), in_float64(model, inputs)
            meta["error_vs_float64"], meta["largest"] = measure(y32, y64)
            meta["onnxruntime"] = onnxruntime.__version__
            meta["tolerance"] = {"rtol": 1e-5, "atol": max(1e-6, 6 * meta["error_vs_float64"]["max_abs"])}
            y64 = batch_first(dict(zip(names, y64)), axes)
            names = shown or names
            meta["outputs_f64"] = shortest(y64[names[0]]) if len(names) == 1 else {n: shortest(y64[n]) for n in names}
    except Exception as e:
        report["failed"].append(name)
        print(f"failed {name}: {type(e).__name__}: {str(e).strip()[:300]}", flush=True)
        if os.environ.get("GOLDEN_TRACE"):
            raise
        return
    with open(os.path.join(OUT, name + ".onnx"), "wb") as f:
        f.write(model.SerializeToString())
    with open(os.path.join(OUT, name + ".json"), "w") as f:
        json.dump(meta, f, separators=(",", ":"))
        f.write("\n")
    report["made"] += 1
    print(name, f"opset {meta['opset']}", ",".join(meta["layers"])[:150], refused or f"{meta['error_vs_float64']['max_abs']:.1e} of {meta['largest']:.3g}", flush=True)
