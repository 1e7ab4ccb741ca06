#!/usr/bin/env python3
"""Write the models of tests/torch/models: files of PyTorch modules, and PyTorch's answers.

    tools/make_torch_models.py SUFFIX [NAME…]   SUFFIX: 1.13 with PyTorch 1.13, new with a current version
    tools/make_torch_models.py case [NAME…]     only case.json, with the current version

A folder has model.json, state-SUFFIX.pt, module-SUFFIX.pt, and case.json with inputs, outputs in float64 (of the float32
weights) and the error of PyTorch's own float32 answer, the largest and the root of the mean square. The files of both
versions hold the same numbers.

A case has 256 rows, for which the standard error of the root mean square is 5 %. Over 16 rows it varies by a fifth from
one set of rows to the next, and the ratio of two such values varies more, which is too much to compare errors.
"""
import json
import os
import sys

import numpy as np
import torch
from torch import nn

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "torch", "models")


class Net(nn.Module):
    """Runs modules and joints in order, as model.json lists them."""

    def __init__(self, steps):
        super().__init__()
        self.steps = [step if isinstance(step, str) else step[0] for step in steps]
        for step in steps:
            if not isinstance(step, str):
                setattr(self, step[0], step[1])

    def forward(self, x):
        hidden = None
        for name in self.steps:
            if name == "permute":
                x = x.permute(0, 2, 1)
            elif name == "last_timestep":
                x = x[:, -1]
            elif name == "mean_timesteps":
                x = x.mean(1)
            elif name == "max_timesteps":
                x = x.max(1).values
            elif name == "last_hidden":
                module, h = hidden
                x = torch.cat([h[-2], h[-1]], 1) if module.bidirectional else h[-1]
            else:
                module = getattr(self, name)
                if isinstance(module, (nn.LSTM, nn.GRU, nn.RNN)):
                    x, h = module(x)
                    hidden = module, h[0] if isinstance(h, tuple) else h
                elif isinstance(module, (nn.LSTMCell, nn.GRUCell, nn.RNNCell)):
                    state, outputs = None, []
                    for t in range(x.shape[1]):
                        state = module(x[:, t], state)
                        outputs.append(state[0] if isinstance(state, tuple) else state)
                    x = torch.stack(outputs, 1)
                else:
                    x = module(x)
        return x


Net.__module__ = "nets"
sys.modules["nets"] = sys.modules["__main__"]

# Each case: the steps, with the arguments that model.json needs, and the shape of the input ("ids" for whole numbers).
B, T = 256, 5


def lstm(*args, **kwargs):
    return nn.LSTM(*args, batch_first=True, **kwargs)


def gru(*args, **kwargs):
    return nn.GRU(*args, batch_first=True, **kwargs)


def rnn(*args, **kwargs):
    return nn.RNN(*args, batch_first=True, **kwargs)


CASES = {
    "embedding_lstm": ([("emb", nn.Embedding(7, 3, padding_idx=0)), ("lstm", lstm(3, 4)), "last_timestep",
                        ("drop", nn.Dropout(0.5)), ("fc", nn.Linear(4, 2))], "ids"),
    "lstm_sequence": ([("lstm", lstm(3, 4)), ("fc", nn.Linear(4, 2))], 3),
    "lstm_layers": ([("lstm", lstm(3, 4, 3, dropout=0.2)), "last_hidden", ("fc", nn.Linear(4, 2))], 3),
    "lstm_both": ([("lstm", lstm(3, 4, 2, bidirectional=True)), "last_hidden", ("fc", nn.Linear(8, 2))], 3),
    "lstm_both_last_timestep": ([("lstm", lstm(3, 4, bidirectional=True)), "last_timestep", ("fc", nn.Linear(8, 2))],
                                3),
    "lstm_no_bias": ([("lstm", lstm(3, 4, bias=False)), ("fc", nn.Linear(4, 2, bias=False))], 3),
    "gru_mean": ([("gru", gru(3, 4, 2)), "mean_timesteps", ("fc", nn.Linear(4, 2))], 3),
    "gru_both_max": ([("gru", gru(3, 4, bidirectional=True)), "max_timesteps", ("fc", nn.Linear(8, 2))], 3),
    "rnn_tanh": ([("rnn", rnn(3, 4)), "last_timestep"], 3),
    "rnn_relu": ([("rnn", rnn(3, 4, 2, nonlinearity="relu", bidirectional=True)), "last_hidden"], 3),
    "lstm_cell": ([("cell", nn.LSTMCell(3, 4)), "last_timestep", ("fc", nn.Linear(4, 2))], 3),
    "gru_cell": ([("cell", nn.GRUCell(3, 4)), ("fc", nn.Linear(4, 2))], 3),
    "rnn_cell": ([("cell", nn.RNNCell(3, 4, nonlinearity="relu")), "last_timestep"], 3),
    "proj": ([("lstm", lstm(3, 4, proj_size=2)), "last_timestep", ("fc", nn.Linear(2, 2))], 3),
    "proj_layers_both": ([("lstm", lstm(3, 4, 2, proj_size=2, bidirectional=True)), "last_hidden"], 3),
    "relu": ([("lstm", lstm(3, 4)), "last_timestep", ("act", nn.ReLU()), ("fc", nn.Linear(4, 2))], 3),
    "tanh_sigmoid": ([("a", nn.Linear(3, 4)), ("t", nn.Tanh()), ("b", nn.Linear(4, 2)), ("s", nn.Sigmoid())], "vector"),
    "softmax": ([("gru", gru(3, 4)), "last_timestep", ("s", nn.Softmax(dim=1))], 3),
    "softmax_sequence": ([("gru", gru(3, 4)), ("s", nn.Softmax(dim=-1))], 3),
    "log_softmax": ([("gru", gru(3, 4)), "last_hidden", ("s", nn.LogSoftmax(dim=1))], 3),
    "gelu": ([("a", nn.Linear(3, 4)), ("g", nn.GELU()), ("b", nn.Linear(4, 2)), ("h", nn.GELU(approximate="tanh"))],
             "vector"),
    "leaky_elu": ([("a", nn.Linear(3, 4)), ("l", nn.LeakyReLU(0.2)), ("b", nn.Linear(4, 4)), ("m", nn.LeakyReLU()),
                   ("c", nn.Linear(4, 2)), ("e", nn.ELU(0.5))], "vector"),
    "batch_norm": ([("lstm", lstm(3, 4)), "last_timestep", ("bn", nn.BatchNorm1d(4, eps=1e-3)), ("fc", nn.Linear(4, 2))],
                   3),
    "batch_norm_channels": ([("lstm", lstm(3, 4)), "permute", ("bn", nn.BatchNorm1d(4)), "permute",
                             ("fc", nn.Linear(4, 2))], 3),
    "layer_norm": ([("lstm", lstm(3, 4)), ("ln", nn.LayerNorm(4)), "last_timestep",
                    ("ln2", nn.LayerNorm(4, elementwise_affine=False)), ("fc", nn.Linear(4, 2))], 3),
    "conv": (["permute", ("conv", nn.Conv1d(3, 4, 3, padding=1)), ("act", nn.ReLU()), "permute", ("lstm", lstm(4, 3)),
              "last_timestep", ("fc", nn.Linear(3, 2))], 3),
    "conv_options": (["permute", ("conv", nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=False)),
                      ("bn", nn.BatchNorm1d(6)), ("c2", nn.Conv1d(6, 2, 2, padding="same")), "permute"], 4),
    "pools": (["permute", ("conv", nn.Conv1d(3, 4, 2)), ("max", nn.MaxPool1d(2, stride=1)),
               ("avg", nn.AvgPool1d(2, padding=1)), "permute", ("gru", gru(4, 3)), "last_hidden"], 3),
    "flatten": ([("lstm", lstm(3, 4)), ("flat", nn.Flatten()), ("fc", nn.Linear(4 * T, 2))], 3),
    "flatten_channels": (["permute", ("conv", nn.Conv1d(3, 4, 2)), ("flat", nn.Flatten()),
                          ("fc", nn.Linear(4 * (T - 1), 2))], 3),
}

