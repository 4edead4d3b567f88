"""Answers worked out a second time, from the sentence of a question and the numbers of the charts.

It shares the sentences with questions.py and nothing else: every way to fill a sentence's holes that
gives the very text is tried, and each must lead to the same answer.
"""

import itertools
from decimal import Decimal

import words
from phrases import MARKS, NOT_SHOWN, PHRASES


class Facts:
    """One chart as exact numbers: value[(series, category)]."""

    def __init__(self, chart):
        self.chart, self.cats, self.series = chart, chart.cats, chart.series
        self.value = {(s, c): Decimal(str(v)) for s, c, v in chart.facts()}

    def of(self, category, series=""):
        return self.value.get((series, category))

    def write(self, number):
        """A number in the chart's form."""
        c = self.chart
        if not c.shown:
            text = format(number, "f")
            return (text.rstrip("0").rstrip(".") if "." in text else text) + c.suffix
        exact = format(abs(number).quantize(Decimal(1).scaleb(-c.decimals)), "f")
        whole, _, part = exact.partition(".")
        groups = []
        while len(whole) > 3:
            groups.insert(0, whole[-3:])
            whole = whole[:-3]
        sign, tail = "-" if number < 0 else "", "." + part if part else ""
        return sign + c.prefix + c.thousands.join([whole] + groups) + tail + c.suffix

    def ranked(self, series):
        """Categories from high to low."""
        return sorted(self.cats, key=lambda c: -self.of(c, series))


def _say(yes):
    return "Yes" if yes else "No"


def _solve(form, h, f, sample):
    """The answer for filled holes h, or None where they make no sense."""
    x, y, s, u = h.get("x"), h.get("y"), h.get("s", ""), h.get("u", "")
    a, b = f.of(x, s), f.of(y, s)
    if form in ("value", "year_of", "value_series", "value_percent", "value_named"):
        return f.write(a)
    if form in ("difference", "difference_series"):
        return f.write(abs(a - b))
    if form == "gap_series":
        return f.write(abs(a - f.of(x, u)))
    if form == "sum":
        return f.write(a + b)
    if form == "sum_series":
        return f.write(a + f.of(x, u))
    if form == "ratio":
        return str(int(a / b)) if a % b == 0 else None
    if form in ("highest", "highest_series"):
        return f.ranked(s)[0]
    if form in ("lowest", "lowest_series"):
        return f.ranked(s)[-1]
    if form in ("top_value", "low_value"):
        return f.write((max if form == "top_value" else min)(f.value.values()))
    if form == "second":
        return f.ranked("")[1]
    if form == "order":
        return ", ".join(f.ranked(""))
    if form == "count":
        return str(len(set(f.cats)))
    if form == "count_marks":
        return str(len(f.series if h["marks"] == "lines" else f.cats))
    if form in ("x_title", "y_title"):
        lying = f.chart.lying or f.chart.kind == "hbar"
        return f.chart.y_title if (form == "y_title") != lying else f.chart.x_title
    if form == "count_series":
        return str(len(set(f.series)))
    if form == "count_above":
        return str(len([1 for v in f.value.values() if v > Decimal(h["v"].rstrip("%"))]))
    if form == "colour":
        return f.chart.colours[f.cats.index(x)]
    if form == "legend":
        return f.chart.colours[f.series.index(s)]
    if form in ("colour_find", "legend_find"):
        names = f.cats if form == "colour_find" else f.series
        return names[f.chart.colours.index(h["colour"])] if h["colour"] in f.chart.colours else None
    if form == "title":
        return f.chart.title
    if form in ("compare", "less"):
        return _say(a > b if form == "compare" else a < b)
    if form == "compare_series":
        return _say(a > f.of(x, u))
    if form == "panel":
        return next(c.title for c in sample.charts if x in c.cats)
    if form == "count_panels":
        return str(len(sample.charts))
    if form in ("images_difference", "images_higher"):
        a, b = (Facts(c).of(x) for c in sample.charts)
        return (
            f.write(abs(a - b)) if form == "images_difference" else "first" if a > b else "second"
        )
    if form == "images_find":
        return ("first", "second")[[x in c.cats for c in sample.charts].index(True)]
    if form in ("target", "target_gap"):
        gap = a - Decimal(str(sample.goals[x]))
        return f.write(abs(gap)) if form == "target_gap" else _say(gap > 0)
    return _solve_other(form, h, f, sample)


