"""Charts by plotly.js in the browser that kaleido 0.2.1 brings along; its SVG says where texts
are."""

import functools
import io
import json
import os
import re

import plotly
from kaleido.scopes.plotly import PlotlyScope
from PIL import Image, ImageColor

import fonts
from library import places, shades, svg
from library.spec import Picture, Unfit, finish

_TEMPLATES = {
    "train": ("plotly_white", "plotly_white", "ggplot2", "simple_white", "plotly_dark", "none"),
    "test": ("seaborn", "presentation"),
}
_ONE = {
    "train": "steelblue royalblue indianred teal crimson orange green purple lightseagreen".split(),
    "test": "dodgerblue salmon seagreen darkorange".split(),
}
_WAYS = {
    "train": (
        "#4C78A8 #F58518 #E45756 #72B7B2 #54A24B #EECA3B #B279A2 #FF9DA6 #9D755D #BAB0AC",
        "#1F77B4 #FF7F0E #2CA02C #D62728 #9467BD #8C564B #E377C2 #7F7F7F #BCBD22 #17BECF",
        "#E41A1C #377EB8 #4DAF4A #984EA3 #FF7F00 #FFFF33 #A65628 #F781BF #999999 #1B9E77",
    ),
    "test": ("#3366CC #DC3912 #FF9900 #109618 #990099 #0099C6 #DD4477 #66AA00 #B82E2E #316395",),
}


@functools.lru_cache(None)
def _scope():
    folder = os.path.join(os.path.dirname(plotly.__file__), "package_data", "plotly.min.js")
    return PlotlyScope(plotlyjs=folder)


@functools.lru_cache(None)
def _template(name):
    if name == "none":
        return {}
    folder = os.path.join(os.path.dirname(plotly.__file__), "package_data", "templates")
    with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as f:
        return json.load(f)


def ready():
    """Fails where the browser does not start."""
    _scope().transform({"data": [], "layout": {}}, "svg")


