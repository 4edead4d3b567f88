"""What a batch costs: the answers, the characters by the glyph head, words and colours by the embedding."""

import torch
import torch.nn.functional as F

from pack import UNKNOWN

_EMPTY = 0.15  # share of the cells without a character that are looked at


def to_device(arrays, device):
    """Arrays of a batch as tensors on a device; all but images become int64."""
    out = {}
    for name, a in arrays.items():
        a = a if isinstance(a, torch.Tensor) else torch.from_numpy(a)
        a = a.to(device, non_blocking=True)
        out[name] = a if name == "images" else a.long()
    return out


def visibility(segment):
    """bool [B, 1, T, T]: rows see what is before them in the context and in their own segment."""
    t = segment.shape[1]
    before = torch.ones(t, t, dtype=torch.bool, device=segment.device).tril()
    mask = ((segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None])) & before
    mask |= torch.eye(t, dtype=torch.bool, device=segment.device)  # padding sees itself
    return mask[:, None]


def hidden(model, job, batch):
    """(rows [labels, D] that say what follows, or None; visual rows [I, n, D] or [I * n, D], or None)."""
    rows, where, deep = None, None, ()
    if "images" in batch:
        where = batch["where"]
        if job.ideal:
            rows = model.ideal(where.numel(), batch["word_row"], batch["word_id"])
        else:
            rows, deep = model.see(batch["images"])
    if not job.decode:
        return None, rows
    seen = visibility(batch["segment"])
    out = model.answer(
        batch["ids"],
        batch["positions"],
        batch["place"],
        seen,
        batch["label_row"],
        where,
        rows,
        deep,
    )
    return out, rows


def by_question(batch, each, guess):
    """[2, questions]: the mean loss of an answer's tokens and whether all of them are the likeliest."""
    of, n = batch["label_question"] - 1, int(batch["questions"])
    sums = torch.zeros(3, n, device=each.device)
    wrong = (guess.argmax(-1) != batch["label_id"]).float()
    sums.index_add_(1, of, torch.stack((each, wrong, torch.ones_like(each))))
    return torch.stack((sums[0] / sums[2].clamp(min=1), (sums[1] == 0).float()))


def loss(model, stage, job, batch):
    """(the loss, or None for an empty batch; its parts for the log).

    An answer of n tokens counts as much as the root of n: else long ones drown "Yes" and "red".
    """
    out, rows = hidden(model, job, batch)
    parts, total = {}, None
    if out is not None and len(batch["label_id"]):
        guess = model.logits(out)
        each = F.cross_entropy(guess.float(), batch["label_id"], reduction="none")
        if "questions" in batch:
            parts["questions"] = by_question(batch, each.detach(), guess.detach())
        weight = torch.bincount(batch["label_question"])[batch["label_question"]] ** -0.5
        total = (each * weight).sum() / weight.sum()
        parts["text" if rows is None else "ideal" if job.ideal else "answer"] = each.mean()
    if rows is not None and not job.ideal:
        wanted = batch["glyphs"].view(-1)
        known = wanted != UNKNOWN  # pictures of others say not where their text is
        kept = known & ((wanted > 0) | (torch.rand(wanted.shape, device=wanted.device) < _EMPTY))
        kept = kept.nonzero()[:, 0]
        guess, wanted = model.glyphs(rows)[kept].float(), wanted[kept]
        there = (wanted > 0).float()
        n = there.sum().clamp(min=1)
        each = F.cross_entropy(guess, wanted, reduction="none")
        empty = (each * (1 - there)).sum() / _EMPTY / known.sum().clamp(min=1)
        parts["glyph"] = (each * there).sum() / n + 0.3 * empty
        parts["glyphs_right"] = (there * (guess.argmax(-1) == wanted)).sum() / n
        extra = stage.glyph * parts["glyph"]
        if len(batch["word_row"]):
            drawn = rows.reshape(-1, rows.shape[-1])[batch["word_row"]]
            parts["word"] = F.cross_entropy(model.logits(drawn).float(), batch["word_id"])
            extra = extra + stage.word * parts["word"]
        if len(batch["shade"]):  # which of the colours; that it is one, like a word that is written
            seen = model.logits(rows.reshape(-1, rows.shape[-1])[batch["shade_row"]]).float()
            parts["shade"] = F.cross_entropy(seen[:, batch["shade_id"]], batch["shade"])
            named = F.cross_entropy(seen, batch["shade_id"][batch["shade"]])
            extra = extra + stage.word * (named + 6 * parts["shade"])
        total = extra if total is None else total + extra
    return total, {name: value.detach() for name, value in parts.items()}


def right(model, job, batch, n):
    """bool [n]: which questions are answered exactly.

    All tokens of an answer must be the likeliest after those before it: that is what greedy decoding
    needs to give the answer. Gradients may stay on: compiled blocks know that case.
    """
    out, _ = hidden(model, job, batch)
    wrong = model.logits(out).argmax(-1) != batch["label_id"]
    misses = torch.zeros(n + 1, device=wrong.device).index_add(
        0, batch["label_question"], wrong.float()
    )
    return (misses[1:] == 0).tolist()
