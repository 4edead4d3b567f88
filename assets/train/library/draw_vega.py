"""Charts by Vega-Lite (vl-convert-python): its SVG says where texts are, its PNG is kept."""

import io
import re

import vl_convert
from PIL import Image, ImageColor

import fonts
from library import places, shades, svg
from library.spec import Picture, Unfit, finish

_THEMES = {
    "train": ("ggplot2", "quartz", "excel", "dark", "googlecharts"),
    "test": ("vox", "fivethirtyeight"),
}
_SCHEMES = {
    "train": ("category10", "set1", "dark2", "accent", "tableau20", "paired"),
    "test": ("set2", "observable10", "category20"),
}
_ONE = {
    "train": ("steelblue", "orange", "green", "teal", "firebrick", "purple", "#f58518", "#72b7b2"),
    "test": ("darkorange", "seagreen", "#e45756", "#54a24b"),
}
_ANCHORS = (None, None, "start", "middle")


def _rows(chart):
    """The data in the long form; `text` is what is written at a mark."""
    return [
        {"x": c, "y": v, "s": s, "k": chart.series.index(s), "text": chart.text(v)}
        for s, c, v in chart.facts()
    ]


class Maker:
    """Builds the specification of a Spec."""

    def __init__(self, spec):
        self.spec, self.chart, self.rng = spec, spec.chart, spec.rng
        self.scheme = (
            None
            if spec.default or self.rng.random() < 0.4
            else self.rng.choice(_SCHEMES[spec.split])
        )
        self.config, self.theme = {}, None

    def value(self):
        """The encoding of values."""
        chart, axis = self.chart, {}
        if chart.suffix == "%":
            axis["labelExpr"] = "datum.label + '%'"
        if self.spec.grid is not None:
            axis["grid"] = self.spec.grid
        found = {"field": "y", "type": "quantitative", "title": chart.y_title or None, "axis": axis}
        if chart.kind in ("line", "lines", "scatter") and self.rng.random() < 0.4:
            found["scale"] = {"zero": False}
        return found

    def category(self):
        """The encoding of categories; Vega-Lite writes them upward where nobody says otherwise."""
        axis = {}
        if not self.spec.across:
            angle = self.rng.choice((None, 0, 0, 0, -45, -45, -30))
            if angle is not None:
                axis["labelAngle"] = angle
        kind = "ordinal" if self.chart.group == "year" else "nominal"
        return {
            "field": "x",
            "type": kind,
            "sort": None,
            "title": self.chart.x_title or None,
            "axis": axis,
        }

    def colour(self, field):
        """The encoding of colours, with a legend unless the axis says the same."""
        found = {"field": field, "type": "nominal", "sort": None}
        names = self.chart.series if field == "s" else self.chart.cats
        found["scale"] = {"domain": names} | ({"scheme": self.scheme} if self.scheme else {})
        title = self.rng.choice((None, None, "Series", "Group")) if field == "s" else None
        orient = {"best": "right", "right": "right", "bottom": "bottom", "top": "top"}
        found["legend"] = {"title": title, "orient": orient[self.spec.legend]}
        if field == "x" and self.chart.kind not in ("pie", "donut"):
            found["legend"] = None
        return found

    def places(self):
        """The encodings of both axes."""
        x, y = self.category(), self.value()
        return {"x": y, "y": x} if self.spec.across else {"x": x, "y": y}

    def bars(self):
        chart, spec, rng = self.chart, self.spec, self.rng
        shared, mark = self.places(), {"type": "bar"}
        if rng.random() < 0.15:
            mark["cornerRadiusEnd"] = rng.choice((2, 4))
        if not chart.single:
            shared["color"] = self.colour("s")
        elif spec.many:
            shared["color"] = self.colour("x")
        elif not spec.default or rng.random() < 0.2:
            mark["color"] = rng.choice(_ONE[spec.split])
        if chart.kind == "grouped":
            shared["yOffset" if spec.across else "xOffset"] = {
                "field": "s",
                "sort": None,
                "scale": {"domain": chart.series},
            }
        if not chart.shown:
            return [{"mark": mark, "encoding": shared}]
        text = {"type": "text"}
        if chart.kind == "stacked":
            shared["x" if spec.across else "y"] |= {"stack": "zero"}
            shared["order"] = {"field": "k", "type": "quantitative"}  # the same for bars and texts
            own = {k: dict(v) for k, v in shared.items() if k != "color"}
            own["x" if spec.across else "y"]["bandPosition"] = 0.5
            own["detail"] = {"field": "s"}
            text["color"] = rng.choice(("white", "black", "black"))
            return [
                {"mark": mark, "encoding": shared},
                {"mark": text, "encoding": own | {"text": {"field": "text"}}},
            ]
        text |= {"align": "left", "dx": 3} if spec.across else {"baseline": "bottom", "dy": -3}
        own = {k: v for k, v in shared.items() if k != "color"}
        return [
            {"mark": mark, "encoding": shared},
            {"mark": text, "encoding": own | {"text": {"field": "text"}}},
        ]

    def lines(self):
        chart, rng = self.chart, self.rng
        mark = {"type": "area" if chart.kind == "area" else "line"}
        if chart.kind == "scatter":
            mark = {
                "type": rng.choice(("circle", "point", "square")),
                "size": rng.choice((60, 100)),
            }
            if mark["type"] == "point":
                mark["filled"] = True
        elif chart.kind == "area":
            mark["opacity"] = rng.choice((1, 0.7, 0.5))
        elif rng.random() < 0.6:
            mark["point"] = True
        self.opacity = mark.get("opacity", 0.7 if chart.kind == "scatter" else 1)
        shared = self.places()
        if not chart.single:
            shared["color"] = self.colour("s")
        elif not self.spec.default:
            mark["color"] = rng.choice(_ONE[self.spec.split])
        layers = [{"mark": mark, "encoding": shared}]
        if chart.shown:
            text = {"type": "text", "dy": rng.choice((-8, -10, -12))}
            layers.append({"mark": text, "encoding": shared | {"text": {"field": "text"}}})
        return layers

    def pie(self):
        chart, rng = self.chart, self.rng
        side = min(self.width, self.height)
        radius = round(side * rng.choice((0.28, 0.32, 0.36)))
        mark = {"type": "arc", "outerRadius": radius}
        if chart.kind == "donut":
            mark["innerRadius"] = round(radius * rng.choice((0.4, 0.5, 0.6)))
        theta = {"field": "y", "type": "quantitative", "stack": True, "sort": None}
        order = {"field": "n", "type": "ordinal"}
        shared = {"theta": theta, "color": self.colour("x"), "order": order}
        inside = rng.random() < 0.4
        text = {"type": "text", "radius": radius * 0.75 if inside else radius + 16}
        if inside:
            text["color"] = rng.choice(("white", "black"))
            if chart.kind == "donut":
                text["radius"] = (radius + mark["innerRadius"]) / 2
        own = {"theta": theta, "order": order, "text": {"field": "text"}}
        if not inside and rng.random() < 0.5:
            own["color"] = shared["color"]
        return [{"mark": mark, "encoding": shared}, {"mark": text, "encoding": own}]

    def build(self, width, height):
        """The specification for a picture of a logical size."""
        chart, spec, rng = self.chart, self.spec, self.rng
        self.width, self.height, self.opacity = width, height, 1
        rows = _rows(chart)
        for k, row in enumerate(rows):
            row["n"] = k
        if chart.kind in ("pie", "donut"):
            layers = self.pie()
        elif chart.kind in ("vbar", "hbar", "grouped", "stacked"):
            layers = self.bars()
        else:
            layers = self.lines()
        title = {"text": chart.title}
        anchor = "start" if spec.left else rng.choice(_ANCHORS)
        if anchor:
            title["anchor"] = anchor
        if rng.random() < 0.4:
            title["fontSize"] = rng.choice((14, 16, 16, 18, 20))
        if not spec.default:
            self.looks()
        found = {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": width,
            "height": height,
            "autosize": {"type": "fit", "contains": "padding"},
            "title": title,
            "data": {"values": rows},
            "layer": layers,
            "config": self.config,
        }
        if self.theme is None:
            found["background"] = "white"
        return found

    def looks(self):
        """Fonts, sizes and lines other than the default."""
        rng = self.rng
        if rng.random() < 0.35:
            self.theme = rng.choice(_THEMES[self.spec.split])
            return
        if rng.random() < 0.7:
            self.config["font"] = rng.choice(fonts.families(self.spec.split))
        if rng.random() < 0.6:
            size = rng.choice((11, 12, 12, 13, 14))
            self.config["axis"] = {"labelFontSize": size, "titleFontSize": size + 1}
            self.config["legend"] = {"labelFontSize": size, "titleFontSize": size}
            self.config["text"] = {"fontSize": size}
        if rng.random() < 0.3:
            self.config["view"] = {"stroke": None}


