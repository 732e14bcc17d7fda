#!/usr/bin/env python3
"""Draw the pictures that the demo model's region network is trained and measured on, and write their questions:

    python3 demo/make-data.py [OUT, default demo/data] [--distill 900] [--eval 200]

OUT/distill has pictures with questions and nothing else, for self-distillation; OUT/eval other pictures with questions,
answers and boxes. Each has a questions.jsonl: id, image, question, and in eval answer, kind (object | form | coarse), box (what is
asked about, [x0, y0, x1, y1] in picture pixels) and textBox (the printed code).

A scene of 1008x1008 px holds shapes with codes printed on them, or key words with codes below them. The model sees it at 168x168 px, where
shapes, colours and key words can be seen but codes (28-36 px high type) cannot be read: that takes a crop. A seed gives the same scene always.

Needs Pillow, NumPy (the noise of the ground) and the fonts DejaVu and Liberation (Debian: python3-pil python3-numpy
fonts-dejavu-core fonts-liberation).
"""
import argparse
import json
import math
import os
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCENE = 1008  # side, px
COLORS = {
    "red": (214, 40, 40), "green": (46, 139, 60), "blue": (40, 80, 210), "yellow": (240, 200, 20),
    "purple": (130, 50, 170), "orange": (245, 130, 20), "cyan": (30, 180, 200), "black": (30, 30, 30),
}
SHAPES = ["circle", "square", "triangle", "star", "diamond", "hexagon"]
CODE = ["ACDPSTUW", "0123456789", "EHJKLVXZ"]  # what may stand at each place of a code
KEYS = ["TOTAL", "DATE", "ROOM", "GATE", "SEAT", "TAX", "CODE", "PAGE"]
FONTS = "/usr/share/fonts/truetype/"
FONT_FILES = [
    FONTS + "dejavu/DejaVuSans-Bold.ttf", FONTS + "dejavu/DejaVuSans.ttf", FONTS + "liberation/LiberationSans-Bold.ttf",
    FONTS + "liberation/LiberationSans-Regular.ttf", FONTS + "liberation/LiberationMono-Bold.ttf",
]
_fonts = {}


def font(path, size):
    if (path, size) not in _fonts:
        _fonts[path, size] = ImageFont.truetype(path, size)
    return _fonts[path, size]


def polygon(shape, cx, cy, r):
    def ring(n, rot, radii):
        return [(cx + radii[i % len(radii)] * math.cos(rot + 2 * math.pi * i / n),
                 cy + radii[i % len(radii)] * math.sin(rot + 2 * math.pi * i / n)) for i in range(n)]
    if shape == "square":
        s = r * 0.86
        return [(cx - s, cy - s), (cx + s, cy - s), (cx + s, cy + s), (cx - s, cy + s)]
    if shape == "triangle":
        return ring(3, -math.pi / 2, [r * 1.15])
    if shape == "star":
        return ring(10, -math.pi / 2, [r * 1.15, r * 0.55])
    if shape == "diamond":
        return [(cx, cy - r * 1.1), (cx + r * 0.8, cy), (cx, cy + r * 1.1), (cx - r * 0.8, cy)]
    return ring(6, 0, [r])  # hexagon


def background(rng):
    n = 63
    base = rng.integers(195, 250, size=3)
    img = base + np.linspace(-1, 1, n)[:, None, None] * rng.integers(-18, 18, size=3) \
        + np.linspace(-1, 1, n)[None, :, None] * rng.integers(-18, 18, size=3) + rng.normal(0, 5, size=(n, n, 3))
    return Image.fromarray(np.clip(img, 0, 255).astype(np.uint8)).resize((SCENE, SCENE), Image.BILINEAR)


def code_text(r):
    return "".join(r.choice(place) for place in CODE)


def object_scene(seed):
    r = random.Random(seed)
    img = background(np.random.default_rng(seed))
    d = ImageDraw.Draw(img)
    for _ in range(r.randint(0, 6)):
        x0, y0, x1, y1 = (r.randint(0, SCENE) for _ in range(4))
        d.line((x0, y0, x1, y1), fill=tuple(r.randint(150, 220) for _ in range(3)), width=r.randint(1, 4))
    combos = [(c, r.choice(SHAPES)) for c in COLORS]  # a colour once a scene
    r.shuffle(combos)
    n = r.randint(4, 8)
    items, placed = [], []
    for color, shape in combos:
        if len(items) == n:
            break
        rad = r.randint(60, 80)
        for _ in range(40):
            cx, cy = r.randint(rad + 8, SCENE - rad - 8), r.randint(rad + 8, SCENE - rad - 8)
            if all(math.hypot(cx - px, cy - py) > rad + pr + 14 for px, py, pr in placed):
                break
        else:
            continue
        placed.append((cx, cy, rad))
        rgb = tuple(max(0, min(255, v + r.randint(-18, 18))) for v in COLORS[color])
        if shape == "circle":
            d.ellipse((cx - rad, cy - rad, cx + rad, cy + rad), fill=rgb)
        else:
            d.polygon(polygon(shape, cx, cy, rad), fill=rgb)
        code = code_text(r)
        f = font(r.choice(FONT_FILES), r.randint(28, 36))
        w = d.textlength(code, font=f)
        asc = f.getbbox("0A")
        h = asc[3] - asc[1]
        oy = rad * 0.12 if shape == "triangle" else 0
        x0, y0 = cx - w / 2, cy - h / 2 + oy
        pad = 4
        text_box = (x0 - pad, y0 - pad, x0 + w + pad, y0 + h + pad)
        d.rectangle(text_box, fill=(252, 252, 250))
        d.text((x0, y0 - asc[1]), code, font=f, fill=(r.randint(0, 40),) * 3)
        items.append(dict(kind="object", color=color, shape=shape, code=code, box=(cx - rad, cy - rad, cx + rad, cy + rad), text_box=text_box))
    return img, items


