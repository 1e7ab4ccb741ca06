"""A headless Chromium, driven by chromedriver over W3C WebDriver and a few DevTools commands. Standard library alone."""
import base64, http.client, json, os, re, shutil, subprocess, tempfile, time


class Browser:
    def __init__(self, width=1280, height=900, more=()):
        self.profile = tempfile.mkdtemp(prefix="cellserve-page-")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.port = None
        for line in self.driver.stdout:
            found = re.search(r"on port (\d+)\.", line)
            if found:
                self.port = int(found[1])
                break
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
                     f"--user-data-dir={self.profile}", f"--window-size={width},{height}", "--disable-background-networking", *more]
        options = {"args": arguments, "perfLoggingPrefs": {"enableNetwork": True}}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
        self.base = ""
        self.base = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, self.base + path, None if method == "GET" else json.dumps(body or {}), {"Content-Type": "application/json"})
        value = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{value['error']}: {value['message'][:400]}")
        return value

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def js(self, text, *arguments):
        """The value of a script's `return`."""
        return self.call("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def wait(self, condition, seconds=20):
        """Until a JavaScript expression is true; its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.js(f"return {condition}")
            if value:
                return value
            time.sleep(0.03)
        raise AssertionError(f"not within {seconds} s: {condition}")

    def element(self, selector):
        return list(self.call("POST", "/element", {"using": "css selector", "value": selector}).values())[0]

    def click(self, selector):
        self.call("POST", f"/element/{self.element(selector)}/click")

    def type(self, selector, text):
        self.call("POST", f"/element/{self.element(selector)}/value", {"text": text})

    def set(self, selector, text):
        """Replace the text of a field, like pasting."""
        self.js("const field = document.querySelector(arguments[0]); field.value = arguments[1]; field.dispatchEvent(new Event('input')); field.dispatchEvent(new Event('change'));", selector, text)

    def keys(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def text(self, selector):
        return self.js("const e = document.querySelector(arguments[0]); return e && e.innerText", selector)

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def bandwidth(self, bytes_a_second):
        """Limits what the browser receives; -1: no limit."""
        self.devtools("Network.enable")
        self.devtools("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=bytes_a_second, uploadThroughput=-1)

    def size(self, width, height, mobile=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def theme(self, theme):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def screenshot(self, path, whole=False):
        answer = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def requests(self):
        """URLs that the browser has requested since the last call."""
        urls = []
        for entry in self.call("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                urls.append(message["params"].get("request", message["params"])["url"])
        return urls

    def complaints(self):
        """Errors and warnings of the console since the last call."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"}) if entry["level"] in ("SEVERE", "WARNING")]

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.profile, ignore_errors=True)
