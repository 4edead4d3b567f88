"""Charts as libraries lay them out: titles, a plot with its axes, and a legend beside or in it."""

import math

from axes import DoesNotFit, Plane, need
from canvas import Rect, wrap
from style import mix
from ticks import snap, texts


class Frame(Plane):
    """A plane whose first and last category may stand at any distance from the ends of its axis."""

    def __init__(self, plot, chart, across, edge):
        self.plot, self.chart, self.across = plot, chart, across
        self.edge = edge
        slots = len(chart.cats) - 1 + 2 * edge
        self.each = (plot.h if across else plot.w) / max(slots, 0.5)

    def middle(self, i):
        return (self.plot.y0 if self.across else self.plot.x0) + self.each * (i + self.edge)


class Figure:
    """One chart being drawn in a look. page: what it may use of the picture, room: what is left of
    that; hard: boxes that a legend must not cover, soft: those that it should not."""

    def __init__(self, canvas, chart, style, look, page=None, across=False, fixed=True):
        self.canvas, self.chart, self.style, self.look = canvas, chart, style, look
        self.rng, self.across = style.rng, across
        self.hard, self.soft = [], []
        self.page = page or canvas.box
        m = look.margins
        self.fixed, self.extra, self.used = look.fixed and fixed and page is None, 0, 0
        self.upright = self.rng.random() < look.flat
        self.room = Rect(self.page.x0, self.page.y0, self.page.x1, self.page.y1)
        if not self.fixed:
            self.room = self.page.inset(*(8 if v < 1 or v > 40 else math.ceil(v) for v in m))
        self.entries, self.place = [], ""
        self.tick = look.face(look.tick)
        self.label = look.face(look.label, look.label_bold)

    # ---- titles ----

    def title_lines(self, width):
        """The title's face and its lines: smaller, then in two lines, where it is too wide."""
        look, text = self.look, self.chart.title
        face = look.face(look.title, look.title_bold)
        if face.length(text) > width:
            face = look.face(look.title * 0.85, look.title_bold)
        lines = wrap(text, face, width)
        need(len(lines) <= 2 and all(face.length(line) <= width for line in lines))
        return face, lines

    def head(self):
        """Room for the title on top: the height that it takes."""
        if not self.chart.title:
            return 0
        self.title_face, self.lines = self.title_lines(self.page.w * 0.94)
        return self.title_face.height * len(self.lines) + round(self.look.title * 0.35)

    def write_title(self, over):
        """Writes the title; over: the plot, above which it stands unless the page is what it is
        for."""
        if not self.chart.title:
            return
        face, look, left = self.title_face, self.look, self.look.left
        wide = max(map(face.length, self.lines))
        x = over.cx
        if left:
            x = over.x0 if left == "plot" else self.page.x0 + max(4, 0.05 * self.page.w)
        elif not wide / 2 < min(x - self.page.x0, self.page.x1 - x) - 2:
            x = self.page.cx
        if left:
            x = min(x, self.page.x1 - 2 - wide)
        need(x > self.page.x0)
        y = self.title_y + face.height / 2
        for line in self.lines:
            self.canvas.text(x, y, line, face, look.title_ink, "l" if left else "m")
            y += face.height

    # ---- the plot ----

    def _turned(self, each):
        """How the labels of categories stand under an axis: (degrees or lines, height,
        overhang)."""
        look, face, cats = self.look, self.tick, self.chart.cats
        widest = max(map(face.length, cats))
        if self.upright and widest <= each - 5:
            return 0, face.height, widest / 2
        if self.upright and look.name in ("libreoffice", "excel", "sheets", "plotly"):
            lines = [wrap(c, face, each - 5) for c in cats]
            if max(map(len, lines)) == 2 and all(
                face.length(t) < each - 4 for w in lines for t in w
            ):
                return "wrapped", 2 * face.height, each / 2
        angle = self.angle
        rad = math.radians(abs(angle))
        off = [0.0] * len(cats)  # by how much a label stands lower than one that begins at its tick
        if self.anchor == "top":
            off = [face.length(c) * math.sin(rad) / 2 for c in cats]
        for a, b in zip(off, off[1:]):
            need(each * math.sin(rad) + (b - a) * math.cos(rad) > face.size * 1.08)
        height = widest * math.sin(rad) + face.cap * math.cos(rad) + 4
        need(height < 0.38 * self.page.h)
        reach = face.length(cats[0 if angle > 0 else -1]) * math.cos(rad)
        return angle, round(height), reach / 2 if self.anchor == "top" else reach

    def tick_texts(self):
        chart = self.chart
        suffix = "%" if chart.suffix == "%" else ""
        return texts(chart.ticks, self.look.form, "", suffix)

    def plane(self, zero, edge, axis=True):
        """Lays out and draws axes around what is left. zero: whether values begin there."""
        look, chart = self.look, self.chart
        self.angle = self.rng.choice(look.turn)
        self.anchor = "start" if self.angle < 0 else look.anchor
        titles = chart.y_title, chart.x_title
        self.titles = titles[::-1] if self.across else titles
        if not axis and not self.across:
            self.titles = "", titles[1]
        length = (self.room.w if self.across else self.room.h) * 0.75
        more = 1.0
        if chart.shown and not self.across:
            above = 1.6 * look.value / length  # what a value takes of the axis
            tight = look.rule in ("matplotlib", "ggplot", "plotly")
            more = self.rng.choice((1.0, max(1.0, above + 0.98)) if tight else (above + 1.0,))
            more = self.rng.choice((more, above + 1.02))
        if self.across and chart.shown:
            more = self.rng.choice((1.08, 1.15))
        if self.place == "best" and not look.frame and not self.across:
            more = self.rng.choice((1.0, 1.25, 1.4))  # people make room for a legend in the plot
        size = length / look.unit, look.tick / look.unit
        snap(self.rng, chart, look.rule, zero, *size, self.across, more)
        written = self.tick_texts()
        out = max(look.ticks, 0) + look.gap
        try:
            plot, left, bottom = self._place(written, out, edge, axis)
        except DoesNotFit:
            need(self.fixed)  # then what people do is to fit the margins to the text
            self.fixed = False
            self.room = Rect(8, 8, self.page.x1 - max(8, self.extra), self.page.y1 - 8)
            plot, left, bottom = self._place(written, out, edge, axis)
        need(plot.h > 4.2 * self.tick.height and plot.w > 5 * self.tick.size and plot.w > 60)
        plane = Frame(plot, chart, self.across, edge)
        self.plot = plot
        self._ground(plane, axis)
        self._axis(plane, written, axis, out)
        self._categories(plane, out)
        self._axis_titles(plane, left + look.gap * 0.5, bottom + look.gap * 0.5)
        self.write_title(plot)
        return plane

    def _place(self, written, out, edge, axis):
        """(plot, and how far what is written beside it reaches to the left and down)."""
        look, chart, tick = self.look, self.chart, self.tick
        top = self.head() + self.used * (self.place == "top")
        self.title_y = self.room.y0
        if self.fixed:
            self._fixed(top)
        room = self.room
        beside = round(self.label.height + look.gap) if self.titles[0] else 0
        below = round(self.label.height + look.gap * 0.6) if self.titles[1] else 0
        if self.across:
            left = max(map(tick.length, chart.cats)) + out
            need(left < 0.42 * self.page.w)
            bottom = tick.height + out if axis else 2
            right = tick.length(written[-1]) / 2
        else:
            left = max(map(tick.length, written)) + out if axis else 2
            bottom, right = 0, 4
        plot = room
        if not self.fixed:
            plot = Rect(
                room.x0 + left + beside,
                room.y0 + top + max(2, tick.height * 0.2),
                room.x1 - right,
                room.y1,
            )
        need(left + beside < plot.x0 - 1)
        if not self.across:
            bottom = self._below(plot, edge, right) + out
        if not self.fixed:
            plot.y1 -= round(bottom + below)
        need(bottom + below < self.page.y1 - plot.y1)
        return plot, left, bottom

    def _below(self, plot, edge, right):
        """Decides how categories are written and makes room for the first and the last of them.
        Returns the height that they take."""
        each = plot.w / (len(self.chart.cats) - 1 + 2 * edge)
        self.turn, bottom, reach = self._turned(each)
        if self.turn in (0, "wrapped"):
            if edge < 0.4 and not self.fixed:
                plot.x1 -= max(0, round(reach - each * edge - right))
            return bottom
        if self.turn > 0:
            short = round(reach - (plot.x0 - self.page.x0) - each * edge + 2)
            need(short <= 0 or not self.fixed)
            plot.x0 += max(0, short)
        if self.turn < 0 or self.anchor == "top":
            short = round(reach - each * edge - (self.page.x1 - plot.x1) + 2)
            need(short <= 0 or not self.fixed)
            plot.x1 -= max(0, short)
        return bottom

    def _fixed(self, head):
        """The plot's place by margins that are fixed, in pixels or in parts of the picture."""
        m, page = self.look.margins, self.page
        if m[0] < 1:
            m = m[0] * page.w, m[1] * page.h, m[2] * page.w, m[3] * page.h
        self.room = Rect(m[0], m[1], page.x1 - max(m[2], self.extra), page.y1 - m[3])
        need(head + 2 <= self.room.y0)
        near = self.look.name != "plotly" or self.place == "top"
        self.title_y = self.room.y0 - head if near else (self.room.y0 - head) / 2

    def _ground(self, plane, axis):
        """The panel and what lies under the marks."""
        look, canvas, plot, chart = self.look, self.canvas, plane.plot, self.chart
        if look.panel != look.page:
            canvas.rect(plot, look.panel)
        line = canvas.vline if self.across else canvas.hline
        ends = (plot.y0, plot.y1) if self.across else (plot.x0, plot.x1)
        put = lambda v, ink, width, dash=0: (
            line(plane.at(v), *ends, ink, width, dash)
            if self.across
            else line(*ends, plane.at(v), ink, width, dash)
        )
        if "v" in look.grid and axis:
            step = chart.ticks[1] - chart.ticks[0] if len(chart.ticks) > 1 else 0
            if look.minor and step:
                for k in range(-1, len(chart.ticks)):
                    v = chart.ticks[0] + (k + 0.5) * step
                    if chart.base < v < chart.top:
                        put(v, look.minor, 1)
            for v in chart.ticks:
                put(v, look.grid_ink, look.grid_width, look.grid_dash)
            if look.name == "plotly" and 0 in chart.ticks:
                put(0, look.grid_ink, 2)
        if "c" in look.grid:
            for i in range(len(chart.cats)):
                at = plane.middle(i)
                if self.across:
                    canvas.hline(
                        plot.x0, plot.x1, at, look.grid_ink, look.grid_width, look.grid_dash
                    )
                else:
                    canvas.vline(
                        at, plot.y0, plot.y1, look.grid_ink, look.grid_width, look.grid_dash
                    )

    def spines(self, plot):
        """The lines around the plot, which libraries draw over the marks."""
        look, canvas, w = self.look, self.canvas, self.look.spine_width
        half = w / 2
        for side in sorted(look.spines, key="rtlb".index):
            ink = look.far if look.far and side in "rt" else look.spine
            if side in "lr":
                canvas.vline(
                    plot.x0 if side == "l" else plot.x1,
                    plot.y0 - half,
                    plot.y1 + half,
                    ink,
                    w,
                )
            else:
                canvas.hline(
                    plot.x0 - half,
                    plot.x1 + half,
                    plot.y0 if side == "t" else plot.y1,
                    ink,
                    w,
                )

    def _mark(self, x, y, down):
        """A tick mark of an axis at the left (down False) or below, and its mirror image."""
        look, canvas, plot = self.look, self.canvas, self.plot
        size, ink, w = look.ticks, look.spine, look.spine_width
        if down:
            canvas.vline(x, min(plot.y1, plot.y1 + size), max(plot.y1, plot.y1 + size), ink, w)
            if look.mirrored:
                canvas.vline(x, plot.y0, plot.y0 + abs(size), ink, w)
        else:
            canvas.hline(min(plot.x0, plot.x0 - size), max(plot.x0, plot.x0 - size), y, ink, w)
            if look.mirrored:
                canvas.hline(plot.x1 - abs(size), plot.x1, y, ink, w)

    def _axis(self, plane, written, axis, out):
        """Marks and numbers of the value axis."""
        look, canvas, plot, face = self.look, self.canvas, plane.plot, self.tick
        if not axis:
            return
        if self.across:
            widest = max(map(face.length, written))
            need(plot.w / max(1, len(written) - 1) * self._span(plane) > widest + 4)
        else:
            need(plot.h / max(1, len(written) - 1) * self._span(plane) > face.size * 1.05)
        for value, text in zip(self.chart.ticks, written):
            at = plane.at(value)
            if self.across:
                if look.ticks:
                    self._mark(at, plot.y1, True)
                canvas.text(
                    at,
                    plot.y1 + out + face.cap / 2 + 0.1 * face.size,
                    text,
                    face,
                    look.tick_ink,
                    "m",
                )
            else:
                if look.ticks:
                    self._mark(plot.x0, at, False)
                canvas.text(plot.x0 - out, at, text, face, look.tick_ink, "r")

    def _span(self, plane):
        """The part of the axis that lies between its first and last tick."""
        c = self.chart
        return (c.ticks[-1] - c.ticks[0]) / (c.top - c.base)

    def _categories(self, plane, out):
        look, canvas, plot, face = self.look, self.canvas, plane.plot, self.tick
        if self.across:
            need(plane.each > face.size * 1.15)
        count = len(self.chart.cats)
        spots = [plane.middle(i) for i in range(count)]
        if look.name == "libreoffice":  # its marks are between the categories
            spots = [plane.middle(i) - plane.each / 2 for i in range(count + 1)]
        for at in spots if look.ticks else ():
            self._mark(*((plot.x0, at) if self.across else (at, plot.y1)), not self.across)
        for i, name in enumerate(self.chart.cats):
            at = plane.middle(i)
            if self.across:
                canvas.text(plot.x0 - out, at, name, face, look.tick_ink, "r")
                continue
            y = plot.y1 + out + face.cap / 2 + 0.1 * face.size
            if self.turn == 0:
                canvas.text(at, y, name, face, look.tick_ink, "m")
            elif self.turn == "wrapped":
                for k, line in enumerate(wrap(name, face, plane.each - 5)):
                    canvas.text(at, y + k * face.height, line, face, look.tick_ink, "m")
            else:
                canvas.slanted(
                    at, plot.y1 + out + 1, name, face, look.tick_ink, self.turn, self.anchor
                )

    def _axis_titles(self, plane, left, bottom):
        look, canvas, plot, face = self.look, self.canvas, plane.plot, self.label
        titles = self.titles
        if titles[0]:
            half = face.length(titles[0]) / 2
            y = max(plot.cy, plot.y0 - 4 + half)
            need(y + half < self.page.y1)
            canvas.upward(
                plot.x0 - left - face.cap / 2 - 0.24 * face.size, y, titles[0], face, look.ink
            )
        if titles[1]:
            need(face.length(titles[1]) < self.page.w - 4)
            canvas.text(plot.cx, plot.y1 + bottom + face.height / 2, titles[1], face, look.ink, "m")

    def bare(self):
        """Room for something without axes; writes the title above it."""
        room, top = self.room, self.head() + self.used * (self.place == "top")
        self.title_y = room.y0
        box = Rect(room.x0, room.y0 + top, room.x1, room.y1)
        self.write_title(box)
        return box

    # ---- legends ----

    def place_for_pie(self):
        """A legend beside a pie is not in it."""
        if "best" in self.look.legend:
            self.look.legend = ("outside", "outside", "bottom")

    def plan_legend(self, entries, shape, heading=""):
        """Decides where a legend stands and takes its room, unless that is in the plot."""
        look = self.look
        self.entries, self.shape = entries, shape
        self.heading = heading if look.headed else ""
        self.face = look.face(look.entry)
        size = look.entry
        self.handle = size * {"line": 2.0, "wide": 2.0, "disc": 0.8, "box": 0.85}[shape]
        if look.name == "ggplot":
            self.handle = size * 1.5
        if look.name == "gnuplot":
            self.handle = size * 2.5
        self.space = size * (0.8 if shape == "wide" or look.rule == "matplotlib" else 0.5)
        self.step = size * (1.45 if look.rule == "matplotlib" else 1.55)
        self.wide = self.handle + self.space + max(self.face.length(t) for t, _ in entries)
        self.wide = max(self.wide, self._heading_face().length(self.heading))
        self.high = self.step * (len(entries) + bool(self.heading))
        self.place = self.rng.choice(look.legend)
        room = self.room
        if self.place == "outside":
            used = self.wide + size * 1.6
            need(used < 0.4 * self.page.w and self.high < 0.8 * self.page.h)
            self.fixed = self.fixed and look.margins[0] >= 1
            self.extra = used + 8
            if not self.fixed:
                self.room = Rect(room.x0, room.y0, room.x1 - used, room.y1)
        elif self.place in ("bottom", "top"):
            self._plan_rows()

    def _heading_face(self):
        look = self.look
        bold = look.name == "vega"
        return look.face(look.entry * (1.1 if look.name in ("vega", "seaborn") else 1.0), bold)

    def _plan_rows(self):
        """A legend in rows below or above the plot."""
        size, room = self.look.entry, self.room
        self.rows, row, x = [], [], 0
        for entry in self.entries:
            w = self.handle + self.space + self.face.length(entry[0]) + size * 1.2
            if row and x + w > room.w:
                self.rows.append((row, x))
                row, x = [], 0
            need(w <= room.w)
            row.append((x, entry))
            x += w
        self.rows.append((row, x))
        self.heading = ""
        need(len(self.rows) <= 3 and (self.place == "top" or not self.fixed))
        used = self.step * len(self.rows) + size * 0.4
        if self.place == "bottom":
            self.rows_y = room.y1 - used + self.step / 2 + size * 0.3
            self.room = Rect(room.x0, room.y0, room.x1, room.y1 - used)
        else:
            self.rows_y, self.used = None, round(used)

    def draw_legend(self, plot):
        """Draws what was planned."""
        if not self.entries:
            return
        size = self.look.entry
        if self.place in ("bottom", "top"):
            y = self.rows_y if self.rows_y is not None else plot.y0 - self.used + self.step / 2
            for row, width in self.rows:
                width -= size * 1.2
                x = (plot if self.place == "top" else self.page).cx - width / 2
                x = max(self.page.x0 + 2, min(x, self.page.x1 - width - 3))
                for offset, (text, colour) in row:
                    self._entry(x + offset, y, text, colour)
                y += self.step
            return
        if self.place == "outside":
            x = plot.x1 + size * 1.1
            y = plot.y0 + (plot.h - self.high) * (0.5 if self.look.name in _CENTRED else 0.03)
            self._stack(x, y)
            return
        self._best(plot)

    def _stack(self, x, y):
        """Entries below each other, the upper left corner at (x, y)."""
        y += self.step / 2
        if self.heading:
            self.canvas.text(x, y, self.heading, self._heading_face(), self.look.ink)
            y += self.step
        for text, colour in self.entries:
            self._entry(x, y, text, colour)
            y += self.step

    def _entry(self, x, y, text, colour):
        """One entry of a legend whose middle is at y."""
        canvas, look, size = self.canvas, self.look, self.look.entry
        if look.name == "gnuplot" and self.place == "best":  # the sign stands behind its text
            x += self.wide - self.handle
            canvas.text(x - self.space, y, text, self.face, look.ink, "r")
        if look.back:
            half = self.step * 0.46
            middle = x + self.handle / 2
            canvas.rect(Rect(middle - half, y - half, middle + half, y + half), look.back)
        if self.shape == "line":
            canvas.line([(x, y), (x + self.handle, y)], colour, look.line)
            if look.marker:
                canvas.disc(
                    x + self.handle / 2, y, look.marker, colour, look.panel if look.ring else None
                )
        elif self.shape == "disc":
            canvas.disc(x + self.handle / 2, y, self.handle / 2 - 0.5, colour)
        else:
            high = size * (0.7 if self.shape == "wide" else 1.4 if look.name == "ggplot" else 0.85)
            canvas.rect(
                Rect(round(x), round(y - high / 2), round(x + self.handle), round(y + high / 2)),
                colour,
            )
        if look.name == "gnuplot" and self.place == "best":
            return
        ink = look.tick_ink if look.name == "excel" else look.ink
        canvas.text(x + self.handle + self.space, y, text, self.face, ink)

    def _best(self, plot):
        """A framed legend in the plot, where it covers nothing that is needed and as little as may
        be."""
        size, look = self.look.entry, self.look
        pad, off = size * 0.4, size * 0.5
        w, h = self.wide + 2 * pad, self.high + 2 * pad * 0.8
        need(w < plot.w * 0.6 and h < plot.h * 0.6)
        xs = {"l": plot.x0 + off, "m": plot.cx - w / 2, "r": plot.x1 - off - w}
        ys = {"t": plot.y0 + off, "m": plot.cy - h / 2, "b": plot.y1 - off - h}
        found = []
        for k, (v, u) in enumerate(("tr", "tl", "bl", "br", "mr", "ml", "bm", "tm")):
            box = Rect(xs[u], ys[v], xs[u] + w, ys[v] + h)
            if look.name == "gnuplot" and k > 1:
                break
            taken = self.hard if look.frame else self.hard + self.soft
            if not any(_meet(box, b) for b in taken):
                found.append((sum(_meet(box, b) for b in self.soft), k, box))
        need(found)
        box = min(found, key=lambda f: f[:2])[2]
        if look.frame:
            self.canvas.rect(box, look.panel, 0.8)
            self.canvas.frame(box, mix(look.panel, look.frame, 0.8))
        self._stack(box.x0 + pad, box.y0 + pad * 0.8)


_CENTRED = ("ggplot", "libreoffice", "seaborn")


def _meet(a, b):
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
