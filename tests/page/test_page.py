#!/usr/bin/env python3
"""The page in headless Chromium: test_page.py BINARY [IMAGES]. IMAGES: where five small screenshots are written as well.
The last line is "N passed, N failed"."""
import base64, hashlib, http.client, json, os, re, subprocess, sys, time, traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
from browser import Browser
from served import Server

ROOT = os.path.join(HERE, "..", "..")
WORK = os.path.join(ROOT, "build", "page")
DEMO = os.path.join(ROOT, "demo")
LIMIT = 80 * 1024


def demo(path):
    with open(os.path.join(DEMO, path)) as file:
        return file.read()


def lstm(units, **more):
    return {"class_name": "LSTM", "config": {"units": units, **more}}


TEXT = [{"class_name": "Embedding", "config": {"input_dim": 50, "output_dim": 8}}, lstm(16), {"class_name": "Dense", "config": {"units": 50, "activation": "softmax"}}]
WORDS = ["", *("the a and of to in is was for on that with as it at by from his her they sea wind ship night light stone river road house tree bird"
                " song fire rain snow day star moon hand eye voice word name time year world heart water door").split()]
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPOTS = {"class_name": "StandardScaler", "mean": [43.727], "scale": [34.061]}
TWO = {"class_name": "Functional", "config": {"name": "two", "layers": [
    {"class_name": "InputLayer", "name": "history", "config": {"name": "history", "batch_input_shape": [None, None, 3]}, "inbound_nodes": []},
    {"class_name": "InputLayer", "name": "static", "config": {"name": "static", "batch_input_shape": [None, 2]}, "inbound_nodes": []},
    {"class_name": "LSTM", "name": "lstm", "config": {"name": "lstm", "units": 4}, "inbound_nodes": [[["history", 0, 0, {}]]]},
    {"class_name": "Concatenate", "name": "join", "config": {"name": "join"}, "inbound_nodes": [[["lstm", 0, 0, {}], ["static", 0, 0, {}]]]},
    {"class_name": "Dense", "name": "dense", "config": {"name": "dense", "units": 3}, "inbound_nodes": [[["join", 0, 0, {}]]]}],
    "input_layers": [["history", 0, 0], ["static", 0, 0]], "output_layers": [["dense", 0, 0]]}}
MODELS = [{"name": "digits", "path": f"{DEMO}/digits/digits.keras"},
          {"name": "named", "path": f"{DEMO}/digits/digits.keras", "transform": {"labels": NAMES}},
          {"name": "spots", "path": f"{DEMO}/sunspots/sunspots.keras", "transform": {"features": ["spots"], "input_scaler": SPOTS, "output_scaler": SPOTS}}, {"name": "sunspots", "path": f"{DEMO}/sunspots/sunspots.keras"},
          {"name": "seed", "path": f"{DEMO}/seed", "default": True},
          {"name": "text", "seed": 7, "transform": {"tokenizer": {"vocabulary": WORDS}}, "layer": {"class_name": "Sequential", "config": {"layers": TEXT}}},
          {"name": "windows", "path": f"{DEMO}/sunspots/sunspots.keras", "window": 4},
          {"name": "two", "seed": 7, "layer": TWO},
          {"name": "whole", "seed": 7, "input_size": 3, "layer": {"class_name": "Bidirectional", "config": {"layer": lstm(4, return_sequences=True)}}}]


class Page:
    def __init__(self, binary):
        os.makedirs(WORK, exist_ok=True)
        config = os.path.join(WORK, "cellserve.json")
        with open(config, "w") as file:
            json.dump({"port": 0, "models": MODELS}, file)
        self.server = Server(binary, os.path.join(WORK, "server.log"), "serve", "--config", config)
        assert self.server.wait_ready(), self.server.log()
        self.url = f"http://127.0.0.1:{self.server.port}/"
        self.browser = Browser(1280, 1000)
        self.asked, self.locked = [], ""

    def go(self, model):
        self.browser.open("about:blank")
        self.browser.open(self.url + "#" + model)
        self.browser.wait(f"document.readyState === 'complete' && document.querySelector('#name').textContent === '{model}'")

    def state(self, state, seconds=20):
        self.browser.wait(f"document.querySelector('#output').dataset.state === '{state}'", seconds)

    def metric(self, pattern):
        text = self.server.ask("GET", "/metrics")[1].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(pattern, line))

    def close(self):
        self.browser.close()
        self.server.stop()


