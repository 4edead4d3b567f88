"""Everything in assets/ that comes from a trained model: default-model and its check.jsonl.

    python ship.py --model DIR      DIR: what export.py wrote; MODEL_CARD.md is written by hand

check.jsonl holds what transformers computes in fp32 about every question of the samples, which stay as
they are: questions.jsonl about pictures of our renderer, library.jsonl about those of libraries. Paths
in it are relative to assets/. --library DIR takes the pictures and questions of a folder that `python -m
library.draw --split test` wrote as those of libraries.
"""

import argparse
import glob
import json
import os
import shutil

from evaluate import Reference, image_names, read

ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SETS = "questions.jsonl", "library.jsonl"
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


def ship_library(source, target):
    """Copies charts of libraries to the samples as LIBRARY-NUMBER.png; rows keep what vlqa reads and
    what scores are by."""
    kept, names, counts = ("category", "library", "kind", "skill", "size"), {}, {}
    with open(f"{target}/library.jsonl", "w", encoding="utf-8") as f:
        for row in read(f"{source}/questions.jsonl"):
            library, image = row["library"], row["image"]
            if image not in names:
                counts[library] = counts.get(library, 0) + 1
                names[image] = f"{library}-{counts[library]}.png"
                shutil.copy(f"{source}/{image}", f"{target}/{names[image]}")
            shown = {"image": names[image], "question": row["question"], "answer": row["answer"]}
            shown |= {k: row[k] for k in kept}
            f.write(json.dumps(shown, ensure_ascii=False) + "\n")


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
    p.add_argument(
        "--library", help="a folder of library.draw to take the samples of libraries from"
    )
    p.add_argument("--assets", default=ASSETS, help="where default-model and samples are")
    args = p.parse_args()
    model, samples = f"{args.assets}/default-model", f"{args.assets}/samples"
    ship_model(args.model, model)
    if args.library:
        ship_library(args.library, samples)
    reference = Reference(model)
    rows = [check_row(reference, row, samples) for s in SETS for row in read(f"{samples}/{s}")]
    with open(f"{model}/check.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(sum(r["answer"] == r["model_answer"] for r in rows), "of them right")


if __name__ == "__main__":
    main()