def _axis(found):
    """(ticks, low, high) of the value axis that the texts of an SVG name."""
    ticks = [t for t in found if "role-axis-label" in t.classes and "linear scale" in t.label]
    numbers = sorted({n for n in (svg.number(t.text) for t in ticks) if n is not None})
    if len(numbers) < 2:
        raise Unfit("no axis of values")
    ends = ticks[0].label.rsplit(" from ", 1)[-1].split(" to ")
    low, high = (svg.number(e) for e in ends)
    if low is None or high is None:
        low, high = numbers[0], numbers[-1]
    return numbers, low, high


def _fills(image_svg, kind):
    """Colours of the marks, in the order of series or categories, from the SVG."""
    roles = ["arc"] if kind in ("pie", "donut") else ["rect", "line", "area", "symbol"]
    found = []
    for role in roles:
        for group in re.findall(
            rf'class="mark-{role} role-mark[^"]*"[^>]*>(.*?)</g>', image_svg, re.S
        ):
            for tag in re.findall(r"<path[^>]*>", group):
                match = re.search(r'fill="(#[0-9a-fA-F]{6}|rgb\([^)]*\)|[a-z]+)"', tag)
                line = re.search(r'stroke="(#[0-9a-fA-F]{6}|rgb\([^)]*\)|[a-z]+)"', tag)
                colour = line if role == "line" else match
                if colour and colour[1] not in ("none", "transparent"):
                    found.append(colour[1])
    return list(dict.fromkeys(found))


