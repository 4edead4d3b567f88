"""The marks of charts in the looks of libraries: bars, lines, points and pies, with values and
legends."""

import dataclasses
import math

import titles
from axes import Placer, need
from canvas import Rect
from figure import Figure
from style import luminance, mix, on

HEADINGS = (
    "variable",
    "Series",
    "Group",
    "Type",
    "Category",
    "group",
    "series",
    "Legend",
    "Name",
    "key",
)
KINDS = ("vbar", "hbar", "grouped", "stacked", "line", "lines", "area", "pie", "donut", "scatter")
WITHOUT = {"ggplot": ("pie", "donut"), "gnuplot": ("pie", "donut")}


def can_draw(look, kind):
    """Whether charts of a kind are drawn in a look, given by name."""
    return look != "own" and kind in KINDS and kind not in WITHOUT.get(look, ())


def draw_plot(canvas, chart, style, look, box=None):
    """Draws a chart of one of KINDS on the whole canvas or in a box of it."""
    look = dataclasses.replace(look)
    _title_axes(chart, style, look, (box or canvas.box).w)
    if look.border and box is None:
        canvas.frame(canvas.box, look.border)
    if chart.kind in ("pie", "donut"):
        _pie(canvas, chart, style, look, box)
    elif chart.kind in ("line", "lines", "area", "scatter"):
        _lines(canvas, chart, style, look, box)
    else:
        _bars(canvas, chart, style, look, box)


def _title_axes(chart, style, look, width):
    """Gives most charts the titles of axes that they lack."""
    rng, longest = style.rng, 30 if width > 450 else 16
    if not chart.y_title and rng.random() < look.titled:
        chart.y_title = titles.value_title(rng, style.split, longest)
    if not chart.x_title and rng.random() < 0.8 * look.titled:
        chart.x_title = titles.category_title(rng, style.split, chart.group)


def _use(chart, style, look, n):
    """n colours of a look; the chart and the style get their names."""
    shades, names = look.shades(n)
    need(shades)
    chart.colours = names if n > 1 else names * len(chart.cats)
    chart.colour_of = ("series" if not chart.single else "cats") if n > 1 and any(names) else ""
    for name, shade in zip(names, shades):
        if name:
            style.palette[name] = shade
            style.used.add(name)
    return shades


def _heading(chart, style):
    return style.rng.choice(HEADINGS)


# ---- bars ----


def _bars(canvas, chart, style, look, box):
    rng = style.rng
    across = chart.kind == "hbar" or chart.kind in ("grouped", "stacked") and rng.random() < 0.25
    chart.lying = across
    many = chart.single and rng.random() < (0.5 if look.name == "seaborn" else 0.25)
    many = many and look.shades(len(chart.cats))[0] is not None
    n = len(chart.cats) if many else len(chart.series)
    shades = _use(chart, style, look, n)
    plain = chart.single and not many  # no colour is asked about
    if plain and look.single and rng.random() < 0.6:
        shades, chart.colours = [look.single], [""] * len(chart.cats)
    edges = shades
    if look.pale:
        shades = [mix(s, look.panel, 0.5) for s in shades]
        chart.colours, chart.colour_of = [""] * len(chart.colours), ""
    fig = Figure(canvas, chart, style, look, box, across)
    if not chart.single:
        shape = "wide" if look.rule == "matplotlib" else "box"
        fig.plan_legend(list(zip(chart.series, shades)), shape, _heading(chart, style))
    lanes = 1 if chart.kind == "stacked" else len(chart.series)
    share = look.bar if lanes == 1 else look.group
    if look.between:
        share = lanes / (lanes + look.between)
    edge = look.edges[0]
    if look.name == "matplotlib":
        edge = share / 2 + 0.05 * (len(chart.cats) - 1 + share)
    axis = not chart.shown or rng.random() < 0.85
    plane = fig.plane(True, edge, axis)
    thick = plane.each * share / lanes
    need(thick >= (4 if across else 5))
    labels = []
    opacity = (
        rng.choice((0.6, 0.7, 0.8, 0.9))
        if plain and look.rule == "matplotlib" and rng.random() < 0.2
        else 1
    )
    for i in range(len(chart.cats)):
        bottom = 0.0
        for s in range(len(chart.series)):
            value, shade = chart.values[s][i], shades[i if many else s]
            if chart.kind == "stacked":
                bar = plane.bar(i, -thick / 2, thick, bottom, bottom + value)
                bottom += value
            else:
                bar = plane.bar(i, (s - lanes / 2) * thick, thick - look.apart, 0, value)
            canvas.rect(bar, shade, opacity)
            if look.pale or look.outline:
                canvas.frame(bar, edges[i if many else s] if look.pale else look.outline)
            fig.soft.append(bar)
            fig.hard.append(_end(bar, across))
            labels.append((bar, chart.text(value), shade))
    if chart.shown:
        _label_bars(fig, plane, labels, thick if lanes > 1 else plane.each)
    fig.spines(plane.plot)
    fig.draw_legend(plane.plot)


