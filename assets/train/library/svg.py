"""Reads from an SVG where its strings are, as a browser would set them."""

import functools
import math
import re
import xml.etree.ElementTree as xml

import fonts
from library import places

_STAND_INS = {  # what is drawn where a family is not installed
    "sans-serif": "Liberation Sans",
    "arial": "Liberation Sans",
    "helvetica": "Liberation Sans",
    "calibri": "Carlito",
    "verdana": "DejaVu Sans",
    "times new roman": "Liberation Serif",
    "serif": "Liberation Serif",
    "courier new": "Liberation Mono",
    "monospace": "Liberation Mono",
}
_ONE = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_INHERITED = ("font-family", "font-size", "font-weight", "text-anchor", "fill")


def times(m, n):
    """The product of two affine matrices (a, b, c, d, e, f)."""
    a, b, c, d, e, f = m
    p, q, r, s, t, u = n
    return (
        a * p + c * q,
        b * p + d * q,
        a * r + c * s,
        b * r + d * s,
        a * t + c * u + e,
        b * t + d * u + f,
    )


@functools.lru_cache(20000)
def matrix(text):
    """The matrix of a transform attribute."""
    found = _ONE
    for name, inside in re.findall(r"(\w+)\(([^)]*)\)", text):
        v = [float(n) for n in re.split(r"[\s,]+", inside.strip())]
        if name == "translate":
            step = (1, 0, 0, 1, v[0], v[1] if len(v) > 1 else 0)
        elif name == "scale":
            step = (v[0], 0, 0, v[-1], 0, 0)
        elif name == "rotate":
            c, s = math.cos(math.radians(v[0])), math.sin(math.radians(v[0]))
            step = (c, s, -s, c, 0, 0)
            if len(v) == 3:
                step = times((1, 0, 0, 1, v[1], v[2]), times(step, (1, 0, 0, 1, -v[1], -v[2])))
        else:
            step = tuple(v)
        found = times(found, step)
    return found


@functools.lru_cache(500)
def file_of(families, bold):
    """The file of the first of the families that is installed."""
    for name in families.split(","):
        name = name.strip().strip("\"'")
        name = _STAND_INS.get(name.lower(), name)
        pair = fonts.FAMILIES["train"].get(name) or fonts.FAMILIES["test"].get(name)
        if name == "Liberation Mono":
            pair = ("LiberationMono-Regular.ttf", "LiberationMono-Bold.ttf")
        if pair and pair[0] in fonts._files():
            return fonts._files()[pair[bold]]
    return fonts._files()["LiberationSans-Bold.ttf" if bold else "LiberationSans-Regular.ttf"]


def _style(element, inherited):
    """Properties of an element, those of its parents included; None where it is not shown."""
    own = dict(p.split(":", 1) for p in element.get("style", "").split(";") if ":" in p)
    own = {k.strip(): v.strip() for k, v in own.items()}
    for name in _INHERITED + ("opacity", "display", "visibility"):
        if element.get(name) is not None:
            own.setdefault(name, element.get(name))
    hidden = own.get("display") == "none" or own.get("visibility") == "hidden"
    if hidden or own.get("opacity") == "0":
        return None
    return inherited | {k: v for k, v in own.items() if k in _INHERITED}


def _bold(style):
    weight = style.get("font-weight", "normal")
    return weight in ("bold", "bolder") or weight.isdigit() and int(weight) >= 600


def _pixels(text, parent=0.0):
    """A length such as "12px" or "1.3em"."""
    number = float(re.match(r"-?[\d.]+(?:e-?\d+)?", text)[0])
    return number * parent if text.endswith("em") else number


class Text:
    """A string: text, run [text, xs, ys], size in pixels, and the classes of its parents."""

    def __init__(self, text, run, size, classes, label):
        self.text, self.run, self.size, self.classes, self.label = text, run, size, classes, label


def texts(svg, scale=1.0):
    """[Text] of an SVG whose picture is `scale` times as large."""
    found = []
    _walk(xml.fromstring(svg), (scale, 0, 0, scale, 0, 0), {}, (), "", found)
    return found


def _walk(element, at, style, classes, label, found):
    name = element.tag.rsplit("}", 1)[-1]
    if name in ("defs", "clipPath"):
        return
    style = _style(element, style)
    if style is None:
        return
    if element.get("transform"):
        at = times(at, matrix(element.get("transform")))
    classes = classes + tuple(element.get("class", "").split())
    label = element.get("aria-label") or label
    if name == "text":
        _lines(element, at, style, classes, label, found)
        return
    for child in element:
        _walk(child, at, style, classes, label, found)


def _lines(element, at, style, classes, label, found):
    """The strings of a text element: its own, or those of its tspans."""
    size = _pixels(style.get("font-size", "16"))
    x = _pixels(element.get("x", "0"), size) + _pixels(element.get("dx", "0"), size)
    y = _pixels(element.get("y", "0"), size) + _pixels(element.get("dy", "0"), size)
    parts = [(element.text or "", x, y, style)]
    for span in element:
        own = _style(span, style)
        if own is None:
            continue
        x = _pixels(span.get("x"), size) if span.get("x") else x
        y = _pixels(span.get("y"), size) if span.get("y") else y
        y += _pixels(span.get("dy", "0"), size)
        parts.append(("".join(span.itertext()), x, y, own))
    for text, x, y, own in parts:
        text = text.strip("\u200b")
        if not text.strip():
            continue
        size = _pixels(own.get("font-size", "16"))
        path = file_of(own.get("font-family", "sans-serif"), _bold(own))
        whole = places.centres(path, 0, text)[1] * size
        x -= {"middle": whole / 2, "end": whole}.get(own.get("text-anchor"), 0)
        a, b, c, d, e, f = at
        grown = math.hypot(a, b)
        run = places.run(
            text,
            a * x + c * y + e,
            b * x + d * y + f,
            -math.degrees(math.atan2(b, a)),
            size * grown,
            path,
        )
        found.append(Text(text, run, size * grown, classes, label))


def number(text):
    """The number of a tick such as "1,200", "2k" or "5%"; None where there is none."""
    match = re.fullmatch(
        r"[$\u20ac\u00a3]?(-?[\d,]*\.?\d+)\s*([kKMB%]?)", text.strip().replace("\u2212", "-")
    )
    if not match:
        return None
    return float(match[1].replace(",", "")) * {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}.get(
        match[2], 1
    )
