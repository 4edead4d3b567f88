"""speed.py - how fast are vlqa, llama.cpp, transformers and OpenVINO with the same weights here?

    python3 tests/peers/speed.py --work DIR                  # 2B: 30 GB of disk, 10 GB of memory
    python3 tests/peers/speed.py --work DIR --shape small    # a rehearsal of some minutes

Everything that is needed comes from PyPI and is set up in DIR once: llama.cpp, from the source
distribution of llama-cpp-python, is built for this machine; transformers gets a venv, or is that of
--python; OpenVINO GenAI gets one over it. A model with random weights is written as a Hugging Face
directory, as GGUF files and as OpenVINO's. A variant that vlqa does not know yet is left out.
Then each variant (a program and a number format) says its logits of the first token for a text
and for an image, which are compared with those of transformers in f32; and the variants are timed
in turns, as many rounds as asked for. The results go to DIR/SHAPE.json and DIR/SHAPE.md."""
import argparse
import array
import json
import math
import os
import pathlib
import shlex
import subprocess
import sys
import time

import install
import report

ROOT = install.HERE.parents[1]
VARIANTS = [  # format, engine, kind: what a variant is in the words of its engine
    ("bf16", "vlqa", "bf16"), ("bf16", "llama.cpp", "BF16"), ("bf16", "llama.cpp", "F16"),
    ("bf16", "transformers", "f32"), ("bf16", "transformers", "bf16"),
    ("bf16", "openvino", "fp16"),
    ("int8", "vlqa", "int8"), ("int8", "llama.cpp", "Q8_0"), ("int8", "openvino", "int8"),
    ("int4", "vlqa", "int4"), ("int4", "llama.cpp", "Q4_K_M"), ("int4", "openvino", "int4")]
REFERENCE = ("bf16", "transformers", "f32")
SIZES = {"small": (256, 128, 16)}  # side of a page in pixels, tokens of prefill and of decoding
SCRIPTS = {"vlqa": ["engine_vlqa.py"], "llama.cpp": ["engine_llama.py", "run"],
           "transformers": ["engine_transformers.py"], "openvino": ["engine_openvino.py", "run"]}
FLASH = {"auto": -1, "off": 0, "on": 1}


