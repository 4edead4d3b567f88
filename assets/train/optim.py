"""Muon for the matrices of blocks and layers, AdamW for everything else, and the learning rate.

Muon here is torch.optim.Muon with adjust_lr_fn="match_rms_adamw", done for all matrices of one shape
at once: a hundred small matrices would otherwise cost more time in launches than in arithmetic.
check.py compares the two.
"""

import collections
import math
import re

import torch

_A, _B, _C = 3.4445, -4.7750, 2.0315
FALL = 0.35  # of the time, at its end, in which the rate falls to 0


def orthogonal(stack, half, steps=5):
    """Newton-Schulz: matrices [n, r, c] to nearly orthogonal ones; half: with products in bf16."""
    x = stack.bfloat16() if half else stack.float()
    flip = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if flip else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.transpose(1, 2) if flip else x


class Muon:
    """params: (matrix, parts, tag): parts matrices lie above each other in a parameter (qkv: 3).

    Matrices of one tag get gradients together or not at all; without one, nothing moves. half: the
    products are made in bf16.
    """

    def __init__(self, params, momentum=0.95, decay=0.05, half=False):
        self.momentum, self.decay, self.half = momentum, decay, half
        groups = collections.defaultdict(list)
        for p, parts, tag in params:
            rows = p.shape[0] // parts
            groups[rows, p.shape[1], tag] += [(p, k * rows, rows) for k in range(parts)]
        self.groups = list(groups.values())
        self.buffers = [
            torch.zeros(len(g), g[0][2], g[0][0].shape[1], device=g[0][0].device)
            for g in self.groups
        ]

    @torch.no_grad()
    def step(self, rate):
        for group, buffer in zip(self.groups, self.buffers):
            if group[0][0].grad is None:
                continue
            grad = torch.stack([p.grad[a : a + n] for p, a, n in group])
            buffer.lerp_(grad, 1 - self.momentum)
            update = orthogonal(grad.lerp(buffer, self.momentum), self.half).float()
            step = 0.2 * math.sqrt(max(update.shape[1:])) * rate
            views = [p[a : a + n] for p, a, n in group]
            torch._foreach_mul_(views, 1 - rate * self.decay)
            torch._foreach_add_(views, list(update.unbind()), alpha=-step)

    def state_dict(self):
        return {"buffers": self.buffers}

    def load_state_dict(self, state):
        for mine, theirs in zip(self.buffers, state["buffers"]):
            mine.copy_(theirs)


def _tag(name):
    """Which parameters get gradients together: the tower's, its DeepStack mergers', the decoder's."""
    return "deep" if "deepstack" in name else name.split(".")[0]


def _is_matrix(name, p):
    return p.dim() == 2 and not any(s in name for s in ("embed", "glyph_head"))


def _parts(name):
    """Into how many a matrix is cut by rows: q, k, v; and a merger's square one, for its cube is dear."""
    return 3 if name.endswith("qkv.weight") else 4 if re.search("merger.*fc1.weight", name) else 1


class Optimizer:
    """Both of them, for a Model; half: Muon's products are made in bf16."""

    def __init__(self, model, half=False):
        named = list(model.named_parameters())
        self.params = [p for _, p in named]
        self.muon = Muon(
            [(p, _parts(name), _tag(name)) for name, p in named if _is_matrix(name, p)], half=half
        )
        rest = [(name, p) for name, p in named if not _is_matrix(name, p)]
        self.adam = torch.optim.AdamW(
            [
                {"params": [p for _, p in rest if p.dim() > 1], "weight_decay": 0.02},
                {"params": [p for _, p in rest if p.dim() == 1], "weight_decay": 0.0},
            ],
            lr=1e-3,
            betas=(0.9, 0.95),
            fused=True,
        )

    def step(self, rate, clip=1.0):
        """One step at a learning rate; gradients are clipped and cleared."""
        torch.nn.utils.clip_grad_norm_([p for p in self.params if p.grad is not None], clip)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        self.muon.step(rate)
        for p in self.params:
            p.grad = None

    def state_dict(self):
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state):
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])


def rate_at(done, peak, warm=0.02, fall=FALL):
    """Learning rate when `done` (0..1) of the time is over: up, level, then down to 0."""
    if done < warm:
        return peak * (0.05 + 0.95 * done / warm)
    return peak * min(1.0, max(0.0, (1 - done) / fall))
