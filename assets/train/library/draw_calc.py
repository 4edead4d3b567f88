"""Charts by LibreOffice Calc, from workbooks of xlsxwriter: one process draws many. Its SVG says
where texts are, where it can write one (libreoffice-draw); else nobody knows."""

import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import xlsxwriter
from PIL import Image

from library import estimate, places, shades, svg
from library.spec import Picture, Unfit, finish, spec_of

_WAYS = {
    "train": (
        "4F81BD C0504D 9BBB59 8064A2 4BACC6 F79646 2C4D75 772C2A",
        "4472C4 ED7D31 A5A5A5 FFC000 5B9BD5 70AD47 264478 9E480E",
        "004586 FF420E FFD320 579D1C 7E0021 83CAFF 314004 AECF00",
        "1F77B4 FF7F0E 2CA02C D62728 9467BD 8C564B E377C2 7F7F7F",
    ),
    "test": (
        "156082 E97132 196B24 0F9ED5 A02B93 4EA72E 0B3041 A64A16",
        "4472C4 ED7D31 A5A5A5 FFC000 5B9BD5 70AD47 264478 9E480E",
    ),
}
_FONTS = {
    "train": ("Liberation Sans", "Liberation Sans", "Arial", "DejaVu Sans", "Open Sans", "Caladea"),
    "test": ("Liberation Sans", "Calibri", "Calibri", "Carlito", "Lato"),
}
_TYPES = {
    "vbar": ("column", None),
    "hbar": ("bar", None),
    "line": ("line", None),
    "lines": ("line", None),
    "area": ("area", None),
    "pie": ("pie", None),
    "donut": ("doughnut", None),
}


def _python():
    """An interpreter that has the module uno."""
    for path in (sys.executable, "/usr/bin/python3", shutil.which("python3")):
        if (
            path
            and subprocess.run([path, "-c", "import uno"], stderr=subprocess.DEVNULL).returncode
            == 0
        ):
            return path
    raise OSError("no Python has the module uno (python3-uno)")


def ready():
    """Fails where LibreOffice is not installed."""
    if not shutil.which("soffice"):
        raise OSError("LibreOffice is not installed")
    _python()


