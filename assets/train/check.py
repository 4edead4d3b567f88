"""Checks of the renderer, the questions, the batches and the trainer: python check.py [names]

python check.py                                  all that need no model
python check.py --model DIR export               trainer against transformers
python check.py --model DIR --vlqa PATH agree    transformers against vlqa
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

import fonts
import style
import titles
import tokens as tokens_
import words
from phrases import NOT_SHOWN
from sample import draw_sample
from solve import is_absent, solve

_PLANS = [
    ("one", 384, 288),
    ("one", 640, 448),
    ("two", 320, 256),
    ("text", 384, 256),
    ("pairs", 192, 128),
    ("recall", 0, 0),
    ("lines", 160, 96),
]


def _samples(n, split="train", seed=50000):
    for k in range(n):
        maker, width, height = _PLANS[k % len(_PLANS)]
        yield draw_sample(seed + k, split, maker, width, height, easy=k % 3 == 2)


def check_words(args):
    """No word, syllable, font or palette is in both splits."""
    train, test = set(words.pool("train")), set(words.pool("test"))
    assert not train & test and len(test) > 80, len(test)
    lower = lambda ws: {w.lower() for w in ws}
    assert not lower(train) & lower(test)
    assert not set(words._SYLLABLES["train"]) & set(words._SYLLABLES["test"])
    assert not set(fonts.FAMILIES["train"]) & set(fonts.FAMILIES["test"])
    assert not set(style._PALETTES["train"]) & set(style._PALETTES["test"])
    for split, listed in (("train", train), ("test", test)):
        assert all(words.split_of(w) == split for w in listed | set(words.wide_pool(split)))
        for text in _said(split, args.n):
            assert not words.open_words(text) or titles.fits(text, split), (split, text)
    n = len(train) + len(words.wide_pool("train")), len(test) + len(words.wide_pool("test"))
    print(
        f"words: {n[0]} to train with, {n[1]} held out, none in both; no label or title leaks one"
    )


def _said(split, n):
    """Labels, titles and the words of made-up names of a split. What a label is made of two words of
    which one is held out, is held out."""
    rng = random.Random(7)
    for k in range(n):
        for c in draw_sample(k, split, ("one", "pairs")[k % 2], 320, 256).charts:
            yield from c.cats + c.series + [t for t in (c.title, c.x_title, c.y_title) if t]
    for _ in range(20 * n):
        yield words.title(rng, split, "city")
        yield titles.value_title(rng, split)


def check_tokens(args):
    """Names, colours and values have the same tokens alone and after a blank, in both splits."""
    tokens = _tokens(args)
    names = [w for s in ("train", "test") for w in words.pool(s) + words.wide_pool(s)]
    names += list(style.NAMES)
    names += [c for s in _samples(140, "test") for chart in s.charts for c in chart.cats]
    blank = tokens.ids(" ")
    assert len(blank) == 1, blank
    for name in names:
        alone, behind = tokens.ids(name), tokens.ids(" " + name)
        assert behind == blank + alone, (name, alone, behind)
        drawn = [i for i, _, _ in tokens.spans(name)]
        assert drawn == [i for i in alone if i != blank[0]], (name, alone, drawn)
    print(f"tokens: {len(names)} names have the same alone, after a blank and in pictures")


def check_seeds(args):
    """A seed gives the same pixels and questions again, whatever was drawn in between."""
    first = [
        (
            [c.pixels.tobytes() for c in s.canvases],
            [(q.text, q.answer) for q in s.questions],
            s.texts,
        )
        for s in _samples(28)
    ]
    for k in reversed(range(28)):
        maker, width, height = _PLANS[k % len(_PLANS)]
        s = draw_sample(50000 + k, "train", maker, width, height, easy=k % 3 == 2)
        assert first[k] == (
            [c.pixels.tobytes() for c in s.canvases],
            [(q.text, q.answer) for q in s.questions],
            s.texts,
        ), k
    other = draw_sample(50000, "test", *_PLANS[0])
    assert other.canvases[0].pixels.tobytes() != first[0][0][0]
    print("seeds: 28 samples are the same when they are drawn again")


def check_answers(args):
    """Every answer is found again by solve.py; values that are shown are drawn; what is absent is."""
    n = drawn = 0
    for split in ("train", "test"):
        for s in _samples(args.n // 2, split):
            texts = {t for c in s.canvases for t, _, _ in c.runs}
            for q in s.questions:
                if q.form == "heading":
                    assert q.answer in texts or " " in q.answer
                elif q.answer == NOT_SHOWN:
                    assert is_absent(q, s), (s.kind, q)
                else:
                    assert solve(q, s) == {q.answer}, (s.kind, q, solve(q, s))
                if q.form in ("x_title", "y_title"):
                    assert q.answer in texts, (s.kind, q)
                if (
                    q.category == "value_shown"
                    and q.form != "page"
                    and s.kind not in ("page", "recall")
                ):
                    assert any(q.answer in t for t in texts), (s.kind, q, texts)
                    drawn += 1
                n += 1
    print(
        f"answers: {n} questions answered twice with one result; {drawn} values found in the picture"
    )


def check_places(args):
    """Characters are where the record says (there is ink around their centres) and hardly two share a
    cell of the glyph head; colours that are asked about are seen somewhere."""
    from pack import glyph_cells

    hits = total = cells = written = colours = 0
    for k in range(60):
        sample = draw_sample(900 + k, "train", "one", 384, 288)
        canvas = sample.canvases[0]
        cells += (glyph_cells(canvas) > 0).sum()
        written += sum(c != " " for text, _, _ in canvas.runs for c in text)
        seen = {name for name, _, _ in canvas.patches}
        asked = {q.answer for q in sample.questions if q.form in ("colour", "legend")} - {NOT_SHOWN}
        assert asked <= seen, (k, sample.kind, asked - seen)
        colours += len(asked)
        grey = canvas.pixels.astype(np.int32).sum(2)
        for text, xs, ys in canvas.runs:
            for c, x, y in zip(text, xs, ys):
                if c.isalnum():
                    part = grey[max(int(y) - 6, 0) : int(y) + 7, max(int(x) - 4, 0) : int(x) + 5]
                    hits += part.size > 0 and part.max() - part.min() > 90
                    total += 1
    assert hits > 0.995 * total, (hits, total)
    assert cells > 0.95 * written and colours, (cells, written, colours)
    print(
        f"places: ink at {hits} of {total} recorded letters, {cells} of {written} characters have a "
        f"cell, {colours} colours seen"
    )


def _ink(canvas):
    """(how many recorded letters have ink, how many there are)."""
    inked = letters = 0
    grey = canvas.pixels.astype(np.int32).sum(2)
    for text, xs, ys in canvas.runs:
        for c, x, y in zip(text, xs, ys):
            if c.isalnum():
                part = grey[max(int(y) - 4, 0) : int(y) + 5, max(int(x) - 3, 0) : int(x) + 4]
                inked += part.size > 0 and part.max() - part.min() > 90
                letters += 1
    return inked, letters


def _check_strips():
    """Windows of stored charts hold whole strings, and ask for all of them or one: what _ink gives."""
    from library import store, strips

    inked = letters = 0
    for k in range(240):
        width, height = ((320, 64), (64, 256), (128, 96))[k % 3]
        sample = draw_sample(k, "train", "strip", width, height)
        canvas = sample.canvases[0]
        assert canvas.pixels.shape == (height, width, 3)
        texts = sorted(text for text, _, _ in canvas.runs)
        for text, xs, ys in canvas.runs:
            assert min(xs) >= 7 and max(xs) <= width - 7 and min(ys) >= 7 and max(ys) <= height - 7
        for q in sample.questions:
            said = sorted(q.answer.split("\n"))
            assert said == texts if q.form == "read_text" else said[0] in texts, (q, texts)
        found = _ink(canvas)
        inked, letters = inked + found[0], letters + found[1]
        rng = random.Random(k)
        drawn, chart, _ = store.opened().anyone(rng, "train")
        held = strips.window(rng, drawn, chart, width, height)
        if held:  # every string of which a character can be seen is among them
            x, y, boxes = held
            seen = lambda px, py: x <= px < x + width and y <= py < y + height
            shown = [t for t, xs, ys in drawn.runs if t.strip() and any(map(seen, xs, ys))]
            assert sorted(shown) == sorted(b.text for b in boxes), (shown, boxes)
    assert inked > 0.985 * letters, (inked, letters)
    return inked, letters


def check_library(args):
    """Charts of matplotlib are stored and found again with their answers, characters and colours;
    those without a record of characters are packed as unknown."""
    from library import store
    from library.draw import draw_library
    from pack import UNKNOWN, glyph_cells, word_cells

    letters = inked = asked = 0
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/charts.jsonl", "w", encoding="utf-8") as rows:
            if not draw_library("matplotlib", range(24), "train", folder, rows):
                return
        opened = store.open_folders([folder])
        for k, (size, n) in enumerate(list(opened.sizes().items()) * 8):
            sample = draw_sample(k, "train", "library", *size)
            canvas = sample.canvases[0]
            assert canvas.pixels.shape == (size[1], size[0], 3) and n
            for q in sample.questions:
                right = is_absent(q, sample) if q.answer == NOT_SHOWN else solve(q, sample)
                assert right in (True, {q.answer}), (q, right)
            names = {name for name, _, _ in canvas.patches}
            shown = {q.answer for q in sample.questions if q.form in ("colour", "legend")}
            assert shown - {NOT_SHOWN} <= names, (shown, names)
            asked += len(sample.questions)
            found = _ink(canvas)
            inked, letters = inked + found[0], letters + found[1]
            canvas.runs = None
            assert (glyph_cells(canvas) == UNKNOWN).all() and not word_cells(canvas, None)
        strips = _check_strips()
    assert inked > 0.985 * letters, (inked, letters)
    print(
        f"library: {asked} answers found twice, ink at {inked} of {letters} recorded letters and at "
        f"{strips[0]} of {strips[1]} in windows"
    )


def _tokens(args):
    return tokens_.load(args.tokenizer or os.path.join(tempfile.gettempdir(), "vlqa-train-check"))


def check_packing(args):
    """A packed question is trained as if it were alone, also behind another prompt: the same rows."""
    import torch
    from feed import Job
    from losses import hidden, to_device
    from model import SIZES, Model
    from pack import CELLS, GLYPHS, pack

    t = _tokens(args)
    torch.manual_seed(0)
    model, cpu = Model(SIZES["tiny"], GLYPHS, CELLS), torch.device("cpu")
    job, worst = Job("one", 256, 192, 1, 0), 0.0
    for maker in ("one", "two", "text", "recall"):
        sample = draw_sample(77, "train", maker, 256, 192)
        before = draw_sample(76, "train", maker, 256, 192)
        both = pack([before, sample], t)
        base = int(pack([before], t)["label_question"].max())
        rows, _ = hidden(model, job, to_device(both, cpu))
        for k, q in enumerate(sample.questions):
            alone = draw_sample(77, "train", maker, 256, 192)
            alone.questions = [q]
            one = pack([alone], t)
            out, _ = hidden(model, job, to_device(one, cpu))
            mine = rows[torch.from_numpy(both["label_question"] == base + k + 1)]
            worst = max(worst, float((mine - out).detach().abs().max()))
            last = int(one["label_row"][-1])
            assert (one["positions"][0, :last] <= last).all()
    assert worst < 1e-4, worst
    print(f"packing: packed and lone questions differ by {worst:.1e}")


def check_deepen(args):
    """A model that got blocks and layers computes what it computed before."""
    import torch
    from deepen import deepened
    from feed import Job
    from losses import hidden, to_device
    from model import SIZES, Model
    from pack import CELLS, GLYPHS, pack

    torch.manual_seed(0)
    small, medium = (Model(SIZES[s], GLYPHS, CELLS) for s in ("small", "medium"))
    state = deepened(small.state_dict(), medium.size, small.size.deep)
    medium.load_state_dict(state)
    batch = to_device(
        pack([draw_sample(5, "train", "one", 256, 192)], _tokens(args)), torch.device("cpu")
    )
    job = Job("one", 256, 192, 1, 0)
    with torch.no_grad():
        (before, seen), (after, also) = (hidden(m, job, batch) for m in (small, medium))
    worst = max(float((before - after).abs().max()), float((seen - also).abs().max()))
    assert worst < 1e-5, worst
    print(f"deepen: {small.size.layers} and {medium.size.layers} layers differ by {worst:.1e}")


def check_attention(args):
    """Attention in bf16 on a CPU is that of PyTorch, as are its gradients, but for bf16 itself."""
    import torch
    from attend import Attend, AttendTogether, sequences
    from losses import visibility
    from model import rotate

    torch.manual_seed(0)
    segment = torch.full((2, 48), -1)
    segment[0, :40], segment[1, :24] = torch.arange(40) // 16, torch.arange(24) // 20
    mask, place = visibility(segment), (segment.view(-1) >= 0).nonzero()[:, 0]
    angle = torch.rand(64, 1, 16).repeat(1, 1, 2) * 6
    parts = [torch.randn(64, heads, 32).bfloat16().requires_grad_() for heads in (4, 2, 2)]
    weight, given = torch.randn(64, 4, 32), (angle.cos(), angle.sin(), *sequences(mask, place))
    ours = []
    for way in (Attend, AttendTogether):
        out = way.apply(*parts, *given)
        ours += [out, *torch.autograd.grad((out * weight).sum(), parts)]
    exact = [p.detach().float().requires_grad_() for p in parts]
    turned = [rotate(x, angle.cos(), angle.sin()) for x in exact[:2]] + exact[2:]
    wide = [
        torch.zeros(96, *x.shape[1:]).index_copy(0, place, x).view(2, 48, *x.shape[1:])
        for x in (turned[0], *(x.repeat_interleave(2, 1) for x in turned[1:]))
    ]
    out = torch.nn.functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in wide), attn_mask=mask
    )
    out = out.transpose(1, 2).reshape(96, 4, 32)[place]
    theirs = [out, *torch.autograd.grad((out * weight).sum(), exact)]
    worst = max(float(((a - b).norm() / b.norm()).detach()) for a, b in zip(ours, 2 * theirs))
    assert worst < 0.015, worst
    print(f"attention: rows and gradients differ from those in fp32 by {100 * worst:.1f} %")


def check_atlas(args):
    """Composed lines have the pixels and the targets of the same lines drawn on a canvas."""
    import ast
    import collections
    import atlas as atlas_
    from canvas import Canvas
    from pack import glyph_cells, word_cells

    t = _tokens(args)
    arrays, n, lines = atlas_.draw(3, "train", t, 24, 500), 6, 0
    atlas = atlas_.Atlas(arrays, "cpu")
    for width, height in ((160, 128), (384, 256), (640, 480)):
        batch, written = atlas.compose(n, width, height, soft=False)
        canvases = [Canvas(width, height, (0, 0, 0)) for _ in range(n)]
        for picture, face, phrase, x, base in zip(*(v.tolist() for v in written)):
            face = fonts.face(*ast.literal_eval(atlas.names[face]))
            canvases[picture].text(x, base - face.cap / 2, atlas.text(phrase), face, (255,) * 3)
            lines += 1
        rows = width * height // 1024
        words = [(k * rows + r, i) for k, c in enumerate(canvases) for r, i in word_cells(c, t)]
        mine = zip(batch["word_row"].tolist(), batch["word_id"].tolist())
        assert collections.Counter(words) == collections.Counter(mine)
        for k, c in enumerate(canvases):
            assert (batch["glyphs"][k].numpy() == glyph_cells(c)).all(), (width, k)
            page = batch["images"][k, 0, 0].int()  # nothing is written in that corner
            inked = (batch["images"][k].int() - page).abs().amax(-1).numpy()
            cover = c.pixels[:, :, 0].astype(int)
            wrong = ((cover > 24) & (inked == 0)).sum() + ((cover == 0) & (inked > 0)).sum()
            assert wrong <= 0.001 * (cover > 0).sum(), (width, k, wrong)
    print(f"atlas: {lines} phrases have the targets and the ink of those on a canvas")


def check_muon(args):
    """Our Muon is torch's, for wide, tall and square matrices."""
    import torch
    from optim import Muon

    torch.manual_seed(0)
    shapes = [(8, 24), (24, 8), (16, 16), (8, 24)]
    mine = [torch.nn.Parameter(torch.randn(s)) for s in shapes]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in mine]
    ours = Muon([(p, 1, "") for p in mine])
    torchs = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        for p, q in zip(mine, theirs):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        ours.step(0.02)
        torchs.step()
    worst = max(float((p - q).detach().abs().max()) for p, q in zip(mine, theirs))
    assert worst < 2e-3, worst  # torch's iterates in bf16
    print(f"muon: five steps differ from torch.optim.Muon by {worst:.1e}")


