"""More blocks and layers for a model that is trained, without a change of what it computes.

A new block begins as a copy of the one before it whose two last products are zero, so it adds nothing
to the residual stream until training moves them (Net2Net, Chen et al. 2016, section 3.2: an identity).
"""

import re

import torch

# What a block or layer adds to the residual stream comes out of these.
_LAST = re.compile(r"(attn\.proj|mlp\.linear_fc2|self_attn\.o_proj|mlp\.down_proj)\.(weight|bias)$")
_NUMBERED = re.compile(r"(visual\.blocks|language_model\.layers)\.(\d+)\.(.*)")


def kept_places(old, new, fixed):
    """Where each of `old` blocks comes to lie among `new`. fixed: {old place: new place} of some, such as
    blocks whose output DeepStack takes; the others are spread evenly between these."""
    assert new >= old, f"{old} blocks cannot become {new}"
    marks = sorted({-1: -1, **fixed, old: new}.items())
    found = {}
    for (a, x), (b, y) in zip(marks, marks[1:]):
        assert y - x >= b - a, f"no room for blocks {a} to {b} at {x} to {y}"
        for k in range(a + 1, b + 1):
            found[k] = x + 1 + (k - a - 1) * (y - x) // (b - a)
        found[b] = y
    return [found[k] for k in range(old)]


def deepened(state, size, old_deep):
    """state with the blocks and layers of a Size, which has at least as many as the state has. old_deep:
    the blocks whose output DeepStack takes, before. Widths must be equal."""
    count = lambda part: 1 + max(
        int(m[2]) for m in map(_NUMBERED.match, state) if m and m[1] == part
    )
    blocks, layers = count("visual.blocks"), count("language_model.layers")
    # DeepStack adds to the first decoder layers, which therefore stay the first.
    first = {k: k for k in range(len(size.deep))}
    places = {
        "visual.blocks": kept_places(blocks, size.blocks, dict(zip(old_deep, size.deep))),
        "language_model.layers": kept_places(layers, size.layers, first),
    }
    new = {"visual.blocks": size.blocks, "language_model.layers": size.layers}
    found = {}
    for name, value in state.items():
        match = _NUMBERED.match(name)
        if not match:
            found[name] = value
            continue
        part, k, rest = match[1], int(match[2]), match[3]
        after = (places[part] + [new[part]])[k + 1]
        for place in range(places[part][k] if k else 0, after):
            copy = place != places[part][k] and _LAST.search(name)
            found[f"{part}.{place}.{rest}"] = torch.zeros_like(value) if copy else value.clone()
    return found
