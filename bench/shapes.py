#!/usr/bin/env python3
"""shapes.py CSV... SVG: draw the measurements of bench/shapes (the shortest time of several runs), and print the worst
ratio to a larger neighbour.

A shape's neighbours are the up to 32 next numbers of units with the same rows; the worst ratio over rows 4..64 and units
64..1100 is printed, with the slope of time over units.
"""
import math, sys

head, data = "", {}
for path in sys.argv[1:-1]:
    for line in open(path):
        if line.startswith("#"):
            head = line[1:].strip()
        elif line[0].isdigit():
            u, r, ns, ps = line.split(",")
            data[int(u), int(r)] = min(data.get((int(u), int(r)), (1e30, 1e30)), (float(ns), float(ps)))
units, rows = sorted({u for u, _ in data}), sorted({r for _, r in data})
worst = (0, None)
for r in (r for r in rows if r >= 4):
    for i, u in enumerate(units):
        for v in units[i + 1:i + 33]:
            if u >= 64 and data[u, r][1] / data[v, r][1] > worst[0]:
                worst = (data[u, r][1] / data[v, r][1], (u, r, v))
print(f"{head}: worst cost per useful operation against a larger neighbour {worst[0]:.2f} (units {worst[1][0]} and "
      f"{worst[1][2]}, rows {worst[1][1]})")
near = lambda x: min(units, key=lambda u: abs(u - x))
for r in (1, 8, 64):
    a, b = near(256), near(1024)
    print(f"rows {r}: time grows as units^{math.log(data[b, r][0] / data[a, r][0]) / math.log(b / a):.2f} from {a} to {b}")
W, H, L, B = 1000, 560, 70, 50
lo, hi = 2, 512  # ps per flop, logarithmic
X = lambda u: L + (W - L - 20) * (math.log(u) - math.log(units[0])) / (math.log(units[-1]) - math.log(units[0]))
Y = lambda p: 20 + (H - B - 20) * (1 - (math.log(max(lo, min(hi, p))) - math.log(lo)) / (math.log(hi) - math.log(lo)))
out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="12">',
       f'<rect width="{W}" height="{H}" fill="white"/><text x="{L}" y="14">LSTM step, picoseconds per useful operation; {head}</text>']
for p in (2, 4, 8, 16, 32, 64, 128, 256, 512):
    out.append(f'<path d="M{L} {Y(p):.1f}H{W - 20}" stroke="#ddd"/><text x="{L - 8}" y="{Y(p) + 4:.1f}" text-anchor="end">{p}</text>')
for u in (8, 16, 32, 64, 128, 256, 512, 1024):
    if units[0] <= u <= units[-1]:
        out.append(f'<path d="M{X(u):.1f} 20V{H - B}" stroke="#eee"/><text x="{X(u):.1f}" y="{H - B + 16}" text-anchor="middle">{u}</text>')
out.append(f'<text x="{W / 2}" y="{H - 12}" text-anchor="middle">units</text>')
for i, r in enumerate(rows):
    colour = f"hsl({i * 330 // len(rows)},70%,42%)"
    path = "".join(f"{'L' if j else 'M'}{X(u):.1f} {Y(data[u, r][1]):.1f}" for j, u in enumerate(units))
    out.append(f'<path d="{path}" fill="none" stroke="{colour}"/><text x="{W - 130 + 55 * (i % 2)}" y="{40 + 16 * (i // 2)}" fill="{colour}">{r} row{"s" if r > 1 else ""}</text>')
open(sys.argv[-1], "w").write("\n".join(out) + "\n</svg>\n")