class Sheet:
    """A sheet with the data of a Spec and its chart."""

    def __init__(self, spec):
        self.spec, self.chart, self.rng = spec, spec.chart, spec.rng
        rng, chart = spec.rng, spec.chart
        if chart.thousands not in ("", ","):
            chart.thousands = ""
        pie = chart.kind in ("pie", "donut")
        self.many = pie or chart.single and spec.many and chart.kind in ("vbar", "hbar")
        n = len(chart.cats) if self.many else len(chart.series)
        way = _WAYS[spec.split][
            0 if spec.default and not pie else rng.randrange(len(_WAYS[spec.split]))
        ]
        self.colours = way.split()[:n]
        if len(self.colours) < n:
            raise Unfit("not enough colours")
        self.size = rng.choice((9, 10, 10, 10, 11, 12))
        self.pixels = self.size * 4 / 3
        self.font = {"name": rng.choice(_FONTS[spec.split]), "size": self.size, "bold": False}
        self.place = {"best": "right", "right": "right"}.get(spec.legend, spec.legend)
        self.fits()

    def fits(self):
        """Unfit where texts would lie on each other; decides whether names are turned."""
        chart, spec = self.chart, self.spec
        self.angle = 0
        side = 0.85 - (0.16 if self.place == "right" and not chart.single else 0)
        if chart.kind in ("pie", "donut"):
            return
        if spec.across:
            if chart.kind != "hbar":
                estimate.values(chart, spec.height * 0.7, self.pixels, chart.kind == "grouped")
            if spec.height * 0.7 / len(chart.cats) < self.pixels * 1.3:
                raise Unfit("too many categories")
            return
        self.angle = estimate.turn(chart, spec.width * side, self.pixels, spec.rotate)
        estimate.values(chart, spec.width * side, self.pixels)

    def number(self):
        """The format in which the values are written as Chart.text does."""
        chart = self.chart
        digits = ("#,##0" if chart.thousands else "0") + ("." + "0" * chart.decimals) * (
            chart.decimals > 0
        )
        quote = lambda t: f'"{t}"' if t else ""
        return quote(chart.prefix) + digits + quote(chart.suffix)

    def write(self, book, name):
        """Adds the sheet."""
        chart, spec, rng = self.chart, self.spec, self.rng
        sheet = book.add_worksheet(name)
        sheet.write_column(1, 0, chart.cats)
        n = len(chart.cats)
        kind, sub = _TYPES.get(chart.kind, ("bar" if spec.across else "column", None))
        form = {"type": kind}
        if chart.kind == "stacked":
            form["subtype"] = "stacked"
        made = book.add_chart(form)
        gap = rng.choice((None, 50, 80, 100, 150))
        for k, row in enumerate(chart.values):
            sheet.write(0, k + 1, chart.series[k] or chart.y_title or "Value")
            sheet.write_column(1, k + 1, row)
            one = {
                "name": [name, 0, k + 1],
                "categories": [name, 1, 0, n, 0],
                "values": [name, 1, k + 1, n, k + 1],
            }
            self.paint(one, k)
            if gap and kind in ("bar", "column"):
                one["gap"] = gap
            if chart.shown:
                one["data_labels"] = self.labels()
            made.add_series(one)
        self.around(made)
        made.set_size({"width": spec.width, "height": spec.height})
        sheet.insert_chart("H2", made)

    def paint(self, one, k):
        """The colours of a series."""
        chart, rng = self.chart, self.rng
        if self.many:
            one["points"] = [{"fill": {"color": f"#{c}"}} for c in self.colours]
        elif chart.kind in ("line", "lines"):
            one["line"] = {"color": f"#{self.colours[k]}", "width": rng.choice((1.5, 2.25, 2.25))}
            if rng.random() < 0.5:
                look = {"color": f"#{self.colours[k]}"}
                one["marker"] = {"type": "circle", "size": 6, "fill": look, "border": look}
        else:
            one["fill"] = {"color": f"#{self.colours[k]}"}

    def labels(self):
        chart = self.chart
        found = {"value": True, "num_format": self.number(), "font": dict(self.font)}
        if chart.kind in ("vbar", "hbar", "grouped"):
            found["position"] = "outside_end"
        elif chart.kind in ("line", "lines"):
            found["position"] = "above"
        elif chart.kind == "stacked":
            found["position"] = "center"
        if chart.kind in ("pie", "donut", "stacked"):
            dark = not estimate.legible("black", [shades.rgb(c) for c in self.colours])
            if dark and not estimate.legible("white", [shades.rgb(c) for c in self.colours]):
                raise Unfit("values cannot be read on the colours")
            found["font"]["color"] = "#FFFFFF" if dark else "#000000"
            if chart.kind == "pie":
                found["position"] = "center"
        return found

    def around(self, made):
        """Title, legend and axes."""
        chart, spec, rng = self.chart, self.spec, self.rng
        title = self.font | {"size": rng.choice((13, 13, 14, 16, 18)), "bold": rng.random() < 0.5}
        if estimate.width(chart.title, title["size"] * 4 / 3) > spec.width * 0.85:
            raise Unfit("the title is too long")
        made.set_title({"name": chart.title, "name_font": title, "overlay": False})
        pie = chart.kind in ("pie", "donut")
        if chart.single and not pie:
            made.set_legend({"none": True})
        else:
            made.set_legend({"position": self.place, "font": self.font})
        if pie:
            return
        small = dict(self.font)
        names = {"num_font": small | ({"rotation": -self.angle} if self.angle else {})}
        values = {"num_font": small, "major_gridlines": {"visible": spec.grid is not False}}
        if spec.grid is not False:
            values["major_gridlines"]["line"] = {
                "color": rng.choice(("#D9D9D9", "#B3B3B3", "#868686"))
            }
        percent = chart.suffix == "%" and (not chart.shown or rng.random() < 0.5)
        values["num_format"] = (
            '0"%"'
            if percent and chart.decimals == 0
            else (
                '0.0"%"'
                if percent
                else "#,##0" if spec.commas and chart.decimals == 0 else "General"
            )
        )
        if chart.x_title:
            names |= {"name": chart.x_title, "name_font": self.font | {"bold": rng.random() < 0.4}}
        if chart.y_title:
            values |= {"name": chart.y_title, "name_font": self.font | {"bold": rng.random() < 0.4}}
        if chart.kind not in ("line", "lines"):
            values["min"] = 0
        if chart.kind == "hbar" and rng.random() < 0.3:
            names["reverse"] = True
        made.set_x_axis(values if spec.across else names)
        made.set_y_axis(names if spec.across else values)


