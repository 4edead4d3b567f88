"""Fonts of Debian packages, found by file name, and the masks of text set in them.

Each character of a face is drawn once, by Pillow or from a large drawing of Pillow's; strings are put
together from these masks, twenty times faster than Pillow draws them. There is no kerning, so a string is as wide as its advances and the
place of every character is known.
"""

import functools
import glob
import math
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
        "Roboto Condensed": ("RobotoCondensed-Regular.ttf", "RobotoCondensed-Bold.ttf"),
        "Carlito": ("Carlito-Regular.ttf", "Carlito-Bold.ttf"),
        "Lato": ("Lato-Regular.ttf", "Lato-Bold.ttf"),
        "Arimo": ("Arimo-Regular.ttf", "Arimo-Bold.ttf"),
        "Nimbus Sans": ("NimbusSans-Regular.otf", "NimbusSans-Bold.otf"),
        "Aerial": ("Aerial.ttf", "AerialBd.ttf"),
        "Veranda": ("Veranda.ttf", "VerandaBd.ttf"),
        "Andika": ("Andika-Regular.ttf", "Andika-Bold.ttf"),
        "Averia Sans": ("AveriaSansGWF-Regular.ttf", "AveriaSansGWF-Bold.ttf"),
        "B612": ("B612-Regular.otf", "B612-Bold.otf"),
        "Comfortaa": ("Comfortaa-Regular.ttf", "Comfortaa-Bold.ttf"),
        "Dosis": ("Dosis-Book.otf", "Dosis-Bold.otf"),
        "Dosis Medium": ("Dosis-Medium.otf", "Dosis-Bold.otf"),
        "Go": ("Go-Regular.ttf", "Go-Bold.ttf"),
        "Ikarius": ("IkariusADFStd-Regular.otf", "IkariusADFStd-Bold.otf"),
        "Irianis": ("IrianisADFStd-Regular.otf", "IrianisADFStd-Bold.otf"),
        "Libris": ("LibrisADFStd-Regular.otf", "LibrisADFStd-Bold.otf"),
        "Switzera": ("SwitzeraADF-Regular.otf", "SwitzeraADF-Bold.otf"),
        "League Spartan": ("LeagueSpartan-Regular.otf", "LeagueSpartan-Bold.otf"),
        "M+ 1": ("Mplus1-Regular.otf", "Mplus1-Bold.otf"),
        "M+ 2": ("Mplus2-Regular.otf", "Mplus2-Bold.otf"),
        "Nanum Gothic": ("NanumGothic.ttf", "NanumGothicBold.ttf"),
        "Nanum Barun Gothic": ("NanumBarunGothic.ttf", "NanumBarunGothicBold.ttf"),
        "OpenDyslexic": ("OpenDyslexic-Regular.otf", "OpenDyslexic-Bold.otf"),
        "Play": ("Play-Regular.ttf", "Play-Bold.ttf"),
        "Sora": ("Sora-Regular.otf", "Sora-Bold.otf"),
        "Tuffy": ("tuffy_regular.ttf", "tuffy_bold.ttf"),
        "Verana Sans": ("VeranaSans-Regular.otf", "VeranaSans-Bold.otf"),
        "Yanone Kaffeesatz": ("YanoneKaffeesatz-Regular.otf", "YanoneKaffeesatz-Bold.otf"),
        "GFS Neohellenic": ("GFSNeohellenic.otf", "GFSNeohellenicBold.otf"),
        "CMU Sans": ("cmunss.ttf", "cmunsx.ttf"),
        "CMU Sans Condensed": ("cmunssdc.ttf", "cmunssdc.ttf"),
        "Takao Gothic": ("TakaoPGothic.ttf", "TakaoPGothic.ttf"),
        "Noto Sans Display": ("NotoSansDisplay-Regular.ttf", "NotoSansDisplay-Bold.ttf"),
        "Open Sans Condensed": ("OpenSans-CondLight.ttf", "OpenSans-CondBold.ttf"),
        "DejaVu Serif Condensed": ("DejaVuSerifCondensed.ttf", "DejaVuSerifCondensed-Bold.ttf"),
        "Tinos": ("Tinos-Regular.ttf", "Tinos-Bold.ttf"),
        "Accanthis": ("AccanthisADFStd-Regular.otf", "AccanthisADFStd-Bold.otf"),
        "Averia Serif": ("AveriaSerifGWF-Regular.ttf", "AveriaSerifGWF-Bold.ttf"),
        "Baskervald": ("BaskervaldADFStd.otf", "BaskervaldADFStd-Bold.otf"),
        "Berenis": ("BerenisADFPro-Regular.otf", "BerenisADFPro-Bold.otf"),
        "Caslon": ("CaslonRoman.ttf", "CaslonBold.ttf"),
        "Charis SIL": ("CharisSIL-Regular.ttf", "CharisSIL-Bold.ttf"),
        "Cardo": ("Cardo104s.ttf", "Cardob101.ttf"),
        "Fanwood": ("FanwoodText.otf", "FanwoodText.otf"),
        "GFS Artemisia": ("GFSArtemisia.otf", "GFSArtemisiaBold.otf"),
        "GFS Didot": ("GFSDidot.otf", "GFSDidotBold.otf"),
        "Old Standard": ("OldStandard-Regular.ttf", "OldStandard-Bold.ttf"),
        "Rasa": ("Rasa-Regular.ttf", "Rasa-Bold.ttf"),
        "Roboto Slab": ("RobotoSlab-Regular.otf", "RobotoSlab-Bold.otf"),
        "Romande": ("RomandeADFStd-Regular.otf", "RomandeADFStd-DemiBold.otf"),
        "STIX": ("STIXGeneral-Regular.otf", "STIXGeneral-Bold.otf"),
        "Solothurn": ("Solothurn-Regular.otf", "Solothurn-Bold.otf"),
        "Tribun": ("TribunADFStd-Regular.otf", "TribunADFStd-Bold.otf"),
        "Linux Libertine": ("LinLibertine_R.otf", "LinLibertine_RB.otf"),
        "CMU Serif": ("cmunrm.ttf", "cmunbx.ttf"),
        "Mekanus": ("MekanusADFStd-Regular.otf", "MekanusADFStd-Bold.otf"),
        "Junicode": ("JunicodeTwoBeta-Regular.otf", "JunicodeTwoBeta-Bold.otf"),
        "Liberation Mono": ("LiberationMono-Regular.ttf", "LiberationMono-Bold.ttf"),
        "FreeMono": ("FreeMono.ttf", "FreeMonoBold.ttf"),
        "Hack": ("Hack-Regular.ttf", "Hack-Bold.ttf"),
        "Fira Code": ("FiraCode-Regular.ttf", "FiraCode-Bold.ttf"),
        "JetBrains Mono": ("JetBrainsMono-Regular.ttf", "JetBrainsMono-Bold.ttf"),
        "Inconsolata": ("Inconsolata.otf", "Inconsolata.otf"),
        "Fantasque Sans Mono": ("FantasqueSansMono-Regular.ttf", "FantasqueSansMono-Bold.ttf"),
        "League Mono": ("LeagueMono-Regular.otf", "LeagueMono-Bold.otf"),
        "League Mono Narrow": ("LeagueMono-NarrowRegular.otf", "LeagueMono-NarrowBold.otf"),
        "Go Mono": ("Go-Mono.ttf", "Go-Mono-Bold.ttf"),
        "B612 Mono": ("B612Mono-Regular.otf", "B612Mono-Bold.otf"),
        "Mononoki": ("mononoki-Regular.ttf", "mononoki-Bold.ttf"),
        "Nimbus Mono": ("NimbusMonoPS-Regular.otf", "NimbusMonoPS-Bold.otf"),
        "Oxygen Mono": ("OxygenMono-Regular.ttf", "OxygenMono-Regular.ttf"),
        "Courier Prime": ("Courier Prime.otf", "Courier Prime Bold.otf"),
        "Anonymous Pro": ("Anonymous Pro.ttf", "Anonymous Pro B.ttf"),
        "CMU Typewriter": ("cmuntt.ttf", "cmuntb.ttf"),
        "Lobster Two": ("LobsterTwo-Regular.otf", "LobsterTwo-Bold.otf"),
    },
    "test": {
        "Liberation Sans Narrow": (
            "LiberationSansNarrow-Regular.ttf",
            "LiberationSansNarrow-Bold.ttf",
        ),
        "Cantarell": ("Cantarell-Regular.otf", "Cantarell-Bold.otf"),
        "FreeSerif": ("FreeSerif.ttf", "FreeSerifBold.ttf"),
        "Clear Sans": ("ClearSans-Regular.ttf", "ClearSans-Bold.ttf"),
        "PT Sans": ("PTS55F.ttf", "PTS75F.ttf"),
        "Karla": ("Karla-Regular.otf", "Karla-Bold.otf"),
        "Vollkorn": ("Vollkorn-Regular.ttf", "Vollkorn-Bold.ttf"),
    },
}
# What charts are really set in, with weights: matplotlib takes DejaVu Sans, Vega, ggplot2 and
# LibreOffice take Liberation Sans or what stands for Arial, plotly Open Sans, spreadsheets Carlito.
# Half of the pictures to train with use one of these.
USUAL = {
    "DejaVu Sans": 8,
    "Liberation Sans": 5,
    "Arimo": 2,
    "Open Sans": 4,
    "Carlito": 2,
    "Lato": 1,
    "Roboto": 1,
    "DejaVu Sans Mono": 1,
}
STRETCHES = (1.0, 1.0, 0.9, 1.12)  # widths of characters to train with: more shapes from a family
# How text is set. "grid": hinted, every character on whole pixels. "free": unhinted, at quarters of a
# pixel in both directions. "dark": the same with more contrast, as browsers do. "slight": free across,
# with capitals a whole number of pixels high on a whole baseline, as after vertical hinting.
MODES = ("grid", "free", "dark", "slight")
PHASES = 4  # places within a pixel
_MASTERS = (64, 160)  # sizes of the drawings that all but hinted characters are reduced from
_CONTRAST = (255 * (np.arange(256) / 255) ** 0.78 + 0.5).astype(np.uint8)
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


