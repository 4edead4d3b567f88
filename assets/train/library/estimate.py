"""Whether texts fit, for libraries that do not say where they write."""

import fonts
from library import places
from library.spec import Unfit


def _path():
    return fonts._files()["LiberationSans-Regular.ttf"]


def families(split):
    """Families of fonts that are not much wider than what is measured with."""
    return [f for f in fonts.families(split) if "Mono" not in f]


def width(text, size):
    """About how wide a string of a size is."""
    return places.centres(_path(), 0, text)[1] * size * 1.15


def turn(chart, room, size, wanted=0):
    """Degrees by which the labels of categories are turned so that none meets the next."""
    each = room / len(chart.cats)
    longest = max(width(c, size) for c in chart.cats)
    if wanted == 0 and longest < 0.92 * each:
        return 0
    if size * 1.5 > each:
        raise Unfit("too many categories")
    return wanted or 45


def values(chart, room, size, across=False):
    """Unfit where values beside the marks do not fit; room: of all categories, along their axis."""
    if not chart.shown:
        return
    lanes = len(chart.series) if chart.kind == "grouped" else 1
    each = room / len(chart.cats) / lanes * (0.85 if lanes > 1 else 1)
    need = (
        size * 1.1 if across else max(width(chart.text(v), size) for r in chart.values for v in r)
    )
    if need > each:
        raise Unfit("values do not fit")
    if chart.kind == "stacked":
        sums = [sum(row[i] for row in chart.values) for i in range(len(chart.cats))]
        if min(v for row in chart.values for v in row) < 0.09 * max(sums):
            raise Unfit("a value does not fit into its bar")
    if chart.kind in ("line", "lines", "area") and not chart.single:
        gap = 0.07 * max(v for row in chart.values for v in row)
        for column in zip(*chart.values):
            ordered = sorted(column)
            if any(b - a < gap for a, b in zip(ordered, ordered[1:])):
                raise Unfit("values lie on each other")


def legible(ink, colours):
    """Whether black or white text can be read on all of the colours."""
    bright = [0.3 * r + 0.59 * g + 0.11 * b for r, g, b in colours]
    return min(bright) > 75 if ink == "black" else max(bright) < 190
