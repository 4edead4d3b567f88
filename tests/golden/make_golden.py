#!/usr/bin/env python3
"""make_golden.py - tiny Qwen3-VL checkpoints with random weights, and what transformers makes of
them: every intermediate tensor of the ladder in README.md, in float32 and bfloat16.

    pip install torch==2.15.* transformers==5.23.0 torchvision==0.29.* Pillow==12.3.*
    make_golden.py            writes images, checkpoints, cases and cases.json beside itself
    make_golden.py --check    recomputes the cases from the files and compares, writes nothing
    make_golden.py --seeds    looks for seeds without near ties (a checkpoint at a time)
    make_golden.py --mutate   prints how far well-known mistakes move the results

Everything is seeded and runs on one thread of the CPU.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy
import torch
import transformers
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl import image_processing_qwen2_vl
from transformers.models.qwen3_vl import modeling_qwen3_vl

from checkpoint import CHECKPOINTS, checkpoint_write, first_added, json_write, tensors_write

HERE = Path(__file__).resolve().parent
STEPS = {"fp32": 64, "bf16": 16}  # of the greedy continuation
MARGIN = 0.01  # between the best two logits of every float32 step
DTYPE = {"fp32": torch.float32, "bf16": torch.bfloat16}
ATTENTION = {"fp32": "eager", "bf16": "sdpa"}

# ---------------------------------------------------------------------------- cases

# Images are named by file; "text" is said as it is.
CASES = {
    "text": [("system", ["Be brief."]), ("user", ["Hi, what is 1+2?"])],
    "image": [("user", [Path("down.png"), "What is in the chart?"])],
    "three": [("user", ["A: ", Path("up.png"), " B: ", Path("half.png"), "; ", Path("axis.png"),
                        " same?"])],
    "last": [("user", ["Read this: ", Path("half.png")])],
}

# ---------------------------------------------------------------------------- images

def images_write(out):
    """up: noise, below min_pixels; half: 80x48, where rounding half up gives another size; down:
    drawn, not square; axis: only one side is resized."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    noise = numpy.random.default_rng(7)

    def save(name, pixels):
        Image.fromarray(pixels.astype(numpy.uint8)).save(out / f"{name}.png", optimize=True)

    def ramp(w, h):
        y, x = numpy.mgrid[0:h, 0:w]
        return numpy.stack([x * 255 // (w - 1), y * 255 // (h - 1), (3 * x + 5 * y) % 256], -1)

    save("up", noise.integers(0, 256, (20, 44, 3)))
    save("half", ramp(80, 48) // 2 + noise.integers(0, 128, (48, 80, 1)))
    save("axis", (ramp(64, 40) + noise.integers(0, 30, (40, 64, 3))) % 256)
    chart = Image.new("RGB", (200, 300), (250, 248, 240))
    draw = ImageDraw.Draw(chart)
    for i, (height, colour) in enumerate([(210, (200, 30, 40)), (90, (20, 120, 60)),
                                          (150, (30, 60, 200)), (260, (240, 170, 0))]):
        draw.rectangle([18 + 45 * i, 290 - height, 48 + 45 * i, 289], fill=colour)
        for k in range(height // 12):
            draw.line([18 + 45 * i, 290 - 12 * k, 48 + 45 * i, 284 - 12 * k], fill=(0, 0, 0))
    draw.line([10, 5, 10, 290, 195, 290], fill=(0, 0, 0), width=2)
    chart.save(out / "down.png", optimize=True)


def unpatched(pixel_values, grid):
    """The uint8 image that stands behind the rows of one image."""
    h, w = grid[1] // 2, grid[2] // 2
    x = pixel_values.reshape(h, w, 2, 2, 3, 2, 16, 16)[:, :, :, :, :, 0]
    x = x.permute(0, 2, 5, 1, 3, 6, 4).reshape(h * 32, w * 32, 3)
    return (x * 127.5 + 127.5).round().to(torch.uint8).numpy()


def resized_write(out, processor, image_names):
    """Each image as the processor resized it, and as Pillow would have."""
    written = {}
    for name in image_names:
        image = Image.open(out / name)
        r = processor.image_processor(images=[image], return_tensors="pt")
        pixels = unpatched(r["pixel_values"], r["image_grid_thw"][0].tolist())
        size = (pixels.shape[1], pixels.shape[0])
        stem = f"{Path(name).stem}_{size[0]}x{size[1]}"
        Image.fromarray(pixels).save(out / f"{stem}.png", optimize=True)
        image.resize(size, Image.BICUBIC).save(out / f"{stem}_pillow.png", optimize=True)
        written[name] = f"{stem}.png"
    return written


# ---------------------------------------------------------------------------- running and tracing

def load(name, kind, folder=HERE):
    model, info = Qwen3VLForConditionalGeneration.from_pretrained(
        folder / name, dtype=DTYPE[kind], attn_implementation=ATTENTION[kind],
        output_loading_info=True)
    assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval(), AutoProcessor.from_pretrained(folder / name)


def inputs_of(processor, turns, folder=HERE):
    messages = []
    for role, parts in turns:
        content = [{"type": "image", "image": Image.open(folder / "images" / p)}
                   if isinstance(p, Path) else {"type": "text", "text": p} for p in parts]
        messages.append({"role": role, "content": content})
    return processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True,
                                         return_dict=True, return_tensors="pt")


class Trace:
    """Records the tensors of a forward pass under the names of the ladder."""

    def __init__(self, model):
        self.t, self.undo = {}, []
        tower, text = model.model.visual, model.model.language_model
        self.layer = 0

        def after(module, name, pick=lambda out: out):
            hook = module.register_forward_hook(
                lambda _, __, out: self.keep(name, pick(out)))
            self.undo.append(hook.remove)

        after(tower.patch_embed, "vit.patch_embed")
        after(tower.rotary_pos_emb, "vit.cos_sin", self.halves)
        for i, block in enumerate(tower.blocks):
            after(block.attn, f"vit.attn.{i}")
            after(block.mlp, f"vit.mlp.{i}")
            after(block, f"vit.block.{i}")
        after(tower.merger, "vit.merger")
        for k, merger in enumerate(tower.deepstack_merger_list):
            after(merger, f"vit.deepstack.{k}")
        after(text.rotary_emb, "text.cos_sin", self.halves)
        for i, layer in enumerate(text.layers):
            after(layer.self_attn, f"text.attn.{i}", lambda out: out[0])
            after(layer.mlp, f"text.mlp.{i}")
            after(layer, f"text.layer.{i}", lambda out: out if torch.is_tensor(out) else out[0])
        after(text.norm, "text.norm", lambda out: out[:, -1])

        def learned(original):
            def call(*args, **kwargs):
                index, weight = original(*args, **kwargs)
                rows = (tower.pos_embed(index) * weight[:, :, None]).sum(1)
                self.keep("vit.pos", rows.to(tower.pos_embed.weight.dtype))
                return index, weight
            return call

        def turned(original, prefix, order):
            def call(q, k, *args, **kwargs):
                q, k = original(q, k, *args, **kwargs)
                for letter, x in (("q", q), ("k", k)):
                    index = sum(key.startswith(f"{prefix}.{letter}.") for key in self.t)
                    self.keep(f"{prefix}.{letter}.{index}", order(x).flatten(-2))
                return q, k
            return call

        def deep(original):
            def call(*args, **kwargs):
                out = original(*args, **kwargs)
                index = sum(key.startswith("text.deep.") for key in self.t)
                self.keep(f"text.deep.{index}", out)
                return out
            return call

        m = modeling_qwen3_vl
        self.patch(m, "get_vision_interpolation_indices_and_weights", learned)
        self.patch(m, "apply_rotary_pos_emb_vision", lambda f: turned(f, "vit", lambda x: x))
        self.patch(m, "apply_rotary_pos_emb",
                   lambda f: turned(f, "text", lambda x: x.transpose(1, 2)))
        self.patch(text, "_deepstack_process", deep)

    def patch(self, owner, name, wrap):
        original = getattr(owner, name)
        setattr(owner, name, wrap(original))
        self.undo.append(lambda: setattr(owner, name, original))

    @staticmethod
    def halves(out):
        cos, sin = out
        d = cos.shape[-1] // 2
        return torch.cat([cos[..., :d], sin[..., :d]], -1)

    def keep(self, name, x):
        assert name not in self.t, name
        self.t[name] = x.detach().clone().reshape(-1, x.shape[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for undo in reversed(self.undo):
            undo()


@torch.no_grad()
def forward(model, inputs):
    """Logits of the last row, the cache, and rope_delta."""
    model.model.rope_deltas = None
    out = model(**inputs, use_cache=True, logits_to_keep=1)
    delta = model.model.rope_deltas
    return out.logits[0, -1].float(), out.past_key_values, 0 if delta is None else int(delta)


@torch.no_grad()
def greedy(model, inputs, steps):
    """ids, margins between the best two logits, log-probabilities of the ids; slot s is rotated at
    s + rope_delta."""
    logits, cache, delta = forward(model, inputs)
    ids, margins, logprobs = [], [], []
    slot = inputs["input_ids"].shape[1]
    while True:
        best = logits.topk(2)
        ids.append(int(logits.argmax()))
        margins.append(float(best.values[0] - best.values[1]))
        logprobs.append(float(logits.log_softmax(0)[ids[-1]]))
        if len(ids) == steps:
            return ids, margins, logprobs
        position = torch.full((3, 1, 1), slot + delta)
        out = model(input_ids=torch.tensor([[ids[-1]]]), position_ids=position,
                    past_key_values=cache, use_cache=True)
        logits, cache, slot = out.logits[0, -1].float(), out.past_key_values, slot + 1


def positions_of(model, inputs):
    ids = inputs["input_ids"]
    if "image_grid_thw" not in inputs:
        return torch.arange(ids.shape[1]).expand(3, -1), 0
    position, delta = model.model.get_rope_index(
        ids, mm_token_type_ids=inputs["mm_token_type_ids"],
        image_grid_thw=inputs["image_grid_thw"])
    return position[:, 0], int(delta)


@torch.no_grad()
def run(model, processor, turns, kind, folder=HERE):
    """Every tensor of a case."""
    inputs = inputs_of(processor, turns, folder)
    with Trace(model) as trace:
        logits, _, delta = forward(model, inputs)
    position, expected = positions_of(model, inputs)
    assert delta == expected
    ids, margins, logprobs = greedy(model, inputs, STEPS[kind])
    t = trace.t
    t["logits"] = logits
    t["input_ids"] = inputs["input_ids"][0].float()
    t["position_ids"], t["rope_delta"] = position.float(), torch.tensor([float(delta)])
    t["greedy"], t["greedy_margin"] = torch.tensor(ids).float(), torch.tensor(margins)
    t["greedy_logprob"] = torch.tensor(logprobs)
    if "image_grid_thw" in inputs:
        t["grid_thw"] = inputs["image_grid_thw"].float()
        t["pixel_values"] = inputs["pixel_values"]
    return t


# ---------------------------------------------------------------------------- what is kept

ALWAYS = ("logits", "greedy", "greedy_margin", "greedy_logprob", "text.norm", "vit.merger")
INTEGERS = ("input_ids", "position_ids", "rope_delta", "grid_thw")


def kept(name, c, case, kind, key):
    """In float32 the image case has everything; the others have what tells where a fault lies."""
    stem, _, layer = key.rpartition(".")
    if key in ALWAYS or stem in ("vit.deepstack", "text.layer"):
        return True
    if key in INTEGERS:
        return kind == "fp32"
    if key == "pixel_values":  # the same for all checkpoints
        return kind == "fp32" and case == "image" and name == "tied64"
    if stem == "vit.block" and int(layer) == c["tower"]["depth"] - 1:
        return True
    if stem in ("vit.q", "vit.k", "text.q", "text.k") and layer != "0":
        return False
    return kind == "fp32" and (case == "image" or stem == "text.k")


def stored(name, c, case, kind, tensors):
    out = {k: v.contiguous() for k, v in tensors.items() if kept(name, c, case, kind, k)}
    if "pixel_values" in out:  # 256 values, each with a bfloat16 of its own
        out["pixel_values"] = out["pixel_values"].bfloat16()
    return out


def cases_of(name, c, folder=HERE):
    """(case, kind, tensors) for all of a checkpoint."""
    for kind in DTYPE:
        model, processor = load(name, kind, folder)
        for case, turns in CASES.items():
            tensors = run(model, processor, turns, kind, folder)
            yield case, kind, stored(name, c, case, kind, tensors)


def case_file(name, case, kind):
    return HERE / "cases" / f"{name}-{case}-{kind}.safetensors"


# ---------------------------------------------------------------------------- modes

def write():
    images_write(HERE / "images")
    shutil.rmtree(HERE / "cases", ignore_errors=True)
    (HERE / "cases").mkdir()
    listing = []
    for name, c in CHECKPOINTS.items():
        checkpoint_write(name, c, HERE / name)
        processor = AutoProcessor.from_pretrained(HERE / name)
        used = sorted({p.name for turns in CASES.values() for _, parts in turns for p in parts
                       if isinstance(p, Path)})
        resized = resized_write(HERE / "images", processor, used)
        for case, kind, tensors in cases_of(name, c):
            tensors_write(tensors, case_file(name, case, kind))
            if kind == "fp32":
                least = float(tensors["greedy_margin"].min())
                assert least > MARGIN, f"{name} {case}: margin {least}, take another seed"
        for case, turns in CASES.items():
            listing.append({
                "checkpoint": name, "case": case,
                "turns": [{"role": role,
                           "items": [{"image": p.name, "resized": resized[p.name]}
                                     if isinstance(p, Path) else {"text": p} for p in parts]}
                          for role, parts in turns]})
    json_write(HERE / "cases.json", {"torch": torch.__version__.split("+")[0],
                                     "transformers": transformers.__version__, "cases": listing})
    print(sum(f.stat().st_size for f in HERE.rglob("*") if f.is_file()), "bytes")


def check():
    """rel L2 between the files and a fresh run: zero where they were written, small elsewhere.
    The continuation is also that of transformers' own generate."""
    worst = {}
    for name, c in CHECKPOINTS.items():
        for case, kind, tensors in cases_of(name, c):
            file = load_file(case_file(name, case, kind))
            assert file.keys() == tensors.keys(), (name, case, kind)
            for key, value in tensors.items():
                a, b = file[key].double(), value.double()
                error = float((a - b).norm() / b.norm().clamp_min(1e-30))
                worst[kind] = max(worst.get(kind, (0.0,)), (error, name, case, key))
        model, processor = load(name, "fp32")
        model.generation_config.eos_token_id = None
        for case, turns in CASES.items():
            inputs = inputs_of(processor, turns)
            model.model.rope_deltas = None
            out = model.generate(**inputs, max_new_tokens=STEPS["fp32"], do_sample=False)
            ids = out[0, inputs["input_ids"].shape[1]:].tolist()
            assert ids == load_file(case_file(name, case, "fp32"))["greedy"].long().tolist()
    print(worst)


def seeds():
    folder = HERE / "seeds"
    images_write(folder / "images")
    for name, c in CHECKPOINTS.items():
        for seed in range(1, 200):
            trial = {**c, "seed": seed}
            checkpoint_write(name, trial, folder / name)
            model, processor = load(name, "fp32", folder)
            least, kinds = 1e9, 1e9
            for turns in CASES.values():
                ids, margins, _ = greedy(model, inputs_of(processor, turns, folder), STEPS["fp32"])
                least, kinds = min(least, min(margins)), min(kinds, len(set(ids)))
                if least < MARGIN or kinds < 12 or max(ids) >= first_added():
                    break
            else:
                print(name, "seed", seed, "least margin", round(least, 4), "kinds", kinds,
                      flush=True)
                break
    shutil.rmtree(folder)


def mutate():
    """Each mistake, and how far it moves logits (max abs) and visual rows (rel L2)."""
    def chunked(rotary):
        def recompose(freq):
            first, second = rotary.mrope_section[0], sum(rotary.mrope_section[:2])
            x = torch.cat([freq[0][..., :first], freq[1][..., first:second],
                           freq[2][..., second:]], -1)
            return torch.cat([x, x], -1)
        rotary.recomposition_frequencies = recompose

    def columns_first(rotary):
        def recompose(freq):
            x = torch.cat([freq[:, 1], freq[:, 0]], -1)
            return torch.cat([x, x], -1)
        rotary.recomposition_frequencies = recompose

    def half_up():
        image_processing_qwen2_vl.round = lambda x: int(x + 0.5)

    def mergers_tanh(tower):
        for merger in [tower.merger, *tower.deepstack_merger_list]:
            merger.act_fn = torch.nn.GELU(approximate="tanh")

    def blocks_erf(tower):
        for block in tower.blocks:
            block.mlp.act_fn = torch.nn.GELU()

    def no_deep(text):
        text._deepstack_process = lambda hidden, *_: hidden

    def deep_reversed(tower):
        tower.deepstack_merger_list = tower.deepstack_merger_list[::-1]

    mistakes = {
        "DeepStack dropped": lambda v, t: no_deep(t),
        "DeepStack mergers in reverse": lambda v, t: deep_reversed(v),
        "tanh GELU in the mergers": lambda v, t: mergers_tanh(v),
        "erf GELU in the blocks": lambda v, t: blocks_erf(v),
        "M-RoPE in contiguous sections": lambda v, t: chunked(t.rotary_emb),
        "vision rotation: column first": lambda v, t: columns_first(v.rotary_pos_emb),
        "positions without aligned corners":
            lambda v, t: setattr(v, "interpolation_align_corners", False),
        "sizes rounded half up": lambda v, t: half_up(),
    }
    for name in CHECKPOINTS:
        for mistake, apply in mistakes.items():
            line = []
            for case in ("image", "three", "last"):
                results = []
                for wrong in (False, True):
                    model, processor = load(name, "fp32")
                    if wrong:
                        apply(model.model.visual, model.model.language_model)
                    inputs = inputs_of(processor, CASES[case])
                    with Trace(model) as trace:
                        logits, _, _ = forward(model, inputs)
                    image_processing_qwen2_vl.__dict__.pop("round", None)
                    results.append((logits, trace.t["vit.merger"]))
                (a, u), (b, v) = results
                rows = "size" if u.shape != v.shape else f"{float((u - v).norm() / u.norm()):.1e}"
                line.append(f"{float((a - b).abs().max()):.1e} / {rows}")
            print("|", name, "|", mistake, "|", " | ".join(line), "|", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    modes = {"--check": check, "--seeds": seeds, "--mutate": mutate}
    modes[sys.argv[1]]() if len(sys.argv) > 1 else write()
