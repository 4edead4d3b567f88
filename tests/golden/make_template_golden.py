"""Writes templates.json: what transformers makes of conversations by the templates of templates/.

    python make_template_golden.py [--check]

transformers and jinja2 are needed, torch is not. Each template is rendered with content as lists of
items and as strings (all texts of a message behind each other; only conversations without images):
the text, or null where transformers or the template refuses. `ids` (of lists) and `string_ids` are those
of tied64's tokenizer, with one <|image_pad|> an image."""

import json
import pathlib
import sys

import transformers
from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

here = pathlib.Path(__file__).parent
IMAGE = {"type": "image"}
NAMES = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def text(s):
    return {"type": "text", "text": s}


def user(*items):
    return {"role": "user", "content": [IMAGE if i is None else text(i) for i in items]}


def said(role, s):
    return {"role": role, "content": [text(s)]}


LONG = "First line.\n\nSecond paragraph, with \u00e9 and \u4e2d\u6587.  \n"
CONVERSATIONS = {
    "text": [user("What is 1 + 1?")],
    "image": [user(None, "What is the value of Sep?")],
    "three": [user(None, "first", None, " second ", None, "Compare.")],
    "system": [said("system", "Answer in one word."), user(None, "Colour?")],
    "documents": [user(LONG, "Another text", None, "  Which of them?\n")],
    "turns": [user(None, "Who?"), said("assistant", " A cat. "), user("Sure?")],
    "system_turns": [said("system", " Be brief. "), user("Hi"), said("assistant", "Hello"),
                     user("Bye"), said("assistant", "See you"), user("?")],
    "thoughts": [user(None, "Q1"), said("assistant", "<think>\nlong thoughts\n</think>\n\nA1"),
                 user("Q2")],
    "answered": [user("Q1"), said("assistant", "<think>t</think>A1")],
    "late_system": [user("Hi"), said("system", "late"), user("Hi")],
    "two_users": [user("Hi"), user("there")],
    "only_system": [said("system", "alone")],
    "quotes": [user("\"quoted\" 'text' \\n {{ braces }} {% tags %} <b>&amp;</b>\t")],
    "empty": [user("")],
}


def as_strings(messages):
    if any(i["type"] == "image" for m in messages for i in m["content"]):
        return None
    return [{"role": m["role"], "content": "".join(i["text"] for i in m["content"])}
            for m in messages]


def render(template, messages):
    if messages is None:
        return None
    try:
        return render_jinja_template([messages], chat_template=template, add_generation_prompt=True,
                                     **NAMES)[0][0]
    except Exception:  # whatever: it is refused
        return None


def cases():
    tokenizer = Tokenizer.from_file(str(here / "tied64/tokenizer.json"))
    for path in sorted((here / "templates").glob("*.jinja")):
        template = path.read_text()
        for name, messages in CONVERSATIONS.items():
            listed = render(template, messages)
            # A list that is printed as Python prints it is no prompt: this runtime refuses it.
            if listed and ("[{'type'" in listed or '[{"type"' in listed):
                listed = None
            string = render(template, as_strings(messages))
            ids, string_ids = (tokenizer.encode(t, add_special_tokens=False).ids if t else None
                               for t in (listed, string))
            yield {"template": path.stem, "conversation": name, "list": listed, "string": string,
                   "ids": ids, "string_ids": None if string == listed else string_ids}


made = {"transformers": transformers.__version__, "conversations": CONVERSATIONS, "names": NAMES,
        "cases": list(cases())}
out = here / "templates.json"
if "--check" in sys.argv:
    assert json.loads(out.read_text()) == made
    print("equal")
else:
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in made.pop("cases"))
    head = json.dumps(made, ensure_ascii=False)[:-1]
    out.write_text(head + ',\n"cases": [\n' + lines + "\n]}\n")
