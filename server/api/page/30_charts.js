/* Lines, bars and heat maps. */

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rgb = (name) => { const hex = colour(name).slice(1), full = hex.length === 3 ? hex.replace(/./g, "$&$&") : hex; return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16)); };

/* Charts are drawn anew when their width changes. */
const sized = new ResizeObserver((entries) => { for (const entry of entries) if (entry.target.draw) entry.target.draw(); });

function niceTicks(low, high, n) {
  const span = high - low || 1, rough = span / n, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) ticks.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return ticks;
}

/* series: [{name, values, start, colour, faint, dots}]; the x axis counts timesteps. */
function lineChart(series, { height = 190, label = "", from = 0 } = {}) {
  const host = el("div", { class: "chart" }), readout = el("div", { class: "readout", hidden: true });
  const data = { series, last: 0 };
  host.draw = () => {
    const width = host.clientWidth || 400, left = 46, right = 10, top = 8, bottom = 20;
    const finite = data.series.flatMap((s) => s.values.filter((v) => Number.isFinite(v)));
    let low = Math.min(...finite.slice(0, 50000)), high = Math.max(...finite.slice(0, 50000));
    if (!finite.length) { low = 0; high = 1; }
    if (high - low < 1e-12) { low -= Math.abs(low) * 0.1 || 1; high += Math.abs(high) * 0.1 || 1; }
    const pad = (high - low) * 0.06; low -= pad; high += pad;
    const last = Math.max(1, data.last, ...data.series.map((s) => (s.start || 0) + s.values.length - 1));
    const x = (t) => left + (width - left - right) * t / last, y = (v) => top + (height - top - bottom) * (high - v) / (high - low);
    const parts = [];
    for (const tick of niceTicks(low, high, 4)) parts.push(svg("line", { class: tick === 0 ? "zero" : "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
    for (const tick of niceTicks(0, last, Math.min(8, width / 70))) if (Number.isInteger(tick)) parts.push(svg("text", { x: x(tick), y: height - 4, "text-anchor": "middle" }, String(tick + from)));
    data.series.forEach((s, k) => {
      const stroke = s.colour || `var(--s${k % 8})`;
      let path = "", pen = false;
      s.values.forEach((v, t) => { if (Number.isFinite(v)) { path += `${pen ? "L" : "M"}${x(t + (s.start || 0)).toFixed(1)} ${y(v).toFixed(1)}`; pen = true; } else pen = false; });
      const curve = svg("path", { class: "curve", d: path });
      curve.style.stroke = stroke;
      if (s.faint) curve.style.opacity = ".45";
      parts.push(curve);
      const end = s.values.length - 1;
      if (end >= 0 && (s.dots || s.values.length === 1) && Number.isFinite(s.values[end])) {
        const dot = svg("circle", { cx: x(end + (s.start || 0)), cy: y(s.values[end]), r: 4.5 });
        dot.style.fill = stroke;
        parts.push(dot);
      }
    });
    const hair = svg("line", { class: "hair", y1: top, y2: height - bottom, visibility: "hidden" });
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label || data.series.map((s) => s.name).join(", ") }, parts, hair);
    picture.addEventListener("pointermove", (event) => {
      const t = Math.max(0, Math.min(last, Math.round((event.clientX - picture.getBoundingClientRect().left - left) / (width - left - right) * last)));
      hair.setAttribute("x1", x(t)); hair.setAttribute("x2", x(t)); hair.setAttribute("visibility", "visible");
      readout.textContent = `${t + from}: ` + data.series.filter((s) => Number.isFinite(s.values[t - (s.start || 0)])).slice(0, 6).map((s) => (data.series.length > 1 ? `${s.name} ` : "") + short(s.values[t - (s.start || 0)])).join("  ");
      show(readout, true);
    });
    picture.addEventListener("pointerleave", () => { hair.setAttribute("visibility", "hidden"); show(readout, false); });
    const named = data.series.filter((s) => s.name);
    const legend = named.length > 1 ? el("div", { class: "legend" }, named.slice(0, 12).map((s) => {
      const mark = el("i", {});
      mark.style.background = s.colour || `var(--s${data.series.indexOf(s) % 8})`;
      if (s.faint) mark.style.opacity = ".45";
      return el("span", {}, mark, s.name);
    })) : null;
    host.replaceChildren(picture, readout, ...(legend ? [legend] : []));
  };
  sized.observe(host);
  return { node: host, data, draw: () => host.draw() };
}

/* [T][F] as a line for each feature. */
const columnsOf = (rows, names) => rows[0].map((_, f) => ({ name: names && names[f] ? names[f] : rows[0].length > 1 ? `${f}` : "", values: rows.map((row) => row[f]) }));

/* Values with labels; the largest stands out. */
function barChart(values, labels, { probability = false } = {}) {
  const largest = values.reduce((best, value, i) => value > values[best] ? i : best, 0);
  const signed = values.some((value) => value < 0), span = probability ? 1 : Math.max(...values.map(Math.abs)) || 1;
  const order = values.map((_, i) => i);
  return el("div", { class: "bars", role: "img", "aria-label": order.map((i) => `${labels[i]} ${short(values[i])}`).join(", ") }, order.flatMap((i) => {
    const bar = el("i", {}), share = 100 * Math.abs(values[i]) / span, best = i === largest ? " best" : "";
    bar.style.width = `${signed ? share / 2 : share}%`;
    bar.style.left = signed ? `${values[i] < 0 ? 50 - share / 2 : 50}%` : "0";
    return [el("span", { class: best }, String(labels[i])), el("span", { class: `track${best}` }, bar),
      el("span", { class: `value${best}` }, probability ? `${(100 * values[i]).toFixed(2)} %` : short(values[i]))];
  }));
}

/* Many values without labels: a thin column for each. */
function columnChart(values, { height = 170, label = "" } = {}) {
  const host = el("div", { class: "chart" });
  host.draw = () => {
    const width = host.clientWidth || 400, left = 46, right = 6, top = 8, bottom = 20;
    let low = Math.min(0, ...values), high = Math.max(0, ...values);
    if (low === high) high = low + 1;
    const y = (v) => top + (height - top - bottom) * (high - v) / (high - low), step = (width - left - right) / values.length;
    const parts = niceTicks(low, high, 4).flatMap((tick) => [svg("line", { class: tick === 0 ? "zero" : "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, short(tick))]);
    values.forEach((v, i) => {
      const bar = svg("rect", { x: left + i * step + step * 0.12, width: Math.max(0.5, step * 0.76), y: Math.min(y(0), y(v)), height: Math.max(0.5, Math.abs(y(v) - y(0))), rx: Math.min(2, step / 4) }, svg("title", {}, `${i}: ${short(v)}`));
      bar.style.fill = v < 0 ? "var(--cold)" : "var(--warm)";
      parts.push(bar);
    });
    for (const tick of niceTicks(0, values.length - 1, Math.min(8, width / 70))) if (Number.isInteger(tick)) parts.push(svg("text", { x: left + (tick + 0.5) * step, y: height - 4, "text-anchor": "middle" }, String(tick)));
    host.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label || `${values.length} values` }, parts));
  };
  sized.observe(host);
  return host;
}

/* Rows of units, a column for each timestep; columns may come one by one. */
function heatMap(title, rows, { expect = 0, height } = {}) {
  const canvas = el("canvas", { role: "img", "aria-label": `${title}: ${rows} rows over time` });
  const range = el("span", {}), readout = el("div", { class: "readout", hidden: true });
  const node = el("div", { class: "heat" }, el("div", { class: "caption" }, el("b", {}, title), range), el("div", { class: "chart" }, canvas, readout));
  const columns = [];
  let scheduled = false, largest = 0;
  canvas.style.height = `${height || Math.max(36, Math.min(150, rows * 4))}px`;
  function draw() {
    scheduled = false;
    const width = Math.max(1, expect, columns.length), low = rgb("--cold"), zero = rgb("--zero"), high = rgb("--warm");
    canvas.width = width; canvas.height = rows;
    const context = canvas.getContext("2d"), image = context.createImageData(width, rows), scale = largest || 1;
    columns.forEach((column, t) => {
      for (let u = 0; u < rows; u++) {
        const share = Math.max(-1, Math.min(1, column[u] / scale)), to = share < 0 ? low : high, part = Math.sqrt(Math.abs(share)), at = 4 * (u * width + t);
        for (let c = 0; c < 3; c++) image.data[at + c] = zero[c] + (to[c] - zero[c]) * part;
        image.data[at + 3] = 255;
      }
    });
    context.putImageData(image, 0, 0);
    range.replaceChildren(`−${short(scale)}`, el("i", { class: "scale" }), short(scale));
  }
  function later() { if (!scheduled) { scheduled = true; requestAnimationFrame(draw); } }
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const t = Math.floor((event.clientX - box.left) / box.width * canvas.width), u = Math.floor((event.clientY - box.top) / box.height * rows);
    if (!columns[t] || u < 0 || u >= rows) return;
    readout.textContent = `unit ${u}, timestep ${t}: ${short(columns[t][u])}`;
    show(readout, true);
  });
  canvas.addEventListener("pointerleave", () => show(readout, false));
  redraws.add(function themed() { if (node.isConnected) later(); else redraws.delete(themed); });
  return { node, columns, push(column) { columns.push(column); for (const v of column) largest = Math.max(largest, Math.abs(v)); later(); } };
}
