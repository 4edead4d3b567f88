"""What a library is to draw: a chart and the looks that people give it, from a seed.

Most looks are a library's defaults, in both splits: that is what most charts look like. Other
styles, fonts and palettes are of one split only.
"""

import dataclasses
import random

import titles
import words
from chart import Chart, random_chart, shares
from library.shades import names_of

LIBRARIES = ("matplotlib", "seaborn", "plotly", "vega", "gnuplot", "ggplot2", "calc")
_KINDS = {
    "vbar": 26,
    "hbar": 15,
    "grouped": 13,
    "stacked": 8,
    "line": 12,
    "lines": 10,
    "area": 4,
    "pie": 9,
    "donut": 3,
    "scatter": 4,
}
_WITHOUT = {"seaborn": ("stacked", "pie", "donut", "area"), "gnuplot": ("pie", "donut", "hbar")}
_WITHOUT["calc"] = ("scatter",)
_MAIN = (640, 480)
_SIZES = {
    "matplotlib": ((800, 600), (800, 600), (1000, 600), (1200, 800)),
    "seaborn": ((800, 600), (800, 600), (1000, 600), (1200, 800)),
    "plotly": ((700, 500), (700, 500), (700, 450), (1000, 600)),
    "vega": ((480, 480), (800, 600), (700, 450), (480, 480)),
    "gnuplot": ((800, 600), (1000, 600), (800, 600), (1200, 800)),
    "ggplot2": ((480, 480), (480, 480), (700, 500), (1000, 600)),
    "calc": ((700, 450), (800, 600), (700, 450), (1000, 600)),
}
_SMALL, _SMALL_SHARE = ((320, 224), (384, 256), (384, 288)), 0.3
# How often values are written at the marks.
_SHOWN = {"line": 0.35, "lines": 0.15, "area": 0.15, "scatter": 0.25}
_AXIS = ("Amount", "Value", "Number", "Total", "Share", "Quantity", "Units", "Level", "Count")


@dataclasses.dataclass
class Spec:
    """rng goes on with what a library alone has; the fields are what all of them have."""

    seed: int
    split: str
    library: str
    attempt: int
    rng: random.Random
    chart: Chart
    width: int
    height: int
    default: bool  # the library's own style and font
    many: bool = False  # bars of one series have a colour each
    across: bool = False  # bars lie
    legend: str = "best"  # best, right, bottom, top
    left: bool = False  # the title is at the left
    bold: bool = False  # the title is bold
    rotate: int = 0  # degrees of tick labels
    grid: bool = None  # None: what the library does
    commas: bool = False  # ticks have a separator of thousands


@dataclasses.dataclass
class Picture:
    """What a library drew: image (PIL, RGB), runs or None, {name: (r, g, b)} of named colours."""

    image: object
    runs: list
    shades: dict


class Unfit(Exception):
    """What was drawn cannot be read: texts on each other, or cut off. Another attempt may do."""


def size_of(rng, library, split):
    """Six pictures in ten have one size, so that batches can be made of them. A part of those to train
    with is small, with type of the usual size: a batch holds four times as many."""
    if split == "train" and rng.random() < _SMALL_SHARE:
        return rng.choice(_SMALL)
    return _MAIN if rng.random() < 0.6 else rng.choice(_SIZES[library])


def _dates(rng, n):
    """Labels of consecutive months or days, and their group."""
    form, year = rng.randrange(4), rng.randint(1995, 2029)
    if form == 3:
        first = rng.randint(1, 28 - n)
        month = rng.randint(1, 12)
        return [f"{year}-{month:02d}-{first + i:02d}" for i in range(n)], "day"
    first = rng.randrange(12)
    found = []
    for i in range(first, first + n):
        y, m = year + i // 12, i % 12
        short = words.SHORT_MONTHS[m]
        found.append((f"{short} {y}", f"{y}-{m + 1:02d}", f"{short} {y % 100:02d}")[form])
    return found, "month"