def choose(rng, split):
    """A family of a split: to train with, a usual one half of the time."""
    known = families(split)
    usual = [n for n in USUAL if n in known]
    if usual and rng.random() < 0.5:
        return rng.choices(usual, [USUAL[n] for n in usual])[0]
    return rng.choice(known)


def missing():
    """Families that are not installed: with one of these, a seed gives other pictures."""
    return [n for s in FAMILIES for n in FAMILIES[s] if n not in families(s)]


class Master:
    """The characters of a family in one weight, drawn so large that hinting does not matter.

    All lengths are parts of the size (an em).
    """

    def __init__(self, family, bold, size):
        self.size = size
        self.font = _load(family, bold, size)
        self.ascent, self.descent = (v / size for v in self.font.getmetrics())
        top, bottom = self.font.getbbox("H", anchor="ls")[1::2]
        self.cap = (bottom - top) / size
        self._advance, self._image = {}, {}

    def advance(self, c):
        """Width of a character."""
        w = self._advance.get(c)
        if w is None:
            w = self._advance[c] = self.font.getlength(c) / self.size
        return w

    def image(self, c):
        """(drawing of a character, cut to its ink; where that begins, seen from its pen)."""
        found = self._image.get(c)
        if found is None:
            left, top, right, bottom = self.font.getbbox(c, anchor="ls")
            image = Image.new("L", (max(1, right - left), max(1, bottom - top)), 0)
            ImageDraw.Draw(image).text((-left, -top), c, fill=255, font=self.font, anchor="ls")
            found = self._image[c] = image, left, top
        return found


