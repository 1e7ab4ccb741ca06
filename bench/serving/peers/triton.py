"""triton.py PORT: Triton's HTTP front end (nvidia-pytriton) with ONNX Runtime in the Python function."""
import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from session import infer, session

PORT = int(sys.argv[1])
MODELS = {"m1": (2, 128, False), "m2": (64, 128, True), "m3": (64, 256, True)}


def function(name):
    runtime = session(name)

    @batch
    def run(x):
        return dict(zip(("y", "h1", "c1", "h2", "c2"), infer(runtime, x)))

    return run


config = TritonConfig(http_address="127.0.0.1", http_port=PORT, grpc_port=PORT + 1, metrics_port=PORT + 2, allow_grpc=False,
                      allow_metrics=False, log_verbose=0)
with Triton(config=config) as triton:
    for name, (features, units, whole) in MODELS.items():
        outputs = [Tensor(name="y", dtype=np.float32, shape=(-1, units) if whole else (units,))]
        outputs += [Tensor(name=s, dtype=np.float32, shape=(units,)) for s in ("h1", "c1", "h2", "c2")]
        triton.bind(model_name=name, infer_func=[function(name), function(name)],
                    inputs=[Tensor(name="x", dtype=np.float32, shape=(-1, features))], outputs=outputs,
                    config=ModelConfig(max_batch_size=64, batching=True, batcher=DynamicBatcher(max_queue_delay_microseconds=0)))
    triton.serve()