def busy():
    """Seconds that the processors have worked since the machine started, all together."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, soft = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, args):
        self.args, self.work = args, pathlib.Path(args.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.side, self.long, self.decode = SIZES.get(args.shape, (1024, 1024, 64))
        self.json = self.work / f"{args.shape}.json"

    def set_up(self):
        args, work = self.args, self.work
        self.python = install.python(work, args.python)
        self.model = install.checkpoint(work, self.python, args.shape, args.seed)
        self.variants = [v for v in VARIANTS if self.wanted(v)]
        self.files, self.pythons = {}, {}
        if any(v[1] == "llama.cpp" for v in self.variants):
            self.source, self.libs = install.llama(work)
            for _, engine, kind in self.variants:
                if engine == "llama.cpp":
                    tower = "mmproj-F16" if kind == "F16" else "mmproj-BF16"
                    self.files[kind] = [str(install.gguf(work, self.python, self.source, self.libs,
                                                         self.model, k)) for k in (kind, tower)]
        if any(v[1] == "openvino" for v in self.variants):
            self.pythons["openvino"] = install.openvino_python(work, self.python,
                                                               args.openvino_python)
            for _, engine, kind in self.variants:
                if engine == "openvino":
                    self.files[engine, kind] = install.openvino_model(
                        work, self.pythons[engine], self.model, kind)
        self.folder = work / f"{args.shape}-{self.side}-{self.long}-{args.pages}-{args.flash}"
        if not (self.folder / "prompts.json").exists():
            self.folder.mkdir(exist_ok=True)
            install.logged([self.python, install.HERE / "prompts.py", self.model, self.folder,
                            self.side, self.long, args.pages], work / "models.log")
        self.prompts = json.loads((self.folder / "prompts.json").read_text())

    def wanted(self, variant):
        kind, engine = variant[0], variant[1]
        if kind not in self.args.formats or engine not in self.args.engines:
            return False
        if self.args.only and report.name_of(variant) not in self.args.only:
            return False
        if engine == "vlqa" and kind != "bf16":
            trial = subprocess.run([self.args.vlqa, "ask", "-m", self.model, "-p", "Which?", "-n",
                                    "1", "--no-cache", "--weights", kind], check=False,
                                   capture_output=True, text=True)
            if trial.returncode:
                said = trial.stderr.splitlines()[0]
                install.say(f"{report.name_of(variant)} is left out, because vlqa says: {said}")
                return False
        return True

    def steps(self, variant):
        """The tower is the same in every format: it is timed once, unless --all says otherwise.
        Where pages are timed, they say how long one takes to encode."""
        whole = self.args.all or variant[0] == "bf16"
        paged = "pages" in self.args.steps
        return [s for s in self.args.steps
                if s == "prefill" or (whole and not (s == "encode" and paged))]

    def job(self, variant, steps):
        kind, engine, form = variant
        tokens = max(p["tokens"] for p in self.prompts.values()) + self.decode
        job = {"steps": steps, "threads": self.args.threads, "prompts": self.prompts, "kind": form,
               "decode": self.decode, "model": str(self.model), "work": str(self.work),
               "out": f"{self.folder}/{report.name_of(variant)}"}
        if engine == "vlqa":
            weights = [] if kind == "bf16" else ["--weights", kind]
            job.update(vlqa=self.args.vlqa, options=weights)
        if engine == "llama.cpp":
            job.update(source=str(self.source), libs=str(self.libs), model=self.files[form][0],
                       mmproj=self.files[form][1], flash=FLASH[self.args.flash],
                       context=(tokens + 511) // 256 * 256)
        if engine == "openvino":
            job.update(model=str(self.files[engine, form]))
        return job

    def run(self, variant, steps):
        """What an engine says to a job, with its peak of resident memory; None if it failed."""
        engine = variant[1]
        file = self.work / "job.json"
        file.write_text(json.dumps(self.job(variant, steps)))
        script, *verb = SCRIPTS[engine]
        command = [self.pythons.get(engine, self.python), str(install.HERE / script), *verb,
                   str(file)]
        threads, start, before = str(self.args.threads), time.perf_counter(), busy()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                 env=dict(os.environ, OMP_NUM_THREADS=threads))
        out = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        if status:
            install.say(f"{report.name_of(variant)} failed with status {status}")
            return None
        said = json.loads(out.splitlines()[-1])
        said.setdefault("peak_bytes", usage.ru_maxrss * 1024)
        others = busy() - before - usage.ru_utime - usage.ru_stime
        if "pages" in said:
            encoded = said.get("pages_cold", said["pages"])["encode"]
            said.setdefault("encode", {"encode": encoded / self.args.pages})
        said["others"] = max(0.0, others / (time.perf_counter() - start) / os.cpu_count())
        return said

    def agreement(self):
        """[{variant, prompt, tokens, ...}]: every variant's first token against the reference's. A
        variant that fails is left out from here on."""
        reference, found = self.first_tokens(REFERENCE), []
        for variant in list(self.variants):
            said = reference if variant == REFERENCE else self.first_tokens(variant)
            if not said:
                self.variants.remove(variant)
                continue
            for prompt in ("text", "image") if variant != REFERENCE else ():
                row = {"variant": variant, "prompt": prompt, "tokens": said[prompt]["tokens"],
                       "counted": said[prompt]["tokens"] == reference[prompt]["tokens"]}
                if variant[1] == "openvino":  # it has no logits
                    row["same"] = said[prompt]["first"] == reference[prompt]["first"]
                else:
                    row.update(compare(self.logits(variant, prompt),
                                       self.logits(REFERENCE, prompt)))
                found.append(row)
        return found

    def first_tokens(self, variant):
        """What a variant says to the step agree. What a peer said once is kept in the work
        directory; vlqa is asked every time."""
        kept = pathlib.Path(f"{self.job(variant, [])['out']}.json")
        if variant[1] != "vlqa" and kept.exists():
            return json.loads(kept.read_text())
        said = self.run(variant, ["agree"])
        if said:
            kept.write_text(json.dumps(said))
        return said

    def write(self, result):
        self.json.write_text(json.dumps(result, indent=1) + "\n")
        self.json.with_suffix(".md").write_text(report.page(result))

    def logits(self, variant, prompt):
        file = pathlib.Path(f"{self.job(variant, [])['out']}.{prompt}.f32")
        values = array.array("f")
        values.frombytes(file.read_bytes())
        return values


def good(row):
    """At 16 bits the logits have to agree, or where there are none the first token."""
    exact = row["variant"][0] == "bf16"
    return row["counted"] and (not exact or row.get("cosine", float(row["same"])) >= 0.999)


def compare(mine, theirs):
    dot = sum(a * b for a, b in zip(mine, theirs))
    norm = math.sqrt(sum(a * a for a in mine) * sum(b * b for b in theirs))
    return {"cosine": dot / norm, "difference": max(abs(a - b) for a, b in zip(mine, theirs)),
            "same": mine.index(max(mine)) == theirs.index(max(theirs))}


def machine(vlqa, python):
    """What the numbers depend on: versions, commit, processor."""
    bench = subprocess.run(
        [vlqa, "bench", "--shape", "default", "--image", "0x0", "--prompt-tokens", "16",
         "--decode", "2", "--json"], check=True, capture_output=True, text=True).stdout
    versions = subprocess.run(
        [python, "-c", "import torch, transformers as t; print(torch.__version__, t.__version__)"],
        check=True, capture_output=True, text=True).stdout.split()
    said = json.loads(bench)
    return {"vlqa": {key: said[key] for key in ("version", "commit", "build", "cpu", "machine")},
            "llama.cpp": f"in {install.LLAMA}", "torch": versions[0], "transformers": versions[1],
            "openvino": install.OPENVINO[1].replace("==", " "), "cores": os.cpu_count(),
            "command": shlex.join(["python3", *sys.argv])}


def options():
    args = argparse.ArgumentParser(description=__doc__, add_help=True,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")  # noqa: E731
    args.add_argument("--work", required=True, help="where everything is set up and written")
    args.add_argument("--shape", choices=["small", "2b", "4b"], default="2b")
    args.add_argument("--python", help="one with torch and transformers [a new venv in --work]")
    args.add_argument("--openvino-python",
                      help="one with OpenVINO GenAI and optimum-intel [a new venv]")
    args.add_argument("--vlqa", default=str(ROOT / "build/vlqa"))
    args.add_argument("--rounds", type=int, default=3, help="0 only compares logits [%(default)s]")
    args.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    args.add_argument("--formats", type=words, default="bf16,int8,int4", help="[%(default)s]")
    args.add_argument("--engines", type=words, default="vlqa,llama.cpp,transformers,openvino",
                      help="[%(default)s]")
    args.add_argument("--only", type=words, help="variants such as 'vlqa int8,llama.cpp Q8_0'")
    args.add_argument("--steps", type=words, default="encode,prefill,pages",
                      help="prefill is with decoding [%(default)s]")
    args.add_argument("--all", action="store_true",
                      help="time the tower and pages at eight and four bits, too")
    args.add_argument("--pages", type=int, default=2, help="images of the step pages [%(default)s]")
    args.add_argument("--flash", choices=FLASH, default="auto",
                      help="flash attention of llama.cpp [%(default)s]")
    args.add_argument("--seed", type=int, default=1, help="of the weights [%(default)s]")
    args.add_argument("--setup", action="store_true", help="set up and stop")
    args.add_argument("--no-agree", action="store_true", help="do not compare logits")
    return args.parse_args()


def main():
    args = options()
    bench = Bench(args)
    bench.set_up()
    if args.setup:
        return 0
    wanted = len(bench.variants)
    result = {"shape": args.shape, "threads": args.threads, "flash": args.flash,
              "side": bench.side, "pages": args.pages, "machine": machine(args.vlqa, bench.python),
              "rounds": [], "agreement": [] if args.no_agree else bench.agreement()}
    result["variants"] = bench.variants
    for number in range(args.rounds):
        result["rounds"].append([])
        for variant in bench.variants:
            said = bench.run(variant, bench.steps(variant))
            if said:
                result["rounds"][number].append({"variant": variant, **said})
            install.say(f"round {number + 1}: {report.name_of(variant)}: {report.brief(said)}")
            bench.write(result)
    bench.write(result)
    print(report.page(result))
    complete = len(bench.variants) == wanted
    return 0 if complete and all(map(good, result["agreement"])) else 1


if __name__ == "__main__":
    sys.exit(main())
