"""Batches made ahead by worker processes in shared memory.

Each worker owns a few slots of anonymous shared memory and a pipe, so nothing here needs /dev/shm
or a lock. The trainer says what a batch is to be (a Job); a job's content depends on nothing else,
so a run is repeated by repeating its jobs. Batches come back in the order of their jobs.
"""

import collections
import ctypes
import dataclasses
import mmap
import multiprocessing as mp
import os
import sys
import traceback

import numpy as np

from axes import DoesNotFit
from pack import categories, pack, prompt_of
from sample import draw_sample

SLOT = 64 << 20  # bytes of a batch at most
DEPTH = 3  # slots of a worker


@dataclasses.dataclass
class Job:
    """A batch to make: `count` samples of a maker with seeds from `seed` on."""

    maker: str
    width: int
    height: int
    count: int
    seed: int
    questions: int = 8
    split: str = "train"
    kind: str = None
    stage: int = 0
    ideal: bool = False  # visual rows replaced by the tokens drawn in them
    decode: bool = True  # False: the tower alone
    easy: bool = False  # few questions ask for arithmetic
    named: bool = False  # the categories of the questions come along


def make_batch(job, tokens):
    """The arrays of a Job, and the categories of its questions (or None)."""
    samples = []
    for i in range(job.count):
        try:
            samples.append(
                draw_sample(
                    job.seed + i,
                    job.split,
                    job.maker,
                    job.width,
                    job.height,
                    job.questions,
                    job.kind,
                    job.easy,
                )
            )
        except DoesNotFit:
            continue
        except Exception:  # one bad seed in millions must not end a run; check.py lets it through
            print(
                f"feed: {job.maker} {job.width} x {job.height}, seed {job.seed + i}:",
                file=sys.stderr,
            )
            traceback.print_exc()
    prompts = [prompt_of(s, tokens) for s in samples]
    named = categories(samples, prompts) if job.named else None
    return pack(samples, tokens, prompts=prompts), named


def _work(pipe, slots, tokens):
    """A worker: jobs in, what the slot holds out. Ends when the pipe closes."""
    while True:
        try:
            slot, job = pipe.recv()
        except (EOFError, OSError):
            return
        arrays, named = make_batch(job, tokens)
        held, offset = [], 0
        for name, array in arrays.items():
            end = offset + array.nbytes
            if end > SLOT:
                raise MemoryError(f"a batch of {job} needs more than {SLOT} bytes")
            np.frombuffer(slots[slot], np.uint8, array.nbytes, offset)[:] = array.reshape(-1).view(
                np.uint8
            )
            held.append((name, array.dtype.str, array.shape, offset))
            offset = -(-end // 64) * 64
        try:
            pipe.send((slot, held, named))
        except OSError:
            return


class Feeder:
    """jobs: a callable that gives the next Job. With 0 workers, batches are made when asked for."""

    def __init__(self, tokens, jobs, workers, depth=DEPTH):
        self.tokens, self.jobs = tokens, jobs
        self.pending, self.workers = collections.deque(), []
        context = mp.get_context("fork")
        for _ in range(workers):
            slots = [mmap.mmap(-1, SLOT) for _ in range(depth)]
            here, there = context.Pipe()
            process = context.Process(target=self._child, args=(here, there, slots), daemon=True)
            process.start()
            there.close()
            self.workers.append((here, slots, process))

    def _child(self, here, there, slots):
        here.close()
        for other, _, _ in self.workers:
            other.close()
        os.nice(5)
        _work(there, slots, self.tokens)

    def begin(self):
        """Hands out the first jobs."""
        for slot in range(len(self.workers[0][1]) if self.workers else 0):
            for worker in range(len(self.workers)):
                self._hand_out(worker, slot)

    def _hand_out(self, worker, slot):
        job = self.jobs()
        self.pending.append((job, worker))
        self.workers[worker][0].send((slot, job))

    def pin(self, torch):
        """Registers the slots with CUDA, for copies that do not wait."""
        for _, slots, _ in self.workers:
            for slot in slots:
                address = ctypes.addressof(ctypes.c_char.from_buffer(slot))
                if int(torch.cuda.cudart().cudaHostRegister(address, SLOT, 0)) != 0:
                    return False
        return True

    def next(self):
        """(job, arrays, categories, release): the arrays are valid until release() is called."""
        if not self.workers:
            job = self.jobs()
            arrays, named = make_batch(job, self.tokens)
            return job, arrays, named, lambda: None
        job, worker = self.pending.popleft()
        pipe, slots, _ = self.workers[worker]
        slot, held, named = pipe.recv()
        arrays = {}
        for name, dtype, shape, offset in held:
            arrays[name] = np.frombuffer(slots[slot], dtype, int(np.prod(shape)), offset).reshape(
                shape
            )
        return job, arrays, named, lambda: self._hand_out(worker, slot)

    def close(self):
        """Ends the workers."""
        for pipe, _, process in self.workers:
            pipe.close()
            process.join(timeout=20)