class Maker:
    """Builds the figure of a Spec."""

    def __init__(self, spec):
        self.spec, self.chart, self.rng = spec, spec.chart, spec.rng
        self.layout = {"title": {"text": spec.chart.title}}

    def texts(self, row):
        """What is written at the marks of a row, if anything."""
        return {"text": [self.chart.text(v) for v in row]} if self.chart.shown else {}

    def lay(self, row):
        """x and y of a row of values."""
        x, y = ("y", "x") if self.spec.across else ("x", "y")
        return {x: self.chart.cats, y: row}

    def bars(self):
        chart, spec, rng = self.chart, self.spec, self.rng
        found = []
        where = rng.choice(("outside", "outside", "auto", None))
        if chart.kind == "stacked":
            where = rng.choice(("inside", "auto", None))
        many, clip = chart.single and spec.many, rng.random() < 0.5
        given = (
            rng.choice(_WAYS[spec.split]).split()
            if not spec.default and rng.random() < 0.5
            else None
        )
        for k, (name, row) in enumerate(zip(chart.series, chart.values)):
            bar = {"type": "bar", "name": name} | self.lay(row) | self.texts(row)
            if spec.across:
                bar["orientation"] = "h"
            if chart.shown and where:
                bar["textposition"] = where
                bar["cliponaxis"] = clip
            if chart.shown and chart.kind != "stacked" and rng.random() < 0.2:
                bar["textfont"] = {"size": rng.choice((11, 12, 14))}
            if many:
                colours = rng.choice(_WAYS[spec.split]).split()
                bar["marker"] = {"color": [colours[i % 10] for i in range(len(chart.cats))]}
            elif chart.single and rng.random() < 0.3:
                bar["marker"] = {"color": rng.choice(_ONE[spec.split])}
            elif given:
                bar["marker"] = {"color": given[k]}
            found.append(bar)
        if not chart.single:
            self.layout["barmode"] = "stack" if chart.kind == "stacked" else "group"
        elif rng.random() < 0.2:
            self.layout["bargap"] = rng.choice((0.1, 0.3, 0.4))
        return found

    def lines(self):
        chart, spec, rng = self.chart, self.spec, self.rng
        found = []
        mode = "lines" if rng.random() < 0.35 else "lines+markers"
        if chart.kind == "scatter":
            mode = "markers"
        for k, (name, row) in enumerate(zip(chart.series, chart.values)):
            line = {"type": "scatter", "name": name, "mode": mode} | self.lay(row)
            if chart.shown:
                line |= self.texts(row) | {"mode": mode + "+text", "textposition": "top center"}
            if chart.kind == "area":
                line["fill"] = "tozeroy"
            if chart.kind == "scatter":
                line["marker"] = {"size": rng.choice((8, 10, 12))}
            if chart.single and not spec.default and rng.random() < 0.5:
                line["line"] = {"color": rng.choice(_ONE[spec.split])}
                line["marker"] = line.get("marker", {}) | line["line"]
            found.append(line)
        return found

    def pie(self):
        chart, rng = self.chart, self.rng
        made = {"type": "pie", "labels": chart.cats, "values": chart.values[0]}
        # plotly would write 12.5% and 12%: the texts are given, so that all have the same decimals
        made |= {"text": [chart.text(v) for v in chart.values[0]], "textinfo": "text"}
        if rng.random() < 0.4:
            made["sort"] = False
        if rng.random() < 0.25:
            made["textinfo"] = "label+text"
            self.layout["showlegend"] = rng.random() < 0.5
        if rng.random() < 0.2:
            made["textposition"] = "outside"
        if chart.kind == "donut":
            made["hole"] = rng.choice((0.3, 0.4, 0.5))
        if not self.spec.default and rng.random() < 0.6:
            made["marker"] = {
                "colors": rng.choice(_WAYS[self.spec.split]).split()[: len(chart.cats)]
            }
        return [made]

    def looks(self):
        """Title, fonts, legend and axes."""
        chart, spec, rng, layout = self.chart, self.spec, self.rng, self.layout
        name = "plotly" if spec.default else rng.choice(_TEMPLATES[spec.split])
        layout["template"] = _template(name)
        if rng.random() < 0.3:
            layout["title"]["x"] = 0.5
        if not spec.default:
            font = {}
            if rng.random() < 0.6:
                font["family"] = rng.choice(fonts.families(spec.split) + ["Arial"] * 6)
            if rng.random() < 0.4:
                font["size"] = rng.choice((13, 14, 14, 16))
            layout["font"] = font
        if spec.legend in ("top", "bottom") and not chart.single:
            layout["legend"] = {"orientation": "h"}
            if spec.legend == "top":
                layout["legend"] |= {"yanchor": "bottom", "y": 1.02, "xanchor": "right", "x": 1}
        elif not chart.single and rng.random() < 0.3:
            layout["legend"] = {"title": {"text": rng.choice(("Series", "Group", "variable"))}}
        if not spec.default and rng.random() < 0.35:
            layout["margin"] = {"l": 40, "r": 20, "t": 60, "b": 40}
        if chart.kind in ("pie", "donut"):
            return
        if rng.random() < 0.25:  # as plotly.express names axes
            chart.x_title, chart.y_title = chart.group, "value"
        values, names = {"title": {"text": chart.y_title}}, {"title": {"text": chart.x_title}}
        names |= {"type": "category"}
        if chart.suffix == "%" and (not chart.shown or rng.random() < 0.5):
            values["ticksuffix"] = "%"
        elif spec.commas:
            values["tickformat"] = ","
        if spec.grid is not None:
            values["showgrid"] = spec.grid
        if spec.rotate and not spec.across:
            names["tickangle"] = -spec.rotate
        layout["xaxis"], layout["yaxis"] = (values, names) if spec.across else (names, values)

    def build(self):
        kind = self.chart.kind
        if kind in ("pie", "donut"):
            data = self.pie()
        elif kind in ("vbar", "hbar", "grouped", "stacked"):
            data = self.bars()
        else:
            data = self.lines()
        self.looks()
        return {"data": data, "layout": self.layout}


def _axis(found, across):
    """(ticks, low, high) of the axis of values."""
    wanted = "xtick" if across else "ytick"
    numbers = [svg.number(t.text) for t in found if wanted in t.classes]
    numbers = sorted({n for n in numbers if n is not None})
    if len(numbers) < 2:
        raise Unfit("no axis of values")
    return numbers, numbers[0], numbers[-1]


_PAINT = r"{}:\s*(rgba?\([^)]*\)|#[0-9a-fA-F]+)"


