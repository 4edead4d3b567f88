"""Charts by matplotlib and seaborn, in this process. Every string that is drawn is recorded."""

import functools

import matplotlib
import numpy as np
from matplotlib import font_manager, style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

import fonts
from chart import tick_text
from library import places, shades
from library.spec import Picture, Unfit, finish

_STYLES = {
    "train": (
        "ggplot",
        "bmh",
        "seaborn-v0_8",
        "seaborn-v0_8-whitegrid",
        "seaborn-v0_8-darkgrid",
        "seaborn-v0_8-ticks",
        "seaborn-v0_8-colorblind",
        "tableau-colorblind10",
        "dark_background",
        "Solarize_Light2",
        "fast",
        "classic",
    ),
    "test": ("fivethirtyeight", "seaborn-v0_8-white", "seaborn-v0_8-muted", "petroff10"),
}
_MAPS = {
    "train": ("Set1", "Dark2", "Paired", "tab10", "Accent", "tab20"),
    "test": ("Set2", "Set3"),
}
_BASE = {"text.parse_math": False, "axes.unicode_minus": False}
_ONE = {  # what people write as color=
    "train": "steelblue skyblue orange green coral tomato teal royalblue crimson gray navy".split()
    + "purple C0 C1 C2 #4CAF50 #2196F3 darkorange seagreen red blue g r b".split(),
    "test": "dodgerblue salmon forestgreen slateblue goldenrod indianred C3 C4 #FF5733".split(),
}


@functools.lru_cache(None)
def _family(name):
    """Makes the family of fonts.FAMILIES known to matplotlib."""
    pair = fonts.FAMILIES["train"].get(name) or fonts.FAMILIES["test"][name]
    found = []
    for path in (fonts._files()[p] for p in pair):
        font_manager.fontManager.addfont(path)
        found.append(font_manager.fontManager.ttflist[-1].name)
    return found[0]


@functools.lru_cache(None)
def _path(properties):
    return font_manager.findfont(properties)