def test_it_is_one_small_file_under_its_policy(page):
    connection = http.client.HTTPConnection("127.0.0.1", page.server.port)
    connection.request("GET", "/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200 and answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert 10000 < len(text) < LIMIT, len(text)
    policy = dict(part.strip().split(" ", 1) for part in answer.getheader("Content-Security-Policy").split(";"))
    for tag in ("script", "style"):
        inside = re.findall(rb"<%s>(.*?)</%s>" % (tag.encode(), tag.encode()), text, re.S)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0]).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'", policy
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'" and policy["connect-src"] == "'self'"
    assert not re.search(rb"""(src|href)=["']?(https?:)?//|@import|\burl\(""", text)
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    connection.close()


def test_it_loads(page):
    page.go("seed")
    b = page.browser
    assert b.js("return [...document.querySelectorAll('#models a')].map((a) => a.textContent)") == [m["name"] for m in MODELS]
    layers = b.js("return [...document.querySelectorAll('#layers li')].map((li) => li.innerText.replace(/\\n+/g, ' '))")
    assert layers[0] == "Input [any, 2]" and layers[-1] == "Output [128]" and sum("LSTMCell 128 units" in layer for layer in layers) == 2, layers
    b.wait("document.querySelector('#ready').textContent === 'ready'")
    b.wait("document.querySelectorAll('#tiles .tile').length >= 6")


def test_sample_data_predict_and_draw(page):
    page.go("seed")
    b = page.browser
    before = page.metric(r'cellserve_requests_total\{route="/predict",model="seed",status="200"\}')
    b.click("#predict")
    page.state("done")
    assert b.js("return document.querySelectorAll('#output rect').length") == 128
    b.wait("/^24 timesteps/.test(document.querySelector('#states-note').textContent)")
    assert page.metric(r'cellserve_requests_total\{route="/predict",model="seed",status="200"\}') == before + 25
    b.wait("document.querySelectorAll('#states canvas').length === 4 && document.querySelector('#states canvas').width === 24")
    drawn = "const c = document.querySelector('#states canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return new Set(Array.from({length: d.length / 4}, (_, i) => d.slice(4 * i, 4 * i + 3).join())).size"
    assert b.js(drawn) > 50 and b.js("return document.querySelector('#states canvas').height") == 128


def test_what_is_drawn_are_the_answers_numbers(page):
    page.go("digits")
    b = page.browser
    b.set("#input", demo("digits/request.json"))
    b.click("#predict")
    page.state("done")
    status, text = page.server.ask("POST", "/predict", json.loads(demo("digits/request.json")))
    outputs = json.loads(text)["outputs"][0]
    assert status == 200
    shown = b.js("return [...document.querySelectorAll('#output .value')].map((v) => v.textContent)")
    assert shown == [f"{100 * v:.2f} %" for v in outputs], shown
    assert b.text("#output .best").strip() == "0"
    # The states after the last timestep, by steps, are those of the whole sequence.
    b.wait("/^8 timesteps/.test(document.querySelector('#states-note').textContent)")


def test_drawing_on_a_picture_predicts(page):
    page.go("digits")
    b = page.browser
    b.click("#clear")
    page.state("done")
    b.js("document.querySelector('#output').dataset.state = ''; document.querySelector('canvas.board').scrollIntoView()")
    box = b.js("const r = document.querySelector('canvas.board').getBoundingClientRect(); return [r.left, r.top, r.width, r.height]")
    at = [[int(box[0] + box[2] * (x + 0.5) / 8), int(box[1] + box[3] * (y + 0.5) / 8)] for x, y in ((4, 0), (4, 7))]
    move = lambda place, duration: {"type": "pointerMove", "x": place[0], "y": place[1], "duration": duration}
    b.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [
        move(at[0], 0), {"type": "pointerDown", "button": 0}, move(at[1], 300), {"type": "pointerUp", "button": 0}]}]})
    page.state("done")
    b.wait("document.querySelector('#output .best').textContent.trim() === '1'")
    row = json.loads(b.js("return document.querySelector('#input').value"))
    assert row[0][4] == 1 and row[7][4] == 1 and len(row) == 8


