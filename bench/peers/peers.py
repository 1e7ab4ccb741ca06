#!/usr/bin/env python3
"""Time one engine on one stacked-RNN case and print one line of JSON.

    peers.py --case C4 --engine ort --threads 2
    peers.py --case all --engine ort --threads 2      (one line per case)

Weights and inputs are random from a fixed seed. Every engine receives the input, and an initial
state for every layer, and returns the whole output sequence and the final state (h, and c for
LSTM) of every layer. Each is checked against a float64 reference written here before it is timed.
"""
import argparse, contextlib, ctypes, fcntl, json, os, tempfile, time

CASES = {  # cell, batch, steps, features, units, layers
    "C1": ("lstm", 3, 5, 2, 128, 2),
    "C2": ("lstm", 1, 1, 64, 256, 2),
    "C3": ("lstm", 1, 100, 64, 128, 2),
    "C4": ("lstm", 32, 100, 64, 256, 2),
    "C5": ("lstm", 64, 50, 512, 1024, 2),
    "C6": ("gru", 32, 100, 64, 256, 3),
    "C7": ("rnn", 16, 200, 32, 128, 2),
    "C8": ("lstm", 1, 100, 512, 1024, 2),
}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
ENGINES = ("ort", "ort-run", "ort-noop", "openvino", "openvino-tput", "onednn", "onednn-split")

ap = argparse.ArgumentParser()
ap.add_argument("--case", required=True, help="C1..C8, a list with commas, or all")
ap.add_argument("--engine", required=True, choices=ENGINES)
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--seconds", type=float, default=2.0, help="time spent measuring")
ap.add_argument("--lock", default=None, help="file to flock while measuring, so that two timings never overlap")
ap.add_argument("--boost", type=int, default=0, help="niceness while measuring (negative needs root)")
a = ap.parse_args()
for k in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[k] = str(a.threads)

import numpy as np

def setup(case):
    global cell, B, T, F, H, L, G, NS, W, X, S0, XT
    cell, B, T, F, H, L = CASES[case]
    G = GATES[cell]
    NS = 2 if cell == "lstm" else 1
    rng = np.random.default_rng(7)

    def u(*shape, scale):
        return (rng.random(shape, dtype=np.float32) * 2 - 1) * np.float32(scale)

    W = []  # Keras layout: kernel [in, G*H], recurrent [H, G*H], bias
    for i in range(L):
        n = F if i == 0 else H
        s = 1.0 / np.sqrt(H)
        W.append((u(n, G * H, scale=s), u(H, G * H, scale=s), u(2, 3 * H, scale=s) if cell == "gru" else u(G * H, scale=s)))
    X = u(B, T, F, scale=1.0)
    S0 = [[u(B, H, scale=0.5) for _ in range(NS)] for _ in range(L)]
    XT = np.ascontiguousarray(X.transpose(1, 0, 2))


def reference():
    sg = lambda v: 1.0 / (1.0 + np.exp(-v))
    x, states = XT.astype(np.float64), []
    for (k, r, b), st in zip(W, S0):
        k, r, b = (m.astype(np.float64) for m in (k, r, b))
        h = st[0].astype(np.float64)
        c = st[1].astype(np.float64) if NS == 2 else None
        ys = []
        for t in range(T):
            if cell == "lstm":
                i, f, g, o = np.split(x[t] @ k + h @ r + b, 4, 1)
                c = sg(f) * c + sg(i) * np.tanh(g)
                h = sg(o) * np.tanh(c)
            elif cell == "gru":
                xz, xr, xh = np.split(x[t] @ k + b[0], 3, 1)
                hz, hr, hh = np.split(h @ r + b[1], 3, 1)
                z = sg(xz + hz)
                h = z * h + (1 - z) * np.tanh(xh + sg(xr + hr) * hh)
            else:
                h = np.tanh(x[t] @ k + h @ r + b)
            ys.append(h)
        x = np.stack(ys)
        states.append([h, c] if NS == 2 else [h])
    return [x.transpose(1, 0, 2)] + [s for st in states for s in st]


# Each builder returns (call, fetch): call() does one inference, fetch() returns
# [outputs B,T,H, layer-0 h, (c), layer-1 h, ...] of the last call.

