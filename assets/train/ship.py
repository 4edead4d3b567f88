"""Everything in assets/ that comes from a trained model: default-model, its check.jsonl and samples.

    python ship.py --model DIR      DIR: what export.py wrote; MODEL_CARD.md is written by hand

check.jsonl holds what transformers computes in fp32 about every question of the samples; paths in it
are relative to assets/.
"""

import argparse
import glob
import json
import os
import shutil

import fonts
from evaluate import Reference, image_names, read
from render import write_set

ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SAMPLES, EACH = 40, 4
LONGEST = 64  # tokens of an answer in check.jsonl


def _clear(folder, patterns):
    """Removes those files of a folder, which is made if it is not there."""
    os.makedirs(folder, exist_ok=True)
    for pattern in patterns:
        for path in glob.glob(f"{folder}/{pattern}"):
            os.remove(path)


def ship_model(source, target):
    """Copies the files of a Hugging Face directory."""
    _clear(target, ("*.json", "*.safetensors"))
    for path in glob.glob(f"{source}/*.json") + glob.glob(f"{source}/*.safetensors"):
        shutil.copy(path, target)


def check_row(reference, row, base):
    """A row of check.jsonl about a row of questions.jsonl."""
    found = reference.answer(row, base, LONGEST)
    value, index = found["logits"].topk(8)
    return {
        "image": [f"samples/{name}" for name in image_names(row)],
        "texts": row.get("texts", []),
        "question": row["question"],
        "answer": row["answer"],
        "model_answer": found["text"],
        "answer_ids": found["ids"],
        "prompt_ids": found["prompt_ids"],
        "grids": found["grids"],
        "first_logits_top8": [[i, round(v, 4)] for i, v in zip(index.tolist(), value.tolist())],
    }


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--model", required=True, help="a Hugging Face directory")
    p.add_argument("--fonts", help="a folder with fonts beside the system's")
    p.add_argument("--assets", default=ASSETS, help="where default-model and samples are")
    args = p.parse_args()
    fonts.add_folder(args.fonts)
    model, samples = f"{args.assets}/default-model", f"{args.assets}/samples"
    ship_model(args.model, model)
    _clear(samples, ("*.png", "*.txt", "*.jsonl"))
    print("%d questions about %d samples" % write_set("test", SAMPLES * EACH, samples, EACH))
    reference = Reference(model)
    rows = [check_row(reference, row, samples) for row in read(f"{samples}/questions.jsonl")]
    with open(f"{model}/check.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(sum(r["answer"] == r["model_answer"] for r in rows), "of them right")


if __name__ == "__main__":
    main()