def _end(bar, across):
    """The end of a bar, which must be seen to read it."""
    if across:
        return Rect(bar.x1 - 6, bar.y0, bar.x1 + 6, bar.y1)
    return Rect(bar.x0, bar.y0 - 6, bar.x1, bar.y0 + 6)


def _label_bars(fig, plane, labels, room):
    """Values at all bars of a chart in the same way: at their ends, or in them."""
    look, rng, across = fig.look, fig.rng, fig.across
    face = look.face(look.value, rng.random() < 0.08)
    gap = rng.choice((2, 3, 5)) if across else rng.choice((1, 2, 3, 4))
    stacked = fig.chart.kind == "stacked"
    place = "middle" if stacked else rng.choice(("end", "end", "end", "end", "middle", "inside"))
    ink = rng.choice((None, look.tick_ink)) if place != "end" else look.tick_ink
    for bar, text, shade in labels:
        w, h = face.length(text), face.cap
        colour = ink if ink and (place == "end" or _contrast(ink, shade)) else on(shade)
        if across:
            need(h + 2 <= room)
            x, y = bar.x1 + gap + w / 2, bar.cy
            if place != "end":
                need(w + 2 < bar.w)
                x = bar.cx if place == "middle" else bar.x1 - gap - w / 2
            else:
                need(x + w / 2 < fig.page.x1)
        else:
            x, y = bar.cx, bar.y0 - gap - h / 2 - 1
            need(w <= room - 1 and (place != "end" or y - h > fig.plot.y0 - h))
            if place != "end":
                need(h + 3 < bar.h and w <= bar.w + (0 if place == "inside" else 6))
                y = bar.cy if place == "middle" else bar.y0 + gap + h / 2 + 1
        fig.canvas.text(x, y, text, face, colour, "m")
        fig.hard.append(Rect(x - w / 2 - 1, y - h / 2 - 2, x + w / 2 + 2, y + h / 2 + 3))


def _contrast(ink, shade):
    """Whether ink is legible on a colour."""
    return abs(luminance(ink) - luminance(shade)) > 75


# ---- lines ----


def _lines(canvas, chart, style, look, box):
    """kinds line, lines, area and scatter."""
    rng = style.rng
    shades = _use(chart, style, look, len(chart.series))
    fig = Figure(canvas, chart, style, look, box)
    scatter = chart.kind == "scatter"
    if not chart.single:
        fig.plan_legend(list(zip(chart.series, shades)), "line", _heading(chart, style))
    edge = look.edges[1]
    edge = edge * (len(chart.cats) - 1) if edge < 0.2 else edge
    if scatter and look.rule == "matplotlib":
        edge = 0.06 * (len(chart.cats) - 1)
    if chart.shown:  # values at the first and last point keep off the axes
        edge = max(edge, 0.3)
    if look.name == "plotly" and look.grid:
        look.grid = "vc"
    zero = chart.kind == "area" or rng.random() < look.zero
    plane = fig.plane(zero, edge)
    points = [[(plane.middle(i), plane.at(v)) for i, v in enumerate(row)] for row in chart.values]
    if chart.kind == "area":
        base = plane.at(max(0, chart.base))
        row = points[0]
        canvas.polygon(
            [(row[0][0], base)] + row + [(row[-1][0], base)], shades[0], rng.choice((0.3, 0.5, 0.7))
        )
    marker = look.marker and rng.random() < 0.6 or scatter or chart.shown and rng.random() < 0.7
    radius = max(2.0, look.marker or 1.5 * look.line) * (1.2 if scatter else 1)
    for row, shade in zip(points, shades):
        if not scatter:
            canvas.line(row, shade, look.line)
        for x, y in row:
            if marker:
                canvas.disc(x, y, radius, shade, look.panel if look.ring else None)
            fig.hard.append(Rect(x - radius - 1, y - radius - 1, x + radius + 2, y + radius + 2))
        for (ax, ay), (bx, by) in zip(row, row[1:]):
            for t in (0.2, 0.4, 0.6, 0.8):
                x, y = ax + (bx - ax) * t, ay + (by - ay) * t
                fig.hard.append(Rect(x - 3, y - 3, x + 4, y + 4))
    look.marker = radius if marker else 0
    if chart.shown:
        _label_points(fig, plane, points, shades, radius)
    fig.spines(plane.plot)
    fig.draw_legend(plane.plot)


def _label_points(fig, plane, points, shades, radius):
    """Values above their points, below where there is no room."""
    look, chart, plot = fig.look, fig.chart, plane.plot
    face = look.face(look.value)
    w, h = max(face.length(chart.text(v)) for row in chart.values for v in row), face.cap
    placer = Placer(fig.canvas, Rect(max(1, plot.x0 - w), plot.y0 - 3, plot.x1 + w, plot.y1 - 1))
    placer.box.x1 = min(placer.box.x1, fig.page.x1 - 1)
    for row in points:
        for x, y in row:
            placer.take(Rect(x - 2, y - 2, x + 3, y + 3))
    gap = h / 2 + radius + fig.rng.choice((2, 4, 6))
    tinted = not chart.single or fig.rng.random() < 0.2
    need(w < plane.each + 8 or len(chart.cats) == 1)
    for s, row in enumerate(points):
        ink = mix(shades[s], look.ink, 0.25) if tinted else look.tick_ink
        for i, (x, y) in enumerate(row):
            text = chart.text(chart.values[s][i])
            placer.write(text, face, ink, [(x, y - gap), (x, y + gap)])
            fig.hard.append(placer.taken[-1])