def onnx_model(noop=False):
    import onnx
    from onnx import helper as hp, numpy_helper as nh, TensorProto as TP
    fl = TP.FLOAT
    ins = [hp.make_tensor_value_info("x", fl, [T, B, F])]
    outs, nodes, init = [], [], [nh.from_array(np.array([1], np.int64), "ax1")]
    op = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}[cell]
    cur = "x"

    def order(m):  # Keras i,f,c,o -> ONNX i,o,f,c ; z,r,h as it is
        if cell != "lstm":
            return m
        p = np.split(m, 4, axis=-1)
        return np.concatenate([p[0], p[3], p[1], p[2]], axis=-1)
    for l, (k, r, b) in enumerate(W):
        bb = np.concatenate([b[0], b[1]]) if cell == "gru" else np.concatenate([order(b), np.zeros_like(b)])
        init += [nh.from_array(np.ascontiguousarray(order(k).T)[None], f"w{l}"),
                 nh.from_array(np.ascontiguousarray(order(r).T)[None], f"r{l}"), nh.from_array(bb[None], f"b{l}")]
        nm = [f"h{l}", f"c{l}"][:NS]
        for s in nm:
            ins.append(hp.make_tensor_value_info(s, fl, [1, B, H]))
            outs.append(hp.make_tensor_value_info(s + "n", fl, [1, B, H]))
            if noop:
                nodes.append(hp.make_node("Identity", [s], [s + "n"]))
        if noop:
            continue
        at = {"hidden_size": H, **({"linear_before_reset": 1} if cell == "gru" else {})}
        nodes.append(hp.make_node(op, [cur, f"w{l}", f"r{l}", f"b{l}", ""] + nm, [f"y{l}"] + [s + "n" for s in nm], name=f"n{l}", **at))
        cur = "y" if l == L - 1 else f"s{l}"
        nodes.append(hp.make_node("Squeeze", [f"y{l}", "ax1"], [cur]))
    if noop:
        nodes.append(hp.make_node("Identity", ["x"], ["y"]))
        init = []
    outs.insert(0, hp.make_tensor_value_info("y", fl, [T, B, F if noop else H]))
    m = hp.make_model(hp.make_graph(nodes, "g", ins, outs, init), opset_imports=[hp.make_opsetid("", 14)])
    m.ir_version = 8
    onnx.checker.check_model(m)
    return m


def feeds():
    d = {"x": XT}
    for l, p in enumerate(S0):
        for s, v in zip("hc", p):
            d[f"{s}{l}"] = np.ascontiguousarray(v[None])
    return d


def unpack(o):
    return [o[0].transpose(1, 0, 2)] + [v[0] for v in o[1:]]


def ort(kind):
    import onnxruntime as rt
    so = rt.SessionOptions()
    so.intra_op_num_threads = a.threads
    so.inter_op_num_threads = 1
    so.execution_mode = rt.ExecutionMode.ORT_SEQUENTIAL
    so.graph_optimization_level = rt.GraphOptimizationLevel.ORT_ENABLE_ALL
    so.log_severity_level = 3
    s = rt.InferenceSession(onnx_model(kind == "noop").SerializeToString(), so, providers=["CPUExecutionProvider"])
    d, names = feeds(), [o.name for o in s.get_outputs()]
    if kind == "run":
        out = [None]

        def call():
            out[0] = s.run(names, d)
        return call, lambda: unpack(out[0])
    io = s.io_binding()
    keep = {}
    for k, v in d.items():
        keep[k] = rt.OrtValue.ortvalue_from_numpy(v)
        io.bind_ortvalue_input(k, keep[k])
    for o in s.get_outputs():
        keep[o.name] = rt.OrtValue.ortvalue_from_shape_and_type(o.shape, np.float32)
        io.bind_ortvalue_output(o.name, keep[o.name])
    return (lambda: s.run_with_iobinding(io)), (lambda: unpack([keep[n].numpy() for n in names]))


