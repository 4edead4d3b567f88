"""How a chart looks: fonts, sizes, colours and the switches of its layout, drawn at random.

A palette gives the named colours their shade, so that "the blue bar" has one answer. Some palettes,
themes and layouts are kept for the test split.
"""

import fonts

NAMES = ("blue", "orange", "green", "red", "purple", "brown", "pink", "gray", "yellow", "teal")
_PALETTES = {
    "train": [
        "1f77b4 ff7f0e 2ca02c d62728 9467bd 8c564b e377c2 7f7f7f dbbe1e 17a2b8",
        "4c72b0 dd8452 55a868 c44e52 8172b3 937860 da8bc3 8c8c8c ccb974 3aa6a6",
        "2563eb f97316 16a34a dc2626 7c3aed 78350f ec4899 6b7280 facc15 0d9488",
        "1d4e89 e07a1f 3a7d44 b3261e 5b2a86 6b4226 d6619f 5f6368 e0b400 00838f",
        "5b9bd5 ed7d31 70ad47 e0403a 8e6bbf 9c6b3f f08fc0 a5a5a5 ffc000 44b8b1",
        "0047ab ff8c00 228b22 c8102e 6a0dad 5c4033 ff69b4 808080 ffd700 008080",
    ],
    "test": [
        "3b6fb6 f28e2b 59a14f e15759 8f5fb0 9c755f ff9da7 8a8a8a edc948 2f9e96",
        "0072b2 e69f00 1b9e5a cc3311 7b4fa3 7a5230 cc79a7 777777 e6d233 009e9e",
    ],
}
# page, card, ink, faint ink, grid
_THEMES = {
    "train": [
        ("ffffff", "ffffff", "1a1a1a", "555555", "dddddd"),
        ("ffffff", "f4f5f7", "222222", "5c5c5c", "d8d8d8"),
        ("fafafa", "ffffff", "2b2b2b", "666666", "e2e2e2"),
        ("fffdf5", "fbf5e4", "33291a", "6e6250", "e6dcc4"),
        ("f0f6fc", "ffffff", "10243a", "4a6076", "d3dfea"),
        ("eaeaf2", "f5f5fa", "202030", "555566", "ffffff"),
        ("f3f8f2", "ffffff", "1c2d1c", "54654f", "d5e2d0"),
        ("1e1e24", "2a2a33", "f2f2f2", "b9b9c4", "44444f"),
        ("10202e", "1a3042", "eef4f8", "a9bccb", "2f4a5e"),
        ("fdf1f0", "ffffff", "3a1a1a", "775555", "eed8d6"),
    ],
    "test": [
        ("fbf7ff", "ffffff", "2a1a3a", "665a75", "e3d8ee"),
        ("26302b", "313d37", "f1f5f2", "b4c2ba", "4b5a52"),
        ("f7f3ee", "ffffff", "2e2620", "6b6058", "e2d9cf"),
    ],
}


def rgb(text):
    """ "ff8000" to (255, 128, 0)."""
    return tuple(int(text[i : i + 2], 16) for i in (0, 2, 4))


def luminance(colour):
    """0 (black) to 255 (white), as seen."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def on(colour):
    """The ink that is legible on a colour."""
    return (25, 25, 25) if luminance(colour) > 150 else (255, 255, 255)


def mix(a, b, share):
    """share of b, the rest of a."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b))


def palette_of(rng, split):
    """{name: "rrggbb"} of a palette of a split."""
    return dict(zip(NAMES, rng.choice(_PALETTES[split]).split()))


def _distance(a, b):
    """How different two colours look, roughly: 0 to 765."""
    return sum(abs(x - y) for x, y in zip(a, b))


def type_size(rng, mode, low, high):
    """A size of type: whole where text is hinted, else in quarters of a pixel."""
    size = rng.uniform(low, high)
    return round(size) if mode == "grid" else round(4 * size) / 4


class Style:
    """Everything about the looks of one picture; sizes in pixels."""

    def __init__(self, rng, split, width, height):
        self.rng, self.split, self.used, self.look = rng, split, set(), None
        held = split == "test"
        self.page, self.card, self.ink, self.faint, self.grid = map(
            rgb, rng.choice(_THEMES["test"] if held and rng.random() < 0.7 else _THEMES["train"])
        )
        if not held and rng.random() < 0.25 and luminance(self.page) > 200:
            self.page = self.card = tuple(rng.randint(232, 255) for _ in range(3))
        self.dark = luminance(self.page) < 128
        palette = palette_of(rng, "test" if held else "train")
        self.palette = {name: rgb(text) for name, text in palette.items()}
        self.family = fonts.choose(rng, split)
        self.title_family = self.family if rng.random() < 0.8 else fonts.choose(rng, split)
        self.mode = rng.choice(fonts.MODES)
        side = (width * height) ** 0.5
        self.size = round(min(max(side / 20, 14.5), 20) * rng.uniform(0.9, 1.15))
        if rng.random() < 0.6:  # type as libraries set it, whatever the size of the picture
            self.size = type_size(rng, self.mode, 9, 15.5)
        self.title_size = round(self.size * rng.uniform(1.1, 1.5))
        self.title_bold = rng.random() < 0.55
        self.label_bold = rng.random() < 0.12
        self.title_left = rng.random() < 0.35
        self.grid_on = rng.random() < 0.65
        self.grid_dash = rng.choice((0, 0, 0, 3))
        self.axis_line = rng.random() < 0.75
        self.tick_marks = rng.random() < 0.35
        self.frame = rng.random() < 0.15
        self.round = rng.choice((0, 0, 0, 3, 6))
        legends = (
            ("left", "top right", "bottom left")
            if held and rng.random() < 0.4
            else ("top", "bottom", "right", "top")
        )
        self.legend = rng.choice(legends)
        self.tick_angle = rng.choice((30, 45, 45, 60, 90))
        self.markers = rng.random() < 0.75
        self.stretch = 1.0 if held else rng.choice(fonts.STRETCHES)
        self.line_width = rng.choice((1.6, 2.0, 2.5, 3.0)) * max(1, side / 500)
        self.bar_share = rng.uniform(0.55, 0.85)

    def adopt(self, look):
        """Takes the type and the colours of a library's Look."""
        self.look, self.family, self.title_family, self.mode = (
            look,
            look.family,
            look.family,
            look.mode,
        )
        self.size, self.title_size, self.stretch = look.tick, look.title, 1.0
        self.page, self.card, self.ink, self.faint = look.page, look.panel, look.ink, look.tick_ink
        self.grid, self.dark = look.grid_ink, luminance(look.page) < 128

    def face(self, scale=1.0, bold=None):
        """The face of labels, larger or smaller by a factor."""
        return fonts.face(
            self.family,
            self.label_bold if bold is None else bold,
            max(8, self.size * scale),
            self.stretch,
            self.mode,
        )

    def title_face(self, scale=1.0):
        """The face of titles."""
        return fonts.face(
            self.title_family,
            self.title_bold,
            max(9, self.title_size * scale),
            self.stretch,
            self.mode,
        )

    def colours(self, n):
        """n different names of colours that show on the page."""
        back = self.card
        seen = [c for c in NAMES if _distance(self.palette[c], back) > (190 if self.dark else 110)]
        return self.rng.sample(seen, n) if n <= len(seen) else None

    def shade(self, name):
        """The colour of a name in this picture."""
        self.used.add(name)
        return self.palette[name]
