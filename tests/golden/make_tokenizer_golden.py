"""Writes tokenizer_qwen3.bin.xz: what the tokenizers package makes of many strings.

    python make_tokenizer_golden.py PATH/TO/qwen3-tokenizer.json[.xz]

Two sections, all integers as LEB128:
1. n records: text (length, bytes), ids with every added token matched, and ids with control tokens
   taken as ordinary text (length + 1; 0 where they are the same).
2. n blocks of code points: first, count, FNV-1a (4 bytes, little-endian) of the ids of the block's
   text; tests/text/test_tokenizer.c builds the same text.

Both leave out code points that Unicode 14 does not assign (PCRE2 10.42 has its tables, tokenizers
newer ones), and texts that tokenizers does not bring to the NFC of Unicode 14: its normaliser has
the tables of Unicode 9, so younger compositions and marks stay as they are."""

import io
import lzma
import random
import sys
import unicodedata

import tokenizers

assert unicodedata.unidata_version == "14.0.0"
rng = random.Random(20260)

SCRIPTS = {
    "latin": (0x41, 0x24F), "ipa": (0x250, 0x2FF), "marks": (0x300, 0x36F),
    "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x52F), "armenian": (0x530, 0x58F),
    "hebrew": (0x591, 0x5F4), "arabic": (0x600, 0x6FF), "syriac": (0x700, 0x74F),
    "nko": (0x7C0, 0x7FF), "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FF),
    "gurmukhi": (0xA00, 0xA7F), "tamil": (0xB80, 0xBFF), "telugu": (0xC00, 0xC7F),
    "kannada": (0xC80, 0xCFF), "malayalam": (0xD00, 0xD7F), "sinhala": (0xD80, 0xDFF),
    "thai": (0xE01, 0xE5B), "lao": (0xE80, 0xEFF), "tibetan": (0xF00, 0xFDA),
    "myanmar": (0x1000, 0x109F), "georgian": (0x10A0, 0x10FF), "jamo": (0x1100, 0x11FF),
    "ethiopic": (0x1200, 0x137F), "cherokee": (0x13A0, 0x13FD), "khmer": (0x1780, 0x17F9),
    "mongolian": (0x1800, 0x18AA), "balinese": (0x1B00, 0x1B7C), "phonetic": (0x1D00, 0x1DBF),
    "latin_additional": (0x1E00, 0x1EFF), "greek_extended": (0x1F00, 0x1FFE),
    "punctuation": (0x2000, 0x206F), "superscript": (0x2070, 0x209C), "currency": (0x20A0, 0x20C0),
    "letterlike": (0x2100, 0x214F), "numbers": (0x2150, 0x218B), "arrows": (0x2190, 0x21FF),
    "math": (0x2200, 0x22FF), "technical": (0x2300, 0x23FF), "enclosed": (0x2460, 0x24FF),
    "boxes": (0x2500, 0x25FF), "symbols": (0x2600, 0x27BF), "cjk_radicals": (0x2E80, 0x2FD5),
    "kana": (0x3000, 0x30FF), "bopomofo": (0x3105, 0x312F), "cjk": (0x4E00, 0x9FFF),
    "hangul": (0xAC00, 0xD7A3), "compatibility": (0xF900, 0xFAD9), "presentation": (0xFB00, 0xFDFF),
    "halfwidth": (0xFE30, 0xFFEE), "gothic": (0x10330, 0x1034A), "brahmi": (0x11000, 0x1107F),
    "cuneiform": (0x12000, 0x12399), "hieroglyphs": (0x13000, 0x1342E),
    "music": (0x1D100, 0x1D1E8), "math_letters": (0x1D400, 0x1D7FF), "emoji": (0x1F300, 0x1FAF6),
    "cjk_b": (0x20000, 0x2A6DF), "cjk_compatibility": (0x2F800, 0x2FA1D),
    "tags": (0xE0020, 0xE007F),
}
SPACES = ["\t", "\n", "\v", "\f", "\r", "\x1c", "\x1f", " ", "\x85", "\xa0", "\u1680", "\u180e",
          "\u2000", "\u2003", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060",
          "\u3000", "\ufeff", "\r\n", "\n\n", "  ", "    ", "\t\t"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'Re", "'rE", "'VE", "'M",
                "'lL", "'D", "'\u017f", "'\u017ft", "\u2019s", "''s", "'sS", "'st", "'dd", "'l"]
