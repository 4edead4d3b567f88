"""table.py FOLDER - the times that run.sh left in a folder, as shares of what the GPU can do.

Operations of products are counted: 2 for each weight and token, 4 x width for each pair of tokens that
see each other. Decoding reads each weight of the decoder and each key and value once."""
import json
import pathlib
import sys

SHAPES = {  # hidden, inner, layers, heads, head of vocabulary; KV has 8 heads of 128 in bf16
    "2b": (2048, 6144, 28, 16), "8b": (4096, 12288, 36, 32)}
VOCAB, WIDTH, KV = 151936, 128, 8


def read(folder, name):
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def weights(shape):
    """Of the layers alone."""
    hidden, inner, layers, heads = SHAPES[shape]
    return layers * hidden * (2 * heads * WIDTH + 2 * KV * WIDTH + 3 * inner)


def prefill_tflop(shape, tokens):
    _, _, layers, heads = SHAPES[shape]
    return 1e-12 * (2 * weights(shape) * tokens + 2 * layers * heads * WIDTH * tokens * tokens)


def decode_gbytes(shape, tokens):
    hidden, _, layers, _ = SHAPES[shape]
    return 1e-9 * (2 * (weights(shape) + VOCAB * hidden) + layers * 4 * KV * WIDTH * tokens)


def share(value, of):
    return f"{value:9.1f} {'':>7}" if not of else f"{value:9.1f} {value / of:7.1%}"


def row(shape, what, tokens, ms, machine, ours=""):
    line = f"{shape:8} {what:24} {tokens:7} {ms:10.2f} ms "
    if shape in SHAPES and what == "prefill":
        line += share(prefill_tflop(shape, tokens) / ms * 1e3, machine.get("gemm_8192_tflops")) + " TFLOP/s"
    elif shape in SHAPES and what.startswith("decode"):
        line += share(decode_gbytes(shape, tokens) / ms * 1e3, machine.get("copy_gbytes")) + " GB/s"
    print(f"{line}{ours}")


def print_bench(entries, machine):
    ours = {}
    for entry in entries:
        shape, said = entry["shape"], entry["result"]
        if not said:
            print(f"{shape:8} {entry['what']:24} exit {entry['exit']}: {entry['error']}")
            continue
        if "cold" in said:
            for name in ("cold", "repaired", "cached_prefix"):
                row(shape, name, said[name]["prompt_tokens"], said[name]["ms"], machine)
            continue
        ms, tokens = said["ms"], said["prompt_tokens"]
        if said["image"]["tokens"]:
            row(shape, f"tower {said['image']['width']}", said["image"]["patches"], ms["vision"], machine)
            ours[shape, "tower", said["image"]["width"]] = ms["vision"]
            continue
        single = entry["what"].endswith("by single launches")
        if not single:
            row(shape, "prefill", tokens, ms["prefill"], machine)
            ours[shape, "prefill", near(tokens)] = ms["prefill"]
        if said["tokens"] > 2 and ms["decode"]:
            one = ms["decode"] / (said["tokens"] - 1)
            if single and (shape, "decode", near(tokens)) in ours:
                graph = ours[shape, "decode", near(tokens)]
                row(shape, "decode, single launches", tokens, one, machine,
                    f"   as a graph it is {one / graph:.3f} times as fast")
            else:
                row(shape, "decode", tokens, one, machine)
                ours[shape, "decode", near(tokens)] = one
    return ours


def near(tokens):
    """The size that was asked for: the template adds some tokens."""
    return next((n for n in (512, 1024, 4096, 8192, 32768) if 0 <= tokens - n < 64), tokens)


def print_peers(peers, machine, ours):
    print(f"transformers {peers['transformers']}, SDPA, bf16, torch {peers['torch']}:")
    for time in peers["times"]:
        if time["what"] == "load":
            continue
        mine = ours.get((peers["shape"], time["what"], time["tokens"]))
        row(peers["shape"], time["what"], time["tokens"], time["ms"], machine,
            f"   vlqa is {time['ms'] / mine:.2f} times as fast" if mine else "")


def main():
    folder = pathlib.Path(sys.argv[1])
    machine = (read(folder, "summary.json") or {}).get("machine") or {}
    if machine:
        print("\n" + ", ".join(f"{k} {v}" for k, v in machine.items()))
    entries, peers, probes = read(folder, "bench.json"), read(folder, "peers.json"), read(folder, "probes.json")
    if probes:
        print("\n" + ", ".join(f"{k} {v}" for k, v in probes.items()))
    if entries:
        print("\nshape    what                      tokens          time")
    ours = print_bench(entries or [], machine)
    if peers:
        print_peers(peers, machine, ours)


if __name__ == "__main__":
    main()