def _load(family, bold, size):
    pair = FAMILIES["train"].get(family) or FAMILIES["test"][family]
    return ImageFont.truetype(_files()[pair[bold]], size, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(160)
def _master(family, bold, size):
    return Master(family, bold, size)


class Face:
    """One family in one weight and size; stretch: how many times as wide its characters are.

    ascent, descent and height are in pixels; cap is the height of a capital letter, which is what
    looks centred when numbers and labels are centred. mode: one of MODES.
    """

    def __init__(self, family, bold, size, stretch, mode):
        self.size, self.stretch, self.mode = size, stretch, mode
        self.whole = mode == "grid"
        self.font = _load(family, bold, size) if self.whole and stretch == 1 else None
        self.master = None
        if self.font:
            self.ascent, self.descent = self.font.getmetrics()
            top, bottom = self.font.getbbox("H", anchor="ls")[1::2]
            self.cap = bottom - top
        else:
            self.master = m = _master(family, bold, _MASTERS[size > 26])
            self.ascent = math.ceil(m.ascent * size) + 1
            self.descent = math.ceil(m.descent * size) + 1
            self.cap = m.cap * size
        self.rise = 1.0  # how many times as high its characters are
        if mode == "slight" or self.whole and self.master:
            self.rise = max(1, round(self.cap)) / self.cap
            self.cap *= self.rise
        self.height = round(size * 1.2)
        self._advance = {}
        self._glyph, self._mask = {}, {}

    def advance(self, c):
        """Width of a character in pixels."""
        w = self._advance.get(c)
        if w is None:
            w = self.font.getlength(c) if self.font else self.master.advance(c) * self.size
            w = self._advance[c] = w * self.stretch
        return w

    def length(self, text):
        """Width of a string in pixels."""
        return sum(map(self.advance, text))

    def width(self, text):
        """Width of a string in pixels, rounded up."""
        return int(sum(map(self.advance, text)) + 0.999)

    def spot(self, x, baseline):
        """Where a string is set that should begin at (x, baseline): whole numbers and quarters."""
        if self.whole:
            return int(x), 0, round(baseline), 0
        x = math.floor(x * PHASES + 0.5)
        if self.mode == "slight":
            return x // PHASES, x % PHASES, round(baseline), 0
        y = math.floor(baseline * PHASES + 0.5)
        return x // PHASES, x % PHASES, y // PHASES, y % PHASES

    def _draw(self, c, fx, fy):
        """The mask of one character; its pen starts (fx, fy) quarters beyond column PAD."""
        key = (c, fx, fy)
        found = self._glyph.get(key)
        if found is None:
            width, height = int(self.advance(c) + 1.999) + 2 * PAD, self.ascent + self.descent + 2
            if self.font:
                image = Image.new("L", (width, height), 0)
                ImageDraw.Draw(image).text(
                    (PAD, self.ascent), c, fill=255, font=self.font, anchor="ls"
                )
            else:
                m = self.master
                across, down = m.size / self.size / self.stretch, m.size / self.size / self.rise
                drawn, left, top = m.image(c)
                x = -(PAD + fx / PHASES) * across - left  # where the mask begins in the drawing
                y = -(self.ascent + fy / PHASES) * down - top
                a, b = math.floor(x), math.floor(y)
                right, bottom = x + width * across, y + height * down
                part = drawn.crop((a, b, math.ceil(right), math.ceil(bottom)))
                box = (x - a, y - b, right - a, bottom - b)
                image = part.resize((width, height), Image.Resampling.BOX, box)
            found = np.asarray(image)
            found = _CONTRAST[found] if self.mode == "dark" else found.copy()
            self._glyph[key] = found
        return found

    def mask(self, text, fx=0, fy=0):
        """(array [h, w] of 0..255, y of the baseline in it). The pen starts (fx, fy) quarters of a
        pixel beyond column PAD and the baseline."""
        key = (text, fx, fy)
        found = self._mask.get(key)
        if found is None:
            if len(self._mask) > 500:
                self._mask.clear()
            found = np.zeros(
                (self.ascent + self.descent + 2, self.width(text) + 2 * PAD + 2), np.uint8
            )
            pen = fx / PHASES
            for c in text:
                if c != " ":
                    if self.whole:
                        x, phase = round(pen), 0
                    else:
                        x, phase = divmod(math.floor(pen * PHASES + 0.5), PHASES)
                    glyph = self._draw(c, phase, fy)
                    part = found[:, x : x + glyph.shape[1]]
                    np.maximum(part, glyph[:, : part.shape[1]], out=part)
                pen += self.advance(c)
            self._mask[key] = found
        return found, self.ascent


@functools.lru_cache(2000)
def _face(family, bold, size, stretch, mode):
    return Face(family, bold, size, stretch, mode)


def face(family, bold, size, stretch=1.0, mode="grid"):
    """The Face of these properties. Hinted ones have whole sizes, others any to a hundredth."""
    size = round(size) if mode == "grid" else round(size, 2)
    return _face(family, bool(bold), size, stretch, mode)