def draw_many(seeds, split, batch=60):
    """(Spec, Picture) of every seed; one LibreOffice for each batch."""
    python, script = _python(), os.path.join(os.path.dirname(__file__), "calc_export.py")
    for first in range(0, len(seeds), batch):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "charts.xlsx")
            book, made = xlsxwriter.Workbook(path), []
            for seed in seeds[first : first + batch]:
                sheet = _sheet(seed, split, book, f"c{seed}")
                if sheet:
                    made.append(sheet)
            book.close()
            sizes = ",".join(f"{s.spec.width}x{s.spec.height}" for s in made)
            subprocess.run([python, script, path, folder, sizes], check=False)
            for k, sheet in enumerate(made):
                found = _finished(sheet, os.path.join(folder, f"{k}.png"))
                if found:
                    yield sheet.spec, found


def _sheet(seed, split, book, name):
    """The sheet of a seed, once it is known to fit."""
    for attempt in range(12):
        try:
            Sheet(spec_of(seed, split, "calc", attempt)).write(
                xlsxwriter.Workbook(os.devnull), name
            )
            sheet = Sheet(spec_of(seed, split, "calc", attempt))
            sheet.write(book, name)
            return sheet
        except Unfit:
            continue
    return None


def _finished(sheet, path):
    if not os.path.exists(path):
        return None
    image = Image.open(path).convert("RGBA")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    spec, colours = sheet.spec, [shades.rgb(c) for c in sheet.colours]
    if flat.size != (spec.width, spec.height):
        return None
    try:
        runs = _runs(path[:-3] + "svg", spec, flat)
    except Unfit:
        return None
    return Picture(flat, runs, finish(spec, colours))


def _runs(path, spec, image):
    """Where the characters are, or None where there is no SVG; Unfit where they cannot be read."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return None
    root = xml.parse(path).getroot()
    ends = re.search(r"L 0,(\d+) 0,0 (\d+),0", root.find("{*}path").get("d", ""))
    if not ends:
        return None
    sx, sy = spec.width / (int(ends[2]) + 13), spec.height / (int(ends[1]) + 13)
    runs, sizes = [], []
    found = root.iterfind(".//{*}text")
    for turned, paragraph in ((t.get("transform", ""), t[0]) for t in found if len(t)):
        size = float(paragraph.get("font-size").rstrip("px")) * sy
        file = svg.file_of(
            paragraph.get("font-family"), int(paragraph.get("font-weight", 400)) > 500
        )
        for place in paragraph.iterfind(".//{*}tspan[@class='TextPosition']"):
            text = "".join(place.itertext())
            a, b, c, d, e, f = svg.matrix(turned)
            x, y = float(place.get("x")), float(place.get("y"))
            degrees = -math.degrees(math.atan2(b, a))
            x, y = sx * (a * x + c * y + e), sy * (b * x + d * y + f)
            if text.strip():
                runs.append(places.run(text, x, y, degrees, size, file))
                sizes.append(size)
    places.check(runs, sizes, spec.width, spec.height)
    places.complete(spec.chart, {r[0] for r in runs})
    places.inked(image, runs, 45)
    return runs
