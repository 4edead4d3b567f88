"""Lines of text that are composed where the model is trained, from masks of characters drawn before.

Workers draw some hundred pictures of lines a second; a tower alone reads thousands on a GPU. Here the
masks of characters in many faces lie in one array of bytes, phrases in another, and a batch is put
together with tensor operations alone: pages, faces, places, words, blending, loss of sharpness, JPEG,
and the targets that pack.py makes of pictures that workers draw. It runs on a CPU, too.

    python atlas.py --tokenizer DIR --out FILE --faces 600     draws the masks, cuts the phrases
    python atlas.py --tokenizer DIR --atlas FILE --sheet PNG   shows a batch and says how fast it is
"""

import argparse
import os
import random
import time

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch

import drills
import fonts
from fonts import PAD, PHASES
from pack import CELL_H, CELL_W, CELLS, CHARACTERS, GLYPH
from soften import soften
from style import Style, type_size

LONGEST = 40  # characters of a phrase
MOST = 24  # its tokens
SIZES = 7, (14, 14, 24, 40)  # of type: the least, and the most, one of them at random


def _draw_face(face, data, table):
    """Adds the masks of a face: (advances, indices [characters, PHASES] into table)."""
    index = np.zeros((len(CHARACTERS), PHASES), np.int32)
    for k, c in enumerate(CHARACTERS):
        for phase in range(1 if face.whole else PHASES):
            mask = face._draw(c, phase, 0)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if not len(rows):
                continue
            y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
            index[k, phase] = len(table)
            offset = table[-1][0] + table[-1][1] * table[-1][2]
            table.append((offset, x1 - x0, y1 - y0, x0 - PAD, y0 - face.ascent))
            data.append(mask[y0:y1, x0:x1].reshape(-1))
    return [face.advance(c) for c in CHARACTERS + " "], index


def _faces(rng, split, n, data, table):
    """n random faces of a split, as arrays by face."""
    found = {name: [] for name in ("advance", "index", "cap", "height", "whole", "size")}
    names = []
    for _ in range(n):
        mode = rng.choice(fonts.MODES)
        size = type_size(rng, mode, SIZES[0], rng.choice(SIZES[1]))
        stretch = 1.0 if split == "test" else rng.choice(fonts.STRETCHES)
        named = fonts.choose(rng, split), rng.random() < 0.25, size, stretch, mode
        face = fonts.face(*named)
        advance, index = _draw_face(face, data, table)
        values = advance, index, face.cap, face.height, face.whole, face.size
        for name, value in zip(found, values):
            found[name].append(value)
        names.append(named)
    return {k: np.asarray(v) for k, v in found.items()}, names


def _phrases(rng, split, n, tokens):
    """n phrases of drills: characters [n, LONGEST] (0: none), tokens [n, MOST, 3]: id, first, last."""
    code = {c: k + 1 for k, c in enumerate(CHARACTERS + " ")}
    letters, marks = np.zeros((n, LONGEST), np.uint8), np.full((n, MOST, 3), -1, np.int16)
    k = 0
    while k < n:
        text = drills._phrase(rng, split)
        spans = tokens.spans(text)
        if len(text) > LONGEST or len(spans) > MOST or any(c not in code for c in text):
            continue
        letters[k, : len(text)] = [code[c] for c in text]
        marks[k, : len(spans)] = [(i, a, min(b, len(text) - 1)) for i, a, b in spans]
        k += 1
    return letters, marks


def draw(seed, split, tokens, faces=600, phrases=100000):
    """The arrays of an atlas. They depend on the arguments and the installed fonts alone."""
    rng = random.Random(f"atlas/{split}/{seed}")
    data, table = [np.zeros(0, np.uint8)], [(0, 0, 0, 0, 0)]
    found, names = _faces(rng, split, faces, data, table)
    found["letters"], found["marks"] = _phrases(rng, split, phrases, tokens)
    looks = [Style(rng, split, 256, 192) for _ in range(400)]
    found["colours"] = np.asarray([(s.page, s.ink, s.faint) for s in looks], np.uint8)
    found["masks"], found["table"] = np.concatenate(data), np.asarray(table, np.int32)
    found["names"] = np.asarray([repr(n) for n in names])
    return found


