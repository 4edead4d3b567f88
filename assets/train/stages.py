"""What is trained when: shares of the time, and in each stage what batches are made of.

The order is what a feasibility study found: characters first, looking up in plain text, then labels
in small pictures, then charts, then large charts. Everything learnt stays in the mix.
"""

import dataclasses
import random

from feed import SLOT, Job


@dataclasses.dataclass
class Stage:
    """share of the time; mix: (weight, maker, sizes, flags); weights of the extra losses."""

    name: str
    share: float
    mix: list
    glyph: float
    word: float


_DRILL = ((128, 96), (160, 96), (160, 128), (192, 128))
_SMALL = ((256, 192), (288, 192), (256, 224))
_CHART = ((256, 256), (320, 224), (288, 288), (384, 256), (320, 256))
_MEDIUM = ((384, 288), (640, 480), (640, 480), (480, 480), (512, 384), (384, 512), (704, 448))
_LARGE = ((640, 480), (800, 608), (1024, 640), (1216, 800), (512, 768), (768, 512), (1024, 768))
_CROP = ((256, 192), (320, 224))  # windows of pictures as large as those of _MEDIUM
_TWO = ((256, 224), (320, 224))
_TINY = ((96, 64), (128, 64), (128, 96))

STAGES = [
    Stage(
        "glyphs",
        0.12,
        [
            (5, "lines", _DRILL, "tower"),
            (3, "lines", _SMALL, "tower"),
            (2, "pairs", _SMALL, "tower"),
            (2, "crop", _CROP, "tower"),
            (4, "recall", (), ""),
        ],
        1.0,
        0.2,
    ),
    Stage(
        "labels",
        0.18,
        [
            (2, "lines", _DRILL, ""),
            (5, "pairs", _DRILL, ""),
            (3, "pairs", _SMALL, ""),
            (2, "pairs", _SMALL, "ideal"),
            (2, "one", _CHART, "ideal"),
            (3, "recall", (), ""),
        ],
        0.3,
        0.2,
    ),
    Stage(
        "charts",
        0.32,
        [
            (12, "one", _CHART, ""),
            (3, "pairs", _SMALL, ""),
            (1, "lines", _SMALL, ""),
            (1, "one", _CHART, "ideal"),
            (1.5, "text", _CHART, ""),
            (1, "two", _CHART, ""),
            (1.5, "recall", (), ""),
        ],
        0.2,
        0.1,
    ),
    Stage(
        "pages",
        0.26,
        [
            (12, "one", _MEDIUM, ""),
            (3, "one", _CHART, ""),
            (2.5, "text", _MEDIUM, ""),
            (2, "two", _CHART, ""),
            (1, "pairs", _SMALL, ""),
            (0.7, "recall", (), ""),
        ],
        0.1,
        0.05,
    ),
    Stage(
        "large",
        0.12,
        [
            (6, "one", _LARGE, ""),
            (4, "one", _MEDIUM, ""),
            (2, "text", _MEDIUM, ""),
            (2, "two", _MEDIUM, ""),
            (0.5, "recall", (), ""),
        ],
        0.05,
        0.02,
    ),
]
# The same with pictures that two cores can take. The tower alone is cheap there and reads many times
# as many pictures: it gets half of the time at first, a quarter at last. Charts come early.
SMALL = [
    Stage(
        "glyphs",
        0.20,
        [
            (5, "lines", _DRILL, "tower"),
            (3, "lines", _SMALL, "tower"),
            (3, "pairs", _SMALL, "tower"),
            (4, "one", _CHART, "tower"),
            (2, "crop", _CROP, "tower"),
            (3, "recall", (), "easy"),
        ],
        1.0,
        0.5,
    ),
    Stage(
        "labels",
        0.20,
        [
            (6, "recall", (), "easy"),
            (6, "pairs", _DRILL, "easy"),
            (2, "pairs", _SMALL, "easy"),
            (1.5, "one", _CHART[:2], "easy"),
            (2, "lines", _SMALL, "tower"),
            (4, "pairs", _SMALL, "tower"),
            (4, "one", _CHART, "tower"),
            (2, "crop", _CROP, "tower"),
        ],
        1.0,
        0.3,
    ),
    Stage(
        "charts",
        0.35,
        [
            (6, "one", _SMALL, "easy"),
            (7, "one", _CHART, "easy"),
            (3, "pairs", _DRILL, "easy"),
            (1.5, "text", _CHART, "easy"),
            (0.7, "two", _TWO, "easy"),
            (1.5, "recall", (), "easy"),
            (1, "lines", _DRILL, "tower"),
            (4, "lines", _SMALL, "tower"),
            (2, "one", _SMALL, "tower"),
            (5, "one", _CHART, "tower"),
            (3, "crop", _CROP, "tower"),
            (2, "pairs", _SMALL, "tower"),
        ],
        1.0,
        0.3,
    ),
    Stage(
        "pages",
        0.25,
        [
            (5, "one", _SMALL, "easy"),
            (9, "one", _CHART, "easy"),
            (2, "text", _CHART, "easy"),
            (0.8, "two", _TWO, "easy"),
            (2, "pairs", _DRILL, "easy"),
            (1.5, "recall", (), "easy"),
            (2.5, "lines", _SMALL, "tower"),
            (1, "one", _SMALL, "tower"),
            (4, "one", _CHART, "tower"),
            (3, "crop", _CROP, "tower"),
            (1, "pairs", _SMALL, "tower"),
        ],
        1.0,
        0.3,
    ),
]
# And for one core, to try everything out.
TINY = [
    Stage("glyphs", 0.25, [(2, "lines", _TINY, "tower"), (1, "recall", (), "")], 1.0, 0.2),
    Stage(
        "labels",
        0.25,
        [(2, "pairs", _DRILL, ""), (1, "pairs", _DRILL, "ideal"), (1, "recall", (), "")],
        0.3,
        0.2,
    ),
    Stage("charts", 0.25, [(1, "one", _CHART, "")], 0.2, 0.1),
    Stage("pages", 0.15, [(1, "text", _CHART, ""), (1, "two", _CHART, "")], 0.1, 0.05),
    Stage("large", 0.10, [(1, "one", _MEDIUM, "")], 0.05, 0.02),
]


