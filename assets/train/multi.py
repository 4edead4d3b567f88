"""Sets of many documents and questions over them: what one chunk cannot answer, or must be found first.

    python multi.py --documents 8 --sets 40 --out DIR     DIR/*.png and DIR/questions.jsonl

A set is charts, pages and small pictures of labels, and behind them texts. Most questions have one needle:
a label that is in one document alone, or a title as the handle. The others have two: the same label in the
first and the second image, two titles, or a chart of codes and the text that says what they mean. "group" of
a line names its set: questions of one set share their documents.
"""

import argparse
import copy
import json
import os
import random

from PIL import Image

import fonts
import words
from axes import DoesNotFit
from chart import random_chart
from drills import pairs, recall
from phrases import NOT_SHOWN
from questions import Asker, about_chart
from render import TEST_SEED
from sample import again, with_key
from scene import draw_scene, fact

_SIZES = ((224, 224), (256, 192), (224, 256), (288, 192))
_KINDS = ("vbar", "hbar", "pie", "donut", "numbers", "table", "line")
_BY_LABEL = ("value", "colour", "difference", "sum", "compare", "less")  # a label is the handle


class Documents:
    """Pictures, and texts behind them, with the data of each; keyed: (codes' chart, its names)."""

    def __init__(self):
        self.canvases, self.texts, self.charts = [], [], []
        self.twins, self.keyed = (), None

    def picture(self, canvas, chart):
        self.canvases.append(canvas)
        self.charts.append(chart)

    def labels(self):
        return [c for chart in self.charts for c in chart.cats]


def _chart(rng, split, size, chart):
    return draw_scene(rng, split, *size, chart.kind, [chart]).canvas


def _twins(rng, split, docs):
    """Two charts of the same categories, which the words "first" and "second image" tell apart."""
    first = random_chart(rng, split, rng.choice(("vbar", "hbar", "numbers", "table")), 4)
    if not first.single:
        raise DoesNotFit
    second, size = again(rng, first), rng.choice(_SIZES)
    for chart in (first, second):
        docs.picture(_chart(rng, split, size, chart), chart)
    docs.twins = (first, second)


def _keyed(rng, split, docs):
    """A chart of codes now, its key as a text later."""
    chart = random_chart(rng, split, rng.choice(("vbar", "hbar", "numbers", "pie")), 4)
    if not chart.single:
        raise DoesNotFit
    names, text = with_key(rng, split, chart)
    docs.picture(_chart(rng, split, rng.choice(_SIZES), chart), chart)
    asked = copy.copy(chart)
    asked.cats, asked.group = names, "name"
    docs.keyed = asked, text + "\n"


def _picture(rng, split, docs):
    pick = rng.random()
    if pick < 0.3:
        canvas, chart, _ = pairs(rng, split, *rng.choice(((160, 128), (192, 128))), 1, True)
        docs.picture(canvas, chart)
    elif pick < 0.5:
        scene = draw_scene(rng, split, *rng.choice(_SIZES), "page")
        docs.picture(scene.canvas, scene.charts[0])
    else:
        chart = random_chart(rng, split, rng.choice(_KINDS), 4)
        if not chart.single:
            raise DoesNotFit
        docs.picture(_chart(rng, split, rng.choice(_SIZES), chart), chart)


def _text(rng, split, docs):
    """A page of text with values among other sentences, or a list of labels and values."""
    if rng.random() < 0.4:
        text, chart, _ = recall(rng, split, 4, True)
    else:
        chart = random_chart(rng, split, "table", 4)
        if not chart.single:
            raise DoesNotFit
        chart.kind = "page"
        lines = [fact(rng, chart, i, i == 0) for i in range(len(chart.cats))]
        for filler in rng.sample(words.FILLER, rng.randint(2, 6)):
            lines.insert(rng.randint(0, len(lines)), filler)
        text = f"{chart.title}\n{' '.join(lines)}\n"
    docs.texts.append(text)
    docs.charts.append(chart)


def _again_until(make, rng, split, docs):
    """One more document whose title, if it has one, is not that of another."""
    for _ in range(400):
        trial = copy.copy(docs)
        trial.canvases, trial.texts = docs.canvases[:], docs.texts[:]
        trial.charts = docs.charts[:]
        try:
            make(rng, split, trial)
        except DoesNotFit:
            continue
        titles = [c.title for c in trial.charts if c.title]
        if len(set(titles)) == len(titles):
            return trial
    raise DoesNotFit(make.__name__)


def draw_documents(rng, split, n):
    """n documents, of which a quarter are texts."""
    docs, n_texts = Documents(), n // 4
    if rng.random() < 0.5:
        docs = _again_until(_twins, rng, split, docs)
    at = rng.randrange(len(docs.canvases), n - n_texts) if n_texts else -1
    while len(docs.canvases) < n - n_texts:
        make = _keyed if len(docs.canvases) == at else _picture
        docs = _again_until(make, rng, split, docs)
    key = rng.randrange(n_texts) if n_texts else -1
    for i in range(n_texts):
        if i == key:
            docs.texts.append(docs.keyed[1])
        else:
            docs = _again_until(_text, rng, split, docs)
    return docs


