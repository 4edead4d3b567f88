#!/usr/bin/env python3
"""Write resize_plan.bin, resize.bin and patch.bin: what the reference makes of seeded pictures.

The references are transformers' smart_resize and Qwen2VLImageProcessor (the processor of Qwen3-VL),
torchvision's antialiased bicubic on uint8 and Pillow's. Pictures and sizes come from an integer
hash that tests/vision/golden_picture.h repeats in C, so only results are stored. All little-endian.

Made with torch 2.15.0, torchvision 0.29.2, Pillow 12.3.0, transformers 5.23.0. Pillow 13 chooses
the order of its two passes by cost and gives other bytes.
"""
import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import (
    Qwen2VLImageProcessor,
    smart_resize,
)

HERE = Path(__file__).parent
NOISE, GRADIENT, TEXT = 0, 1, 2


def mix(x):
    """murmur3's finaliser; integers or numpy uint32 in, numpy uint32 out."""
    x = np.asarray(x, dtype=np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def picture(width, height, kind, seed):
    y, x, c = np.meshgrid(
        np.arange(height, dtype=np.uint32),
        np.arange(width, dtype=np.uint32),
        np.arange(3, dtype=np.uint32),
        indexing="ij",
    )
    if kind == NOISE:
        i = (y * np.uint32(width) + x) * np.uint32(3) + c
        v = mix(np.uint32(seed) + i) & np.uint32(255)
    elif kind == GRADIENT:
        v = (x * np.uint32(255) // np.uint32(width) + y * np.uint32(2) + c * np.uint32(85)) & np.uint32(255)
    else:
        cell = mix(np.uint32(seed) + y // np.uint32(3) * np.uint32(65536) + x // np.uint32(2))
        v = (cell & np.uint32(1)) * np.uint32(255)
    return v.astype(np.uint8)


def by_torch(a, width, height):
    t = torch.from_numpy(a).permute(2, 0, 1).contiguous()
    r = tvf.resize(t, [height, width], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return r.permute(1, 2, 0).contiguous().numpy()


def by_pillow(a, width, height):
    return np.asarray(Image.fromarray(a).resize((width, height), Image.BICUBIC))


def sha(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).digest()[:16]


def plan_sizes(n):
    """(width, height, setting) of case n; half of the sides are multiples of 16, where ties are."""
    side = []
    for k in (0, 1):
        r = int(mix(3 * n + k))
        s = 1 + (r >> 8) % (1 << (1 + r % 14))
        side.append(s * 16 if r & 128 and s < 1024 else s)
    return side[0], side[1], int(mix(3 * n + 2)) % 4


# factor, min_pixels, max_pixels: released Qwen3-VL, a small budget, Qwen2-VL, none to speak of
PLAN_SETTINGS = [
    (32, 65536, 16777216),
    (32, 65536, 1048576),
    (28, 3136, 12845056),
    (32, 1024, 1 << 40),
]


def make_plans(path, n=12000):
    out = bytearray()
    for i in range(n):
        w, h, setting = plan_sizes(i)
        factor, lo, hi = PLAN_SETTINGS[setting]
        try:
            rh, rw = smart_resize(h, w, factor=factor, min_pixels=lo, max_pixels=hi)
        except ValueError:
            rh = rw = 0
        out += struct.pack("<HH", rw // factor, rh // factor)
    path.write_bytes(out)


FULL = [  # stored whole, so that a difference can be looked at
    (7, 6, 4, 4), (5, 1, 8, 1), (1, 5, 1, 8), (1, 1, 9, 5), (16, 16, 16, 8), (16, 16, 8, 16),
    (13, 9, 29, 17), (40, 30, 32, 32),
]
LARGE = [
    (1280, 720, 1280, 704), (1024, 768, 1024, 800), (640, 480, 320, 256), (1000, 1400, 992, 1408),
    (333, 1000, 64, 192), (2000, 100, 256, 64), (90, 90, 640, 640), (31, 31, 256, 256),
    (1, 200, 32, 640), (200, 1, 640, 32), (4096, 2, 128, 2), (2, 4096, 2, 128),
]


def resize_cases():
    for w, h, tw, th in FULL:
        for kind in (NOISE, GRADIENT, TEXT):
            yield w, h, tw, th, kind, 1
    for w, h, tw, th in LARGE:
        for kind in (NOISE, TEXT):
            yield w, h, tw, th, kind, 0
    for i in range(400):
        w, h, tw, th = (1 + int(mix(100000 + 4 * i + k)) % 180 for k in range(4))
        yield w, h, tw, th, i % 3, 0


def make_resizes(path):
    out, n = bytearray(), 0
    for w, h, tw, th, kind, full in resize_cases():
        a = picture(w, h, kind, n)
        t, p = by_torch(a, tw, th), by_pillow(a, tw, th)
        out += struct.pack("<HHHHHH", w, h, tw, th, kind, full) + sha(t) + sha(p)
        if full:
            out += t.tobytes() + p.tobytes()
        n += 1
    path.write_bytes(struct.pack("<I", n) + out)


PATCH_CASES = [  # width, height, mean, std, whole chain (resized as the processor would)
    (64, 64, 0.5, 0.5, 0), (96, 64, 0.5, 0.5, 0), (352, 1280, 0.5, 0.5, 0),
    (128, 192, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), 0),
    (100, 80, 0.5, 0.5, 1), (333, 270, 0.5, 0.5, 1), (40, 700, 0.5, 0.5, 1), (720, 784, 0.5, 0.5, 1),
]


def make_patches(path):
    out = bytearray(struct.pack("<I", len(PATCH_CASES)))
    for n, (w, h, mean, std, chain) in enumerate(PATCH_CASES):
        mean = (mean,) * 3 if isinstance(mean, float) else mean
        std = (std,) * 3 if isinstance(std, float) else std
        options = dict(
            patch_size=16, merge_size=2, temporal_patch_size=2, image_mean=list(mean),
            image_std=list(std), do_resize=bool(chain),
            size={"shortest_edge": 65536, "longest_edge": 16777216},
        )
        a = picture(w, h, NOISE, 1000 + n)
        image = Image.fromarray(a)
        fast = Qwen2VLImageProcessor(**options)(images=[image], return_tensors="pt")
        slow = Qwen2VLImageProcessorPil(**options)(images=[image], return_tensors="pt")
        grid = fast["image_grid_thw"][0].tolist()
        f32, slow32 = fast["pixel_values"], torch.as_tensor(slow["pixel_values"]).float()
        bf16 = f32.to(torch.bfloat16).view(torch.int16).numpy()
        slow16 = slow32.to(torch.bfloat16).view(torch.int16).numpy()
        print(w, h, grid, "fast - slow:", (f32 - slow32).abs().max().item() if not chain else "")
        out += struct.pack("<HHHHHH", w, h, grid[2], grid[1], chain, 0)
        out += struct.pack("<6f", *mean, *std)
        out += sha(f32.numpy()) + sha(bf16) + sha(slow16)
    path.write_bytes(out)


def main():
    np.seterr(over="ignore")
    make_plans(HERE / "resize_plan.bin")
    make_resizes(HERE / "resize.bin")
    make_patches(HERE / "patch.bin")
    for name in ("resize_plan.bin", "resize.bin", "patch.bin"):
        print(name, (HERE / name).stat().st_size)


if __name__ == "__main__":
    sys.exit(main())
