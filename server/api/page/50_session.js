/* A session, stepped by hand: its states stay on the server between the requests. */

let session = null;

function newSession(model) {
  const bits = crypto.getRandomValues(new Uint8Array(8));
  return { model, id: `page-${Array.from(bits, (b) => b.toString(16).padStart(2, "0")).join("")}`, step: 0, inputs: [], outputs: [], source: model.several ? null : sampleSource(model), running: false };
}

/* The next timestep: a number for each feature, or JSON where there are many. */
function stepFields(model) {
  if (model.several || model.features > 24) return el("div", {}, el("textarea", { id: "step-json", rows: 3, spellcheck: "false", "aria-label": "next timestep as JSON" }));
  return el("div", { class: "fields" }, Array.from({ length: model.features }, (_, f) => el("label", {}, model.tokens ? "token" : model.names ? model.names[f] : model.features === 1 ? "value" : `feature ${f}`,
    el("input", { type: "number", step: "any", class: "feature" }))));
}

function nextValues() {
  const next = session.source ? session.source(session.step) : sample(session.model, 1);
  if ($("step-json")) $("step-json").value = JSON.stringify(next);
  else document.querySelectorAll(".feature").forEach((field, f) => { field.value = next[f]; });
}

function stepInput() {
  if ($("step-json")) return parseJson($("step-json").value);
  return Array.from(document.querySelectorAll(".feature"), (field) => {
    if (field.value === "" || !Number.isFinite(Number(field.value))) throw problem("Every feature needs a number.");
    return Number(field.value);
  });
}

function sessionBody(step) {
  const model = session.model;
  const row = model.several ? step : model.tokens ? step : model.sequence ? [step] : step;
  const body = { model: model.name, session: session.id, step: session.step, instances: model.meta.time_major ? [[step]] : [row] };
  return body;
}

function drawSession(answer) {
  const output = $("output"), rows = session.outputs, last = rows[rows.length - 1];
  const parts = [];
  if (answer && answer.window) parts.push(el("p", { class: "hint" }, `Window: ${answer.window.filled} of ${answer.window.size} timesteps.`));
  if (!last) parts.push(el("p", { class: "empty" }, "Each step sends one timestep."));
  else if (last.length <= 8) {
    if (last.length === 1) parts.push(el("div", { class: "big" }, Number.isFinite(last[0]) ? short(last[0]) : "…"));
    const series = [];
    if (!session.model.tokens && session.inputs[0].length <= 4) columnsOf(session.inputs, session.model.names).forEach((s, f) => series.push({ ...s, name: s.name ? `input ${s.name}` : "input", faint: true, colour: f ? `var(--s${(f + 4) % 8})` : "var(--s7)" }));
    columnsOf(rows).forEach((s, f) => series.push({ ...s, name: s.name ? `output ${s.name}` : "output", dots: true, colour: `var(--s${f % 4})` }));
    parts.push(lineChart(series, { label: "inputs and outputs of the session" }).node);
  } else {
    parts.push(vectorView(session.model, last, answer && answer.predictions && answer.predictions[0]));
    if (rows.length > 1) { const map = heatMap("outputs", last.length, { expect: 24 }); for (const row of rows) map.push(row); parts.push(map.node); }
  }
  output.replaceChildren(...parts);
  output.dataset.state = last ? "done" : "";
  output.dataset.step = session.step;
  $("session-step").textContent = String(session.step);
}

/* Send one timestep. False when it failed. */
async function sendStep(signal) {
  const of = session;
  try {
    const step = stepInput(), body = sessionBody(step);
    setRequest({ body });
    const { answer, ms, compute } = await predict(body, signal);
    if (of !== session) return false;
    session.step = answer.step;
    session.inputs.push(Array.isArray(step) ? step : [0]);
    const row = answer.outputs && Array.isArray(answer.outputs) ? (session.model.meta.time_major ? answer.outputs.flat() : answer.outputs)[0] : null;
    session.outputs.push(row === null ? Array(session.model.outputSize).fill(NaN) : depth(row) === 2 ? row[row.length - 1] : flatNumbers(row));
    $("timing").textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms${compute === null ? "" : `, of which ${duration(compute / 1e3)} computation`}`;
    drawSession(answer);
    if (answer.states) { show($("states-card"), true); session.push(answer.states); $("states-note").textContent = `after each of ${session.step} steps`; }
    nextValues();
    return true;
  } catch (error) {
    if (error.name !== "AbortError" && of === session) await showError($("output"), error);
    return false;
  }
}

async function runSteps(n) {
  const signal = begin(), of = session;
  if (of.running) { of.running = false; return; }
  of.running = true;
  $("session-run").textContent = "Stop";
  for (let i = 0; i < n && of.running && of === session; i++) if (!(await sendStep(signal))) break;
  of.running = false;
  if (of === session && $("session-run")) $("session-run").textContent = "Run 24 steps";
}

function restartSession() {
  session = newSession(current);
  session.push = stateMaps(current, $("states"), 24);
  show($("states-card"), false);
  $("session-id").textContent = session.id;
  $("timing").textContent = "";
  nextValues();
  drawSession(null);
}

/* The session ends on the server, and another one begins. */
async function endSession() {
  begin();
  if (session.step) await ask(`/sessions/${session.id}`, { method: "DELETE" }).catch(() => {});
  restartSession();
  refreshRequest();
}

function openSession() {
  $("session-card").replaceChildren(
    el("div", { class: "line" }, el("h2", {}, "Session"), el("span", { class: "spread" }), el("span", { class: "small muted" }, "step ", el("b", { id: "session-step" }, "0"))),
    el("p", { class: "hint" }, "The server keeps the states. Each request sends one new timestep. ", el("code", { id: "session-id" })),
    stepFields(current),
    el("div", { class: "line" },
      el("button", { class: "primary", type: "button", id: "session-send", onclick: () => sendStep(begin()) }, "Step"),
      el("button", { type: "button", id: "session-run", onclick: () => runSteps(24) }, "Run 24 steps"),
      el("button", { type: "button", onclick: nextValues }, "Other values"),
      el("button", { type: "button", id: "session-end", onclick: endSession }, "Start again")));
  restartSession();
}
