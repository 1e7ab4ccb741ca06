"""A tuned FastAPI server: raw bodies, orjson for requests and answers, NumPy arrays without conversion to lists, large
bodies outside the event loop."""
import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from session import infer, session

SESSIONS = {name: session(name) for name in ("m1", "m2", "m3", "w60")}
app = FastAPI()


def work(body):
    request = orjson.loads(body)
    if request["model"] == "w60":
        y = SESSIONS["w60"].run(["y"], {"x": np.asarray(request["inputs"], np.float32)})[0]
        return orjson.dumps({"outputs": y}, option=orjson.OPT_SERIALIZE_NUMPY)
    y, h1, c1, h2, c2 = infer(SESSIONS[request["model"]], np.asarray(request["inputs"], np.float32))
    return orjson.dumps({"outputs": y, "states": [[h1, c1], [h2, c2]]}, option=orjson.OPT_SERIALIZE_NUMPY)


@app.post("/predict")
async def predict(request: Request):
    body = await request.body()
    answer = work(body) if len(body) < 4096 else await run_in_threadpool(work, body)
    return Response(answer, media_type="application/json")


@app.get("/health")
def health():
    return {"ok": True}
