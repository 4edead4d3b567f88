"""What the libraries draw by default, as numbers: type, frame, ticks, grid, colours, legends.

A Look is one library's default or what people often change in it. Lengths are in pixels; the
libraries that count in points have a unit of dots per inch / 72.
"""

import dataclasses
import math

import fonts
from style import NAMES, palette_of, rgb

# The colours of each library in their order, with their names in style.NAMES where nobody would
# differ.
_CYCLES = {
    "tab10": "1f77b4 blue ff7f0e orange 2ca02c green d62728 red 9467bd purple 8c564b brown "
    "e377c2 pink 7f7f7f gray bcbd22 - 17becf -",
    "deep": "4c72b0 blue dd8452 orange 55a868 green c44e52 red 8172b3 purple 937860 brown "
    "da8bc3 pink 8c8c8c gray ccb974 - 64b5cd -",
    "muted": "4878d0 blue ee854a orange 6acc64 green d65f5f red 956cb4 purple 8c613c brown "
    "dc7ec0 pink 797979 gray d5bb67 - 82c6e2 -",
    "set2": "66c2a5 - fc8d62 - 8da0cb - e78ac3 pink a6d854 green ffd92f yellow",
    "plotly": "636efa blue ef553b red 00cc96 - ab63fa purple ffa15a orange 19d3f3 - ff6692 pink "
    "b6e880 - ff97ff - fecb52 yellow",
    "d3": "1f77b4 blue ff7f0e orange 2ca02c green d62728 red 9467bd purple 8c564b brown e377c2 "
    "pink",
    "tableau10": "4c78a8 blue f58518 orange e45756 red 72b7b2 teal 54a24b green eeca3b yellow "
    "b279a2 - ff9da6 pink 9d755d brown bab0ac gray",
    "set1": "e41a1c red 377eb8 blue 4daf4a green 984ea3 purple ff7f00 orange ffff33 yellow "
    "a65628 brown f781bf pink 999999 gray",
    "dark2": "1b9e77 - d95f02 orange 7570b3 - e7298a - 66a61e green e6ab02 -",
    "gnuplot": "9400d3 purple 009e73 - 56b4e9 - e69f00 orange f0e442 yellow 0072b2 blue e51e10 "
    "red 000000 -",
    "libreoffice": "004586 blue ff420e - ffd320 yellow 579d1c green 7e0021 - 83caff - 314004 - "
    "aecf00 - 4b1f6f purple ff950e orange",
    "office": "4472c4 blue ed7d31 orange a5a5a5 gray ffc000 yellow 5b9bd5 - 70ad47 green "
    "264478 - 9e480e brown 636363 - 997300 -",
    "office 2007": "4f81bd blue c0504d red 9bbb59 green 8064a2 purple 4bacc6 - f79646 orange",
    "office 2023": "156082 - e97132 orange 196b24 green 0f9ed5 blue a02b93 - 4ea72e green "
    "0b3041 - 8a3b10 brown",
    "sheets": "4285f4 blue ea4335 red fbbc04 - 34a853 green ff6d01 orange 46bdc6 - 7baaf7 - "
    "f07b72 - fcd04f - 71c287 -",
}


def _hues(n):
    """The n colours that ggplot2 takes: as far apart in hue as can be, of one lightness and chroma
    (in CIE L*u*v*, 65 and 100)."""
    found = []
    for i in range(n):
        hue = math.radians(15 + 360 * i / n)
        y = ((65 + 16) / 116) ** 3
        u, v = 100 * math.cos(hue) / (13 * 65) + 0.19784, 100 * math.sin(hue) / (13 * 65) + 0.46834
        x, z = y * 9 * u / (4 * v), y * (12 - 3 * u - 20 * v) / (4 * v)
        linear = (
            3.2406 * x - 1.5372 * y - 0.4986 * z,
            -0.9689 * x + 1.8758 * y + 0.0415 * z,
            0.0557 * x - 0.204 * y + 1.057 * z,
        )
        curve = lambda c: 12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055
        found.append(tuple(round(255 * min(1, max(0, curve(max(0, c))))) for c in linear))
    return found


