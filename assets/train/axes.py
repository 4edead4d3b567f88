"""What surrounds the marks of a chart: title, legend, axes, grid and the places of categories."""

import math

from canvas import Rect, wrap
from chart import tick_text
from style import mix


class DoesNotFit(Exception):
    """The chart cannot be drawn legibly in its box: another one must be tried."""


def need(condition):
    """Raises DoesNotFit where a condition does not hold."""
    if not condition:
        raise DoesNotFit


def draw_title(canvas, box, text, style, scale=1.0):
    """Writes a title of at most two lines on top of a box. Returns what is left of the box."""
    face = style.title_face(scale)
    lines = wrap(text, face, box.w - 6)
    need(len(lines) <= 2 and all(face.width(line) <= box.w for line in lines))
    y = box.y0 + face.height / 2
    for line in lines:
        canvas.text(
            box.x0 if style.title_left else box.cx,
            y,
            line,
            face,
            style.ink,
            "l" if style.title_left else "m",
        )
        y += face.height
    return Rect(box.x0, y - face.height / 2 + face.size * 0.45, box.x1, box.y1)


def _swatch(canvas, x, y, size, colour, shape):
    """The sign of a legend's entry, centred on y."""
    if shape == "line":
        canvas.line([(x, y), (x + size * 1.5, y)], colour, 2.5)
    elif shape == "disc":
        canvas.disc(x + size / 2, y, size / 2 - 0.5, colour)
    else:
        canvas.rounded(
            Rect(x, y - size / 2, x + size, y + size / 2), 2 if shape == "round" else 0, colour
        )


def _legend_rows(entries, face, width, wide):
    """Entries in rows that are at most `width` wide: lists of (x offset, entry)."""
    rows, row, x = [], [], 0
    for entry in entries:
        w = wide + face.width(entry[0]) + face.size
        if row and x + w > width:
            rows.append((row, x))
            row, x = [], 0
        need(w <= width + face.size)
        row.append((x, entry))
        x += w
    return rows + [(row, x)]


def draw_legend(canvas, box, entries, style, shape="box"):
    """entries: (text, colour). Returns what is left of the box."""
    face = style.face(0.95, False)
    size = round(face.size * 0.8)
    wide = round(size * (1.5 if shape == "line" else 1) + face.size * 0.45)
    place = style.legend
    if place in ("left", "right"):
        width = wide + max(face.width(t) for t, _ in entries) + 4
        step = round(face.size * 1.6)
        need(width < box.w * 0.4 and step * len(entries) < box.h)
        x = box.x1 - width if place == "right" else box.x0
        y = box.y0 + step / 2 + style.rng.choice((0, max(0, (box.h - step * len(entries)) / 3)))
        for text, colour in entries:
            _swatch(canvas, x, y, size, colour, shape)
            canvas.text(x + wide, y, text, face, style.ink)
            y += step
        gap = face.size
        return (
            Rect(box.x0, box.y0, x - gap, box.y1)
            if place == "right"
            else Rect(x + width + gap, box.y0, box.x1, box.y1)
        )
    rows = _legend_rows(entries, face, box.w, wide)
    step = round(face.size * 1.5)
    need(len(rows) <= 3 and step * len(rows) < box.h * 0.3)
    top = not place.startswith("bottom")
    y = box.y0 + step / 2 if top else box.y1 - step * len(rows) + step / 2 + 2
    for row, width in rows:
        width -= face.size
        x = (
            box.x1 - width
            if place.endswith("right")
            else box.x0 if place.endswith("left") else box.cx - width / 2
        )
        for offset, (text, colour) in row:
            _swatch(canvas, x + offset, y, size, colour, shape)
            canvas.text(x + offset + wide, y, text, face, style.ink)
        y += step
    used = step * len(rows) + 4
    return (
        Rect(box.x0, box.y0 + used, box.x1, box.y1)
        if top
        else Rect(box.x0, box.y0, box.x1, box.y1 - used)
    )


