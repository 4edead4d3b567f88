"""Trains the default model from nothing: python train.py --out DIR --minutes 24

The schedule is in minutes of wall time. --stop-after and SIGTERM end a call early with a checkpoint,
from which --resume goes on; when all minutes are over, DIR holds the model in the Hugging Face layout.
"""

import argparse
import collections
import json
import os
import signal
import time

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

import atlas
import export
import fonts
import stages as stages_
import tokens as tokens_
from attend import has_bf16
from evaluate import count, table
from feed import DEPTH, Feeder
from library import store
from losses import loss, right, to_device
from model import SIZES, DecoderLayer, Model, TowerBlock
from optim import FALL, Optimizer, rate_at
from pack import CELLS, GLYPHS
from stages import PRESETS, Plan, stage_at, test_jobs

BEGIN = time.monotonic()


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--out", required=True, help="folder of the checkpoint, the log and the model")
    p.add_argument("--minutes", type=float, default=24, help="wall time of the whole schedule")
    p.add_argument(
        "--stop-after", type=float, help="minutes after which this call stops, with a checkpoint"
    )
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    p.add_argument("--init", help="begin with the weights of this exported model")
    p.add_argument(
        "--stages",
        help=f"a file of stages or one of {', '.join(PRESETS)} (default: as the size is called)",
    )
    p.add_argument(
        "--from-stage",
        help="begin with this stage; the minutes are those of the stages that are left",
    )
    p.add_argument("--size", choices=list(SIZES), default="base")
    p.add_argument(
        "--tiny", action="store_true", help="a small model on small pictures, to try everything"
    )
    p.add_argument("--workers", type=int, help="processes that render (default: cores - 1)")
    p.add_argument("--threads", type=int, help="threads of the trainer on a CPU")
    p.add_argument(
        "--rows", type=int, help="decoder rows in a batch, about (default: 49152, on a CPU 3072)"
    )
    p.add_argument("--rate", type=float, help="peak learning rate (default: 1.5e-3, on a CPU 4e-4)")
    p.add_argument(
        "--fall",
        type=float,
        default=FALL,
        help="share of the schedule in which the rate falls to 0",
    )
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--fonts", help="a folder with fonts beside the system's")
    p.add_argument("--library", help="folders of library.draw, for stages with its charts")
    p.add_argument("--atlas", help="a file of atlas.py, of which lines of text are composed")
    p.add_argument(
        "--tokenizer", help="a folder with a tokenizer.json to take instead of learning one"
    )
    p.add_argument(
        "--compile", action="store_true", help="compile blocks and layers (pays on a GPU)"
    )
    p.add_argument(
        "--precision",
        choices=("auto", "f32", "bf16"),
        default="auto",
        help="of products (default: bf16 on a GPU and on a CPU with instructions for it)",
    )
    p.add_argument("--cpu", action="store_true", help="no GPU even where there is one")
    p.add_argument("--save-every", type=float, default=4, help="minutes between checkpoints")
    p.add_argument("--test-every", type=float, default=4, help="minutes between evaluations")
    args = p.parse_args()
    if args.tiny:
        args.size = "tiny"
    return args


