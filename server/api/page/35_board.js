/* A small input of fixed size as a picture to draw on: a row for each timestep, a column for each feature. */

const isPicture = (model) => !model.several && !model.tokens && !model.transform?.input_scaler && model.inputs[0].dims.length === 2
  && model.inputs[0].dims.every((size) => size >= 6 && size <= 40);

/* A ring, open or closed, somewhere near the middle. */
function samplePicture([height, width]) {
  const x0 = width / 2 - 0.5 + (Math.random() - 0.5), y0 = height / 2 - 0.5 + 0.5 * (Math.random() - 0.5), a = width * (0.2 + 0.12 * Math.random()), b = height * (0.28 + 0.12 * Math.random());
  const gap = Math.random() < 0.4 ? 0 : 1.2 * Math.random(), at = 6.3 * Math.random();
  return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => {
    const u = (x - x0) / a, v = (y - y0) / b, angle = Math.abs(((Math.atan2(v, u) - at + 9.42) % 6.283) - 3.1416);
    return Number((angle < gap ? 0 : Math.max(0, 1 - ((Math.hypot(u, v) - 1) * Math.min(a, b) / 0.9) ** 2)).toFixed(2));
  }));
}

/* The picture; changed(row) is called while somebody draws. The textarea stays the way for keyboards. */
function board(row, changed) {
  const height = row.length, width = row[0].length, canvas = el("canvas", { class: "board", role: "img", "aria-label": "the input as a picture; draw with a pointer, or edit the numbers" });
  const most = () => Math.max(1, ...row.flat().map(Math.abs));
  let erase = false, down = false, last = null;
  canvas.width = width; canvas.height = height;
  canvas.style.aspectRatio = `${width} / ${height}`;
  function draw() {
    const zero = rgb("--zero"), high = rgb("--warm"), low = rgb("--cold"), context = canvas.getContext("2d"), image = context.createImageData(width, height), scale = most();
    row.flat().forEach((value, i) => {
      const to = value < 0 ? low : high, part = Math.min(1, Math.abs(value) / scale);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = zero[c] + (to[c] - zero[c]) * part;
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  }
  function dot(x, y) {
    x = Math.floor(x); y = Math.floor(y);
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    row[y][x] = erase ? 0 : most();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) if (!erase && row[y + dy] && row[y + dy][x + dx] < 0.35 * most()) row[y + dy][x + dx] = rounded(0.35 * most());
  }
  function paint(event) {
    const box = canvas.getBoundingClientRect(), to = [(event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height];
    const from = last || to, n = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let i = 1; i <= n; i++) dot(from[0] + (to[0] - from[0]) * i / n, from[1] + (to[1] - from[1]) * i / n);
    last = to;
    draw();
    changed(row);
  }
  canvas.addEventListener("pointerdown", (event) => { event.preventDefault(); down = true; last = null; erase = event.shiftKey || event.button === 2; canvas.setPointerCapture(event.pointerId); paint(event); });
  canvas.addEventListener("pointermove", (event) => { if (down) paint(event); });
  canvas.addEventListener("pointerup", () => { down = false; });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  redraws.add(function themed() { if (canvas.isConnected) draw(); else redraws.delete(themed); });
  draw();
  return el("div", { class: "line" }, canvas, el("div", { class: "small muted side" }, "Draw here; Shift erases.", el("br"),
    el("button", { type: "button", id: "clear", onclick: () => { for (const step of row) step.fill(0); draw(); changed(row); } }, "Clear")));
}
