"""report.py - the tables that speed.py writes.

    python3 report.py DIR/SHAPE.json"""
import json
import statistics
import sys

STEPS = [  # name, of which answer, which time, its unit
    ("encode", "encode", "encode"), ("prefill", "prefill", "prefill"),
    ("decode", "decode", "decode"), ("pages", "pages", "both")]


def took(said, step):
    """Milliseconds of a step in one answer (of prefill and decoding for one token), or None."""
    _, key, time = next(s for s in STEPS if s[0] == step)
    one = (said or {}).get(key)
    if not one:
        return None
    if time == "both":
        return one["encode"] + one["prefill"]
    return one[time] / one.get("tokens", 1) if step != "encode" else one[time]


def shown(ms, step):
    if ms is None:
        return ""
    return f"{1e3 / ms:.1f}" if step in ("prefill", "decode") else f"{ms / 1e3:.2f}"


def brief(said):
    """An answer in one line."""
    if not said:
        return "no answer"
    parts = [f"{s[0]} {shown(took(said, s[0]), s[0])}" for s in STEPS if took(said, s[0])]
    return ", ".join([*parts, f"{said['peak_bytes'] / 2**30:.2f} GiB"])


def answers(result, variant):
    """The answers of a variant, one a round; None where it failed."""
    return [next((a for a in turn if list(a["variant"]) == list(variant)), None)
            for turn in result["rounds"]]


def median(result, variant, step):
    values = [t for t in (took(a, step) for a in answers(result, variant)) if t]
    return statistics.median(values) if values else None


def ratio(result, variant, step):
    """Time of a peer over that of vlqa in the same format: median and range of the rounds' ratios,
    and the ratio of the shortest times."""
    own = next((v for v in result["variants"] if v[1] == "vlqa" and v[0] == variant[0]), None)
    pairs = [(took(a, step), took(b, step)) for a, b in
             zip(answers(result, variant), answers(result, own))] if own else []
    values = [a / b for a, b in pairs if a and b]
    if not values:
        return ""
    shortest = min(a for a, _ in pairs if a) / min(b for _, b in pairs if b)
    return (f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}); "
            f"{shortest:.2f}")


def rows(head, body):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in body])


def notes(result):
    """What the tables do not say for themselves."""
    for variant in result["variants"]:
        for said in filter(None, answers(result, variant)[:1]):
            name = name_of(variant)
            if "slow" in said:
                one = said["slow"]
                yield (f"{name} was not timed further: {one['tokens']} tokens of prefill took "
                       f"{one['prefill'] / 1e3:.1f} s")
            if "variant" in said.get("pages", {}):  # vlqa
                page, cold = said["pages"], said["pages_cold"]
                found = page["cached"]["chunks"]
                yield (f"{name}, pages: {page['total']} tokens, {page['recomputed']} recomputed "
                       f"(--reuse {page['variant']}); chunks: {found['ram']} in memory, "
                       f"{found['computed']} computed; the question before, on an empty cache: "
                       f"{(cold['encode'] + cold['prefill']) / 1e3:.2f} s")


def name_of(variant):
    return f"{variant[1]} {variant[2]}"


def setting(result):
    """What the numbers depend on, in a paragraph."""
    box, vlqa = result["machine"], result["machine"]["vlqa"]
    others = [a["others"] for turn in result["rounds"] for a in turn]
    busy = (f", of which other work took {statistics.median(others):.0%} (median; at most "
            f"{max(others):.0%})" if others else "")
    return (f"Shape {result['shape']}, {result['threads']} threads, "
            f"{len(result['rounds'])} rounds; {vlqa['machine']}, {box['cores']} cores{busy}; "
            f"vlqa {vlqa['version']} commit {vlqa['commit']} ({vlqa['cpu']}, {vlqa['build']}), "
            f"llama.cpp {box['llama.cpp']} (flash attention {result['flash']}), "
            f"transformers {box['transformers']}, torch {box['torch']}, {box['openvino']}.")


def agreement(result):
    return rows(["variant", "prompt", "tokens", "cosine", "largest difference",
                 "same likeliest token"],
                [[name_of(a["variant"]), a["prompt"], a["tokens"],
                  f"{a['cosine']:.6f}" if "cosine" in a else "no logits",
                  f"{a['difference']:.1e}" if "cosine" in a else "", "yes" if a["same"] else "no"]
                 for a in result["agreement"]])


def medians(result):
    side, pages = result["side"], result["pages"]
    peaks = {name_of(v): max((a["peak_bytes"] for a in answers(result, v) if a), default=0)
             for v in result["variants"]}
    return rows(["variant", f"encode {side} x {side}, s", "prefill, tokens/s", "decode, tokens/s",
                 f"{pages} pages reordered, s", "peak memory, GiB"],
                [[name_of(v), *(shown(median(result, v, s[0]), s[0]) for s in STEPS),
                  f"{peaks[name_of(v)] / 2**30:.2f}"] for v in result["variants"]])


def ratios(result):
    return rows(["peer", "format", *(s[0] for s in STEPS)],
                [[name_of(v), v[0], *(ratio(result, v, s[0]) for s in STEPS)]
                 for v in result["variants"] if v[1] != "vlqa"])


def page(result):
    """The whole report in Markdown."""
    text = [setting(result), f"```sh measured\n{result['machine']['command']}\n```"]
    if result["agreement"]:
        text += ["Logits of the first token against transformers in f32:", agreement(result)]
    if result["rounds"]:
        text += ["Medians over the rounds:", medians(result),
                 "Time of a peer over that of vlqa in the same round: median (range); of the "
                 "shortest times:", ratios(result)]
    said = list(notes(result))
    if said:
        text.append("\n".join(f"- {line}" for line in said))
    return "\n\n".join(text) + "\n"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(page(json.load(file)))
