"""Charts by ggplot2: one Rscript draws many. Where the package svglite is installed, a second
drawing says where texts are; else nobody knows."""

import json
import os
import shutil
import subprocess
import tempfile

from PIL import Image

from library import estimate, places, shades, svg
from library.spec import Picture, Unfit, finish, spec_of

_THEMES = {
    "train": ("theme_bw", "theme_minimal", "theme_minimal", "theme_classic", "theme_light"),
    "test": ("theme_minimal", "theme_linedraw"),
}
_BREWER = {"train": ("Set1", "Dark2", "Paired", "Accent"), "test": ("Set2", "Set3")}
_ONE = {
    "train": "steelblue skyblue orange darkgreen tomato purple navy firebrick #2196F3".split(),
    "test": "dodgerblue seagreen coral darkorange".split(),
}
_HEAD = """suppressPackageStartupMessages(library(ggplot2))
facts <- list()
keep <- function(name, p, res, w, h) {
  png(name, width = w, height = h, res = res, type = "cairo")
  tryCatch({
    print(p)
    b <- ggplot_build(p)
    d <- b$data[[1]]
    y <- if (axis == "none") list() else b$layout$panel_params[[1]][[axis]]
    look <- if (paint %in% names(d)) d[[paint]] else character(0)
    first <- !duplicated(d$group)
    look <- if (each) look[order(d$group)] else look[first][order(d$group[first])]
    look <- rgb(t(col2rgb(look)), maxColorValue = 255)
    cat(name, "\\t", paste(look, collapse = " "), "\\t",
        paste(y$breaks, collapse = " "), "\\t", paste(y$continuous_range, collapse = " "),
        "\\n", sep = "", file = out, append = TRUE)
  }, error = function(e) message(conditionMessage(e)))
  invisible(dev.off())
  if (requireNamespace("svglite", quietly = TRUE)) {
    svglite::svglite(sub("png$", "svg", name), width = w / res, height = h / res)
    print(p)
    invisible(dev.off())
  }
}
"""


def ready():
    """Fails where R or ggplot2 is not installed."""
    if not shutil.which("Rscript"):
        raise OSError("Rscript is not installed")
    code = 'quit(status = if (requireNamespace("ggplot2", quietly = TRUE)) 0 else 1)'
    if subprocess.run(["Rscript", "-e", code], stderr=subprocess.DEVNULL).returncode:
        raise OSError("the R package ggplot2 is not installed")


def _q(text):
    return json.dumps(text, ensure_ascii=False)


def _c(items):
    return "c(" + ", ".join(_q(i) if isinstance(i, str) else repr(i) for i in items) + ")"