@dataclasses.dataclass
class Look:
    """family, mode: of all type; tick, label, title, entry, value: its sizes for ticks, titles of
    axes, the title, legends and values at marks. spines: which sides of the plot have a line
    ("lbrt"). rule: of ticks.RULES; unit: pixels of what that rule counts in. edges: from the ends
    of the axis to the first and last category, in categories, for bars and for points. legend:
    where it may stand. frame: its colour or None."""

    name: str
    family: str
    mode: str
    tick: float
    label: float
    title: float
    entry: float
    value: float
    cycle: str
    rule: str
    unit: float = 1.0
    title_bold: bool = False
    label_bold: bool = False
    left: str = ""  # a title at the left: of the "plot" or of the "page"
    page: tuple = (255, 255, 255)
    panel: tuple = (255, 255, 255)
    ink: tuple = (0, 0, 0)
    title_ink: tuple = (0, 0, 0)
    tick_ink: tuple = (0, 0, 0)
    spines: str = "lbrt"
    spine: tuple = (0, 0, 0)
    spine_width: int = 1
    ticks: float = 0  # length of the marks; negative: inside
    mirrored: bool = False  # marks on both sides
    gap: float = 4.0  # from a mark to its text
    grid: str = ""  # "v" for lines at values, "c" for lines at categories
    grid_ink: tuple = (200, 200, 200)
    grid_width: int = 1
    grid_dash: int = 0
    minor: tuple = None  # colour of lines between those at values
    bar: float = 0.8
    group: float = 0.8
    apart: float = 0  # between the bars of a group
    edges: tuple = (0.5, 0.5)
    legend: tuple = ("best",)
    frame: tuple = None
    headed: bool = False  # the legend has a title
    margins: tuple = (8, 8, 8, 8)  # left, top, right, bottom of everything
    fixed: bool = False  # margins are those of the plot itself, if there is room
    form: str = "plain"
    line: float = 2.0
    marker: float = 0.0
    ring: bool = False
    zero: float = 0.0  # how often lines begin at zero
    turn: tuple = (45, 90)  # degrees of labels that do not fit
    anchor: str = "end"  # of turned labels: see canvas.slanted
    flat: float = 1.0  # how often labels that fit are left flat
    titled: float = 0.7  # how often axes have titles
    pie: tuple = ("beside", 0, -1)  # places of names, degrees of the beginning, direction
    pie_ring: bool = False  # white lines between slices
    between: float = 0.0  # from one group to the next, in bars; 0: bar and group say it
    outline: tuple = None  # of bars
    pale: bool = False  # bars are half transparent and their outline is not
    far: tuple = None  # the colour of spines without numbers
    border: tuple = None  # of the picture
    back: tuple = None  # behind the signs of a legend
    single: tuple = None  # the colour of bars that are not told apart

    def face(self, size, bold=False):
        """The face of a size."""
        return fonts.face(self.family, bold, size, 1.0, self.mode)

    def shades(self, n):
        """n colours (r, g, b) in the library's order, and their names, "" where people may differ;
        or None twice."""
        if self.cycle == "hue":
            return _hues(n), [""] * n
        words = _CYCLES.get(self.cycle, self.cycle).split()
        colours = [rgb(c) for c in words[::2]][:n]
        names = [w.strip("-") for w in words[1::2]][:n]
        names = [w if names.count(w) == 1 else "" for w in names]
        return (colours, names) if len(colours) == n else (None, None)