def form_scene(seed):
    r = random.Random(seed)
    img = background(np.random.default_rng(seed))
    d = ImageDraw.Draw(img)
    m = r.randint(10, 40)
    d.rectangle((m, m, SCENE - m, SCENE - m), fill=tuple(r.randint(244, 255) for _ in range(3)), outline=(120, 120, 120))
    keys = KEYS[:]
    r.shuffle(keys)
    n = r.randint(4, 6)
    cell_h = (SCENE - 2 * m) / 3
    cell_w = (SCENE - 2 * m) / 2
    cells = [(i % 2, i // 2) for i in range(6)]
    r.shuffle(cells)
    items = []
    for key, (gx, gy) in zip(keys[:n], cells):
        kf = font(FONT_FILES[r.choice([0, 2])], r.randint(62, 72))
        vf = font(r.choice(FONT_FILES), r.randint(28, 34))
        kw = d.textlength(key, font=kf)
        x = m + gx * cell_w + r.uniform(14, max(15, cell_w - kw - 20))
        y = m + gy * cell_h + r.uniform(14, max(15, cell_h - 140))
        d.text((x, y), key, font=kf, fill=(r.randint(0, 50),) * 3)
        kb = d.textbbox((x, y), key, font=kf)
        code = code_text(r)
        w = d.textlength(code, font=vf)
        asc = vf.getbbox("0A")
        h = asc[3] - asc[1]
        vx = x + r.uniform(0, max(1, kw - w))
        vy = kb[3] + r.uniform(8, 14)
        d.text((vx, vy - asc[1]), code, font=vf, fill=(r.randint(0, 60),) * 3)
        box = (min(kb[0], vx), kb[1], max(kb[2], vx + w), vy + h)
        items.append(dict(kind="form", key=key, code=code, box=box, text_box=(vx, vy, vx + w, vy + h)))
    return img, items


def scene(seed):
    return form_scene(seed) if seed % 4 == 0 else object_scene(seed)


def question(item, r):
    if item["kind"] == "form":
        return r.choice(["What is the value of {}?", "What code is under {}?"]).format(item["key"])
    return r.choice(["What code is on the {} {}?", "What is the code of the {} {}?"]).format(item["color"], item["shape"])


def coarse_question(items, r):
    """A question that the small view answers: (question, answer, item or None), or None for forms."""
    if items[0]["kind"] == "form":
        return None
    out = []
    it = r.choice(items)
    if sum(o["color"] == it["color"] for o in items) == 1:
        out.append((f"What shape is {it['color']}?", it["shape"], it))
    if sum(o["shape"] == it["shape"] for o in items) == 1:
        out.append((f"What color is the {it['shape']}?", it["color"], it))
    if r.random() < 0.5:
        q = r.choice(items)
        out.append((f"Is there a {q['color']} {q['shape']}?", "yes", q))
    else:
        present = {(o["color"], o["shape"]) for o in items}
        c, s = r.choice([(c, s) for c in COLORS for s in SHAPES if (c, s) not in present])
        out.append((f"Is there a {c} {s}?", "no", None))
    return out[0]


def draw(out, first, count, quality, every_item, annotated):
    """quality: of the JPEG files; every_item: a question for each code of a scene, else for one."""
    os.makedirs(os.path.join(out, "images"), exist_ok=True)
    with open(os.path.join(out, "questions.jsonl"), "w") as f:
        for seed in range(first, first + count):
            img, items = scene(seed)
            name = f"images/{seed}.jpg"
            img.save(os.path.join(out, name), quality=quality)
            r = random.Random(seed * 3 + 1)
            rows = []
            for n, it in enumerate(items if every_item else [r.choice(items)]):
                rows.append(dict(id=f"{seed}-{n}", image=name, question=question(it, r), answer=it["code"], kind=it["kind"],
                                 box=[round(v) for v in it["box"]], textBox=[round(v) for v in it["text_box"]]))
            coarse = coarse_question(items, r)
            if coarse:
                q, answer, it = coarse
                rows.append(dict(id=f"{seed}-c0", image=name, question=q, answer=answer, kind="coarse",
                                 box=[round(v) for v in it["box"]] if it else None, textBox=None))
            for row in rows:
                f.write(json.dumps(row if annotated else {k: row[k] for k in ("id", "image", "question")}) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", nargs="?", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "data"))
    ap.add_argument("--distill", type=int, default=900, help="scenes without annotations, from seed 500000")
    ap.add_argument("--eval", type=int, default=200, help="scenes with answers and boxes, from seed 900000")
    a = ap.parse_args()
    draw(os.path.join(a.out, "distill"), 500000, a.distill, quality=88, every_item=True, annotated=False)
    draw(os.path.join(a.out, "eval"), 900000, a.eval, quality=90, every_item=False, annotated=True)


if __name__ == "__main__":
    main()
