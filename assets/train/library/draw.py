"""Draws charts with real libraries into a folder: PNGs and charts.jsonl.

    python -m library.draw --out DIR --n 100 --split train --seed 1 --libraries matplotlib,seaborn
    python -m library.draw --out DIR --n 210 --split test --libraries all      questions.jsonl, too
    python -m library.draw --sheet FILE.png --out DIR                          a sheet of a folder

A library that is not installed is left out with a message. A seed gives the same charts.
"""

import argparse
import dataclasses
import importlib
import json
import os
import sys
import time

import numpy as np
from PIL import Image

from library import questions, shades
from library.spec import LIBRARIES, Unfit, spec_of

MODULES = {
    "matplotlib": "draw_mpl",
    "seaborn": "draw_sns",
    "plotly": "draw_plotly",
    "vega": "draw_vega",
    "gnuplot": "draw_gnuplot",
    "ggplot2": "draw_ggplot",
    "calc": "draw_calc",
}
ATTEMPTS = 12


def drawer_of(library):
    """The module that draws with a library, or None with a message."""
    try:
        module = importlib.import_module(f"library.{MODULES[library]}")
        getattr(module, "ready", lambda: None)()
        return module
    except (ImportError, OSError, RuntimeError) as e:
        print(f"draw: {library} is left out: {e}", file=sys.stderr)
        return None


def one_by_one(module, seeds, split, library):
    """(spec, picture) of every seed for which an attempt is fit to read."""
    for seed in seeds:
        for attempt in range(ATTEMPTS):
            spec = spec_of(seed, split, library, attempt)
            try:
                yield spec, module.draw(spec)
                break
            except Unfit:
                continue


def few_colours(image):
    """The picture with a palette of at most 256 colours, exact where it has no more."""
    exact = image.getcolors(256)
    method = Image.Quantize.FASTOCTREE if exact else Image.Quantize.MEDIANCUT
    if exact:
        return image.convert("P", palette=Image.Palette.ADAPTIVE, colors=len(exact))
    return image.quantize(256, method, dither=Image.Dither.NONE)


def row_of(spec, picture, name, image):
    """What charts.jsonl says of a picture. Colours that are not seen lose their names."""
    pixels = np.asarray(image.convert("RGB"))
    places = shades.patches(pixels, picture.shades)
    seen = {name for name, _, _ in places}
    chart = dataclasses.asdict(spec.chart)
    chart["colours"] = [c if c in seen else "" for c in spec.chart.colours or ()]
    chart["colour_of"] = chart["colour_of"] if any(chart["colours"]) else ""
    return {
        "file": name,
        "library": spec.library,
        "kind": spec.chart.kind,
        "width": image.width,
        "height": image.height,
        "split": spec.split,
        "seed": spec.seed,
        "chart": chart,
        "runs": picture.runs,
        "patches": places,
    }


def draw_library(library, seeds, split, out, rows):
    """Draws all seeds with one library: how many pictures there are."""
    module = drawer_of(library)
    if module is None:
        return 0
    drawn, begin = 0, time.monotonic()
    source = getattr(module, "draw_many", None)
    source = source(seeds, split) if source else one_by_one(module, seeds, split, library)
    for spec, picture in source:
        name = f"{library}-{spec.seed:06d}.png"
        image = few_colours(picture.image)
        image.save(os.path.join(out, name), optimize=True)
        rows.write(json.dumps(row_of(spec, picture, name, image), ensure_ascii=False) + "\n")
        drawn += 1
        if drawn % 100 == 0:
            rows.flush()
            rate = drawn / (time.monotonic() - begin)
            print(f"draw: {library} {drawn}, {rate:.1f} a second", flush=True)
    seconds = time.monotonic() - begin
    print(
        f"draw: {library}: {drawn} of {len(seeds)} in {seconds:.0f} s, "
        f"{drawn / seconds:.1f} a second"
    )
    return drawn


def sheet(out, path, columns=4, most=24, width=480, library=None):
    """A picture of many of a folder."""
    with open(os.path.join(out, "charts.jsonl"), encoding="utf-8") as f:
        found = [json.loads(line) for line in f]
    found = [r for r in found if library in (None, r["library"])][:most]
    cells = []
    for r in found:
        image = Image.open(os.path.join(out, r["file"])).convert("RGB")
        image.thumbnail((width, width * 3 // 4))
        cell = Image.new("RGB", (width + 4, width * 3 // 4 + 4), (128, 128, 128))
        cell.paste(image, (2, 2))
        cells.append(cell)
    rows = -(-len(cells) // columns)
    whole = Image.new("RGB", (columns * cells[0].width, rows * cells[0].height))
    for k, cell in enumerate(cells):
        whole.paste(cell, (k % columns * cell.width, k // columns * cell.height))
    whole.save(path)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--out", required=True)
    p.add_argument("--n", type=int, default=100, help="charts of all libraries together")
    p.add_argument("--split", choices=("train", "test"), default="train")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--libraries", default="all", help=f"some of {','.join(LIBRARIES)}")
    p.add_argument("--each", type=int, default=5, help="questions about a chart of the test split")
    p.add_argument("--sheet", help="write a sheet of what is in --out there instead")
    args = p.parse_args()
    if args.sheet:
        sheet(args.out, args.sheet, library=None if args.libraries == "all" else args.libraries)
        return
    libraries = LIBRARIES if args.libraries == "all" else args.libraries.split(",")
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "charts.jsonl")
    with open(path, "w", encoding="utf-8") as rows:
        for k, library in enumerate(libraries):
            count = args.n // len(libraries) + (k < args.n % len(libraries))
            first = args.seed * 100000
            draw_library(library, range(first, first + count), args.split, args.out, rows)
    if args.split == "test":
        print(questions.write(args.out, args.each), "questions")


if __name__ == "__main__":
    main()
