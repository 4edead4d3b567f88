"""Writes utf8.txt (Python's decoder) and sampler.json (transformers' logits processors).

    python make_text_golden.py

utf8.txt: a line a vector, ill-formed input and the output of bytes.decode("utf-8", "replace"), both
in hexadecimal; the last line is an FNV-1a over the outputs of all sequences of up to four bytes out
of EDGES, which tests/text/test_utf8.c forms in the same order.
sampler.json: settings, logits, ids seen, and which ids transformers (5.23) leaves with what
probability."""

import itertools
import json
import random

import torch
from transformers.generation import logits_process as lp

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
EDGES = bytes.fromhex("417F808F909FA0BFC0C1C2DFE0E1ECEDEEEFF0F1F3F4F5FF")


def decoded(data):
    return data.decode("utf-8", "replace").encode()


def utf8():
    rng = random.Random(7)
    vectors = ["", "41", "C3A9", "E282AC", "F09F9982", "80", "FF", "C0AF", "E080AF", "F08080AF",
               "EDA080", "EDBFBF", "F4908080", "F48FBFBF", "EFBFBD", "E2", "E282", "F0", "F09F",
               "F09F99", "41E24142", "E28241", "F09F9941", "F0808041", "C2C2A9", "E0A0C3A9",
               "61F1808080E18080C262806380BF64", "ED9FBF", "EE8080", "F0908080", "FEFF", "00"]
    vectors = [bytes.fromhex(v) for v in vectors]
    whole = ["a", "\u00e9", "\u4e2d", "\U0001F642", "\u0800", "\uffff", "\U00010000", "\U0010FFFF"]
    for _ in range(150):
        data = bytearray("".join(rng.choice(whole) for _ in range(rng.randint(1, 5))).encode())
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            data[at:at + rng.randint(0, 1)] = bytes([rng.choice(EDGES)])
        vectors.append(bytes(data))
    value = 0x811C9DC5
    for n in range(1, 5):
        for data in itertools.product(EDGES, repeat=n):
            for byte in decoded(bytes(data)) + b"\n":
                value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    with open(f"{HERE}/utf8.txt", "w") as out:
        for data in dict.fromkeys(vectors):
            out.write(f"{data.hex() or '-'} {decoded(data).hex() or '-'}\n")
        out.write(f"{value:08x}\n")


def case(rng, **setting):
    vocab = setting.pop("vocab", 24)
    logits = setting.pop("logits", None) or [rng.gauss(0, 3) for _ in range(vocab)]
    prompt, answer = setting.pop("prompt", []), setting.pop("answer", [])
    scores = torch.tensor([logits], dtype=torch.float32)
    logits = scores[0].tolist()
    if "repetition_penalty" in setting:
        scores = lp.RepetitionPenaltyLogitsProcessor(setting["repetition_penalty"])(
            torch.tensor([prompt + answer]), scores)
    for token in set(answer):  # not in transformers; as vLLM places it
        scores[0, token] -= setting.get("presence_penalty", 0)
    ids = torch.tensor([[0]])
    scores = lp.TemperatureLogitsWarper(setting["temperature"])(ids, scores)
    if setting.get("top_k", 0):
        scores = lp.TopKLogitsWarper(setting["top_k"])(ids, scores)
    if setting.get("top_p", 1.0) < 1.0:
        scores = lp.TopPLogitsWarper(setting["top_p"])(ids, scores)
    if setting.get("min_p", 0):
        scores = lp.MinPLogitsWarper(setting["min_p"])(ids, scores)
    probability = scores[0].double().softmax(-1).tolist()
    kept = [i for i, s in enumerate(scores[0].tolist()) if s != float("-inf")]
    return dict(setting, logits=logits, prompt=prompt, answer=answer, kept=kept,
                probability=[probability[i] for i in kept])


def sampler():
    rng = random.Random(11)
    tied = [float(v) for v in [3, 1, 2, 3, 3, 0, 2, 2, 1, 3]]
    some = dict(prompt=[1, 2, 3, 3, 7], answer=[7, 9, 9])
    cases = [case(rng, temperature=t) for t in (0.3, 1.0, 2.5)]
    cases += [case(rng, temperature=0.7, top_k=k) for k in (1, 2, 7, 23, 24, 99)]
    cases += [case(rng, temperature=1.0, top_p=p) for p in (0.0, 0.1, 0.5, 0.9, 0.99)]
    cases += [case(rng, temperature=1.3, min_p=p) for p in (0.01, 0.2, 1.0)]
    cases += [case(rng, temperature=t, top_k=k, top_p=p, min_p=m, repetition_penalty=r,
                   presence_penalty=q, **some)
              for t, k, p, m, r, q in [(0.7, 20, 0.8, 0, 1.0, 1.5), (0.6, 20, 0.95, 0, 1.3, 0),
                                       (1.5, 10, 0.7, 0.1, 0.8, -1), (2.0, 0, 0.9, 0.05, 1.1, 0.5),
                                       (1.0, 5, 0.4, 0, 2.0, 3.0)]]
    cases += [case(rng, temperature=1.0, logits=tied, top_k=k) for k in (1, 3, 5, 8)]
    cases += [case(rng, temperature=1.0, logits=tied, top_p=p) for p in (0.1, 0.3, 0.6, 0.85)]
    cases += [case(rng, temperature=1.0, logits=[0.0] * 8, top_p=p) for p in (0.3, 0.55)]
    cases += [case(rng, temperature=1.0, logits=tied, top_k=5, top_p=0.6)]
    cases += [case(rng, temperature=1.0, logits=[1.0, float("-inf"), 0.5, float("-inf")], top_k=2)]
    cases += [case(rng, temperature=1.0, vocab=300, top_p=0.8), case(rng, temperature=1.0,
                                                                     vocab=300, top_k=50)]
    for c in cases:  # JSON has no infinity
        c["logits"] = [max(v, -3.0e38) for v in c["logits"]]
    with open(f"{HERE}/sampler.json", "w") as out:
        out.write("[" + ",\n".join(json.dumps(c) for c in cases) + "]\n")


utf8()
sampler()
