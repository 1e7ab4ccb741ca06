#!/usr/bin/env python3
"""test_clients.py BINARY: test a server with real clients: those of Triton and KServe, requests of TensorFlow Serving,
NumPy, and schemathesis for /openapi.json. Prints ok or FAILED for each test, and the numbers of both."""
import asyncio, gzip, io, json, os, re, signal, subprocess, sys, tempfile, urllib.error, urllib.request

import numpy as np

BINARY = os.path.abspath(sys.argv[1])
CONFIG = {
    "models": [
        {"name": "stack", "seed": 7, "input_size": 3, "default": True, "layer": {
            "class_name": "RNN", "config": {"cell": [
                {"class_name": "LSTMCell", "config": {"units": 8}}, {"class_name": "GRUCell", "config": {"units": 5}}]}}},
        {"name": "states", "seed": 8, "input_size": 2, "layer": {
            "class_name": "LSTM", "config": {"units": 4, "return_sequences": True, "return_state": True}}},
        {"name": "text", "seed": 9, "layer": {"class_name": "Sequential", "config": {"layers": [
            {"class_name": "Embedding", "config": {"input_dim": 11, "output_dim": 6, "mask_zero": True,
                                                    "batch_input_shape": [None, None]}},
            {"class_name": "Bidirectional", "config": {"layer": {"class_name": "GRU", "config": {"units": 3}}}},
            {"class_name": "Dense", "config": {"units": 2, "activation": "softmax"}}]}}},
    ],
    "log": {"level": "warn"},
}
X = np.random.default_rng(1).uniform(-1, 1, (4, 6, 3)).astype(np.float32)


class Server:
    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump(CONFIG, self.file)
        self.file.flush()
        self.process = subprocess.Popen([BINARY, "serve", "--config", self.file.name, "--port", "0"],
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"http://([0-9.:]+)", line):
                self.address = found[1]
                return self
        raise SystemExit("the server does not start")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0


def post(server, path, body, headers={}):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{server.address}{path}", data, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def predict(server, model, x, **options):
    status, _, body = post(server, "/predict", {"model": model, "instances": x.tolist(), **options})
    assert status == 200, body
    return json.loads(body)


def same(a, b):
    assert np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32)), (a, b)


