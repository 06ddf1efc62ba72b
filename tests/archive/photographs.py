"""Synthetic photographs, small so that tests are fast."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

SIDE_PX = 24


def write_photographs(folder: Path, count: int) -> list[str]:
    """Write `count` different grey photographs into `folder` and subfolders. Returns their names, sorted."""
    names = [f"{'abc'[number % 3]}/scan {number:04}{('.jpg', '.png', '.tif')[number % 3]}" for number in range(count)]
    draw = random.Random(1)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.frombytes("L", (SIDE_PX, SIDE_PX), draw.randbytes(SIDE_PX**2)).save(path)
    return sorted(names)
