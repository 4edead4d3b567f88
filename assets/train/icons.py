"""A few pictograms made of polygons and discs; they decorate and mean nothing."""

import math

from canvas import Rect


def _star(canvas, x, y, r, colour):
    points = []
    for i in range(10):
        radius, angle = (r, r * 0.45)[i % 2], math.pi * (i / 5 - 0.5)
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    canvas.polygon(points, colour)


def _house(canvas, x, y, r, colour):
    canvas.polygon(
        [
            (x - r, y),
            (x, y - r),
            (x + r, y),
            (x + r * 0.7, y),
            (x + r * 0.7, y + r * 0.8),
            (x - r * 0.7, y + r * 0.8),
            (x - r * 0.7, y),
        ],
        colour,
    )


def _person(canvas, x, y, r, colour):
    canvas.disc(x, y - r * 0.5, r * 0.42, colour)
    canvas.polygon(
        [
            (x - r * 0.7, y + r),
            (x - r * 0.55, y + r * 0.2),
            (x, y),
            (x + r * 0.55, y + r * 0.2),
            (x + r * 0.7, y + r),
        ],
        colour,
    )


def _arrow(canvas, x, y, r, colour):
    canvas.polygon(
        [
            (x, y - r),
            (x + r * 0.9, y),
            (x + r * 0.35, y),
            (x + r * 0.35, y + r),
            (x - r * 0.35, y + r),
            (x - r * 0.35, y),
            (x - r * 0.9, y),
        ],
        colour,
    )


def _drop(canvas, x, y, r, colour):
    canvas.disc(x, y + r * 0.3, r * 0.65, colour)
    canvas.polygon([(x, y - r), (x + r * 0.58, y + r * 0.05), (x - r * 0.58, y + r * 0.05)], colour)


def _leaf(canvas, x, y, r, colour):
    canvas.polygon(
        [
            (x - r * 0.8, y + r * 0.8),
            (x - r * 0.6, y - r * 0.2),
            (x, y - r * 0.75),
            (x + r * 0.8, y - r * 0.8),
            (x + r * 0.75, y),
            (x + r * 0.2, y + r * 0.6),
            (x - r * 0.4, y + r * 0.65),
        ],
        colour,
    )


def _bars(canvas, x, y, r, colour):
    for i, h in enumerate((0.7, 1.2, 1.8)):
        left = x - r + i * r * 0.72
        canvas.rect(Rect(left, y + r * 0.9 - r * h, left + r * 0.5, y + r * 0.9), colour)


def _bolt(canvas, x, y, r, colour):
    canvas.polygon(
        [
            (x + r * 0.3, y - r),
            (x - r * 0.6, y + r * 0.15),
            (x - r * 0.05, y + r * 0.15),
            (x - r * 0.3, y + r),
            (x + r * 0.6, y - r * 0.2),
            (x + r * 0.05, y - r * 0.2),
        ],
        colour,
    )


_ICONS = (_star, _house, _person, _arrow, _drop, _leaf, _bars, _bolt)


def draw_icon(canvas, rng, x, y, size, colour):
    """A random pictogram of `size` pixels, centred on (x, y)."""
    rng.choice(_ICONS)(canvas, x, y, size / 2, colour)