def test_labels_and_raw_values(page):
    b = page.browser
    page.go("named")
    b.set("#input", json.dumps(json.loads(demo("digits/request.json"))["instances"]))
    b.click("#predict")
    page.state("done")
    assert b.text("#output .best").strip() == "zero"
    page.go("spots")
    values = json.loads(b.js("return document.querySelector('#input').value"))
    assert max(v[0] for v in values) > 20, "samples are in the units of the scaler"
    assert "spots" in b.text("#input-hint") and "StandardScaler" in b.text("#transform")
    b.set("#input", "spots\n" + "\n".join(str(v) for v in range(10, 34)))
    b.click("#predict")
    page.state("done")
    answer = json.loads(page.server.ask("POST", "/predict", {"model": "spots", "instances": [[[v] for v in range(10, 34)]]})[1])
    assert abs(float(b.text("#output .big")) - answer["outputs"][0][0]) < 1e-3 * abs(answer["outputs"][0][0])


def test_csv(page):
    page.go("seed")
    b = page.browser
    b.set("#input", "a;b\n0.5;1\n-0.25;2\n1;3\n")
    b.click("#predict")
    page.state("done")
    b.wait("document.querySelector('#code').textContent.includes('[[[0.5,1],[-0.25,2],[1,3]]]')")
    b.set("#input", "0.5,1\n-0.25\n")
    b.click("#predict")
    page.state("error")
    assert "Line 2: expected 2 numbers, found 1." in b.text("#output")


def test_an_error_says_where_and_shows_the_value(page):
    page.go("seed")
    b = page.browser
    b.set("#input", "[[1, 2], [3]]")
    b.click("#predict")
    page.state("error")
    text = b.text("#output .error")
    assert "Expected 2 features, found 1." in text and "400 wrong_shape" in text and "/instances/0/1" in text and "[3]" in text, text
    b.set("#input", "[[1, 2],\n [3, x]]")
    b.click("#predict")
    b.wait("document.querySelector('#output').innerText.includes('line 2, column 6')")
    assert "400 invalid_json" in b.text("#output .error")
    b.set("#input", '"<img src=x onerror=alert(1)>"')
    b.click("#predict")
    b.wait("document.querySelector('#output .error')")
    assert b.js("return document.querySelectorAll('img').length") == 0


def test_a_session_step_by_step(page):
    page.go("sunspots")
    b = page.browser
    b.click("#tab-session")
    for step in (1, 2, 3):
        b.set(".feature", str(0.1 * step))
        b.click("#session-send")
        b.wait(f"document.querySelector('#session-step').textContent === '{step}'")
    session = b.text("#session-id")
    stored = json.loads(page.server.ask("GET", f"/sessions/{session}")[1])
    assert stored["step"] == 3 and stored["model"] == "sunspots"
    whole = json.loads(page.server.ask("POST", "/predict", {"model": "sunspots", "session": "by-hand", "instances": [[[0.1], [0.2], [0.30000000000000004]]]})[1])
    assert stored["states"] == whole["states"]
    assert abs(float(b.text("#output .big")) - whole["outputs"][0][0]) < 1e-3 * abs(whole["outputs"][0][0]) + 1e-6
    b.click("#session-run")
    b.wait("document.querySelector('#session-step').textContent === '27'")
    b.click("#session-end")
    b.wait("document.querySelector('#session-step').textContent === '0'")
    assert page.server.ask("GET", f"/sessions/{session}")[0] == 404


def test_a_roll_out_is_drawn_while_it_streams(page):
    page.go("sunspots")
    b = page.browser
    b.click("#tab-rollout")
    b.set("#input", demo("sunspots/rollout.json"))
    assert b.js("return document.querySelector('#steps').value") == "11"
    b.set("#steps", "20000")
    b.js("window.seen = []; const look = () => { const curve = [...document.querySelectorAll('#output .curve')].pop(), n = curve ? curve.getAttribute('d').length : 0;"
         "if (n && seen[seen.length - 1] !== n) seen.push(n); requestAnimationFrame(look); }; look()")
    b.bandwidth(200_000)  # so that the stream lasts for many frames, also on a busy machine
    b.click("#roll")
    page.state("done")
    b.bandwidth(-1)
    assert b.js("return document.querySelector('#output').dataset.steps") == "20000"
    assert len(b.js("return window.seen")) >= 4
    # an observer runs before the next part of the stream is read; a timer may be late for the end of the stream
    b.js("const output = document.querySelector('#output'), roll = document.querySelector('#roll'); output.dataset.steps = 0;"
         "const observer = new MutationObserver(() => { if (Number(output.dataset.steps) > 0) { observer.disconnect(); roll.click(); } });"
         "observer.observe(output, { attributes: true, attributeFilter: ['data-steps'] }); roll.click()")
    page.state("stopped")
    assert 0 < int(b.js("return document.querySelector('#output').dataset.steps")) < 20000
    b.wait("document.querySelector('#roll').textContent === 'Start'")


