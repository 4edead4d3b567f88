"""What is trained when: shares of the time, and in each stage what batches are made of.

The order is what a feasibility study found: characters first, looking up in plain text, then labels
in small pictures, then charts, then large charts. Everything learnt stays in the mix.

A file of stages is JSON: {"stages": [{"name": "a", "share": 1, "glyph": 0.3, "word": 0.1, "mix":
[[2, "one", [[384, 256]], "easy"], [1, "library", {"tokens": [200, 400]}, ""]]}]}, perhaps with
"tests": [["one", 640, 480, 32]]. Sizes are a list, or limits of visual tokens (32 x 32 pixels each).
"""

import dataclasses
import json
import random

from feed import SLOT, Job
from library import store


@dataclasses.dataclass
class Stage:
    """share of the time; mix: (weight, maker, sizes, flag); weights of the extra losses.

    sizes: (width, height) of each, or {"tokens": (least, most)}. flag: "tower" (no decoder), "ideal",
    "easy" or none.
    """

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


def _tokens(least, most):
    return {"tokens": (least, most)}


def _widening(name, share, least, most, small, glyph, word):
    """A stage of CONTINUE: charts of some visual tokens; small: the weight of what is small."""
    sizes, easy = _tokens(least, most), (2, "one", _tokens(60, 150), "easy")
    mix = [
        (5, "one", sizes, "easy"),
        (7, "library", sizes, ""),
        (1.5, "one", sizes, "tower"),
        (2.5, "library", sizes, "tower"),
        (1.5, "lines", sizes if most < 400 else _tokens(100, 300), "tower"),
        (1, "text", _tokens(60, 150), "easy"),
        (0.6, "two", _TWO, "easy"),
    ]
    drills = [
        (1, "lines", _DRILL, "tower"),
        (1, "pairs", _SMALL, "easy"),
        (1, "recall", (), "easy"),
    ]
    mix += [(small * w, *rest) for w, *rest in drills] + ([easy] if least > 150 else [])
    return Stage(name, share, mix, glyph, word)


# From a model that reads small charts to those of real libraries, which --library has.
CONTINUE = [
    _widening("144", 0.25, 60, 160, 1.5, 1.0, 0.3),
    _widening("300", 0.30, 180, 340, 1.0, 1.0, 0.3),
    _widening("600", 0.25, 300, 640, 0.7, 0.7, 0.2),
    _widening("1024", 0.20, 300, 1024, 0.5, 0.5, 0.1),
]
_USUAL = [
    (w, h)
    for w in range(256, 1281, 64)
    for h in range(192, 1025, 32)
    if 0.6 <= w / h <= 2.1 and w * h <= 1 << 20
]
PRESETS = {"base": STAGES, "small": SMALL, "medium": SMALL, "tiny": TINY, "continue": CONTINUE}


def _sizes(maker, wanted):
    """The list of sizes that a line of a mix means, or None where the library has no such chart."""
    if not isinstance(wanted, dict):
        return [tuple(s) for s in wanted]
    least, most = wanted["tokens"]
    fits = lambda w, h: least <= w * h / 1024 <= most
    if maker != "library":
        return [s for s in _USUAL if fits(*s)]
    try:
        found = {s: n for s, n in store.opened().sizes("train").items() if fits(*s)}
    except FileNotFoundError:
        return None
    all_ = sum(found.values())
    return [s for s, n in found.items() for _ in range(max(1, round(20 * n / all_)))] or None


def load(name):
    """(Stages, tests or None, what is missing) of a preset or of a file."""
    tests = None
    if name in PRESETS:
        stages = PRESETS[name]
    else:
        with open(name, encoding="utf-8") as f:
            held = json.load(f)
        stages, tests = [Stage(**s) for s in held["stages"]], held.get("tests")
    found, lost = [], []
    for stage in stages:
        mix = [(w, maker, _sizes(maker, sizes), flag) for w, maker, sizes, flag in stage.mix]
        lost += [f"{stage.name}: {m[1]}" for m in mix if m[2] is None]
        found.append(dataclasses.replace(stage, mix=[m for m in mix if m[2] is not None]))
    assert abs(sum(s.share for s in found) - 1) < 1e-6, f"{name}: shares do not add up to 1"
    assert all(s.mix for s in found), f"{name}: a stage has nothing to draw, {lost}"
    return found, tests, sorted(set(lost))