def check_feeding(args):
    """Workers give the batches that one process gives, in the same order."""
    from feed import Feeder
    from stages import TINY, Plan

    t = _tokens(args)
    one, two = Feeder(t, Plan(TINY, 3, 300), 0), Feeder(t, Plan(TINY, 3, 300), 2)
    two.begin()
    for k in range(10):
        (ja, a, _, _), (jb, b, _, release) = one.next(), two.next()
        assert ja == jb and a.keys() == b.keys(), (ja, jb)
        assert all((a[n] == b[n]).all() and a[n].dtype == b[n].dtype for n in a), k
        release()
    two.close()
    print("feeding: ten batches of two workers are those of one process")


def check_learning(args):
    """A small model learns a batch by heart: glyphs, words and answers have the right targets."""
    import torch
    from feed import Job, make_batch
    from losses import loss, right, to_device
    from model import SIZES, Model
    from optim import Optimizer
    from pack import CELLS, GLYPHS
    from stages import Stage

    t = _tokens(args)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, stage = Model(SIZES["tiny"], GLYPHS, CELLS), Stage("", 1, [], 1.0, 0.2)
    optimizer, job = Optimizer(model), Job("pairs", 128, 96, 12, 5, 4, named=True)
    arrays, named = make_batch(job, t)
    batch = to_device(arrays, torch.device("cpu"))
    for step in range(args.steps):
        total, parts = loss(model, stage, job, batch)
        total.backward()
        optimizer.step(4e-3 * min(1.0, (args.steps - step) / (args.steps / 3)))
    share = sum(right(model, job, batch, len(named))) / len(named)
    assert share > 0.9 and parts["glyphs_right"] > 0.9, (share, parts)
    print(
        f"learning: {100 * share:.0f} % of {len(named)} answers by heart after {args.steps} steps; "
        + ", ".join(f"{k} {float(v):.3f}" for k, v in parts.items())
    )