class Script:
    """The R code for a Spec."""

    def __init__(self, spec, path):
        self.spec, self.chart, self.rng, self.path = spec, spec.chart, spec.rng, path
        self.res = spec.rng.choice(
            (72, 96, 100, 100, 120) if spec.width < 900 else (96, 100, 120, 150)
        )
        if spec.width == spec.height:
            self.res = 72
        self.base = 11 if spec.default else spec.rng.choice((11, 12, 14, 16))
        self.pixels = 0.8 * self.base * self.res / 72
        if self.pixels < 8:
            self.base = 14
            self.pixels = 0.8 * self.base * self.res / 72
        self.parts, self.opacity, self.paint, self.each = [], 1.0, "fill", False
        self.ink = "black"

    def data(self):
        """The data frame in the long form."""
        chart = self.chart
        cats = [c for _ in chart.series for c in chart.cats]
        rows = [v for row in chart.values for v in row]
        names = [s for s in chart.series for _ in chart.cats]
        texts = [chart.text(v) for v in rows]
        return (
            f"d <- data.frame(category = factor({_c(cats)}, levels = {_c(chart.cats)}), "
            f"value = {_c([float(v) for v in rows])}, text = {_c(texts)}, "
            f"series = factor({_c(names)}, levels = {_c(chart.series)}))"
        )

    def scale(self, what):
        """Other colours than the default."""
        rng, chart, split = self.rng, self.chart, self.spec.split
        n = len(chart.cats) if chart.single else len(chart.series)
        if rng.random() < (0.65 if self.spec.default else 0.2):
            return
        if rng.random() < 0.6:
            self.parts.append(f"scale_{what}_brewer(palette = {_q(rng.choice(_BREWER[split]))})")
        elif n <= len(_ONE[split]):
            self.parts.append(f"scale_{what}_manual(values = {_c(rng.sample(_ONE[split], n))})")

    def bars(self):
        chart, spec, rng = self.chart, self.spec, self.rng
        x, y = ("value", "category") if spec.across else ("category", "value")
        width = rng.choice((0.9, 0.9, 0.9, 0.7, 0.6, 0.5))
        dodge = f"position_dodge({width})"
        fill = "series" if not chart.single else "category" if spec.many else None
        self.parts.append(f"ggplot(d, aes({x}, {y}" + (f", fill = {fill})" if fill else ")") + ")")
        place = f", position = {dodge}" if chart.kind == "grouped" else ""
        one = ""
        if not fill and rng.random() < 0.6:
            one = f", fill = {_q(rng.choice(_ONE[spec.split]))}"
        elif chart.kind == "stacked":
            place = ""
        self.parts.append(f"geom_col(width = {width}{place}{one})")
        if fill:
            self.scale("fill")
            if chart.single:
                self.parts.append('guides(fill = "none")')
        if chart.shown:
            size = round(self.base * 0.8 / 2.85 * rng.choice((0.9, 1, 1.1)), 1)
            if chart.kind == "stacked":
                place = ", position = position_stack(vjust = 0.5)"
            elif spec.across:
                place += ", hjust = -0.15"
            else:
                place += f", vjust = {rng.choice((-0.3, -0.4, -0.5))}"
            self.parts.append(f"geom_text(aes(label = text), size = {size}{place})")
            if chart.kind != "stacked":
                axis = "x" if spec.across else "y"
                wide = "0.22" if spec.across else "0.1"
                self.parts.append(
                    f"scale_{axis}_continuous(expand = expansion(mult = c(0.05, {wide})))"
                )

    def lines(self):
        chart, rng, spec = self.chart, self.rng, self.spec
        several = not chart.single
        mapped = "group = series" + (", colour = series" if several else "")
        self.paint = "colour"
        self.parts.append(f"ggplot(d, aes(category, value, {mapped}))")
        one = (
            "" if several or rng.random() < 0.4 else f"colour = {_q(rng.choice(_ONE[spec.split]))}"
        )
        if chart.kind == "area":
            self.paint, self.opacity = "fill", rng.choice((1.0, 0.5, 0.4))
            fill = one.replace("colour", "fill") or 'fill = "steelblue"'
            self.parts.append(f"geom_area({fill}, alpha = {self.opacity})")
        elif chart.kind == "scatter":
            self.parts.append(
                f"geom_point({one + ', ' if one else ''}size = {rng.choice((2, 3, 4))})"
            )
        else:
            wide = rng.choice(("", "", "linewidth = 1"))
            self.parts.append("geom_line(" + ", ".join(p for p in (one, wide) if p) + ")")
            if rng.random() < 0.65:
                self.parts.append(
                    "geom_point("
                    + ", ".join(p for p in (one, rng.choice(("", "size = 2"))) if p)
                    + ")"
                )
        if several:
            self.scale("colour")
        if chart.shown:
            size = round(self.base * 0.8 / 2.85, 1)
            self.parts.append(
                f"geom_text(aes(label = text), size = {size}, vjust = -0.9, show.legend = FALSE)"
            )
            self.parts.append("scale_y_continuous(expand = expansion(mult = c(0.06, 0.12)))")
        elif chart.kind != "area" and rng.random() < 0.35:
            self.parts.append("expand_limits(y = 0)")

    def pie(self):
        chart, rng = self.chart, self.rng
        x = "2" if chart.kind == "donut" else '""'
        self.parts.append(f"ggplot(d, aes({x}, value, fill = category))")
        edge = rng.choice(("", ', colour = "white"'))
        self.parts.append(f"geom_col(width = 1{edge})")
        self.parts.append('coord_polar("y", start = 0)')
        size = round(self.base * 0.8 / 2.85 * rng.choice((1, 1.2)), 1)
        self.ink = rng.choice(("black", "black", "white"))
        ink = f", colour = {_q(self.ink)}"
        middle = "position = position_stack(vjust = 0.5)"
        self.parts.append(f"geom_text(aes(label = text), {middle}, size = {size}{ink})")
        if chart.kind == "donut":
            self.parts.append("xlim(0.5, 2.5)")
        self.scale("fill")

    def around(self):
        """Titles, theme, legend."""
        chart, spec, rng = self.chart, self.spec, self.rng
        pie = chart.kind in ("pie", "donut")
        labs = [f"title = {_q(chart.title)}"]
        named = rng.random() < 0.75  # else the names of the columns stand there
        if not named and not pie:
            chart.x_title, chart.y_title = "category", "value"
        if named and not pie:
            x, y = (chart.y_title, chart.x_title) if spec.across else (chart.x_title, chart.y_title)
            labs += [f"x = {_q(x) if x else 'NULL'}", f"y = {_q(y) if y else 'NULL'}"]
        if rng.random() < 0.4 and (not chart.single or pie):
            what = "colour" if chart.kind == "lines" else "fill"
            labs.append(f"{what} = {rng.choice(('NULL', _q('Group'), _q('Type')))}")
        self.parts.append(f"labs({', '.join(labs)})")
        theme = "theme_gray" if spec.default else rng.choice(_THEMES[spec.split])
        if pie:
            theme = "theme_void"
        family = ""
        if not spec.default and rng.random() < 0.5:
            family = f", base_family = {_q(rng.choice(estimate.families(spec.split)))}"
        self.parts.append(f"{theme}(base_size = {self.base}{family})")
        extra = ["plot.title = element_text(hjust = 0.5)"] if rng.random() < 0.35 else []
        place = {"bottom": "bottom", "top": "top"}.get(spec.legend, "right")
        if (not chart.single or pie) and place != "right":
            extra.append(f"legend.position = {_q(place)}")
        if not pie and not spec.across:
            room = spec.width * (0.9 if chart.single or place != "right" else 0.72)
            angle = estimate.turn(chart, room, self.pixels, spec.rotate)
            if angle:
                form = "vjust = 0.5, hjust = 1" if angle == 90 else "hjust = 1"
                extra.append(f"axis.text.x = element_text(angle = {angle}, {form})")
            estimate.values(chart, room, self.pixels)
        elif not pie:
            estimate.values(chart, spec.height * 0.75, self.pixels, True)
        if estimate.width(chart.title, 1.2 * self.base * self.res / 72) > 0.88 * spec.width:
            raise Unfit("the title is too long")
        if extra:
            self.parts.append(f"theme({', '.join(extra)})")
        if chart.suffix == "%" and not chart.shown:
            axis = "x" if spec.across else "y"
            self.parts.append(f'scale_{axis}_continuous(labels = function(v) paste0(v, "%"))')

    def text(self):
        """The code that draws this chart."""
        kind = self.chart.kind
        if kind in ("pie", "donut"):
            self.pie()
        elif kind in ("vbar", "hbar", "grouped", "stacked"):
            self.bars()
        else:
            self.lines()
        self.around()
        spec = self.spec
        axis = "x" if spec.across else "none" if kind in ("pie", "donut") else "y"
        return (
            f"{self.data()}\naxis <- {_q(axis)}; paint <- {_q(self.paint)}; "
            f"each <- {'TRUE' if self.each else 'FALSE'}\n"
            f"keep({_q(self.path)}, {' + '.join(self.parts)}, {self.res}, "
            f"{spec.width}, {spec.height})\n"
        )


