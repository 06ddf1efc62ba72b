"""The colours of an edit on their way from the engine process to the process that makes a file of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.image.layers import Layer


def pack_colours(ab: NDArray[np.float32], layers: Sequence[Layer]) -> bytes:
    """What `compose` takes, ab float32 [2, H, W] and layers, as an .npz."""
    arrays: dict[str, Any] = {"ab": ab}
    for number, layer in enumerate(layers):
        arrays |= {f"ab_{number}": layer.ab, f"distance_{number}": layer.distance}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def unpack_colours(data: bytes) -> tuple[NDArray[np.float32], list[Layer]]:
    """The ab and layers of `pack_colours`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        count = len(arrays.files) // 2
        return arrays["ab"], [Layer(arrays[f"ab_{number}"], arrays[f"distance_{number}"]) for number in range(count)]