def test_several_inputs(page):
    page.go("two")
    b = page.browser
    layers = b.js("return [...document.querySelectorAll('#layers li')].map((li) => li.innerText.replace(/\\n+/g, ' '))")
    assert layers[:2] == ["history [any, 3]", "static [2]"], layers
    row = json.loads(b.js("return document.querySelector('#input').value"))
    assert len(row["history"]) == 24 and len(row["static"]) == 2
    b.click("#predict")
    page.state("done")
    b.wait("/^24 timesteps/.test(document.querySelector('#states-note').textContent)")
    answer = json.loads(page.server.ask("POST", "/predict", {"model": "two", "instances": [row]})[1])
    shown = [float(value) for value in b.js("return [...document.querySelectorAll('#output .value')].map((v) => v.textContent)")]
    assert all(abs(a - e) < 1e-3 * abs(e) + 1e-6 for a, e in zip(shown, answer["outputs"][0])) and len(shown) == 3
    b.click("#tab-rollout")
    assert "one input sequence" in b.text("#output")
    b.set("#input", "1,2,3")
    b.click("#tab-predict")
    b.click("#predict")
    page.state("error")
    assert "history, static" in b.text("#output")


def test_windows(page):
    page.go("windows")
    b = page.browser
    b.click("#tab-session")
    b.click("#session-send")
    b.wait("document.querySelector('#session-step').textContent === '1'")
    assert "Window: 1 of 4 timesteps." in b.text("#output") and b.text("#output .big") == "…"
    b.click("#session-run")
    b.wait("document.querySelector('#session-step').textContent === '25'")
    assert "Window: 4 of 4 timesteps." in b.text("#output") and abs(float(b.text("#output .big"))) < 10


def test_tokens(page):
    page.go("text")
    b = page.browser
    b.click("#tab-rollout")
    b.set("#steps", "30")
    b.click("#roll")
    page.state("done")
    assert b.js("return document.querySelectorAll('#output .tokens .new').length") == 30
    tokens = b.js("return [...document.querySelectorAll('#output .tokens .new')].map((token) => Number(token.textContent))")
    assert b.text("#output .text") == " ".join(WORDS[token] for token in tokens if token), "the text of the tokens that were drawn"


def test_a_model_of_whole_sequences_says_so(page):
    page.go("whole")
    b = page.browser
    b.click("#predict")
    page.state("done")
    b.wait("document.querySelector('#states').innerText.includes('needs whole sequences')")
    b.click("#tab-rollout")
    assert "cannot roll out" in b.text("#output") and b.js("return document.querySelector('#roll').disabled")


def test_text_sample(page):
    page.go("text")
    b = page.browser
    b.click("#sample")
    words = json.loads(b.js("return document.querySelector('#input').value")).split()
    assert len(words) == 8 and set(words) <= set(WORDS), words
    b.click("#predict")
    page.state("done")


def test_switching_models(page):
    page.go("seed")
    b = page.browser
    for name in ("digits", "sunspots", "text", "seed"):
        b.click(f'#models a[data-name="{name}"]')
        b.wait(f"document.querySelector('#name').textContent === '{name}'")
        b.click("#predict")
        page.state("done")
        assert b.js("return document.querySelector('[aria-current]').textContent") == name


def run(command, text):
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)


