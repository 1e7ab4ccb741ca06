/* The request in three languages. A key never stands in them: they read it from the environment. */

let request = { body: {}, stream: false };
let language = "curl";

const pythonText = (value) => value === null ? "None" : value === true ? "True" : value === false ? "False"
  : Array.isArray(value) ? `[${value.map(pythonText).join(", ")}]`
  : typeof value === "object" ? `{${Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}: ${pythonText(part)}`).join(", ")}}` : JSON.stringify(value);

const snippets = {
  curl({ body, stream }, url) {
    return [`curl -s${stream ? "N" : ""} ${url}/predict`, "-H 'Content-Type: application/json'", ...(stream ? ["-H 'Accept: application/x-ndjson'"] : []),
      ...(apiKey ? ["-H \"Authorization: Bearer $CELLSERVE_KEY\""] : []), `-d '${JSON.stringify(body).replace(/'/g, "'\\''")}'`].join(" \\\n  ");
  },
  python({ body, stream }, url) {
    return `import json${apiKey ? ", os" : ""}, urllib.request

body = ${pythonText(body)}
headers = {"Content-Type": "application/json"${stream ? ", \"Accept\": \"application/x-ndjson\"" : ""}${apiKey ? ", \"Authorization\": \"Bearer \" + os.environ[\"CELLSERVE_KEY\"]" : ""}}
request = urllib.request.Request("${url}/predict", json.dumps(body).encode(), headers)
with urllib.request.urlopen(request) as response:
` + (stream ? `    for line in response:
        event = json.loads(line) if line.strip() else {}
        if "outputs" in event:
            print(event["timestep"], event["outputs"])
` : `    answer = json.load(response)
print(answer["outputs"])
`);
  },
  javascript({ body, stream }, url) {
    return `const response = await fetch("${url}/predict", {
  method: "POST",
  headers: {"Content-Type": "application/json"${stream ? ", Accept: \"application/x-ndjson\"" : ""}${apiKey ? ", Authorization: `Bearer ${process.env.CELLSERVE_KEY}`" : ""}},
  body: JSON.stringify(${JSON.stringify(body)}),
});
` + (stream ? `let rest = "";
for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + chunk).split("\\n");
  rest = lines.pop();
  for (const line of lines.filter((text) => text.trim())) console.log(JSON.parse(line));
}
` : `console.log((await response.json()).outputs);
`);
  },
};

function showCode() { $("code").textContent = snippets[language](request, location.origin); }
function setRequest({ body, stream = false }) { request = { body, stream }; showCode(); }

/* The request that the form stands for now. */
function refreshRequest() {
  try {
    if (mode === "predict") setRequest({ body: inputBody() });
    else if (mode === "rollout" && canRollOut(current)) setRequest({ body: rolloutBody(), stream: true });
    else if (mode === "session") setRequest({ body: sessionBody(stepInput()) });
  } catch { /* the button says what is wrong */ }
}

async function copyCode() {
  const text = $("code").textContent;
  try { await navigator.clipboard.writeText(text); } catch {
    const area = el("textarea", {}, text); /* http:// on another machine has no clipboard */
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  $("copy").textContent = "Copied";
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
}
