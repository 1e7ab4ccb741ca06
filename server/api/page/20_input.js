/* What a model takes: its shapes from the metadata, sample data, and the text of the form as a request. */

const dims = (info) => info.tensor_shape.dim.slice(1).map((dim) => Number(dim.size) > 0 ? Number(dim.size) : null);

/* The inputs by name: shapes after the batch axis, null for an open size. */
function inputsOf(meta) {
  const given = meta.inputs;
  let list;
  if (Array.isArray(given)) list = given.map((input) => ({ ...input }));
  else if (given && typeof given === "object") list = Object.entries(given).map(([name, input]) => ({ name, ...(Array.isArray(input) ? { shape: input } : input) }));
  else {
    const signature = meta.metadata.signature_def.signature_def.serving_default.inputs;
    list = Object.entries(signature).map(([name, info]) => ({ name, shape: [null, ...dims(info)], dtype: info.dtype }));
  }
  const embedding = /^(Embedding|StringLookup|IntegerLookup|TextVectorization)$/.test((meta.layers.find((layer) => layer.class_name !== "InputLayer") || {}).class_name);
  for (const input of list) {
    input.dims = (input.shape || []).slice(1).map((size) => size > 0 ? size : null);
    input.ids = Boolean(input.vocabulary || input.ids || /int/i.test(input.dtype || "") || (list.length === 1 && embedding && input.dims.length === 1));
    if (list.length === 1 && meta.timesteps && meta.timesteps.declared && (input.dims.length > 1 || input.ids)) input.dims[0] = meta.timesteps.declared;
  }
  return list;
}

/* The metadata as the page uses them. */
function describe(name, meta) {
  const inputs = inputsOf(meta), first = inputs[0] || { dims: [] };
  const sequence = first.dims.length > 1 || first.ids;
  const transform = meta.transform || null;
  return {
    name, meta, inputs, sequence, transform, version: meta.model_spec.version, several: inputs.length > 1,
    features: first.ids ? 1 : first.dims.length ? first.dims[first.dims.length - 1] || 1 : 1,
    names: (transform && transform.features) || first.features || null,
    labels: (transform && Array.isArray(transform.labels) && transform.labels) || null,
    tokens: Boolean(first.ids), text: Boolean(transform && transform.tokenizer),
    words: transform && /whole text/.test(transform.tokenizer) === false && transform.sample_words && transform.sample_words.length ? transform.sample_words : null,
    vocabulary: meta.vocabulary || first.vocabulary || null,
    outputSize: meta.output_size, length: (sequence && first.dims[0]) || 24, cells: meta.layers.filter((layer) => layer.path !== undefined),
  };
}

/* ---- sample data ---- */

/* Where a feature's values lie: from its scaler, if there is one. */
function rangeOf(model, feature) {
  const scaler = model.transform && model.transform.input_scaler;
  const range = scaler && Array.isArray(scaler.range) && scaler.range[feature];
  return range ? [(range[0] + range[1]) / 2, (range[1] - range[0]) / 2.2] : [0, 1];
}

/* A slow wave, a faster one, and a little noise. */
function wave() {
  const slow = 14 + 16 * Math.random(), fast = 4 + 5 * Math.random(), a = 6.3 * Math.random(), b = 6.3 * Math.random();
  return (t) => 0.75 * Math.sin(6.283 * t / slow + a) + 0.25 * Math.sin(6.283 * t / fast + b) + 0.08 * (Math.random() - 0.5);
}
const rounded = (value) => Number(value.toPrecision(4));

function sampleSource(model) {
  if (model.tokens) return () => [Math.floor(1 + Math.random() * ((model.vocabulary || 10) - 1))];
  const waves = Array.from({ length: model.features }, wave);
  return (t) => waves.map((at, f) => { const [middle, spread] = rangeOf(model, f); return rounded(middle + spread * at(t)); });
}

function sampleTensor(sizes) {
  if (!sizes.length) return rounded(2 * Math.random() - 1);
  const size = sizes[0] || 24;
  if (sizes.length > 1 || size > 1) {
    if (sizes.length === 2) {
      const waves = Array.from({ length: sizes[1] || 1 }, wave);
      return Array.from({ length: size }, (_, t) => waves.map((at) => rounded(at(t))));
    }
    return Array.from({ length: size }, () => sampleTensor(sizes.slice(1)));
  }
  return [rounded(2 * Math.random() - 1)];
}

/* A text: words that the model knows; where it reads letters, a sentence. */
const SENTENCES = ["Where is the nearest station?", "Wo ist der n\u00e4chste Bahnhof?", "O\u00f9 est la gare la plus proche ?", "\u00bfD\u00f3nde est\u00e1 la estaci\u00f3n?", "Gdzie jest dworzec?"];
function sampleText(words) {
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  return words.every((word) => [...word].length === 1) ? pick(SENTENCES) : Array.from({ length: 8 }, () => pick(words)).join(" ");
}