def triton(server):
    import tritonclient.http as t
    client = t.InferenceServerClient(server.address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("stack")
    assert client.get_server_metadata()["name"] == "cellserve"
    metadata = client.get_model_metadata("stack")
    assert {i["name"] for i in metadata["inputs"]} == {"inputs", "sequence_length", "mask", "state.0.h", "state.0.c", "state.1.h"}
    want = predict(server, "stack", X)
    names = ["outputs", "state.0.h", "state.0.c", "state.1.h"]
    wanted = [want["outputs"], want["states"][0][0], want["states"][0][1], want["states"][1][0]]
    for binary_in in (False, True):
        for binary_out in (False, True):
            x = t.InferInput("inputs", list(X.shape), "FP32")
            x.set_data_from_numpy(X, binary_data=binary_in)
            outputs = [t.InferRequestedOutput(n, binary_data=binary_out) for n in names]
            for compression in (None, "gzip"):
                answer = client.infer("stack", [x], outputs=outputs, request_id="a\"b", request_compression_algorithm=compression,
                                      response_compression_algorithm=compression)
                assert answer.get_response()["id"] == "a\"b"
                for name, values in zip(names, wanted):
                    same(answer.as_numpy(name), values)
    # the second half starts from the states of the first; lengths cut sequences; a mask works as in /predict
    def infer(inputs, outputs):
        made = []
        for name, array, kind in inputs:
            made.append(t.InferInput(name, list(array.shape), kind))
            made[-1].set_data_from_numpy(array)
        return client.infer("stack", made, outputs=[t.InferRequestedOutput(n) for n in outputs])
    first = infer([("inputs", X[:, :2], "FP32")], names)
    second = infer([("inputs", X[:, 2:], "FP32")] + [(n, first.as_numpy(n), "FP32") for n in names[1:]], names)
    for name, values in zip(names, wanted):
        same(second.as_numpy(name), values)
    # the same as a sequence, whose states stay on the server
    for sequence, cuts in ((7, (0, 1, 4, 6)), ("seven", (0, 6)), (2**63, (0, 3, 6))):
        for start, end in zip(cuts, cuts[1:]):
            x = t.InferInput("inputs", [4, end - start, 3], "FP32")
            x.set_data_from_numpy(np.ascontiguousarray(X[:, start:end]))
            answer = client.infer("stack", [x], outputs=[t.InferRequestedOutput(n) for n in names], sequence_id=sequence,
                                  sequence_start=start == 0, sequence_end=end == 6)
        for name, values in zip(names, wanted):
            same(answer.as_numpy(name), values)
    lengths = np.array([6, 1, 3, 2], np.int32)
    status, _, body = post(server, "/predict", {"instances": [x[:n].tolist() for x, n in zip(X, lengths)]})
    same(infer([("inputs", X, "FP32"), ("sequence_length", lengths, "INT32")], ["outputs"]).as_numpy("outputs"),
         json.loads(body)["outputs"])
    mask = np.arange(6)[None, :] % np.array([[2], [3], [1], [4]]) == 0
    same(infer([("inputs", X, "FP32"), ("mask", mask, "BOOL")], ["outputs"]).as_numpy("outputs"),
         predict(server, "stack", X, mask=mask.tolist())["outputs"])
    statistics = client.get_inference_statistics("stack")["model_stats"][0]
    assert statistics["inference_count"] >= 4 * 12 and statistics["inference_stats"]["success"]["count"] >= 12, statistics
    assert [m["state"] for m in client.get_model_repository_index()] == ["READY"] * 3
    for bad, text in (("none", "no model"), ("stack", "no output")):
        try:
            x = t.InferInput("inputs", list(X.shape), "FP32")
            x.set_data_from_numpy(X)
            client.infer(bad, [x], outputs=[t.InferRequestedOutput("nothing")])
            raise AssertionError("no error")
        except t.InferenceServerException as error:
            assert text in str(error), error
    client.close()


def raw_binary(server):
    status, headers, body = post(server, "/v2/models/stack/infer", X[0].tobytes(),
                                 {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"})
    n = int(headers["Inference-Header-Content-Length"])
    answer = json.loads(body[:n])
    assert status == 200 and answer["outputs"][0]["parameters"]["binary_data_size"] == len(body) - n
    same(np.frombuffer(body[n:], "<f4"), predict(server, "stack", X[:1])["outputs"][0])
    for data, length in ((b"abc", "0"), (b"", "0"), (b"{}", "99")):
        assert post(server, "/v2/models/stack/infer", data, {"Inference-Header-Content-Length": length})[0] == 400


def kserve(server):
    from kserve import InferenceRESTClient, InferRequest, InferInput, RESTConfig
    from kserve.protocol.infer_type import RequestedOutput

    async def talk(version):
        client = InferenceRESTClient(RESTConfig(protocol=version, verbose=False))
        base = f"http://{server.address}"
        assert await client.is_server_live(base)
        assert version == "v1" or await client.is_server_ready(base)  # v1 of KServe has no such call
        assert await client.is_model_ready(base, "stack")
        if version == "v1":
            answer = await client.infer(base, {"instances": X.tolist()}, model_name="stack")
            same(answer["predictions"], predict(server, "stack", X)["outputs"])
        else:
            for binary in (False, True):
                x = InferInput("inputs", list(X.shape), "FP32")
                x.set_data_from_numpy(X, binary_data=binary)
                request = InferRequest("stack", [x], request_outputs=[RequestedOutput("outputs", {"binary_data": binary})])
                answer = await client.infer(base, request, model_name="stack")
                same(answer.outputs[0].as_numpy(), predict(server, "stack", X)["outputs"])
        await client.close()

    asyncio.run(talk("v1"))
    asyncio.run(talk("v2"))


def tensorflow_serving(server):
    want = predict(server, "stack", X)["outputs"]
    for path in ("/v1/models/stack:predict", "/v1/models/stack/versions/1:predict", "/invocations"):
        same(json.loads(post(server, path, {"instances": X.tolist()})[2])["predictions"], want)
    same(json.loads(post(server, "/v1/models/stack:predict", {"inputs": X.tolist()})[2])["outputs"], want)
    same(json.loads(post(server, "/v1/models/stack:predict", {"instances": [{"inputs": x.tolist()} for x in X]})[2])["predictions"], want)
    # a layer with return_state has several named outputs
    x = X[:, :, :2]
    want = predict(server, "states", x)
    rows = json.loads(post(server, "/v1/models/states:predict", {"instances": x.tolist()})[2])["predictions"]
    columns = json.loads(post(server, "/v1/models/states:predict", {"inputs": {"inputs": x.tolist()}})[2])["outputs"]
    for name, values in (("outputs", want["outputs"]), ("state.0.h", want["states"][0][0]), ("state.0.c", want["states"][0][1])):
        same(columns[name], values)
        same([row[name] for row in rows], values)
    for body, status in (({}, 400), ({"instances": [], "inputs": []}, 400), ({"instances": []}, 400),
                         ({"instances": [[[1, 2]]], "signature_name": "other"}, 400), ({"instances": [[[1, 2], [1]]]}, 400)):
        code, _, text = post(server, "/v1/models/states:predict", body)
        assert code == status and isinstance(json.loads(text)["error"], str), (body, code)
    assert post(server, "/v1/models/states/versions/9:predict", {})[0] == 404


def numpy_arrays(server):
    def call(array, path="/predict", **headers):
        file = io.BytesIO()
        np.save(file, array)
        return post(server, path, file.getvalue(), {"Content-Type": "application/x-npy", **headers})
    want = predict(server, "stack", X)
    same(json.loads(call(X)[2])["outputs"], want["outputs"])
    for array in (X, np.asfortranarray(X), X.astype(np.float64)):
        status, headers, body = call(array, Accept="application/x-npy")
        assert status == 200 and headers["Content-Type"] == "application/x-npy", (status, headers)
        got = np.load(io.BytesIO(body))
        assert got.dtype == np.float32
        same(got, want["outputs"])
    sequences = np.load(io.BytesIO(call(X, "/predict?model=stack&return_sequences=true", Accept="application/x-npy")[2]))
    same(sequences, predict(server, "stack", X, return_sequences=True)["outputs"])
    ids = np.array([[1, 2, 3], [4, 5, 0]])
    same(np.load(io.BytesIO(call(ids, "/predict?model=text", Accept="application/x-npy")[2])),
         predict(server, "text", ids)["outputs"])
    for step, part in enumerate((X[:, :2], X[:, 2:])):
        last = call(part, f"/predict?model=stack&session=numpy&step={step}", Accept="application/x-npy")
    same(np.load(io.BytesIO(last[2])), want["outputs"])
    assert call(X, "/predict?model=stack&session=numpy&step=9")[0] == 409
    assert call(X, "/predict?model=stack&session=numpy&step=x")[0] == 400
    for array in (X[:0], X[0], np.full((1, 1, 3), np.nan), np.zeros((2, 3, 4)), np.array(["a"])):
        assert call(array)[0] == 400, array.shape
    assert post(server, "/predict", b"\x93NUMPY\x01\x00", {"Content-Type": "application/x-npy"})[0] == 400


def compressed_answers(server):
    body = {"instances": np.tile(X, (20, 1, 1)).tolist(), "return_sequences": True}
    plain = post(server, "/predict", body)[2]
    status, headers, packed = post(server, "/predict", body, {"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip" and len(packed) < 0.7 * len(plain) and gzip.decompress(packed) == plain
    assert "Content-Encoding" not in post(server, "/predict", body, {"Accept-Encoding": "gzip;q=0"})[1]


def generated_client(server):
    """openapi-python-client generates a package from /openapi.json; the package predicts on two models with different
    shapes."""
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "config.yaml")
        with open(config, "w") as file:
            file.write("content_type_overrides: {application/x-npy: application/octet-stream}\npost_hooks: []\n")
        done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "openapi-python-client"), "generate", "--url", f"http://{server.address}/openapi.json",
                               "--output-path", os.path.join(folder, "served"), "--meta", "none", "--config", config], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr
        sys.path.insert(0, folder)
        from served import Client, models
        from served.api.predictions import predict as operation
        from served.api.models import list_models
        client = Client(base_url=f"http://{server.address}")
        assert list_models.sync(client=client).models == ["stack", "states", "text"]
        stack = operation.sync(client=client, body=models.PredictRequestStack(instances=X.tolist()))
        assert stack.model == "stack" and np.shape(stack.outputs) == (4, 5) and len(stack.states) == 2
        same(stack.outputs, predict(server, "stack", X)["outputs"])
        Y = X[:2, :, :2]
        states = operation.sync(client=client, body=models.PredictRequestStates(instances=Y.tolist(), model=models.PredictRequestStatesModel.STATES))
        assert states.model == "states" and np.shape(states.outputs) == (2, 6, 4)
        same(states.outputs, predict(server, "states", Y)["outputs"])
        wrong = operation.sync(client=client, body=models.PredictRequestStack(instances=Y.tolist()))
        assert wrong.code == "wrong_shape" and wrong.path == "/instances/0/0"


def schemas_fit_requests(server):
    """The requests of the README are valid against the OpenAPI document; a request for a wrong model is not."""
    import jsonschema_rs
    with urllib.request.urlopen(f"http://{server.address}/openapi.json") as answer:
        document = json.load(answer)
    schema = {"$ref": "#/components/schemas/PredictRequest", "components": document["components"]}
    valid = lambda body: jsonschema_rs.is_valid(schema, body)
    x = X.tolist()
    assert valid({"instances": x}) and valid({"model": "stack", "instances": x, "rollout": {"steps": 3}})
    assert valid({"model": "text", "instances": [[1, 2, 3]]}) and not valid({"model": "text", "instances": x}) and not valid({"model": "other", "instances": x})
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids) and {"predict", "tf_predict_stack", "get_session"} <= set(ids)
    forms = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]
    assert {"application/json", "application/x-ndjson", "text/event-stream", "application/x-npy"} == set(forms)
    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert valid(example) and post(server, "/predict", example)[0] == 200
    body_of = lambda path, method: {**document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"],
                                    "components": document["components"]}
    assert post(server, "/predict", {"model": "stack", "instances": x, "session": "moves"})[0] == 200
    with urllib.request.urlopen(f"http://{server.address}/sessions/moves") as answer:
        assert jsonschema_rs.is_valid(body_of("/sessions/{id}", "put"), json.load(answer))
    tensorflow = body_of("/v1/models/stack:predict", "post")
    assert jsonschema_rs.is_valid(tensorflow, {"instances": x}) and jsonschema_rs.is_valid(tensorflow, {"inputs": x})
    assert not jsonschema_rs.is_valid(tensorflow, {"inputs": [[1]]})


def schemathesis(server):
    command = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", f"http://{server.address}/openapi.json",
               "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
               "response_headers_conformance", "--max-examples", "40", "--seed", "1", "--phases", "examples,coverage,fuzzing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    print(done.stdout[-400:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


passed = failed = 0
with Server() as server:
    for test in (triton, raw_binary, kserve, tensorflow_serving, numpy_arrays, compressed_answers, schemas_fit_requests, generated_client, schemathesis):
        try:
            test(server)
            print("ok  ", test.__name__)
            passed += 1
        except Exception as error:
            import traceback
            traceback.print_exc()
            print("FAILED", test.__name__)
            failed += 1
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
