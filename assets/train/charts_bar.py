"""Bars: upright or lying, grouped or stacked."""

from axes import draw_legend, draw_title, horizontal_plane, need, vertical_plane
from style import on


def _colours(chart, style):
    """Names of the colours: one a series, or one a category, or one for all."""
    if not chart.single:
        chart.colours, chart.colour_of = style.colours(len(chart.series)), "series"
    elif style.rng.random() < 0.5:
        chart.colours, chart.colour_of = style.colours(len(chart.cats)), "cats"
    else:
        chart.colours, chart.colour_of = style.colours(1) * len(chart.cats), ""
    need(chart.colours)


def _value_label(canvas, plane, box, chart, value, style, face, inside):
    """Writes a value at the end of its bar, or in it."""
    text = chart.text(value)
    colour = inside or style.ink
    if plane.across:
        if inside:
            need(face.width(text) + 4 < box.w and face.height <= box.h + 2)
            canvas.text(box.cx, box.cy, text, face, colour, "m")
        else:
            need(face.height <= box.h + 4)
            canvas.text(box.x1 + 4, box.cy, text, face, colour)
    elif inside:
        need(face.width(text) + 1 < box.w and face.height < box.h)
        canvas.text(box.cx, box.cy, text, face, colour, "m")
    else:
        need(face.width(text) <= plane.room - 2)
        canvas.text(box.cx, box.y0 - 4 - face.cap / 2, text, face, colour, "m")


def _draw_bar(canvas, box, colour, style):
    """A bar; those with round corners are square where they stand."""
    if style.round and min(box.w, box.h) > 3 * style.round:
        canvas.rounded(box, style.round, colour)
    else:
        canvas.rect(box, colour)


def draw_bars(canvas, box, chart, style):
    """kinds vbar, hbar, grouped and stacked; grouped and stacked stand or lie."""
    _colours(chart, style)
    across = (
        chart.kind == "hbar" or chart.kind in ("grouped", "stacked") and style.rng.random() < 0.3
    )
    chart.lying = across
    box = draw_title(canvas, box, chart.title, style)
    if not chart.single:
        box = draw_legend(
            canvas,
            box,
            [(s, style.shade(c)) for s, c in zip(chart.series, chart.colours)],
            style,
            style.rng.choice(("box", "round", "disc")),
        )
    axis = not chart.shown or style.rng.random() < 0.6
    plane = (horizontal_plane if across else vertical_plane)(canvas, box, chart, style, axis)
    lanes = 1 if chart.kind == "stacked" else len(chart.series)
    thick = plane.each * style.bar_share / lanes
    plane.room = plane.each / lanes if lanes == 1 else thick
    need(thick >= (5 if across else 6))
    face = style.face(0.9, False)
    for i in range(len(chart.cats)):
        bottom = 0.0
        for s, name in enumerate(chart.series):
            value = chart.values[s][i]
            colour = style.shade(chart.colours[s if not chart.single else i])
            if chart.kind == "stacked":
                bar = plane.bar(i, -thick / 2, thick, bottom, bottom + value)
                bottom += value
            else:
                bar = plane.bar(
                    i, (s - lanes / 2) * thick, thick - (1 if lanes > 1 else 0), chart.base, value
                )
            _draw_bar(canvas, bar, colour, style if chart.kind != "stacked" else _Square)
            if chart.shown:
                _value_label(
                    canvas,
                    plane,
                    bar,
                    chart,
                    value,
                    style,
                    face,
                    on(colour) if chart.kind == "stacked" else None,
                )


class _Square:
    """The part of a style that a bar asks for: no round corners, as in stacks."""

    round = 0
