"""Samples to arrays: one prompt a sample, its questions behind each other, each trained as if alone.

The rows of a prompt are the context (images and texts) and then the questions with their answers.
Segment 0 is the context, segment j the j-th question; a row sees the context and its own segment,
and every question begins at the same position. That is what one question alone would see.
"""

import numpy as np

from style import NAMES

CHARACTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    ".,%-$€£:;()/+&'\"=?!#*"
    "°–—[]<>@_|~^{}\\×²³µ·©’“”¥éèêëáàâäãåíìîïóòôöõøúùûüñçßæÉÖÜÄØÅ"
)
GLYPH = {c: i + 1 for i, c in enumerate(CHARACTERS)}
GLYPHS = len(CHARACTERS) + 1  # class 0: nothing there
UNKNOWN = 255  # in a cell: nobody recorded what is written there
CELL_W, CELL_H = (
    4,
    8,
)  # of a glyph's cell: so small that hardly two characters have their centre in one
CELLS = 32 // CELL_W * (32 // CELL_H)  # of a visual row
MAX_TEXT = 1024


def glyph_cells(canvas):
    """uint8 [rows, CELLS]: the character whose centre is in each cell of a visual row, row by row.
    UNKNOWN where the canvas has no record of its strings."""
    height, width = canvas.pixels.shape[:2]
    cells = np.zeros((height // 32 * (width // 32), CELLS), np.uint8)
    if canvas.runs is None:
        cells[:] = UNKNOWN
    for text, xs, ys in [*(canvas.runs or ()), *getattr(canvas, "loose", ())]:
        for c, x, y in zip(text, xs, ys):
            if c != " " and 0 <= x < width and 0 <= y < height:
                x, y = int(x), int(y)
                cell = y % 32 // CELL_H * (32 // CELL_W) + x % 32 // CELL_W
                cells[y // 32 * (width // 32) + x // 32, cell] = GLYPH.get(c, 0)
    return cells


def word_cells(canvas, tokens):
    """[(visual row, token)]: where the tokens of all strings begin and end."""
    height, width = canvas.pixels.shape[:2]
    found = []
    for text, xs, ys in canvas.runs or ():
        for token, first, last in tokens.spans(text):
            cells = set()
            for k in {first, min(last, len(xs) - 1)}:
                x, y = int(xs[k]), int(ys[k])
                if 0 <= x < width and 0 <= y < height:
                    cells.add(y // 32 * (width // 32) + x // 32)
            found += [(cell, token) for cell in sorted(cells)]
    return found


def colour_cells(canvas):
    """[(visual row, index in style.NAMES)]: where named colours are."""
    across = canvas.pixels.shape[1] // 32
    return [(y // 32 * across + x // 32, NAMES.index(name)) for name, x, y in canvas.patches]


class _Prompt:
    """Grows the rows of one prompt."""

    def __init__(self, tokens):
        self.tokens, self.ids, self.positions, self.segment, self.labels, self.image_rows = (
            tokens,
            [],
            [],
            [],
            [],
            [],
        )
        self.next = 0

    def text(self, ids, segment=0):
        for i in ids:
            self.ids.append(i)
            self.positions.append((self.next,) * 3)
            self.segment.append(segment)
            self.next += 1

    def image(self, gh, gw):
        """A grid of visual rows, gh x gw of them."""
        t = self.tokens
        self.text([t.vision_start])
        self.image_rows += range(len(self.ids), len(self.ids) + gh * gw)
        self.ids += [t.image] * (gh * gw)
        self.positions += [
            (self.next, self.next + y, self.next + x) for y in range(gh) for x in range(gw)
        ]
        self.segment += [0] * (gh * gw)
        self.next += max(gh, gw)
        self.text([t.vision_end])

    def question(self, number, question, answer):
        """A question and its answer; labels are (row, id that follows, question number)."""
        t, begin = self.tokens, self.next
        self.text(
            t.ids(question) + [t.end] + t.ids("\n") + [t.start] + t.ids("assistant\n"), number
        )
        wanted = t.ids(answer) + [t.end]
        first = len(self.ids) - 1
        self.labels += [(first + k, i, number) for k, i in enumerate(wanted)]
        self.text(wanted[:-1], number)
        self.next = begin


def prompt_of(sample, tokens):
    """The _Prompt of a sample."""
    p, t = _Prompt(tokens), tokens
    p.text([t.start] + t.ids("user\n"))
    if sample.texts_first:
        for text in sample.texts:
            p.text(t.ids(text))
    for canvas in sample.canvases:
        height, width = canvas.pixels.shape[:2]
        p.image(height // 32, width // 32)
    if not sample.texts_first:
        for text in sample.texts:
            p.text(t.ids(text))
    number, room = 0, MAX_TEXT
    for q in sample.questions:
        room -= len(t.ids(q.text)) + len(t.ids(q.answer)) + 8
        if room < 0:
            break
        number += 1
        p.question(number, q.text, q.answer)
    return p


def pack(samples, tokens, block=16, prompts=None):
    """A batch as a dict of arrays; its samples have as many images of the same size.

    Of N rows, prompt after prompt without padding: ids int32 [N], positions int16 [3, N], place int32
    [N] (where a row is in the padded form [B, T] that attention takes, flat); where int32 [I * n]:
    which are visual; label_row, label_id, label_question int32. Besides segment int16 [B, T] (-1:
    padding; T a multiple of `block`), images uint8 [I, H, W, 3], glyphs uint8 [I, n, CELLS], word_row,
    word_id int32, shade_row, shade int32 (index in shade_id), shade_id int32 (tokens of the colours).
    prompts: those of the samples, where they are known.
    """
    prompts = prompts or [prompt_of(s, tokens) for s in samples]
    longest = max(len(p.ids) for p in prompts)
    b, t = len(prompts), -(-longest // block) * block
    out = {
        "ids": np.concatenate([np.asarray(p.ids, np.int32) for p in prompts]),
        "positions": np.concatenate([np.asarray(p.positions, np.int16) for p in prompts]).T.copy(),
        "segment": np.full((b, t), -1, np.int16),
    }
    where, labels, base, first = [], [], 0, 0
    for k, p in enumerate(prompts):
        out["segment"][k, : len(p.ids)] = p.segment
        where += [first + r for r in p.image_rows]
        labels += [(first + r, i, base + number) for r, i, number in p.labels]
        base += max((q for _, _, q in p.labels), default=0)
        first += len(p.ids)
    out["place"] = np.flatnonzero(out["segment"].reshape(-1) >= 0).astype(np.int32)
    labels = np.asarray(labels, np.int32).reshape(-1, 3)
    out["label_row"], out["label_id"], out["label_question"] = labels.T.copy()
    canvases = [c for s in samples for c in s.canvases]
    if canvases:
        out["images"] = np.stack([c.pixels for c in canvases])
        out["where"] = np.asarray(where, np.int32)
        out["glyphs"] = np.stack([glyph_cells(c) for c in canvases])
        rows = out["glyphs"].shape[1]
        found = [
            (i * rows + cell, token)
            for i, c in enumerate(canvases)
            for cell, token in word_cells(c, tokens)
        ]
        out["word_row"], out["word_id"] = np.asarray(found, np.int32).reshape(-1, 2).T.copy()
        found = [
            (i * rows + cell, k) for i, c in enumerate(canvases) for cell, k in colour_cells(c)
        ]
        out["shade_row"], out["shade"] = np.asarray(found, np.int32).reshape(-1, 2).T.copy()
        out["shade_id"] = np.asarray([tokens.ids(name)[0] for name in NAMES], np.int32)
    return out


def categories(samples, prompts):
    """The category of every question of a batch, in the order of label_question (which counts from 1)."""
    return [
        q.category
        for s, p in zip(samples, prompts)
        for q in s.questions[: max((k for _, _, k in p.labels), default=0)]
    ]
