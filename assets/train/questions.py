"""Questions about charts with exact answers."""

import dataclasses

import titles
import words
from chart import tick_text
from phrases import CATEGORY, MARKS, NOT_SHOWN, PHRASES


@dataclasses.dataclass
class Question:
    """form is the kind of sentence (phrases.PHRASES), category what it counts for in an evaluation."""

    text: str
    answer: str
    form: str
    category: str
    chart: int = 0  # which chart of the sample it is about


def axes_of(chart):
    """What the axes of a picture are called: ((form of the question, title or ""), ...)."""
    lying = chart.lying or chart.kind == "hbar"
    below, beside = (chart.y_title, chart.x_title) if lying else (chart.x_title, chart.y_title)
    return ("x_title", below), ("y_title", beside)


class Asker:
    """Makes questions about one chart. where: "" or ' in the panel "Sales"'."""

    def __init__(self, rng, chart, where="", index=0):
        self.rng, self.chart, self.where, self.index = rng, chart, where, index
        self.noun, self.nouns = words.NOUNS[chart.group]
        if rng.random() < 0.4:
            self.noun, self.nouns = "category", "categories"

    def make(self, form, answer, category=None, **holes):
        """A Question of a form whose holes are filled."""
        text = self.rng.choice(PHRASES[form]).format(
            noun=self.noun, nouns=self.nouns, where=self.where, **holes
        )
        category = category or CATEGORY.get(form, form)
        if category == "value":
            category = "value_shown" if self.chart.shown else "value_axis"
        return Question(text, answer, form, category, self.index)

    # ---- one value, or several of one series ----

    def value(self):
        c, rng = self.chart, self.rng
        s, i = rng.randrange(len(c.series)), rng.randrange(len(c.cats))
        answer = c.text(c.values[s][i])
        if c.kind == "timeline":
            return self.make("year_of", answer, x=c.cats[i])
        if c.single:
            measure = titles.measure_of(c.y_title)
            if measure and rng.random() < 0.35:
                return self.make("value_named", answer, x=c.cats[i], m=measure)
            percent = c.suffix.strip() == "%" and rng.random() < 0.35
            return self.make("value_percent" if percent else "value", answer, x=c.cats[i])
        return self.make("value_series", answer, x=c.cats[i], s=c.series[s])

    def _pair(self):
        """Two different places (series, category), in one series or in one category."""
        c, rng = self.chart, self.rng
        if not c.single and rng.random() < 0.5:
            i = rng.randrange(len(c.cats))
            a, b = rng.sample(range(len(c.series)), 2)
            return (a, i), (b, i)
        s = rng.randrange(len(c.series))
        i, j = rng.sample(range(len(c.cats)), 2)
        return (s, i), (s, j)

    def _of_pair(self, one, across, a, b, answer):
        """A question about two places: `one` within a single chart or a series, `across` between series."""
        c = self.chart
        if a[1] == b[1]:
            return self.make(across, answer, x=c.cats[a[1]], s=c.series[a[0]], u=c.series[b[0]])
        if c.single:
            return self.make(one, answer, x=c.cats[a[1]], y=c.cats[b[1]])
        return (
            self.make(one + "_series", answer, x=c.cats[a[1]], y=c.cats[b[1]], s=c.series[a[0]])
            if one + "_series" in PHRASES and one != "compare"
            else None
        )

    def difference(self):
        a, b = self._pair()
        gap = abs(self._at(a) - self._at(b))
        if gap == 0:
            return None
        return self._of_pair("difference", "gap_series", a, b, self.chart.text(gap))

    def sum(self):
        if self.chart.kind == "timeline":
            return None
        a, b = self._pair()
        return (
            self._of_pair("sum", "sum_series", a, b, self.chart.text(self._at(a) + self._at(b)))
            if self.chart.single or a[1] == b[1]
            else None
        )

    def compare(self):
        a, b = self._pair()
        if self._at(a) == self._at(b) or self.chart.kind == "timeline":
            return None
        if a[1] != b[1] and not self.chart.single:
            return None
        less = a[1] != b[1] and self.rng.random() < 0.3
        more = self._at(a) > self._at(b)
        return self._of_pair(
            "less" if less else "compare", "compare_series", a, b, "Yes" if more != less else "No"
        )

    def _at(self, place):
        return self.chart.values[place[0]][place[1]]

    def ratio(self):
        c = self.chart
        if not c.single or c.kind == "timeline":
            return None
        row = c.values[0]
        found = [
            (i, j, round(row[i] / row[j]))
            for i in range(len(row))
            for j in range(len(row))
            if row[i] > row[j] > 0 and abs(row[i] / row[j] - round(row[i] / row[j])) < 1e-9
        ]
        if not found:
            return None
        i, j, times = self.rng.choice(found)
        return self.make("ratio", str(times), x=c.cats[i], y=c.cats[j])

    # ---- the whole chart ----

    def _ranked(self, s):
        """Categories of a series from high to low; None where two are equal."""
        c = self.chart
        row = c.values[s]
        if len(set(row)) < len(row) or c.kind == "timeline":
            return None
        return sorted(range(len(row)), key=lambda i: -row[i])

    def extreme(self):
        c, rng = self.chart, self.rng
        s = rng.randrange(len(c.series))
        ranked, high = self._ranked(s), rng.random() < 0.5
        if not ranked:
            return None
        best = ranked[0 if high else -1]
        if c.single and c.shown and rng.random() < 0.2:
            return self.make("top_value" if high else "low_value", c.text(c.values[0][best]))
        form = "highest" if high else "lowest"
        return (
            self.make(form, c.cats[best])
            if c.single
            else self.make(form + "_series", c.cats[best], s=c.series[s])
        )

    def order(self):
        c = self.chart
        ranked = self._ranked(0)
        if not ranked or not c.single:
            return None
        if len(ranked) > 5 or self.rng.random() < 0.5:
            return self.make("second", c.cats[ranked[1]])
        return self.make("order", ", ".join(c.cats[i] for i in ranked))

    def count(self):
        c, pick = self.chart, self.rng.random()
        if pick < 0.3 and not c.single:
            return self.make("count_series", str(len(c.series)))
        if pick < 0.6 and c.single and c.ticks and not c.log:
            v = self.rng.choice(c.ticks)
            if c.base < v < c.top and v not in c.values[0]:
                text = tick_text(v) + (c.suffix if c.suffix == "%" else "")
                return self.make("count_above", str(sum(x > v for x in c.values[0])), v=text)
        marks = MARKS.get(c.kind)
        if marks and (c.single or c.kind == "lines") and self.rng.random() < 0.5:
            n = len(c.series) if c.kind == "lines" else len(c.cats)
            return self.make("count_marks", str(n), marks=marks)
        return self.make("count", str(len(c.cats)))

    def colour(self):
        c = self.chart
        named = [i for i, name in enumerate(c.colours or ()) if name]
        if c.colour_of == "" or not named:
            return None
        i = self.rng.choice(named)
        find = self.rng.random() < 0.5
        if c.colour_of == "series":
            return (
                self.make("legend_find", c.series[i], colour=c.colours[i])
                if find
                else self.make("legend", c.colours[i], s=c.series[i])
            )
        return (
            self.make("colour_find", c.cats[i], colour=c.colours[i])
            if find
            else self.make("colour", c.colours[i], x=c.cats[i])
        )

    def title(self):
        return self.make("title", self.chart.title)

    def axis(self, drawn):
        """What an axis is called, where that is drawn."""
        form, text = self.rng.choice(axes_of(self.chart))
        return self.make(form, text) if text and text in drawn else None

    def absent(self, split, everything):
        """A question whose answer is not in the picture. everything: all labels of the sample."""
        c = self.chart
        word = words.absent(self.rng, split, everything)
        pick = self.rng.random()
        if pick < 0.15 and c.single:
            return self.make("colour", NOT_SHOWN, "unanswerable", x=word)
        if pick < 0.3 and c.single:
            return self.make(
                "difference", NOT_SHOWN, "unanswerable", x=word, y=self.rng.choice(c.cats)
            )
        if c.single:
            return self.make("value", NOT_SHOWN, "unanswerable", x=word)
        if self.rng.random() < 0.5:
            return self.make(
                "value_series", NOT_SHOWN, "unanswerable", x=self.rng.choice(c.cats), s=word
            )
        return self.make(
            "value_series", NOT_SHOWN, "unanswerable", x=word, s=self.rng.choice(c.series)
        )

    def read(self):
        """Title (not of a drill), then every category with its values where they are written."""
        c = self.chart
        rows = [
            " ".join([name] + ([c.text(row[i]) for row in c.values] if c.shown else []))
            for i, name in enumerate(c.cats)
        ]
        head = [c.title] * bool(c.title) + [" / ".join(c.series)] * (not c.single)
        text = "\n".join(head + ["; ".join(rows)])
        return self.make("read", text) if len(text) < 260 else None


