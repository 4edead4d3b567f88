"""How many answers are right, by category, with 95 % intervals.

    python evaluate.py --predictions FILE            lines with answer, prediction and category
    python evaluate.py --questions FILE --model DIR  answers them with transformers first

A prediction is exact when it is the answer but for case and blanks around it, relaxed when both are
numbers within 5 % of each other.
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
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


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
        lines.append(f"{key:16} {right:7} {n:6}   {100 * right / max(n, 1):5.1f}   {100 * low:5.1f} to {100 * high:.1f}")
    return "\n".join(lines)


def _number(text):
    text = re.sub(r"[ ,$€£]", "", text)
    match = re.fullmatch(r"(-?\d*\.?\d+)([^\d]*)", text)
    return (float(match[1]), match[2]) if match else None


def is_exact(answer, prediction):
    return answer.strip().lower() == prediction.strip().lower()


def is_relaxed(answer, prediction):
    a, p = _number(answer), _number(prediction)
    if a and p and a[0]:
        return abs(a[0] - p[0]) / abs(a[0]) <= 0.05
    return is_exact(answer, prediction)


def predict(folder, questions_path, limit):
    """Answers of transformers in fp32, greedy: rows of the questions with prediction."""
    import torch
    from PIL import Image
    from transformers import AutoProcessor, Qwen3VLForConditionalGeneration
    model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    base, found = os.path.dirname(questions_path), []
    for row in read(questions_path)[:limit]:
        names = row["image"] if isinstance(row["image"], list) else [row["image"]]
        content = [{"type": "image", "image": Image.open(os.path.join(base, n)).convert("RGB")} for n in names]
        content += [{"type": "text", "text": text} for text in row.get("texts", [])]
        content.append({"type": "text", "text": row["question"]})
        inputs = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=True,
                                               add_generation_prompt=True, return_dict=True, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=160, do_sample=False)
        text = processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
        found.append({**row, "prediction": text})
    return found


def read(path):
    """The objects of a file of JSON lines."""
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--predictions", help="JSON lines with answer, prediction (or model_answer) and category")
    p.add_argument("--questions", help="questions.jsonl of render.py")
    p.add_argument("--model", help="a Hugging Face directory")
    p.add_argument("--limit", type=int, help="the first questions only")
    p.add_argument("--write", help="where to write the predictions")
    args = p.parse_args()
    rows = read(args.predictions) if args.predictions else predict(args.model, args.questions, args.limit)
    if args.write:
        with open(args.write, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    said = lambda r: r.get("prediction", r.get("model_answer", ""))
    for name, test in (("exact", is_exact), ("relaxed", is_relaxed)):
        print(name)
        print(table(count((r.get("category", "none"), test(r["answer"], said(r))) for r in rows)))


if __name__ == "__main__":
    main()