def _mpl(rng, small):
    unit = rng.choice((72, 80, 80, 100) if small else (100, 100, 100, 100, 80, 90, 120)) / 72
    size = unit * rng.choice((8, 9, 10) if small else (10, 10, 10, 10, 9, 8, 11, 12))
    look = Look(
        "matplotlib",
        "DejaVu Sans",
        "slight",
        size,
        size,
        size * rng.choice((1.2, 1.2, 1.2, 1.2, 1.4)),
        size * rng.choice((1, 1, 0.9)),
        size * rng.choice((1, 1, 0.9, 0.8)),
        "tab10",
        "matplotlib",
        unit,
        ticks=3.5 * unit,
        gap=3.5 * unit,
        grid_ink=rgb("b0b0b0"),
        frame=rgb("cccccc"),
        line=1.5 * unit,
        marker=3 * unit,
        turn=(30, 45, 45, 90),
        anchor=rng.choice(("end", "top", "top")),
        flat=0.9,
        legend=rng.choice((("best",),) * 4 + (("outside",), ("bottom",), ("top",))),
    )
    look.edges = (0.45, 0.05)
    look.fixed = not small and rng.random() < 0.5
    look.margins = (0.125, 0.12, 0.1, 0.11) if look.fixed else (unit * 4,) * 4
    if rng.random() < 0.2:
        look.spines = "lb"
    if rng.random() < 0.3:
        look.grid = rng.choice(("v", "v", "vc"))
        if rng.random() < 0.6:
            look.grid_dash, look.grid_ink = rng.choice((0, 3)), rng.choice(((223,) * 3, (208,) * 3))
    if rng.random() < 0.15:
        look.ticks, look.mirrored = -look.ticks, True
    if rng.random() < 0.4:
        look.single = rgb(rng.choice(_CSS))
    if rng.random() < 0.15:
        look.outline = (0, 0, 0)
    if rng.random() < 0.15:
        _style_sheet(rng, look)
    return look


# Colours that people give to bars by name: skyblue, steelblue, coral, salmon, seagreen, teal, ...
_CSS = (
    "87ceeb 4682b4 ff7f50 fa8072 2e8b57 008080 ffa500 008000 6a5acd add8e6 90ee90 6495ed "
    "ff6347 9370db 000080 f08080 3cb371 daa520 808080 5f9ea0 "
).split()


def _style_sheet(rng, look):
    """What matplotlib's style sheets change."""
    look.outline = look.single = None
    name = rng.choice(("ggplot", "ggplot", "dark", "fivethirtyeight"))
    if name == "dark":
        look.page = look.panel = (0, 0, 0)
        look.ink = look.title_ink = look.tick_ink = look.spine = (255, 255, 255)
        look.cycle = (
            "8dd3c7 - feffb3 - bfbbd9 - fa8174 - 81b1d2 - fdb462 orange b3de69 green bc82bd -"
        )
    elif name == "ggplot":
        look.panel, look.grid, look.grid_ink, look.spines = rgb("e5e5e5"), "vc", (255, 255, 255), ""
        look.ink = look.tick_ink = look.spine = rgb("555555")
        look.cycle = "e24a33 - 348abd blue 988ed5 - 777777 gray fbc15e - 8eba42 green ffb5b8 -"
    else:
        look.page = look.panel = rgb("f0f0f0")
        look.grid, look.grid_ink, look.spines, look.ticks = "vc", rgb("cbcbcb"), "", 0
        look.cycle = "008fd5 blue fc4f30 - e5ae38 - 6d904f green 8b8b8b gray 810f7c -"
        look.line, look.left = 4 * look.unit, "plot"


def _seaborn(rng, small):
    look = _mpl(rng, small)
    unit = look.unit
    base = rng.choice((1, 0.9, 0.8)) * (0.75 if small else 1)
    look.name, look.cycle = "seaborn", rng.choice(("deep", "deep", "muted", "tab10", "set2"))
    look.family = rng.choice(("DejaVu Sans", "Liberation Sans", "Liberation Sans"))
    look.ink = look.tick_ink = look.title_ink = rgb("262626")
    look.tick = look.entry = look.value = 11 * unit * base
    look.label = look.title = 12 * unit * base
    look.ticks, look.mirrored, look.grid_dash = 0, False, 0
    look.headed, look.ring = rng.random() < 0.5, rng.random() < 0.5
    look.bar = look.group = rng.choice((0.8, 0.8, 0.9))
    look.edges = (0.5, 0.05)
    form = rng.choice(("darkgrid", "darkgrid", "whitegrid", "ticks", "white"))
    look.spines, look.grid, look.grid_ink = "", "v" if rng.random() < 0.7 else "vc", (255, 255, 255)
    look.spine = rgb("262626")
    if form == "darkgrid":
        look.panel, look.frame = rgb("eaeaf2"), rgb("cccccc")
    elif form == "whitegrid":
        look.grid_ink = look.spine = rgb("cccccc")
        look.spines = rng.choice(("lbrt", "lbrt", "b"))
    else:
        look.grid, look.spines = "", rng.choice(("lbrt", "lb", "lb"))
        look.ticks = 6 * unit if form == "ticks" else 0
    return look