# How often each question is asked of a chart.
_WEIGHTS = {
    "value": 30,
    "difference": 9,
    "sum": 5,
    "compare": 9,
    "ratio": 4,
    "extreme": 12,
    "order": 5,
    "count": 7,
    "colour": 11,
    "title": 6,
    "axis": 3,
    "absent": 5,
    "read": 8,
}

# The same for a model that two cores train: reading before arithmetic.
_EASY = _WEIGHTS | {"difference": 1, "sum": 0.5, "ratio": 0.5, "order": 1, "read": 10}
_EASY |= {"value": 34, "colour": 16, "title": 9, "extreme": 11, "compare": 5, "count": 9}
_EASY_DRILL = _EASY | {"value": 24, "colour": 24, "extreme": 12, "compare": 8, "read": 8}


def about_chart(rng, split, chart, n, where="", index=0, everything=None, easy=False, drawn=()):
    """At most n different Questions about a chart; easy: few that ask for arithmetic; drawn: the texts
    of its picture, for questions about the titles of axes."""
    asker = Asker(rng, chart, where, index)
    easy_weights = _EASY_DRILL if chart.kind == "drill" else _EASY
    kinds, weights = zip(*(easy_weights if easy else _WEIGHTS).items())
    found, asked = [], set()
    for _ in range(4 * n):
        if len(found) == n:
            break
        kind = rng.choices(kinds, weights)[0]
        if chart.kind == "page" and kind in ("count", "colour"):
            continue
        if kind == "absent":
            question = asker.absent(split, everything or chart.cats + chart.series)
        else:
            question = asker.axis(drawn) if kind == "axis" else getattr(asker, kind)()
        if not question:
            continue
        same = (
            question.text
            if question.form in ("compare", "less", "compare_series")
            else (question.form, question.answer)
        )
        if same not in asked:
            asked.add(same)
            found.append(question)
    return found


