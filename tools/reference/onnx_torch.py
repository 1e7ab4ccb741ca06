"""PyTorch's exports: each model by torch.onnx.export with dynamo=False (torch_…) and with dynamo=True (dynamo_…)."""
import contextlib, io, os, sys, tempfile, zlib

import onnx
import torch
from torch import nn

import onnx_golden
from onnx_golden import Numbers, case

SERIES = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


class Last(nn.Module):
    """The usual classifier: an RNN, its last timestep, a Linear."""
    def __init__(self, kind="LSTM", features=3, units=4, classes=2, **more):
        super().__init__()
        self.rnn = SERIES[kind](features, units, batch_first=True, **more)
        self.fc = nn.Linear(units * (2 if more.get("bidirectional") else 1), classes)

    def forward(self, x):
        y, _ = self.rnn(x)
        return self.fc(y[:, -1, :])


class Zeros(nn.Module):
    """As in many tutorials: forward() makes initial states of zeros."""
    def __init__(self, layers=2):
        super().__init__()
        self.layers = layers
        self.lstm = nn.LSTM(3, 4, layers, batch_first=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        h0 = torch.zeros(self.layers, x.size(0), 4).to(x.device)
        c0 = torch.zeros(self.layers, x.size(0), 4).to(x.device)
        y, _ = self.lstm(x, (h0, c0))
        return self.fc(y[:, -1])


class Hidden(nn.Module):
    """The classifier on h_n of the last layer, with both directions concatenated."""
    def __init__(self, kind="LSTM", both=False, layers=2):
        super().__init__()
        self.rnn = SERIES[kind](3, 4, layers, batch_first=True, bidirectional=both)
        self.fc = nn.Sequential(nn.Linear(8 if both else 4, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 2))

    def forward(self, x):
        _, h = self.rnn(x)
        h = h[0] if isinstance(h, tuple) else h
        return self.fc(torch.cat([h[-2], h[-1]], dim=1) if self.rnn.bidirectional else h[-1])


class Sequences(nn.Module):
    def __init__(self, kind="LSTM", **more):
        super().__init__()
        self.rnn = SERIES[kind](3, 4, **more)

    def forward(self, x):
        return self.rnn(x)[0]


class States(nn.Module):
    """A model of one step: the states are inputs and outputs."""
    def __init__(self, kind="LSTM", layers=1):
        super().__init__()
        self.rnn = SERIES[kind](3, 4, layers, batch_first=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x, h, c=None):
        y, s = self.rnn(x, h if c is None else (h, c))
        return (self.fc(y), *s) if c is not None else (self.fc(y), s)


class TimeMajorClasses(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, 2)
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        y, _ = self.gru(x)
        return torch.log_softmax(self.linear(y[-1]), dim=1)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 3)
        self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        y, (h, c) = self.lstm(self.embedding(x))
        return torch.sigmoid(self.fc(torch.cat((h[0], h[1]), 1)))


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm1d(6)
        self.pool = nn.MaxPool1d(2)
        self.lstm = nn.LSTM(6, 4, batch_first=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.conv(x.permute(0, 2, 1)))))
        y, _ = self.lstm(x.permute(0, 2, 1))
        return torch.softmax(self.fc(y[:, -1]), 1)


