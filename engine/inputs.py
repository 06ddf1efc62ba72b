"""The inputs of the networks: L, hints and global hints as tensors.

Runners, calibration, training and the bench make their inputs here. The names are those of the ONNX files: `light`
(the encoder of staged networks), `planes` and `global` (networks that take hints as planes), and the hint tensors of
`touch`. The kernels in `kernels/hints.cu` are the same definition on the GPU; tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .hints import Hint, rasterise

if TYPE_CHECKING:
    from .bundle import InputTable
    from .colour.global_hints import GlobalHints

# Networks take ab divided by this (Zhang et al. 2017). A bundle may have another number as `input.ab_scale`.
AB_SCALE = 110.0


def normalise_lightness(L: NDArray[np.floating], settings: InputTable) -> NDArray[np.float32]:
    """L in 0…100, of any shape → normalised L, the network's input, float32 of the same shape."""
    offset, scale = settings.light
    return ((np.asarray(L, np.float32) - np.float32(offset)) / np.float32(scale)).astype(np.float32, copy=False)


def mask_plane(mask: NDArray[np.float32], settings: InputTable) -> NDArray[np.float32]:
    """Mask in {0, 1}, of any shape → the network's values for "no hint" and "hint", float32 of the same shape."""
    low, high = settings.mask
    return mask * np.float32(high - low) + np.float32(low)


def colour_planes(
    L_plane: NDArray[np.float32], ab: NDArray[np.float32], mask: NDArray[np.float32], settings: InputTable
) -> NDArray[np.float32]:
    """Planes of L, ab and mask as one network input, float32 [B, 4, H, W].

    L_plane [B, 1, H, W]: normalised L. ab [B, 2, H, W]: colours of hints in CIELAB units, 0 without a hint.
    mask [B, 1, H, W] in {0, 1}.
    """
    return np.concatenate(
        [L_plane, ab / np.float32(settings.ab_scale), mask_plane(mask, settings)], 1, dtype=np.float32
    )


def planes_input(
    L_plane: NDArray[np.float32], hints: Sequence[Hint], global_hints: GlobalHints, settings: InputTable
) -> dict[str, NDArray[np.float32]]:
    """Inputs of a network that takes hints as planes: `planes` [1, C, H, W], and `global` [1, 316] if it takes that.

    L_plane float32 [1, 1, H, W]: normalised L. A network without local hints has one plane, L.
    """
    inputs = {"planes": L_plane}
    if settings.local:
        height, width = L_plane.shape[2:]
        ab, mask = rasterise(hints, (height, width))
        inputs["planes"] = colour_planes(L_plane, ab[None], mask[None], settings)
    if settings.takes_global:
        inputs["global"] = global_hints.vector()[None]
    return inputs


def touch_input(hints: Sequence[Hint], global_hints: GlobalHints) -> dict[str, NDArray[np.float32]]:
    """The inputs of `touch` besides the encoder's maps: the hint tensors and `global_hints` [1, 316]."""
    return {**hint_tensors(hints), "global_hints": global_hints.vector()[None]}


def hint_tensors(hints: Sequence[Hint]) -> dict[str, NDArray[np.float32]]:
    """The hint tensors of `touch`, float32: positions [1, N, 2] in 0…1, colours [1, N, 2] in CIELAB units, sizes [1, N]
    in working pixels, valid [1, N] in {0, 1}. Without hints, one hint that is not valid."""
    if not hints:
        zero, one = np.zeros((1, 1, 2), np.float32), np.ones((1, 1), np.float32)
        return {"positions": zero, "colours": zero, "sizes": one, "valid": one * 0}
    table = np.array([(h.x, h.y, h.a, h.b, h.size) for h in hints], np.float32)[None]
    return {
        "positions": np.ascontiguousarray(table[..., :2]),
        "colours": np.ascontiguousarray(table[..., 2:4]),
        "sizes": np.ascontiguousarray(table[..., 4]),
        "valid": np.ones(table.shape[:2], np.float32),
    }