class Plane:
    """A plot with a value axis and an axis of categories.

    at(v) is the pixel of a value, middle(i) that of a category; `across` says that values go to the
    right. each is the room of one category.
    """

    def __init__(self, plot, chart, across):
        self.plot, self.chart, self.across = plot, chart, across
        self.each = (plot.h if across else plot.w) / len(chart.cats)

    def share(self, value):
        """0 at the beginning of the axis, 1 at its end."""
        c = self.chart
        if c.log:
            return math.log10(value / c.base) / math.log10(c.top / c.base)
        return (value - c.base) / (c.top - c.base)

    def at(self, value):
        if self.across:
            return self.plot.x0 + self.share(value) * self.plot.w
        return self.plot.y1 - self.share(value) * self.plot.h

    def middle(self, i):
        return (self.plot.y0 if self.across else self.plot.x0) + self.each * (i + 0.5)

    def bar(self, i, offset, thick, low, high):
        """The box of a bar of category i that begins `offset` from its middle."""
        a = self.middle(i) + offset
        if self.across:
            return Rect(
                round(self.at(low)),
                round(a),
                max(round(self.at(high)), round(self.at(low)) + 1),
                round(a + thick),
            )
        return Rect(
            round(a),
            min(round(self.at(high)), round(self.at(low)) - 1),
            round(a + thick),
            round(self.at(low)),
        )


def _category_labels(chart, face, each, style, room):
    """How categories stand under an axis: (mode, height)."""
    widths = [face.width(c) for c in chart.cats]
    if max(widths) <= each - 4:
        return "flat", face.height + 2
    wrapped = [wrap(c, face, each - 4) for c in chart.cats]
    if max(map(len, wrapped)) <= 2 and all(
        face.width(line) <= each - 3 for w in wrapped for line in w
    ):
        return "wrapped", 2 * face.height + 2
    angle = style.tick_angle
    if angle < 45 and each < face.height * 2:
        angle = 60
    need(each >= face.height * (1.0 if angle > 60 else 1.25))
    height = max(widths) * math.sin(math.radians(angle)) + face.height
    need(height < room * 0.4)
    return angle, round(height) + 2


def vertical_plane(canvas, box, chart, style, axis=True):
    """Draws axes for marks that stand upright; axis False leaves the values' axis out."""
    face = style.face(0.95)
    ticks = [tick_text(t) + (chart.suffix if chart.suffix == "%" else "") for t in chart.ticks]
    left = max(map(face.width, ticks)) + 9 if axis else 4
    if chart.y_title and axis:
        left += face.height + 2
    below_title = face.height + 2 if chart.x_title else 0
    each = (box.w - left) / len(chart.cats)
    mode, height = _category_labels(chart, face, each, style, box.h)
    if isinstance(mode, int):  # the first slanted label reaches to the left of its tick
        reach = face.width(chart.cats[0]) * math.cos(math.radians(mode)) - each / 2
        left = max(left, round(reach) + 4)
    room_on_top = face.height + 2 if chart.shown else face.height // 2
    plot = Rect(box.x0 + left, box.y0 + room_on_top, box.x1 - 4, box.y1 - height - below_title - 2)
    need(plot.h > 4.5 * face.height and plot.w > 70)
    plane = Plane(plot, chart, False)
    if style.frame:
        canvas.frame(plot, style.grid)
    if axis:
        need(plot.h / (len(chart.ticks) - 1) > face.height * 0.95)
        for value, text in zip(chart.ticks, ticks):
            y = plane.at(value)
            if style.grid_on:
                canvas.hline(plot.x0, plot.x1, y, style.grid, 1, style.grid_dash)
            if style.tick_marks:
                canvas.hline(plot.x0 - 4, plot.x0, y, style.faint)
            canvas.text(plot.x0 - 6, y, text, face, style.faint, "r")
        if style.axis_line:
            canvas.vline(plot.x0, plot.y0, plot.y1, style.faint)
        if chart.base and not chart.log:
            _broken(canvas, plot, style)
    canvas.hline(plot.x0, plot.x1, plot.y1, style.faint if style.axis_line else style.grid)
    _write_categories(canvas, plane, chart, style, face, mode)
    if chart.y_title and axis:
        canvas.upward(box.x0 + face.height / 2, plot.cy, chart.y_title, face, style.faint)
    if chart.x_title:
        canvas.text(plot.cx, box.y1 - face.height / 2, chart.x_title, face, style.faint, "m")
    return plane


