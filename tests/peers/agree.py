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
import pathlib
import subprocess
import sys
import tempfile

import checkpoint
import numpy
import torch
import transformers
from PIL import Image

ROOT = checkpoint.ROOT
TINY = ["tied64", "sharded12", "tower72"]
QUESTION = "Which month has the largest value, and by how much?"
SAMPLES = ["assets/samples/031.png", "assets/samples/021.png", "assets/samples/001.png"]
SMALL = ["tests/golden/images/down.png", "tests/golden/images/half.png", "tests/golden/images/up.png"]


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
    model = transformers.Qwen3VLForConditionalGeneration.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="sdpa").eval()
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    out = []
    for _, files in prompts:
        text, more = checkpoint.rendered(tokenizer, model_dir, QUESTION, len(files)), {}
        if files:
            more = images([Image.open(f).convert("RGB") for f in files], return_tensors="pt")
            text = checkpoint.expanded(text, more["image_grid_thw"])
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
    args.add_argument("--shape", choices=["tiny", *checkpoint.TEXT], default="tiny")
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
                checkpoint.write_model(args.shape, model_dir, args.seed)
            good = [compare(args.shape, args.vlqa, model_dir, work, args.tolerance)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
