"""Tables, big numbers, steps, timelines and call-outs: infographics made of words and figures."""

import math

from axes import draw_title, need
from canvas import Rect, wrap
from icons import draw_icon
from style import luminance, mix, on


def draw_table(canvas, box, chart, style):
    """One row a category, one column a series."""
    box = draw_title(canvas, box, chart.title, style)
    heads = [chart.group.capitalize() if chart.group != "name" else "Item"]
    heads += [chart.y_title or "Value"] if chart.single else chart.series
    cells = [[c] + [chart.text(row[i]) for row in chart.values] for i, c in enumerate(chart.cats)]
    scale = min(1.35, max(1.0, box.h / (len(cells) + 1) / (2.4 * style.size)))
    face, bold = style.face(scale, False), style.face(scale, True)
    widths = [
        max([bold.width(h)] + [face.width(r[k]) for r in cells]) + 18 for k, h in enumerate(heads)
    ]
    need(sum(widths) <= box.w)
    height = min((box.h - 4) / (len(cells) + 1), face.height * style.rng.uniform(1.5, 2.3))
    need(height > face.height * 1.15)
    spare = (box.w - sum(widths)) * style.rng.choice((0.3, 0.6, 1.0)) / len(widths)
    widths = [w + spare for w in widths]
    left = box.x0 + (0 if style.title_left else (box.w - sum(widths)) / 2)
    accent = (
        style.shade(style.colours(1)[0])
        if style.rng.random() < 0.6
        else mix(style.card, style.ink, 0.12)
    )
    banded, lines = style.rng.random() < 0.5, style.rng.choice(("rows", "all", "none", "rows"))
    whole = Rect(left, box.y0, left + sum(widths), box.y0 + height * (len(cells) + 1))
    canvas.rect(whole, style.card)
    canvas.rect(Rect(whole.x0, whole.y0, whole.x1, whole.y0 + height), accent)
    for r, row in enumerate([heads] + cells):
        y, x = box.y0 + height * r, left
        if banded and r and r % 2 == 0:
            canvas.rect(Rect(whole.x0, y, whole.x1, y + height), mix(style.card, style.ink, 0.06))
        if lines != "none":
            canvas.hline(whole.x0, whole.x1, y + height, mix(style.card, style.ink, 0.25))
        for k, text in enumerate(row):
            ink = on(accent) if r == 0 else style.ink
            if k == 0:
                canvas.text(x + 9, y + height / 2, text, bold if r == 0 else face, ink)
            else:
                canvas.text(
                    x + widths[k] - 9, y + height / 2, text, bold if r == 0 else face, ink, "r"
                )
            x += widths[k]
    if lines == "all":
        canvas.frame(whole, mix(style.card, style.ink, 0.25))
        x = left
        for w in widths[:-1]:
            x += w
            canvas.vline(x, whole.y0, whole.y1, mix(style.card, style.ink, 0.25))


def _columns(n, box):
    """How many columns n cards make in a box."""
    return max(1, min(n, round(math.sqrt(n * box.w / max(box.h, 1) / 1.5))))


