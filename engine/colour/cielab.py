"""sRGB and CIELAB in floating point, and the sRGB gamut seen from Lab.

The conventions are scikit-image's: D65 white for the 2-degree observer, the sRGB transfer curve with its
threshold at 0.04045. This is the only definition in Python; the CUDA kernels and the shader are tested
against it. Arrays keep their dtype (float32 or float64). The last axis of colours holds the three channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

XYZ_FROM_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
RGB_FROM_XYZ = np.linalg.inv(XYZ_FROM_RGB)
WHITE = np.array([0.95047, 1.0, 1.08883])

# The sRGB transfer curve: linear below the threshold (in gamma-encoded values), a power with an offset above.
GAMMA, GAMMA_OFFSET, GAMMA_SLOPE, GAMMA_THRESHOLD = 2.4, 0.055, 12.92, 0.04045
# The same threshold in linear light.
LINEAR_THRESHOLD = 0.0031308
# CIELAB's f: a cube root above the threshold, linear below. The threshold of the inverse is in values of f.
LAB_THRESHOLD, INVERSE_LAB_THRESHOLD, LAB_SLOPE, LAB_OFFSET = 0.008856, 0.2068966, 7.787, 16 / 116

# By how much linear-light channels may exceed 0..1 inside the gamut: half a step of 8-bit sRGB at its dark end. So
# every 8-bit colour is inside after a round trip in float32.
GAMUT_SLACK = 1.5e-4


def decode_gamma(srgb: Floats) -> Floats:
    """Gamma-encoded sRGB in 0..1, of any shape → linear light in 0..1."""
    curved = ((np.maximum(srgb, GAMMA_THRESHOLD) + GAMMA_OFFSET) / (1 + GAMMA_OFFSET)) ** GAMMA
    return np.where(srgb > GAMMA_THRESHOLD, curved, srgb / GAMMA_SLOPE).astype(srgb.dtype, copy=False)


def encode_gamma(linear: Floats) -> Floats:
    """Linear light in 0..1, of any shape → gamma-encoded sRGB in 0..1. The inverse of `decode_gamma`."""
    curved = (1 + GAMMA_OFFSET) * np.maximum(linear, LINEAR_THRESHOLD) ** (1 / GAMMA) - GAMMA_OFFSET
    return np.where(linear > LINEAR_THRESHOLD, curved, linear * GAMMA_SLOPE).astype(linear.dtype, copy=False)


def lab_f(t: Floats) -> Floats:
    """CIELAB's f(t) of X, Y or Z relative to white, of any shape; L = 116 · f(Y) − 16."""
    return np.where(t > LAB_THRESHOLD, np.cbrt(t), LAB_SLOPE * t + LAB_OFFSET).astype(t.dtype, copy=False)


def inverse_lab_f(f: Floats) -> Floats:
    """X, Y or Z relative to white from CIELAB's f(t), of any shape. The inverse of `lab_f`."""
    return np.where(f > INVERSE_LAB_THRESHOLD, f**3, (f - LAB_OFFSET) / LAB_SLOPE).astype(f.dtype, copy=False)


def srgb_to_lab(srgb: Floats) -> Floats:
    """Gamma-encoded sRGB [..., 3] in 0..1 → CIELAB [..., 3], L in 0..100, a and b in CIELAB units."""
    f = lab_f(decode_gamma(srgb) @ (XYZ_FROM_RGB / WHITE[:, None]).T.astype(srgb.dtype))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_linear(lab: Floats) -> Floats:
    """CIELAB [..., 3] → linear-light sRGB [..., 3], unclipped: outside 0..1 means outside the gamut."""
    y = (lab[..., 0] + 16) / 116
    x = y + lab[..., 1] / 500
    z = np.maximum(y - lab[..., 2] / 200, 0)
    return inverse_lab_f(np.stack([x, y, z], axis=-1)) @ (RGB_FROM_XYZ * WHITE).T.astype(lab.dtype)


def lab_to_srgb(lab: Floats) -> Floats:
    """CIELAB [..., 3] → gamma-encoded sRGB [..., 3], clipped into 0..1."""
    return encode_gamma(np.clip(lab_to_linear(lab), 0, 1))


def in_gamut(lab: Floats) -> NDArray[np.bool_]:
    """Whether each CIELAB colour [..., 3] is in the sRGB gamut, within GAMUT_SLACK of linear light."""
    linear = lab_to_linear(lab)
    return np.all((linear >= -GAMUT_SLACK) & (linear <= 1 + GAMUT_SLACK), axis=-1)


def project_into_gamut(lab: Floats, steps: int = 20) -> Floats:
    """Reduce the chroma of CIELAB colours [..., 3] until they are in the sRGB gamut; L and hue stay the same.

    L outside 0..100 is clipped. The chroma is found by bisection, to 2^-steps of it. A visitor who picks an impossible
    red for a light coat gets the strongest pink of that hue.
    """
    clipped = lab.copy()
    clipped[..., 0] = np.clip(lab[..., 0], 0, 100)
    low = np.zeros(lab.shape[:-1], lab.dtype)
    high = np.ones(lab.shape[:-1], lab.dtype)
    is_inside = in_gamut(clipped)
    for _ in range(steps):
        middle = (low + high) / 2
        fits = in_gamut(_scale_chroma(clipped, middle))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.where(is_inside[..., None], clipped, _scale_chroma(clipped, low)).astype(lab.dtype, copy=False)


def _scale_chroma(lab: Floats, factor: Floats) -> Floats:
    return np.concatenate([lab[..., :1], lab[..., 1:] * factor[..., None]], axis=-1)
