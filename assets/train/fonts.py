"""Fonts of Debian packages, found by file name, and the masks of text set in them.

Pillow draws each character of a face once; strings are put together from these masks, twenty times
faster than Pillow draws them. There is no kerning, so a string is as wide as its advances and the
place of every character is known.
"""

import functools
import glob
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# family: (regular, bold). README.md names the packages. No family of one split is a copy of one of
# the other (Nimbus Sans Narrow would be one of Liberation Sans Narrow).
FAMILIES = {
    "train": {
        "DejaVu Sans": ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
        "DejaVu Serif": ("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
        "DejaVu Sans Condensed": ("DejaVuSansCondensed.ttf", "DejaVuSansCondensed-Bold.ttf"),
        "DejaVu Sans Mono": ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"),
        "Liberation Sans": ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
        "Liberation Serif": ("LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf"),
        "Open Sans": ("OpenSans-Regular.ttf", "OpenSans-Bold.ttf"),
        "Roboto": ("Roboto-Regular.ttf", "Roboto-Bold.ttf"),
        "Caladea": ("Caladea-Regular.ttf", "Caladea-Bold.ttf"),
        "Comic Neue": ("ComicNeue-Regular.otf", "ComicNeue-Bold.otf"),
        "FreeSans": ("FreeSans.ttf", "FreeSansBold.ttf"),
        "Inter": ("Inter-Regular.otf", "Inter-Bold.otf"),
        "Noto Sans": ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
        "Noto Serif": ("NotoSerif-Regular.ttf", "NotoSerif-Bold.ttf"),
        "URW Bookman": ("URWBookman-Light.otf", "URWBookman-Demi.otf"),
        "URW Gothic": ("URWGothic-Book.otf", "URWGothic-Demi.otf"),
        "C059": ("C059-Roman.otf", "C059-Bold.otf"),
        "P052": ("P052-Roman.otf", "P052-Bold.otf"),
        "Linux Biolinum": ("LinBiolinum_R.otf", "LinBiolinum_RB.otf"),
        "Cabin": ("Cabin-Regular.otf", "Cabin-Bold.otf"),
        "Oxygen": ("Oxygen-Sans.ttf", "Oxygen-Sans-Bold.ttf"),
        "Manrope": ("Manrope-Regular.ttf", "Manrope-Bold.ttf"),
        "Gillius": ("GilliusADF-Regular.otf", "GilliusADF-Bold.otf"),
        "Gillius Condensed": ("GilliusADF-Cond.otf", "GilliusADF-BoldCond.otf"),
        "Universalis": ("UniversalisADFStd-Regular.otf", "UniversalisADFStd-Bold.otf"),
        "Universalis Condensed": ("UniversalisADFStd-Cond.otf", "UniversalisADFStd-BoldCond.otf"),
        "Jura": ("Jura-Medium.otf", "Jura-Bold.otf"),
        "Quicksand": ("Quicksand-Medium.ttf", "Quicksand-Bold.ttf"),
    },
    "test": {
        "Liberation Sans Narrow": (
            "LiberationSansNarrow-Regular.ttf",
            "LiberationSansNarrow-Bold.ttf",
        ),
        "Lato": ("Lato-Regular.ttf", "Lato-Bold.ttf"),
        "Carlito": ("Carlito-Regular.ttf", "Carlito-Bold.ttf"),
        "Cantarell": ("Cantarell-Regular.otf", "Cantarell-Bold.otf"),
        "FreeSerif": ("FreeSerif.ttf", "FreeSerifBold.ttf"),
    },
}
STRETCHES = (1.0, 1.0, 0.9, 1.12)  # widths of characters to train with: more shapes from a family
_FINE = 4  # how many times larger stretched characters are drawn
PAD = 3  # columns beside a character for what leans out of its advance
_folders = ["/usr/share/fonts"]


def add_folder(path):
    """Looks for fonts there, too, before the system's."""
    if path and path not in _folders:
        _folders.insert(0, path)
        _files.cache_clear()
        families.cache_clear()


@functools.lru_cache(None)
def _files():
    found = {}
    for folder in reversed(_folders):
        for path in sorted(glob.glob(os.path.join(folder, "**", "*.?tf"), recursive=True)):
            found[os.path.basename(path)] = path
    return found


@functools.lru_cache(None)
def families(split):
    """Names of the families of a split that are installed, in a fixed order."""
    found = [n for n, pair in FAMILIES[split].items() if all(f in _files() for f in pair)]
    if not found:
        raise SystemExit(f"fonts: none of {', '.join(FAMILIES[split])} is installed in {_folders}")
    return found


def missing():
    """Families that are not installed: with one of these, a seed gives other pictures."""
    return [n for s in FAMILIES for n in FAMILIES[s] if n not in families(s)]


class Face:
    """One family in one weight and size; stretch: how many times as wide its characters are.

    ascent, descent and height are in pixels; cap is the height of a capital letter, which is what
    looks centred when numbers and labels are centred.
    """

    def __init__(self, family, bold, size, stretch):
        pair = FAMILIES["train"].get(family) or FAMILIES["test"][family]
        self.size, self.stretch = size, stretch
        load = lambda s: ImageFont.truetype(
            _files()[pair[bold]], s, layout_engine=ImageFont.Layout.BASIC
        )
        self.font = load(size)
        self.fine = load(size * _FINE) if stretch != 1 else None
        self.ascent, self.descent = self.font.getmetrics()
        top, bottom = self.font.getbbox("H", anchor="ls")[1::2]
        self.cap = bottom - top
        self.height = round(size * 1.2)
        self._advance = {}
        self._glyph, self._mask = {}, {}

    def advance(self, c):
        """Width of a character in pixels."""
        w = self._advance.get(c)
        if w is None:
            w = self._advance[c] = self.font.getlength(c) * self.stretch
        return w

    def width(self, text):
        """Width of a string in pixels, rounded up."""
        return int(sum(map(self.advance, text)) + 0.999)

    def _draw(self, c):
        """The mask of one character; its pen starts at column PAD."""
        found = self._glyph.get(c)
        if found is None:
            width, height = int(self.advance(c) + 0.999) + 2 * PAD, self.ascent + self.descent + 2
            font, pen = self.font, (PAD, self.ascent)
            size = width, height
            if self.fine:
                font, pen = self.fine, (PAD * _FINE / self.stretch, self.ascent * _FINE)
                size = round(width * _FINE / self.stretch), height * _FINE
            image = Image.new("L", size, 0)
            ImageDraw.Draw(image).text(pen, c, fill=255, font=font, anchor="ls")
            if self.fine:
                image = image.resize((width, height), Image.Resampling.BOX)
            found = self._glyph[c] = np.asarray(image).copy()
        return found

    def mask(self, text):
        """(array [h, w] of 0..255, y of the baseline in it). The pen starts at column PAD."""
        found = self._mask.get(text)
        if found is None:
            if len(self._mask) > 1000:
                self._mask.clear()
            found = np.zeros(
                (self.ascent + self.descent + 2, self.width(text) + 2 * PAD + 1), np.uint8
            )
            pen = 0.0
            for c in text:
                if c != " ":
                    glyph, x = self._draw(c), round(pen)
                    part = found[:, x : x + glyph.shape[1]]
                    np.maximum(part, glyph[:, : part.shape[1]], out=part)
                pen += self.advance(c)
            self._mask[text] = found
        return found, self.ascent


@functools.lru_cache(None)
def face(family, bold, size, stretch=1.0):
    """The only Face of these properties."""
    return Face(family, bool(bold), int(size), stretch)
