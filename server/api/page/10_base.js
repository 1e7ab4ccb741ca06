"use strict";
/* Elements, numbers, the theme, and requests to the server. Texts become nodes, never markup. */

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const show = (node, visible) => { node.hidden = !visible; };

/* Four significant digits, without noise. */
function short(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}
const count = (value) => value.toLocaleString("en");
function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < 4) { value /= 1000; unit++; }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
const duration = (seconds) => !Number.isFinite(seconds) ? "–"
  : seconds < 1e-3 ? `${Math.round(seconds * 1e6)} µs` : seconds < 1 ? `${Number((seconds * 1e3).toPrecision(3))} ms` : `${Number(seconds.toPrecision(3))} s`;

/* ---- theme ---- */

const redraws = new Set(); /* what draws with the theme's colours */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  if ($("theme")) $("theme").textContent = theme === "dark" ? "Light" : "Dark";
  for (const redraw of redraws) redraw();
}
function remembered(store, name) { try { return store.getItem(name); } catch { return null; } }
function remember(store, name, value) { try { if (value) store.setItem(name, value); else store.removeItem(name); } catch { /* private mode */ } }
const dark = matchMedia("(prefers-color-scheme: dark)");
setTheme(remembered(localStorage, "cellserve-theme") || (dark.matches ? "dark" : "light"));
dark.addEventListener("change", () => { if (!remembered(localStorage, "cellserve-theme")) setTheme(dark.matches ? "dark" : "light"); });

/* ---- requests ---- */

let apiKey = remembered(sessionStorage, "cellserve-key") || "";

class ApiError extends Error {
  constructor(status, answer, sent) {
    super(answer.error || `The server answered ${status}.`);
    Object.assign(this, { status, code: answer.code || "", path: answer.path || "", sent });
  }
}

/* A response of the server; an ApiError where the status is none of success. */
async function ask(path, { method = "GET", body, raw, accept, signal } = {}) {
  const headers = {};
  if (body !== undefined || raw) headers["Content-Type"] = "application/json";
  if (accept) headers.Accept = accept;
  if (apiKey) headers.Authorization = `Bearer ${apiKey}`;
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: raw || (body === undefined ? undefined : JSON.stringify(body)), cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: "The server does not answer." });
  }
  if (response.ok) return response;
  const text = await response.text();
  let answer = {};
  try { answer = JSON.parse(text); } catch { answer = { error: text.trim().slice(0, 300) }; }
  if (response.status === 401) askForKey();
  throw new ApiError(response.status, answer, body);
}
const askJson = async (path, options) => (await ask(path, options)).json();

/* POST /predict: the answer, and how long it took. */
async function predict(body, signal) {
  const began = performance.now();
  const response = await ask("/predict", { method: "POST", body, signal });
  const answer = await response.json();
  const compute = /compute;dur=([0-9.]+)/.exec(response.headers.get("Server-Timing") || "");
  return { answer, ms: performance.now() - began, compute: compute ? Number(compute[1]) : null };
}

/* ---- errors ---- */

/* What stands at a JSON pointer of what was sent. */
function valueAt(sent, pointer) {
  let value = sent;
  for (const part of pointer.split("/").slice(1)) {
    if (value === null || typeof value !== "object") return undefined;
    value = value[part.replace(/~1/g, "/").replace(/~0/g, "~")];
  }
  return value;
}

function errorBox(error) {
  const lines = [];
  if (error.status) lines.push(el("div", {}, `${error.status} `, el("code", {}, error.code)));
  if (error.path) {
    const value = valueAt(error.sent, error.path);
    const text = value === undefined ? "" : JSON.stringify(value);
    lines.push(el("div", {}, "at ", el("code", {}, error.path), text ? ": " : "", text ? el("code", {}, text.length > 120 ? text.slice(0, 120) + "…" : text) : null));
  }
  if (error.status === 401) lines.push(el("div", {}, el("button", { type: "button", onclick: () => askForKey() }, "Enter an API key")));
  return el("div", { class: "error", role: "alert" }, el("b", {}, error.message), lines);
}

/* What went wrong, in place of an output. */
async function showError(host, error) {
  if (error.raw) error = await ask("/predict", { method: "POST", raw: error.raw }).then(() => error, (answered) => answered);
  host.replaceChildren(errorBox(error));
  host.dataset.state = "error";
}

function askForKey() {
  if (!$("key-dialog").open) {
    $("key").value = "";
    $("key-dialog").showModal();
  }
}
