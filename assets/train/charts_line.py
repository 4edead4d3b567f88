"""Lines, areas and scattered points."""

from axes import Placer, draw_legend, draw_title, need, soft, vertical_plane
from canvas import Rect


def _label_points(canvas, plane, chart, style, points):
    """Writes the values beside the points of all series, so that no two overlap."""
    face = style.face(0.88, False)
    placer = Placer(
        canvas,
        Rect(
            plane.plot.x0 - 12,
            plane.plot.y0 - face.height - 2,
            plane.plot.x1 + 12,
            plane.plot.y1 - 1,
        ),
    )
    for row in points:
        for x, y in row:
            placer.take(Rect(x - 3, y - 3, x + 3, y + 3))
    gap = face.cap / 2 + 8
    for s, row in enumerate(points):
        for i, (x, y) in enumerate(row):
            text = chart.text(chart.values[s][i])
            need(face.width(text) < plane.each + 6)
            colour = style.ink if chart.single else style.shade(chart.colours[s])
            around = [row[j][1] for j in (i - 1, i + 1) if 0 <= j < len(row)]
            valley = y > max(around) - 2 or (s % 2 and y > min(around))
            side = (1, -1) if valley else (-1, 1)
            placer.write(text, face, colour, [(x, y + side[0] * gap), (x, y + side[1] * gap)])


def _end_names(canvas, plane, chart, style, points):
    """Names the lines at their right end instead of in a legend."""
    face = style.face(0.95, True)
    placer = Placer(canvas, Rect(0, 0, 10**6, 10**6))
    for s, row in enumerate(points):
        x, y = row[-1]
        w = face.width(chart.series[s])
        placer.write(chart.series[s], face, style.shade(chart.colours[s]), [(x + 10 + w / 2, y)])


def draw_lines(canvas, box, chart, style):
    """kinds line, lines and area."""
    chart.colours = style.colours(len(chart.series))
    need(chart.colours)
    chart.colour_of = "series" if not chart.single else ""
    box = draw_title(canvas, box, chart.title, style)
    shades = [style.shade(c) for c in chart.colours]
    at_end = not chart.single and not chart.shown and style.rng.random() < 0.25
    if at_end:
        width = max(style.face(0.95, True).width(s) for s in chart.series) + 6
        need(width < box.w * 0.25)
        box = box.inset(0, 0, width, 0)
    elif not chart.single:
        box = draw_legend(
            canvas,
            box,
            list(zip(chart.series, shades)),
            style,
            style.rng.choice(("line", "disc", "box")),
        )
    plane = vertical_plane(canvas, box, chart, style, not chart.shown or style.rng.random() < 0.7)
    points = [[(plane.middle(i), plane.at(v)) for i, v in enumerate(row)] for row in chart.values]
    if chart.kind == "area":
        base = plane.plot.y1
        canvas.polygon(
            [(points[0][0][0], base)] + points[0] + [(points[0][-1][0], base)],
            soft(style, shades[0]),
            0.8,
        )
    for row, colour in zip(points, shades):
        canvas.line(row, colour, style.line_width)
    if style.markers or chart.shown or chart.single:
        for row, colour in zip(points, shades):
            for x, y in row:
                canvas.disc(x, y, style.line_width + 1.2, colour, style.card)
    if chart.shown:
        _label_points(canvas, plane, chart, style, points)
    if at_end:
        _end_names(canvas, plane, chart, style, points)


def draw_scatter(canvas, box, chart, style):
    """Few points, each with its name; the value is the height."""
    chart.colours = style.colours(1) * len(chart.cats)
    chart.colour_of = ""
    box = draw_title(canvas, box, chart.title, style)
    names, face = chart.cats, style.face(0.9, False)
    style.tick_marks = False
    chart.cats = [" "] * len(names)  # the axis has no names: the points have them
    try:
        plane = vertical_plane(canvas, box, chart, style, True)
    finally:
        chart.cats = names
    placer = Placer(canvas, plane.plot.inset(2, -8, -6, 2))
    radius = max(4, style.size * 0.32)
    spots = [
        (plane.middle(i) + style.rng.uniform(-0.3, 0.3) * plane.each, plane.at(v))
        for i, v in enumerate(chart.values[0])
    ]
    for x, y in spots:
        placer.take(Rect(x - radius, y - radius, x + radius, y + radius))
    for (x, y), name, value in zip(spots, names, chart.values[0]):
        canvas.disc(x, y, radius, style.shade(chart.colours[0]), style.card)
        text = f"{name}: {chart.text(value)}" if chart.shown else name
        w, up = face.width(text), radius + face.cap / 2 + 4
        placer.write(
            text,
            face,
            style.ink,
            [(x + radius + 4 + w / 2, y), (x - radius - 4 - w / 2, y), (x, y - up), (x, y + up)],
        )
