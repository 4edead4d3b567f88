"""Charts that library.draw wrote into folders, found by size, and samples made of them."""

import collections
import glob as glob_
import io
import json
import os

import numpy as np
from PIL import Image

from chart import Chart

VARIABLE = "VLQA_LIBRARY"  # folders where nobody opened others
_open = None  # (names of the folders, Store)


class Drawn:
    """What canvas.Canvas is to a trainer: pixels, runs (None: not known where text is), patches."""

    def __init__(self, pixels, runs, patches):
        self.pixels, self.runs, self.patches = pixels, runs, patches


def rounded(side):
    """The multiple of 32 that is nearest to a side."""
    return max(32, round(side / 32) * 32)


class Store:
    """An index of folders; lines of charts.jsonl are read when they are asked for."""

    def __init__(self, folders):
        self.rows = collections.defaultdict(list)  # (split, width, height): (path, offset, bytes)
        self.all = collections.defaultdict(list)  # split: the same of all sizes
        for folder in folders:
            path = os.path.join(folder, "charts.jsonl")
            offset = 0
            with open(path, "rb") as f:
                for line in f:
                    r = json.loads(line)
                    size = rounded(r["width"]), rounded(r["height"])
                    self.rows[r["split"], *size].append((path, offset, len(line)))
                    self.all[r["split"]].append((path, offset, len(line)))
                    offset += len(line)

    def sizes(self, split="train"):
        """{(width, height): charts}, sides rounded to what is trained on."""
        return {key[1:]: len(rows) for key, rows in sorted(self.rows.items()) if key[0] == split}

    def pick(self, rng, split, width, height):
        """A random chart drawn with that size: (Drawn, Chart, row)."""
        rows = self.rows.get((split, width, height))
        if not rows:
            raise ValueError(
                f"store: no {split} chart of {width} x {height} in {self.sizes(split)}"
            )
        return self._read(rng.choice(rows), width, height)

    def anyone(self, rng, split):
        """A random chart of any size, in its own pixels: (Drawn, Chart, row)."""
        if not self.all.get(split):
            raise ValueError(f"store: no {split} chart")
        return self._read(rng.choice(self.all[split]))

    def _read(self, place, width=None, height=None):
        path, offset, length = place
        with open(path, "rb") as f:
            f.seek(offset)
            row = json.loads(f.read(length))
        return load(os.path.dirname(path), row, width or row["width"], height or row["height"])


_decoded, _MOST = {}, 6000  # pictures by file, a byte a pixel, and how many of them are kept


def _decode(path):
    """A PNG as a PIL image with its palette; those that fit into memory are decoded once."""
    image = _decoded.get(path)
    if image is None:
        with open(path, "rb") as f:
            image = Image.open(io.BytesIO(f.read()))
        image.load()
        if image.mode == "P" and len(_decoded) < _MOST:
            _decoded[path] = image
    return image


def load(folder, row, width, height):
    """A stored chart as (Drawn, Chart, row), resized where its sides are no multiples of 32."""
    image = _decode(os.path.join(folder, row["file"])).convert("RGB")
    runs, patches = row["runs"], [tuple(p) for p in row["patches"]]
    if image.size != (width, height):
        sx, sy = width / image.width, height / image.height
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        runs = runs and [[t, [x * sx for x in xs], [y * sy for y in ys]] for t, xs, ys in runs]
        patches = [(n, min(x * sx, width - 1), min(y * sy, height - 1)) for n, x, y in patches]
    patches = [(n, int(x), int(y)) for n, x, y in patches]
    drawn = Drawn(np.asarray(image), runs and [tuple(r) for r in runs], patches)
    return drawn, Chart(**row["chart"]), row


def open_folders(folders):
    """Opens folders (a list, or a string with commas or wildcards) for all samples to come."""
    global _open
    if isinstance(folders, str):
        parts = [p for p in folders.split(",") if p]
        folders = sorted(f for p in parts for f in glob_.glob(p))
    folders = [f for f in folders if os.path.exists(os.path.join(f, "charts.jsonl"))]
    if not folders:
        raise FileNotFoundError("store: no folder with a charts.jsonl")
    if _open is None or _open[0] != folders:
        _open = folders, Store(folders)
    return _open[1]


def opened():
    """The Store of open_folders, or of the folders in the environment."""
    if _open is None:
        open_folders(os.environ.get(VARIABLE, ""))
    return _open[1]


def sizes(folders, split="train"):
    """{(width, height): charts} of folders."""
    return open_folders(folders).sizes(split)