# ---- pies ----


def _tenths(chart, rng):
    """Shares with a decimal, as most pies are written; they sum to 100 as before."""
    chart.decimals = rng.choice((0, 1, 1))
    if chart.decimals:
        row = list(chart.values[0])
        for i in range(len(row) - 1):
            t = rng.randint(-4, 4) / 10
            row[i], row[-1] = row[i] + t, row[-1] - t
        if min(row) > 3:
            chart.values = [[round(v, 1) for v in row]]
    else:
        whole = [round(v) for v in chart.values[0]]
        whole[-1] += 100 - sum(whole)
        need(min(whole) > 2)
        chart.values = [whole]


def _pie(canvas, chart, style, look, box):
    """kinds pie and donut: names beside slices or in a legend, shares in the slices or beside
    them."""
    rng = style.rng
    shades = _use(chart, style, look, len(chart.cats))
    _tenths(chart, rng)
    fig = Figure(canvas, chart, style, look, box, fixed=False)
    place, start, direction = look.pie
    beside = place == "beside" and rng.random() < 0.8
    if not beside:
        entries = list(zip(chart.cats, shades))
        in_legend = rng.random() < 0.1
        if in_legend:
            entries = [(f"{c} ({chart.text(v)})", s) for (c, s), v in zip(entries, chart.values[0])]
        fig.place_for_pie()
        fig.plan_legend(
            entries, "wide" if look.rule == "matplotlib" else "box", _heading(chart, style)
        )
    box, face = fig.bare(), fig.tick
    start = rng.choice((start, start, 90, 0))
    if beside:
        radius = (box.w / 2 - max(map(face.length, chart.cats)) - 3) / 1.1
        radius = min(radius, (box.h / 2 - face.size * 0.7) / 1.1)
    else:
        radius = min(box.w / 2 - 6, box.h / 2 - 4)
    radius = min(radius, 0.42 * min(fig.page.w, fig.page.h))
    need(radius > 3 * face.size)
    hole = rng.choice((0.4, 0.5, 0.6, 0.7)) if chart.kind == "donut" else 0
    slices, at = [], -start
    for v, shade in zip(chart.values[0], shades):
        end = at - direction * -3.6 * v
        slices.append((min(at, end), max(at, end), shade, 0))
        at = end
    canvas.pie(box.cx, box.cy, radius, slices, look.page if look.pie_ring or hole else None, hole)
    _name_slices(fig, box, radius, hole, slices, beside, beside or not in_legend)
    fig.draw_legend(Rect(box.cx - radius, box.cy - radius, box.cx + radius, box.cy + radius))


def _name_slices(fig, box, radius, hole, slices, beside, shown):
    """Writes names beside the slices, where they are not in a legend, and shares in them."""
    chart, face = fig.chart, fig.tick
    value = fig.look.face(fig.look.value)
    for (begin, end, shade, _), name, v in zip(slices, chart.cats, chart.values[0]):
        angle = math.radians((begin + end) / 2)
        c, s = math.cos(angle), math.sin(angle)
        if beside:
            x, y = box.cx + 1.1 * radius * c, box.cy + 1.1 * radius * s
            w = face.length(name)
            spot = Rect(
                x - (0 if c > 0 else w),
                y - face.size * 0.55,
                x + (w if c > 0 else 0),
                y + face.size * 0.55,
            )
            need(not any(_touch(spot, h) for h in fig.hard))
            fig.hard.append(spot)
            fig.canvas.text(x, y, name, face, fig.look.ink, "l" if c > 0 else "r")
        if shown:
            _share(fig, box, radius, hole, (begin, end, shade), chart.text(v), value, (c, s))


def _touch(a, b):
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def _share(fig, box, radius, hole, part, text, face, direction):
    """A share written in its slice."""
    begin, end, shade = part
    far = radius * ((1 + hole) / 2 if hole else 0.6 if fig.look.rule == "matplotlib" else 0.68)
    chord = 2 * far * math.sin(math.radians(min(end - begin, 180) / 2))
    need(chord > face.size * 1.05 and (chord > 0.75 * face.length(text) or abs(direction[1]) < 0.5))
    need(not hole or radius * (1 - hole) > face.length(text) * 0.9)
    ink = (
        fig.look.ink if _contrast(fig.look.ink, shade) and fig.look.rule != "plotly" else on(shade)
    )
    x, y, w = box.cx + far * direction[0], box.cy + far * direction[1], face.length(text)
    spot = Rect(x - w / 2, y - face.cap / 2 - 1, x + w / 2, y + face.cap / 2 + 1)
    need(not any(_touch(spot, h) for h in fig.hard))
    fig.hard.append(spot)
    fig.canvas.text(x, y, text, face, ink, "m")