def _of_one(rng, split, docs, seen):
    """A question with one needle, or None."""
    index = rng.randrange(len(docs.charts))
    chart = docs.charts[index]
    unique = chart.group != "code" and not any(seen.count(c) > 1 for c in chart.cats)
    where = f' in "{chart.title}"' if chart.title and (not unique or rng.random() < 0.4) else ""
    if not unique and not where:
        return None
    found = about_chart(rng, split, chart, 1, where, index, seen, True)
    if not found or found[0].category == "transcription":
        return None
    if not where and found[0].form not in _BY_LABEL:
        return None  # what names no label needs a title
    return found[0]


def _of_two(rng, split, docs, seen):
    """A question whose needles are in two documents, or None."""
    pick = rng.random()
    if pick < 0.4 and docs.twins:
        a, b = docs.twins
        i = rng.randrange(len(a.cats))
        gap = a.values[0][i] - b.values[0][i]
        if not gap or seen.count(a.cats[i]) > 2:
            return None
        ask = Asker(rng, a)
        if rng.random() < 0.5:
            return ask.make("images_higher", "first" if gap > 0 else "second", x=a.cats[i])
        k = rng.randrange(2)
        where = f" in the {('first', 'second')[k]} image"
        chart = docs.twins[k]
        return Asker(rng, chart, where).make(
            "value", chart.text(chart.values[0][i]), "across_images", x=chart.cats[i]
        )
    if pick < 0.8 and docs.keyed:
        names = docs.keyed[0].cats
        if any(name in seen for name in names):
            return None
        found = about_chart(rng, split, docs.keyed[0], 1, "", 0, seen + names, True)
        if not found or found[0].form not in _BY_LABEL:
            return None
        if found[0].answer != NOT_SHOWN:
            found[0].category = "across_text"
        return found[0]
    titled = [c for c in docs.charts if c.title and c.shown and c.kind != "timeline"]
    if len(titled) < 2:
        return None
    a, b = rng.sample(titled, 2)
    i, j = rng.randrange(len(a.cats)), rng.randrange(len(b.cats))
    va, vb = a.values[0][i], b.values[0][j]
    if va == vb or a.cats[i] == b.cats[j]:
        return None
    answer = a.cats[i] if va > vb else b.cats[j]
    holes = dict(x=a.cats[i], y=b.cats[j], t=a.title, w=b.title)
    return Asker(rng, a).make("which_larger", answer, "across_documents", **holes)


def ask(rng, split, docs, n):
    """At most n different questions over the documents: about a third have two needles."""
    seen, found, asked = docs.labels(), [], set()
    for _ in range(40 * n):
        if len(found) == n:
            break
        make = _of_two if len(found) % 3 == 2 else _of_one
        q = make(rng, split, docs, seen)
        if q and q.text not in asked:
            asked.add(q.text)
            found.append(q)
    return found


def draw_set(seed, split, n_documents, n_questions):
    """The documents and questions of a seed: the same every time."""
    for attempt in range(200):
        rng = random.Random(f"{split}/{seed}/multi/{n_documents}/{attempt}")
        try:
            docs = draw_documents(rng, split, n_documents)
        except DoesNotFit:
            continue
        found = ask(rng, split, docs, n_questions)
        if len(found) == n_questions:
            return docs, found
    raise DoesNotFit(f"{n_documents} documents, seed {seed}")


def write_sets(split, sets, n_documents, each, out, seed):
    """`each` questions over every set, written to the folder out: how many in all."""
    os.makedirs(out, exist_ok=True)
    written = 0
    with open(f"{out}/questions.jsonl", "w", encoding="utf-8") as f:
        for k in range(sets):
            docs, found = draw_set(TEST_SEED + 1000 * seed + k, split, n_documents, each)
            names = [f"{k:03d}-{i:02d}.png" for i in range(len(docs.canvases))]
            for name, canvas in zip(names, docs.canvases):
                Image.fromarray(canvas.pixels).save(f"{out}/{name}", optimize=True)
            for i, q in enumerate(found):
                row = {"id": f"{k:03d}-{i}", "group": f"{k:03d}", "image": names}
                if docs.texts:
                    row["texts"] = docs.texts
                row.update(question=q.text, answer=q.answer, category=q.category)
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
    return written


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--set", choices=("test", "train"), default="test")
    p.add_argument("--documents", type=int, default=8, help="documents of a set, 2 to 32")
    p.add_argument("--sets", type=int, default=40)
    p.add_argument("--each", type=int, default=6, help="questions of a set")
    p.add_argument("--seed", type=int, default=0, help="other sets")
    p.add_argument("--out", required=True)
    p.add_argument("--fonts", help="a folder with fonts beside the system's")
    args = p.parse_args()
    fonts.add_folder(args.fonts)
    n = write_sets(args.set, args.sets, args.documents, args.each, args.out, args.seed)
    print(f"{n} questions over {args.sets} sets of {args.documents} documents")


if __name__ == "__main__":
    main()