class Atlas:
    """The arrays of `draw` on a device, and batches of lines from them."""

    def __init__(self, arrays, device, seed=1):
        self.device = torch.device(device)
        self.names = [str(n) for n in arrays["names"]]
        for name in arrays:
            if name != "names":
                setattr(self, name, torch.from_numpy(np.ascontiguousarray(arrays[name])).to(device))
        self.advance, self.cap = self.advance.double(), self.cap.double()
        self.height, self.table, self.index = (
            self.height.long(),
            self.table.long(),
            self.index.long(),
        )
        self.glyph = torch.tensor([0] + [GLYPH[c] for c in CHARACTERS] + [0], device=device)
        self.length = (self.letters > 0).sum(1)
        self.blank = len(CHARACTERS) + 1
        self.random = torch.Generator(self.device).manual_seed(seed)

    def _integers(self, high, *shape):
        return torch.randint(high, shape, generator=self.random, device=self.device)

    def _uniform(self, *shape):
        return torch.rand(shape, generator=self.random, device=self.device)

    def _lines(self, n, width, height):
        """Lines of n pictures: dict of tensors [lines]: picture, face, top, base (y of the baseline),
        faint. Each picture has a face or two."""
        own = self._integers(len(self.names), n, 2)
        rows = height // int(self.height.min()) + 1
        rows = min(rows, 40)
        other = (self._uniform(n, rows) < 0.25).long()
        face = own.gather(1, other)
        gap = 1 + self._integers(8, n, rows)
        tall = self.height[face]
        top = 1 + self._integers(6, n, 1) + (tall + gap).cumsum(1) - tall - gap
        kept = top + tall <= height
        picture = torch.arange(n, device=self.device)[:, None].expand(n, rows)
        base = torch.round(top + tall / 2 + self.cap[face] / 2).long()
        faint = self._uniform(n, rows) < 0.33
        values = picture, face, top, base, faint
        return {k: v[kept] for k, v in zip(("picture", "face", "top", "base", "faint"), values)}

    def _widths(self, face, phrase):
        """Widths in pixels of phrases [..] in faces [..]."""
        letters = self.letters[phrase].long()
        advance = torch.cat((self.advance.new_zeros(len(self.names), 1), self.advance), 1)
        return advance[face[..., None], letters].sum(-1)

    def _words(self, lines, width, tries=4):
        """Phrases for lines, from left to right until no more fit: (line, phrase, x) of each."""
        face = lines["face"]
        at = 2 + self._uniform(len(face)).double() ** 2 * (width * 0.5)
        found = []
        for _ in range(max(2, width // 120)):
            phrase = self._integers(len(self.letters), len(face), tries)
            wide = self._widths(face[:, None].expand_as(phrase), phrase)
            fits = at[:, None] + wide <= width - 2
            pick = fits.double().argmax(1, keepdim=True)
            use = fits.gather(1, pick)[:, 0]
            line = use.nonzero()[:, 0]
            x = torch.floor(at[use] * PHASES + 0.5) / PHASES
            x = torch.where(self.whole[face[use]], x.floor(), x)
            found.append((line, phrase.gather(1, pick)[use, 0], x))
            step = wide.gather(1, pick)[:, 0] + 8 + self._uniform(len(face)) * 40
            at = torch.where(use, at + step, at + 5)
        return [torch.cat(parts) for parts in zip(*found)]

    def _characters(self, face, phrase, x):
        """Of each phrase [P, LONGEST]: letters, x of their centres, column and phase of their pens."""
        letters = self.letters[phrase].long()
        wide = torch.where(
            letters > 0, self.advance[face[:, None], (letters - 1).clamp(min=0)], 0.0
        )
        start = x.floor()
        # sums from left to right, as Face.mask and Canvas.text make them
        left, pen = (torch.cat((v[:, None], wide), 1).cumsum(1)[:, :-1] for v in (x, x - start))
        fine = torch.floor(pen * PHASES + 0.5).long()
        whole = self.whole[face][:, None]
        column = torch.where(whole, torch.round(pen).long(), fine // PHASES) + start[:, None].long()
        phase = torch.where(whole, 0, fine % PHASES)
        return letters, left + wide / 2, column, phase

    def _cover(self, shape, picture, mask, x, y):
        """How much of each pixel [n, height, width] is covered (0 to 255) by masks with pens at x, y."""
        offset, w, h, dx, dy = self.table[mask].T
        area = w * h
        which = torch.repeat_interleave(torch.arange(len(mask), device=self.device), area)
        within = torch.arange(len(which), device=self.device) - (area.cumsum(0) - area)[which]
        w = w[which]
        row, column = within // w + (y + dy)[which], within % w + (x + dx)[which]
        n, height, width = shape
        good = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = (picture[which] * height + row) * width + column
        value = self.masks[offset[which] + within].float()
        cover = torch.zeros(n * height * width, device=self.device)
        cover.index_add_(0, place[good], value[good])
        return cover.clamp_(max=255).view(shape)

    def _paint(self, shape, lines, cover):
        """uint8 [n, height, width, 3]: ink on pages."""
        n, height, _ = shape
        colours = self.colours[self._integers(len(self.colours), n)].float()  # page, ink, faint
        page, ink = colours[:, 0, None, None], colours[:, 1, None].repeat(1, height, 1)
        picture, top = lines["picture"][lines["faint"]], lines["top"][lines["faint"]]
        tall = self.height[lines["face"][lines["faint"]]]
        step = torch.zeros(n, height + 1, device=self.device)
        step.index_put_((picture, top), torch.ones_like(top).float(), accumulate=True)
        step.index_put_((picture, top + tall), -torch.ones_like(top).float(), accumulate=True)
        faint = step.cumsum(1)[:, :height, None] > 0
        ink = torch.where(faint, colours[:, 2, None], ink)[:, :, None]
        return (page + (ink - page) * (cover / 255)[..., None] + 0.5).to(torch.uint8)

    def _targets(self, shape, picture, phrase, letters, xs, middle):
        """glyphs [n, rows, CELLS], word_row, word_id: what pack.glyph_cells and word_cells give."""
        n, height, width = shape
        rows = height // 32 * (width // 32)
        x, y = xs.floor().long(), middle.floor().long()[:, None].expand(xs.shape)
        good = (letters > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        row = picture[:, None] * rows + y // 32 * (width // 32) + x // 32
        cell = row * CELLS + y % 32 // CELL_H * (32 // CELL_W) + x % 32 // CELL_W
        inked = good & (letters != self.blank)
        key = torch.arange(letters.numel(), device=self.device).view(letters.shape) * 256
        key = key + self.glyph[letters]  # of two characters in a cell, the later one is meant
        held = torch.zeros(n * rows * CELLS, dtype=torch.long, device=self.device)
        held.scatter_reduce_(0, cell[inked], key[inked], "amax")
        ids, first, last = self.marks[phrase].long().unbind(-1)
        ends = [(ids >= 0) & good.gather(1, e.clamp(min=0)) for e in (first, last)]
        a, b = (row.gather(1, e.clamp(min=0)) for e in (first, last))
        ends[1] &= ~(ends[0] & (a == b))
        word_row = torch.cat((a[ends[0]], b[ends[1]]))
        word_id = torch.cat((ids[ends[0]], ids[ends[1]]))
        return (held & 255).view(n, rows, CELLS), word_row, word_id

    @torch.no_grad()
    def compose(self, n, width, height, soft=True):
        """(a batch as of pack, for the tower alone; what is written: [(picture, face, phrase, x, y of
        the baseline)] as tensors)."""
        shape = n, height, width
        lines = self._lines(n, width, height)
        line, phrase, x = self._words(lines, width)
        order = torch.argsort(line, stable=True)
        line, phrase, x = line[order], phrase[order], x[order]
        picture, face, base = (lines[k][line] for k in ("picture", "face", "base"))
        letters, xs, column, phase = self._characters(face, phrase, x)
        inked = (letters > 0) & (letters != self.blank)
        mask = self.index[
            face[:, None].expand(letters.shape)[inked], letters[inked] - 1, phase[inked]
        ]
        wide = lambda v: v[:, None].expand(letters.shape)[inked]
        cover = self._cover(shape, wide(picture), mask, column[inked], wide(base))
        images = self._paint(shape, lines, cover)
        middle = base - self.cap[face] / 2
        glyphs, row, ids = self._targets(shape, picture, phrase, letters, xs, middle)
        none = torch.zeros(0, dtype=torch.long, device=self.device)
        batch = {
            "images": soften(images, self.random) if soft else images,
            "glyphs": glyphs,
            "word_row": row,
            "word_id": ids,
            "shade_row": none,
            "shade": none,
            "shade_id": none,
            "where": none,
        }
        return batch, (picture, face, phrase, x, base)

    def text(self, phrase):
        """The string of a phrase."""
        return "".join((CHARACTERS + " ")[k - 1] for k in self.letters[phrase].tolist() if k)


def load(path, device, seed=1):
    """The Atlas of a file."""
    with np.load(path) as held:
        return Atlas(dict(held), device, seed)


def _show(atlas, path):
    """Writes a sheet of pictures and says how many words are made in a minute."""
    from PIL import Image

    for width, height, n in ((160, 128, 256), (384, 256, 64), (640, 480, 16)):
        words, best = 0, 1e9
        for _ in range(4):
            begin = time.perf_counter()
            batch, (_, _, phrase, _, _) = atlas.compose(n, width, height)
            if atlas.device.type == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - begin)
            blanks = (atlas.letters[phrase] == atlas.blank).sum()
            words = int(blanks) + len(phrase)
        rate = 60 * words / best
        print(
            f"{n} of {width} x {height}: {n / best:,.0f} pictures a second, {rate:,.0f} words a minute"
        )
    images = batch["images"][:4].cpu().numpy()
    Image.fromarray(np.concatenate([np.concatenate(images[k : k + 2], 1) for k in (0, 2)])).save(
        path
    )


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--tokenizer", help="a folder with tokenizer.json")
    p.add_argument("--out", help="where the atlas is written")
    p.add_argument("--faces", type=int, default=600)
    p.add_argument("--phrases", type=int, default=100000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--fonts", help="a folder with fonts beside the system's")
    p.add_argument("--atlas", help="an atlas that is shown")
    p.add_argument("--sheet", default="atlas.png")
    args = p.parse_args()
    fonts.add_folder(args.fonts)
    if args.out:
        import tokens as tokens_

        held = draw(args.seed, "train", tokens_.load(args.tokenizer), args.faces, args.phrases)
        np.savez_compressed(args.out, **held)
        masks = len(held["masks"]) / 2**20
        print(
            f"{len(held['table']):,} masks, {masks:.1f} MiB, in the file {os.path.getsize(args.out) / 2**20:.1f}"
        )
    if args.atlas:
        _show(load(args.atlas, "cuda" if torch.cuda.is_available() else "cpu"), args.sheet)


if __name__ == "__main__":
    main()