class _Record:
    """Takes the place of a renderer's draw_text and remembers what went through it."""

    def __init__(self, renderer):
        self.renderer, self.draw, self.texts = renderer, renderer.draw_text, []

    def __call__(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        self.texts.append((x, y, s, prop.copy(), angle, mtext))
        return self.draw(gc, x, y, s, prop, angle, ismath, mtext)

    def runs(self):
        """([text, xs, ys] of all strings, their sizes)."""
        found, sizes = [], []
        for x, y, s, prop, angle, _ in self.texts:
            if not s.strip():
                continue
            size = self.renderer.points_to_pixels(prop.get_size_in_points())
            width, _, _ = self.renderer.get_text_width_height_descent(s, prop, False)
            found.append(places.run(s, x, y, angle, size, _path(prop), width))
            sizes.append(size)
        return found, sizes


def _settings(spec):
    """rcParams of the picture."""
    rng, rc = spec.rng, dict(_BASE)
    if not spec.default:
        if rng.random() < 0.7:
            rc.update(style.library[rng.choice(_STYLES[spec.split])])
        if rng.random() < 0.5:
            rc["font.family"] = _family(rng.choice(fonts.families(spec.split)))
        elif rng.random() < 0.4:
            rc["font.family"] = _family("Liberation Sans")
        if rng.random() < 0.4:
            rc["font.size"] = rng.choice((8, 9, 11, 12, 13, 14))
        if rng.random() < 0.3:
            rc["axes.spines.top"] = rc["axes.spines.right"] = False
        rc["figure.constrained_layout.use"] = rc["figure.autolayout"] = False
    return rc


def _dpi(rng, width):
    if rng.random() < 0.72:
        return 100
    return rng.choice((72, 80, 90, 110, 120) if width < 900 else (80, 120, 150, 150))


def _colours(spec, n):
    """What to give as color=: None for the default, or n of them."""
    rng = spec.rng
    if rng.random() < (0.65 if n > 1 else 0.5):
        return None
    if n > 1:
        cmap = matplotlib.colormaps[rng.choice(_MAPS[spec.split])]
        if cmap.N >= n and rng.random() < 0.6:
            return [cmap(i)[:3] for i in range(n)]
        return rng.sample(_ONE[spec.split][:18], n) if n <= 9 else None
    return [rng.choice(_ONE[spec.split])]


def _cycle(n):
    given = [to_rgb(p["color"]) for p in matplotlib.rcParams["axes.prop_cycle"]]
    return [given[i % len(given)] for i in range(n)]


class Drawer:
    """Draws one Spec on an Axes; subclasses draw the marks otherwise."""

    def __init__(self, spec, fig, ax):
        self.spec, self.chart, self.rng = spec, spec.chart, spec.rng
        self.fig, self.ax = fig, ax
        self.colours = []  # of marks, 0..255
        self.legend = None
        self.labels = []  # size of the texts at the marks

    def see(self, colour, opacity=1.0):
        """Notes the colour of marks as it is seen on the axes."""
        over = [255 * c for c in to_rgb(self.ax.get_facecolor())]
        self.colours.append(shades.blend([255 * c for c in to_rgb(colour)], opacity, over))

    # ---- marks ----

    def bars(self):
        """kinds vbar, hbar, grouped and stacked."""
        spec, chart, ax, rng = self.spec, self.chart, self.ax, self.rng
        n = len(chart.series)
        many = chart.single and spec.many
        given = _colours(spec, len(chart.cats) if many else n)
        if many and given is None:
            given = _cycle(len(chart.cats))
        at = np.arange(len(chart.cats))
        lanes = n if chart.kind == "grouped" else 1
        thick = rng.choice((0.8, 0.8, 0.7, 0.6, 0.5)) / lanes
        bottom = np.zeros(len(chart.cats))
        extra = {"edgecolor": "black"} if rng.random() < 0.12 else {}
        opacity = rng.choice((1, 1, 1, 1, 0.8, 0.7))
        for k, (name, row) in enumerate(zip(chart.series, chart.values)):
            colour = None if given is None else given if chart.single else given[k]
            where = at + (k - (lanes - 1) / 2) * thick if lanes > 1 else at
            make = ax.barh if spec.across else ax.bar
            extra["left" if spec.across else "bottom"] = bottom
            if opacity < 1:
                extra["alpha"] = opacity
            made = make(where, row, thick, label=name or None, color=colour, **extra)
            for patch in made.patches[: len(chart.cats) if many else 1]:
                self.see(patch.get_facecolor()[:3], opacity)
            if chart.shown:
                self.write_bars(made, row, opacity)
            if chart.kind == "stacked":
                bottom = bottom + row
        self.name_bars(at)

    def write_bars(self, made, row, opacity=1.0):
        """bar_label with the values as the chart writes them."""
        chart, rng = self.chart, self.rng
        texts = [chart.text(v) for v in row]
        top = max(sum(v) for v in zip(*chart.values)) if chart.kind == "stacked" else max(row)
        inside = chart.kind == "stacked" or chart.single and rng.random() < 0.12
        if inside and min(row) < 0.09 * top:
            raise Unfit("a value does not fit into its bar")
        extra = {}
        if inside:
            dark = shades.blend(self.colours[-1], 1, (0, 0, 0))
            light = 0.3 * dark[0] + 0.59 * dark[1] + 0.11 * dark[2] > 140
            extra = {"label_type": "center", "color": "black" if light else "white"}
        elif rng.random() < 0.7:
            extra["padding"] = rng.choice((2, 3, 3, 4))
        if rng.random() < 0.3:
            extra["fontsize"] = rng.choice((8, 9, 9, 10))
        if chart.kind == "grouped" and not self.spec.across and rng.random() < 0.15:
            extra["rotation"] = 90
        self.ax.bar_label(made, labels=texts, **extra)

    def name_bars(self, at):
        ax, chart = self.ax, self.chart
        if self.spec.across:
            ax.set_yticks(at, chart.cats)
            if chart.kind == "hbar" and self.rng.random() < 0.4 or self.rng.random() < 0.1:
                ax.invert_yaxis()
        else:
            ax.set_xticks(at, chart.cats)
        if chart.shown and self.rng.random() < 0.5:
            ax.margins(**{"x" if self.spec.across else "y": self.rng.choice((0.1, 0.12, 0.15))})

    def lines(self):
        """kinds line, lines and area."""
        chart, ax, rng = self.chart, self.ax, self.rng
        given = _colours(self.spec, len(chart.series)) or _cycle(len(chart.series))
        form = {}
        if rng.random() < 0.6:
            form["marker"] = rng.choice("oooos^D")
        if rng.random() < 0.3:
            form["linewidth"] = rng.choice((1, 2, 2, 2.5, 3))
        if rng.random() < 0.12:
            form["linestyle"] = "--"
        numbers = (
            all(c.isdigit() for c in chart.cats) and rng.random() < 0.5
        )  # years, not "1952/53"
        at = [int(c) for c in chart.cats] if numbers else np.arange(len(chart.cats))
        for name, row, colour in zip(chart.series, chart.values, given):
            if chart.kind == "area":
                opacity = rng.choice((0.3, 0.4, 0.5, 1.0))
                ax.fill_between(at, row, color=colour, alpha=opacity)
                self.see(colour, opacity)
                ax.set_ylim(0, max(row) * rng.choice((1.05, 1.1, 1.2)))
                if rng.random() < 0.3:
                    continue
            else:
                self.see(colour)
            ax.plot(at, row, color=colour, label=name or None, **form)
            if chart.shown:
                self.write_points(at, row, colour)
        ax.set_xticks(at, None if numbers else chart.cats)
        if chart.kind != "area" and rng.random() < 0.3:
            ax.set_ylim(bottom=0)

    def write_points(self, at, row, colour):
        """Values above the points."""
        chart, rng = self.chart, self.rng
        lift = rng.choice((5, 6, 7, 8, 10))
        extra = {"fontsize": rng.choice((8, 9, 9, 10))} if rng.random() < 0.5 else {}
        if not chart.single and rng.random() < 0.5:
            extra["color"] = colour
        for x, v in zip(at, row):
            self.ax.annotate(
                chart.text(v),
                (x, v),
                textcoords="offset points",
                xytext=(0, lift),
                ha="center",
                **extra,
            )
        self.ax.margins(y=0.12)

    def points(self):
        """kind scatter: one point a category."""
        chart, rng = self.chart, self.rng
        colour = (_colours(self.spec, 1) or _cycle(1))[0]
        opacity = rng.choice((1, 1, 0.7))
        self.ax.scatter(chart.cats, chart.values[0], s=rng.choice((36, 50, 80)), color=colour,
                        alpha=opacity)  # fmt: skip
        self.see(colour, opacity)
        if chart.shown:
            self.write_points(chart.cats, chart.values[0], colour)

    def pie(self):
        """kinds pie and donut, with the values that autopct writes."""
        chart, ax, rng = self.chart, self.ax, self.rng
        given = _colours(self.spec, len(chart.cats)) or _cycle(len(chart.cats))
        beside = rng.random() < 0.65
        form = {"startangle": 90} if rng.random() < 0.6 else {}
        if rng.random() < 0.4:
            form["counterclock"] = False
        if chart.kind == "donut":
            form["wedgeprops"] = {"width": rng.choice((0.35, 0.4, 0.5))}
            form["pctdistance"] = 1 - form["wedgeprops"]["width"] / 2
        elif rng.random() < 0.2:
            form["explode"] = [0.1] + [0] * (len(chart.cats) - 1)
        texts = iter([chart.text(v) for v in chart.values[0]])
        if rng.random() < 0.3:
            form["textprops"] = {"fontsize": rng.choice((9, 11, 12))}
        made = ax.pie(
            chart.values[0],
            labels=chart.cats if beside else None,
            colors=given,
            autopct=lambda _: next(texts),
            **form,
        )
        for wedge, text in zip(made[0], made[2]):
            self.see(wedge.get_facecolor()[:3])
            if rng.random() < 0.3:
                text.set_color("white")
        if not beside:
            self.legend = ax.legend(made[0], chart.cats, loc="center left", bbox_to_anchor=(1, 0.5))

    # ---- around them ----

    def marks(self):
        kind = self.chart.kind
        if kind in ("vbar", "hbar", "grouped", "stacked"):
            self.bars()
        elif kind in ("pie", "donut"):
            self.pie()
        elif kind == "scatter":
            self.points()
        else:
            self.lines()

    def names(self):
        """Title, titles of axes, legend, grid and the labels of ticks."""
        spec, chart, ax = self.spec, self.chart, self.ax
        form = {"loc": "left"} if spec.left else {}
        if spec.bold:
            form["fontweight"] = "bold"
        if self.rng.random() < 0.3:
            form["fontsize"] = self.rng.choice((12, 14, 14, 16))
        ax.set_title(chart.title, **form)
        if chart.kind in ("pie", "donut"):
            return
        x, y = chart.x_title, chart.y_title
        if spec.across:
            x, y = y, x
        ax.set_xlabel(x)
        ax.set_ylabel(y)
        if not chart.single:
            self.show_legend()
        if spec.grid is not None:
            axis = self.rng.choice(("x" if spec.across else "y", "both"))
            (
                ax.grid(spec.grid, axis=axis, alpha=self.rng.choice((0.3, 0.5, 0.7, 1)))
                if (spec.grid)
                else ax.grid(False)
            )
            ax.set_axisbelow(True)
        self.tick_labels()

    def show_legend(self):
        where = self.spec.legend
        rows = len(self.chart.series)
        if where == "right":
            form = {"loc": "upper left", "bbox_to_anchor": (1.02, 1)}
        elif where == "bottom":
            form = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15), "ncol": rows}
        elif where == "top":
            form = {"loc": "upper center", "ncol": rows}
        else:
            form = {}
        if self.rng.random() < 0.2:
            form["title"] = "Legend" if self.rng.random() < 0.5 else "Series"
        if self.rng.random() < 0.15:
            form["frameon"] = False
        self.legend = self.ax.legend(**form)

    def tick_labels(self):
        spec, chart, ax = self.spec, self.chart, self.ax
        axis = ax.xaxis if spec.across else ax.yaxis
        if chart.suffix == "%" and (not chart.shown or self.rng.random() < 0.5):
            axis.set_major_formatter(FuncFormatter(lambda v, _: tick_text(round(v, 6)) + "%"))
        elif spec.commas:
            axis.set_major_formatter(
                FuncFormatter(lambda v, _: f"{v:,.6g}" if v < 1e5 else f"{v:,.0f}")
            )
        elif max(v for row in chart.values for v in row) >= 1e5:
            ax.ticklabel_format(style="plain", axis="x" if spec.across else "y")
        if spec.rotate and not spec.across:
            extra = {"ha": "right"} if spec.rotate < 90 else {}
            ax.tick_params(axis="x", labelrotation=spec.rotate)
            for label in ax.get_xticklabels():
                label.set(**extra)

    def value_axis(self):
        """(ticks, low, high) that were drawn."""
        axis = self.ax.xaxis if self.spec.across else self.ax.yaxis
        low, high = sorted(axis.get_view_interval())
        return axis.get_majorticklocs(), low, high


