"""Questions about stored charts of the test split, as render.py writes them, each skill in turn."""

import collections
import json
import os
import random

import chart as chart_
from questions import about_chart

# Skills of an evaluation: which categories and forms of questions count for each.
SKILLS = {
    "title": ("title",),
    "value": ("value", "value_series"),
    "count": ("count", "count_series"),
    "extreme": ("highest", "lowest", "highest_series", "lowest_series"),
    "colour": ("colour", "colour_find", "legend", "legend_find"),
    "compare": ("compare", "less", "compare_series"),
    "absent": (),
}
_ORDER = ("title", "value", "value", "extreme", "count", "colour")


def skill_of(question):
    """The skill that a question asks for, or None."""
    if question.category == "unanswerable":
        return "absent"
    for name, forms in SKILLS.items():
        if question.form in forms:
            return question.category if name == "value" else name
    return None


def chosen(seed, split, chart, each):
    """About `each` questions of different skills: [(Question, skill)]."""
    rng = random.Random(f"library/questions/{seed}")
    by_skill = collections.defaultdict(list)
    for q in about_chart(rng, split, chart, 60):
        skill = skill_of(q)
        if skill:
            by_skill["value" if skill.startswith("value") else skill].append((q, skill))
    found = []
    order = list(_ORDER) + (["compare"] if rng.random() < 0.3 else ["absent"])
    for name in order:
        if by_skill[name]:
            found.append(by_skill[name].pop(0))
    while len(found) > each:  # not always the last ones
        found.pop(rng.randrange(len(found)))
    return found


def write(out, each):
    """Writes questions.jsonl beside charts.jsonl: how many questions there are."""
    written = 0
    with open(os.path.join(out, "charts.jsonl"), encoding="utf-8") as f, open(
        os.path.join(out, "questions.jsonl"), "w", encoding="utf-8"
    ) as g:
        for line in f:
            r = json.loads(line)
            chart = chart_.Chart(**r["chart"])
            for q, skill in chosen(f"{r['library']}/{r['seed']}", r["split"], chart, each):
                row = {
                    "image": r["file"],
                    "question": q.text,
                    "answer": q.answer,
                    "category": q.category,
                    "kind": r["kind"],
                    "library": r["library"],
                    "skill": skill,
                    "size": f"{r['width']}x{r['height']}",
                }
                g.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
    return written
