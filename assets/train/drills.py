"""Exercises that come before charts: lines of text, labels beside values, and the same as plain text.

They ask with the sentences of charts, so that what is learnt carries over.
"""

import words
from axes import need
from canvas import Canvas, Rect
from chart import Chart, draw_labels, fill
from phrases import PHRASES
from questions import Question, about_chart
from scene import degrade, draw_scene
from style import NAMES, Style, on, type_size


def drill_chart(rng, split, n, easy):
    """Labels with values, half of the time with colours; easy: more with colours, and half of the
    time whole numbers below 100, for which comparing is learnt first."""
    chart = Chart("drill", "", [], [""], [])
    chart.cats, chart.group = draw_labels(rng, split, n, 0.2)
    fill(rng, chart)
    chart.ticks = []
    if easy and rng.random() < 0.5:
        chart.decimals, chart.prefix, chart.suffix, chart.thousands = 0, "", "", ""
        chart.values = [[float(v) for v in rng.sample(range(1, 100), n)]]
    if rng.random() < (0.7 if easy else 0.5) and n <= len(NAMES):
        chart.colours, chart.colour_of = rng.sample(NAMES, n), "cats"
    return chart


def _ask(rng, split, chart, n, easy):
    """Questions of a drill, which has no title."""
    asked = about_chart(rng, split, chart, 2 * n, easy=easy)
    return [q for q in asked if q.form != "title" and (easy or q.form != "read")][:n]


def recall(rng, split, n, easy):
    """A text of labels and values, and questions about it: (text, chart, questions)."""
    chart = drill_chart(rng, split, rng.randint(2, 6 if easy else 9), easy)
    between, after = rng.choice(
        ((" ", "; "), (": ", "\n"), (" = ", ", "), (" ", "\n"), (": ", ". "))
    )
    swapped = rng.random() < 0.3
    parts = []
    for i, name in enumerate(chart.cats):
        value = chart.text(chart.values[0][i])
        part = value + between + name if swapped else name + between + value
        parts.append(part + (" " + chart.colours[i] if chart.colour_of else ""))
    return after.join(parts) + "\n", chart, _ask(rng, split, chart, n, easy)


def _number(rng):
    digits = f"{rng.uniform(0, 10 ** rng.randint(1, 5)):.{rng.choice((0, 0, 1, 1, 2))}f}"
    return (
        rng.choice(("", "", "", "$", "€")) + digits + rng.choice(("", "", "", "%", "k", "M", " kg"))
    )


def _phrase(rng, split):
    """What a line of a drill says."""
    word = lambda: (
        words.made_up(rng, split) if rng.random() < 0.5 else rng.choice(words.pool(split))
    )
    kind = rng.random()
    if kind < 0.2:
        return _number(rng)
    if kind < 0.4:
        return word()
    if kind < 0.6:
        return f"{word()} {_number(rng)}"
    if kind < 0.85:
        return words.title(rng, split, rng.choice(sorted(words.GROUPS)))
    if kind < 0.92:
        return (
            f"{word()} {word().lower()}".upper()
            if rng.random() < 0.4
            else f"{word()} {word().lower()}"
        )
    return rng.choice(words.FILLER).rstrip(".")


def lines(rng, split, width, height, n, easy):
    """A picture of lines of text: (canvas, chart without data, questions)."""
    style = Style(rng, split, width, height)
    style.size = type_size(rng, style.mode, 8, rng.choice((14, 14, 24)) if height > 64 else 16)
    canvas = Canvas(width, height, style.page)
    y, found = rng.randint(1, 6), []
    while y + style.size * 1.3 < height and len(found) < 16:
        face = style.face(rng.choice((1, 1, 1, 1.2)), rng.random() < 0.25)
        text = next(
            (t for t in (_phrase(rng, split) for _ in range(12)) if face.width(t) < width - 4), None
        )
        need(text is not None and y + face.height <= height)
        canvas.text(
            rng.randint(2, width - 2 - face.width(text)),
            y + face.height / 2,
            text,
            face,
            rng.choice((style.ink, style.ink, style.faint)),
        )
        found.append(text)
        y += face.height + rng.randint(1, 8)
    need(found)
    degrade(rng, canvas)
    ask = [
        Question(
            rng.choice(PHRASES["read_text"]).format(where=""),
            "\n".join(found),
            "read_text",
            "transcription",
        )
    ]
    return canvas, Chart("lines", "", found, [""], []), ask