def openvino(hint):
    import openvino as ov
    with tempfile.TemporaryDirectory() as td:
        p = os.path.join(td, "m.onnx")
        open(p, "wb").write(onnx_model().SerializeToString())
        core = ov.Core()
        cm = core.compile_model(core.read_model(p), "CPU", {
            "PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": a.threads})
    names = [o.get_any_name() for o in cm.outputs]
    want = ["y"] + [f"{s}{l}n" for l in range(L) for s in "hc"[:NS]]

    def ready(r):
        for k, v in feeds().items():
            r.set_tensor(k, ov.Tensor(v, shared_memory=False))
        return r
    fetch_from = lambda r: unpack([r.get_tensor(n).data.copy() for n in want])
    info["streams"] = int(cm.get_property("NUM_STREAMS"))
    if hint == "LATENCY":
        r = ready(cm.create_infer_request())
        return r.infer, lambda: fetch_from(r)
    n = max(2, int(cm.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
    rs = [ready(cm.create_infer_request()) for _ in range(n)]
    info["requests_in_flight"] = n  # a round of n requests; time per request = round / n

    def call():
        for r in rs:
            r.start_async()
        for r in rs:
            r.wait()
    return call, lambda: fetch_from(rs[-1])


def onednn(split):
    lib = ctypes.CDLL(os.environ["DNNL_SHIM"])
    lib.shim_new.restype = ctypes.c_void_p
    P = lambda m: m.ctypes.data_as(ctypes.c_void_p) if m is not None else None
    cid = {"lstm": 0, "gru": 1, "rnn": 2}[cell]
    groups, l = [], 0
    while l < L:  # one primitive may have several layers if their input widths equal H
        n = 1
        if not split and (l > 0 or F == H):
            n = L - l
        groups.append((l, n))
        l += n
    prims, keep, cur, fin = [], [], XT, []
    for l, n in groups:
        bias = []
        for k, r, b in W[l:l + n]:
            if cell == "gru":
                z, rr, h = np.split(b, 3, axis=1)
                bias.append(np.concatenate([z[0] + z[1], rr[0] + rr[1], h[0], h[1]]))
            else:
                bias.append(b)
        st = lambda j: np.ascontiguousarray(np.stack([S0[i][j] for i in range(l, l + n)]))
        m = [np.ascontiguousarray(np.stack([w[0] for w in W[l:l + n]])), np.ascontiguousarray(np.stack([w[1] for w in W[l:l + n]])),
             np.ascontiguousarray(np.stack(bias)), cur, st(0), st(1) if NS == 2 else None, np.zeros((T, B, H), np.float32),
             np.zeros((n, B, H), np.float32), np.zeros((n, B, H), np.float32) if NS == 2 else None]
        keep.append(m)
        prims.append(lib.shim_new(cid, n, T, B, cur.shape[2], H, *[P(v) for v in m]))
        cur = m[6]
        fin.append((n, m[7], m[8]))
    arr = (ctypes.c_void_p * len(prims))(*prims)
    cnt = ctypes.c_int(len(prims))

    def fetch():
        o = [keep[-1][6].transpose(1, 0, 2)]
        for n, h, c in fin:
            for i in range(n):
                o += [h[i], c[i]] if NS == 2 else [h[i]]
        return o
    return (lambda: lib.shim_run(arr, cnt)), fetch


info = {}
clock = time.perf_counter


@contextlib.contextmanager
def quiet():
    """Hold the lock and set the niceness while measuring."""
    f = open(a.lock, "w") if a.lock else None
    if f:
        fcntl.flock(f, fcntl.LOCK_EX)
    was = os.getpriority(os.PRIO_PROCESS, 0)

    def nice(v):
        for tid in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, int(tid), v)
    if a.boost:
        nice(a.boost)
    try:
        yield
    finally:
        if a.boost:
            nice(was)
        if f:
            f.close()


def check(case, got, res):
    res["diff_f64"] = float("%.2g" % max(np.abs(g - w).max() for g, w in zip(got, reference(), strict=True)))
    assert res["diff_f64"] < 1e-4, res


def one(case):
    info.clear()
    setup(case)
    e = a.engine
    call, fetch = (ort(e[4:]) if e.startswith("ort")
                   else openvino("LATENCY" if e == "openvino" else "THROUGHPUT") if e.startswith("openvino")
                   else onednn(e == "onednn-split"))
    flop = sum(2 * B * T * ((F if l == 0 else H) + H) * G * H for l in range(L))
    res = {"case": case, "engine": e, "threads": a.threads}
    call()
    if e != "ort-noop":
        check(case, [np.array(g) for g in fetch()], res)
    ts = []
    with quiet():
        end, n = clock() + a.seconds / 3, 0
        while n < 2 or clock() < end:
            call()
            n += 1
        end = clock() + a.seconds
        while len(ts) < 5 or clock() < end:
            t = clock()
            call()
            ts.append(clock() - t)
            if len(ts) >= 3 and clock() > end + 3 * a.seconds:
                break
    ts = np.array(ts) * 1e6 / info.get("requests_in_flight", 1)
    res.update(us_med=round(float(np.median(ts)), 2), us_min=round(float(ts.min()), 2), us_p95=round(float(np.percentile(ts, 95)), 2),
               n=len(ts), gflops_med=round(flop / np.median(ts) * 1e-3, 2), **info)
    print(json.dumps(res), flush=True)


for c in sorted(CASES) if a.case == "all" else a.case.split(","):
    one(c)