def _plotly(rng, small):
    unit = 1.0 if small else rng.choice((1, 1, 1, 1, 1.2))
    look = Look(
        "plotly",
        "Open Sans",
        rng.choice(("dark", "free")),
        12 * unit,
        14 * unit,
        (15 if small else 17) * unit,
        12 * unit,
        12 * unit,
        rng.choice(("plotly", "plotly", "plotly", "d3")),
        "plotly",
        ink=rgb("2a3f5f"),
        title_ink=rgb("2a3f5f"),
        tick_ink=rgb("2a3f5f"),
        left=rng.choice(("page", "page", "page", "")),
        panel=rgb("e5ecf6"),
        spines="",
        gap=3 * unit,
        grid="v",
        grid_ink=(255, 255, 255),
        edges=(0.5, rng.choice((0.06, 0.5))),
        legend=rng.choice((("outside",),) * 3 + (("top",),)),
        headed=rng.random() < 0.6,
        form=rng.choice(("si", "si", "comma", "plain")),
        marker=rng.choice((0, 3)),
        turn=(-30, -45, -90),
        anchor="start",
        titled=0.8,
        pie=("inside", 90, 1),
    )
    if rng.random() < 0.3:
        look.panel, look.grid_ink = (255, 255, 255), rgb("ebf0f8")
    elif rng.random() < 0.08:
        look.page = look.panel = rgb("111111")
        look.ink = look.title_ink = look.tick_ink = rgb("f2f5fa")
        look.grid_ink = rgb("283442")
    look.fixed = not small and rng.random() < 0.5
    look.margins = (80 * unit, 100 * unit, 80 * unit, 80 * unit) if look.fixed else (12, 10, 12, 10)
    return look


def _vega(rng, small):
    unit = 1.0 if small else rng.choice((1, 1.2, 1.5, 1.5, 2))
    look = Look(
        "vega",
        rng.choice(("Liberation Sans", "Liberation Sans", "Arimo", "DejaVu Sans")),
        rng.choice(("free", "free", "dark")),
        10 * unit,
        11 * unit,
        13 * unit,
        10 * unit,
        11 * unit,
        rng.choice(("tableau10", "tableau10", "tableau10", "d3")),
        "vega",
        unit,
        title_bold=True,
        label_bold=True,
        spines=rng.choice(("lbrt", "lb")),
        spine=rgb("888888"),
        far=rgb("dddddd"),
        ticks=5 * unit,
        gap=2 * unit,
        grid=rng.choice(("v", "v", "v", "")),
        grid_ink=rgb("dddddd"),
        bar=rng.choice((0.9, 0.9, 0.8)),
        group=0.8,
        legend=rng.choice((("outside",), ("outside",), ("outside",), ("top",), ("bottom",))),
        headed=rng.random() < 0.8,
        margins=(5, 5, 5, 5),
        form="comma",
        line=2 * unit,
        marker=rng.choice((0, 0, 2.7 * unit)),
        zero=0.7,
        turn=(90, 90, 90, 45),
        flat=0.4,
        titled=0.9,
        pie=("legend", 90, -1),
    )
    return look


