"""The touch stage of form "hint-attention-3" in NumPy and float64: the reference of the CUDA kernels.

Written after build_engine/networks/hint_attention.py, for maps of any size; the terms are those of touch.cuh.
Shapes: N hints, h heads, P = height · width cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from livetint.engine.distribution import sample_bilinear
from livetint.engine.hints import DEFAULT_SIZE_PX, WORKING_PX, Hint
from livetint.engine.inputs import AB_SCALE
from livetint.engine.kernels.touch import HEADS, HIDDEN, KEY, MOOD, TOKEN
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
CHANNELS = KEY + 5
MAX_LOGIT, ROUNDS, SIGMA_PX = 30.0, 3, 7.0
MIDDLE = 0.5
MAX_FOCUS, MAX_NARROWING, FOCUS_SLOPE, MIN_SURPRISE, MIN_SHARE = 6.0, 3.0, 8.0, 1e-6, 1e-4
MAP_NAMES = ("query", "key", "gate", "base", "mood", "up")


class Tokens(NamedTuple):
    """Of the hints: keys [h, N, KEY + 5], surprise [N], focus [h, N]; and the mood [MOOD]."""

    keys: Doubles
    surprise: Doubles
    focus: Doubles
    mood: Doubles


def touch(
    maps: Mapping[str, NDArray[np.float32]],
    hints: Sequence[Hint],
    global_hints: NDArray[np.float32],
    weights: Mapping[str, NDArray[np.float32]],
) -> tuple[Doubles, Doubles]:
    """ab [2, 4·height, 4·width] in CIELAB units and the coarse ab / 110 [2, height, width].

    `maps` without the batch axis: query [h, KEY + 5, P], key [h·KEY, height, width], gate [h, height, width],
    base [2, height, width], mood [2, MOOD, P], up [9, 16, P]. `weights`: initialisers of touch.onnx.
    """
    doubles = {name: maps[name].astype(np.float64) for name in MAP_NAMES}
    parameters = {name.removeprefix("attention."): value.astype(np.float64) for name, value in weights.items()}
    height, width = doubles["base"].shape[1:]
    tokens = _tokens(doubles, hints, global_hints.astype(np.float64), parameters)
    automatic = doubles["base"] + (tokens.mood @ doubles["mood"]).reshape(2, height, width)
    ab = np.array([(h.a, h.b) for h in hints]).reshape(-1, 2).T / AB_SCALE
    values = _values(doubles, tokens, ab - _patches(automatic, hints), hints, parameters["contrast"])
    share = _shares(tokens, doubles["query"], doubles["gate"].reshape(HEADS, -1), parameters["contrast"])
    coarse = automatic + (values @ share).reshape(2, height, width)
    return _corrected(_upsampled(coarse, doubles["up"]) * AB_SCALE, hints, ab * AB_SCALE), coarse


def _patches(plane: Doubles, hints: Sequence[Hint]) -> Doubles:
    """Means [C, N] of a plane [C, height, width] over each hint's patch, by the midpoints of its four quarters."""
    if not hints:
        return np.zeros((len(plane), 0))
    corners = np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)])
    points = [np.array((hint.x, hint.y), np.float32) + corners * hint.size / (4 * WORKING_PX) for hint in hints]
    return sample_bilinear(plane, np.concatenate(points)).reshape(-1, 4, len(plane)).mean(1).T  # type: ignore[arg-type]


def _gelu(x: Doubles) -> Doubles:
    return 0.5 * x * (1 + np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2)))


