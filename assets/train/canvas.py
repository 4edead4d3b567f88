"""A picture as a numpy array with smooth shapes and text, and a record of what was written where.

Straight edges are slices of the array; text, slanted lines, discs and polygons are coverage masks
that are blended in. Every string drawn is recorded with the place of its characters, and at the end
where named colours are: that is what the trainer's glyph and word losses are made of.
"""

import functools
import math

import numpy as np
from PIL import Image, ImageDraw

from fonts import PAD, PHASES

SCALE = 4  # how many times finer polygons are drawn before they are reduced


class Rect:
    """A box in pixels; x1 and y1 are outside."""

    __slots__ = ("x0", "y0", "x1", "y1")

    def __init__(self, x0, y0, x1, y1):
        self.x0, self.y0, self.x1, self.y1 = int(x0), int(y0), int(x1), int(y1)

    w = property(lambda s: s.x1 - s.x0)
    h = property(lambda s: s.y1 - s.y0)
    cx = property(lambda s: (s.x0 + s.x1) / 2)
    cy = property(lambda s: (s.y0 + s.y1) / 2)

    def inset(self, left, top=None, right=None, bottom=None):
        """Smaller by these margins; one number is all four."""
        if top is None:
            top = right = bottom = left
        return Rect(self.x0 + left, self.y0 + top, self.x1 - right, self.y1 - bottom)

    def grid(self, columns, rows, gap):
        """columns x rows boxes with gaps between them, in reading order."""
        w, h = (self.w - gap * (columns - 1)) / columns, (self.h - gap * (rows - 1)) / rows
        return [
            Rect(
                self.x0 + c * (w + gap),
                self.y0 + r * (h + gap),
                self.x0 + c * (w + gap) + w,
                self.y0 + r * (h + gap) + h,
            )
            for r in range(rows)
            for c in range(columns)
        ]