def stage_at(stages, done):
    """Index of the stage when `done` (0..1) of the time is over."""
    for k, stage in enumerate(stages):
        done -= stage.share
        if done < 0:
            return k
    return len(stages) - 1


def _composed(line):
    """Whether an atlas can make what a line of a mix asks for."""
    return line[1] == "lines" and line[3] == "tower"


_TRANSCRIPTS = {"lines": 2, "strip": 2}  # few questions with long answers, as many as short ones


class Plan:
    """Gives the jobs of a run. index counts batches; a job depends on seed, stage and index alone.
    atlas: lines for the tower alone are not given to workers."""

    def __init__(self, stages, seed, rows, index=0, atlas=False):
        self.stages, self.seed, self.rows, self.index = stages, seed, rows, index
        self.atlas = atlas
        self.stage = 0
        self.tests = []

    def __call__(self):
        if self.tests:
            return self.tests.pop(0)
        rng = random.Random(f"plan/{self.seed}/{self.stage}/{self.index}")
        mix = self.stages[self.stage].mix
        self.index += 1
        return self._job(rng, [m for m in mix if not (self.atlas and _composed(m))] or mix)

    def composed(self, step):
        """The Job of a step for the atlas, or None if the step is for a batch of a worker."""
        mix = self.stages[self.stage].mix
        rng = random.Random(f"atlas/{self.seed}/{self.stage}/{step}")
        share = sum(m[0] for m in mix if _composed(m)) / sum(m[0] for m in mix)
        if not self.atlas or rng.random() >= share:
            return None
        return self._job(rng, [m for m in mix if _composed(m)])

    def _job(self, rng, mix):
        _, maker, sizes, flag = rng.choices(mix, [m[0] for m in mix])[0]
        width, height = rng.choice(sizes) if sizes else (0, 0)
        visual = width * height // 1024 * (2 if maker == "two" else 1)
        asked = 0 if flag == "tower" else 8 if visual < 40 else 11 if visual < 150 else 14
        asked = asked and _TRANSCRIPTS.get(maker, asked)
        each = visual * (4 if flag == "tower" else 1.6) + 23 * asked  # a question has 23 rows
        count = max(2, int(self.rows / each))
        first = (self.seed * 10**6 + self.index - 1) * 4096
        fits = int(0.85 * SLOT / (3 * width * height * (2 if maker == "two" else 1) + 8192))
        return Job(
            maker,
            width,
            height,
            min(count, fits, 768),
            first,
            asked or 8,
            "train",
            None,
            self.stage,
            flag == "ideal",
            flag != "tower",
            easy=flag == "easy",
            named=flag != "tower",
        )


_TESTS = [
    ("one", 384, 256, 48),
    ("one", 320, 320, 32),
    ("one", 640, 448, 32),
    ("pairs", 224, 160, 24),
    ("two", 320, 256, 24),
    ("text", 320, 256, 32),
    ("one", 1024, 768, 8),
]


def test_jobs(scale=1.0, largest=1024, wanted=None):
    """The held-out batches of an evaluation during training; wanted: [(maker, width, height, number)].
    Library charts come on top, of the three sizes that the test split has most of."""
    wanted = list(wanted or _TESTS)
    try:
        drawn = store.opened().sizes("test")
    except FileNotFoundError:
        drawn = {}
    common = sorted(drawn, key=lambda s: (-drawn[s], s))[:3]
    wanted += [("library", *s, min(96, drawn[s])) for s in common]
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