class Log:
    """Lines of JSON in a file, and short ones on standard output."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")

    def write(self, **values):
        self.file.write(json.dumps(values) + "\n")
        self.file.flush()

    def say(self, text):
        print(text, flush=True)


class Trainer:
    """Model, optimizer, batches and clock of a run."""

    def __init__(self, args):
        self.args = args
        os.makedirs(args.out, exist_ok=True)
        fonts.add_folder(args.fonts)
        if args.library:
            store.open_folders(args.library)  # before the workers fork
        if args.tokenizer and not os.path.exists(f"{args.out}/tokenizer.json"):
            with open(f"{args.tokenizer}/tokenizer.json", encoding="utf-8") as f, open(
                f"{args.out}/tokenizer.json", "w", encoding="utf-8"
            ) as g:
                g.write(f.read())
        self.tokens = tokens_.load(args.out)
        self.stages, tests, self.missing = stages_.load(args.stages or args.size)
        saved = f"{args.out}/checkpoint.pt"
        state = torch.load(saved, map_location="cpu", weights_only=True) if args.resume else None
        cuda = torch.cuda.is_available() and not args.cpu  # asks the driver, starts nothing
        workers = (os.cpu_count() or 2) - 1 if args.workers is None else args.workers
        self.rows = args.rows or (49152 if cuda else 1024 if args.tiny else 3072)
        self.rate = args.rate or (1.5e-3 if cuda or args.tiny else 4e-4)  # as the root of the rows
        self.plan = Plan(
            self.stages, args.seed, self.rows, state["index"] if state else 0, bool(args.atlas)
        )
        self.done_before = state["seconds"] if state else 0.0
        names = [s.name for s in self.stages]
        args.from_stage = args.from_stage or names[0]
        if args.from_stage not in names:
            raise SystemExit(
                f"--from-stage is {args.from_stage}, expected one of {', '.join(names)}"
            )
        first = names.index(args.from_stage)
        self.skipped = sum(s.share for s in self.stages[:first])
        self.plan.stage = stage_at(self.stages, self.done())
        self.plan.tests = (
            test_jobs(0.1, 640) if args.tiny else test_jobs(1.0 if cuda else 0.15, 1280, tests)
        )
        n_tests = len(self.plan.tests)
        self.feeder = Feeder(self.tokens, self.plan, workers)  # forks: before any thread of torch
        self.feeder.begin()
        self.device = torch.device("cuda" if cuda else "cpu")
        if args.threads:
            torch.set_num_threads(args.threads)
        if cuda:
            self.pinned = self.feeder.pin(torch)
            torch.backends.cuda.matmul.allow_tf32 = True
        torch.manual_seed(args.seed)
        self.model = Model(SIZES[args.size], GLYPHS, CELLS).to(self.device)
        wanted = args.precision
        self.half = wanted == "bf16" or (wanted == "auto" and has_bf16(self.device))
        self.optimizer = Optimizer(self.model, self.half)
        self.steps = self.images = self.begun = 0
        self.atlas = None
        if args.atlas:
            self.atlas = atlas.load(args.atlas, self.device, args.seed + self.plan.index)
        if args.init and not state:
            export.read_weights(args.init, self.model, f"{args.out}/tokenizer.json")
        if state:
            self.model.load_state_dict(state["model"])
            self.steps, self.images = state["steps"], state["images"]
            if state["optimizer"]:
                self.optimizer.load_state_dict(state["optimizer"])
            else:  # carry.py left it out: the rate rises once more
                self.begun = self.steps
        if args.compile:
            torch._dynamo.config.suppress_errors = True  # what does not compile runs as it is
            for block in (TowerBlock, DecoderLayer):  # once for all blocks and sizes of pictures
                block.forward = torch.compile(block.forward, dynamic=True)
        self.ended = False  # by SIGTERM, which leaves a checkpoint
        self.log = Log(f"{args.out}/log.jsonl")
        self.sums = collections.defaultdict(list)
        self.skills = []  # (what the questions are called, [2, questions]) since the last report
        self.tests = [self._keep() for _ in range(n_tests)]
        self.released = collections.deque()  # (event behind the copy, release) of slots in use
        self.held = min(4, DEPTH * workers - 1)  # so many of them at most

    def precision(self):
        """bf16 products on a GPU and on a CPU that has them, or what --precision says."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def seconds(self):
        """Seconds of the schedule that are over, those of earlier calls included."""
        return self.done_before + time.monotonic() - BEGIN

    def name(self):
        """What it is trained on."""
        return (
            torch.cuda.get_device_name()
            if self.device.type == "cuda"
            else f"a CPU with {torch.get_num_threads()} threads"
        )

    def done(self):
        """The share of the schedule that is over."""
        return self.skipped + (1 - self.skipped) * self.seconds() / (60 * self.args.minutes)

    # ---- batches ----

    def _keep(self):
        """A test batch, copied out of its slot."""
        job, arrays, named, release = self.feeder.next()
        assert job.split == "test"
        arrays = {k: torch.from_numpy(v.copy()) for k, v in arrays.items()}
        release()
        return job, arrays, named

    def _next(self):
        """The next batch. A slot is given back when the copy out of it has ended."""
        while self.released and (self.released[0][0].query() or len(self.released) > self.held):
            event, release = self.released.popleft()
            event.synchronize()
            release()
        job = self.plan.composed(self.steps)
        if job:
            return job, self.atlas.compose(job.count, job.width, job.height)[0], None
        waited = time.monotonic()
        job, arrays, named, release = self.feeder.next()
        self.sums["wait"].append(time.monotonic() - waited)
        if self.device.type == "cuda":
            batch = to_device(arrays, self.device)
            event = torch.cuda.Event()
            event.record()
            self.released.append((event, release))
        else:
            batch = to_device({k: v.copy() for k, v in arrays.items()}, self.device)
            release()
        if named is not None:
            batch["questions"] = len(named)
        return job, batch, named

    def step(self):
        """One batch, forward and backward."""
        done = self.done()
        self.plan.stage = stage_at(self.stages, done)
        job, batch, named = self._next()
        with self.precision():
            total, parts = loss(self.model, self.stages[job.stage], job, batch)
        self._note(job, named, parts)
        if total is None:
            return
        total.backward()
        self.optimizer.step(
            rate_at(done, self.rate, fall=self.args.fall)
            * min(1.0, (self.steps - self.begun + 1) / 50)
        )
        self.steps += 1
        self.images += len(batch["images"]) if "images" in batch else 0

    # ---- looking at it ----

    def _note(self, job, named, parts):
        """Keeps the parts of a loss for the next report."""
        maker = job.maker + (" ideal" if job.ideal else "" if job.decode else " tower")
        questions = parts.pop("questions", None)
        if questions is not None:
            pictures = job.maker != "recall" and not job.ideal
            self.skills.append((named if pictures else [], maker, questions))
        for name, value in parts.items():
            self.sums[name].append(value)
            if name in ("glyph", "glyphs_right"):
                self.sums[f"{name} {maker}"].append(value)

    def _by_skill(self):
        """{"skills", "makers"}: {name: [mean loss, share of exact answers, questions]}. Skills are
        categories of questions over pictures."""
        found = {"skills": {}, "makers": {}}
        for named, maker, questions in self.skills:
            for k, (cost, exact) in enumerate(questions.T.tolist()):
                keys = [("makers", maker)] + ([("skills", named[k])] if named else [])
                for kind, key in keys:
                    total = found[kind].setdefault(key, [0.0, 0.0, 0])
                    for i, value in enumerate((cost, exact, 1)):
                        total[i] += value
        self.skills.clear()
        mean = lambda a, b, n: [round(a / n, 4), round(b / n, 4), n]
        return {kind: {k: mean(*v) for k, v in sorted(d.items())} for kind, d in found.items()}

    def test(self):
        """Questions of the held-out split: {category: (right, all)}, {maker and size: (right, all)}."""
        found, makers = [], []
        for job, arrays, named in self.tests:
            with self.precision(), torch.set_grad_enabled(self.args.compile):
                hits = right(self.model, job, to_device(arrays, self.device), len(named))
            found += zip(named, hits)
            makers += [(f"{job.maker} {job.width}x{job.height}", hit) for hit in hits]
        return count(found), count(makers)

    def report(self):
        """A line of progress."""
        means = {
            k: float(torch.stack(v).mean()) if isinstance(v[0], torch.Tensor) else sum(v) / len(v)
            for k, v in self.sums.items()
            if v
        }
        self.sums.clear()
        seconds = self.seconds()
        means.update(
            minute=seconds / 60,
            step=self.steps,
            images=self.images,
            stage=self.stages[self.plan.stage].name,
        )
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in means.items()}
        self.log.write(**rounded, **self._by_skill())
        self.log.say(
            "  ".join(
                f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}"
                for k, v in means.items()
                if " " not in k
            )
        )

    def report_test(self):
        found, makers = self.test()
        minute = round(self.seconds() / 60, 2)
        self.log.write(minute=minute, step=self.steps, test=found, test_makers=makers)
        self.log.say(table(found))
        return found

    def save(self):
        """The checkpoint: everything that --resume needs. It replaces the last one when it is whole."""
        path = f"{self.args.out}/checkpoint.pt"
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "steps": self.steps,
                "images": self.images,
                "index": self.plan.index,
                "seconds": self.seconds(),
                "size": self.args.size,
            },
            path + ".part",
        )
        os.replace(path + ".part", path)

    def run(self):
        """Trains until the schedule or this call is over: (whether the schedule is, the last test)."""
        args = self.args
        stop = 60 * args.stop_after if args.stop_after else float("inf")
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "ended", True))
        saved = tested = said = time.monotonic()
        while self.done() < 1 and time.monotonic() - BEGIN < stop and not self.ended:
            self.step()
            now = time.monotonic()
            if now - said > 15 or self.steps in (1, 10):
                self.report()
                said = now
            if now - tested > 60 * args.test_every:
                self.report_test()
                tested = time.monotonic()
            if now - saved > 60 * args.save_every:
                self.save()
                saved = now
        finished = self.done() >= 1
        self.save()
        return finished, {} if self.ended else self.report_test()


def main():
    args = arguments()
    trainer = Trainer(args)
    size = SIZES[args.size]
    trainer.log.say(
        f"{sum(p.numel() for p in trainer.model.parameters()) / 1e6:.1f} M parameters with the glyph head, "
        f"{trainer.device}, {len(trainer.feeder.workers)} workers; fonts not found: {fonts.missing() or 'none'}"
    )
    if trainer.missing:
        trainer.log.say(f"no charts in --library for {', '.join(trainer.missing)}")
    finished, found = trainer.run()
    trainer.feeder.close()
    if finished:
        total = export.write(args.out, trainer.model, size, trainer.tokens)
        summary = f"{trainer.images:,} pictures in {trainer.steps:,} steps, {trainer.seconds() / 60:.0f} minutes on {trainer.name()}."
        export.write_card(args.out, size, total, summary, found)
        trainer.log.say(f"exported to {args.out}")


if __name__ == "__main__":
    main()
