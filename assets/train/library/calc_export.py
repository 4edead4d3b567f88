"""Writes the first chart of every sheet of a workbook as a PNG and an SVG, by LibreOffice.

    python3 calc_export.py WORKBOOK FOLDER 640x480,800x600,...      FOLDER/0.png, FOLDER/0.svg, ...

It needs the module uno, so it is run with the interpreter that has it, and imports nothing else.
"""

import os
import subprocess
import sys
import time

import uno
from com.sun.star.beans import PropertyValue


def value(name, what):
    """A PropertyValue."""
    found = PropertyValue()
    found.Name, found.Value = name, what
    return found


def connect(folder):
    """(the process of LibreOffice, its context)."""
    pipe = f"vlqa{os.getpid()}"
    office = subprocess.Popen(
        [
            "soffice",
            "--headless",
            "--norestore",
            "--nologo",
            f"-env:UserInstallation=file://{os.path.abspath(folder)}/profile",
            f"--accept=pipe,name={pipe};urp;",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext(
        "com.sun.star.bridge.UnoUrlResolver", local
    )
    for _ in range(360):
        try:
            return office, resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        except Exception:  # it has not started yet
            time.sleep(0.5)
    office.terminate()
    raise SystemExit("LibreOffice does not answer")


def export(context, workbook, folder, sizes):
    """Writes the charts."""
    make = lambda name: context.ServiceManager.createInstanceWithContext(name, context)
    desktop = make("com.sun.star.frame.Desktop")
    url = uno.systemPathToFileUrl(os.path.abspath(workbook))
    document = desktop.loadComponentFromURL(url, "_blank", 0, (value("Hidden", True),))
    for k, (width, height) in enumerate(sizes):
        page = document.DrawPages.getByIndex(k)
        if page.Count == 0:
            continue
        writer = make("com.sun.star.drawing.GraphicExportFilter")
        writer.setSourceDocument(page.getByIndex(0))
        form = (value("PixelWidth", width), value("PixelHeight", height))
        data = uno.Any("[]com.sun.star.beans.PropertyValue", form)
        for end, kind in (("png", "image/png"), ("svg", "image/svg+xml")):
            path = uno.systemPathToFileUrl(os.path.abspath(f"{folder}/{k}.{end}"))
            more = (value("FilterData", data),) if end == "png" else ()
            writer.filter((value("URL", path), value("MediaType", kind)) + more)
    document.close(True)
    desktop.terminate()


def main():
    workbook, folder, sizes = sys.argv[1:]
    office, context = connect(folder)
    try:
        export(context, workbook, folder, [tuple(map(int, s.split("x"))) for s in sizes.split(",")])
        office.wait(60)
    finally:
        if office.poll() is None:
            office.terminate()


if __name__ == "__main__":
    main()
