"""Titles of charts and of axes as people write them, from the lists of vocabulary.py.

A title of the training split has no held-out word, one of the test split has at least one.
"""

import functools
import re

import vocabulary
import words

_SMALL = set("a an and as at by for from in of on or over per the to vs vs. with".split())


def _split(text):
    return [p.strip() for p in text.replace("\n", ";").split(";") if p.strip()]


MEASURES = [tuple(m.split("|")) for m in _split(vocabulary.MEASURES)]
_NAMES = [m[0] for m in MEASURES]
SUBJECTS = _split(vocabulary.SUBJECTS)
DIMENSIONS = _split(vocabulary.DIMENSIONS)
PLACES = _split(vocabulary.PLACES)
_COUNTED = (
    "countries cities regions states companies brands products players teams movies songs books games languages apps "
    "websites airports universities stores employees customers students schools hospitals suppliers departments"
).split()


def year(rng):
    return rng.randint(1960, 2030) if rng.random() < 0.3 else rng.randint(2005, 2026)


def period(rng):
    """When: "2015", "2015-2020", "Q3 2023", "January 2024"."""
    y, kind = year(rng), rng.random()
    later = y + rng.randint(1, 20)
    if kind < 0.45:
        return str(y)
    if kind < 0.7:
        return f"{y}{rng.choice('---–')}{later}"
    if kind < 0.78:
        return f"{y} to {later}"
    if kind < 0.86:
        return f"Q{rng.randint(1, 4)} {y}"
    if kind < 0.95:
        return f"{rng.choice(words.MONTHS + words.SHORT_MONTHS)} {y}"
    return f"FY {y}" if kind < 0.98 else f"{y}/{(y + 1) % 100:02}"


def lower(phrase):
    """A phrase as it goes on in a sentence: "GDP growth" keeps its capitals, "Sales" does not."""
    first = phrase.split(" ")[0]
    return (
        phrase
        if first[1:] != first[1:].lower() or first.isupper()
        else phrase[0].lower() + phrase[1:]
    )


def upper(phrase):
    return phrase[:1].upper() + phrase[1:]


def title_case(text):
    """ "Sales by region" to "Sales by Region"; small words stay small."""
    parts = text.split(" ")
    return " ".join(p if i and p in _SMALL else upper(p) for i, p in enumerate(parts))


def place(rng, split):
    """A country, a city, a state, a continent; to train with, sometimes one that was made up."""
    if split == "train" and rng.random() < 0.25:
        return words.made_up(rng, split)
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(words.pool(split, "country"))
    if kind < 0.5:
        return rng.choice(words.pool(split, "city"))
    return rng.choice(PLACES)


def name(rng, split):
    """A company, a person, a place that was made up."""
    kind = rng.random()
    if kind < 0.3:
        return words.made_up(rng, split)
    if kind < 0.6:
        return words.company(rng, split)
    return place(rng, split)


def subject(rng, split):
    """What a chart is about, in lower case: "electric cars", "carrots"; made up as places are."""
    if split == "train" and rng.random() < 0.2:
        return words.made_up(rng, split).lower()
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(SUBJECTS)
    if kind < 0.75:
        group = rng.choice(("food", "product", "material", "transport", "sport", "animal"))
        return rng.choice(words.pool(split, group)).lower()
    if kind < 0.85:
        return (
            rng.choice(words.ADJECTIVES).lower()
            + " "
            + rng.choice(words.pool(split, "product")).lower()
        )
    group = rng.choice(("sector", "plant", "energy", "food", "product", "animal"))
    return rng.choice(words.pool(split, group)).lower()


def _dimension(rng, group):
    """By what: the noun of the categories, or another one."""
    noun = words.NOUNS[group][0]
    return noun if rng.random() < 0.5 and group not in ("name", "code") else rng.choice(DIMENSIONS)


def _measure(rng):
    """(phrase, unit or "")."""
    found = rng.choice(MEASURES)
    return found[0], rng.choice(found[1:]) if len(found) > 1 else ""


def _short(rng, split, group):
    """Two to five words."""
    m, unit = _measure(rng)
    other = lower(_measure(rng)[0])
    by, about, where = _dimension(rng, group), subject(rng, split), place(rng, split)
    when = period(rng)
    unit = unit or "%"
    forms = (
        f"{m} by {by}",
        f"{m} by {by}",
        f"{m} per {by}",
        f"{rng.choice(vocabulary.PERIOD_WORDS)} {lower(m)}",
        f"{rng.choice(vocabulary.PERIOD_WORDS)} {lower(m)} by {by}",
        f"{m} in {where}",
        f"{m} of {about}",
        f"{m} ({unit})",
        f"{m} vs {other}",
        f"{m} vs. {other}",
        f"{m} and {other}",
        f"{m}, {when}",
        f"{m} {when}",
        f"{m} ({when})",
        f"{upper(about)}",
        f"{upper(about)} by {by}",
        f"{upper(about)} in {where}",
        f"{upper(about)}, {when}",
        f"{name(rng, split)} {lower(m)}",
        f"{name(rng, split)}: {lower(m)}",
        f"Share of {about}",
        f"Number of {about}",
        f"Top {rng.choice((3, 5, 5, 10, 10, 15, 20))} {rng.choice(_COUNTED)}",
        f"{m} over time",
        f"{m}",
        f"{m} forecast",
        f"{m} distribution",
        f"Distribution of {lower(m)}",
    )
    return rng.choice(forms)