def _turn(ax):
    """Turns the labels of categories that do not fit beside each other."""
    ax.tick_params(axis="x", labelrotation=45)
    for label in ax.get_xticklabels():
        label.set_ha("right")


def _covered(drawer, record):
    """Whether the frame of the legend lies over other texts."""
    legend = drawer.legend
    if legend is None:
        return False
    box = legend.get_window_extent(drawer.record.renderer).padded(1)
    own = set(map(id, legend.findobj(matplotlib.text.Text)))
    height = drawer.spec.height
    for (_, _, s, _, _, mtext), run in zip(
        [t for t in record.texts if t[2].strip()], record.runs()[0]
    ):
        if mtext is None or id(mtext) not in own:
            if any(box.contains(x, height - y) for x, y in zip(run[1], run[2])):
                return True
    return False


def _render(drawer, canvas):
    """Draws the figure: (runs, sizes)."""
    renderer = canvas.get_renderer()
    record = drawer.record = _Record(renderer)
    renderer.draw_text = record
    try:
        canvas.draw()
    finally:
        del renderer.draw_text
    return record.runs()


def _try(spec, drawer_class, tight):
    """One way to lay the picture out."""
    dpi = _dpi(spec.rng, spec.width)
    fig = Figure((spec.width / dpi, spec.height / dpi), dpi)
    canvas = FigureCanvasAgg(fig)
    drawer = drawer_class(spec, fig, fig.add_subplot())
    drawer.marks()
    drawer.names()
    if tight == "turn":
        _turn(drawer.ax)
    if tight:
        fig.tight_layout()
    runs, sizes = _render(drawer, canvas)
    places.check(runs, sizes, spec.width, spec.height)
    places.complete(spec.chart, {r[0] for r in runs})
    if _covered(drawer, drawer.record):
        raise Unfit("the legend covers a text")
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3].copy())
    places.inked(image, runs, 45)
    if image.size != (spec.width, spec.height):
        raise Unfit(f"the picture is {image.size}")
    if spec.chart.kind in ("pie", "donut"):
        found = finish(spec, drawer.colours)
    else:
        found = finish(spec, drawer.colours, *drawer.value_axis())
    return Picture(image, runs, found)


def _draw(spec, settings, drawer_class):
    """The Picture of a Spec; Unfit if no layout does."""
    first = spec.rng.random() < 0.6
    state = spec.rng.getstate()
    across = spec.across or spec.chart.kind in ("pie", "donut")
    ways = [first, True] + ["turn"] * (not spec.rotate and not across)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        for k, tight in enumerate(ways):
            spec.rng.setstate(state)
            try:
                return _try(spec, drawer_class, tight)
            except Unfit:
                if k + 1 == len(ways):
                    raise


def draw(spec):
    """A Picture of matplotlib."""
    return _draw(spec, _settings(spec), Drawer)
