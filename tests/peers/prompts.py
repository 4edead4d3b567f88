"""prompts.py - the prompts of speed.py, rendered by the checkpoint's chat template.

    python prompts.py MODEL_DIR OUT_DIR SIDE LONG_TOKENS PAGES"""
import json
import pathlib
import sys

import checkpoint
import transformers
from PIL import Image

QUESTION = "Which month has the largest value, and by how much?"
AGAIN = "What is the sum of the values in the last two months?"
WORDS = "value month year line table number page list word name".split()
SAMPLES = sorted((checkpoint.ROOT / "assets/samples").glob("*.png"))


def image(out, name, sample, side):
    """A chart, enlarged to a square that no engine has to resize."""
    file = out / f"{name}.png"
    Image.open(sample).convert("RGB").resize((side, side)).save(file)
    return str(file)


def main(model_dir, out, side, tokens, pages):
    out = pathlib.Path(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)

    def prompt(question, *images):
        text = checkpoint.rendered(tokenizer, model_dir, question, len(images))
        sizes = sum((Image.open(file).width // 32) ** 2 - 1 for file in images)
        return {"question": question, "images": list(images), "text": text,
                "tokens": len(tokenizer(text).input_ids) + sizes}

    def filled(total):
        """A question that makes a prompt of exactly so many tokens, each word being one."""
        count = 1 + total - prompt(WORDS[0])["tokens"]
        made = prompt(" ".join((WORDS * count)[:count]))
        assert made["tokens"] == total, f"{made['tokens']} tokens, expected {total}"
        return made

    page = [image(out, f"page{i}", SAMPLES[10 * i], int(side)) for i in range(int(pages))]
    half = image(out, "chart", SAMPLES[0], 512)
    made = {"text": prompt(QUESTION), "image": prompt(QUESTION, half),
            "warm": prompt("Which month?"), "long": filled(int(tokens)),
            "square": prompt(QUESTION, page[0]),
            "pages": prompt(QUESTION, *page), "pages_again": prompt(AGAIN, *page[1:], page[0])}
    checkpoint.write_json(out / "prompts.json", made)


if __name__ == "__main__":
    main(*sys.argv[1:])