/* One row for each input of a model. */
function sample(model, length) {
  if (model.several) return Object.fromEntries(model.inputs.map((input) => [input.name, input.ids
    ? Array.from({ length: input.dims[0] || length }, () => Math.floor(1 + Math.random() * ((input.vocabulary || 10) - 1)))
    : sampleTensor(input.dims.map((size, d) => size || (d === 0 ? length : 1)))]));
  const source = sampleSource(model), input = model.inputs[0];
  if (model.words) return sampleText(model.words);
  if (model.tokens) return Array.from({ length }, (_, t) => source(t)[0]);
  if (isPicture(model)) return samplePicture(input.dims);
  if (input.dims.length === 2) return Array.from({ length }, (_, t) => source(t));
  if (input.dims.length === 1) return source(0);
  return sampleTensor([length, ...input.dims.slice(1)]);
}

/* A row a line: easy to read and to change. */
function rowText(row) {
  if (Array.isArray(row) && Array.isArray(row[0]) && !Array.isArray(row[0][0])) return `[${row.map((step) => JSON.stringify(step)).join(",\n")}]`;
  if (row && !Array.isArray(row) && typeof row === "object") return `{${Object.entries(row).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(",\n ")}}`;
  return JSON.stringify(row);
}

/* ---- the form ---- */

const depth = (value) => Array.isArray(value) ? 1 + (value.length ? depth(value[0]) : 0) : value && typeof value === "object" ? 1 : 0;

function problem(text) { return new ApiError(0, { error: text }); }

/* Text that is no JSON goes to the server as it stands: its answer says line and column. */
function parseJson(text) {
  try { return JSON.parse(text); } catch (error) { throw Object.assign(problem(`This is not JSON: ${error.message}.`), { raw: text }); }
}

/* A timestep a line, a feature a column; a first line of names may stand above. */
function parseCsv(model, text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line);
  const cut = (line) => line.split(line.includes(";") ? ";" : line.includes("\t") ? "\t" : line.includes(",") ? "," : /\s+/).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
  const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));
  let order = null, first = 0;
  if (lines.length > 1 && !cut(lines[0]).every(isNumber)) {
    const names = cut(lines[0]);
    first = 1;
    if (model.names && model.names.every((name) => names.includes(name))) order = model.names.map((name) => names.indexOf(name));
  }
  const rows = lines.slice(first).map((line, i) => {
    const cells = cut(line), wrong = cells.findIndex((cell) => !isNumber(cell));
    if (!order && wrong >= 0) throw problem(`Line ${i + first + 1}: expected numbers, found "${cells[wrong].slice(0, 40)}".`);
    const numbers = (order || cells.map((_, k) => k)).map((k) => Number(cells[k]));
    if (!model.tokens && numbers.length !== model.features) throw problem(`Line ${i + first + 1}: expected ${model.features} number${model.features === 1 ? "" : "s"}, found ${numbers.length}.`);
    return numbers;
  });
  return model.tokens ? rows.flat() : model.sequence ? rows : rows.length === 1 ? rows[0] : rows;
}

/* The text of the form as the body of a request. */
function bodyOf(model, text) {
  text = text.trim();
  if (!text) throw problem("There is no input yet. Paste JSON or CSV, or take sample data.");
  let value;
  if (/^[[{]/.test(text) || (text[0] === "\"" && model.text)) value = parseJson(text);
  else if (model.text && /[^\d\s.,;eE+-]/.test(text)) value = text;
  else if (model.several) throw problem(`This model takes ${model.inputs.length} inputs: paste an object with ${model.inputs.map((input) => input.name).join(", ")}.`);
  else value = parseCsv(model, text);
  if (value && !Array.isArray(value) && typeof value === "object" && ("instances" in value || "inputs" in value)) {
    const { model: _, ...rest } = value;
    return { model: model.name, ...rest };
  }
  const rank = model.several ? 0 : model.inputs[0].ids ? 1 : model.inputs[0].dims.length;
  const isBatch = Array.isArray(value) && (model.several || typeof value[0] === "string" || depth(value) > rank);
  const alone = model.meta.time_major && Array.isArray(value) ? value.map((step) => [step]) : [value];
  return { model: model.name, instances: isBatch ? value : alone };
}

/* The rows of a body, if it has them; time first becomes batch first. */
const turned = (tensor) => tensor[0].map((_, b) => tensor.map((step) => step[b]));
function rowsOf(model, body) {
  const rows = Array.isArray(body.instances) ? body.instances : Array.isArray(body.inputs) ? body.inputs : [];
  return model.meta.time_major && Array.isArray(rows[0]) ? turned(rows) : rows;
}