def _facts(path):
    """{picture: (colours, breaks, range)} of what R wrote down."""
    found = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                name, look, breaks, ends = line.rstrip("\n").split("\t")
                numbers = lambda t: [float(v) for v in t.split() if v != "NA"]
                try:
                    found[name] = look.split(), numbers(breaks), numbers(ends)
                except ValueError:
                    found[name] = look.split(), [], []
    return found


def _hex(names):
    """(r, g, b) of colours such as "#1f77b4"."""
    return [shades.rgb(n) for n in names]


def _finished(script, facts):
    """The Picture of a script, once R has drawn it; None where it did not."""
    if script.path not in facts or not os.path.exists(script.path):
        return None
    spec, chart = script.spec, script.spec.chart
    look, breaks, ends = facts[script.path]
    image = Image.open(script.path).convert("RGB")
    wanted = len(chart.cats) if chart.single else len(chart.series)
    colours = _hex(look) or [(89, 89, 89)]
    if not chart.single and len(colours) > wanted and colours == colours[:wanted] * len(chart.cats):
        colours = colours[:wanted]  # of dodged or stacked bars each is a group
    if len(set(colours)) == 1:
        colours = colours[:1]
    if len(colours) not in (1, wanted) or len(colours) == 1 and not chart.single:
        return None
    inside = chart.kind in ("pie", "donut", "stacked") and chart.shown
    if inside and not estimate.legible(script.ink, colours):
        return None
    if script.opacity < 1:
        colours = [shades.blend(c, script.opacity, (235, 235, 235)) for c in colours]
    try:
        runs = _runs(script, image)
    except Unfit:
        return None
    if chart.kind in ("pie", "donut") or len(breaks) < 2 or len(ends) != 2:
        return Picture(image, runs, finish(spec, colours))
    return Picture(image, runs, finish(spec, colours, breaks, *ends))


def _runs(script, image):
    """Where the characters are, or None without an SVG; Unfit where they cannot be read."""
    path = script.path[:-3] + "svg"
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as f:
        found = svg.texts(f.read(), script.res / 72)
    runs = [t.run for t in found]
    places.check(runs, [t.size for t in found], *image.size)
    places.complete(script.spec.chart, {t.text for t in found})
    places.inked(image, runs, 45)
    return runs


def draw_many(seeds, split, batch=60):
    """(Spec, Picture) of every seed; one Rscript for each batch."""
    for first in range(0, len(seeds), batch):
        with tempfile.TemporaryDirectory() as folder:
            made = list(_scripts(seeds[first : first + batch], split, folder))
            out, code = os.path.join(folder, "facts.txt"), os.path.join(folder, "draw.R")
            with open(code, "w", encoding="utf-8") as f:
                f.write(_HEAD + f"out <- {_q(out)}\n" + "".join(s.code for s in made))
            subprocess.run(["Rscript", code], stdout=subprocess.DEVNULL, check=False)
            facts = _facts(out)
            for script in made:
                picture = _finished(script, facts)
                if picture:
                    yield script.spec, picture


def _scripts(seeds, split, folder):
    for seed in seeds:
        for attempt in range(12):
            try:
                script = Script(
                    spec_of(seed, split, "ggplot2", attempt), os.path.join(folder, f"{seed}.png")
                )
                script.code = script.text()
            except Unfit:
                continue
            yield script
            break