EMOJI = ["\U0001F642", "\U0001F469\u200d\U0001F469\u200d\U0001F467", "\U0001F1E9\U0001F1EA",
         "\U0001F44D\U0001F3FD", "\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001F3F4\U000E0067\U000E0062"
         "\U000E0065\U000E006E\U000E0067\U000E007F", "\U0001F9D1\U0001F3FB\u200d\U0001F4BB"]
WORDS = ("the a of Value chart Revenue 2019 42% $3.5M Q1 axis don't I'm we'll it's year Total "
         "naive na\u00efve caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m stra\u00dfe \u0130stanbul "
         "\u4e2d\u6587 \u6d4b\u8bd5 \uc548\ub155 \u0928\u092e\u0938\u094d\u0924\u0947 "
         "\u043f\u0440\u0438\u0432\u0435\u0442 \u05e9\u05dc\u05d5\u05dd "
         "\u0645\u0631\u062d\u0628\u0627 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 x_1 foo() {} [] => "
         "return; #include https://example.org/a?b=c&d=%20 1,234.56 -0.5e-3 ### ... --- ??? ``` "
         "HelloWorld camelCase SNAKE_CASE \u2013 \u2014 \u201cquoted\u201d").split(" ")
CODE = ["for (int i = 0; i < n; i++) {\n\tsum += a[i];\n}\n", "def f(x):\n    return x ** 2\n\n\n",
        "SELECT * FROM t WHERE id = 7;\r\n", "<html>\n  <body class=\"x\">&amp;</body>\n</html>",
        "{\"a\": [1, 2.5, null], \"b\": \"\\u00e9\"}", "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "#!/bin/sh\nset -eu\necho \"$1\" | sed 's/a/b/g'\n", "\\frac{1}{2} \\sum_{i=0}^{n} x_i"]
LOOKALIKES = ["<|im_start", "|im_end|>", "<|im_end|", "<|IM_END|>", "<|im_end |>", "<<|im_end|>>",
              "<|im_e\u0301nd|>", "<think", "</think", "<Think>", "< think>", "<tool_call",
              "<|image_pad|", "<|vision_|>", "<||>", "<|im_start|<|im_end|>"]


def assigned(code):
    return not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) != "Cn"


def letters(script, n):
    first, last = SCRIPTS[script]
    out = []
    while len(out) < n:
        code = rng.randint(first, last)
        if assigned(code):
            out.append(chr(code))
    return "".join(out)


def any_character():
    while True:
        code = rng.choice([rng.randint(0, 0x7F), rng.randint(0x80, 0xFFF), rng.randint(0, 0xFFFF),
                           rng.randint(0x10000, 0x323AF), rng.randint(0xE000, 0x10FFFF)])
        if assigned(code):
            return chr(code)


def mixture(parts, n):
    return "".join(rng.choice(parts) for _ in range(n))