class Images(nn.Module):
    """A convolution over [features, time] as an image, then an LSTM over time."""
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.pool = nn.MaxPool2d((2, 1))
        self.lstm = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x):
        x = self.pool(torch.relu(self.conv(x)))
        x = x.permute(0, 3, 1, 2).reshape(x.size(0), 5, 4)
        return self.lstm(x)[0]


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(3)
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.after = nn.LayerNorm(4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        y, _ = self.gru(self.norm(x))
        return self.fc(self.after(y + torch.tanh(y)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.score = nn.Linear(4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        y, _ = self.lstm(x)
        weights = torch.softmax(self.score(y), dim=1)
        return self.fc((weights * y).sum(dim=1))


class DotAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        y, _ = self.gru(x)
        weights = torch.softmax(torch.matmul(self.q(y), self.k(y).transpose(1, 2)) / 2.0, dim=-1)
        return torch.matmul(weights, self.v(y)).mean(dim=1)


class MeanMax(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(16, 2)

    def forward(self, x):
        y, _ = self.gru(x)
        return self.fc(nn.functional.gelu(torch.cat([y.mean(1), y.max(1)[0]], 1)))


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 4, batch_first=True)
        self.decoder = nn.LSTM(2, 4, batch_first=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x, y):
        _, states = self.encoder(x)
        return self.fc(self.decoder(y, states)[0])


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.static = nn.Linear(2, 3)
        self.fc = nn.Linear(7, 1)

    def forward(self, history, static):
        _, (h, _) = self.lstm(history)
        return self.fc(torch.cat([h.squeeze(0), nn.functional.leaky_relu(self.static(static))], dim=-1)).squeeze(-1)


class Residual(nn.Module):
    """Statistics of the window in forward(), a residual around the LSTM, and arithmetic with constants."""
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 3, batch_first=True)
        self.mean = nn.Parameter(torch.tensor([0.1, -0.2, 0.3]))

    def forward(self, x):
        x = (x - self.mean) / torch.sqrt(torch.tensor([1.5, 2.0, 0.5]))
        return (x + 0.5 * self.lstm(x)[0]) ** 2


class Cells(nn.Module):
    """A loop over the timesteps in forward(): the exporter unrolls the loop."""
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        h, c = torch.zeros(x.size(0), 4), torch.zeros(x.size(0), 4)
        for t in range(4):
            h, c = self.cell(x[:, t], (h, c))
        return self.fc(h)


def x(rows=6, steps=5, features=3):
    return lambda n: {"x": n(rows, steps, features)}


def time_major(n):
    return {"x": n(5, 6, 3)}


def with_states(layers, names):
    return lambda n: {"x": n(6, 5, 3), **{s: n(layers, 6, 4) for s in names}}


BATCH_TIME = {0: "batch", 1: "time"}
# name: (module, inputs, outputs, dynamic axes by input, batch axes, opset of the old exporter)
MODELS = {
    "lstm_last": (lambda: Last(), x(), ["y"], {"x": {0: "batch"}}, None, 11),
    "lstm_open": (lambda: Last(), x(), ["y"], {"x": BATCH_TIME}, None, 14),
    "lstm_fixed": (lambda: Last(num_layers=2), x(1), ["y"], {}, None, 9),
    "lstm_zeros": (lambda: Zeros(), x(), ["y"], {"x": {0: "batch"}}, None, 12),
    "lstm_zeros_open": (lambda: Zeros(1), x(), ["y"], {"x": BATCH_TIME}, None, 17),
    "lstm_two_layers_hidden": (lambda: Hidden(), x(), ["y"], {"x": BATCH_TIME}, None, 15),
    "lstm_both_hidden": (lambda: Hidden(both=True), x(), ["y"], {"x": BATCH_TIME}, None, 16),
    "lstm_time_major": (lambda: Sequences(), time_major, ["y"], {"x": {0: "time", 1: "batch"}}, {"x": 1, "y": 1}, 10),
    "lstm_both_sequences": (lambda: Sequences(bidirectional=True, num_layers=2, batch_first=True), x(), ["y"], {"x": BATCH_TIME}, None, 13),
    "lstm_states": (lambda: States(), with_states(1, "hc"), ["y", "hn", "cn"], {"x": BATCH_TIME, "h": {1: "batch"}, "c": {1: "batch"}},
                    {"h": 1, "c": 1, "hn": 1, "cn": 1}, 11),
    "lstm_states_two_layers": (lambda: States(layers=2), with_states(2, "hc"), ["y", "hn", "cn"], {"x": BATCH_TIME, "h": {1: "batch"}, "c": {1: "batch"}},
                               {"h": 1, "c": 1, "hn": 1, "cn": 1}, 17),
    "lstm_no_bias": (lambda: Last(bias=False), x(), ["y"], {"x": {0: "batch"}}, None, 10),
    # before opset 9 the exporter makes zero states with ConstantFill, an operator that onnxruntime has removed
    "lstm_states_fixed": (lambda: States(), with_states(1, "hc"), ["y", "hn", "cn"], {}, {"h": 1, "c": 1, "hn": 1, "cn": 1}, 7),
    "rnn_state_fixed": (lambda: States("RNN"), with_states(1, "h"), ["y", "hn"], {}, {"h": 1, "hn": 1}, 8),
    "gru_last": (lambda: Last("GRU"), x(), ["y"], {"x": {0: "batch"}}, None, 9),
    "gru_both": (lambda: Hidden("GRU", both=True), x(), ["y"], {"x": BATCH_TIME}, None, 14),
    "gru_state": (lambda: States("GRU"), with_states(1, "h"), ["y", "hn"], {"x": BATCH_TIME, "h": {1: "batch"}}, {"h": 1, "hn": 1}, 12),
    "gru_time_major_classes": (lambda: TimeMajorClasses(), time_major, ["y"], {"x": {0: "time", 1: "batch"}}, {"x": 1}, 9),
    "rnn_last": (lambda: Last("RNN"), x(), ["y"], {"x": {0: "batch"}}, None, 16),
    "rnn_relu_both": (lambda: Sequences("RNN", num_layers=2, nonlinearity="relu", bidirectional=True, batch_first=True), x(), ["y"], {"x": BATCH_TIME}, None, 11),
    "words": (lambda: Words(), lambda n: {"x": n.ids(6, 5)}, ["y"], {"x": BATCH_TIME}, None, 13),
    "convolution": (lambda: Convolution(), x(6, 8), ["y"], {"x": {0: "batch"}}, None, 11),
    "images": (lambda: Images(), lambda n: {"x": n(4, 1, 4, 5)}, ["y"], {"x": {0: "batch"}}, None, 13),
    "norms": (lambda: Norms(), x(), ["y"], {"x": BATCH_TIME}, None, 13),
    "norms_fused": (lambda: Norms(), x(), ["y"], {"x": BATCH_TIME}, None, 17),
    "attention": (lambda: Attention(), x(), ["y"], {"x": BATCH_TIME}, None, 13),
    "dot_attention": (lambda: DotAttention(), x(), ["y"], {"x": {0: "batch"}}, None, 12),
    "mean_max": (lambda: MeanMax(), x(), ["y"], {"x": BATCH_TIME}, None, 18),
    "seq2seq": (lambda: Seq2Seq(), lambda n: {"x": n(6, 5, 3), "y": n(6, 4, 2)}, ["z"], {"x": {0: "batch"}, "y": {0: "batch"}}, None, 14),
    "two_inputs": (lambda: TwoInputs(), lambda n: {"history": n(6, 5, 3), "static": n(6, 2)}, ["y"], {"history": BATCH_TIME, "static": {0: "batch"}}, None, 16),
    "residual": (lambda: Residual(), x(), ["y"], {"x": BATCH_TIME}, None, 20),
    "cells": (lambda: Cells(), x(6, 4), ["y"], {"x": {0: "batch"}}, None, 13),
}


def export(module, inputs, outputs, dynamic, dynamo, opset):
    values = tuple(torch.from_numpy(v) for v in inputs.values())
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if dynamo:
                shapes = tuple({a: torch.export.Dim.AUTO for a in dynamic.get(n, {})} for n in inputs)
                torch.onnx.export(module, values, path, dynamo=True, opset_version=opset, dynamic_shapes=shapes if dynamic else None,
                                  input_names=list(inputs), output_names=outputs, external_data=False)
            else:
                torch.onnx.export(module, values, path, dynamo=False, opset_version=opset, input_names=list(inputs), output_names=outputs, dynamic_axes=dynamic)
        return onnx.load(path)


def cases():
    for name, (build, make, outputs, dynamic, axes, opset) in MODELS.items():
        for dynamo in (False, True):
            full = ("dynamo_" if dynamo else "torch_") + name
            if onnx_golden.ONLY and onnx_golden.ONLY not in full:
                continue
            torch.manual_seed(zlib.crc32(name.encode()))
            module, inputs = build().eval(), make(Numbers(name))
            for norm in module.modules():
                if isinstance(norm, nn.BatchNorm1d):
                    norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 1.5)
                if isinstance(norm, (nn.BatchNorm1d, nn.LayerNorm)):
                    nn.init.normal_(norm.weight, 1, 0.3), nn.init.normal_(norm.bias, 0, 0.3)
            try:
                model = export(module, inputs, outputs, dynamic, dynamo, 18 + zlib.crc32(name.encode()) % 5 if dynamo else opset)
            except Exception as e:
                print(f"not exported {full}: {type(e).__name__}: {str(e).strip()[:300]}", flush=True)
                continue
            case(full, model, inputs, axes)
