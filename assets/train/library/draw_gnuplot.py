"""Charts by gnuplot (pngcairo): one process draws many. Where its texts are is not known."""

import os
import shutil
import subprocess
import tempfile

from PIL import Image

from library import estimate, shades
from library.spec import Picture, Unfit, finish, spec_of

_DEFAULT = "9400d3 009e73 56b4e9 e69f00 f0e442 0072b2 e51e10 000000".split()
_WAYS = {
    "train": (
        "1f77b4 ff7f0e 2ca02c d62728 9467bd 8c564b e377c2 7f7f7f",
        "e41a1c 377eb8 4daf4a 984ea3 ff7f00 a65628 f781bf 999999",
        "4682b4 b22222 2e8b57 daa520 6a5acd 708090 ff8c00 5f9ea0",
        "ff0000 0000ff 008000 ffa500 800080 a52a2a 00ffff ff00ff",
    ),
    "test": (
        "1b9e77 d95f02 7570b3 e7298a 66a61e e6ab02 a6761d 666666",
        "0060ad dd181f 5e9c36 8b1a0e",
    ),
}


def ready():
    """Fails where gnuplot is not installed."""
    if not shutil.which("gnuplot"):
        raise OSError("gnuplot is not installed")


def _quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Script:
    """The commands for a Spec."""

    def __init__(self, spec, path):
        self.spec, self.chart, self.rng = spec, spec.chart, spec.rng
        rng, chart = spec.rng, spec.chart
        spec.across = False
        self.size = rng.choice((9, 10, 10, 11, 12)) if not spec.default else 12
        self.pixels = self.size * 4 / 3
        family = "" if spec.default else rng.choice(estimate.families(spec.split) + ["Arial"] * 4)
        n = (
            len(chart.cats)
            if chart.single and spec.many and chart.kind == "vbar"
            else len(chart.series)
        )
        self.own = not spec.default or rng.random() < 0.35
        self.colours = (rng.choice(_WAYS[spec.split]).split() if self.own else _DEFAULT)[:n]
        if len(self.colours) < n:
            raise Unfit("not enough colours")
        font = f' font "{family},{self.size}"' if not spec.default else ""
        self.lines = [
            "reset",
            f"set terminal pngcairo noenhanced size {spec.width},{spec.height}{font}",
            f"set output {_quoted(path)}",
        ]
        self.opacity = 1.0

    def add(self, *lines):
        self.lines += lines

    def data(self):
        """The table: name, values, texts."""
        chart, rows = self.chart, ["$D << EOD"]
        for i, name in enumerate(chart.cats):
            row = [_quoted(name)] + [repr(r[i]) for r in chart.values]
            row += [_quoted(chart.text(r[i])) for r in chart.values]
            rows.append(" ".join(row))
        self.add(*rows, "EOD")

    def around(self):
        """Title, titles of axes, legend, grid, ticks."""
        spec, chart, rng = self.spec, self.chart, self.rng
        if estimate.width(chart.title, 1.4 * self.pixels) > 0.92 * spec.width:
            raise Unfit("the title is too long")
        size = f' font ",{rng.choice((12, 14, 16))}"' if rng.random() < 0.35 else ""
        self.add(f"set title {_quoted(chart.title)}{size}")
        if chart.x_title:
            self.add(f"set xlabel {_quoted(chart.x_title)}")
        if chart.y_title:
            self.add(f"set ylabel {_quoted(chart.y_title)}")
        if chart.single:
            self.add("unset key")
        else:
            where = {"best": "top right", "right": "outside right top", "bottom": "outside below"}
            self.add(f"set key {where.get(spec.legend, 'outside top center horizontal')}")
        if spec.grid or spec.grid is None and rng.random() < 0.35:
            self.add("set grid" + rng.choice((" ytics", " ytics", "")))
        room = spec.width * 0.82 - (spec.width * 0.14 if spec.legend == "right" else 0)
        angle = estimate.turn(chart, room, self.pixels, spec.rotate)
        if angle:
            longest = max(estimate.width(c, self.pixels) for c in chart.cats)
            down = angle == 90 or longest < 0.09 * spec.width and rng.random() < 0.6
            self.add("set xtics rotate by " + (f"-{angle}" if down else f"{angle} right"))
        if chart.suffix == "%" and (not chart.shown or rng.random() < 0.5):
            self.add('set format y "%g%%"')
        if rng.random() < 0.2:
            self.add("set border 3", "set tics nomirror")
        top = max(v for row in chart.values for v in row)
        if chart.kind == "stacked":
            top = max(sum(row[i] for row in chart.values) for i in range(len(chart.cats)))
        low = "*" if chart.kind in ("line", "lines", "scatter") and rng.random() < 0.5 else "0"
        high = "*"
        if chart.shown or not chart.single and spec.legend == "best":
            high = repr(round(top * (1.15 if chart.single else 1.35), 6))
        self.add(f"set yrange [{low}:{high}]", f"set xrange [-0.6:{len(chart.cats) - 0.4}]")
        estimate.values(chart, room, self.pixels)

    def paint(self, k):
        return f' lc rgb "#{self.colours[k]}"' if self.own else f" lt {k + 1}"

    def bars(self):
        chart, rng, n = self.chart, self.rng, len(self.chart.series)
        self.opacity = rng.choice((1, 1, 1, 0.5, 0.7))
        self.add(
            f"set style fill solid {self.opacity}" + rng.choice((" border -1", "", " noborder"))
        )
        plots = []
        if chart.kind == "vbar":
            self.add(f"set boxwidth {rng.choice((0.5, 0.6, 0.7, 0.8, 0.9))}")
            if len(self.colours) > 1:
                paint = "(" + "".join(f"$0=={k}?0x{c}:" for k, c in enumerate(self.colours)) + "0)"
                plots.append(f"$D using 0:2:{paint}:xtic(1) with boxes lc rgb variable")
            else:
                plots.append(f"$D using 0:2:xtic(1) with boxes{self.paint(0)}")
            if chart.shown:
                plots.append("'' using 0:2:3 with labels offset 0,0.7")
        else:
            gap = rng.choice((1, 1, 2))
            mode = f"clustered gap {gap}" if chart.kind == "grouped" else "rowstacked"
            self.add("set style data histograms", f"set style histogram {mode}")
            self.add(f"set boxwidth {rng.choice((0.9, 0.9, 1.0) if n > 1 else (0.6,))}")
            for k, name in enumerate(chart.series):
                source = "$D" if k == 0 else "''"
                plots.append(f"{source} using {k + 2}:xtic(1) title {_quoted(name)}{self.paint(k)}")
            for k in range(n if chart.shown else 0):
                if chart.kind == "grouped":
                    x, y = f"($0+{(k - (n - 1) / 2) / (n + gap):.4f})", f"{k + 2}"
                    shift = " offset 0,0.6"
                else:
                    below = "+".join(f"${j + 2}" for j in range(k)) or "0"
                    x, y, shift = "0", f"({below}+${k + 2}/2)", ""
                plots.append(f"'' using {x}:{y}:{n + 2 + k} with labels{shift} notitle")
        return plots

    def points(self):
        """kinds line, lines, area and scatter."""
        chart, rng, n = self.chart, self.rng, len(self.chart.series)
        form = rng.choice(
            ("lines lw 2", "linespoints", "linespoints lw 2 pt 7", "linespoints pt 5")
        )
        if chart.kind == "scatter":
            form = rng.choice(("points pt 7 ps 1.5", "points pt 5 ps 2", "impulses lw 4"))
        plots, lift = [], 1.1 if chart.kind == "scatter" else 0.8
        for k, name in enumerate(chart.series):
            source, title = "$D" if k == 0 else "''", f" title {_quoted(name)}" if name else ""
            if chart.kind == "area":
                self.opacity = rng.choice((1.0, 0.5, 0.3))
                self.add(f"set style fill solid {self.opacity}")
                form = "filledcurves y1=0"
            plots.append(f"{source} using 0:{k + 2}:xtic(1) with {form}{self.paint(k)}{title}")
            if chart.shown:
                plots.append(f"'' using 0:{k + 2}:{n + 2 + k} with labels offset 0,{lift} notitle")
        return plots

    def text(self):
        """The whole script."""
        self.data()
        self.around()
        bars = self.chart.kind in ("vbar", "grouped", "stacked")
        plots = self.bars() if bars else self.points()
        self.add("plot " + ", ".join(plots), "set output")
        return "\n".join(self.lines) + "\n"


def draw_many(seeds, split, batch=50):
    """(Spec, Picture) of every seed; one gnuplot for each batch."""
    for first in range(0, len(seeds), batch):
        with tempfile.TemporaryDirectory() as folder:
            made = list(_scripts(seeds[first : first + batch], split, folder))
            text = "".join(script.text_ for script in made)
            subprocess.run(["gnuplot"], input=text.encode(), stderr=subprocess.DEVNULL, check=False)
            for script in made:
                if os.path.exists(script.path):
                    image = Image.open(script.path).convert("RGB")
                    white = (255, 255, 255)
                    colours = [
                        shades.blend(shades.rgb(c), script.opacity, white) for c in script.colours
                    ]
                    if script.spec.chart.kind == "stacked" and script.spec.chart.shown:
                        if not estimate.legible("black", colours):
                            continue
                    yield script.spec, Picture(image, None, finish(script.spec, colours))


def _scripts(seeds, split, folder):
    for seed in seeds:
        for attempt in range(12):
            try:
                path = os.path.join(folder, f"{seed}.png")
                script = Script(spec_of(seed, split, "gnuplot", attempt), path)
                script.text_, script.path = script.text(), path
            except Unfit:
                continue
            yield script
            break
