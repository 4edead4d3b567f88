"""Where every character of a drawn string is, and whether strings lie on each other."""

import functools
import math

import numpy as np
from PIL import ImageFont

from library.spec import Unfit

SMALLEST = 7.5  # pixels of a font that anyone is asked to read


@functools.lru_cache(None)
def _font(path, index, size):
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(200000)
def _advance(path, index, c):
    """Width of a character of one pixel's height."""
    return _font(path, index, 100).getlength(c) / 100


@functools.lru_cache(None)
def cap_height(path, index=0):
    """Height of a capital of one pixel's size."""
    top, bottom = _font(path, index, 200).getbbox("H", anchor="ls")[1::2]
    return (bottom - top) / 200


@functools.lru_cache(50000)
def centres(path, index, text):
    """(centres of the characters, whole width) of a string of one pixel's size."""
    found, x = [], 0.0
    for c in text:
        w = _advance(path, index, c)
        found.append(x + w / 2)
        x += w
    return found, x


def run(text, x, y, degrees, size, path, width=None, index=0):
    """[text, xs, ys] of a string whose baseline begins at (x, y), turned left by degrees.

    width: what the library says that it is, if it does.
    """
    along, whole = centres(path, index, text)
    scale = width / whole if width and whole else size
    up = cap_height(path, index) * size / 2
    angle = math.radians(degrees)
    c, s = math.cos(angle), math.sin(angle)
    xs = [round(x + a * scale * c - up * s, 1) for a in along]
    ys = [round(y - a * scale * s - up * c, 1) for a in along]
    return [text, xs, ys]


def check(runs, sizes, width, height):
    """Unfit where characters of different strings lie on each other or outside of the picture."""
    xs = np.asarray([x for r in runs for x in r[1]], np.float32)
    ys = np.asarray([y for r in runs for y in r[2]], np.float32)
    size = np.repeat(np.asarray(sizes, np.float32), [len(r[1]) for r in runs])
    owner = np.repeat(np.arange(len(runs)), [len(r[1]) for r in runs])
    if min(sizes) < SMALLEST:
        raise Unfit("text is too small")
    edge = size * 0.3
    if (xs < edge).any() or (xs > width - edge).any() or (ys < edge).any():
        raise Unfit("text is cut off")
    if (ys > height - edge).any():
        raise Unfit("text is cut off")
    far = np.hypot(xs[:, None] - xs, ys[:, None] - ys)
    near = far < 0.62 * np.minimum(size[:, None], size)
    if (near & (owner[:, None] != owner)).any():
        raise Unfit("texts lie on each other")


def complete(chart, texts):
    """Unfit where something that is asked about was not written."""
    wanted = list(chart.cats) + [chart.title] * bool(chart.title)
    wanted += [s for s in chart.series if s]
    wanted += [t for t in (chart.x_title, chart.y_title) if t]
    if chart.shown:
        wanted += [chart.text(v) for row in chart.values for v in row]
    for text in wanted:
        if text not in texts and not any(text in t for t in texts):
            raise Unfit(f"{text!r} is not written")


def inked(image, runs, least=60):
    """Unfit where a string that should be in the picture leaves no ink there, as when its font is
    missing or it is cut off."""
    grey = np.asarray(image.convert("L")).astype(np.int16)
    for text, xs, ys in runs:
        seen = n = 0
        for c, x, y in zip(text, xs, ys):
            if c.isalnum():
                x, y = int(x), int(y)
                part = grey[max(y - 5, 0) : y + 6, max(x - 4, 0) : x + 5]
                seen += part.size > 0 and int(part.max()) - int(part.min()) >= least
                n += 1
        if seen < 0.75 * n:
            raise Unfit(f"{text!r} is not seen")