def _long(rng, split, group):
    """Five to ten words."""
    m, unit = _measure(rng)
    other, unit = lower(_measure(rng)[0]), unit or "%"
    by, about, where = _dimension(rng, group), subject(rng, split), place(rng, split)
    by_too, when, counted = rng.choice(DIMENSIONS), period(rng), rng.choice(_COUNTED)
    first = year(rng)
    top = rng.choice((3, 5, 5, 10, 10, 15, 20))
    forms = (
        f"{m} by {by}, {when}",
        f"{m} by {by} ({when})",
        f"{m} by {by} in {where}",
        f"{m} by {by} and {by_too}",
        f"{m} by {by} ({unit})",
        f"{m} in {where}, {when}",
        f"{m} in {where} ({unit})",
        f"{m} in {where} from {first} to {first + rng.randint(2, 25)}",
        f"{m} in {where} since {first}",
        f"{m} of {about} in {where}",
        f"{m} of {about} by {by}",
        f"{m} of {about}, {when}",
        f"{m} of {about} ({unit})",
        f"{rng.choice(vocabulary.PERIOD_WORDS)} {lower(m)} in {where}, {when}",
        f"{rng.choice(vocabulary.PERIOD_WORDS)} {lower(m)} of {about} by {by}",
        f"Top {top} {counted} by {lower(m)}",
        f"Top {top} {counted} by {lower(m)}, {when}",
        f"{upper(counted)} with the highest {lower(m)}",
        f"{upper(counted)} with the lowest {lower(m)} in {when}",
        f"Share of {about} in {where} (%)",
        f"Share of {about} by {by}, {when}",
        f"Number of {about} in {where}",
        f"Number of {about} by {by}, {when}",
        f"Percentage of {about} by {by}",
        f"{m} and {other} in {where}",
        f"{m} vs. {other} by {by}",
        f"Relationship between {lower(m)} and {other}",
        f"How {lower(m)} changed in {where}",
        f"{name(rng, split)} {lower(m)}, {when}",
        f"{name(rng, split)} {lower(m)} by {by} ({unit})",
        f"{name(rng, split)}: {lower(m)} by {by}, {when}",
        f"{where}: {lower(m)}, {when}",
        f"{upper(about)} in {where}: {lower(m)} by {by}",
        f"{upper(about)}: {lower(m)} ({unit})",
        f"Change in {lower(m)} by {by}, {when}",
        f"Comparison of {lower(m)} and {other}",
        f"Effect of {other} on {lower(m)}",
    )
    return upper(rng.choice(forms))


def fits(text, split):
    """Whether a text may be in a split: train has no held-out word, test has one."""
    held = any(words.is_held_out(w) for w in words.open_words(text))
    return held == (split == "test")


def title(rng, split, group, most=60):
    """A title of at most `most` characters."""
    while True:
        text = (_short if rng.random() < 0.55 else _long)(rng, split, group)
        if len(text) > most or not fits(text, split):
            continue
        form = rng.random()
        if form < 0.45:
            text = title_case(text)
        elif form < 0.48:
            text = text.upper()
        return upper(text)


@functools.lru_cache(None)
def axis_titles(split):
    """Titles of axes of a split; those without any open word are in both."""
    found = [m[0] for m in MEASURES] + [upper(d) for d in DIMENSIONS] + vocabulary.AXES
    for m in MEASURES:
        for unit in m[1:]:
            found += [f"{m[0]} ({unit})", f"{m[0]} ({unit})"] + [
                f"{m[0]} [{unit}]",
                f"{m[0]}, {unit}",
            ][: len(unit) < 8]
    found += [f"Number of {s}" for s in SUBJECTS] + [f"Share of {s}" for s in SUBJECTS]
    found = sorted(set(found))
    return [t for t in found if not words.open_words(t) or fits(t, split)]


@functools.lru_cache(4096)
def _axes_of(split, title):
    """Titles of axes about the measure that a title names, or all of them."""
    named = [m for m in _NAMES if m.lower() in title.lower()]
    if not named:
        return axis_titles(split)
    name = max(named, key=len)
    return [t for t in axis_titles(split) if re.match(re.escape(name) + r"($| \(| \[|,)", t)]


def value_title(rng, split, most=40, title=""):
    """The title of an axis of values: "Revenue (USD millions)", "Temperature (°C)"; mostly about what
    the title of the chart names. At most `most` characters."""
    found = _axes_of(split, title) if title and rng.random() < 0.8 else axis_titles(split)
    found = [t for t in found if len(t) <= most] or axis_titles(split)
    text = rng.choice(found)
    while len(text) > most:
        text = rng.choice(axis_titles(split))
    return title_case(text) if rng.random() < 0.3 and "(" not in text and "[" not in text else text


def category_title(rng, split, group):
    """The title of an axis of categories: "Year", "Product category"."""
    if rng.random() < 0.85 and group not in ("name", "code"):
        noun = words.NOUNS[group][0]
        return noun if rng.random() < 0.06 else upper(noun)
    found = [d for d in DIMENSIONS if not words.open_words(d) or fits(d, split)]
    text = rng.choice(found)
    form = rng.random()
    return title_case(text) if form < 0.4 else upper(text) if form < 0.9 else text


def without_unit(axis_title):
    """ "Revenue (USD)" to "Revenue"."""
    return re.sub(r"\s*[(\[].*$|, [^ ]+$", "", axis_title)


def measure_of(axis_title):
    """What an axis measures, as a question says it: "Revenue (USD)" to "revenue"; "" where it does not say."""
    text = without_unit(axis_title)
    known = text in _NAMES or text.startswith(("Number of", "Share of"))
    return lower(text) if known else ""