def _tokens(
    maps: Mapping[str, Doubles], hints: Sequence[Hint], global_hints: Doubles, weights: Mapping[str, Doubles]
) -> Tokens:
    number = len(hints)
    key, base = _patches(maps["key"], hints), _patches(maps["base"], hints)
    ab = np.array([(h.a, h.b) for h in hints]).reshape(-1, 2).T / AB_SCALE
    size = (np.array([h.size for h in hints], np.float64) - DEFAULT_SIZE_PX)[None] / 4
    flags = np.repeat(global_hints[[-3, -1], None], number, 1)
    token = np.concatenate([key, (ab - base) * 4, ab * 4, size, flags]).T
    assert token.shape == (number, TOKEN)
    hidden = _gelu(token @ weights["token.weight"].T + weights["token.bias"])
    distance = np.sqrt(((ab - base) ** 2).sum(0) + MIN_SURPRISE)
    surprise = 1 / (1 + np.exp((weights["surprise"][0] - distance) * weights["surprise"][1]))

    def layer(name: str) -> Doubles:
        return (hidden @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]).T

    mood = (layer("token_mood") * (1 - surprise)).sum(1) / (1 + number)
    mood = mood + weights["global_mood.weight"] @ _gelu(weights["global_hidden.weight"] @ global_hints)
    focus = MAX_FOCUS * np.tanh(FOCUS_SLOPE * layer("token_focus")) * surprise
    narrowing = np.exp(MAX_NARROWING * np.tanh(FOCUS_SLOPE * layer("token_narrowing")) * surprise)
    positions = np.array([(h.x, h.y) for h in hints], np.float32).astype(np.float64).reshape(-1, 2) - MIDDLE
    bias = layer("token_weight") + np.maximum(focus, 0)
    last = bias - narrowing * np.exp(5 * weights["reach"])[:, None] * (positions**2).sum(1)
    learned = key.reshape(HEADS, KEY, number).transpose(0, 2, 1)
    rest = np.stack([narrowing, last, np.ones((HEADS, number))], 2)
    return Tokens(np.concatenate([learned, narrowing[..., None] * positions, rest], 2), surprise, focus, mood)


def _shares(tokens: Tokens, query: Doubles, gate: Doubles, contrast: Doubles) -> Doubles:
    """Each hint's share [N, P] at P points with queries [h, KEY + 5, P] and gates [h, P]."""
    weight = np.exp(np.minimum(tokens.keys @ query, MAX_LOGIT))
    total = 1 + weight.sum(1)
    focused = gate * np.exp((tokens.focus[:, None] @ weight)[:, 0] / total)
    focused = focused / focused.sum(0) / total
    share, null = (weight * focused[:, None]).sum(0), focused.sum(0)
    surprising = tokens.surprise @ share
    odds = ((surprising + MIN_SHARE) / (null + MIN_SHARE)) ** contrast[1]
    even = np.exp(contrast[0] * contrast[1])
    gain = odds / (odds + even) * (surprising + null) / (surprising + MIN_SHARE)
    return share * (1 - tokens.surprise[:, None] + tokens.surprise[:, None] * gain)


def _values(
    maps: Mapping[str, Doubles], tokens: Tokens, difference: Doubles, hints: Sequence[Hint], contrast: Doubles
) -> Doubles:
    """The hints' values [2, N] whose mixture by shares is `difference` [2, N] at the hints, by Richardson iteration."""
    height, width = maps["base"].shape[1:]
    query = _patches(maps["query"].reshape(HEADS * CHANNELS, height, width), hints).reshape(HEADS, CHANNELS, -1)
    share = _shares(tokens, query, _patches(maps["gate"], hints), contrast)
    values = difference
    for _ in range(ROUNDS):
        values = values + difference - values @ share
    return values


