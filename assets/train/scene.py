"""Whole pictures: one chart, a dashboard, a page with text; and what a camera or a codec does to them.

A scene is drawn again with other random choices until everything fits.
"""

import dataclasses
import io
import random

import numpy as np
from PIL import Image

import looks
import words
from axes import DoesNotFit, draw_title, need
from canvas import Canvas, Rect, wrap
from chart import Chart, fill, draw_labels, random_chart
from charts_bar import draw_bars
from charts_info import draw_callouts, draw_numbers, draw_steps, draw_table, draw_timeline
from charts_line import draw_lines, draw_scatter
from charts_pie import draw_pie
from plots import can_draw, draw_plot
from style import Style

DRAW = {
    "vbar": draw_bars,
    "hbar": draw_bars,
    "grouped": draw_bars,
    "stacked": draw_bars,
    "line": draw_lines,
    "lines": draw_lines,
    "area": draw_lines,
    "scatter": draw_scatter,
    "pie": draw_pie,
    "donut": draw_pie,
    "table": draw_table,
    "numbers": draw_numbers,
    "steps": draw_steps,
    "timeline": draw_timeline,
    "callouts": draw_callouts,
}
# how often each kind of picture is drawn
WEIGHTS = {
    "vbar": 14,
    "hbar": 11,
    "grouped": 11,
    "stacked": 6,
    "line": 8,
    "lines": 8,
    "area": 3,
    "pie": 8,
    "donut": 5,
    "scatter": 5,
    "table": 8,
    "numbers": 6,
    "steps": 3,
    "timeline": 3,
    "callouts": 3,
    "dashboard": 7,
    "page": 5,
}
_PANELS = ("vbar", "hbar", "line", "pie", "donut", "numbers", "table", "grouped", "lines", "area")


@dataclasses.dataclass
class Scene:
    """kind, the charts in it in reading order, its heading (of dashboards, else "") and its canvas."""

    kind: str
    charts: list
    heading: str
    canvas: Canvas


def _most(width, height, size):
    """How many categories a chart of this size with type of this size may have."""
    scale = max(0.45, min(1, size / 16))
    return max(3, min(12, int(width * height / (20000 * scale**2)) + 1, int(width / (45 * scale))))