class Canvas:
    """pixels: uint8 [height, width, 3]; runs: (text, xs, ys), the centres of its characters;
    patches: (name of a colour, x, y), a corner of every 32 x 32 pixels that show it; loose: like runs, of
    characters whose strings are not seen as a whole."""

    def __init__(self, width, height, colour=(255, 255, 255)):
        self.pixels = np.empty((height, width, 3), np.uint8)
        self.pixels[:] = _row(width, colour)
        self.runs, self.patches, self.loose = [], [], []

    box = property(lambda s: Rect(0, 0, s.pixels.shape[1], s.pixels.shape[0]))

    def blend(self, mask, x, y, colour, opacity=1.0):
        """Paints colour through mask [h, w] (0..255) with its corner at (x, y), cut at the edges."""
        x, y = int(x), int(y)
        height, width = self.pixels.shape[:2]
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
        if x0 >= x1 or y0 >= y1:
            return
        cover = mask[y0 - y : y1 - y, x0 - x : x1 - x].astype(np.float32)
        cover *= opacity / 255
        part = self.pixels[y0:y1, x0:x1]
        under = part.astype(np.float32)
        under += (np.asarray(colour, np.float32) - under) * cover[..., None]
        under += 0.5
        part[:] = under

    def note_colours(self, style, least=12):
        """Records the patches: at least so many pixels have exactly a colour that the style gave."""
        height, width = (s // 32 * 32 for s in self.pixels.shape[:2])
        packed = self.pixels[:height, :width] @ np.array([1 << 16, 1 << 8, 1], np.int32)
        for name in sorted(style.used):
            red, green, blue = style.palette[name]
            same = packed == (red << 16 | green << 8 | blue)
            if not same.any():
                continue
            found = same.reshape(height // 32, 32, width // 32, 32).sum((1, 3)) >= least
            self.patches += [(name, 32 * x, 32 * y) for y, x in zip(*np.nonzero(found))]

    def window(self, x, y, width, height):
        """A part of the picture as a Canvas; x and y are multiples of 32."""
        part = Canvas(width, height)
        part.pixels[:] = self.pixels[y : y + height, x : x + width]
        for text, xs, ys in self.runs:
            spots = [(c, u - x, v - y) for c, u, v in zip(text, xs, ys)]
            inside = [s for s in spots if 3 <= s[1] < width - 3 and 4 <= s[2] < height - 4]
            if inside:
                whole = len(inside) == len(spots)
                (part.runs if whole else part.loose).append(tuple(zip(*inside)))
        part.runs = [("".join(text), xs, ys) for text, xs, ys in part.runs]
        for name, u, v in self.patches:
            if x <= u < x + width and y <= v < y + height:
                part.patches.append((name, u - x, v - y))
        return part

    # ---- straight edges ----

    def rect(self, box, colour, opacity=1.0):
        """Fills a box."""
        x0, y0, x1, y1 = max(box.x0, 0), max(box.y0, 0), max(box.x1, 0), max(box.y1, 0)
        part = self.pixels[y0:y1, x0:x1]
        if opacity >= 1:
            part[:] = _row(part.shape[1], colour)
        else:
            part[:] = part * (1 - opacity) + np.asarray(colour) * opacity + 0.5

    def hline(self, x0, x1, y, colour, width=1, dash=0):
        """A horizontal line from x0 to x1; dash: pixels on, then as many off."""
        y = round(y - width / 2)
        for a, b in _dashes(round(x0), round(x1), dash):
            self.rect(Rect(a, y, b, y + width), colour)

    def vline(self, x, y0, y1, colour, width=1, dash=0):
        """A vertical line from y0 to y1."""
        x = round(x - width / 2)
        for a, b in _dashes(round(y0), round(y1), dash):
            self.rect(Rect(x, a, x + width, b), colour)

    def frame(self, box, colour, width=1):
        """The outline of a box, inside it."""
        self.rect(Rect(box.x0, box.y0, box.x1, box.y0 + width), colour)
        self.rect(Rect(box.x0, box.y1 - width, box.x1, box.y1), colour)
        self.rect(Rect(box.x0, box.y0, box.x0 + width, box.y1), colour)
        self.rect(Rect(box.x1 - width, box.y0, box.x1, box.y1), colour)

    def rounded(self, box, radius, colour):
        """A filled box with round corners."""
        r = int(min(radius, box.w // 2, box.h // 2))
        if r < 2:
            self.rect(box, colour)
            return
        self.rect(Rect(box.x0 + r, box.y0, box.x1 - r, box.y1), colour)
        self.rect(Rect(box.x0, box.y0 + r, box.x0 + r, box.y1 - r), colour)
        self.rect(Rect(box.x1 - r, box.y0 + r, box.x1, box.y1 - r), colour)
        corner = _quarter(r)
        for x, y, part in (
            (box.x0, box.y0, corner),
            (box.x1 - r, box.y0, corner[:, ::-1]),
            (box.x0, box.y1 - r, corner[::-1]),
            (box.x1 - r, box.y1 - r, corner[::-1, ::-1]),
        ):
            self.blend(part, x, y, colour)

    # ---- smooth shapes ----

    def line(self, points, colour, width=2.0, dash=0):
        """A polyline through points [(x, y)], `width` pixels thick."""
        if dash:
            for a, b in _dash_points(points, dash):
                self.line((a, b), colour, width)
            return
        pad = width / 2 + 2
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        left, top = int(min(xs) - pad), int(min(ys) - pad)
        cover = np.zeros((int(max(ys) + pad) - top + 1, int(max(xs) + pad) - left + 1), np.float32)
        for (ax, ay), (bx, by) in zip(points, points[1:]):
            _cover_segment(cover, ax - left, ay - top, bx - left, by - top, width / 2)
        self.blend(cover, left, top, colour)

    def disc(self, x, y, radius, colour, ring=None):
        """A filled disc, with a ring of another colour (and 1.5 pixels) around it."""
        pad = int(radius + 3)
        left, top = int(x) - pad, int(y) - pad
        yy, xx = np.ogrid[0 : 2 * pad + 1, 0 : 2 * pad + 1]
        far = np.sqrt((xx - (x - left)) ** 2 + (yy - (y - top)) ** 2)
        if ring is not None:
            self.blend(np.clip(radius + 2.0 - far, 0, 1) * 255, left, top, ring)
        self.blend(np.clip(radius + 0.5 - far, 0, 1) * 255, left, top, colour)

    def polygon(self, points, colour, opacity=1.0):
        """A filled polygon."""
        left, top = int(min(p[0] for p in points)) - 1, int(min(p[1] for p in points)) - 1
        w, h = int(max(p[0] for p in points)) - left + 2, int(max(p[1] for p in points)) - top + 2
        image = Image.new("L", (w * SCALE, h * SCALE), 0)
        ImageDraw.Draw(image).polygon(
            [((x - left) * SCALE, (y - top) * SCALE) for x, y in points], fill=255
        )
        self.blend(np.asarray(image.reduce(SCALE)), left, top, colour, opacity)

    def pie(self, x, y, radius, slices, edge, hole=0.0):
        """slices: (from, to, colour, shift in pixels) in degrees, clockwise from the right."""
        pad = radius + max(s[3] for s in slices) + 2
        left, top, size = int(x - pad), int(y - pad), int(2 * pad + 2)
        fine = 3
        under = self.pixels[max(top, 0) : top + size, max(left, 0) : left + size]
        background = tuple(int(v) for v in under[0, 0])
        image = Image.new("RGB", (size * fine, size * fine), background)
        draw = ImageDraw.Draw(image)
        for begin, end, colour, shift in slices:
            middle = math.radians((begin + end) / 2)
            cx, cy = (x - left + shift * math.cos(middle)) * fine, (
                y - top + shift * math.sin(middle)
            ) * fine
            r = radius * fine
            draw.pieslice(
                (cx - r, cy - r, cx + r, cy + r),
                begin,
                end,
                fill=tuple(colour),
                outline=edge,
                width=fine if edge else 0,
            )
            if hole:
                draw.ellipse(
                    (cx - r * hole, cy - r * hole, cx + r * hole, cy + r * hole), fill=background
                )
        small = np.asarray(image.reduce(fine))
        under[:] = small[: under.shape[0], : under.shape[1]]

    # ---- text ----

    def text(self, x, y, text, face, colour, anchor="l", record=True):
        """Text whose capitals are centred on y; anchor l, m or r says what x is. Returns its width."""
        width = face.width(text) if face.whole else face.length(text)
        x -= width / 2 if anchor == "m" else width if anchor == "r" else 0
        left, fx, baseline, fy = face.spot(x, y + face.cap / 2)
        mask, at = face.mask(text, fx, fy)
        self.blend(mask, left - PAD, baseline - at, colour)
        if record:
            middle = baseline + fy / PHASES - face.cap / 2
            xs = _centres(text, face, left + fx / PHASES)
            self.runs.append((text, xs, [middle] * len(xs)))
        return width

    def slanted(self, x, y, text, face, colour, degrees, anchor="end"):
        """Turned text under a tick at (x, y). anchor: what of it is there, its end, its start (for text
        that is turned clockwise, by less than 0 degrees) or the middle of its top. Returns its height.
        """
        mask, at = face.mask(text)
        if degrees in (90, -90):
            turned = np.rot90(mask, degrees // 90)
        else:
            turned = np.asarray(
                Image.fromarray(mask).rotate(degrees, Image.Resampling.BILINEAR, expand=True)
            )
        angle = math.radians(degrees)
        c, s = math.cos(angle), math.sin(angle)
        w, h = mask.shape[1], mask.shape[0]
        # where a point (u, v) of the mask comes to lie, seen from the centre of both
        place = lambda u, v: (
            (u - w / 2) * c + (v - h / 2) * s + turned.shape[1] / 2,
            -(u - w / 2) * s + (v - h / 2) * c + turned.shape[0] / 2,
        )
        if anchor == "top":
            spot = (turned.shape[1] / 2, min(place(u, at - face.cap)[1] for u in (PAD, w - PAD)))
        else:
            spot = place(PAD + (face.length(text) if anchor == "end" else 0), at - face.cap / 2)
        left, top = round(x - spot[0]), round(y - spot[1])
        self.blend(turned, left, top, colour)
        spots = [place(u, at - face.cap / 2) for u in _centres(text, face, PAD)]
        self.runs.append((text, [left + p[0] for p in spots], [top + p[1] for p in spots]))
        return turned.shape[0]

    def upward(self, x, y, text, face, colour):
        """Text that is read from below, centred on (x, y): the title of a vertical axis."""
        half = face.width(text) / 2
        self.slanted(x, y - half, text, face, colour, 90)


def _row(width, colour):
    """A row of pixels: filling by rows is several times faster than by pixels."""
    row = np.empty((width, 3), np.uint8)
    row[:] = colour
    return row


def wrap(text, face, width):
    """Lines of text that are at most `width` pixels wide, cut at blanks where possible."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and face.width(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return lines + [line]


def _centres(text, face, x):
    """x of the centre of every character."""
    found = []
    for c in text:
        w = face.advance(c)
        found.append(x + w / 2)
        x += w
    return found


def _dashes(a, b, dash):
    if not dash:
        return [(a, b)]
    return [(i, min(i + dash, b)) for i in range(a, b, 2 * dash)]


def _dash_points(points, dash):
    """Pieces of a polyline of `dash` pixels with gaps of as many."""
    pieces = []
    for (ax, ay), (bx, by) in zip(points, points[1:]):
        length = math.hypot(bx - ax, by - ay) or 1
        at = lambda d: (ax + (bx - ax) * d / length, ay + (by - ay) * d / length)
        pieces += [(at(d), at(min(d + dash, length))) for d in np.arange(0, length, 2 * dash)]
    return pieces


def _cover_segment(cover, ax, ay, bx, by, half):
    """Raises cover (0..255) to what a segment of half width `half` covers."""
    pad = half + 1.5
    x0, x1 = max(int(min(ax, bx) - pad), 0), int(max(ax, bx) + pad) + 1
    y0, y1 = max(int(min(ay, by) - pad), 0), int(max(ay, by) + pad) + 1
    part = cover[y0:y1, x0:x1]
    dx, dy = bx - ax, by - ay
    xs = np.arange(x0, x0 + part.shape[1], dtype=np.float32)[None, :] - np.float32(ax)
    ys = np.arange(y0, y0 + part.shape[0], dtype=np.float32)[:, None] - np.float32(ay)
    along = np.clip((xs * dx + ys * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
    far = np.hypot(xs - along * dx, ys - along * dy)
    np.maximum(part, np.clip(half + 0.5 - far, 0, 1) * 255, out=part)


@functools.lru_cache(64)
def _quarter(r):
    """Coverage [r, r] of the upper left quarter of a disc."""
    at = np.arange(r) + 0.5
    far = np.hypot(r - at[None, :], r - at[:, None])
    return (np.clip(r - far + 0.5, 0, 1) * 255).astype(np.uint8)
