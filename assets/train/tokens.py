"""The tokenizer: byte-level BPE with Qwen's way of cutting words, learnt from what charts say.

A blank is a token of its own, except before the words of questions. So a name has the same tokens in
a picture, in a sentence and at the beginning of an answer, and whoever copies it need not know how
it is spelt: with " Service" in the question and "S", "ervice" in the answer, copying was learnt word
by word and held-out words were garbled.

    python tokens.py --out DIR      learns it and writes tokenizer.json
    python tokens.py --grow OLD --out DIR      goes on from OLD/tokenizer.json, whose ids stay
"""

import argparse
import functools
import json
import os
import re

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

import fonts
import words
from phrases import MARKS, PHRASES
from sample import draw_sample

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SIZE = 4096


def corpus(samples=1200):
    """Texts of the training split: questions, answers, documents, and every word of the lists."""
    for seed in range(samples):
        maker = ("one", "one", "text", "pairs")[seed % 4]
        sample = draw_sample(seed, "train", maker, 384, 288)
        for q in sample.questions:
            yield f"user\n{q.text}\nassistant\n{q.answer}"
        yield from sample.texts
    for word in words.pool("train") + words.MONTHS + words.DAYS + words.MEASURES + words.ADJECTIVES:
        yield f"{word} {word} {word.lower()} {word.lower()}"
    yield from words.FILLER * 3 + asked() * 9


def asked():
    """The words of questions that follow a blank, sorted. No name or colour is one of them."""
    nouns = {n for pair in words.NOUNS.values() for n in pair} | {"category", "categories"}
    sentences = [s for forms in PHRASES.values() for s in forms]
    sentences += [" in the panel", " in the first image", " in the second image"]
    sentences += [" " + marks for marks in MARKS.values()]
    found = {w for s in sentences for w in re.findall("(?<= )[a-z]+", s)} - {"x", "y"}
    return sorted(found | {w for n in nouns for w in re.findall("[a-z]+", n)})


def _with_blanks(tokenizer, names):
    """The tokenizer with a token for a blank and each of the words that are one token."""
    state = json.loads(tokenizer.to_str())
    vocabulary, merges = state["model"]["vocab"], state["model"]["merges"]
    for name in names:
        if name in vocabulary:
            vocabulary["\u0120" + name] = len(vocabulary)
            merges.append(["\u0120", name])
    return Tokenizer.from_str(json.dumps(state))


def learn(texts):
    """A Tokenizer of SIZE tokens, the special ones last."""
    byte_level = functools.partial(
        pre_tokenizers.ByteLevel, add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    cut = lambda pattern: pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut(QWEN), cut(" "), byte_level()])
    tokenizer.decoder = decoders.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=SIZE - len(SPECIAL) - len(asked()),
            min_frequency=2,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer = _with_blanks(tokenizer, asked())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut(QWEN), byte_level()])
    spare = [f"<|extra_{i}|>" for i in range(SIZE - len(SPECIAL) - tokenizer.get_vocab_size())]
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t in SPECIAL + spare]
    )
    return tokenizer


class Tokens:
    """What packing needs of a tokenizer: ids of strings, kept, and the ids of control tokens."""

    def __init__(self, path):
        self.path = path
        self.tokenizer = Tokenizer.from_file(path)
        self.size = self.tokenizer.get_vocab_size()
        (
            self.pad,
            self.start,
            self.end,
            self.vision_start,
            self.vision_end,
            _,
            self.image,
            self.video,
        ) = map(self.tokenizer.token_to_id, SPECIAL)
        self._ids = {}

    def ids(self, text):
        """Token ids of a string without control tokens."""
        found = self._ids.get(text)
        if found is None:
            if len(self._ids) > 50000:
                self._ids.clear()
            found = self._ids[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def spans(self, text):
        """[(id, first, last character)] of a string drawn in a picture, as if a blank stood before it."""
        text = " " + text
        coded = self.tokenizer.encode(text, add_special_tokens=False)
        inked = [(i, a + (text[a] == " "), b) for i, (a, b) in zip(coded.ids, coded.offsets)]
        return [(i, a - 1, b - 2) for i, a, b in inked if a < b]

    def text(self, ids):
        """The string of ids, without control tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)


def load(folder):
    """The Tokens of a folder's tokenizer.json, which is made where it is missing."""
    path = os.path.join(folder, "tokenizer.json")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        learn(corpus()).save(path)
    return Tokens(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--grow", help="a folder with the tokenizer.json to go on from")
    parser.add_argument("--fonts")
    args = parser.parse_args()
    fonts.add_folder(args.fonts)
    if args.grow:
        from grow import grow

        os.makedirs(args.out, exist_ok=True)
        grow(os.path.join(args.grow, "tokenizer.json"), SIZE, asked()).save(
            os.path.join(args.out, "tokenizer.json")
        )
    print(load(args.out).size, "tokens")
