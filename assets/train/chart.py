"""The data behind a chart: what is drawn, and what questions are asked about.

Everything that an answer needs is here, and nothing about pixels.
"""

import dataclasses
import math

import titles
import words

KINDS = (
    "vbar",
    "hbar",
    "grouped",
    "stacked",
    "line",
    "lines",
    "area",
    "pie",
    "donut",
    "scatter",
    "table",
    "numbers",
    "steps",
    "timeline",
    "callouts",
)
SIGNED = ("table", "numbers", "drill")  # kinds without an axis, whose values may be below zero


@dataclasses.dataclass
class Chart:
    """values[s][c] belongs to series s and category c; one series has the name ""."""

    kind: str
    title: str
    cats: list
    series: list
    values: list
    group: str = "name"  # of the categories: words.NOUNS has its nouns
    decimals: int = 0
    prefix: str = ""
    suffix: str = ""
    thousands: str = ""  # separator
    shown: bool = True  # values are written beside the marks
    colours: list = None  # names: of the series, of the categories of a single one, or None
    colour_of: str = ""  # "series", "cats" or "": what the colours tell apart
    x_title: str = ""
    y_title: str = ""
    top: float = 0  # end of the value axis
    ticks: list = dataclasses.field(default_factory=list)
    log: bool = False
    base: float = 0  # where the value axis begins, not 0 when it is broken
    lying: bool = False  # the axis of values is the horizontal one, as it is of the kind hbar

    def text(self, value):
        """A value as it is written, such as "$1,200" or "3.5%"; read off an axis, as its ticks are."""
        if not self.shown:
            return tick_text(round(value, 6)) + self.suffix
        digits = f"{abs(value):,.{self.decimals}f}"
        digits = digits.replace(",", self.thousands)
        return ("-" if value < 0 else "") + self.prefix + digits + self.suffix

    def facts(self):
        """[(series, category, value)], in the order of the chart."""
        return [
            (s, c, v) for s, row in zip(self.series, self.values) for c, v in zip(self.cats, row)
        ]

    @property
    def single(self):
        return len(self.series) == 1


def _round_up(value):
    """The next number that an axis may end at."""
    power = 10.0 ** math.floor(math.log10(value))
    for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10):
        if step * power >= value * 0.999:
            return step * power
    return 10 * power


def tick_step(top):
    """A step that divides an axis from 0 to top into 3 to 6 parts."""
    power = 10.0 ** math.floor(math.log10(top))
    for step in (0.1, 0.2, 0.25, 0.5, 1, 2):
        parts = top / (step * power)
        if 3 <= parts <= 6.01 and abs(parts - round(parts)) < 1e-6:
            return step * power
    return top / 4


def tick_text(value):
    """Plain digits, as short as they are exact."""
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"


_UNITS = (
    "k M K B m bn mn t kg km h s ms mm cm °C °F MB GB GWh MW USD EUR € pts x min L g pp dB Mbps kWh ha"
).split()


def _number_form(rng, chart, scale):
    """Decides decimals, unit and separator for values of a scale."""
    if scale >= 200:
        chart.decimals = 0 if rng.random() < 0.88 or scale > 2000 else 1
    else:
        chart.decimals = rng.choice(
            (0, 0, 0, 1, 1, 2) if scale >= 20 else (1, 1, 2) if scale > 1 else (2, 2, 2, 3)
        )
    form = rng.random()
    if form < 0.2:
        chart.suffix = rng.choice(("%", "%", "%", " %")) if scale <= 100 else ""
    elif form < 0.32:
        chart.prefix = rng.choice(("$", "$", "$", "€", "£", "US$", "€ "))
    elif form < 0.42 and scale <= 2000:  # "$3k", "$1.2M"
        chart.prefix = rng.choice(("$", "$", "€", "£", "", ""))
        chart.suffix = rng.choice(("k", "K", "M", "M", "B", "bn", " M", " bn"))
    elif form < 0.54:
        unit = rng.choice(_UNITS)
        chart.suffix = unit if unit in "kKMBm€x" or rng.random() < 0.15 else " " + unit
    if scale >= 2000:
        chart.thousands = rng.choice((",", ",", ",", "", "", " "))


def fill(rng, chart, smooth=False):
    """Draws the values and the axis of a chart whose categories and series are set."""
    scale = rng.choice(
        (1, 5, 10, 20, 50, 100, 100, 100, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 500000)
    )
    _number_form(rng, chart, scale)
    n, unit = len(chart.cats), 10.0**-chart.decimals
    low = rng.choice((0.05, 0.15, 0.3))
    chart.log = rng.random() < 0.04 and chart.kind in ("vbar", "line", "lines") and scale >= 1000
    step = unit
    if not chart.shown:  # readable off the axis: most values lie on a part of a tick
        chart.top = _round_up(scale)
        step = max(unit, tick_step(chart.top) / rng.choice((2, 2, 4, 5)))
        chart.decimals = max(chart.decimals, decimals_of(step))
        chart.prefix, chart.thousands, chart.suffix = "", "", "%" if chart.suffix == "%" else ""
    chart.values = []
    for _ in chart.series:
        if smooth:
            row = [rng.uniform(low, 1)]
            for _ in range(n - 1):
                v = row[-1] + rng.gauss(0.02, 0.16)
                row.append(min(1, max(low, 2 * low - v if v < low else 2 - v if v > 1 else v)))
        else:
            row = [rng.uniform(low, 1) for _ in range(n)]
        if chart.log:  # 1, 2 or 5 times a power of ten can be read off such an axis
            row = [rng.choice((1, 1, 2, 5)) * 10.0 ** rng.randint(-3, -1) for _ in row]
        row = [max(step, round(v * scale / step) * step) for v in row]
        chart.values.append([round(v, chart.decimals) for v in row])
    if chart.kind in SIGNED and chart.shown and rng.random() < 0.12:  # changes have both signs
        chart.values = [[-v if rng.random() < 0.35 else v for v in row] for row in chart.values]
    if chart.single and n >= 3 and rng.random() < 0.15:  # a multiple, for questions about ratios
        a, b = rng.sample(range(n), 2)
        times = rng.randint(2, 5)
        if chart.values[0][a] * times <= scale:
            chart.values[0][b] = round(chart.values[0][a] * times, chart.decimals)
    set_axis(rng, chart)


