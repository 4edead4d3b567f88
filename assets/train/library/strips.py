"""Windows of stored charts with whole strings in them: reading real libraries' type for few tokens.

A window of 320 x 64 costs a fifteenth of its chart and asks for all that is written in it. Windows lie
at any pixel, so that type meets the grid of patches in all ways.
"""

from axes import need
from chart import Chart
from library import store
from questions import Asker, axes_of

_EDGE = 7  # pixels between the centre of a character and the border, at least
_LONGEST = 130  # characters of a transcript


class _Box:
    """Where a string is."""

    def __init__(self, run):
        self.text, self.xs, self.ys = run
        self.x0, self.x1 = min(self.xs) - _EDGE, max(self.xs) + _EDGE
        self.y0, self.y1 = min(self.ys) - _EDGE, max(self.ys) + _EDGE

    def whole(self, x, y, w, h):
        return x <= self.x0 and self.x1 <= x + w and y <= self.y0 and self.y1 <= y + h

    def outside(self, x, y, w, h):
        return self.x1 <= x or x + w <= self.x0 or self.y1 <= y or y + h <= self.y0


def reading_order(boxes):
    """Strings from the top to the bottom, those of one line from the left to the right."""
    lines = []
    for box in sorted(boxes, key=lambda b: (b.y0 + b.y1) / 2):
        middle = (box.y0 + box.y1) / 2
        if lines and lines[-1][0].y0 + 3 <= middle <= lines[-1][0].y1 - 3:
            lines[-1].append(box)
        else:
            lines.append([box])
    return [box for line in lines for box in sorted(line, key=lambda b: b.x0)]


def window(rng, drawn, chart, width, height):
    """(x, y, the strings in it) of a window around a random string; None where strings are cut."""
    boxes = [_Box(run) for run in drawn.runs if run[0].strip()]
    fits = [b for b in boxes if b.x1 - b.x0 <= width and b.y1 - b.y0 <= height]
    if not fits:
        return None
    titles = [b for b in fits if b.text in (chart.title, chart.x_title, chart.y_title)]
    tall, wide = drawn.pixels.shape[:2]
    for _ in range(8):
        seed = rng.choice(titles if titles and rng.random() < 0.6 else fits)
        x = int(rng.uniform(seed.x1 - width, seed.x0))
        y = int(rng.uniform(seed.y1 - height, seed.y0))
        x, y = max(0, min(x, wide - width)), max(0, min(y, tall - height))
        found = [b for b in boxes if b.whole(x, y, width, height)]
        if all(b in found or b.outside(x, y, width, height) for b in boxes) and found:
            if sum(len(b.text) for b in found) <= _LONGEST:
                return x, y, found
    return None


def strip(rng, split, width, height):
    """(picture, chart without data, questions) of a window of a random chart."""
    for _ in range(20):
        drawn, chart, _ = store.opened().anyone(rng, split)
        if drawn.runs is None or drawn.pixels.shape[0] < height or drawn.pixels.shape[1] < width:
            continue
        held = window(rng, drawn, chart, width, height)
        if held:
            break
    else:
        need(False)
    x, y, found = held
    pixels = drawn.pixels[y : y + height, x : x + width]
    runs = [(b.text, [v - x for v in b.xs], [v - y for v in b.ys]) for b in found]
    patches = [
        (n, px - x, py - y)
        for n, px, py in drawn.patches
        if 0 <= px - x < width and 0 <= py - y < height
    ]
    texts = [b.text for b in reading_order(found)]
    ask, asked = Asker(rng, chart), []
    if len(texts) > 1 or texts[0] != chart.title:
        asked.append(ask.make("read_text", "\n".join(texts)))
    if chart.title and chart.title in texts:
        asked.append(ask.title())
    if chart.x_title != chart.y_title:
        for form, text in axes_of(chart):
            if text and texts.count(text) == 1:
                asked.append(ask.make(form, text))
    return store.Drawn(pixels, runs, patches), Chart("strip", "", texts, [""], []), asked
