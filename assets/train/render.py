"""Writes pictures and questions of the held-out or the training split, or a sheet to look at.

python render.py --set test --n 2000 --out DIR     n questions: DIR/*.png and DIR/questions.jsonl
python render.py --sheet FILE.png --kinds vbar,pie --size 384x288
"""

import argparse
import json
import os

import numpy as np
from PIL import Image

import fonts
from axes import DoesNotFit
from looks import LOOKS
from sample import draw_sample
from scene import WEIGHTS, scene_of

# (weight in 32nds, maker, size) of the pictures for a model of that size; those that are not
# multiples of 32 are resized by the model's processor
_TEST = {
    "base": [
        (6, "one", (384, 256)),
        (4, "one", (320, 320)),
        (4, "one", (512, 384)),
        (3, "one", (640, 448)),
        (2, "one", (384, 512)),
        (1, "one", (1024, 768)),
        (2, "one", (500, 375)),
        (1, "one", (730, 410)),
        (4, "text", (384, 256)),
        (4, "two", (320, 256)),
        (1, "two", (512, 384)),
    ],
    "small": [
        (8, "one", (320, 224)),
        (6, "one", (384, 256)),
        (3, "one", (256, 256)),
        (3, "one", (288, 288)),
        (2, "one", (384, 288)),
        (2, "one", (350, 240)),
        (4, "text", (320, 224)),
        (4, "two", (320, 224)),
    ],
    "large": [(32, "one", (1280, 832))],
    "usual": [
        (14, "one", (640, 480)),
        (4, "one", (480, 480)),
        (4, "one", (512, 384)),
        (4, "one", (704, 448)),
        (4, "one", (800, 608)),
        (1, "one", (1024, 640)),
        (1, "one", (1216, 800)),
    ],
}
TEST_SEED = 10**9  # training seeds are strings of another split: no number can meet


def write_set(split, n, out, each, model="small", seed=0):
    """n questions, `each` at most about one sample: (questions, samples) written to the folder out.
    Seeds that are further apart than there are samples give sets without a sample in common."""
    os.makedirs(out, exist_ok=True)
    plan = [(maker, size) for weight, maker, size in _TEST[model] for _ in range(weight)]
    written, seed, samples = 0, TEST_SEED + seed, 0
    with open(f"{out}/questions.jsonl", "w", encoding="utf-8") as f:
        while written < n:
            maker, (width, height) = plan[seed * 11 % len(plan)]
            seed += 1
            try:
                sample = draw_sample(seed, split, maker, width, height, each)
            except DoesNotFit:
                continue
            names = []
            for k, canvas in enumerate(sample.canvases):
                names.append(f"{samples:03d}{'ab'[k] if len(sample.canvases) > 1 else ''}.png")
                Image.fromarray(canvas.pixels).save(f"{out}/{names[-1]}", optimize=True)
            for text in sample.texts:
                with open(f"{out}/{samples:03d}.txt", "w", encoding="utf-8") as note:
                    note.write(text)
            for q in sample.questions[: n - written]:
                row = {"image": names[0] if len(names) == 1 else names}
                if sample.texts:
                    row["texts"] = sample.texts
                row.update(question=q.text, answer=q.answer, category=q.category, kind=sample.kind)
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
            samples += 1
    return written, samples


def sheet(path, kinds, width, height, columns, split, seed, look):
    """A picture of many: one row a kind."""
    rows = []
    for kind in kinds:
        row = []
        for k in range(columns):
            cell = np.full((height + 6, width + 6, 3), 128, np.uint8)
            scene = scene_of(seed + k, split, width, height, kind, look)
            cell[:height, :width] = scene.canvas.pixels
            row.append(cell)
        rows.append(np.concatenate(row, 1))
    Image.fromarray(np.concatenate(rows)).save(path)


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--set", choices=("test", "train"), default="test")
    p.add_argument("--n", type=int, default=2000, help="questions")
    p.add_argument("--each", type=int, default=4, help="questions of one sample")
    p.add_argument("--out")
    p.add_argument("--model", choices=tuple(_TEST), default="small", help="whose size of pictures")
    p.add_argument("--fonts", help="a folder with fonts beside the system's")
    p.add_argument("--sheet", help="write a sheet of pictures there instead")
    p.add_argument("--kinds", default=",".join(WEIGHTS))
    p.add_argument("--size", default="384x288")
    p.add_argument("--look", choices=(*LOOKS, "own"), help="of the charts of a sheet")
    p.add_argument("--columns", type=int, default=5)
    p.add_argument("--seed", type=int, default=0, help="of the sheet, or of another set")
    args = p.parse_args()
    fonts.add_folder(args.fonts)
    if args.sheet:
        width, height = map(int, args.size.split("x"))
        kinds = args.kinds.split(",")
        sheet(args.sheet, kinds, width, height, args.columns, args.set, args.seed, args.look)
    elif args.out:
        print(
            "%d questions about %d samples"
            % write_set(args.set, args.n, args.out, args.each, args.model, args.seed)
        )
    else:
        p.error("--out or --sheet is needed")


if __name__ == "__main__":
    main()