def decimals_of(step):
    """How many decimals a step needs."""
    for d in range(4):
        if abs(step * 10**d - round(step * 10**d)) < 1e-6:
            return d
    return 4


def set_axis(rng, chart):
    """The axis: from 0 (or a broken beginning) to a round number above every value."""
    flat = [abs(v) for row in chart.values for v in row]
    if chart.kind == "stacked":
        flat = [sum(row[i] for row in chart.values) for i in range(len(chart.cats))]
    if chart.log:
        low, high = math.floor(math.log10(min(flat))), math.ceil(math.log10(max(flat) * 1.01))
        chart.ticks = [10.0**e for e in range(low, max(high, low + 1) + 1)]
        chart.base, chart.top = chart.ticks[0], chart.ticks[-1]
        return
    chart.top = _round_up(max(flat) * (1.0 if not chart.shown else 1.02))
    step = tick_step(chart.top)
    steps = round(chart.top / step)
    first = 0
    if (
        min(flat) > 0.55 * max(flat)
        and chart.kind in ("line", "lines", "vbar")
        and rng.random() < 0.5
    ):
        first = max(int(min(flat) / step) - 1, 0)
    chart.base = first * step
    chart.ticks = [i * step for i in range(first, steps + 1)]
    if len(chart.ticks) < 3:
        chart.base, chart.ticks = 0, [i * step for i in range(steps + 1)]


def shares(rng, n):
    """n whole numbers that sum to 100, none of them small."""
    while True:
        parts = [rng.uniform(0.25, 1) ** 1.4 for _ in range(n)]
        found = [round(100 * p / sum(parts)) for p in parts]
        found[0] += 100 - sum(found)
        if min(found) >= 4:
            return found


def draw_labels(rng, split, n, ordered=0.3):
    """Labels of categories, now and then in capitals or of two words, and their group."""
    cats, group = words.labels(rng, split, n, ordered)
    form = rng.random()
    if group not in ("year", "code") and form < 0.05:
        cats = [c.upper() for c in cats]
        if len(set(cats)) < n:
            return draw_labels(rng, split, n, ordered)
    elif group in words.GROUPS and form < 0.15:
        cats = [
            f"{rng.choice(words.ADJECTIVES)} {c.lower()}" if rng.random() < 0.6 else c for c in cats
        ]
        if len(set(cats)) < n:
            return draw_labels(rng, split, n, ordered)
    return cats, group


def random_chart(rng, split, kind, most=8):
    """A chart of a kind with at most `most` categories. Colours are the style's: drawn later."""
    chart = Chart(kind, "", [], [""], [])
    ordered = {
        "line": 0.8,
        "lines": 0.8,
        "area": 0.9,
        "timeline": 0,
        "pie": 0.05,
        "donut": 0.05,
    }.get(kind, 0.25)
    n = rng.randint(3, max(3, most))
    if kind in ("steps", "callouts"):
        n = min(n, 5)
    chart.cats, chart.group = draw_labels(rng, split, n, ordered)
    if kind in ("grouped", "stacked", "lines") or kind == "table" and rng.random() < 0.55:
        chart.series = words.series(
            rng, split, rng.choice((2, 2, 3)) if most < 7 else rng.choice((2, 3, 3, 4))
        )
        years = chart.group == "year" and chart.series[0].isdigit()  # "2000 in 1995" says nothing
        if set(chart.series) & set(chart.cats) or years:
            return random_chart(rng, split, kind, most)
    chart.title = words.title(rng, split, chart.group)
    chart.shown = kind in (
        "table",
        "numbers",
        "callouts",
        "pie",
        "donut",
        "steps",
        "timeline",
    ) or rng.random() < (0.45 if kind in ("scatter", "lines", "area") else 0.68)
    if kind in ("pie", "donut"):
        chart.suffix, chart.values, chart.top = "%", [shares(rng, len(chart.cats))], 100
    elif kind == "timeline":
        _timeline(rng, chart)
    else:
        fill(rng, chart, smooth=kind in ("line", "lines", "area"))
    if kind in ("vbar", "hbar", "grouped", "stacked", "line", "lines", "area", "scatter"):
        longest = 28 if most >= 7 else 14
        if rng.random() < 0.4:
            chart.y_title = titles.value_title(rng, split, longest, chart.title)
            if chart.prefix or chart.suffix:  # the numbers have their unit already
                chart.y_title = titles.without_unit(chart.y_title)
        if rng.random() < 0.33:
            chart.x_title = titles.category_title(rng, split, chart.group)
    return chart


def _timeline(rng, chart):
    """Years as values of events: they rise and are written without a separator."""
    first = rng.randint(1850, 2000)
    years = sorted(rng.sample(range(first, first + 20 + 5 * len(chart.cats)), len(chart.cats)))
    chart.values, chart.decimals = [[float(y) for y in years]], 0
    if chart.group in ("year", "month", "day"):
        chart.group = "name"
