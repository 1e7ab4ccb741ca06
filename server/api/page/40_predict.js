/* Predictions: the answer as charts, and the states after every timestep. */

let current = null;  /* the model */
let mode = "predict";
let running = null;  /* AbortController of what runs */

/* A new activity ends the one before it. */
function begin() {
  if (running) running.abort();
  running = new AbortController();
  return running.signal;
}

const isDistribution = (values) => values.length > 1 && values.every((v) => v >= 0 && v <= 1) && Math.abs(values.reduce((a, b) => a + b, 0) - 1) < 1e-3;

/* One vector: labels where the answer or the transform has them, else bars, columns or a number. */
function vectorView(model, values, predictions) {
  if (Array.isArray(predictions)) {
    const key = predictions.some((p) => "probability" in p) ? "probability" : "score";
    return barChart(predictions.map((p) => p[key]), predictions.map((p) => p.label), { probability: key === "probability" });
  }
  if (values.length === 1) return el("div", { class: "big" }, short(values[0]));
  if (values.length <= 24) return barChart(values, model.labels && model.labels.length === values.length ? model.labels : values.map((_, i) => i), { probability: isDistribution(values) });
  return columnChart(values, { label: `${values.length} outputs` });
}

/* [T][U] */
function sequenceView(rows, label) {
  if (!rows.length) return el("p", { class: "muted" }, "no timestep");
  if (rows[0].length <= 8) return lineChart(columnsOf(rows), { label }).node;
  const map = heatMap(label, rows[0].length);
  for (const row of rows) map.push(row);
  return map.node;
}

function numbersIn(value) { return Array.isArray(value) ? value.flatMap(numbersIn) : [value]; }

/* What one row gave, beside the input that it continues. */
function rowView(model, input, output, predictions, label) {
  const rank = depth(output);
  if (output === null) return el("p", { class: "muted" }, "The window is not filled yet.");
  if (rank === 0) return el("div", { class: "big" }, typeof output === "number" ? short(output) : String(output));
  if (rank === 1 && Array.isArray(predictions) && predictions.length && Array.isArray(predictions[0])) predictions = predictions[0];
  if (rank === 1) {
    const view = [vectorView(model, output, predictions)];
    const continues = Array.isArray(input) && depth(input) === 2 && !model.tokens && Array.isArray(input[0]) && input[0].length === output.length && output.length <= 8 && !predictions;
    if (continues) {
      const before = columnsOf(input, model.names);
      if (output.length > 1) view.length = 0;
      view.push(lineChart([...before.map((s) => ({ ...s, name: s.name || "input", faint: true, colour: "var(--s7)" })),
        ...output.map((v, f) => ({ name: output.length > 1 ? "" : "output", start: input.length, values: [v], colour: output.length > 1 ? `var(--s${f % 8})` : "var(--s1)" }))], { label: "input and output" }).node);
    }
    return el("div", {}, view);
  }
  if (rank === 2) return sequenceView(output, label);
  return el("div", {}, el("p", { class: "hint" }, `A tensor of ${rank} axes, each timestep in one column.`), sequenceView(output.map(numbersIn), label));
}

function outputView(model, body, answer, row) {
  const named = answer.outputs && !Array.isArray(answer.outputs) ? Object.entries(answer.outputs) : [["", answer.outputs]];
  return named.map(([name, rows]) => {
    if (model.meta.time_major && depth(rows) === 3) rows = turned(rows);
    const predictions = answer.predictions && (Array.isArray(answer.predictions) ? answer.predictions : answer.predictions[name]);
    return el("div", {}, name ? el("h2", {}, name) : null, rowView(model, rowsOf(model, body)[row], rows[row], predictions && predictions[row], name || "outputs"));
  });
}

function answerDetails(answer) {
  const text = JSON.stringify(answer, (key, value) => key === "states" ? undefined : value);
  return el("details", {}, el("summary", {}, "Answer as JSON, without states"), el("pre", {}, text.length > 20000 ? text.slice(0, 20000) + "…" : text));
}

/* ---- states ---- */

const flatNumbers = (value) => Array.isArray(value) ? value.flat(Infinity) : [value];

/* The state tensors of one row of an answer: [{name, values}]. state_size of the metadata nests as states do. */
function stateTensors(model, states, row) {
  const found = [];
  let cell = 0;
  const walk = (size, state) => {
    if (size.some((part) => Array.isArray(part))) return size.forEach((part, i) => walk(part, state[i]));
    const info = model.cells[cell++];
    const name = info ? `${info.layer}${info.direction ? ` ${info.direction}` : ""} ${info.path.replace(/^cells\./, "").replace(/^0$/, "")}`.trim() : `cell ${cell - 1}`;
    size.forEach((_, k) => found.push({ name: `${name} · ${size.length === 2 ? "hc"[k] : "h"}`, values: flatNumbers(state[k][row]) }));
  };
  if (Array.isArray(model.meta.state_size) && model.meta.state_size.length) walk(model.meta.state_size, states);
  return found;
}

/* Heat maps of all states, to which each answer adds a column. */
function stateMaps(model, host, expect) {
  const maps = new Map();
  host.replaceChildren();
  return (states, row = 0) => {
    for (const tensor of stateTensors(model, states, row)) {
      if (!maps.has(tensor.name)) {
        const map = heatMap(tensor.name, tensor.values.length, { expect });
        maps.set(tensor.name, map);
        host.append(map.node);
      }
      maps.get(tensor.name).push(tensor.values);
    }
  };
}