def _ggplot(rng, small):
    unit = rng.choice((72, 72, 80) if small else (72, 72, 96, 100, 100, 120)) / 72
    base = unit * (rng.choice((9, 10, 11)) if small else 11)
    look = Look(
        "ggplot",
        rng.choice(("Liberation Sans", "Liberation Sans", "Arimo", "DejaVu Sans")),
        rng.choice(("free", "slight")),
        0.8 * base,
        base,
        1.2 * base,
        0.8 * base,
        rng.choice((0.8, 0.9, 1.0)) * base,
        rng.choice(("hue", "hue", "set1", "dark2", "set2")),
        "ggplot",
        unit,
        left="plot",
        tick_ink=rgb("4d4d4d"),
        panel=rgb("ebebeb"),
        spines="",
        spine=rgb("333333"),
        ticks=2.75 * unit,
        gap=2.2 * unit,
        grid="vc",
        grid_ink=(255, 255, 255),
        grid_width=rng.choice((1, 1, 2)) if unit > 1.2 else 1,
        minor=rgb("f5f5f5"),
        bar=0.9,
        group=0.9,
        edges=(0.6, rng.choice((0.6, 0.05))),
        legend=rng.choice((("outside",), ("outside",), ("outside",), ("bottom",), ("top",))),
        headed=True,
        margins=(5.5 * unit,) * 4,
        line=max(1.1, 1.07 * unit) * rng.choice((1, 1, 2)),
        marker=rng.choice((0, 2 * unit, 2.7 * unit)),
        turn=(45, 90, 90),
        titled=0.95,
        single=rng.choice((rgb("595959"), rgb("595959"), rgb("4682b4"), None)),
        back=rgb("f2f2f2"),
    )
    theme = rng.random()
    if theme < 0.45:
        look.panel, look.back, look.minor = (255, 255, 255), None, rgb("f0f0f0")
        look.grid_ink = rgb("ebebeb")
        if theme < 0.15:  # theme_bw
            look.spines = "lbrt"
        elif theme < 0.35:  # theme_minimal
            look.ticks = 0
        else:  # theme_classic
            look.grid, look.spines, look.spine = "", "lb", (0, 0, 0)
    return look


def _gnuplot(rng, small):
    size = rng.choice((9, 10, 11) if small else (12, 12, 13, 14, 16))
    look = Look(
        "gnuplot",
        rng.choice(("DejaVu Sans", "DejaVu Sans", "Liberation Sans", "Arimo")),
        rng.choice(("slight", "free")),
        size,
        size,
        size * rng.choice((1, 1, 1.2)),
        size,
        size,
        "gnuplot",
        "gnuplot",
        ticks=-0.5 * size,
        mirrored=True,
        gap=0.6 * size,
        grid=rng.choice(("", "", "v", "vc")),
        grid_ink=rgb("a0a0a0"),
        grid_dash=rng.choice((1, 2, 3)),
        between=rng.choice((1, 1, 2)),
        bar=rng.choice((0.5, 0.6, 0.8, 0.9)),
        edges=(rng.choice((1.0, 0.75)), rng.choice((0.5, 0.0))),
        legend=rng.choice((("best",), ("best",), ("outside",))),
        margins=(4, 4, 10, 4),
        form="short",
        line=rng.choice((1.2, 2, 2.5)),
        marker=rng.choice((0, 3, 4)),
        turn=(45, 90, -90, -45),
        titled=0.6,
        outline=rng.choice(((0, 0, 0), None)),
        pale=rng.random() < 0.3,
    )
    if rng.random() < 0.15:
        look.spines, look.mirrored = "lb", False
    return look


def _libreoffice(rng, small):
    unit = 96 / 72 * (0.75 if small else rng.choice((1, 1, 0.9)))
    look = Look(
        "libreoffice",
        rng.choice(("Liberation Sans", "Liberation Sans", "Arimo", "Carlito", "DejaVu Sans")),
        rng.choice(("free", "slight", "grid")),
        10 * unit,
        9 * unit,
        13 * unit,
        10 * unit,
        10 * unit,
        "libreoffice",
        "office",
        unit,
        spines="lb",
        spine=rgb("b3b3b3"),
        ticks=3 * unit,
        gap=3 * unit,
        grid="v",
        grid_ink=rgb("b3b3b3"),
        between=1.0,
        legend=rng.choice((("outside",), ("outside",), ("outside",), ("bottom",), ("top",))),
        margins=(10, 10, 10, 10),
        form="short",
        line=rng.choice((2, 2.5, 3)),
        marker=rng.choice((0, 3.5)),
        zero=0.8,
        turn=(45, 90, 30),
        titled=0.5,
        pie=("legend", 90, rng.choice((1, -1))),
    )
    if rng.random() < 0.3:
        look.border = rgb("b3b3b3")
    return look


