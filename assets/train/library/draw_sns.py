"""Charts by seaborn: its functions and themes; what surrounds them is matplotlib's."""

import functools

import pandas
import seaborn

import fonts
from library.draw_mpl import _BASE, Drawer, _draw, _family

_PALETTES = {
    "train": ("deep", "bright", "colorblind", "Set1", "Dark2", "tab10"),
    "test": ("muted", "Set2", "pastel"),
}


@functools.lru_cache(None)
def _theme(style, context, scale):
    """rcParams of a theme."""
    return seaborn.axes_style(style) | seaborn.plotting_context(context, scale)


def _settings(spec):
    rng, rc = spec.rng, dict(_BASE)
    if spec.default and rng.random() < 0.25:
        return rc  # seaborn's functions without a theme of it
    styles = {"train": ("darkgrid", "whitegrid", "ticks"), "test": ("white", "dark")}
    style = "darkgrid" if spec.default else rng.choice(styles[spec.split])
    if not spec.default and rng.random() < 0.4:
        style = "whitegrid"
    context = "notebook" if spec.default or rng.random() < 0.7 else "talk"
    rc |= _theme(style, context, 1)
    rc["axes.prop_cycle"] = _cycler("deep" if spec.default else rng.choice(_PALETTES[spec.split]))
    rc["patch.facecolor"] = seaborn.color_palette("deep")[0]
    if rng.random() < 0.5:
        rc["font.family"] = _family("Liberation Sans")  # as wide as Arial, which a theme asks for
    elif not spec.default and rng.random() < 0.5:
        rc["font.family"] = _family(rng.choice(fonts.families(spec.split)))
    return rc


@functools.lru_cache(None)
def _cycler(palette):
    from cycler import cycler

    return cycler("color", seaborn.color_palette(palette))


class Seaborn(Drawer):
    """The marks by seaborn, from a table in the long form."""

    def table(self):
        chart = self.chart
        self.x, self.y, self.hue = chart.group, "value", "series"
        return pandas.DataFrame(
            {
                self.x: [c for _ in chart.series for c in chart.cats],
                self.y: [v for row in chart.values for v in row],
                self.hue: [s for s in chart.series for _ in chart.cats],
            }
        )

    def bars(self):
        chart, spec, rng = self.chart, self.spec, self.rng
        data, x, y = self.table(), self.x, self.y
        form = {"errorbar": None} if rng.random() < 0.8 else {}
        if not chart.single:
            form["hue"] = self.hue
        elif spec.many:
            form |= {"hue": x, "legend": False}
        elif rng.random() < 0.3:
            form["color"] = rng.choice(("steelblue", "skyblue", "salmon", "orange", "green"))
        if "hue" in form and rng.random() < 0.3:
            form["palette"] = rng.choice(_PALETTES[spec.split])
        if spec.across:
            x, y = y, x
        seaborn.barplot(data=data, x=x, y=y, ax=self.ax, orient="h" if spec.across else "v", **form)
        several = not chart.single or spec.many
        for made in self.ax.containers if several else self.ax.containers[:1]:
            self.see(made.patches[0].get_facecolor()[:3])
        if chart.shown:
            flat = chart.values if len(self.ax.containers) > 1 else [chart.values[0]]
            if chart.single and len(self.ax.containers) > 1:
                flat = [[v] for v in chart.values[0]]
            for made, row in zip(self.ax.containers, flat):
                self.write_bars(made, row)

    def lines(self):
        chart, rng = self.chart, self.rng
        form = {"marker": "o"} if rng.random() < 0.6 else {}
        if not chart.single:
            form["hue"] = self.hue = "series"
        draw = seaborn.lineplot if rng.random() < 0.8 else seaborn.pointplot
        if draw is seaborn.pointplot:
            form = {k: v for k, v in form.items() if k == "hue"}
        table = self.table()
        draw(data=table, x=self.x, y=self.y, ax=self.ax, **form)
        lines = [l for l in self.ax.get_lines() if len(l.get_xdata()) == len(chart.cats)]
        for line, row in zip(lines, chart.values):
            self.see(line.get_color())
            if chart.shown:
                self.write_points(range(len(chart.cats)), row, line.get_color())

    def points(self):
        chart, rng = self.chart, self.rng
        table = self.table()
        draw = rng.choice((seaborn.scatterplot, seaborn.stripplot))
        form = {"jitter": False} if draw is seaborn.stripplot else {}
        draw(data=table, x=self.x, y=self.y, ax=self.ax, s=rng.choice((40, 60, 80)) / 4 if form
             else 60, **form)  # fmt: skip
        self.see(self.ax.collections[0].get_facecolor()[0][:3])
        if chart.shown:
            self.write_points(range(len(chart.cats)), chart.values[0], "black")

    def names(self):
        """seaborn writes the names of the columns on the axes where nobody changes them."""
        if self.rng.random() < 0.55:
            self.chart.x_title, self.chart.y_title = self.x, self.y
        super().names()


def draw(spec):
    """A Picture of seaborn."""
    return _draw(spec, _settings(spec), Seaborn)
