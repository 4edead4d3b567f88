"""Writes to parity.safetensors how released InfoFlow KV code would rank rows by the attention tensors in it.

    build/tests/test_fusion_parity --write tests/golden/parity.safetensors
    python3 tests/golden/make_parity_golden.py [--check]

The tensors are what `vlqa` had in its keys and queries (after rotation) when it scored; the scores and
choices are this file's own reading of what the published code does with them. Needs numpy.

vlm.q.L [1, heads * dim]: one more copy of the prompt's last row; vlm.k.L [T + 1, kv_heads * dim], its
own key last. llm.q.L [question, heads * dim]; llm.k.L [up to the question's end, kv_heads * dim];
llm.counts: rows of the prefix, of the context, of the first chunk.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "parity.safetensors"
DIM = 64
RATIO = 0.15


def read(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors


def write(path, tensors):
    header, parts, at = {}, [], 0
    for name, value in tensors.items():
        value = np.ascontiguousarray(value, "<f4")
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        parts.append(value.tobytes())
        at += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def attention(q, k):
    """Softmax weights [heads, rows, keys]; every row sees every key."""
    heads, groups = q.shape[1] // DIM, k.shape[1] // DIM
    q = q.astype(np.float64).reshape(len(q), heads, DIM)
    k = k.astype(np.float64).reshape(len(k), groups, DIM)
    k = np.repeat(k, heads // groups, axis=1)
    logits = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(DIM)
    logits -= logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


def layers_of(tensors, prefix):
    return sorted(int(name.rsplit(".", 1)[1]) for name in tensors if name.startswith(prefix + ".q."))


def top(score, candidates, budget):
    order = np.argsort(-np.where(candidates, score, -np.inf), kind="stable")
    chosen = np.zeros(len(score), np.float32)
    chosen[order[: max(1, budget)]] = 1
    return chosen


def vlm(tensors):
    """One row; the L2 norm over heads, the mean over layers; any of the T rows."""
    score = 0
    layers = layers_of(tensors, "vlm")
    for layer in layers:
        weights = attention(tensors[f"vlm.q.{layer}"], tensors[f"vlm.k.{layer}"])[:, 0, :-1]
        score = score + np.sqrt((weights**2).sum(axis=0)) / len(layers)
    return score, top(score, np.ones(len(score), bool), int(RATIO * len(score)))


def llm(tensors):
    """The mean over heads, the L2 norm over the question's rows, the mean over layers; rows of the
    context behind the first chunk, a share of all before the question."""
    score = 0
    layers = layers_of(tensors, "llm")
    prefix, context, first = (int(count) for count in tensors["llm.counts"].ravel())
    for layer in layers:
        weights = attention(tensors[f"llm.q.{layer}"], tensors[f"llm.k.{layer}"]).mean(axis=0)
        score = score + np.sqrt((weights**2).sum(axis=0)) / len(layers)
    score = score[: prefix + context]
    rows = np.arange(len(score))
    return score, top(score, rows >= prefix + first, int(RATIO * (prefix + context)))


def main():
    tensors = {name: value for name, value in read(FILE).items() if not name.endswith((".score", ".chosen"))}
    made = dict(tensors)
    for name, rank in (("vlm", vlm), ("llm", llm)):
        made[name + ".score"], made[name + ".chosen"] = rank(tensors)
    if "--check" not in sys.argv:
        write(FILE, made)
        return
    before = read(FILE)
    assert before.keys() == made.keys()
    for name in ("vlm.score", "llm.score", "vlm.chosen", "llm.chosen"):
        assert np.allclose(before[name], made[name], atol=1e-6), name
    print("parity.safetensors is what this script makes")


main()
