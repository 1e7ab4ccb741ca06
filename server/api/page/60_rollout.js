/* A roll-out: the model's output becomes its next input. The answer is drawn while it streams. */

const canRollOut = (model) => !model.several && model.sequence && (model.tokens || model.outputSize === model.features || Boolean(model.transform && model.transform.feedback));

function rolloutBody() {
  const body = bodyOf(current, $("input").value);
  body.rollout = { ...body.rollout, steps: Math.max(1, Math.floor(Number($("steps").value)) || 1) };
  if (current.tokens && body.rollout.temperature === undefined) {
    body.rollout.temperature = Number($("temperature").value);
    if (Number($("top-k").value) > 0) body.rollout.top_k = Math.floor(Number($("top-k").value));
  }
  if (current.text && body.rollout.seed === undefined) body.rollout.seed = Math.floor(Math.random() * 1e6);
  body.return_state = false;
  return body;
}

/* The lines of a stream, as they come. */
async function* linesOf(response) {
  const reader = response.body.getReader(), decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value || new Uint8Array(), { stream: !done });
    const lines = rest.split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
    if (done) return;
  }
}

/* What is drawn: a line for each feature after the history, or tokens. */
function rolloutView(model, input, steps, output) {
  if (model.tokens) {
    const box = el("div", { class: "tokens" }, flatNumbers(input).slice(-40).map((token) => el("span", {}, String(token))));
    output.replaceChildren(box);
    return { add(values) { for (const value of values) box.append(el("span", { class: "new" }, String(flatNumbers(value)[0]))); }, draw() {},
      end(answer) { if (answer.text) output.append(el("p", { class: "text" }, Array.isArray(answer.text) ? answer.text[0] : answer.text)); } };
  }
  const rows = Array.isArray(input) && Array.isArray(input[0]) ? input : [], width = model.outputSize, wide = width > 8;
  if (wide) {
    const map = heatMap("roll-out", width, { expect: rows.length + steps });
    for (const row of rows) map.push(row);
    output.replaceChildren(map.node);
    return { add(values) { for (const row of values) map.push(row); }, draw() {}, end() {} };
  }
  const before = rows.length ? columnsOf(rows, model.names).slice(0, width) : [];
  const after = Array.from({ length: width }, (_, f) => ({ name: width > 1 ? `roll-out ${model.names ? model.names[f] : f}` : "roll-out", start: rows.length, values: [], dots: true, colour: `var(--s${f % 8})` }));
  const chart = lineChart([...before.map((s, f) => ({ ...s, name: s.name || "input", faint: true, colour: width > 1 ? `var(--s${f % 8})` : "var(--s7)" })), ...after], { height: 250, label: "input and roll-out" });
  chart.data.last = rows.length + steps - 1;
  output.replaceChildren(chart.node);
  const link = rows.length ? rows[rows.length - 1] : null;
  if (link) after.forEach((s, f) => { s.start--; s.values.push(link[f]); });
  chart.draw();
  let scheduled = false;
  return { add(values) { for (const row of values) row.forEach((v, f) => after[f] && after[f].values.push(v)); },
    draw() { if (!scheduled) { scheduled = true; requestAnimationFrame(() => { scheduled = false; chart.draw(); }); } }, end() { after.forEach((s) => { s.dots = false; }); chart.draw(); } };
}

async function runRollout() {
  const button = $("roll"), output = $("output");
  if (button.textContent === "Stop") { begin(); return; }
  const model = current, signal = begin(), began = performance.now();
  try {
    const body = rolloutBody();
    setRequest({ body, stream: true });
    const view = rolloutView(model, rowsOf(model, body)[0], body.rollout.steps, output);
    button.textContent = "Stop";
    output.dataset.state = "streaming";
    const response = await ask("/predict", { method: "POST", body, accept: "application/x-ndjson", signal });
    let n = 0;
    for await (const event of linesOf(response)) {
      if (event.error) throw new ApiError(500, event, body);
      if (event.done) view.end(event);
      if (!event.outputs || event.row !== 0) continue;
      view.add(event.outputs);
      view.draw();
      n += event.outputs.length;
      output.dataset.steps = n;
      $("timing").textContent = `${count(n)} steps in ${duration((performance.now() - began) / 1e3)}`;
    }
    /* A stream has tokens alone; the same seed gives the same tokens, and an answer has their text. */
    if (model.text && body.rollout.steps <= 2000) view.end((await predict(body, signal)).answer);
    output.dataset.state = "done";
  } catch (error) {
    if (error.name === "AbortError") output.dataset.state = "stopped";
    else { $("timing").textContent = ""; await showError(output, error); }
  } finally {
    button.textContent = "Start";
  }
}