def _pie(rng, chart):
    """Shares with a decimal, as most pies are written."""
    if rng.random() < 0.6:
        n = len(chart.cats)
        tenths = [rng.randint(-4, 4) for _ in range(n)]
        tenths[-1] -= sum(tenths)
        row = [round(v + t / 10, 1) for v, t in zip(shares(rng, n), tenths)]
        if min(row) > 3:
            chart.values, chart.decimals = [row], 1


def _chart(rng, split, kind, most):
    """A random_chart that has values at its marks as often as those of people."""
    shown = kind in ("pie", "donut") or rng.random() < _SHOWN.get(kind, 0.52)
    while True:
        chart = random_chart(rng, split, kind, most)
        if chart.shown != shown or chart.log or len({v for r in chart.values for v in r}) < 2:
            continue
        if chart.group in ("month", "day") and rng.random() < 0.5:
            chart.cats, chart.group = _dates(rng, len(chart.cats))
        if kind in ("pie", "donut"):
            _pie(rng, chart)
        break
    chart.x_title = chart.y_title = ""
    if kind not in ("pie", "donut"):
        if rng.random() < 0.6:
            pick = rng.random()
            chart.y_title = rng.choice(_AXIS) if pick < 0.3 else titles.value_title(rng, split, 26)
        if rng.random() < 0.5:
            chart.x_title = titles.category_title(rng, split, chart.group)
    return chart


def spec_of(seed, split, library, attempt=0):
    """The Spec of a seed; another attempt is another chart of the same size."""
    size = size_of(random.Random(f"library/{split}/{library}/{seed}"), library, split)
    rng = random.Random(f"library/{split}/{library}/{seed}/{attempt}")
    kinds = {k: w for k, w in _KINDS.items() if k not in _WITHOUT.get(library, ())}
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    most = rng.choice((5, 6, 7, 8, 10) if size[0] < 900 else (6, 8, 10, 12))
    if kind in ("pie", "donut"):
        most = min(most, 7)
    if kind in ("grouped", "stacked", "lines"):
        most = min(most, 8)
    spec = Spec(
        seed,
        split,
        library,
        attempt,
        rng,
        _chart(rng, split, kind, most),
        *size,
        default=rng.random() < 0.6,
        many=rng.random() < 0.3,
        across=kind == "hbar" or kind in ("grouped", "stacked") and rng.random() < 0.25,
        legend=rng.choice(("best", "best", "best", "right", "bottom", "top")),
        left=rng.random() < 0.2,
        bold=rng.random() < 0.2,
        rotate=rng.choice((0, 0, 0, 0, 30, 45, 45, 90)),
        grid=rng.choice((None, None, None, True, False)),
        commas=rng.random() < 0.25,
    )
    return spec


def finish(spec, colours, ticks=None, low=None, high=None):
    """Writes into the chart what was drawn: names of colours, ticks and ends of the value axis. The
    titles of the axes are the drawer's to change where the library writes others.

    colours: (r, g, b) of the series, or of the categories of a single one (or one for all of them).
    Returns {name: (r, g, b)} of those that have a name.
    """
    chart = spec.chart
    chart.lying = spec.across
    names = names_of(colours)
    of = "series" if not chart.single else "cats" if len(colours) > 1 else ""
    chart.colours = names if len(colours) > 1 else names * len(chart.cats)
    chart.colour_of = of if sum(map(bool, names)) else ""
    if ticks is not None:
        pad = 1e-6 * (high - low)
        chart.ticks = [round(float(t), 9) for t in ticks if low - pad <= t <= high + pad]
        chart.base, chart.top = round(float(low), 9), round(float(high), 9)
    else:
        chart.ticks, chart.base, chart.top = [], 0, 0  # nobody knows them: nothing is asked of them
    return {n: tuple(int(v) for v in c) for n, c in zip(names, colours) if n}