def check_export(args):
    """transformers computes from the exported files what the trainer's model computes."""
    import json
    import torch
    from PIL import Image
    from evaluate import Reference
    from export import read_weights
    from feed import Job
    from losses import hidden, to_device
    from model import SIZES, Model
    from pack import CELLS, GLYPHS, pack

    reference, t = Reference(args.model), tokens_.load(args.model)
    with open(os.path.join(args.model, "config.json"), encoding="utf-8") as f:
        text = json.load(f)["text_config"]
    shape = text["hidden_size"], text["num_hidden_layers"]
    size = next(s for s in SIZES.values() if (s.width, s.layers) == shape)
    model, worst = Model(size, GLYPHS, CELLS), 0.0
    read_weights(args.model, model)
    for seed, maker in enumerate(("one", "two", "text", "one", "text")):
        sample = draw_sample(31 + seed, "test", maker, 320, 256)
        sample.questions, sample.texts_first = sample.questions[:1], False
        with tempfile.TemporaryDirectory() as folder:
            names = [f"{k}.png" for k in range(len(sample.canvases))]
            for name, canvas in zip(names, sample.canvases):
                Image.fromarray(canvas.pixels).save(os.path.join(folder, name))
            q = sample.questions[0]
            inputs = reference.inputs(
                {"image": names, "texts": sample.texts, "question": q.text}, folder
            )
        batch = pack([sample], t)
        n = int(batch["label_row"][0]) + 1
        assert inputs["input_ids"][0].tolist() == batch["ids"][:n].tolist()
        with torch.no_grad():
            theirs = reference.model(**inputs).logits[0, -1]
            out, _ = hidden(
                model, Job(maker, 320, 256, 1, 0), to_device(batch, torch.device("cpu"))
            )
            worst = max(
                worst, float((model.logits(out[0]) - theirs).abs().max() / theirs.abs().max())
            )
    assert worst < 1e-4, worst
    print(
        f"export: prompt ids equal, logits of transformers and of the trainer differ by {worst:.1e} of the largest"
    )