const MOST_STEPS = 400;

/* The sequence once more, timestep by timestep; each answer's states begin the next one. */
async function traceStates(model, body, row, signal) {
  const input = rowsOf(model, body)[row], note = $("states-note");
  const sliced = (t) => Array.isArray(input) ? [input[t]] : Object.fromEntries(Object.entries(input).map(([name, value]) => [name, depth(value) > 1 ? [value[t]] : value]));
  const length = Array.isArray(input) ? input.length : input && typeof input === "object" ? Math.max(0, ...Object.values(input).map((value) => depth(value) > 1 ? value.length : 0)) : 0;
  show($("states-card"), true);
  $("states").replaceChildren();
  if (model.meta.timesteps && model.meta.timesteps.streamable === false) {
    note.textContent = "";
    $("states").replaceChildren(el("p", { class: "muted" }, "This model needs whole sequences, so it has no states after each timestep."));
    return;
  }
  if (!model.cells.length || !length || !model.sequence) { show($("states-card"), false); return; }
  const n = Math.min(length, MOST_STEPS), push = stateMaps(model, $("states"), n);
  let states;
  try {
    for (let t = 0; t < n; t++) {
      const step = { model: model.name, instances: model.meta.time_major ? [[input[t]]] : [sliced(t)] };
      if (states) step.initial_state = states;
      if (body.raw) step.raw = true;
      if (Array.isArray(body.mask) && Array.isArray(body.mask[row])) step.mask = [[body.mask[row][t]]];
      states = (await askJson("/predict", { method: "POST", body: step, signal })).states;
      push(states);
      note.textContent = `timestep ${t + 1} of ${length}`;
    }
    note.textContent = `${n} timesteps, one request each${n < length ? ` (the first ${n} of ${length})` : ""}`;
  } catch (error) {
    if (error.name === "AbortError") return;
    note.textContent = "";
    $("states").replaceChildren(errorBox(error));
  }
}

/* ---- the button ---- */

function inputBody() {
  const body = bodyOf(current, $("input").value);
  if ($("every").checked && !("return_sequences" in body)) body.return_sequences = true;
  return body;
}

async function runPredict() {
  const model = current, signal = begin(), output = $("output");
  $("predict").disabled = true;
  try {
    const body = inputBody();
    setRequest({ body });
    const { answer, ms, compute } = await predict(body, signal);
    $("timing").textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms${compute === null ? "" : `, of which ${duration(compute / 1e3)} computation`}`;
    const n = rowsOf(model, body).length, view = el("div", { id: "rows" });
    const draw = (row) => { view.replaceChildren(...outputView(model, body, answer, row)); };
    const picker = n > 1 ? el("label", { class: "small" }, "Row ", el("input", { type: "number", id: "row", min: 0, max: n - 1, value: 0,
      onchange: (event) => { const row = Math.max(0, Math.min(n - 1, Math.floor(Number(event.target.value) || 0))); draw(row); if ($("states-too").checked) traceStates(model, body, row, begin()); } }), ` of ${n}`) : null;
    output.replaceChildren(...(picker ? [picker] : []), view, answerDetails(answer));
    draw(0);
    output.dataset.state = "done";
    if ($("states-too").checked) traceStates(model, body, 0, signal);
    else show($("states-card"), false);
  } catch (error) {
    if (error.name === "AbortError") return;
    $("timing").textContent = "";
    await showError(output, error);
    show($("states-card"), false);
  } finally {
    $("predict").disabled = false;
  }
}

/* ---- the form ---- */

let waiting = 0;

/* A prediction soon after each stroke. */
function drawn(row) {
  $("input").value = rowText(row);
  clearTimeout(waiting);
  waiting = setTimeout(() => { refreshRequest(); if (mode === "predict") runPredict(); }, 120);
}

function preview() {
  const host = $("preview");
  let row;
  try { row = rowsOf(current, bodyOf(current, $("input").value))[0]; } catch { row = null; }
  host.replaceChildren();
  if (!Array.isArray(row) || depth(row) !== 2 || row.length < 2 || !row.every((step) => Array.isArray(step) && step.length === row[0].length && step.every(Number.isFinite))) return;
  if (isPicture(current) && row.length === current.inputs[0].dims[0] && row[0].length === current.features) host.append(board(row, drawn));
  else if (row[0].length <= 6) host.append(lineChart(columnsOf(row, current.names), { height: 120, label: "input" }).node);
  else {
    const map = heatMap("input", row[0].length, { height: Math.min(170, Math.max(90, row[0].length * 12)) });
    for (const step of row) map.push(step);
    host.append(map.node);
  }
}

function inputChanged() {
  const steps = /"steps"\s*:\s*(\d+)/.exec($("input").value);
  if (steps) $("steps").value = steps[1];
  clearTimeout(waiting);
  waiting = setTimeout(() => { preview(); refreshRequest(); }, 150);
}

function takeSample() {
  const length = Math.max(1, Math.min(2000, Math.floor(Number($("length").value)) || current.length));
  $("input").value = rowText(sample(current, length));
  preview();
  refreshRequest();
}
