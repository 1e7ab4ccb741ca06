"""ONNX's LSTM, GRU and RNN in the precision of their input, for onnx.reference. Those of the package support only one
direction, one layout and the default activations. Source: onnx/docs/Operators.md (opset 14). Where this text is not
precise, the behaviour is that of onnxruntime: after the end of a sequence Y is 0, and Y_h and Y_c are those of its last
timestep."""
import numpy as np
from onnx.reference.op_run import OpRun

ACTIVATIONS = {  # a function of x, alpha and beta, and the defaults of alpha and beta
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "relu": (lambda x, a, b: np.maximum(x, 0), None, None),
    "leakyrelu": (lambda x, a, b: np.where(x < 0, a * x, x), np.float32(0.01), None),
    "thresholdedrelu": (lambda x, a, b: np.where(x > a, x, 0), 1.0, None),
    "tanh": (lambda x, a, b: np.tanh(x), None, None),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "sigmoid": (lambda x, a, b: 1 / (1 + np.exp(-x)), None, None),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), np.float32(0.2), np.float32(0.5)),
    "elu": (lambda x, a, b: np.where(x < 0, a * (np.exp(np.minimum(x, 0)) - 1), x), 1.0, None),
    "softsign": (lambda x, a, b: x / (1 + abs(x)), None, None),
    "softplus": (lambda x, a, b: np.logaddexp(x, 0), None, None),
}


def functions(names, alphas, betas, default, directions):
    """The activations in order. Each activation with alpha or beta takes the next value of these lists."""
    alphas, betas, result = list(alphas or []), list(betas or []), []
    for name in names or default * directions:
        f, alpha, beta = ACTIVATIONS[name.lower()]
        if alpha is not None and alphas:
            alpha = alphas.pop(0)
        if beta is not None and betas:
            beta = betas.pop(0)
        result.append(lambda x, f=f, a=None if alpha is None else float(alpha), b=None if beta is None else float(beta): f(x, a, b))
    n = len(default)
    return [result[d * n:d * n + n] for d in range(directions)]


def lstm_step(x, states, w, r, b, p, f, _):
    h, c = states
    z = x @ w.T + h @ r.T + b[0] + b[1]
    i, o, forget, g = np.split(z, 4, 1)
    pi, po, pf = p
    i, forget = f[0](i + pi * c), f[0](forget + pf * c)
    c = forget * c + i * f[1](g)
    return f[0](o + po * c) * f[2](c), c


def gru_step(x, states, w, r, b, p, f, linear_before_reset):
    h, n = states[0], states[0].shape[1]
    a = x @ w.T + b[0]
    z = f[0](a[:, :n] + h @ r[:n].T + b[1][:n])
    reset = f[0](a[:, n:2 * n] + h @ r[n:2 * n].T + b[1][n:2 * n])
    if linear_before_reset:
        g = f[1](a[:, 2 * n:] + reset * (h @ r[2 * n:].T + b[1][2 * n:]))
    else:
        g = f[1](a[:, 2 * n:] + (reset * h) @ r[2 * n:].T + b[1][2 * n:])
    return ((1 - z) * g + z * h,)


def rnn_step(x, states, w, r, b, p, f, _):
    return (f[0](x @ w.T + states[0] @ r.T + b[0] + b[1]),)


def run(step, gates, n_states, default, X, W, R, B, lengths, initial, P, names, alphas, betas, direction, layout, linear=0):
    directions, units = R.shape[0], R.shape[2]
    if layout:
        X = np.swapaxes(X, 0, 1)
        initial = [None if s is None else np.swapaxes(s, 0, 1) for s in initial]
    T, rows = X.shape[:2]
    lengths = np.full(rows, T) if lengths is None else np.asarray(lengths).astype("int64")
    Y = np.zeros((T, directions, rows, units), X.dtype)
    ends = [np.zeros((directions, rows, units), X.dtype) for _ in range(n_states)]
    f = functions(names, alphas, betas, default, directions)
    zero = np.zeros((1, units), X.dtype)
    for d in range(directions):
        b = np.split(B[d], 2) if B is not None else [np.zeros(gates * units, X.dtype)] * 2
        p = np.split(P[d], 3) if P is not None else [0.0] * 3
        backwards = (direction or "forward") == "reverse" or d == 1
        for row in range(rows):
            states = tuple(zero if s is None else s[d, row:row + 1] for s in initial)
            steps = range(lengths[row])
            for t in reversed(steps) if backwards else steps:
                states = step(X[t, row:row + 1], states, W[d], R[d], b, p, f[d], linear)
                Y[t, d, row] = states[0][0]
            for end, state in zip(ends, states):
                end[d, row] = state[0]
    if layout:
        Y, ends = np.transpose(Y, (2, 0, 1, 3)), [np.swapaxes(e, 0, 1) for e in ends]
    return (Y, *ends)


class LSTM(OpRun):
    op_domain = ""

    def _run(self, X, W, R, B=None, lengths=None, h=None, c=None, P=None, activation_alpha=None, activation_beta=None, activations=None,
             clip=None, direction=None, hidden_size=None, input_forget=None, layout=None, output_sequence=None):
        return run(lstm_step, 4, 2, ["sigmoid", "tanh", "tanh"], X, W, R, B, lengths, [h, c], P, activations, activation_alpha,
                   activation_beta, direction, layout)[:len(self.onnx_node.output)]


class GRU(OpRun):
    op_domain = ""

    def _run(self, X, W, R, B=None, lengths=None, h=None, activation_alpha=None, activation_beta=None, activations=None, clip=None,
             direction=None, hidden_size=None, layout=None, linear_before_reset=None, output_sequence=None):
        return run(gru_step, 3, 1, ["sigmoid", "tanh"], X, W, R, B, lengths, [h], None, activations, activation_alpha,
                   activation_beta, direction, layout, linear_before_reset)[:len(self.onnx_node.output)]


class RNN(OpRun):
    op_domain = ""

    def _run(self, X, W, R, B=None, lengths=None, h=None, activation_alpha=None, activation_beta=None, activations=None, clip=None,
             direction=None, hidden_size=None, layout=None, output_sequence=None):
        return run(rnn_step, 1, 1, ["tanh"], X, W, R, B, lengths, [h], None, activations, activation_alpha, activation_beta,
                   direction, layout)[:len(self.onnx_node.output)]