def stage_at(stages, done):
    """Index of the stage when `done` (0..1) of the time is over."""
    for k, stage in enumerate(stages):
        done -= stage.share
        if done < 0:
            return k
    return len(stages) - 1


class Plan:
    """Gives the jobs of a run. index counts batches; a job depends on seed, stage and index alone."""

    def __init__(self, stages, seed, rows, index=0):
        self.stages, self.seed, self.rows, self.index = stages, seed, rows, index
        self.stage = 0
        self.tests = []

    def __call__(self):
        if self.tests:
            return self.tests.pop(0)
        rng = random.Random(f"plan/{self.seed}/{self.stage}/{self.index}")
        stage = self.stages[self.stage]
        _, maker, sizes, flag = rng.choices(stage.mix, [m[0] for m in stage.mix])[0]
        width, height = rng.choice(sizes) if sizes else (0, 0)
        visual = width * height // 1024 * (2 if maker == "two" else 1)
        each = visual * (4 if flag == "tower" else 1.6) + (0 if flag == "tower" else 190)
        count = max(2, int(self.rows / each))
        first = (self.seed * 10**6 + self.index) * 4096
        self.index += 1
        fits = int(0.85 * SLOT / (3 * width * height * (2 if maker == "two" else 1) + 8192))
        return Job(
            maker,
            width,
            height,
            min(count, fits, 768),
            first,
            8,
            "train",
            None,
            self.stage,
            flag == "ideal",
            flag != "tower",
            easy=flag == "easy",
        )


def test_jobs(scale=1.0, largest=1024):
    """The held-out batches of an evaluation during training."""
    wanted = [
        ("one", 384, 256, 48),
        ("one", 320, 320, 32),
        ("one", 640, 448, 32),
        ("pairs", 224, 160, 24),
        ("two", 320, 256, 24),
        ("text", 320, 256, 32),
        ("one", 1024, 768, 8),
    ]
    return [
        Job(
            maker,
            w,
            h,
            min(max(2, int(n * scale)), 24),
            10**12 + 100 * i + 24 * k,
            8,
            "test",
            named=True,
        )
        for i, (maker, w, h, n) in enumerate(wanted)
        if w <= largest
        for k in range(max(1, round(n * scale / 24)))
    ]