def _single(rng, split, kind, canvas, style, charts):
    box = canvas.box
    margin = round(style.size * 0.8)
    chart = charts[0] if charts else random_chart(rng, split, kind, _most(box.w, box.h, style.size))
    if style.look and not chart.log:
        draw_plot(canvas, chart, style, style.look)
    else:
        DRAW[chart.kind](canvas, box.inset(margin, margin // 2 + 2, margin, margin), chart, style)
    return [chart], ""


def _dashboard(rng, split, canvas, style):
    box, gap = canvas.box, round(style.size * 0.7)
    n = rng.choice((2, 2, 3, 4, 4)) if box.w * box.h > 200000 else 2
    need(box.w * box.h >= 110000)
    heading = f"{rng.choice(words.pool(split))} {rng.choice(('dashboard', 'overview', 'summary', 'at a glance'))}"
    heading = heading if rng.random() < 0.7 else ""
    inner = box.inset(gap if not style.look else 4)
    if heading:
        inner = draw_title(canvas, inner, heading, style, 1.15)
    columns = {2: 2 if box.w >= box.h else 1, 3: 3 if box.w > 1.8 * box.h else 1, 4: 2}[n]
    if not style.look:
        style.size = max(min(13, style.size), round(style.size * 0.9))
        style.title_size = round(style.size * 1.15)
    charts, titles, labels = [], set(), set()
    for cell in inner.grid(columns, -(-n // columns), gap)[:n]:
        kind = rng.choice([k for k in _PANELS if not style.look or can_draw(style.look.name, k)])
        chart = random_chart(rng, split, kind, min(5, _most(cell.w, cell.h, style.size)))
        need(chart.title not in titles and not labels & set(chart.cats))
        titles.add(chart.title)
        labels |= set(chart.cats)
        charts.append(chart)
        if style.look:
            need(not chart.log)
            draw_plot(canvas, chart, style, style.look, cell)
            continue
        canvas.rounded(cell, 6, style.card)
        if style.card == style.page:
            canvas.frame(cell, style.grid)
        style.legend = rng.choice(("top", "bottom"))
        DRAW[chart.kind](canvas, cell.inset(10, 6, 10, 8), chart, style)
    return charts, heading


def fact(rng, chart, i, first):
    """A sentence that states one value."""
    name, value = chart.cats[i], chart.text(chart.values[0][i])
    forms = (
        f"{name} stood at {value}.",
        f"{name} reached {value}.",
        f"The figure for {name} was {value}.",
        f"{name} came to {value} in total.",
        f"For {name}, {value} was reported.",
        f"{name} had {value}.",
    )
    return rng.choice(
        forms
        if first
        else forms + (f"In contrast, {name} had {value}.", f"{name} followed with {value}.")
    )


def _page(rng, split, canvas, style):
    """A title and paragraphs that state values among other sentences."""
    box = canvas.box.inset(round(style.size * 1.3))
    chart = Chart("page", "", [], [""], [])
    chart.cats, chart.group = draw_labels(rng, split, rng.randint(2, 4), 0.1)
    chart.title = words.title(rng, split, chart.group)
    fill(rng, chart)
    sentences = [fact(rng, chart, i, i == 0) for i in range(len(chart.cats))]
    room = canvas.box.w * canvas.box.h / style.size**2
    most = min(len(words.FILLER), max(1, int(room / 250)))
    for filler in rng.sample(words.FILLER, rng.randint(min(2, most), most)):
        sentences.insert(rng.randint(0, len(sentences)), filler)
    box = draw_title(canvas, box, chart.title, style)
    face = style.face(1.0, False)
    cut = rng.randint(2, len(sentences)) if rng.random() < 0.5 else len(sentences)
    y = box.y0 + face.height * 0.5
    for part in (sentences[:cut], sentences[cut:]):
        for line in wrap(" ".join(part), face, box.w) if part else ():
            need(y + face.height < box.y1 and face.width(line) <= box.w)
            canvas.text(box.x0, y, line, face, style.ink)
            y += round(face.height * 1.25)
        y += face.height * 0.6
    left = Rect(box.x0, y, box.x1, box.y1)
    if left.h < max(0.35 * canvas.box.h, 130) or rng.random() < 0.25:
        return [chart], ""
    below = random_chart(rng, split, rng.choice(_PANELS), _most(left.w, left.h, style.size))
    need(below.title != chart.title and not set(below.cats) & set(chart.cats))
    DRAW[below.kind](canvas, left, below, style)
    return [chart, below], ""


def draw_scene(rng, split, width, height, kind=None, charts=None, look=None):
    """A Scene of width x height pixels. charts: [one chart] to draw instead of a random one; look: of
    looks.LOOKS or "own" instead of a random one."""
    kind = kind or rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    look = look or looks.choose(rng)
    for attempt in range(400):
        if attempt % 40 == 39 and charts is None:  # this kind does not fit here: another
            kind = rng.choice(("vbar", "hbar", "line", "table", "numbers"))
        if attempt % 40 == 20:
            look = "own"
        style = Style(rng, split, width, height)
        if (
            can_draw(look, kind)
            or kind == "dashboard"
            and look in ("matplotlib", "seaborn", "vega")
        ):
            style.adopt(looks.look_of(rng, look, split, width, height))
        canvas = Canvas(width, height, style.page)
        if kind != "dashboard" and not style.look:
            style.card = style.page if kind not in ("numbers", "table") else style.card
        try:
            if kind == "dashboard":
                found, heading = _dashboard(rng, split, canvas, style)
            elif kind == "page":
                found, heading = _page(rng, split, canvas, style)
            else:
                found, heading = _single(rng, split, kind, canvas, style, charts)
        except DoesNotFit:
            continue
        canvas.note_colours(style)
        degrade(rng, canvas)
        return Scene(kind, found, heading, canvas)
    raise DoesNotFit(f"{kind} in {width} x {height}")


_NOISE = np.random.default_rng(7).normal(0, 1, (1100, 1100, 1)).astype(np.float32)


def degrade(rng, canvas):
    """Now and then noise, a loss of sharpness or the traces of JPEG. At most one of them."""
    chance = rng.random()
    pixels = canvas.pixels
    if chance < 0.10:
        height, width = pixels.shape[:2]
        y, x = rng.randint(0, 1100 - min(height, 1100)), rng.randint(0, 1100 - min(width, 1100))
        noise = _NOISE[y : y + height, x : x + width] * rng.uniform(1.5, 6)
        if noise.shape[:2] == (height, width):
            canvas.pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    elif chance < 0.25:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=rng.randint(45, 92))
        canvas.pixels = np.asarray(Image.open(stream).convert("RGB")).copy()
    elif chance < 0.29:
        soft = pixels.astype(np.uint16)
        soft[:, 1:-1] = (soft[:, :-2] + 2 * soft[:, 1:-1] + soft[:, 2:]) // 4
        canvas.pixels = soft.astype(np.uint8)


def scene_of(seed, split, width, height, kind=None, look=None):
    """The scene of a seed: the same every time."""
    return draw_scene(random.Random(f"{split}/{seed}"), split, width, height, kind, None, look)