def _solve_other(form, h, f, sample):
    if form in ("which_larger", "sum_panels"):
        a, b = (next(Facts(c) for c in sample.charts if c.title == h[k]) for k in ("t", "w"))
        if a.of(h["x"]) is None or b.of(h["y"]) is None:
            return None
        if form == "which_larger":
            return h["x"] if a.of(h["x"]) > b.of(h["y"]) else h["y"]
        total = a.of(h["x"]) + b.of(h["y"])
        return (
            a.chart.prefix
            + format(total, f".{max(a.chart.decimals, b.chart.decimals)}f")
            + a.chart.suffix
        )
    if form == "read":
        c = f.chart
        rows = "; ".join(
            " ".join([n] + ([f.write(f.of(n, s)) for s in c.series] if c.shown else []))
            for n in c.cats
        )
        head = [c.title] * bool(c.title) + [" / ".join(c.series)] * (len(c.series) > 1)
        return "\n".join(head + [rows])
    if form == "read_text":
        return "\n".join(f.cats)
    return None


def _measured(axis_title):
    """ "Revenue (USD)" to "revenue", "GDP growth, %" to "GDP growth"."""
    text = axis_title.split(" (")[0].split(" [")[0].split(", ")[0]
    capitals = [c for c in text.split(" ")[0][1:] if c.isupper() or c.isdigit()]
    return text if capitals or text.split(" ")[0].isupper() else text[:1].lower() + text[1:]


def _fillings(form, text, f, sample):
    """Every dict of holes with which a sentence of the form becomes the text."""
    noun = [words.NOUNS[f.chart.group], ("category", "categories")]
    wheres = (
        [""]
        + [w.format(c.title) for c in sample.charts for w in (' in "{}"', ' in the panel "{}"')]
        + [" in the first image", " in the second image"]
    )
    everything = [c for chart in sample.charts for c in chart.cats]
    ticks = {Decimal(repr(round(t, 9))) for t in f.chart.ticks}
    choices = {
        "x": everything,
        "y": everything,
        "s": f.series,
        "u": f.series,
        "t": [c.title for c in sample.charts],
        "w": [c.title for c in sample.charts],
        "where": wheres,
        "v": [v for t in ticks for v in (f"{t.normalize():f}", f"{t.normalize():f}%")],
        "colour": sorted(set(f.chart.colours or [])),
        "m": [_measured(f.chart.y_title)],
        "marks": sorted(set(MARKS.values())),
        "noun": [n[0] for n in noun],
        "nouns": [n[1] for n in noun],
    }
    for sentence in PHRASES[form]:
        holes = [h for h in choices if "{" + h + "}" in sentence]
        fit = {h: [v for v in dict.fromkeys(choices[h]) if v in text] for h in holes}
        for values in itertools.product(*(fit[h] for h in holes)):
            filled = dict(zip(holes, values))
            if sentence.format(**filled) == text:
                yield filled


def solve(question, sample):
    """All answers that the sentence of a question can have: one, if the question is a good one."""
    f = Facts(sample.charts[question.chart])
    return {
        a
        for h in _fillings(question.form, question.text, f, sample)
        for a in [_solve(question.form, h, f, sample)]
        if a is not None
    }


def is_absent(question, sample):
    """Whether a question that is answered "not shown" asks for something that is in no chart."""
    assert question.answer == NOT_SHOWN
    return not solve(question, sample)