def about_panels(rng, scene):
    """Questions that need the whole dashboard."""
    charts = scene.charts
    found = []
    i = rng.randrange(len(charts))
    ask = [Asker(rng, c, "", k) for k, c in enumerate(charts)]
    found.append(ask[i].make("panel", charts[i].title, x=rng.choice(charts[i].cats)))
    if rng.random() < 0.4:
        found.append(ask[0].make("count_panels", str(len(charts))))
    if scene.heading and rng.random() < 0.4:
        found.append(ask[0].make("heading", scene.heading))
    simple = [k for k, c in enumerate(charts) if c.single and c.shown and c.kind != "timeline"]
    if len(simple) >= 2:
        a, b = rng.sample(simple, 2)
        i, j = rng.randrange(len(charts[a].cats)), rng.randrange(len(charts[b].cats))
        va, vb = charts[a].values[0][i], charts[b].values[0][j]
        holes = dict(x=charts[a].cats[i], y=charts[b].cats[j], t=charts[a].title, w=charts[b].title)
        if va != vb:
            found.append(
                ask[a].make("which_larger", holes["x"] if va > vb else holes["y"], **holes)
            )
        if (charts[a].prefix, charts[a].suffix) == (
            charts[b].prefix,
            charts[b].suffix,
        ) and rng.random() < 0.5:
            total = f"{va + vb:.{max(charts[a].decimals, charts[b].decimals)}f}"
            found.append(
                ask[a].make("sum_panels", charts[a].prefix + total + charts[a].suffix, **holes)
            )
    return found