def test_the_code_runs_as_it_stands(page):
    page.go("sunspots")
    b = page.browser
    b.set("#input", demo("sunspots/request.json"))
    b.click("#predict")
    page.state("done")
    expected = json.loads(page.server.ask("POST", "/predict", json.loads(demo("sunspots/request.json")))[1])["outputs"]
    answer = run(["sh"], b.text("#code"))
    assert json.loads(answer.stdout)["outputs"] == expected, answer.stderr
    b.click("#lang-python")
    answer = run([sys.executable, "-"], b.text("#code"))
    assert json.loads(answer.stdout) == expected, answer.stderr
    b.click("#lang-javascript")
    assert b.text("#code").startswith("const response = await fetch(")
    inside = b.call("POST", "/execute/async", {"script": "const done = arguments[0]; const text = document.querySelector('#code').textContent.replace('console.log(', 'return (');"
                                               "fetch('/predict', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: /JSON.stringify\\((.*)\\),/.exec(text)[1]}).then((r) => r.json()).then((a) => done(a.outputs))", "args": []})
    assert inside == expected
    b.click("#lang-curl")
    b.click("#tab-rollout")
    b.set("#steps", "3")
    b.wait("document.querySelector('#code').textContent.includes('ndjson')")
    lines = [json.loads(line) for line in run(["sh"], b.text("#code")).stdout.splitlines() if line]
    assert [line.get("timestep") for line in lines] == [0, 1, 2, None] and lines[-1]["done"]


