#!/usr/bin/env python3
"""growth.py BINARY SVG: draw how the time of a request grows with timesteps, rows, layers and units (one thread, LSTM),
and print the exponent between the ends of each curve."""
import json, math, os, re, subprocess, sys, tempfile

BINARY, SVG = sys.argv[1:]
BASE = {"timesteps": 100, "rows": 16, "layers": 2, "units": 128}
CURVES = {"timesteps": [10, 20, 50, 100, 200, 500, 1000, 2000], "rows": [6, 12, 24, 48, 96, 192, 384, 768],
          "layers": [1, 2, 3, 4, 6, 8, 12, 16], "units": [32, 64, 96, 128, 192, 256, 384, 512, 768, 1024]}


def microseconds(timesteps, rows, layers, units):
    cells = [{"class_name": "LSTMCell", "config": {"units": units}}] * layers
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"class_name": "RNN", "config": {"cell": cells}}, file)
        file.flush()
        out = subprocess.run([BINARY, "bench", file.name, "--input-size", str(units), "--batch", str(rows), "--timesteps", str(timesteps),
                              "--seconds", "1"], check=True, text=True, capture_output=True).stdout
    return out.splitlines()[0], float(re.search(r"least ([0-9.]+) us", out)[1])


W, H, L, B = 480, 300, 60, 40
parts, head = [], ""
for i, (name, values) in enumerate(CURVES.items()):
    points = []
    for value in values:
        head, us = microseconds(**{**BASE, name: value})
        points.append((value, us))
    (x0, y0), (x1, y1) = points[0], points[-1]
    exponent = math.log(y1 / y0) / math.log(x1 / x0)
    rest = ", ".join(f"{k} {v}" for k, v in BASE.items() if k != name)
    print(f"{name}: time grows as {name}^{exponent:.2f} from {x0} to {x1}: " + ", ".join(f"{x} {y:.0f} us" for x, y in points))
    dx, dy = (i % 2) * W, 24 + (i // 2) * H
    X = lambda x: dx + L + (W - L - 20) * math.log(x / x0) / math.log(x1 / x0)
    low, high = math.log(min(y for _, y in points)), math.log(max(y for _, y in points))
    Y = lambda y: dy + H - B - (H - B - 40) * (math.log(y) - low) / (high - low)
    path = "".join(f"{'M' if k == 0 else 'L'}{X(x):.1f} {Y(y):.1f}" for k, (x, y) in enumerate(points))
    line = 2 if name == "units" else 1
    ideal = f"M{X(x1):.1f} {Y(y1):.1f}L{X(x0):.1f} {min(Y(y1 * (x0 / x1) ** line), dy + H - B + 12):.1f}"
    parts.append(f'<text x="{dx + L}" y="{dy + 20}">{name}^{exponent:.2f} ({rest})</text><path d="{ideal}" stroke="#bbb" stroke-dasharray="4" fill="none"/>'
                 f'<path d="{path}" stroke="hsl({i * 90},60%,42%)" fill="none"/>')
    for x, y in points:
        parts.append(f'<circle cx="{X(x):.1f}" cy="{Y(y):.1f}" r="2.5"/><text x="{X(x):.1f}" y="{dy + H - B + 18}" text-anchor="middle">{x}</text>')
    for y in (points[0][1], points[-1][1]):
        parts.append(f'<text x="{dx + L - 6}" y="{Y(y) + 4:.1f}" text-anchor="end">{y:.0f} us</text>')
with open(SVG, "w") as file:
    file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * W} {2 * H + 30}" font-family="sans-serif" font-size="11">'
               f'<rect width="{2 * W}" height="{2 * H + 30}" fill="white"/><text x="{L}" y="14">Time of a request, LSTM, both axes logarithmic; dashed: '
               f'linear (units: quadratic); {head.split(", float32")[0]}</text>' + "\n".join(parts) + "</svg>\n")
