/* The page as a whole: models, tabs, the key. */

function badge(text, warn) { return el("span", { class: warn ? "badge warn" : "badge" }, text); }
const shapeText = (input) => input.ids ? `ids [${input.dims.map((d) => d || "any").join(", ")}]` : `[${input.dims.map((d) => d || "any").join(", ")}]`;

function drawSummary(model) {
  const meta = model.meta, version = badge(`version ${model.version}`);
  $("name").textContent = model.name;
  $("badges").replaceChildren(badge(meta.class_name), version, ...(meta.parameters ? [badge(`${count(meta.parameters)} parameters`)] : []),
    ...(meta.precision && meta.precision !== "float32" ? [badge(meta.precision)] : []),
    ...(meta.weights === "initializers" ? [badge("weights from initializers: not trained", true)] : []));
  const input = model.inputs.map((each) => el("li", { class: "input" }, el("b", {}, model.several ? each.name : "Input"), shapeText(each)));
  const layers = meta.layers.filter((layer) => layer.class_name !== "InputLayer").map((layer) => {
    const kind = layer.units ? "cell" : /Dense|Linear|Softmax/.test(layer.class_name) ? "dense" : /Embedding/.test(layer.class_name) ? "embedding" : "";
    const size = layer.units ? `${layer.units} units` : Array.isArray(layer.output_shape) ? `[${layer.output_shape.slice(1).map((d) => d > 0 ? d : "any").join(", ")}]` : layer.name || layer.layer;
    return el("li", { class: kind, title: layer.path ? `${layer.layer} ${layer.path}` : layer.layer }, el("b", {}, layer.class_name), `${layer.direction ? `${layer.direction}, ` : ""}${size}`,
      layer.parameters ? el("div", {}, `${count(layer.parameters)} parameters`) : null);
  });
  const output = el("li", {}, el("b", {}, "Output"), meta.outputs && !Array.isArray(meta.outputs) ? Object.keys(meta.outputs).join(", ") : Array.isArray(meta.outputs) && meta.outputs.length > 1 ? meta.outputs.map((each) => each.name).join(", ") : `[${meta.return_sequences ? "any, " : ""}${model.outputSize}]`);
  $("layers").replaceChildren(...input, ...layers, output);
  const t = model.transform, parts = [];
  if (t && t.features) parts.push(el("p", { class: "hint" }, "Features: ", t.features.join(", ")));
  if (t && model.labels) parts.push(el("p", { class: "hint" }, "Labels: ", model.labels.slice(0, 30).join(", ")));
  for (const key of ["input_scaler", "output_scaler"]) if (t && t[key]) parts.push(el("p", { class: "hint" }, `${key === "input_scaler" ? "Input" : "Output"} scaler: `, t[key].class_name || "by name", key === "input_scaler" ? ". Send raw values." : ". Answers are in the original unit."));
  $("transform").replaceChildren(...parts);
}

function setMode(next) {
  mode = next;
  begin();
  for (const tab of $("tabs").children) { const on = tab.id === `tab-${mode}`; tab.setAttribute("aria-selected", on); tab.tabIndex = on ? 0 : -1; }
  $("panel").setAttribute("aria-labelledby", `tab-${mode}`);
  show($("input-card"), mode !== "session");
  show($("session-card"), mode === "session");
  show($("predict-actions"), mode === "predict");
  show($("rollout-actions"), mode === "rollout");
  show($("sampling"), current.tokens);
  show($("states-card"), false);
  $("timing").textContent = "";
  $("output").dataset.state = "";
  $("output").replaceChildren(el("p", { class: "empty" }, mode === "rollout" ? "The output becomes the next input, again and again." : "Press Predict."));
  if (mode === "rollout" && !canRollOut(current)) $("output").replaceChildren(el("p", { class: "empty" }, current.several || !current.sequence ? "Only a model with one input sequence can roll out."
    : `A roll-out feeds each output back as the next input. This model takes ${current.features} features and gives ${current.outputSize} values, so it cannot roll out.`));
  $("roll").disabled = mode === "rollout" && !canRollOut(current);
  if (mode === "session") openSession();
  refreshRequest();
}

