"""Qwen3-VL's architecture for training: packed prompts, images of one size in a batch.

Parameter names are those of the Hugging Face checkpoint without "model." in front, so export.py has
little to do. What differs: the patch embedding sees one frame (still images repeat it).

Shapes: B prompts of at most T rows, N rows in all, I images of n visual rows (4n patches), D decoder
width, d tower width. The decoder works on the N rows; attention alone sees them padded to [B, T].
"""

import dataclasses
import functools
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from attend import attend, sequences, suits


@dataclasses.dataclass
class Size:
    """The numbers of a model. deep: tower blocks whose output goes to the first decoder layers."""

    tower: int
    tower_heads: int
    blocks: int
    deep: tuple
    width: int
    heads: int
    kv_heads: int
    head: int
    layers: int
    inner: int
    table: int = 32  # side of the table of patch positions
    theta: float = 10000.0
    vocab: int = 4096
    most: int = 1048576  # pixels of an image: larger ones are made smaller

    @property
    def sections(self):
        """Rotary frequencies for t, h and w: about a third each, interleaved."""
        part = self.head * 10 // 64
        return [self.head // 2 - 2 * part, part, part]


SIZES = {
    "base": Size(256, 4, 8, (1, 3, 5), 384, 6, 2, 64, 10, 1024),  # 29.7 M parameters
    # 12.5 M: what two CPU cores can train
    "small": Size(192, 3, 6, (1, 3), 256, 4, 2, 64, 8, 768),
    # 17.4 M: what "small" becomes with more blocks and layers (deepen.py)
    "medium": Size(192, 3, 9, (2, 5), 256, 4, 2, 64, 12, 768),
    "tiny": Size(64, 2, 3, (0, 1), 64, 2, 1, 32, 3, 128, table=16),
}


def rotate(x, cos, sin):
    """Rotates pairs (e, e + half) of the last axis; angles in cos and sin, as wide as x."""
    a, b = x.chunk(2, -1)
    return (x * cos + torch.cat((-b, a), -1) * sin).to(x.dtype)


@functools.lru_cache(256)
def _merge_order(gh, gw):
    """(rows, columns) of the patches of a grid, 2 x 2 blocks together: int64 [gh * gw] each."""
    index = torch.arange(gh * gw).view(gh // 2, 2, gw // 2, 2).permute(0, 2, 1, 3).reshape(-1)
    return index // gw, index % gw


@functools.lru_cache(256)
def _tower_angles(gh, gw, head, device):
    """cos and sin [gh * gw, head] of the tower's rotation: first rows, then columns."""
    rows, columns = _merge_order(gh, gw)
    inv = 10000.0 ** (-torch.arange(0, head // 2, 2).float() / (head // 2))
    angle = torch.cat((rows[:, None] * inv, columns[:, None] * inv), -1)
    angle = torch.cat((angle, angle), -1).to(device)
    return angle.cos(), angle.sin()


@functools.lru_cache(256)
def _table_corners(gh, gw, side, device):
    """Four rows of the position table for every patch and their weights: [4, gh * gw] each."""
    rows, columns = _merge_order(gh, gw)
    y, x = rows * (side - 1.0) / (gh - 1), columns * (side - 1.0) / (gw - 1)
    y0, x0 = y.long(), x.long()
    y1, x1 = (y0 + 1).clamp(max=side - 1), (x0 + 1).clamp(max=side - 1)
    dy, dx = y - y0, x - x0
    index = torch.stack((y0 * side + x0, y0 * side + x1, y1 * side + x0, y1 * side + x1))
    weight = torch.stack(((1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx))
    return index.to(device), weight.to(device)


class _Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x, cos, sin):
        """x [I, N, d]; every patch of an image sees all of them."""
        i, n, d = x.shape
        qkv = self.qkv(x).view(i, n, 3, self.heads, d // self.heads)
        if suits(qkv):
            spans = [(k * n, k * n + n) for k in range(i)]
            return self.proj(
                attend(*qkv.flatten(0, 1).unbind(1), cos, sin, spans, None).reshape(i, n, d)
            )
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        return self.proj(out.transpose(1, 2).reshape(i, n, d))


class _Mlp(nn.Module):
    def __init__(self, d, inner):
        super().__init__()
        self.linear_fc1, self.linear_fc2 = nn.Linear(d, inner), nn.Linear(inner, d)

    def forward(self, x):
        return self.linear_fc2(F.gelu(self.linear_fc1(x), approximate="tanh"))


class TowerBlock(nn.Module):
    """One block of the vision tower."""

    def __init__(self, d, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d, eps=1e-6), nn.LayerNorm(d, eps=1e-6)
        self.attn, self.mlp = _Attention(d, heads), _Mlp(d, 4 * d)

    def forward(self, x, cos, sin):
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class _Merger(nn.Module):
    """Four patches to one visual row. DeepStack mergers normalise after the four are put together."""

    def __init__(self, d, width, after):
        super().__init__()
        self.after = after
        self.norm = nn.LayerNorm(4 * d if after else d, eps=1e-6)
        self.linear_fc1, self.linear_fc2 = nn.Linear(4 * d, 4 * d), nn.Linear(4 * d, width)

    def forward(self, x):
        i, n, d = x.shape
        x = (
            self.norm(x.view(i, n // 4, 4 * d))
            if self.after
            else self.norm(x).view(i, n // 4, 4 * d)
        )
        return self.linear_fc2(F.gelu(self.linear_fc1(x)))


class Tower(nn.Module):
    """Images to visual rows [I, n, D] and the rows for DeepStack, as many."""

    def __init__(self, s):
        super().__init__()
        self.size = s
        self.patch_embed = nn.ModuleDict({"proj": nn.Linear(768, s.tower)})
        self.pos_embed = nn.Embedding(s.table**2, s.tower)
        self.blocks = nn.ModuleList(TowerBlock(s.tower, s.tower_heads) for _ in range(s.blocks))
        self.merger = _Merger(s.tower, s.width, False)
        self.deepstack_merger_list = nn.ModuleList(_Merger(s.tower, s.width, True) for _ in s.deep)

    def forward(self, images):
        """images: uint8 [I, H, W, 3], sides divisible by 32."""
        s = self.size
        i, height, width, _ = images.shape
        gh, gw = height // 16, width // 16
        x = images.view(i, gh // 2, 2, 16, gw // 2, 2, 16, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
        x = (x.reshape(i, gh * gw, 768).float() - 127.5) / 127.5
        index, weight = _table_corners(gh, gw, s.table, images.device)
        x = self.patch_embed["proj"](x) + (self.pos_embed(index) * weight[..., None]).sum(0)
        cos, sin = _tower_angles(gh, gw, s.tower // s.tower_heads, images.device)
        deep = []
        for k, block in enumerate(self.blocks):
            x = block(x, cos, sin)
            if k in s.deep:
                deep.append(self.deepstack_merger_list[s.deep.index(k)](x))
        return self.merger(x), deep


class _Norm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), 1e-6)


class _SelfAttention(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.size = s
        self.q_proj = nn.Linear(s.width, s.heads * s.head, bias=False)
        self.k_proj = nn.Linear(s.width, s.kv_heads * s.head, bias=False)
        self.v_proj = nn.Linear(s.width, s.kv_heads * s.head, bias=False)
        self.o_proj = nn.Linear(s.heads * s.head, s.width, bias=False)
        self.q_norm, self.k_norm = _Norm(s.head), _Norm(s.head)

    def forward(self, x, cos, sin, place, mask, keep):
        """x [N, D]; mask bool [B, 1, T, T] or what `sequences` makes of it; gives the rows `keep`
        (indices or a slice)."""
        s = self.size
        q = self.q_norm(self.q_proj(x).view(-1, s.heads, s.head))
        k = self.k_norm(self.k_proj(x).view(-1, s.kv_heads, s.head))
        v = self.v_proj(x).view(-1, s.kv_heads, s.head)
        if isinstance(mask, tuple):
            out = attend(q.to(v.dtype), k.to(v.dtype), v, cos, sin, *mask)
            return self.o_proj(out.reshape(-1, s.heads * s.head)[keep])
        b, _, t, _ = mask.shape

        def padded(rows):
            rows = rows.to(v.dtype)
            out = rows.new_zeros(b * t, *rows.shape[1:]).index_copy(0, place, rows)
            return out.view(b, t, *rows.shape[1:]).transpose(1, 2)

        repeat = s.heads // s.kv_heads
        out = F.scaled_dot_product_attention(
            padded(rotate(q, cos, sin)),
            padded(rotate(k, cos, sin)).repeat_interleave(repeat, 1),
            padded(v).repeat_interleave(repeat, 1),
            attn_mask=mask,
        )
        out = out.transpose(1, 2).reshape(b * t, s.heads * s.head)
        return self.o_proj(out[place[keep]])


class _GatedMlp(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(s.width, s.inner, bias=False), nn.Linear(
            s.width, s.inner, bias=False
        )
        self.down_proj = nn.Linear(s.inner, s.width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """One layer of the decoder."""

    def __init__(self, s):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = _Norm(s.width), _Norm(s.width)
        self.self_attn, self.mlp = _SelfAttention(s), _GatedMlp(s)

    def forward(self, x, cos, sin, place, mask, keep):
        x = x[keep] + self.self_attn(self.input_layernorm(x), cos, sin, place, mask, keep)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Rows to rows."""

    def __init__(self, s):
        super().__init__()
        self.size = s
        self.embed_tokens = nn.Embedding(s.vocab, s.width)
        self.layers = nn.ModuleList(DecoderLayer(s) for _ in range(s.layers))
        self.norm = _Norm(s.width)
        axis = torch.zeros(s.head // 2, dtype=torch.long)
        for a in (1, 2):
            axis[a : 3 * s.sections[a] : 3] = a
        self.register_buffer("axis", axis, persistent=False)

    def angles(self, positions):
        """positions int [3, N] to cos and sin [N, 1, head]: interleaved M-RoPE."""
        s = self.size
        inv = s.theta ** (-torch.arange(0, s.head, 2, device=positions.device).float() / s.head)
        angle = positions.float().T[:, self.axis] * inv
        angle = torch.cat((angle, angle), -1)[:, None]
        return angle.cos(), angle.sin()

    def forward(self, x, positions, place, mask, keep, where=None, deep=()):
        """x [N, D]; place [N] in [B * T]; mask bool [B, 1, T, T]; `where`: rows that get the rows of
        deep [.., D]. Gives the rows `keep`: the last layer leaves the others out."""
        cos, sin = self.angles(positions)
        if suits(x):
            mask = sequences(mask, place)
        for k, layer in enumerate(self.layers):
            last = k + 1 == len(self.layers)
            x = layer(x, cos, sin, place, mask, keep if last else slice(None))
            if k < len(deep):
                x = x.index_add(0, where, deep[k].reshape(-1, x.shape[-1]).to(x.dtype))
        return self.norm(x)


class Model(nn.Module):
    """Tower, decoder, and the glyph head that only training has.

    glyphs: how many classes of characters the head tells apart in each of the `cells` of a row.
    """

    def __init__(self, size, glyphs, cells):
        super().__init__()
        self.size, self.cells = size, cells
        self.visual, self.language_model = Tower(size), Decoder(size)
        self.glyph_head = nn.Linear(size.width, cells * glyphs)
        self._init()

    def _init(self):
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)
        for layer in self.language_model.layers:
            for m in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(m.weight, std=0.02 / math.sqrt(2 * self.size.layers))
        for block in self.visual.blocks:
            for m in (block.attn.proj, block.mlp.linear_fc2):
                nn.init.normal_(m.weight, std=0.02 / math.sqrt(2 * self.size.blocks))
        for m in self.modules():
            if isinstance(m, nn.Linear) and m.bias is not None:
                nn.init.zeros_(m.bias)

    def see(self, images):
        """images uint8 [I, H, W, 3] to visual rows [I, n, D] and the list for DeepStack."""
        return self.visual(images)

    def ideal(self, count, row, token):
        """Visual rows [count, D] that a perfect tower would give: sums of the tokens drawn in them."""
        embedded = self.language_model.embed_tokens(token)
        return torch.zeros(count, embedded.shape[-1], device=token.device).index_add(
            0, row, embedded.float()
        )

    def answer(self, ids, positions, place, mask, keep, where=None, rows=None, deep=()):
        """Last hidden rows [.., D] of the rows `keep` of prompts whose rows `where` are visual."""
        x = self.language_model.embed_tokens(ids)
        if rows is not None:
            x = x.index_copy(0, where, rows.reshape(-1, x.shape[-1]).to(x.dtype))
        return self.language_model(x, positions, place, mask, keep, where, deep)

    def logits(self, hidden):
        """[.., D] to [.., vocabulary], by the tied embedding."""
        return F.linear(hidden, self.language_model.embed_tokens.weight)

    def glyphs(self, rows):
        """[I, n, D] to [I * n * cells, classes]."""
        out = self.glyph_head(rows)
        return out.view(-1, out.shape[-1] // self.cells)
