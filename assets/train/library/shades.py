"""Names of the colours that libraries draw with, and where they are seen in a picture."""

import colorsys

import numpy as np

_HUES = (  # name, hue from and to, saturation and value from and to
    ("red", 346, 370, 0.58, 1.0, 0.50, 1.0),
    ("brown", 8, 40, 0.30, 1.0, 0.30, 0.65),
    ("orange", 19, 42, 0.55, 1.0, 0.80, 1.0),
    ("yellow", 45, 62, 0.46, 1.0, 0.80, 1.0),
    ("green", 78, 158, 0.28, 1.0, 0.25, 0.90),
    ("teal", 168, 188, 0.35, 1.0, 0.35, 0.76),
    ("blue", 196, 243, 0.38, 1.0, 0.40, 1.0),
    ("purple", 250, 294, 0.25, 1.0, 0.35, 0.92),
    ("pink", 300, 344, 0.28, 0.75, 0.80, 1.0),
    ("pink", 344, 360, 0.20, 0.45, 0.90, 1.0),
)


def name_of(rgb):
    """The name in style.NAMES that anyone would give a colour (0..255), or ""."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in rgb[:3]))
    h *= 360
    if s < 0.1:
        return "gray" if 0.35 < v < 0.76 else ""
    for name, h0, h1, s0, s1, v0, v1 in _HUES:
        inside = h0 <= h < h1 or h0 <= h + 360 < h1
        if inside and s0 <= s <= s1 and v0 <= v <= v1:
            return name
    return ""


def names_of(colours):
    """Names of colours (r, g, b) that are seen side by side; "" where doubtful or given twice, also
    where one without a name has the same hue, as light blue has beside blue."""
    names = [name_of(c) for c in colours]
    hues = [colorsys.rgb_to_hsv(*(v / 255 for v in c[:3])) for c in colours]
    vague = [h for n, (h, s, _) in zip(names, hues) if not n and s > 0.12]
    found = []
    for name, (h, s, _) in zip(names, hues):
        near = s > 0.12 and any(min(abs(h - o), 1 - abs(h - o)) < 0.05 for o in vague)
        found.append(name if name and names.count(name) == 1 and not near else "")
    return found


def rgb(text):
    """ "#1f77b4" to (31, 119, 180)."""
    return tuple(int(text.lstrip("#")[i : i + 2], 16) for i in (0, 2, 4))


def blend(colour, opacity, back):
    """A colour (0..255) seen through its opacity on another."""
    return tuple(round(c * opacity + b * (1 - opacity)) for c, b in zip(colour, back))


def patches(pixels, shades, least=12, far=30):
    """[(name, x, y)]: in every 32 x 32 pixels that show a named colour, one pixel that does.

    shades: {name: (r, g, b)}; far: how different the channels of a pixel may be, summed up.
    """
    found = []
    height, width = pixels.shape[:2]
    whole = pixels.astype(np.int16)
    for name in sorted(shades):
        same = np.abs(whole - np.asarray(shades[name], np.int16)).sum(2) <= far
        ys, xs = np.nonzero(same)
        if not len(ys):
            continue
        cell = ys // 32 * (-(-width // 32)) + xs // 32
        order = np.argsort(cell, kind="stable")
        cuts = np.flatnonzero(np.diff(cell[order])) + 1
        for part in np.split(order, cuts):
            if len(part) >= least:
                x, y = xs[part], ys[part]
                k = np.argmin((x - x.mean()) ** 2 + (y - y.mean()) ** 2)
                found.append((name, int(x[k]), int(y[k])))
    return found
