"""agree.py - do vlqa and transformers give the same first-token logits at the released sizes?

    python3 -m venv venv && venv/bin/pip install torch torchvision transformers==5.24 pillow
    venv/bin/python tests/peers/agree.py --shape 2b        # 14 GB of memory, 5 GB of disk
    venv/bin/python tests/peers/agree.py --shape tiny      # the checkpoints of tests/golden

No released checkpoint is needed: a model with random bf16 weights in the shape of a released one is
written to a temporary directory, with the real tokenizer where ../shared/tokenizer has it. Both
programs read that directory, compute in f32, and answer the same prompts: a text, one image, three
images. For each the table has the tokens of the prompt, the largest difference between logits, their
standard deviation and whether the likeliest token is the same. Exit code 1: some prompt has another
number of tokens, another likeliest token, or a difference beyond --tolerance deviations. Not run by
ctest: it needs PyPI."""
import argparse
import json
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from PIL import Image  # noqa: E402

transformers.utils.logging.disable_progress_bar()

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT.parent / "shared" / "tokenizer"
TINY = ["tied64", "sharded12", "tower72"]
TEXT = {  # as in fusion/engine/shape.c: hidden, inner, layers, heads
    "2b": (2048, 6144, 28, 16), "4b": (2560, 9728, 36, 32)}
QUESTION = "Which month has the largest value, and by how much?"
SAMPLES = ["assets/samples/031.png", "assets/samples/021.png", "assets/samples/001.png"]
SMALL = ["tests/golden/images/down.png", "tests/golden/images/half.png", "tests/golden/images/up.png"]


def config_of(shape):
    hidden, inner, layers, heads = TEXT[shape]
    return transformers.Qwen3VLConfig(
        text_config=dict(
            vocab_size=151936, hidden_size=hidden, intermediate_size=inner,
            num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=8,
            head_dim=128, max_position_embeddings=262144, rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=5000000.0,
                                 mrope_section=[24, 20, 20], mrope_interleaved=True)),
        vision_config=dict(
            depth=24, hidden_size=1024, intermediate_size=4096, num_heads=16, patch_size=16,
            spatial_merge_size=2, temporal_patch_size=2, out_hidden_size=hidden,
            num_position_embeddings=2304, deepstack_visual_indexes=[5, 11, 17]),
        image_token_id=151655, video_token_id=151656, vision_start_token_id=151652,
        vision_end_token_id=151653, tie_word_embeddings=True)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_model(shape, out, seed):
    """A directory as the hub has it. Weights: what transformers initialises, and vectors that are
    not all ones or zeros, so that a norm or bias that is passed over would be seen."""
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.bfloat16)
    model = transformers.Qwen3VLForConditionalGeneration(config_of(shape))
    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(torch.randn(p.shape, dtype=torch.float32).mul_(0.05).to(p.dtype))
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size="2GB")
    del model
    packed = TOKENIZER / "qwen3-tokenizer.json.xz"
    (out / "tokenizer.json").write_bytes(lzma.decompress(packed.read_bytes()))
    shutil.copyfile(TOKENIZER / "qwen3-tokenizer_config.json", out / "tokenizer_config.json")
    shutil.copy(ROOT / "tests/golden/tied64/chat_template.jinja", out)
    write_json(out / "generation_config.json", {"eos_token_id": [151645, 151643]})
    write_json(out / "preprocessor_config.json", {
        "size": {"shortest_edge": 65536, "longest_edge": 16777216}, "patch_size": 16,
        "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor"})


def cases(work, tiny):
    """(name, image files)"""
    square = work / "square.png"
    Image.open(ROOT / SAMPLES[0]).convert("RGB").resize((512, 512)).save(square)
    three = [str(ROOT / name) for name in (SMALL if tiny else SAMPLES)]
    return [("text", []), ("one image", [three[0] if tiny else str(square)]), ("three images", three)]


def theirs(model_dir, prompts):
    """[(tokens, logits)] of transformers in f32."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    images = transformers.AutoImageProcessor.from_pretrained(model_dir)
    template = (model_dir / "chat_template.jinja").read_text()
    model = transformers.Qwen3VLForConditionalGeneration.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="sdpa").eval()
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    out = []
    for _, files in prompts:
        content = [{"type": "image"} for _ in files] + [{"type": "text", "text": QUESTION}]
        text = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False,
                                             chat_template=template, add_generation_prompt=True)
        more = {}
        if files:
            more = images([Image.open(f).convert("RGB") for f in files], return_tensors="pt")
            for grid in more["image_grid_thw"]:
                text = text.replace("<|image_pad|>", "<|place|>" * int(grid.prod() // 4), 1)
            text = text.replace("<|place|>", "<|image_pad|>")
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids),
                           mm_token_type_ids=(ids == pad).int(), logits_to_keep=1, **more).logits
        out.append((ids.shape[1], logits[0, -1].numpy().copy()))
    return out


def ours(vlqa, model_dir, files, work):
    """(tokens, logits) of vlqa in f32."""
    logits = work / "logits.f32"
    command = [vlqa, "ask", "-m", str(model_dir), "-p", QUESTION, "--dtype", "f32", "--json",
               "--no-cache", "--reuse", "off", "--max-tokens", "1", "--logits", str(logits)]
    for name in files:
        command += ["--image", name]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(said)["prompt_tokens"]["total"], numpy.fromfile(logits, "<f4")


def compare(title, vlqa, model_dir, work, tolerance):
    prompts = cases(work, title in TINY)
    mine = [ours(vlqa, model_dir, files, work) for _, files in prompts]
    good = True
    for (name, _), (tokens, logits), (their_tokens, their_logits) in zip(
            prompts, mine, theirs(model_dir, prompts)):
        if tokens != their_tokens:
            print(f"| {title} | {name} | {tokens}, transformers {their_tokens} | | | |")
            good = False
            continue
        difference = float(numpy.abs(logits - their_logits).max())
        deviation = float(their_logits.std())
        same = int(logits.argmax()) == int(their_logits.argmax())
        good = good and same and difference <= tolerance * deviation
        print(f"| {title} | {name} | {tokens} | {difference:.1e} | {deviation:.2f} | "
              f"{'yes' if same else 'no'} |", flush=True)
    return good


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--shape", choices=["tiny", *TEXT], default="tiny")
    args.add_argument("--vlqa", default=str(ROOT / "build/vlqa"))
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--tolerance", type=float, default=1e-3, help="of a standard deviation")
    args.add_argument("--work", help="where to write [a temporary directory]")
    args.add_argument("--keep", action="store_true", help="leave the model in --work")
    args = args.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work) as temporary:
        work = pathlib.Path(args.work if args.keep and args.work else temporary)
        print(f"transformers {transformers.__version__}, torch {torch.__version__}, "
              f"{torch.get_num_threads()} threads\n")
        print("| shape | prompt | tokens | largest difference | deviation of logits | "
              "same likeliest token |\n|---|---|---|---|---|---|", flush=True)
        if args.shape == "tiny":
            good = [compare(name, args.vlqa, ROOT / "tests/golden" / name, work, args.tolerance)
                    for name in TINY]
        else:
            model_dir = work / args.shape
            if not (model_dir / "config.json").exists():
                model_dir.mkdir()
                write_model(args.shape, model_dir, args.seed)
            good = [compare(args.shape, args.vlqa, model_dir, work, args.tolerance)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
