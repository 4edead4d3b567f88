"""How many answers are right, by category, library, kind, skill and size, with 95 % intervals.

    python evaluate.py --predictions FILE            lines with answer, prediction and category
    python evaluate.py --questions FILE --model DIR  answers them with transformers first

A prediction is exact when it is the answer but for case and blanks around it, relaxed when both are
numbers within 5 % of each other. What counts ("right") is relaxed for values that are read off an
axis and exact for all others. Tables are made of those fields that the lines have.
"""

import argparse
import collections
import json
import math
import os
import re


def interval(right, n):
    """Wilson's 95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, right / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def count(found):
    """[(category, right)] to {category: (right, all)}, with "all" last."""
    sums = collections.defaultdict(lambda: [0, 0])
    for category, right in found:
        for key in (category, "all"):
            sums[key][0] += bool(right)
            sums[key][1] += 1
    return {k: tuple(sums[k]) for k in sorted(sums, key=lambda k: (k == "all", k))}


def table(found):
    """A table of what count gives."""
    lines = [f"{'category':16} {'right':>7} {'of':>6}   {'%':>5}   95 % interval"]
    for key, (right, n) in found.items():
        low, high = interval(right, n)
        lines.append(
            f"{key:16} {right:7} {n:6}   {100 * right / max(n, 1):5.1f}   {100 * low:5.1f} to {100 * high:.1f}"
        )
    return "\n".join(lines)


_SCALE = {"k": 1e3, "m": 1e6, "mn": 1e6, "b": 1e9, "bn": 1e9}


def _number(text):
    """(number, unit in lower case without blanks), or None."""
    text = re.sub(r"[\s,$€£]|US(?=\$)", "", text).replace("\u2212", "-")
    match = re.fullmatch(r"(-?\d*\.?\d+)([^\d]*)", text)
    return (float(match[1]), match[2].lower()) if match else None


def is_exact(answer, prediction):
    return answer.strip().lower() == prediction.strip().lower()


def is_relaxed(answer, prediction):
    """Within 5 % of a number; "3k" is 3 and 3,000, but not 3M. Other answers must be exact."""
    a, p = _number(answer), _number(prediction)
    if not a or not p or not a[0]:
        return is_exact(answer, prediction)
    near = lambda x, y: abs(x - y) <= 0.05 * abs(x)
    if a[1] == p[1] or not (a[1] and p[1]) and near(a[0], p[0]):
        return near(a[0], p[0])
    return near(a[0] * _SCALE.get(a[1], 1), p[0] * _SCALE.get(p[1], 1))


def is_right(row):
    """Whether the prediction of a row counts: values off an axis need not be exact."""
    said = row.get("prediction", row.get("model_answer", ""))
    axis = "value_axis" in (row.get("category"), row.get("skill"))
    return (is_relaxed if axis else is_exact)(row["answer"], said)


def report(rows):
    """Tables of rows with answers and predictions."""
    said = lambda r: r.get("prediction", r.get("model_answer", ""))
    lines = []
    for name, test in (("exact", is_exact), ("relaxed", is_relaxed)):
        found = ((r.get("category", "none"), test(r["answer"], said(r))) for r in rows)
        lines += [name, table(count(found))]
    for field in ("library", "kind", "skill", "size"):
        having = [r for r in rows if field in r]
        if having:
            lines += [
                f"right, by {field}",
                table(count((str(r[field]), is_right(r)) for r in having)),
            ]
    return "\n".join(lines)


def image_names(row):
    """The files of the images of a row of questions.jsonl."""
    return row["image"] if isinstance(row["image"], list) else [row["image"]]


class Reference:
    """Greedy answers of transformers. It needs no torchvision: images go through Pillow."""

    def __init__(self, folder, dtype="float32"):
        import torch
        from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
            Qwen2VLImageProcessorPil,
        )

        self.torch = torch
        self.model = Qwen3VLForConditionalGeneration.from_pretrained(
            folder, dtype=getattr(torch, dtype)
        ).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        with open(os.path.join(folder, "preprocessor_config.json"), encoding="utf-8") as f:
            config = json.load(f)
        self.images = Qwen2VLImageProcessorPil(
            **{
                k: v
                for k, v in config.items()
                if k not in ("processor_class", "image_processor_type")
            }
        )

    def inputs(self, row, base):
        """What the model is given for a row of questions.jsonl whose images lie in base."""
        from PIL import Image

        names = image_names(row)
        pictures = [Image.open(os.path.join(base, n)).convert("RGB") for n in names]
        content = [{"type": "image"}] * len(names) + [
            {"type": "text", "text": t} for t in row.get("texts", [])
        ]
        content.append({"type": "text", "text": row["question"]})
        prompt = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        seen = self.images(images=pictures, return_tensors="pt")
        parts = prompt.split("<|image_pad|>")
        for k, (_, h, w) in enumerate(seen["image_grid_thw"].tolist()):
            parts[k] += "<|image_pad|>" * (h * w // 4)
        ids = self.tokenizer("".join(parts), return_tensors="pt", add_special_tokens=False)[
            "input_ids"
        ]
        return {
            "input_ids": ids,
            "attention_mask": self.torch.ones_like(ids),
            **seen,
            "mm_token_type_ids": (ids == self.model.config.image_token_id).long(),
        }

    def answer(self, row, base, longest=128):
        """The greedy answer to a row: text, its ids without the end token, prompt_ids, grids (t, h, w
        of every image, in patches) and the logits of the first token [vocabulary]."""
        inputs = self.inputs(row, base)
        with self.torch.no_grad():
            out = self.model.generate(
                **inputs,
                max_new_tokens=longest,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        prompt = inputs["input_ids"][0].tolist()
        ids = out.sequences[0, len(prompt) :].tolist()
        if ids and ids[-1] in self.model.generation_config.eos_token_id:
            ids.pop()
        return {
            "text": self.tokenizer.decode(ids, skip_special_tokens=True),
            "ids": ids,
            "prompt_ids": prompt,
            "grids": inputs["image_grid_thw"].tolist(),
            "logits": out.logits[0][0],
        }


def predict(folder, questions_path, limit):
    """Rows of the questions with a prediction of transformers."""
    reference, base = Reference(folder), os.path.dirname(questions_path)
    return [
        {**row, "prediction": reference.answer(row, base)["text"]}
        for row in read(questions_path)[:limit]
    ]


def read(path):
    """The objects of a file of JSON lines."""
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--predictions", help="JSON lines with answer, prediction (or model_answer) and category"
    )
    p.add_argument("--questions", help="questions.jsonl of render.py")
    p.add_argument("--model", help="a Hugging Face directory")
    p.add_argument("--limit", type=int, help="the first questions only")
    p.add_argument("--write", help="where to write the predictions")
    args = p.parse_args()
    rows = (
        read(args.predictions)
        if args.predictions
        else predict(args.model, args.questions, args.limit)
    )
    if args.write:
        with open(args.write, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    print(report(rows))


if __name__ == "__main__":
    main()
