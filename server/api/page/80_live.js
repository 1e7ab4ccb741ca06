/* The server's rates and latencies, from /metrics. */

const POLL_MS = 2000, KEPT = 60;
const history = [];      /* the last samples */
const PREDICTIONS = /predict|:step|infer|invocations/;

/* Prometheus's text: name → [{labels, value}]. */
function parseMetrics(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, key, value] of (found[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = value;
    if (!metrics.has(found[1])) metrics.set(found[1], []);
    metrics.get(found[1]).push({ labels, value: Number(found[3]) });
  }
  return metrics;
}

const rowsNamed = (metrics, name) => metrics.get(name) || metrics.get(`cellserve_${name}`) || [];
const total = (metrics, name, keep = () => true) => rowsNamed(metrics, name).filter((row) => keep(row.labels)).reduce((sum, row) => sum + row.value, 0);
const isPrediction = (labels) => PREDICTIONS.test(labels.route || "");

/* Counts by upper bound, added up over all rows that are kept. */
function buckets(metrics, keep) {
  const sums = new Map();
  for (const { labels, value } of rowsNamed(metrics, "request_duration_seconds_bucket")) if (keep(labels)) sums.set(labels.le, (sums.get(labels.le) || 0) + value);
  return sums;
}

/* The share q of the requests between two samples took at most so long. */
function quantile(before, after, q) {
  const rows = [...after].map(([le, value]) => [le === "+Inf" ? Infinity : Number(le), value - (before ? before.get(le) || 0 : 0)]).sort((a, b) => a[0] - b[0]);
  const all = rows.length ? rows[rows.length - 1][1] : 0;
  let low = 0, below = 0;
  if (!all) return NaN;
  for (const [le, value] of rows) {
    if (value >= q * all) return le === Infinity ? low : low + (le - low) * (q * all - below) / (value - below || 1);
    low = le; below = value;
  }
  return low;
}

function spark(values) {
  const high = Math.max(...values.filter(Number.isFinite), 1e-12);
  let path = "", pen = false;
  values.forEach((v, i) => { if (Number.isFinite(v)) { path += `${pen ? "L" : "M"}${(100 * (i + KEPT - values.length) / (KEPT - 1)).toFixed(1)} ${(22 - 20 * v / high).toFixed(1)}`; pen = true; } else pen = false; });
  return svg("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d: path }));
}
const tile = (name, value, values) => el("div", { class: "tile" }, el("span", {}, name), el("b", {}, value), values ? spark(values) : null);

function sampleOf(metrics) {
  const now = { at: performance.now(), metrics, buckets: buckets(metrics, isPrediction) };
  const before = history[Math.max(0, history.length - 5)], last = history[history.length - 1];
  const rate = (name, keep, from) => from ? (total(metrics, name, keep) - total(from.metrics, name, keep)) / ((now.at - from.at) / 1e3) : NaN;
  now.requests = rate("requests_total", isPrediction, last);
  now.timesteps = rate("timesteps_total", undefined, last);
  now.errors = rate("requests_total", (labels) => isPrediction(labels) && Number(labels.status) >= 400, before);
  now.cpu = rate("process_cpu_seconds_total", undefined, last);
  now.p50 = quantile(before && before.buckets, now.buckets, 0.5);
  now.p99 = quantile(before && before.buckets, now.buckets, 0.99);
  return now;
}

const perSecond = (value) => !Number.isFinite(value) ? "–" : value >= 1000 ? count(Math.round(value)) : String(Number(value.toPrecision(3)));

function drawLive(now) {
  const m = now.metrics, line = (key) => history.map((sample) => sample[key]);
  $("tiles").replaceChildren(
    tile("Predictions / s", perSecond(now.requests), line("requests")),
    tile("Latency, median", duration(now.p50), line("p50")),
    tile("Latency, 99 %", duration(now.p99), line("p99")),
    tile("Timesteps / s", perSecond(now.timesteps), line("timesteps")),
    tile("CPU", Number.isFinite(now.cpu) ? `${Math.round(100 * now.cpu)} %` : "–", line("cpu")),
    tile("Memory", bytes(total(m, "process_resident_memory_bytes"))),
    tile("Running, waiting", `${total(m, "running_requests")}, ${total(m, "queue_depth")}`),
    tile("Sessions, streams", `${total(m, "sessions")}, ${total(m, "streams")}`),
    tile("Errors / s", perSecond(now.errors)));
  const routes = [...new Set(rowsNamed(m, "requests_total").map((row) => row.labels.route))].filter((route) => route !== "/metrics");
  $("routes").replaceChildren(el("tr", {}, ["route", "requests", "errors", "median", "99 %"].map((head) => el("th", {}, head))), ...routes.map((route) => {
    const of = (labels) => labels.route === route, sums = buckets(m, of);
    return el("tr", {}, el("td", {}, route), el("td", {}, count(total(m, "requests_total", of))), el("td", {}, count(total(m, "requests_total", (labels) => of(labels) && Number(labels.status) >= 400))),
      el("td", {}, duration(quantile(null, sums, 0.5))), el("td", {}, duration(quantile(null, sums, 0.99))));
  }));
  $("glance").textContent = Number.isFinite(now.requests) ? `${perSecond(now.requests)} predictions/s${Number.isFinite(now.p50) ? `, median ${duration(now.p50)}` : ""}` : "";
  const build = rowsNamed(m, "build_info")[0];
  if (build) $("version").textContent = `${build.labels.version}, ${build.labels.isa}`;
}

async function poll() {
  if (!document.hidden) {
    try {
      const response = await fetch("/metrics", { headers: apiKey ? { Authorization: `Bearer ${apiKey}` } : {}, cache: "no-store" });
      if (response.ok) {
        history.push(sampleOf(parseMetrics(await response.text())));
        if (history.length > KEPT) history.shift();
        drawLive(history[history.length - 1]);
        $("live-note").textContent = "every two seconds";
      } else {
        $("live-note").textContent = response.status === 401 || response.status === 403 ? "These numbers need a key with the scope metrics." : "This server shows its metrics elsewhere.";
      }
      const ready = await fetch("/readyz", { cache: "no-store" }), word = (await ready.text()).trim();
      setReady(ready.ok ? "ready" : word.slice(0, 30), ready.ok ? "good" : "bad");
    } catch {
      setReady("no answer", "bad");
    }
  }
  setTimeout(poll, POLL_MS);
}

function setReady(text, state) {
  if ($("ready").textContent !== text) $("ready").textContent = text;
  $("ready").className = `pill ${state}`;
}
