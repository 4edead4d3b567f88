"""What a run needs to go on elsewhere, in pieces: python carry.py split --out DIR --to PIECES

    split    the checkpoint in --out to --to: weights, tokenizer and counters, without the optimizer
    join     the pieces in --to back into --out, after their checksums were compared
    fonts    copies fonts of the training split to --to, those of usual charts first
    words    writes modules to --to that give words.py the names and words of Faker and wordfreq, which
             are 80 MB; the folder goes into PYTHONPATH where these are not installed

An optimizer is twice to three times as large as the weights and is back after some fifty steps, so it
stays behind. Weights are cut to bf16 where they would not fit into --most in fp32.
"""

import argparse
import glob
import hashlib
import io
import json
import os
import shutil
import sys

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

MIB = 1 << 20
SUMS = "SHA256SUMS"


def _packed(out, most):
    """The bytes of a checkpoint that is at most so large, if bf16 suffices."""
    import torch

    state = torch.load(os.path.join(out, "checkpoint.pt"), map_location="cpu", weights_only=True)
    with open(os.path.join(out, "tokenizer.json"), encoding="utf-8") as f:
        state.update(optimizer=None, tokenizer=f.read())
    if sum(v.numel() * 4 for v in state["model"].values()) + len(state["tokenizer"]) > most:
        state["model"] = {k: v.bfloat16() for k, v in state["model"].items()}
    held = io.BytesIO()
    torch.save(state, held)
    if held.tell() > most:
        raise SystemExit(f"carry: {held.tell():,} bytes in bf16, more than {most:,}")
    return held.getvalue()


def split(out, to, most, piece):
    """Writes pieces of at most `piece` bytes and their checksums."""
    data = _packed(out, most)
    os.makedirs(to, exist_ok=True)
    for old in glob.glob(os.path.join(to, "checkpoint.*")):
        os.remove(old)
    sums = []
    for k in range(-(-len(data) // piece)):
        part, name = data[k * piece : (k + 1) * piece], f"checkpoint.{k:02}"
        with open(os.path.join(to, name), "wb") as f:
            f.write(part)
        sums.append(f"{hashlib.sha256(part).hexdigest()}  {name}\n")
    with open(os.path.join(to, SUMS), "w", encoding="utf-8") as f:
        f.writelines(sums)
    print(f"carry: {len(data):,} bytes in {len(sums)} pieces in {to}")


def join(out, to):
    """Puts a checkpoint together. Pieces that differ from their checksums end the program."""
    import torch

    with open(os.path.join(to, SUMS), encoding="utf-8") as f:
        listed = [line.split() for line in f]
    data = b""
    for wanted, name in listed:
        with open(os.path.join(to, name), "rb") as f:
            part = f.read()
        if hashlib.sha256(part).hexdigest() != wanted:
            raise SystemExit(f"carry: {name} is not what {SUMS} says")
        data += part
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    state["model"] = {k: v.float() for k, v in state["model"].items()}
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "tokenizer.json"), "w", encoding="utf-8") as f:
        f.write(state.pop("tokenizer"))
    torch.save(state, os.path.join(out, "checkpoint.pt"))
    print(f"carry: step {state['steps']} after {state['seconds'] / 60:.1f} minutes in {out}")


def copy_fonts(to, most):
    """Copies files of fonts until `most` bytes are reached, and says how many families that makes."""
    import fonts

    names = fonts.families("train")
    files = fonts._files()
    size = lambda n: sum(os.path.getsize(files[f]) for f in set(fonts.FAMILIES["train"][n]))
    usual = [n for n in fonts.USUAL if n in names]
    held = usual + sorted((n for n in names if n not in usual), key=size)
    test = sorted(fonts.families("test"))[:2]
    os.makedirs(to, exist_ok=True)
    used, kept = 0, []
    for split_, name in [("test", n) for n in test] + [("train", n) for n in held]:
        pair = set(fonts.FAMILIES[split_][name])
        more = sum(os.path.getsize(files[f]) for f in pair)
        if used + more <= most:
            for f in pair:
                shutil.copy(files[f], os.path.join(to, f))
            used, kept = used + more, kept + [name]
    print(f"carry: {len(kept)} families, {used:,} bytes in {to}")


_WORDFREQ = '''"""The frequent English words that words.py takes of wordfreq."""

import json
import os

with open(os.path.join(os.path.dirname(__file__), "words.json"), encoding="utf-8") as f:
    _listed = json.load(f)


def top_n_list(language, n):
    return list(_listed)[:n]


def word_frequency(word, language):
    return _listed.get(word.lower(), 0.0)
'''
_FAKER = '''"""The names that words.py takes of Faker."""

class Provider:
    first_names = {first!r}
    last_names = {last!r}
'''


def write_words(to):
    """Writes the modules `wordfreq` and `faker.providers.person.en_US` with what words.py needs."""
    from faker.providers.person.en_US import Provider
    from wordfreq import top_n_list, word_frequency

    folder = os.path.join(to, "faker", "providers", "person")
    os.makedirs(folder, exist_ok=True)
    for part in ("", "providers", os.path.join("providers", "person")):
        open(os.path.join(to, "faker", part, "__init__.py"), "w").close()
    with open(os.path.join(folder, "en_US.py"), "w", encoding="utf-8") as f:
        f.write(_FAKER.format(first=sorted(Provider.first_names), last=sorted(Provider.last_names)))
    with open(os.path.join(to, "wordfreq.py"), "w", encoding="utf-8") as f:
        f.write(_WORDFREQ)
    listed = {w: word_frequency(w, "en") for w in top_n_list("en", 12000)}
    with open(os.path.join(to, "words.json"), "w", encoding="utf-8") as f:
        json.dump(listed, f, ensure_ascii=False)
    print(f"carry: {len(listed)} words and the names of Faker in {to}")


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("what", choices=("split", "join", "fonts", "words"))
    p.add_argument("--out", help="the folder of the run")
    p.add_argument("--to", required=True, help="the folder of the pieces or fonts")
    p.add_argument("--most", type=float, default=60, help="MiB in all")
    p.add_argument("--piece", type=float, default=15.5, help="MiB of a piece")
    args = p.parse_args()
    most = int(args.most * MIB)
    if args.what == "split":
        split(args.out, args.to, most, int(args.piece * MIB))
    elif args.what == "join":
        join(args.out, args.to)
    elif args.what == "words":
        write_words(args.to)
    else:
        copy_fonts(args.to, most)
    return 0


if __name__ == "__main__":
    sys.exit(main())
