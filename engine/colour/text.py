"""Colours as text: `#RRGGBB` and the names of CSS.

Apart from `cielab`, which must import NumPy alone: PyTorch's networks are timed in Pythons that have no Pillow.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from ..errors import HintRejected
from .cielab import Floats


def parse_colour(text: str) -> NDArray[np.float64]:
    """`#RRGGBB`, or a name of CSS such as tomato → sRGB float64 [3] in 0..1. Raises HintRejected for any other text."""
    if not text.startswith("#"):
        text = _named_colour(text)
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise HintRejected(f"{text!r} is not a colour; write it as #RRGGBB, for instance #B03020")
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _named_colour(name: str) -> str:
    """A name of CSS → `#rrggbb`. Raises HintRejected, with a name that is like it."""
    known = {key: str(value) for key, value in ImageColor.colormap.items()}
    wanted = name.lower().replace(" ", "")
    if wanted in known:
        return known[wanted]
    similar = get_close_matches(wanted, known, 1)
    advice = f"did you mean {similar[0]}? " if similar else ""
    raise HintRejected(f"{name!r} is not a colour; {advice}write a name such as tomato, or #RRGGBB")


def format_colour(srgb: Floats) -> str:
    """sRGB [3] in 0..1 → `#RRGGBB`."""
    return "#" + "".join(f"{round(float(np.clip(v, 0, 1)) * 255):02X}" for v in srgb)
