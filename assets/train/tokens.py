"""The tokenizer: byte-level BPE with Qwen's way of cutting words, learnt from what charts say.

    python tokens.py --out DIR      learns it and writes tokenizer.json
"""

import argparse
import functools
import os

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
SIZE = 3072


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
    yield from words.FILLER * 3


def learn(texts):
    """A Tokenizer of SIZE tokens, the special ones last."""
    byte_level = functools.partial(
        pre_tokenizers.ByteLevel, add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN), behavior="isolated", invert=False), byte_level()]
    )
    tokenizer.decoder = decoders.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=SIZE - len(SPECIAL),
            min_frequency=2,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
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
        coded = self.tokenizer.encode(" " + text, add_special_tokens=False)
        return [(i, max(a - 1, 0), b - 2) for i, (a, b) in zip(coded.ids, coded.offsets) if b >= 2]

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
    parser.add_argument("--fonts")
    args = parser.parse_args()
    fonts.add_folder(args.fonts)
    print(load(args.out).size, "tokens")
