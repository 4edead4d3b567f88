"""Pies and donuts, with a legend or with names beside the slices."""

import math

from axes import draw_legend, draw_title, need
from style import on


def draw_pie(canvas, box, chart, style):
    """kinds pie and donut. Values are shares in per cent."""
    chart.colours, chart.colour_of = style.colours(len(chart.cats)), "cats"
    need(chart.colours)
    box = draw_title(canvas, box, chart.title, style)
    beside = style.rng.random() < 0.4
    values = chart.values[0]
    texts = [chart.text(v) for v in values]
    in_legend = not beside and style.rng.random() < 0.35
    if not beside:
        names = [f"{c} {t}" if in_legend else c for c, t in zip(chart.cats, texts)]
        box = draw_legend(
            canvas,
            box,
            [(t, style.shade(c)) for t, c in zip(names, chart.colours)],
            style,
            style.rng.choice(("box", "disc", "round")),
        )
    face = style.face(0.92)
    margin = 6
    if beside:
        margin = max(face.width(c) for c in chart.cats) + 12
        names = [[c, t] for c, t in zip(chart.cats, texts)]
    radius = min(box.w / 2 - margin, box.h / 2 - (2.4 * face.height if beside else 6))
    need(radius > 3.2 * face.height)
    start, slices = style.rng.choice((-90, -90, style.rng.uniform(0, 360))), []
    shift = style.rng.choice((0, 0, 0, radius * 0.06))
    for i, v in enumerate(values):
        end = start + 3.6 * v
        slices.append((start, end, style.shade(chart.colours[i]), shift if i == 0 else 0))
        start = end
    hole = style.rng.uniform(0.45, 0.62) if chart.kind == "donut" else 0
    canvas.pie(
        box.cx, box.cy, radius, slices, style.card if style.rng.random() < 0.8 else None, hole
    )
    _write_values(canvas, box, chart, style, radius, slices, face, texts, hole, beside, in_legend)
    if hole and style.rng.random() < 0.4 and radius * hole > face.width("100%"):
        canvas.text(box.cx, box.cy, "100%", style.face(1.2, True), style.faint, "m")


def _write_values(canvas, box, chart, style, radius, slices, face, texts, hole, beside, in_legend):
    """Names and values beside the slices, or values in them."""
    boxes = []
    for i, (begin, end, colour, shift) in enumerate(slices):
        angle = math.radians((begin + end) / 2)
        c, s = math.cos(angle), math.sin(angle)
        if beside:
            x, y = box.cx + (radius + shift + 8) * c, box.cy + (radius + shift + face.height) * s
            anchor = "l" if c > 0 else "r"
            need(all(abs(y - oy) > 2.1 * face.height or a != anchor for oy, a in boxes))
            boxes.append((y, anchor))
            canvas.text(x, y - face.height * 0.55, chart.cats[i], face, style.ink, anchor)
            canvas.text(x, y + face.height * 0.55, texts[i], face, style.ink, anchor)
        elif not in_legend:
            far = radius * ((1 + hole) / 2 if hole else 0.66) + shift
            chord = 2 * far * math.sin(math.radians(min(end - begin, 180) / 2))
            need(chord > face.height * 1.15 and chord > 0.8 * face.width(texts[i]))
            need(not hole or radius * (1 - hole) > face.width(texts[i]) + 2)
            canvas.text(box.cx + far * c, box.cy + far * s, texts[i], face, on(colour), "m")