def _excel(rng, small):
    unit = 96 / 72 * (0.8 if small else rng.choice((1, 1, 1, 1.25)))
    size = unit * rng.choice((9, 9, 10))
    ink = rng.choice((rgb("595959"), rgb("595959"), (0, 0, 0)))
    look = Look(
        "excel",
        "Carlito",
        rng.choice(("dark", "dark", "free", "grid")),
        size,
        size * rng.choice((1, 1.1)),
        unit * (12 if small else rng.choice((14, 14, 18))),
        size,
        size,
        rng.choice(("office", "office", "office 2007", "office 2023")),
        "office",
        unit,
        title_bold=rng.random() < 0.15,
        ink=ink,
        title_ink=ink,
        tick_ink=ink,
        spines=rng.choice(("b", "b", "lb")),
        spine=rgb("d9d9d9") if ink[0] else rgb("868686"),
        gap=5 * unit,
        grid=rng.choice(("v", "v", "v", "")),
        grid_ink=rgb("d9d9d9"),
        between=rng.choice((2.19, 2.19, 1.5, 1.0, 0.5)),
        apart=rng.choice((0, 1, 3)),
        legend=rng.choice((("bottom",), ("bottom",), ("bottom",), ("outside",), ("top",))),
        margins=(12, 10, 12, 10),
        form=rng.choice(("short", "short", "comma")),
        line=2.25 * unit,
        marker=rng.choice((0, 0, 3.3)),
        zero=1.0,
        turn=(45, 45, 90),
        titled=0.4,
        pie=("legend", 90, 1),
        pie_ring=rng.random() < 0.7,
    )
    if rng.random() < 0.5:
        look.border = rgb("d9d9d9")
    return look


def _sheets(rng, small):
    look = _excel(rng, small)
    ink = rgb("757575")
    look.name, look.family, look.cycle = "sheets", "Roboto", "sheets"
    look.title_ink, look.ink, look.tick_ink = ink, rgb("222222"), rng.choice((rgb("222222"), ink))
    look.tick = look.entry = look.value = 10.0 if small else rng.choice((12, 12, 13))
    look.label, look.title = look.tick, 12.0 if small else 16.0
    look.spines, look.spine, look.grid_ink = "b", rgb("333333"), rgb("cccccc")
    look.left, look.border, look.apart = "plot", None, 0
    look.between, look.titled = rng.choice((0.62, 1.0)), 0.85
    look.legend = rng.choice((("outside",), ("outside",), ("top",), ("bottom",)))
    look.turn, look.form, look.zero = (30, 45, 90), rng.choice(("comma", "short")), 0.6
    return look


LOOKS = {
    "matplotlib": (20, _mpl),
    "seaborn": (12, _seaborn),
    "plotly": (10, _plotly),
    "vega": (10, _vega),
    "ggplot": (8, _ggplot),
    "gnuplot": (5, _gnuplot),
    "libreoffice": (6, _libreoffice),
    "excel": (7, _excel),
    "sheets": (3, _sheets),
}
OWN = 25  # the weight of looks of our own, on the same scale


def choose(rng):
    """The name of a look; "own" for those of style.py alone."""
    names = [*LOOKS, "own"]
    return rng.choices(names, [w for w, _ in LOOKS.values()] + [OWN])[0]


def look_of(rng, name, split, width, height):
    """A Look of a library. Fonts and colours of the test split are its own."""
    small = width * height < 140000
    look = LOOKS[name][1](rng, small)
    if split == "test":
        look.family = fonts.choose(rng, split)
    if split == "test" or rng.random() < 0.2:
        palette = palette_of(rng, split)
        names = rng.sample(NAMES[:8], 8)
        look.cycle = " ".join(f"{palette[n]} {n}" for n in names)
    if rng.random() < 0.12 and split != "test":
        look.family = fonts.choose(rng, split)
    if rng.random() < 0.2:
        look.title_bold = not look.title_bold
    if rng.random() < 0.15:
        look.left = "" if look.left else "plot"
    if rng.random() < 0.2 and look.form in ("plain", "comma"):
        look.form = "comma" if look.form == "plain" else "plain"
    if look.family not in fonts.families(split):
        look.family = fonts.choose(rng, split)
    return look
