"""Noise, blur and the traces of JPEG in batches of pictures, as scene.degrade makes them in one."""

import torch

# the tables of the JPEG standard for quality 50
_LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 "
    "100 103 99"
)
_CHROMA = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    + "99 " * 32
)
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def _cosines(device):
    """The matrix [8, 8] of the discrete cosine transform."""
    k = torch.arange(8, device=device).float()
    m = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) / 2
    m[0] /= 2**0.5
    return m


def _quantised(plane, table):
    """A plane [n, height, width] after the cosine transform of its 8 x 8 blocks was rounded to a
    table [n, 8, 8]."""
    n, height, width = plane.shape
    m = _cosines(plane.device)
    blocks = plane.view(n, height // 8, 8, width // 8, 8).transpose(2, 3)
    steps = table[:, None, None]
    rounded = torch.round(m @ blocks @ m.T / steps) * steps
    return (m.T @ rounded @ m).transpose(2, 3).reshape(n, height, width)


def jpeg(images, quality):
    """float [n, height, width, 3] in 0..255 as JPEG of a quality [n] (with half of the colour's
    resolution) gives them back; sides divisible by 16."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None]
    tables = []
    for text in (_LUMA, _CHROMA):
        base = torch.tensor([float(v) for v in text.split()], device=images.device)
        tables.append(((base * scale + 50) / 100).floor().clamp(1, 255).view(-1, 8, 8))
    turn = torch.tensor(_TO_YCC, device=images.device)
    luma, *chroma = (images @ turn.T).unbind(-1)
    planes = [_quantised(luma - 128, tables[0]) + 128]
    for plane in chroma:
        n, height, width = plane.shape
        small = plane.view(n, height // 2, 2, width // 2, 2).mean((2, 4))
        small = _quantised(small, tables[1])
        planes.append(small.repeat_interleave(2, 1).repeat_interleave(2, 2))
    back = torch.stack(planes, -1) @ torch.linalg.inv(turn).T
    return (back + 0.5).clamp(0, 255)


def soften(images, random):
    """uint8 [n, height, width, 3]: of ten pictures one gets noise, one and a half the traces of JPEG,
    less than half of one is blurred from left to right."""
    n, device = len(images), images.device
    chance = torch.rand(n, generator=random, device=device)
    out = images.clone()
    for low, high, kind in ((0.0, 0.1, "noise"), (0.1, 0.25, "jpeg"), (0.25, 0.29, "blur")):
        which = ((chance >= low) & (chance < high)).nonzero()[:, 0]
        if not len(which):
            continue
        part = images[which].float()
        strength = torch.rand(len(which), generator=random, device=device)
        if kind == "noise":
            noise = torch.randn(part.shape, generator=random, device=device)
            part = part + noise * (1.5 + 4.5 * strength)[:, None, None, None]
        elif kind == "jpeg":
            part = jpeg(part, (45 + 47 * strength).floor())
        else:
            part[:, :, 1:-1] = (part[:, :, :-2] + 2 * part[:, :, 1:-1] + part[:, :, 2:]) / 4
        out[which] = part.clamp(0, 255).to(torch.uint8)
    return out