def check_agree(args):
    """transformers and vlqa give the same greedy answers about held-out samples in fp32. In bf16 both
    round, each in its own order: vlqa gives the answers of fp32 as often as transformers does."""
    from evaluate import Reference, read
    from render import write_set

    with tempfile.TemporaryDirectory() as folder:
        write_set("test", args.questions, folder, 1)
        rows = read(f"{folder}/questions.jsonl")
        said = {}
        for dtype, option in (("float32", "f32"), ("bfloat16", "bf16")):
            reference = Reference(args.model, dtype)
            said["theirs", option] = [
                reference.answer(r, folder)["text"].rstrip("\n") for r in rows
            ]
            said["own", option] = [_ask(args, r, folder, option).rstrip("\n") for r in rows]
    same = lambda a, b: sum(x == y for x, y in zip(said[a], said[b]))
    exact, n = ("theirs", "f32"), len(rows)
    for row, a, b in zip(rows, said[exact], said["own", "f32"]):
        if a != b:
            print("differ in f32:", row["question"], repr(a), repr(b))
    both = same(("theirs", "bf16"), ("own", "bf16"))
    theirs, own = (same((who, "bf16"), exact) for who in ("theirs", "own"))
    equal = same(exact, ("own", "f32"))
    print(f"agree: {equal} of {n} answers of transformers and vlqa are equal in f32")
    print(f"agree: {both} of {n} in bf16; those of f32 are {own} of vlqa, {theirs} of transformers")
    assert equal == n and own >= theirs


