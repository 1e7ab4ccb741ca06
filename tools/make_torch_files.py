#!/usr/bin/env python3
"""Write the files of torch.save in tests/torch/files, which test_torch_file.c reads.

    tools/make_torch_files.py SUFFIX [NAME…]      SUFFIX: 1.13 with PyTorch 1.13, new with a current version

Every file holds the numbers 0, 1, 2, … / 16 over the tensors of its state dict in order.
"""
import os
import sys

import torch
from torch import nn

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "torch", "files")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 3, batch_first=True)
        self.fc = nn.Linear(3, 2)


Net.__module__ = "nets"
sys.modules["nets"] = sys.modules["__main__"]


def numbered(module):
    n = 0
    for value in module.state_dict().values():
        value.copy_((torch.arange(n, n + value.numel(), dtype=torch.float64) / 16).view(value.shape))
        n += value.numel()
    return module


def no_source(*_):
    raise OSError


def main(suffix, names):
    os.makedirs(OUT, exist_ok=True)
    torch.serialization.get_source_lines_and_file = no_source  # a legacy file contains the source text of every class

    def save(name, value, **options):
        if names and name not in names:
            return
        torch.save(value, os.path.join(OUT, f"{name}-{suffix}.pt"), **options)

    net = numbered(Net())
    state = net.state_dict()
    legacy = {"_use_new_zipfile_serialization": False}
    optimizer = torch.optim.Adam(net.parameters())
    sum(p.sum() for p in net.parameters()).backward()
    optimizer.step()
    numbered(net)
    save("state", state)
    save("state_legacy", state, **legacy)
    save("checkpoint", {"epoch": 3, "model_state_dict": state, "optimizer_state_dict": optimizer.state_dict(),
                        "loss": torch.tensor(0.5)})
    save("parallel", {"module." + key: value for key, value in state.items()})
    save("two", {"encoder": state, "decoder": state, "step": 1})
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16), ("f64", torch.float64)):
        save(name, {key: value.to(dtype) for key, value in state.items()})
        save(name + "_legacy", {key: value.to(dtype) for key, value in state.items()}, **legacy)
    numbers = torch.arange(256.) / 16
    save("views", {"turned": numbers[:12].view(3, 4).t(), "steps": numbers[100:112:3], "one": numbers[7].expand(5),
                   "matrix": numbers.view(16, 16)[2:4, 5:8], "empty": numbers[:0], "number": numbers[9],
                   "long": torch.arange(3)})
    save("views_legacy", {"turned": numbers[:12].view(3, 4).t(), "steps": numbers[100:112:3]}, **legacy)
    save("module", numbered(Net()))
    save("module_legacy", numbered(Net()), **legacy)
    save("lone", numbered(nn.GRU(2, 3, 2, batch_first=True)))
    save("sequential", numbered(nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.25), nn.Dropout(), nn.Linear(3, 2))))
    save("nothing", {"epoch": 3})
    save("quantized", torch.quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 2)), {nn.Linear}).state_dict())
    if not names or "script" in names:
        torch.jit.script(nn.Linear(2, 1)).save(os.path.join(OUT, f"script-{suffix}.pt"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
