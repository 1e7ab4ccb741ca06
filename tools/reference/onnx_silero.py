"""silero-vad's published files (MIT licence, the PyPI package silero-vad), with the sampling rate as a constant and the
state as a state of the model. The input is three streams of noise; one call of the graph takes one window of each
stream and is one timestep."""
import glob, importlib.util, json, os

import numpy as np
import onnx
import onnxruntime

import onnx_golden
from onnx_golden import Numbers, in_float64, in_onnxruntime, measure, operators, shortest

STEPS = 3


def steps(run, model, windows, fixed):
    """The first output of each timestep, [rows, timesteps, numbers]; the state of a timestep is an input of the
    next."""
    state, outputs = np.zeros((2, len(windows), 128), "float32"), []
    for t in range(STEPS):
        y, state = run(model, {"input": windows[:, t], "state": state, **fixed})
        outputs.append(y)
    return np.stack(outputs, 1)


def cases():
    folder = os.path.join(os.path.dirname(importlib.util.find_spec("silero_vad").origin), "data")
    for path in sorted(glob.glob(os.path.join(folder, "*.onnx"))):
        stem, model = os.path.basename(path)[:-5], onnx.load(path)
        names = [t.name for t in model.graph.input]
        if "h" in names:  # a file for one stream, whose first axis is that of the windows
            continue
        for rate in (16000, 8000):
            if rate == 8000 and ("sr" not in names or "16k" in stem):
                continue
            numbers, name = Numbers(stem + str(rate)), f"silero_{stem}_{rate}"
            windows = 0.3 * numbers(1 if "openvino" in stem else 3, STEPS, 576 if rate == 16000 else 288)
            fixed = {"sr": np.array(rate)} if "sr" in names else {}
            y32, y64 = [steps(run, model, windows, fixed) for run in (in_onnxruntime, in_float64)]
            error, largest = measure([y32], [y64])
            case = {"notes": name, "exporter": f"{model.producer_name} {model.producer_version}".strip(), "layers": sorted(set(operators(model.graph))),
                    "model": name + ".onnx", "also": [], "config": {"states": {"state": "stateN"}, "input_size": windows.shape[2]},
                    "request": {"instances": shortest(windows)}, "error_vs_float64": error, "largest": largest, "onnxruntime": onnxruntime.__version__,
                    "tolerance": {"rtol": 1e-5, "atol": max(1e-6, 6 * error["max_abs"])}, "outputs_f64": shortest(y64)}
            if fixed:
                case["config"]["constants"] = {"sr": rate}
            onnx.save(model, os.path.join(onnx_golden.OUT, name + ".onnx"))
            with open(os.path.join(onnx_golden.OUT, name + ".json"), "w") as f:
                json.dump(case, f)
            onnx_golden.report["made"] += 1
            print(name, f"{error['max_abs']:.1e} of {largest:.3g}")