def draw(spec):
    """A Picture of Vega-Lite."""
    rng = spec.rng
    scale = rng.choice((1, 1, 1, 1, 1.5, 2) if spec.width >= 640 else (1, 1, 1.5))
    maker = Maker(spec)
    built = maker.build(round(spec.width / scale), round(spec.height / scale))
    drawn = vl_convert.vegalite_to_svg(built, theme=maker.theme)
    image = Image.open(io.BytesIO(vl_convert.svg_to_png(drawn, scale=scale)))
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    if flat.size != (spec.width, spec.height):
        raise Unfit(f"the picture is {flat.size}")
    found = svg.texts(drawn, scale)
    runs, sizes = [t.run for t in found], [t.size for t in found]
    places.check(runs, sizes, spec.width, spec.height)
    places.complete(spec.chart, {t.text for t in found})
    places.inked(flat, runs)  # a font that vl-convert does not find leaves nothing
    names = _fills(drawn, spec.chart.kind)
    back = flat.getpixel((2, 2))
    colours = [shades.blend(ImageColor.getrgb(c), maker.opacity, back) for c in names]
    many = len(spec.chart.series) if not spec.chart.single else len(spec.chart.cats)
    if len(colours) not in (1, many):
        raise Unfit(f"{len(colours)} colours of {many}")
    if spec.chart.kind in ("pie", "donut"):
        return Picture(flat, runs, finish(spec, colours))
    return Picture(flat, runs, finish(spec, colours, *_axis(found)))
