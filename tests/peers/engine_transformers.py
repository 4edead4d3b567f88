"""engine_transformers.py - answers a job of speed.py with transformers and torch.

    python engine_transformers.py JOB.json

Attention is SDPA. A job names the steps; see speed.py."""
import json
import sys
import time
import warnings

import checkpoint
import torch
import transformers
from PIL import Image

warnings.simplefilter("ignore", FutureWarning)
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
SLOW_MS = 240e3  # a step that a shorter one says would take longer is not run


class Engine:
    def __init__(self, job):
        torch.set_num_threads(job["threads"])
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
        self.processor = transformers.AutoImageProcessor.from_pretrained(job["model"])
        self.model = transformers.Qwen3VLForConditionalGeneration.from_pretrained(
            job["model"], dtype=TYPES[job["kind"]], attn_implementation="sdpa").eval()
        self.pad = self.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.encode_ms = 0.0
        visual = self.model.model.visual
        visual.register_forward_pre_hook(self.before, with_kwargs=True)
        visual.register_forward_hook(self.after)

    def before(self, *_):
        self.start = time.perf_counter()

    def after(self, *_):
        self.encode_ms += 1e3 * (time.perf_counter() - self.start)

    def inputs(self, prompt):
        """Tokens and preprocessed images of a prompt; not part of any time."""
        text, more = prompt["text"], {}
        if prompt["images"]:
            more = dict(self.processor([Image.open(f).convert("RGB") for f in prompt["images"]],
                                       return_tensors="pt"))
            text = checkpoint.expanded(text, more["image_grid_thw"])
        ids = self.tokenizer(text, return_tensors="pt").input_ids
        return dict(more, input_ids=ids, attention_mask=torch.ones_like(ids),
                    mm_token_type_ids=(ids == self.pad).int())

    def answer(self, prompt):
        """{tokens, encode, prefill} of a prompt from its first token to its first logits, in ms."""
        inputs = self.inputs(prompt)
        self.encode_ms, start = 0.0, time.perf_counter()
        self.said = self.model(**inputs, use_cache=True, logits_to_keep=1)
        whole = 1e3 * (time.perf_counter() - start)
        return {"tokens": inputs["input_ids"].shape[1], "encode": self.encode_ms,
                "prefill": whole - self.encode_ms}

    def decode(self, steps):
        """Milliseconds of so many tokens, each the likeliest after the one before."""
        start = time.perf_counter()
        for _ in range(steps):
            token = self.said.logits[:, -1].argmax(-1, keepdim=True)
            self.said = self.model(input_ids=token, past_key_values=self.said.past_key_values,
                                   use_cache=True, logits_to_keep=1)
        self.said.logits.argmax()
        return 1e3 * (time.perf_counter() - start)

    def encode(self, prompt):
        inputs = self.inputs(prompt)
        self.encode_ms = 0.0
        self.model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        return self.encode_ms


def slow(ms, tokens, of):
    """Whether a step of so many tokens would be too slow, by what a smaller one took."""
    return ms / tokens * of > SLOW_MS


def run(job):
    engine, prompts, said = Engine(job), job["prompts"], {}
    for name in ("text", "image") if "agree" in job["steps"] else ():
        said[name] = engine.answer(prompts[name])
        logits = engine.said.logits[0, -1].float().numpy()
        logits.tofile(f"{job['out']}.{name}.f32")
        said[name]["first"] = engine.tokenizer.decode([int(logits.argmax())])
    if not set(job["steps"]) - {"agree"}:
        return said
    engine.answer(prompts["warm"])
    trial = engine.answer(prompts["text"])
    if slow(trial["prefill"], trial["tokens"], prompts["long"]["tokens"]):
        said["slow"] = trial  # such a step is not run; its rate here is that of a short one
        if "prefill" in job["steps"]:
            said["decode"] = {"tokens": 4, "decode": engine.decode(4)}
        return said
    if "prefill" in job["steps"]:
        said["prefill"] = engine.answer(prompts["long"])
        said["decode"] = {"tokens": job["decode"], "decode": engine.decode(job["decode"])}
    if "encode" in job["steps"]:
        said["encode"] = {"encode": engine.encode(prompts["square"])}
    if "pages" in job["steps"]:
        said["pages"] = engine.answer(prompts["pages_again"])
    return said


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file, torch.inference_mode():
        print(json.dumps(run(json.load(file))))