def _ask(args, row, folder, dtype):
    """The answer of vlqa to a row of questions.jsonl."""
    from evaluate import image_names

    command = [args.vlqa, "ask", "--model", args.model, "--max-tokens", "128", "--dtype", dtype]
    command += ["--no-cache", "--reuse", "off", "--resize", "pillow"]
    for name in image_names(row):
        command += ["--image", f"{folder}/{name}"]
    for k, text in enumerate(row.get("texts", [])):
        path = f"{folder}/text{k}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        command += ["--text", path]
    command += ["--question", row["question"]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main():
    checks = {name[6:]: f for name, f in globals().items() if name.startswith("check_")}
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("names", nargs="*", help=", ".join(checks))
    p.add_argument("--fonts", help="a folder with fonts beside the system's")
    p.add_argument("--tokenizer", help="a folder with tokenizer.json (default: one is learnt)")
    p.add_argument("--n", type=int, default=400, help="samples whose answers are checked")
    p.add_argument("--steps", type=int, default=400, help="of learning by heart")
    p.add_argument("--questions", type=int, default=24, help="of agree")
    p.add_argument("--model", help="an exported model, for agree")
    p.add_argument("--vlqa", help="the program, for agree")
    args = p.parse_args()
    fonts.add_folder(args.fonts)
    for name in args.names or [n for n in checks if n not in ("export", "agree")]:
        checks[name](args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