def texts(added):
    yield from ["", " ", "\n", "a", "e\u0301cole", "Hello world", "\x00", "\x00a\x00", "\x7f\x01"]
    yield from WORDS + CODE + EMOJI + LOOKALIKES + SPACES + added
    for script in SCRIPTS:
        for _ in range(22):
            yield letters(script, rng.randint(1, 10))
        for _ in range(8):
            yield " ".join(letters(script, rng.randint(1, 5)) for _ in range(rng.randint(2, 4)))
        for _ in range(6):
            base = letters(script, 3)
            yield "".join(c + letters("marks", rng.randint(1, 3)) for c in base)
    for _ in range(300):
        yield "".join(rng.choice("aeioucnAEOUyzs\u03b1\u0438") +
                      "".join(chr(rng.choice([0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307,
                                              0x308, 0x30A, 0x30C, 0x316, 0x323, 0x327, 0x328,
                                              0x338, 0x345])) for _ in range(rng.randint(0, 4)))
                      for _ in range(rng.randint(1, 5)))
    for _ in range(150):  # conjoining jamo
        yield "".join(chr(rng.choice([rng.randint(0x1100, 0x1112), rng.randint(0x1161, 0x1175),
                                      rng.randint(0x11A7, 0x11C2), rng.randint(0xAC00, 0xAC60)]))
                      for _ in range(rng.randint(2, 8)))
    for _ in range(400):
        yield mixture(SPACES + ["a", "1", ".", "'s", "\u4e2d"], rng.randint(1, 9))
    for _ in range(250):
        yield mixture(CONTRACTIONS + ["a", "x", " ", "it", "IT", "1", "\n", "\u00e9"],
                      rng.randint(1, 6))
    for _ in range(150):
        yield mixture(EMOJI + [" ", "ok", "\u200d", "\ufe0f", "!"], rng.randint(1, 5))
    for _ in range(250):
        yield mixture(list("0123456789.,-+%$ \u0660\u06f1\u0967\u2460\u00bd\u2167\uff11"),
                      rng.randint(1, 14))
    for _ in range(500):
        yield " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 9)))
    for _ in range(60):
        yield mixture(CODE + WORDS, rng.randint(1, 3))
    for _ in range(350):
        yield mixture(LOOKALIKES + added + ["a", " ", "\n", "e\u0301", "\u0301", "<", "|", ">"],
                      rng.randint(1, 6))
    for _ in range(700):
        yield "".join(any_character() for _ in range(rng.randint(1, 8)))
    for _ in range(300):
        yield "".join(chr(rng.randint(0, 0x7F)) for _ in range(rng.randint(1, 30)))
    for n in [63, 64, 65, 66, 127, 128, 129, 500]:  # around the change of algorithm
        for alphabet in ["a", "ab", "-=", " ", "\n", "\u4e2d\u6587", "aA", "etaoinshrdlu",
                         "\U0001D160", "\u0301\u0316"]:
            yield "".join(rng.choice(alphabet) for _ in range(n))


def put(out, value):
    while value > 0x7F:
        out.write(bytes([value & 0x7F | 0x80]))
        value >>= 7
    out.write(bytes([value]))


def put_ids(out, ids, bias=0):
    put(out, len(ids) + bias)
    for token in ids:
        put(out, token)


def fnv(ids):
    value = 0x811C9DC5
    for token in ids:
        for byte in token.to_bytes(4, "little"):
            value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def block_text(first, count):
    return "".join(c + "a" + c + "1" + c + " " + c + "'s" + c + "\n" + c + c + "."
                   for c in map(chr, range(first, first + count)))


def main():
    data = open(sys.argv[1], "rb").read()
    if sys.argv[1].endswith(".xz"):
        data = lzma.decompress(data)
    matched = tokenizers.Tokenizer.from_str(data.decode())
    plain = tokenizers.Tokenizer.from_str(data.decode())
    plain.encode_special_tokens = True
    added = [t.content for t in matched.get_added_tokens_decoder().values()]

    def agrees(text):
        return matched.normalizer.normalize_str(text) == unicodedata.normalize("NFC", text)

    records = [t for t in dict.fromkeys(texts(added)) if agrees(t)]
    out = io.BytesIO()
    put(out, len(records))
    for text in records:
        put(out, len(text.encode()))
        out.write(text.encode())
        ids, other = matched.encode(text).ids, plain.encode(text).ids
        put_ids(out, ids)
        put_ids(out, other, 1) if other != ids else put(out, 0)

    blocks, left_out = [], 0
    for code in list(range(0x323B0)) + list(range(0xE0000, 0xE01F0)):
        if not assigned(code):
            continue
        if not agrees(block_text(code, 1)):
            left_out += 1
        elif blocks and sum(blocks[-1]) == code and blocks[-1][1] < 64:
            blocks[-1][1] += 1
        else:
            blocks.append([code, 1])
    put(out, len(blocks))
    for first, count in blocks:
        put(out, first)
        put(out, count)
        out.write(fnv(matched.encode(block_text(first, count)).ids).to_bytes(4, "little"))

    packed = lzma.compress(out.getvalue(), preset=9 | lzma.PRESET_EXTREME)
    path = __file__.replace("make_tokenizer_golden.py", "tokenizer_qwen3.bin.xz")
    open(path, "wb").write(packed)
    print(f"tokenizers {tokenizers.__version__}: {len(records)} texts, {len(blocks)} blocks of "
          f"{sum(n for _, n in blocks)} code points ({left_out} left out), {len(packed)} bytes")


main()