def _write_categories(canvas, plane, chart, style, face, mode):
    plot = plane.plot
    for i, name in enumerate(chart.cats):
        x, y = plane.middle(i), plot.y1 + 5
        if style.tick_marks:
            canvas.vline(x, plot.y1, plot.y1 + 4, style.faint)
        if mode == "flat":
            canvas.text(x, y + face.cap / 2 + 3, name, face, style.ink, "m")
        elif mode == "wrapped":
            for k, line in enumerate(wrap(name, face, plane.each - 4)):
                canvas.text(x, y + face.cap / 2 + 3 + k * face.height, line, face, style.ink, "m")
        else:
            canvas.slanted(x, y + 3, name, face, style.ink, mode)


def _broken(canvas, plot, style):
    """A zigzag on the axis that says it does not begin at 0."""
    x, y = plot.x0, plot.y1 - 4
    canvas.rect(Rect(x - 1, y - 8, x + 2, y), style.card)
    canvas.line([(x, y - 8), (x - 4, y - 6), (x + 4, y - 2), (x, y)], style.faint, 1.2)


def horizontal_plane(canvas, box, chart, style, axis=True):
    """Draws axes for marks that lie: categories at the left, values to the right."""
    face = style.face(0.95)
    ticks = [tick_text(t) + (chart.suffix if chart.suffix == "%" else "") for t in chart.ticks]
    left = max(face.width(c) for c in chart.cats) + 9
    need(left < box.w * 0.45)
    right = (
        face.width(max((chart.text(v) for row in chart.values for v in row), key=len)) + 8
        if chart.shown
        else 4
    )
    right = max(right, face.width(ticks[-1]) // 2 + 2)
    bottom = (face.height + 6 if axis else 4) + (face.height if chart.y_title and axis else 0)
    plot = Rect(box.x0 + left, box.y0 + 4, box.x1 - right, box.y1 - bottom)
    need(plot.w > 70 and plot.h / len(chart.cats) > face.height * 1.15)
    plane = Plane(plot, chart, True)
    if axis:
        need(plot.w / (len(ticks) - 1) > max(map(face.width, ticks)) + 6)
        for value, text in zip(chart.ticks, ticks):
            x = plane.at(value)
            if style.grid_on:
                canvas.vline(x, plot.y0, plot.y1, style.grid, 1, style.grid_dash)
            canvas.text(x, plot.y1 + 5 + face.cap / 2 + 2, text, face, style.faint, "m")
        if chart.y_title:
            canvas.text(plot.cx, box.y1 - face.height / 2, chart.y_title, face, style.faint, "m")
    if style.axis_line:
        canvas.vline(plot.x0, plot.y0, plot.y1, style.faint)
    for i, name in enumerate(chart.cats):
        canvas.text(plot.x0 - 6, plane.middle(i), name, face, style.ink, "r")
    return plane


class Placer:
    """Keeps labels off each other: a label goes to the first of some places that is free."""

    def __init__(self, canvas, box):
        self.canvas, self.box, self.taken = canvas, box, []

    def take(self, box):
        """Marks a box as occupied."""
        self.taken.append(box)

    def free(self, box):
        inside = (
            box.x0 >= self.box.x0
            and box.x1 <= self.box.x1
            and box.y0 >= self.box.y0
            and box.y1 <= self.box.y1
        )
        return inside and not any(
            box.x0 < t.x1 and t.x0 < box.x1 and box.y0 < t.y1 and t.y0 < box.y1 for t in self.taken
        )

    def write(self, text, face, colour, places):
        """places: centres (x, y) in order of preference. DoesNotFit where none is free."""
        w, h = face.width(text), face.cap + 4
        for x, y in places:
            box = Rect(x - w / 2 - 1, y - h / 2, x + w / 2 + 2, y + h / 2 + 1)
            if self.free(box):
                self.take(box)
                self.canvas.text(x, y, text, face, colour, "m")
                return
        raise DoesNotFit


def soft(style, colour):
    """A colour nearer to the card's, for areas under lines."""
    return mix(colour, style.card, 0.7)