def _fills(drawn, chart):
    """[(colour, opacity)] of the marks in the order of series, or of categories as drawn."""
    if chart.kind in ("pie", "donut"):
        parts = re.findall(r'<path class="surface"[^>]*style="([^"]*)"', drawn)
        names = ["fill"]
    elif chart.kind in ("line", "lines"):
        parts = re.findall(r'<path class="js-line"[^>]*style="([^"]*)"', drawn)
        names = ["stroke"]
    elif chart.kind == "area":
        parts = re.findall(r'<path class="js-fill"[^>]*style="([^"]*)"', drawn)
        names = ["fill"]
    else:
        body = drawn.split('class="overplot"', 1)[-1].split('class="xlines-above', 1)[0]
        parts = re.findall(r'<g class="point"><path[^>]*style="([^"]*)"', body)
        parts = parts or re.findall(r'<path class="point"[^>]*style="([^"]*)"', body)
        names = ["fill"]
    found = []
    for part in parts:
        match = re.search(r"(?<![-\w])" + _PAINT.format(names[0]), part)
        opacity = re.search(r"(?<!-)opacity:\s*([\d.]+)", part)
        thin = re.search(names[0] + r"-opacity:\s*([\d.]+)", part)
        if match:
            colour = (
                ImageColor.getrgb(match[1].replace("rgba", "rgb"))
                if "rgba" not in match[1]
                else (tuple(int(float(v)) for v in re.findall(r"[\d.]+", match[1])[:3]))
            )
            clear = (float(opacity[1]) if opacity else 1) * (float(thin[1]) if thin else 1)
            found.append((colour[:3], clear))
    return found


def _colours(drawn, spec, image):
    """Colours as they are seen: of series, of categories, or one for all categories."""
    chart, marks = spec.chart, _fills(drawn, spec.chart)
    n = len(chart.cats)
    if chart.kind in ("line", "lines", "area"):
        marks = marks[: len(chart.series)]  # those of the legend follow
    if chart.kind in ("grouped", "stacked") and len(marks) == n * len(chart.series):
        marks = marks[::n]
    elif chart.kind in ("vbar", "hbar", "scatter") and len(set(marks)) == 1:
        marks = marks[:1]
    elif chart.kind in ("pie", "donut") and len(marks) == n:
        order = list(range(n))
        if spec.sorted:  # slices are drawn from the largest on
            order.sort(key=lambda i: -chart.values[0][i])
        back = dict(zip(order, marks))
        marks = [back[i] for i in range(n)]
    wanted = n if chart.single else len(chart.series)
    if len(marks) not in ((1, wanted) if chart.single else (wanted,)):
        raise Unfit(f"{len(marks)} colours of {wanted}")
    plain = image.getpixel((2, 2)) if chart.kind in ("pie", "donut") else _plot_colour(drawn, image)
    return [shades.blend(c, a, plain) for c, a in marks]


def _plot_colour(drawn, image):
    """The colour behind the marks."""
    match = re.search(r'<rect class="bg"[^>]*style="[^"]*fill: rgb\((\d+), (\d+), (\d+)\)', drawn)
    return tuple(map(int, match.groups())) if match else image.getpixel((2, 2))


def _clipped(drawn, found, scale):
    """Unfit where the edge of the plot cuts a text at a mark."""
    size = re.search(r'class="plotclip"><rect width="([\d.]+)" height="([\d.]+)"', drawn)
    corner = re.search(r'class="xy" transform="translate\(([\d.]+),([\d.]+)\)" clip-path', drawn)
    if not size or not corner:
        return
    x0, y0 = (scale * float(v) for v in corner.groups())
    x1, y1 = x0 + scale * float(size[1]), y0 + scale * float(size[2])
    for t in found:
        if "bartext" in t.classes or "textpoint" in t.classes:
            half = 0.42 * t.size
            _, xs, ys = t.run
            if min(xs) < x0 + 2 or max(xs) > x1 - half or min(ys) < y0 + half or max(ys) > y1:
                raise Unfit("the edge of the plot cuts a text")


def draw(spec):
    """A Picture of plotly."""
    scale = spec.rng.choice((1, 1, 1, 1, 1, 1.5, 2)) if spec.width >= 1000 else 1
    figure = Maker(spec).build()
    spec.sorted = figure["data"][0].get("sort", True)
    size = round(spec.width / scale), round(spec.height / scale)
    drawn = _scope().transform(figure, "svg", *size).decode()
    found = svg.texts(drawn, scale)
    runs, sizes = [t.run for t in found], [t.size for t in found]
    places.check(runs, sizes, spec.width, spec.height)
    places.complete(spec.chart, {t.text for t in found})
    image = Image.open(io.BytesIO(_scope().transform(figure, "png", *size, scale))).convert("RGB")
    if image.size != (spec.width, spec.height):
        raise Unfit(f"the picture is {image.size}")
    places.inked(image, runs, 40)
    _clipped(drawn, found, scale)
    colours = _colours(drawn, spec, image)
    if spec.chart.kind in ("pie", "donut"):
        return Picture(image, runs, finish(spec, colours))
    return Picture(image, runs, finish(spec, colours, *_axis(found, spec.across)))
