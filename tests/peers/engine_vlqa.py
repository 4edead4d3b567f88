"""engine_vlqa.py - answers a job of speed.py with the program vlqa.

    python3 engine_vlqa.py JOB.json

A job names the steps; see speed.py. Times are those of vlqa --json: neither loading nor decoding
image files is in them."""
import json
import subprocess
import sys
import tempfile


class Engine:
    def __init__(self, job):
        self.job, self.peak = job, 0

    def call(self, *options):
        """The JSON lines of one call."""
        command = [self.job["vlqa"], "ask", "-m", self.job["model"], "-t", str(self.job["threads"]),
                   *self.job["options"], *options]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.peak = max(self.peak, *(line["peak_bytes"] for line in lines))
        return lines

    def ask(self, prompt, *options):
        """A question on an empty cache, with full prefill."""
        images = [part for file in prompt["images"] for part in ("--image", file)]
        return self.call("-p", prompt["question"], *images, "--no-cache", "--reuse", "off",
                         "--json", *options)[0]

    def pages(self, first, again):
        """A question about pages, then another about the same pages in another order, with the
        default reuse: the second finds what the first left in memory."""
        with tempfile.TemporaryDirectory(dir=self.job["work"]) as folder:
            with open(f"{folder}/questions.jsonl", "w", encoding="utf-8") as file:
                for prompt in first, again:
                    file.write(json.dumps({"question": prompt["question"], "max_tokens": 1,
                                           "images": prompt["images"]}) + "\n")
            return self.call("--jsonl", file.name, "--cache-dir", f"{folder}/cache")


def answered(line):
    return {"tokens": line["prompt_tokens"]["total"], "encode": line["ms"]["vision"],
            "prefill": line["ms"]["prefill"], "peak_bytes": line["peak_bytes"]}


def run(job):
    engine, prompts, said = Engine(job), job["prompts"], {}
    for name in ("text", "image") if "agree" in job["steps"] else ():
        said[name] = answered(engine.ask(prompts[name], "--max-tokens", "1", "--logits",
                                         f"{job['out']}.{name}.f32"))
    if "prefill" in job["steps"]:
        line = engine.ask(prompts["long"], "--max-tokens", str(job["decode"] + 1))
        said["prefill"] = answered(line)
        said["decode"] = {"tokens": line["tokens"] - 1, "decode": line["ms"]["decode"]}
    if "encode" in job["steps"]:
        said["encode"] = answered(engine.ask(prompts["square"], "--max-tokens", "1"))
    if "pages" in job["steps"]:
        cold, again = engine.pages(prompts["pages"], prompts["pages_again"])
        said["pages_cold"] = answered(cold)
        said["pages"] = dict(answered(again), variant=again["variant"], **again["prompt_tokens"],
                             cached={name: again[name] for name in ("chunks", "visual")},
                             ms=again["ms"])
    said["peak_bytes"] = engine.peak
    return said


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps(run(json.load(file))))
