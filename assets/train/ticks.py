"""Where value axes begin, end and have their ticks in the libraries that draw charts, and how ticks
are written. Each rule is the library's, but for cases that charts of people hardly have."""

import math

from chart import decimals_of


def _multiples(step, low, high):
    """Multiples of a step from low to high, both included."""
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(k * step, 9) for k in range(first, last + 1)]


def _at_least(raw, steps):
    """The first of steps, times a power of ten, that is not below raw."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(s * power for s in (*steps, 10 * steps[0], 100) if s * power >= raw * (1 - 1e-9))


def _matplotlib(low, high, zero, length, size, across):
    """Five per cent of room, none below bars; ticks at 1, 2, 2.5 and 5, so that hardly one is at an
    end."""
    room = 0.05 * (high - low)
    base, top = (0 if zero else low - room), high + room
    parts = min(9, max(1, int(length / (size * (3 if across else 2)))))
    return base, top, _multiples(_at_least((top - base) / parts, (1, 2, 2.5, 5)), base, top)


def _vega(low, high, zero, length, size, across):
    """The axis ends at ticks of 1, 2 or 5."""
    raw = (high - low) / max(2, math.ceil(length / 40))
    power = 10.0 ** math.floor(math.log10(raw))
    part = raw / power
    step = power * (10 if part >= 50**0.5 else 5 if part >= 10**0.5 else 2 if part >= 2**0.5 else 1)
    base = 0 if zero else math.floor(low / step + 1e-9) * step
    top = math.ceil(high / step - 1e-9) * step
    return base, top, _multiples(step, base, top)


def _plotly(low, high, zero, length, size, across):
    """A nineteenth more than the highest bar; ticks of 2, 5 or 10."""
    room = (high - low) * (1 / 0.95 - 1 if zero else 0.075)
    base, top = (0 if zero else low - room), high + room
    parts = min(9, max(4, length / (80 if across else 40))) + 1
    return base, top, _multiples(_at_least((top - base) / parts, (1, 2, 5)), base, top)


def _ggplot(low, high, zero, length, size, across):
    """Five per cent of room at both ends, below bars too; about four ticks."""
    room = 0.05 * (high - low)
    base, top = low - room, high + room
    power = 10.0 ** math.floor(math.log10(top - base))
    best = None
    for k, step in enumerate((1, 5, 2, 2.5, 4, 3)):
        for scale in (0.1, 1):
            ticks = _multiples(step * scale * power, base, top)
            cost = abs(len(ticks) - 4.5) + 0.35 * k
            if len(ticks) > 1 and (best is None or cost < best[0]):
                best = cost, ticks
    return base, top, best[1]


def _gnuplot(low, high, zero, length, size, across):
    """The axis ends at ticks, of which there are up to twenty."""
    power = 10.0 ** math.floor(math.log10(high - low))
    parts = 20 / ((high - low) / power)
    for most, step in ((40, 0.05), (20, 0.1), (10, 0.2), (4, 0.5), (1, 1), (0, 2)):
        if parts > most:
            break
    step *= power
    while (high - low) / step > max(3, length / (size * (5 if across else 1.5))):
        step *= 2.5 if abs(step / 10.0 ** math.floor(math.log10(step) + 1e-9) - 2) < 1e-6 else 2
    base = 0 if zero else math.floor(low / step + 1e-9) * step
    top = math.ceil(high / step - 1e-9) * step
    return base, top, _multiples(step, base, top)


def _office(low, high, zero, length, size, across):
    """Ticks of 1, 2 or 5; the highest value stays below the last."""
    if low > high * 5 / 6 and not zero:
        low -= (high - low) / 2
    else:
        low = 0
    parts = max(3, min(10, length / (size * (4 if across else 2.6))))
    step = _at_least((high - low) / parts, (1, 2, 5))
    base, top = math.floor(low / step + 1e-9) * step, math.ceil(1.02 * high / step - 1e-9) * step
    return base, top, _multiples(step, base, top)


RULES = {
    "matplotlib": _matplotlib,
    "vega": _vega,
    "plotly": _plotly,
    "ggplot": _ggplot,
    "gnuplot": _gnuplot,
    "office": _office,
}
# Into how many parts a tick may be divided by values that are to be read off an axis.
_PARTS = {1: (2, 4, 5, 10), 2: (2, 4, 10), 2.5: (5,), 5: (2, 5, 10), 3: (3, 6), 4: (2, 4)}


def _ends(chart):
    """The lowest and the highest value that is drawn."""
    flat = [v for row in chart.values for v in row]
    if chart.kind == "stacked":
        flat = [sum(row[i] for row in chart.values) for i in range(len(chart.cats))]
    return min(flat), max(flat)


def set_axis(chart, rule, zero, length, size, across, room=1.0):
    """Gives a chart the axis of a rule. length, size: of the axis and its type, in the same unit
    (points, or pixels); room: how many times as high as the highest value the axis is drawn."""
    low, high = _ends(chart)
    low = 0 if zero else low
    if high - low < 1e-9 * high:
        low = 0
    base, top, ticks = RULES[rule](low, high * room, zero, length, size, across)
    chart.base, chart.top, chart.ticks = round(base, 9), round(top, 9), ticks


def snap(rng, chart, *rule):
    """Moves values that are to be read off the axis to parts of its ticks, so that they can be."""
    set_axis(chart, *rule)
    if chart.shown or len(chart.ticks) < 2:
        return
    step = chart.ticks[1] - chart.ticks[0]
    power = 10.0 ** math.floor(math.log10(step) + 1e-9)
    part = step / rng.choice(_PARTS.get(round(step / power, 3), (2,)))
    loose = step * rng.choice((0, 0.3, 0.3))  # values come as multiples of a coarse step
    chart.values = [
        [round(max(1, round((v + rng.uniform(-loose, loose)) / part)) * part, 6) for v in row]
        for row in chart.values
    ]
    chart.decimals = max(chart.decimals, decimals_of(part))
    set_axis(chart, *rule)


def texts(ticks, form, prefix="", suffix=""):
    """What stands at ticks. form: "plain" (as many decimals at each), "short" (each as it needs),
    "comma" and "space" (the same with a separator), "si" (12k, 1.5M)."""
    step = min(b - a for a, b in zip(ticks, ticks[1:])) if len(ticks) > 1 else ticks[0] or 1
    decimals = decimals_of(step)
    found = []
    for value in ticks:
        text = f"{value:,.{decimals}f}"
        if form == "short":
            text = f"{value:,.{decimals_of(value)}f}"
        if form == "si" and abs(value) >= 1000:
            power = 2 if abs(value) >= 1e6 else 1
            text = f"{value / 1000**power:.6g}" + "kM"[power - 1]
        elif form != "comma":
            text = text.replace(",", " " if form == "space" else "")
        found.append(prefix + text + suffix)
    return found