def pairs(rng, split, width, height, n, easy):
    """A picture of labels beside or above their values, at random places: (canvas, chart, questions)."""
    style = Style(rng, split, width, height)
    style.size = type_size(rng, style.mode, 8, rng.choice((14, 14, 20)))
    canvas, face = Canvas(width, height, style.page), style.face()
    stacked = rng.random() < 0.5
    cell_w, cell_h = (
        (style.size * 6, 2 * face.height + 8) if stacked else (style.size * 10, face.height + 6)
    )
    columns, rows = max(1, int(width // cell_w)), max(1, int(height // cell_h))
    cells = canvas.box.grid(columns, rows, 0)
    need(len(cells) > 1)
    chart = drill_chart(
        rng, split, min(len(cells), rng.randint(2, 8 if style.size > 13 else 10)), easy
    )
    if chart.colour_of:
        chart.colours = style.colours(len(chart.cats))
        need(chart.colours)
    where = sorted(rng.sample(range(len(cells)), len(chart.cats)))
    value_first = rng.random() < 0.4
    for i, cell in enumerate(cells[k] for k in where):
        name, value = chart.cats[i], chart.text(chart.values[0][i])
        shade = style.shade(chart.colours[i]) if chart.colour_of else None
        pair = (value, name) if value_first else (name, value)
        if stacked:
            widest = max(face.width(name), face.width(value))
            need(widest + 6 <= cell.w)
            x, y = cell.x0 + 3 + rng.randint(0, cell.w - widest - 6), cell.cy
            if shade:
                canvas.rounded(
                    Rect(x - 3, cell.y0 + 1, x + widest + 4, cell.y1 - 1), style.round, shade
                )
            ink = on(shade) if shade else style.ink
            canvas.text(x, y - face.height / 2, pair[0], face, ink)
            canvas.text(x, y + face.height / 2, pair[1], face, ink)
        else:
            gap, box = rng.randint(5, 12), round(style.size) if shade else 0
            total = face.width(name) + face.width(value) + gap + box + 4
            need(total + 4 <= cell.w)
            x, y = cell.x0 + 2 + rng.randint(0, cell.w - total - 4), cell.cy
            if shade:
                canvas.rect(Rect(x, y - box / 2, x + box, y + box / 2), shade)
            canvas.text(x + box + 4, y, pair[0], face, style.ink)
            canvas.text(x + box + 4 + face.width(pair[0]) + gap, y, pair[1], face, style.ink)
    canvas.note_colours(style)
    degrade(rng, canvas)
    return canvas, chart, _ask(rng, split, chart, n, easy)


_WHOLE = ((480, 480), (512, 384), (640, 480), (640, 480), (704, 448), (800, 608))


def crop(rng, split, width, height, n, easy):
    """A window of a large picture, one of six that shows the most characters: (canvas, chart, questions).
    It is for the tower alone: strings may be cut, so the only question is about those that are not.
    """
    sizes = [s for s in _WHOLE if s[0] >= width and s[1] >= height]
    need(sizes)
    whole = draw_scene(rng, split, *rng.choice(sizes)).canvas
    best = None
    for _ in range(6):
        x = rng.randrange(0, whole.box.w - width + 1, 32)
        y = rng.randrange(0, whole.box.h - height + 1, 32)
        part = whole.window(x, y, width, height)
        seen = sum(len(text) for text, _, _ in part.runs)
        if best is None or seen > best[0]:
            best = seen, part
    need(best[0] > 4)
    found = [text for text, _, _ in best[1].runs]
    ask = Question(
        rng.choice(PHRASES["read_text"]).format(where=""),
        "\n".join(found),
        "read_text",
        "transcription",
    )
    return best[1], Chart("crop", "", found, [""], []), [ask]
