"""Attention on a CPU in bf16: one head at a time, with all its scores, which stay in the cache.

The flash attention of PyTorch makes many small products there, without the instructions for bf16 that
large ones use: on two cores of Zen 5 it reached 80 to 185 GFLOP/s where a product of a head of 1,200
rows reaches 800. Scores are rounded to bf16 before the softmax, which sums in fp32. The weights are
kept for the way back: computing them again was 10 % of a step. The rotation of queries and keys
happens here, too, for autograd would keep five arrays for each.

Short sequences, windows of charts above all, are padded and computed together instead: there the
calls would take longer than the products.

No mask may hide a whole row: its softmax would not be a number.
"""

import torch

_SHORT = 200  # rows of sequences that are computed together, at most
_CHUNK = 1 << 25  # numbers in a piece of memory for weights
_scratch = {}


def has_bf16(device):
    """Whether products in bf16 are faster there than in fp32."""
    if device.type == "cuda":
        return True
    known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in known)


def suits(x):
    """Whether products with x are made in bf16 on a CPU."""
    return x.device.type == "cpu" and (
        x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    )


def sequences(mask, place):
    """What Attend takes for a mask bool [B, 1, T, T] of rows at `place` in [B * T]: spans and masks."""
    lengths = torch.bincount(place // mask.shape[-1], minlength=len(mask)).tolist()
    spans, masks, first = [], [], 0
    for seen, n in zip(mask[:, 0], lengths):
        spans.append((first, first + n))
        hidden = torch.zeros(n, n, dtype=torch.bfloat16)
        masks.append(hidden.masked_fill_(~seen[:n, :n], float("-inf")))
        first += n
    return spans, masks


def _buffer(name, *shape):
    """An array of bf16 that is kept between calls: fresh memory costs more than the product in it."""
    size = 1
    for s in shape:
        size *= s
    held = _scratch.get(name)
    if held is None or held.numel() < size:
        held = _scratch[name] = torch.empty(size, dtype=torch.bfloat16)
    return held[:size].view(shape)


class _Store:
    """Memory for the weights of a step, taken piece after piece and used again by the next step."""

    def __init__(self):
        self.chunks, self.chunk, self.used, self.holders = [], 0, 0, 0

    def take(self, rows, columns):
        """An array of bf16 that is good while one that holds it (a _Held) is there."""
        n = rows * columns
        while self.chunk < len(self.chunks) and self.used + n > len(self.chunks[self.chunk]):
            self.chunk, self.used = self.chunk + 1, 0
        if self.chunk == len(self.chunks):
            self.chunks.append(torch.empty(max(n, _CHUNK), dtype=torch.bfloat16))
        found = self.chunks[self.chunk][self.used : self.used + n].view(rows, columns)
        self.used += -(-n // 32) * 32
        return found


_store = _Store()


class _Held:
    """The weights of one call. When the last of all is gone, the store begins from its start."""

    def __init__(self):
        self.weights = []
        _store.holders += 1

    def __del__(self):
        _store.holders -= 1
        if not _store.holders:
            _store.chunk = _store.used = 0


def _turn(x, cos, sin, out):
    """Rotates pairs of x [N, H, head] into out; cos and sin are fp32 [N, 1, head / 2]."""
    a, b = x.float().chunk(2, -1)
    left, right = out.chunk(2, -1)
    left.copy_((a * cos).addcmul_(b, sin, value=-1))
    right.copy_((b * cos).addcmul_(a, sin))


def _angles(q, cos, sin, spans):
    """cos and sin [N, 1, head / 2] of all rows of q, from what Attend takes."""
    half = q.shape[-1] // 2
    cos, sin = (x[..., :half].reshape(-1, 1, half) for x in (cos, sin))
    if len(cos) < len(q):
        cos, sin = (x.repeat(len(spans), 1, 1) for x in (cos, sin))
    return cos, sin


class Attend(torch.autograd.Function):
    """Rotated attention of some sequences of rows, each among themselves.

    q [N, H, head], k and v [N, K, head] in bf16, rows of all sequences behind each other; cos and sin
    [N, .., head] as for `rotate`, or those of one sequence if all are as long; spans: [(first row,
    last row + 1)]; masks: none, or for each span an array of 0 and -inf in bf16 that is added to its
    scores. Gives [N, H, head].
    """

    @staticmethod
    def forward(ctx, q, k, v, cos, sin, spans, masks):
        scale, cos, sin = q.shape[-1] ** -0.5, *_angles(q, cos, sin, spans)
        heads, groups = q.shape[1], q.shape[1] // k.shape[1]
        turned_q = q.new_empty(heads, q.shape[0], q.shape[2])
        turned_k = q.new_empty(k.shape[1], *turned_q.shape[1:])
        rows_v = v.transpose(0, 1).contiguous()
        out = torch.empty_like(turned_q)
        held = _Held() if any(ctx.needs_input_grad) else None
        for s, (a, b) in enumerate(spans):
            _turn(q[a:b], cos[a:b] * scale, sin[a:b] * scale, turned_q[:, a:b].transpose(0, 1))
            _turn(k[a:b], cos[a:b], sin[a:b], turned_k[:, a:b].transpose(0, 1))
            for h in range(heads):
                scores = _buffer("scores", b - a, b - a)
                torch.mm(turned_q[h, a:b], turned_k[h // groups, a:b].t(), out=scores)
                if masks:
                    scores += masks[s]
                weights = _store.take(b - a, b - a) if held else _buffer("weights", b - a, b - a)
                torch.softmax(scores, -1, out=weights)
                torch.mm(weights, rows_v[h // groups, a:b], out=out[h, a:b])
                if held:
                    held.weights.append(weights)
        ctx.save_for_backward(turned_q, turned_k, rows_v, out, cos, sin)
        ctx.spans, ctx.held = spans, held
        return out.transpose(0, 1)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out, cos, sin = ctx.saved_tensors
        heads, groups, scale = q.shape[0], q.shape[0] // k.shape[0], q.shape[2] ** -0.5
        shape = lambda x: (x.shape[1], x.shape[0], x.shape[2])
        grad_q, grad_k, grad_v = (x.new_empty(shape(x)) for x in (q, k, v))
        for s, (a, b) in enumerate(ctx.spans):
            n = b - a
            g = _buffer("grad", heads, n, q.shape[2]).copy_(grad[a:b].transpose(0, 1))
            inner = (g.float() * out[:, a:b].float()).sum(-1, keepdim=True).bfloat16()
            to_q = _buffer("q", heads, n, q.shape[2])
            to_k = _buffer("k", heads, n, q.shape[2])
            to_v = _buffer("v", heads, n, q.shape[2])
            for h in range(heads):
                mine, their = q[h, a:b], k[h // groups, a:b]
                weights = ctx.held.weights[s * heads + h]
                torch.mm(weights.t(), g[h], out=to_v[h])
                change = torch.mm(g[h], v[h // groups, a:b].t(), out=_buffer("change", n, n))
                change.sub_(inner[h]).mul_(weights)
                torch.mm(change, their, out=to_q[h])
                torch.mm(change.t(), mine, out=to_k[h])
            if groups > 1:
                to_k, to_v = (
                    x.view(-1, groups, n, q.shape[2]).float().sum(1) for x in (to_k, to_v)
                )
            back = lambda x: x.transpose(0, 1)
            _turn(back(to_q), cos[a:b] * scale, -sin[a:b] * scale, grad_q[a:b])
            _turn(back(to_k), cos[a:b], -sin[a:b], grad_k[a:b])
            grad_v[a:b] = back(to_v)
        return grad_q, grad_k, grad_v, None, None, None, None


def _padded(spans):
    """(at [S * n], in [N], valid [S, n]): the row of each padded place, the place of each row."""
    lengths = torch.tensor([b - a for a, b in spans])
    n = int(lengths.max())
    step = torch.arange(n)
    valid = step < lengths[:, None]
    first = torch.tensor([a for a, _ in spans])[:, None]
    at = torch.where(valid, first + step, first)
    return at.reshape(-1), valid.reshape(-1).nonzero()[:, 0], valid


class AttendTogether(torch.autograd.Function):
    """The same as Attend, with all sequences and heads in one product of batches."""

    @staticmethod
    def forward(ctx, q, k, v, cos, sin, spans, masks):
        scale, cos, sin = q.shape[-1] ** -0.5, *_angles(q, cos, sin, spans)
        at, where, valid = _padded(spans)
        s, n = valid.shape
        heads, groups = q.shape[1], q.shape[1] // k.shape[1]
        turned_q, turned_k = torch.empty_like(q), torch.empty_like(k)
        _turn(q, cos * scale, sin * scale, turned_q)
        _turn(k, cos, sin, turned_k)

        def batch(x):  # [N, H, head] to [S * heads, n, head]
            x = x[at].view(s, n, *x.shape[1:]).transpose(1, 2)
            if x.shape[1] < heads:
                x = x.repeat_interleave(groups, 1)
            return x.reshape(s * heads, n, x.shape[-1])

        wide_q, wide_k, wide_v = batch(turned_q), batch(turned_k), batch(v)
        scores = torch.bmm(wide_q, wide_k.transpose(1, 2))
        if masks:
            hidden = scores.new_full((s, 1, n, n), float("-inf"))
            hidden[..., 0].masked_fill_(~valid[:, None], 0)
            for m, each in zip(masks, hidden):
                each[0, : len(m), : len(m)] = m
            scores.view(s, heads, n, n).add_(hidden)
        weights = torch.softmax(scores, -1)
        out = torch.bmm(weights, wide_v)
        ctx.save_for_backward(wide_q, wide_k, wide_v, weights, out, cos, sin, at, where, valid)
        ctx.groups = groups
        return out.view(s, heads, n, -1).transpose(1, 2).reshape(s * n, heads, -1)[where]

    @staticmethod
    def backward(ctx, grad):
        q, k, v, weights, out, cos, sin, at, where, valid = ctx.saved_tensors
        s, n = valid.shape
        heads, head, scale = q.shape[0] // s, q.shape[2], q.shape[2] ** -0.5
        g = grad[at].view(s, n, heads, head).mul_(valid[..., None, None])
        g = g.transpose(1, 2).reshape(s * heads, n, head)
        inner = (g.float() * out.float()).sum(-1, keepdim=True).bfloat16()
        to_v = torch.bmm(weights.transpose(1, 2), g)
        change = torch.bmm(g, v.transpose(1, 2)).sub_(inner).mul_(weights)
        to_q, to_k = torch.bmm(change, k), torch.bmm(change.transpose(1, 2), q)

        def rows(x, groups):  # [S * heads, n, head] to [N, H, head]
            x = x.view(s, heads // groups, groups, n, head)
            x = x.float().sum(2).bfloat16() if groups > 1 else x[:, :, 0]
            return x.transpose(1, 2).reshape(s * n, heads // groups, head)[where]

        to_q, to_k, to_v = rows(to_q, 1), rows(to_k, ctx.groups), rows(to_v, ctx.groups)
        grad_q, grad_k = torch.empty_like(to_q), torch.empty_like(to_k)
        _turn(to_q, cos * scale, -sin * scale, grad_q)
        _turn(to_k, cos, -sin, grad_k)
        return grad_q, grad_k, to_v, None, None, None, None


def attend(q, k, v, cos, sin, spans, masks):
    """Attend or AttendTogether, by the lengths of sequences."""
    longest = max(b - a for a, b in spans)
    together = longest <= _SHORT and longest * len(spans) <= 1.3 * len(q)
    return (AttendTogether if together else Attend).apply(q, k, v, cos, sin, spans, masks)