function inputHint(model) {
  const input = model.inputs[0];
  if (model.several) return `An object with ${model.inputs.map((each) => `${each.name} ${shapeText(each)}`).join(", ")}; or a whole request.`;
  if (model.text) return "A text; or tokens as JSON; or a whole request.";
  if (model.tokens) return `Tokens as JSON or CSV${model.vocabulary ? `, from 0 to ${model.vocabulary - 1}` : ""}; or a whole request.`;
  if (input.dims.length > 2) return `JSON of the shape [${input.dims.map((d) => d || "any").join(", ")}]; or a whole request.`;
  return `JSON or CSV: ${model.sequence ? "a timestep a line, " : ""}${model.features} feature${model.features === 1 ? "" : "s"}${model.names ? ` (${model.names.join(", ")})` : ""}; or a whole request.`;
}

async function choose(name) {
  begin();
  for (const link of $("models").querySelectorAll("a")) { if (link.dataset.name === name) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current"); }
  try {
    const meta = await askJson(`/v1/models/${encodeURIComponent(name)}/metadata`);
    current = describe(name, meta);
  } catch (error) {
    show($("work"), false);
    $("notice").replaceChildren(errorBox(error));
    return;
  }
  document.title = `${name} · cellserve`;
  $("notice").replaceChildren();
  show($("work"), true);
  drawSummary(current);
  $("input-hint").textContent = inputHint(current);
  $("length").value = current.length;
  show($("length-label"), current.sequence);
  $("every").checked = false;
  show($("every").parentElement, current.sequence && !current.meta.return_sequences);
  takeSample();
  setMode("predict");
}

const named = () => decodeURIComponent(location.hash.slice(1));

/* The list of models; while they load, it is asked for again. */
async function start() {
  let models;
  try {
    models = (await askJson("/v1/models")).models;
  } catch (error) {
    $("notice").replaceChildren(error.code === "loading" ? el("p", { class: "empty" }, "The server is loading its models.") : errorBox(error));
    if (error.code === "loading" || error.status === 0) setTimeout(start, 1000);
    return;
  }
  models = models.map((model) => typeof model === "string" ? model : model.name);
  $("models").replaceChildren(...models.map((name) => el("li", {}, el("a", { href: `#${encodeURIComponent(name)}`, "data-name": name }, name))));
  if (models.length) await choose(models.includes(named()) ? named() : models[0]);
  else $("notice").replaceChildren(el("p", { class: "empty" }, "This server has no models yet."));
}

/* Arrow keys move between the tabs of a list. */
function tabKeys(list, choose) {
  list.addEventListener("click", (event) => { if (event.target.role === "tab" || event.target.getAttribute("role") === "tab") choose(event.target); });
  list.addEventListener("keydown", (event) => {
    const tabs = [...list.children], at = tabs.indexOf(document.activeElement), moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 };
    if (at < 0 || !(event.key in moves)) return;
    event.preventDefault();
    const tab = tabs[(moves[event.key] + tabs.length) % tabs.length];
    choose(tab);
    tab.focus();
  });
}

function chooseLanguage(tab) {
  language = tab.id.replace("lang-", "");
  for (const each of $("languages").children) { const on = each === tab; each.setAttribute("aria-selected", on); each.tabIndex = on ? 0 : -1; }
  $("code").setAttribute("aria-labelledby", tab.id);
  showCode();
}

document.addEventListener("DOMContentLoaded", () => {
  setTheme(document.documentElement.dataset.theme);
  $("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    remember(localStorage, "cellserve-theme", theme);
    setTheme(theme);
  });
  tabKeys($("tabs"), (tab) => setMode(tab.id.replace("tab-", "")));
  tabKeys($("languages"), chooseLanguage);
  $("predict").addEventListener("click", runPredict);
  $("roll").addEventListener("click", runRollout);
  $("sample").addEventListener("click", takeSample);
  $("copy").addEventListener("click", copyCode);
  $("input").addEventListener("input", inputChanged);
  for (const id of ["every", "steps", "temperature", "top-k"]) $(id).addEventListener("change", refreshRequest);
  $("length").addEventListener("change", takeSample);
  $("input").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (mode === "predict") runPredict(); else runRollout(); }
  });
  $("key-button").addEventListener("click", askForKey);
  $("key-cancel").addEventListener("click", () => $("key-dialog").close("cancel"));
  $("key-dialog").addEventListener("close", () => {
    if ($("key-dialog").returnValue !== "ok") return;
    apiKey = $("key").value.trim();
    remember(sessionStorage, "cellserve-key", apiKey);
    start();
  });
  addEventListener("hashchange", () => { if (named() && (!current || named() !== current.name)) choose(named()); });
  start();
  poll();
});
