"""A tokenizer that goes on learning: more merges behind the old ones, all old ids where they were.

The merges of words come behind the old merges of words and before those of a blank with the words of
questions, so that a name has the same tokens after a blank as alone. Control tokens keep their ids and
so enter the vocabulary. No merge joins a letter with something else: "(USD" is "(" and "USD".
"""

import collections
import json
import math
import random
import re

from tokenizers import Tokenizer

import titles
import vocabulary
import words
from sample import draw_sample

BLANK = "\u0120"
_SYMBOLS = "°–—²³µ×±€£¥’“”éèêëáàâäãåíìîïóòôöõøúùûüñçßæšžćčıİğşłńÉÖÜÄØÅ≥≤→•·…ΩΔα−½™®©"


def corpus(samples=800):
    """(text, weight) of the training split: questions, titles, axes, labels, frequent words."""
    rng = random.Random(3)
    for seed in range(samples):
        sample = draw_sample(seed, "train", ("one", "one", "text", "pairs")[seed % 4], 384, 288)
        yield from ((f"{q.text} {q.answer}", 3) for q in sample.questions)
        yield from ((text, 2) for text in sample.texts)
    groups = sorted(words.GROUPS)
    for _ in range(20000):
        yield titles.title(rng, "train", rng.choice(groups)), 3
    for _ in range(6000):
        yield " ".join(words.labels(rng, "train", 4)[0] + words.series(rng, "train", 3)), 3
        yield words.made_up(rng, "train"), 3
    for text in titles.axis_titles("train"):
        yield text, 6
    for listed in (vocabulary.LABELS, vocabulary.SERIES, vocabulary.MEASURES, vocabulary.SUBJECTS):
        for name in re.split("[;|\n=]+", listed):
            if not any(map(words.is_held_out, words.open_words(name))):
                yield name, 30
    for name in words.CLOSED:
        yield f"{name} {name.capitalize()}", 60
    for word, count in words.frequencies("train"):
        yield f"{word.lower()} {word.lower()} {word}", math.ceil(count)
    yield " ".join(_SYMBOLS), 100


def _counted(tokenizer, texts):
    """{pieces of a word: how often}. A word is letters alone, or one other character that is not ASCII."""
    counts = collections.Counter()
    for text, weight in texts:
        for word in re.findall(r"[^\W\d_]+|[^\x00-\x7f]", text):
            counts[word] += weight
    found = collections.Counter()
    for word, count in counts.items():
        found[tuple(tokenizer.encode(word, add_special_tokens=False).tokens)] += count
    return found


def _joined(pieces, pair):
    found, i = [], 0
    while i < len(pieces):
        if tuple(pieces[i : i + 2]) == pair:
            found.append(pair[0] + pair[1])
            i += 2
        else:
            found.append(pieces[i])
            i += 1
    return found


def learn_merges(counted, known, n):
    """n more merges of BPE, most frequent first. counted: {pieces: how often}; known: tokens there are."""
    listed = [(list(p), c) for p, c in sorted(counted.items()) if len(p) > 1]
    counts, where = collections.Counter(), collections.defaultdict(set)
    for k, (pieces, count) in enumerate(listed):
        for pair in zip(pieces, pieces[1:]):
            counts[pair] += count
            where[pair].add(k)
    merges, known = [], set(known)
    while len(merges) < n and counts:
        pair = max(counts, key=lambda p: (counts[p], p))
        if pair[0] + pair[1] in known:  # another way to a token that is there: no new id
            del counts[pair]
            continue
        merges.append(pair)
        known.add(pair[0] + pair[1])
        for k in sorted(where.pop(pair)):
            pieces, count = listed[k]
            for old in zip(pieces, pieces[1:]):
                if old in counts:
                    counts[old] -= count
            pieces[:] = _joined(pieces, pair)
            for new in zip(pieces, pieces[1:]):
                counts[new] += count
                where[new].add(k)
        counts.pop(pair, None)
    return merges


def grow(path, size, names, texts=None):
    """The Tokenizer of a file with `size` entries. names: the words of questions, that take a blank."""
    with open(path, encoding="utf-8") as f:
        state = json.load(f)
    old = Tokenizer.from_file(path)
    vocabulary_, merges = state["model"]["vocab"], [tuple(m) for m in state["model"]["merges"]]
    plain = [m for m in merges if m[0] != BLANK]
    blank = [m for m in merges if m[0] == BLANK]
    assert merges == plain + blank, "merges with a blank come last"
    for token in state["added_tokens"]:
        vocabulary_[token["content"]] = token["id"]
    assert sorted(vocabulary_.values()) == list(range(len(vocabulary_)))
    new_names = [n for n in names if BLANK + n not in vocabulary_]
    room = size - len(vocabulary_)
    counted = _counted(old, texts or corpus())
    most = max(counted.values())
    for name in new_names:  # they must be one token before they take a blank
        pieces = tuple(old.encode(name, add_special_tokens=False).tokens)
        counted[pieces] = max(counted[pieces], most // 40)
    found = learn_merges(counted, vocabulary_, room - len(new_names))
    one = set(vocabulary_) | {a + b for a, b in found}
    lost = [n for n in new_names if n not in one]
    assert not lost, f"not one token: {lost}"
    behind = [(BLANK, n) for n in new_names]
    for a, b in found + behind:
        vocabulary_[a + b] = len(vocabulary_)
    assert len(vocabulary_) == size, len(vocabulary_)
    state["model"]["merges"] = [list(m) for m in plain + found + blank + behind]
    return Tokenizer.from_str(json.dumps(state))