def draw_numbers(canvas, box, chart, style):
    """A card a category: a big number, its name, now and then an icon."""
    box = draw_title(canvas, box, chart.title, style)
    n, names = len(chart.cats), style.colours(len(chart.cats))
    need(names)
    cards = box.inset(0, 4, 0, 0).grid(
        _columns(n, box), math.ceil(n / _columns(n, box)), max(6, style.size // 2)
    )
    filled, icons = style.rng.random() < 0.6, style.rng.random() < 0.5
    chart.colours, chart.colour_of = names, "cats"
    number_on_top = style.rng.random() < 0.75
    face = style.face(0.95)
    for i, card in enumerate(cards[:n]):
        colour = style.shade(names[i])
        back = colour if filled else mix(style.card, colour, 0.12)
        canvas.rounded(card, 8, back)
        if not filled:
            canvas.rect(Rect(card.x0, card.y0 + 8, card.x0 + 4, card.y1 - 8), colour)
        ink = on(back)
        area = card.inset(8, 6, 8, 6)
        if icons:
            size = min(area.h * 0.7, area.w * 0.3)
            need(size > 14)
            draw_icon(
                canvas, style.rng, area.x0 + size / 2, area.cy, size, ink if filled else colour
            )
            area = area.inset(int(size) + 8, 0, 0, 0)
        text = chart.text(chart.values[0][i])
        big = style.title_face(min(2.0, max(1.0, area.h / (3.2 * style.title_size))))
        lines = wrap(chart.cats[i], face, area.w)
        need(
            len(lines) <= 2 and max(map(face.width, lines)) <= area.w and big.width(text) <= area.w
        )
        total = big.height + 2 + face.height * len(lines)
        need(total <= area.h)
        y = area.cy - total / 2
        if number_on_top:
            canvas.text(area.cx, y + big.height / 2, text, big, ink, "m")
            y += big.height + 2
        for line in lines:
            canvas.text(area.cx, y + face.height / 2, line, face, ink, "m")
            y += face.height
        if not number_on_top:
            canvas.text(area.cx, y + 2 + big.height / 2, text, big, ink, "m")


def draw_steps(canvas, box, chart, style):
    """Numbered steps, each with a name and a figure, down the page or across it."""
    box = draw_title(canvas, box, chart.title, style)
    n, names = len(chart.cats), style.colours(len(chart.cats))
    chart.colours, chart.colour_of = names, "cats"
    need(names)
    down = box.h / n > style.size * 3 and (box.w < box.h * 1.2 or style.rng.random() < 0.5)
    scale = min(
        1.6, max(1.0, box.h / n / (3.4 * style.size) if down else box.w / n / (8 * style.size))
    )
    face, bold = style.face(scale, False), style.face(1.1 * scale, True)
    radius = style.size * 1.05 * scale
    parts = box.inset(0, 4, 0, 0).grid(1 if down else n, n if down else 1, 8)
    indent = style.rng.uniform(0, 0.25) * box.w
    spots = [
        (p.x0 + radius + 4 + indent, p.cy) if down else (p.cx, p.cy - 1.5 * radius) for p in parts
    ]
    if down:
        canvas.vline(spots[0][0], spots[0][1], spots[-1][1], style.faint, 2)
    else:
        canvas.hline(spots[0][0], spots[-1][0], spots[0][1], style.faint, 2)
    for i, (part, (x, y)) in enumerate(zip(parts, spots)):
        colour = style.shade(names[i])
        canvas.disc(x, y, radius, colour, style.page)
        canvas.text(x, y, str(i + 1), bold, on(colour), "m")
        text = chart.text(chart.values[0][i])
        if down:
            need(part.h > 2.3 * face.height)
            left = x + radius + 12
            need(left + max(bold.width(chart.cats[i]), face.width(text)) < part.x1)
            canvas.text(left, y - face.height * 0.6, chart.cats[i], bold, style.ink)
            canvas.text(left, y + face.height * 0.6, text, face, style.faint)
        else:
            need(max(bold.width(chart.cats[i]), face.width(text)) < part.w)
            canvas.text(x, y + radius + bold.height, chart.cats[i], bold, style.ink, "m")
            canvas.text(x, y + radius + 2.2 * bold.height, text, face, style.faint, "m")


def draw_timeline(canvas, box, chart, style):
    """Events on a line of years, above and below it in turn."""
    box = draw_title(canvas, box, chart.title, style)
    n, names = len(chart.cats), style.colours(1)
    chart.colours, chart.colour_of = names * n, ""
    colour, face, bold = style.shade(names[0]), style.face(1.0, False), style.face(1.05, True)
    parts = box.grid(n, 1, 0)
    both = all(max(face.width(c), bold.width("2000")) < 2 * parts[0].w - 14 for c in chart.cats)
    single = all(max(face.width(c), bold.width("2000")) < parts[0].w - 8 for c in chart.cats)
    need(single or both)
    y = box.cy
    canvas.line([(box.x0 + 6, y), (box.x1 - 6, y)], style.faint, 3)
    half = max(map(face.width, chart.cats)) / 2
    stem = min(box.h / 2 - 3 * face.height, style.size * 3)
    need(stem > 8)
    for i, part in enumerate(parts):
        up = -1 if (i % 2 == 0 or (single and n <= 3)) else 1
        x = min(max(part.cx, box.x0 + half + 2), box.x1 - half - 2)
        canvas.vline(x, min(y, y + up * stem), max(y, y + up * stem), style.faint)
        canvas.disc(x, y, style.size * 0.45, colour, style.page)
        year, name = y + up * (stem + face.height * 0.7), y + up * (stem + face.height * 1.9)
        if up > 0:
            name, year = name, year
        canvas.text(
            x,
            year,
            chart.text(chart.values[0][i]),
            bold,
            colour if luminance(style.page) > 128 else style.ink,
            "m",
        )
        canvas.text(x, name, chart.cats[i], face, style.ink, "m")


def draw_callouts(canvas, box, chart, style):
    """A picture in the middle of the page with lines to boxes that name its parts."""
    box = draw_title(canvas, box, chart.title, style)
    n, names = len(chart.cats), style.colours(len(chart.cats))
    chart.colours, chart.colour_of = names, "cats"
    need(names)
    face, bold = style.face(0.95, False), style.face(1.1, True)
    sides = [box.inset(0, 4, int(box.w * 0.66), 4), box.inset(int(box.w * 0.66), 4, 0, 4)]
    left = sides[0].grid(1, (n + 1) // 2, 10)
    right = sides[1].grid(1, max(n // 2, 1), 10)
    cards = [(c, 1) for c in left] + [(c, 0) for c in right][: n // 2]
    size = min(box.w * 0.22, box.h * 0.5)
    for i, (card, is_left) in enumerate(cards):
        height = min(card.h, 3.1 * face.height)
        card = Rect(card.x0, card.cy - height / 2, card.x1, card.cy + height / 2)
        text, colour = chart.text(chart.values[0][i]), style.shade(names[i])
        need(
            card.w > max(face.width(chart.cats[i]), bold.width(text)) + 14
            and card.h > 2.6 * face.height
        )
        x = card.x1 if is_left else card.x0
        canvas.line(
            [
                (x, card.cy),
                (box.cx + (-1 if is_left else 1) * size * 0.35, box.cy + (card.cy - box.cy) * 0.3),
            ],
            style.faint,
            1.5,
        )
        canvas.rounded(card, 5, mix(style.card, colour, 0.18))
        canvas.rect(Rect(card.x0, card.y1 - 3, card.x1, card.y1), colour)
        ink = on(mix(style.card, colour, 0.18))
        canvas.text(card.cx, card.y0 + card.h * 0.3, text, bold, ink, "m")
        canvas.text(card.cx, card.y0 + card.h * 0.69, chart.cats[i], face, ink, "m")
    canvas.disc(box.cx, box.cy, size * 0.62, mix(style.page, style.ink, 0.08))
    draw_icon(canvas, style.rng, box.cx, box.cy, size * 0.7, style.shade(names[0]))
