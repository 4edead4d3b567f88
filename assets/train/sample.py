"""A sample: pictures and texts, and questions about them. A seed gives the same one every time."""

import copy
import dataclasses
import random
import re

import drills
import words
from axes import DoesNotFit
from chart import fill, random_chart, shares
from library import store, strips
from phrases import NOT_SHOWN
from questions import Asker, about_chart, about_panels
from scene import draw_scene


@dataclasses.dataclass
class Sample:
    """canvases: pictures of one size; texts: documents; charts: the data of all of them."""

    kind: str
    canvases: list
    texts: list
    charts: list
    questions: list
    texts_first: bool = False


def _one(rng, split, width, height, n, easy, kind=None):
    """One picture of any kind."""
    scene = draw_scene(rng, split, width, height, kind)
    labels = [w for c in scene.charts for w in c.cats + c.series]
    found = []
    if scene.kind == "dashboard":
        found += about_panels(rng, scene)
    several = len(scene.charts) > 1
    drawn = {text for text, _, _ in scene.canvas.runs}
    for k, chart in enumerate(scene.charts):
        where = ""
        if several:
            where = (
                f' in "{chart.title}"'
                if scene.kind != "dashboard" or rng.random() < 0.5
                else f' in the panel "{chart.title}"'
            )
        each = -(-n // len(scene.charts))
        found += about_chart(rng, split, chart, each, where, k, labels, easy, drawn)
    rng.shuffle(found)
    return Sample(scene.kind, [scene.canvas], [], scene.charts, found[:n])


def again(rng, chart):
    """The same categories with other values and another title."""
    other = copy.deepcopy(chart)
    kept = re.sub(r"[,(\s]*\d{4}\)?$", "", chart.title)
    other.title = f"{kept} {rng.randint(1990, 2030)}"
    if chart.kind in ("pie", "donut"):
        other.values = [shares(rng, len(chart.cats))]
        return other
    form = chart.decimals, chart.prefix, chart.suffix, chart.thousands
    fill(rng, other, smooth=chart.kind == "line")
    unit = 10.0 ** -form[0]
    if other.shown:
        other.decimals, other.prefix, other.suffix, other.thousands = form
        other.values = [[round(max(unit, v), form[0]) for v in row] for row in other.values]
    return other


def _two_images(rng, split, width, height, n, easy):
    """Two pictures: the same categories in both, or different ones."""
    kind = rng.choice(("vbar", "hbar", "line", "pie", "donut", "numbers", "table"))
    first = random_chart(rng, split, kind, 5)
    if not first.single:
        raise DoesNotFit
    same = rng.random() < 0.7
    second = (
        again(rng, first)
        if same
        else random_chart(rng, split, rng.choice(("vbar", "hbar", "numbers")), 5)
    )
    if (
        not second.single
        or second.title == first.title
        or (not same and set(second.cats) & set(first.cats))
    ):
        raise DoesNotFit
    canvases = [draw_scene(rng, split, width, height, c.kind, [c]).canvas for c in (first, second)]
    ask, found = [Asker(rng, c, "", k) for k, c in enumerate((first, second))], []
    for i in rng.sample(range(len(first.cats)), 2):
        name = first.cats[i]
        if same:
            a, b = first.values[0][i], second.values[0][i]
            if a != b:
                found.append(ask[0].make("images_higher", "first" if a > b else "second", x=name))
                if (first.decimals, first.shown) == (second.decimals, second.shown):
                    found.append(ask[0].make("images_difference", first.text(abs(a - b)), x=name))
        else:
            found.append(ask[0].make("images_find", "first", x=name))
    if not same:
        found.append(ask[1].make("images_find", "second", x=rng.choice(second.cats)))
    for k, chart in enumerate((first, second)):
        labels = first.cats + second.cats
        found += about_chart(
            rng, split, chart, n // 2, f" in the {('first', 'second')[k]} image", k, labels, easy
        )
    rng.shuffle(found)
    for q in found[:]:
        if (
            q.category == "across_images" and found.index(q) >= n
        ):  # these are what the pictures are for
            found.remove(q)
            found.insert(0, q)
    return Sample("two images", canvases, [], [first, second], found[:n])


_KEYS = (
    "{a} means {b}.",
    "{a} stands for {b}.",
    "{a} = {b}",
    "{a}: {b}",
    "Label {a} is {b}.",
    "{b} is shown as {a}.",
)


def with_key(rng, split, chart):
    """Codes in the chart, their meaning in the text: (drawn chart, text, chart as it is asked about)."""
    names = [
        words.made_up(rng, split) if rng.random() < 0.4 else rng.choice(words.pool(split))
        for _ in chart.cats
    ]
    if len(set(names)) < len(names) or set(names) & set(chart.cats):
        raise DoesNotFit
    coded = (
        list("ABCDEFGHIJ")[: len(names)] if rng.random() < 0.6 else [words.code(rng) for _ in names]
    )
    if len(set(coded)) < len(coded):
        raise DoesNotFit
    chart.cats, chart.group = coded, "code"
    lines = [rng.choice(_KEYS).format(a=a, b=b) for a, b in zip(coded, names)]
    if rng.random() < 0.7:
        form = rng.choice(_KEYS)
        lines = [form.format(a=a, b=b) for a, b in zip(coded, names)]
    rng.shuffle(lines)
    return names, rng.choice(("\n", "\n", " ")).join(lines)


def _image_and_text(rng, split, width, height, n, easy):
    """A chart and a text that it takes to understand it."""
    kind = rng.choice(("vbar", "hbar", "line", "pie", "donut", "numbers", "table"))
    chart = random_chart(rng, split, kind, 6)
    if not chart.single:
        raise DoesNotFit
    if rng.random() < 0.6:
        names, text = with_key(rng, split, chart)
        scene = draw_scene(rng, split, width, height, kind, [chart])
        asked = copy.copy(chart)
        asked.cats, asked.group = names, "name"
        found = [
            q
            for q in about_chart(rng, split, asked, n + 2, "", 0, names + chart.cats, easy)
            if q.form not in ("read", "title", "count")
        ]
        for q in found:
            q.category = "across_text" if q.answer != NOT_SHOWN else "unanswerable"
        return Sample(
            "image and text", [scene.canvas], [text + "\n"], [asked], found[:n], rng.random() < 0.3
        )
    if kind in ("pie", "donut"):
        raise DoesNotFit
    scene = draw_scene(rng, split, width, height, kind, [chart])
    unit = 10.0 ** -chart.decimals if chart.shown else chart.ticks[1] - chart.ticks[0]
    goals = [
        round(max(unit, round(v * rng.uniform(0.6, 1.4) / unit) * unit), chart.decimals)
        for v in chart.values[0]
    ]
    lines = [
        f"{rng.choice(('Target for', 'Goal for'))} {c}: {chart.text(g)}"
        for c, g in zip(chart.cats, goals)
    ]
    ask, found = Asker(rng, chart), []
    for i in rng.sample(range(len(goals)), min(3, len(goals))):
        gap = chart.values[0][i] - goals[i]
        if gap:
            found.append(ask.make("target", "Yes" if gap > 0 else "No", x=chart.cats[i]))
            found.append(ask.make("target_gap", chart.text(abs(gap)), x=chart.cats[i]))
    found += about_chart(rng, split, chart, max(1, n - len(found)), easy=easy)
    rng.shuffle(found)
    sample = Sample(
        "image and text",
        [scene.canvas],
        ["\n".join(lines) + "\n"],
        [chart],
        found[:n],
        rng.random() < 0.3,
    )
    sample.goals = dict(zip(chart.cats, goals))
    return sample


def _recall(rng, split, width, height, n, easy):
    text, chart, found = drills.recall(rng, split, n, easy)
    return Sample("recall", [], [text], [chart], found)


def _drill(draw, name):
    def make(rng, split, width, height, n, easy):
        canvas, chart, found = draw(rng, split, width, height, n, easy)
        return Sample(name, [canvas], [], [chart], found)

    return make


def _library(rng, split, width, height, n, easy):
    """A stored chart that a real library drew with this size."""
    canvas, chart, row = store.opened().pick(rng, split, width, height)
    drawn = {chart.x_title, chart.y_title} - {""}
    found = about_chart(rng, split, chart, n, easy=easy, drawn=drawn)
    return Sample(row["kind"], [canvas], [], [chart], found)


def _strip(rng, split, width, height, n, easy):
    """A window of a stored chart."""
    canvas, chart, found = strips.strip(rng, split, width, height)
    return Sample("strip", [canvas], [], [chart], found[:n])


MAKERS = {
    "one": _one,
    "two": _two_images,
    "text": _image_and_text,
    "recall": _recall,
    "lines": _drill(drills.lines, "lines"),
    "pairs": _drill(drills.pairs, "pairs"),
    "crop": _drill(drills.crop, "crop"),
    "library": _library,
    "strip": _strip,
}


def draw_sample(seed, split, maker, width, height, n=8, kind=None, easy=False):
    """The Sample of a seed. maker: one of MAKERS; n: questions at most; kind: of the picture; easy:
    few questions ask for arithmetic."""
    for attempt in range(200):
        rng = random.Random(f"{split}/{seed}/{maker}/{attempt}")
        try:
            sample = MAKERS[maker](
                rng, split, width, height, n, easy, *([kind] if kind and maker == "one" else [])
            )
        except DoesNotFit:
            continue
        if sample.questions:
            return sample
    raise DoesNotFit(f"{maker} of {width} x {height}, seed {seed}")