def _upsampled(coarse: Doubles, up: Doubles) -> Doubles:
    """[2, height, width] → [2, 4·height, 4·width]: convex combinations of 3 × 3 cells, borders repeated."""
    _, height, width = coarse.shape
    padded = np.pad(coarse, ((0, 0), (1, 1), (1, 1)), "edge")
    shifted = np.stack([padded[:, k // 3 : k // 3 + height, k % 3 : k % 3 + width] for k in range(9)])
    fine = np.einsum("kchw,kshw->chws", shifted, up.reshape(9, 16, height, width))
    return fine.reshape(2, height, width, 4, 4).transpose(0, 1, 3, 2, 4).reshape(2, 4 * height, 4 * width)


def _corrected(fine: Doubles, hints: Sequence[Hint], ab: Doubles) -> Doubles:
    """Adds a Gaussian at every hint so that the pixels there become `ab` [2, N], the hints' colours."""
    if not hints:
        return fine
    height, width = fine.shape[1:]
    positions = np.array([(h.x, h.y) for h in hints], np.float32).astype(np.float64)

    def gaussian(distance: Doubles) -> Doubles:
        return np.exp(-(distance**2) / (2 * (SIGMA_PX / WORKING_PX) ** 2))

    across = gaussian(positions[:, :1] - (np.arange(width) + 0.5) / width)
    down = gaussian(positions[:, 1:] - (np.arange(height) + 0.5) / height)
    matrix = gaussian(positions[:, None, 0] - positions[:, 0]) * gaussian(positions[:, None, 1] - positions[:, 1])
    step = 1 / np.maximum(matrix.sum(0), 1e-4)
    residual = ab - sample_bilinear(fine, positions).T  # type: ignore[arg-type]
    amplitudes = residual * step
    for _ in range(ROUNDS):
        amplitudes = amplitudes + (residual - amplitudes @ matrix) * step
    return fine + np.einsum("ny,cn,nx->cyx", down, amplitudes, across)


def random_maps(rng: np.random.Generator, height: int, width: int, sharpness: float = 1.0) -> dict[str, NDArray]:
    """Random maps like those of an encoder, float32. A larger `sharpness` makes larger logits."""
    cells = height * width
    gate = np.exp(rng.standard_normal((HEADS, height, width)))
    up = np.exp(rng.standard_normal((9, 16, cells)))
    query = rng.standard_normal((HEADS, CHANNELS, cells)) * sharpness * KEY**-0.5
    x, y = np.meshgrid((np.arange(width) + 0.5) / width - MIDDLE, (np.arange(height) + 0.5) / height - MIDDLE)
    reach = np.exp(5 * random_reach())[:, None]
    query[:, KEY], query[:, KEY + 1] = 2 * reach * x.ravel(), 2 * reach * y.ravel()
    query[:, KEY + 2], query[:, KEY + 3] = -reach * (x**2 + y**2).ravel(), 1
    query[:, KEY + 4] = rng.standard_normal((HEADS, cells))
    maps = {
        "query": query,
        "key": rng.standard_normal((HEADS * KEY, height, width)) * sharpness,
        "gate": gate / gate.sum(0),
        "base": rng.uniform(-0.3, 0.3, (2, height, width)),
        "mood": rng.standard_normal((2, MOOD, cells)) * 0.05,
        "up": up / up.sum(0),
    }
    return {name: plane.astype(np.float32) for name, plane in maps.items()}


def random_reach() -> Doubles:
    return np.linspace(-0.2, 1, HEADS)


def random_weights(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Random initialisers of touch.onnx."""
    shapes = {
        "token.weight": (HIDDEN, TOKEN),
        "token.bias": (HIDDEN,),
        "token_mood.weight": (MOOD, HIDDEN),
        "token_mood.bias": (MOOD,),
        "token_weight.weight": (HEADS, HIDDEN),
        "token_weight.bias": (HEADS,),
        "token_focus.weight": (HEADS, HIDDEN),
        "token_focus.bias": (HEADS,),
        "token_narrowing.weight": (HEADS, HIDDEN),
        "token_narrowing.bias": (HEADS,),
        "global_hidden.weight": (HIDDEN, 316),
        "global_mood.weight": (MOOD, HIDDEN),
    }
    weights = {f"attention.{name}": rng.standard_normal(shape) * shape[-1] ** -0.5 for name, shape in shapes.items()}
    # Small enough that focus is mostly below MAX_FOCUS, large enough that it raises and lowers gates.
    for name in weights:
        weights[name] *= 0.2 if "focus" in name or "narrowing" in name else 1
    weights["attention.reach"], weights["attention.surprise"] = random_reach(), np.array([0.4, 10.0])
    weights["attention.contrast"] = np.array([-1.4, 2.0])
    return {name: value.astype(np.float32) for name, value in weights.items()}
