"""silero-vad's published files (MIT licence, the PyPI package silero-vad), with the sampling rate as a constant and the state
as a state of the model: three streams of noise, and the second call of each stream."""
import glob, importlib.util, os

import numpy as np
import onnx

from onnx_golden import Numbers, case


def cases():
    folder = os.path.join(os.path.dirname(importlib.util.find_spec("silero_vad").origin), "data")
    for path in sorted(glob.glob(os.path.join(folder, "*.onnx"))):
        stem, model = os.path.basename(path)[:-5], onnx.load(path)
        names = [t.name for t in model.graph.input]
        for rate in (16000, 8000):
            if rate == 8000 and ("sr" not in names or "16k" in stem):
                continue
            numbers = Numbers(stem + str(rate))
            rows = 1 if "openvino" in stem else 3
            audio = 0.3 * numbers(rows, 576 if rate == 16000 else 288)
            axes = {"state": 1, "stateN": 1}
            values = {"input": audio, "state": 0.5 * numbers(2, rows, 128), "sr": np.array(rate)}
            config, constants = {"states": {"state": "stateN"}}, {"sr": rate} if "sr" in names else {}
            if "h" in names:  # one stream, whose windows are the timesteps
                values = {"input": audio, "h": 0.5 * numbers(1, 1, 128), "c": 0.5 * numbers(1, 1, 128)}
                axes = {"input": None, "speech_probs": None, "h": 1, "c": 1, "hn": 1, "cn": 1}
                config = {"states": {"h": "hn", "c": "cn"}}
            if constants:
                config["constants"] = constants
            case(f"silero_{stem}_{rate}", model, {n: values[n] for n in names}, axes, config, asked=[n for n in names if n != "sr"])