# Further keys of model.json; and the arguments, with defaults, that model.json must state.
EXTRA = {"flatten_channels": {"timesteps": T}}
ARGUMENTS = {
    nn.RNN: {"nonlinearity": "tanh"}, nn.RNNCell: {"nonlinearity": "tanh"}, nn.Softmax: {"dim": None},
    nn.LogSoftmax: {"dim": None}, nn.GELU: {"approximate": "none"}, nn.LeakyReLU: {"negative_slope": 0.01},
    nn.ELU: {"alpha": 1.0}, nn.BatchNorm1d: {"eps": 1e-5}, nn.LayerNorm: {"eps": 1e-5, "elementwise_affine": True},
    nn.Conv1d: {"stride": (1,), "padding": (0,), "dilation": (1,), "groups": 1},
    nn.MaxPool1d: {"kernel_size": None, "stride": None, "padding": 0},
    nn.AvgPool1d: {"kernel_size": None, "stride": None, "padding": 0},
}


def entry(step):
    if isinstance(step, str):
        return step
    name, module = step
    out = {"name": name} if list(module.state_dict()) else {}
    out["class_name"] = "torch.nn." + type(module).__name__
    for key, default in ARGUMENTS.get(type(module), {}).items():
        value = getattr(module, key)
        if value != default:
            out[key] = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return out


def fill(net, name):
    """Fill the tensors with numbers that are the same in every version of PyTorch."""
    random = np.random.RandomState(sum(name.encode()))
    for key, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            numbers = random.uniform(0.1 if "running_var" in key else -0.6, 1.2 if "running_var" in key else 0.6,
                                     value.shape)
            value.copy_(torch.from_numpy(numbers.astype(np.float32)))
    return random


def decimals(x, digits):
    """Nested lists of numbers, rounded to `digits` decimals; whole numbers are not changed."""
    return [decimals(y, digits) for y in x] if x.dim() else round(x.item(), digits) if x.is_floating_point() else x.item()


def main(suffix, names):
    for name, (steps, width) in CASES.items():
        if names and name not in names:
            continue
        folder = os.path.join(OUT, name)
        os.makedirs(folder, exist_ok=True)
        net = Net(steps).eval()
        random = fill(net, name)
        if width == "ids":
            x = torch.from_numpy(random.randint(0, 7, (B, T)))
        else:
            shape = (B, 3) if width == "vector" else (B, T, width)
            x = torch.from_numpy(random.uniform(-1, 1, shape).round(3).astype(np.float32))
        if suffix != "case":
            torch.save(net.state_dict(), os.path.join(folder, f"state-{suffix}.pt"))
            torch.save(net, os.path.join(folder, f"module-{suffix}.pt"))
        with torch.no_grad():
            single = net(x).double()
            double = net.double()(x.double() if x.is_floating_point() else x)
        if suffix not in ("new", "case"):
            continue
        model = {"class_name": "torch.nn.Sequential", "modules": [entry(step) for step in steps], **EXTRA.get(name, {})}
        with open(os.path.join(folder, "model.json"), "w") as file:
            file.write(json.dumps(model) + "\n")
        case = {"inputs": decimals(x, 3), "outputs": decimals(double, 12), "torch_error": float((single - double).abs().max()),
                "torch_rms": float((single - double).square().mean().sqrt())}
        with open(os.path.join(folder, "case.json"), "w") as file:
            file.write(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