def test_keyboard_alone(page):
    page.go("seed")
    b = page.browser
    tab, enter, right, space = "\ue004", "\ue007", "\ue014", " "
    b.keys(tab)
    assert b.js("return document.activeElement.className") == "skip"
    b.js("document.querySelector('#models a[data-name=sunspots]').focus()")
    b.keys(enter)
    b.wait("document.querySelector('#name').textContent === 'sunspots'")
    for _ in range(30):
        b.keys(tab)
        if b.js("return document.activeElement.id") == "predict":
            break
    assert b.js("return document.activeElement.id") == "predict"
    outline = b.js("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", outline
    b.keys(space)
    page.state("done")
    b.js("document.querySelector('#tab-predict').focus()")
    b.keys(right)
    assert b.js("return [document.activeElement.id, document.activeElement.getAttribute('aria-selected')]") == ["tab-session", "true"]
    b.keys(right)
    assert b.js("return document.querySelector('[aria-controls=panel][aria-selected=true]').id") == "tab-rollout"
    b.keys(right)
    b.js("document.querySelector('#input').focus()")
    b.js("document.querySelector('#output').dataset.state = ''")
    b.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": [{"type": "keyDown", "value": "\ue009"}, {"type": "keyDown", "value": enter}, {"type": "keyUp", "value": enter}, {"type": "keyUp", "value": "\ue009"}]}]})
    page.state("done")


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_light_dark_and_small(page):
    b = page.browser
    for theme in ("dark", "light"):
        b.theme(theme)
        page.go("digits")
        assert b.js("return document.documentElement.dataset.theme") == theme
        b.click("#predict")
        page.state("done")
        for selector, behind in (("#input-hint", "#input-card"), ("h1", "body"), ("#predict", "#predict"), ("#timing", "#output-card"), ("nav a:not([aria-current])", "body")):
            ink, paper = (luminance(b.js("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", s, name)) for s, name in ((selector, "color"), (behind, "backgroundColor")))
            contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
            assert contrast >= 4.5, (theme, selector, contrast)
    b.size(360, 740, mobile=True)
    for model in ("digits", "sunspots", "seed"):
        page.go(model)
        for tab in ("session", "rollout", "predict"):
            b.click(f"#tab-{tab}")
            assert b.js("return document.documentElement.scrollWidth") <= 360, (model, tab)
    b.click("#predict")
    page.state("done")
    assert b.js("return document.documentElement.scrollWidth") <= 360
    b.screenshot(os.path.join(WORK, "small.png"))
    b.devtools("Emulation.clearDeviceMetricsOverride")


def test_live_numbers(page):
    page.go("seed")
    b = page.browser
    b.click("#predict")
    page.state("done")
    b.wait("[...document.querySelectorAll('#tiles b')].some((e) => / (µs|ms|s)$/.test(e.textContent))")
    b.wait("[...document.querySelectorAll('#routes td')].some((e) => e.textContent === '/predict')")


def test_a_key(page):
    """A server that wants a key: its page is open and asks for the key."""
    key, line = subprocess.run([sys.argv[1], "key", "page", "predict,sessions,metrics"], capture_output=True, text=True).stdout.split()
    config, keys = os.path.join(WORK, "locked.json"), os.path.join(WORK, "keys.txt")
    with open(keys, "w") as file:
        file.write(line + "\n")
    with open(config, "w") as file:
        json.dump({"port": 0, "models": MODELS, "auth": {"keys": keys}}, file)
    server = Server(sys.argv[1], os.path.join(WORK, "locked.log"), "serve", "--config", config)
    assert server.wait_ready(), server.log()
    b, page.locked = page.browser, f"http://127.0.0.1:{server.port}/"
    try:
        assert server.ask("GET", "/")[0] == 401 and server.ask("GET", "/", headers={"Accept": "text/html"})[0] == 200
        b.open(page.locked + "#seed")
        b.wait("document.querySelector('#key-dialog').open")
        assert b.text("#notice").strip() and not b.js("return document.querySelectorAll('#models a').length")
        b.type("#key", key + "\ue007")
        b.wait("document.querySelector('#name').textContent === 'seed'")
        b.click("#predict")
        page.state("done")
        b.wait("document.querySelectorAll('#tiles .tile').length > 0")
        code = b.text("#code")
        assert "Bearer $CELLSERVE_KEY" in code and key not in b.js("return document.documentElement.outerHTML")
        answer = subprocess.run(["sh", "-c", code], capture_output=True, text=True, env={**os.environ, "CELLSERVE_KEY": key})
        assert "outputs" in json.loads(answer.stdout)
        b.open("about:blank")
    finally:
        server.stop()


def test_nothing_else_is_asked(page):
    page.asked += page.browser.requests()
    foreign = [url for url in page.asked if not url.startswith((page.url, page.locked, "data:", "chrome:", "chrome-search:", "chrome-untrusted:", "about:", "chrome-error:"))]
    assert not foreign, foreign[:5]
    bad = [text for text in page.browser.complaints() if "Failed to load resource" not in text]
    assert not bad, bad[:5]


def test_screenshots(page, images=None):
    b = page.browser
    b.theme("light")
    b.size(1200, 860)
    folder = images or WORK
    os.makedirs(folder, exist_ok=True)

    def take(name, scroll=0):
        b.wait("[...document.querySelectorAll('#tiles b')].length > 0")
        b.js("window.scrollTo(0, arguments[0])", scroll)
        time.sleep(0.3)  # heat maps and bars are drawn with the next frame
        b.screenshot(os.path.join(folder, name))
        assert os.path.getsize(os.path.join(folder, name)) < 150000, name

    page.go("digits")
    b.set("#input", demo("digits/request.json"))
    b.click("#predict")
    b.wait("/^8 timesteps/.test(document.querySelector('#states-note').textContent)")
    take("page-digits.png")
    page.go("sunspots")
    b.click("#tab-rollout")
    b.set("#input", demo("sunspots/rollout.json"))
    b.set("#steps", "44")
    b.click("#roll")
    page.state("done")
    take("page-rollout.png")
    b.theme("dark")
    page.go("seed")
    b.click("#predict")
    b.wait("/^24 timesteps/.test(document.querySelector('#states-note').textContent)")
    take("page-states.png", 270)
    b.theme("light")
    page.go("text")
    b.click("#tab-rollout")
    b.click("#roll")
    page.state("done")
    take("page-text.png")
    page.go("seed")
    b.set("#input", "[[1, 2],\n[3]]")
    b.click("#predict")
    page.state("error")
    take("page-error.png")


def test_it_can_be_switched_off(page):
    server = Server(sys.argv[1], os.path.join(WORK, "off.log"), "serve", os.path.join(DEMO, "seed"), "--port", "0", "--page", "false")
    assert server.wait_ready()
    status, text = server.ask("GET", "/", headers={"Accept": "text/html"})
    assert status == 200 and json.loads(text)["status"] == "alive"
    server.stop()


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    page, failed = Page(sys.argv[1]), 0
    try:
        for name, test in tests:
            print(f"[ RUN      ] {name}", flush=True)
            began = time.monotonic()
            try:
                if name == "test_screenshots" and len(sys.argv) > 2:
                    test(page, sys.argv[2])
                else:
                    test(page)
                print(f"[       OK ] {name} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception:
                failed += 1
                traceback.print_exc()
                page.browser.screenshot(os.path.join(WORK, f"{name}.png"))
                print(f"[  FAILED  ] {name}: build/page/{name}.png", flush=True)
                page.browser.devtools("Emulation.clearDeviceMetricsOverride")
                page.browser.js("const d = document.querySelector('#key-dialog'); if (d && d.open) d.close('cancel')")
    finally:
        page.close()
    print(f"{len(tests) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
