"""Layers of colour: ab that replaces the ab below it within a border, at any size of the picture.

The border is kept as signed distances on a grid. Enlarging distances keeps a border sharp at every size, where
enlarging a mask would blur it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Width of the border's feather, outwards from the border, in working pixels (of 256).
FEATHER_PX = 1.0

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """Colours within a border.

    ab: float32 [2, h, w] in CIELAB units. distance: float32 [n, m], distance to the border in working pixels at the
    centres of cells, negative inside.
    """

    ab: NDArray[np.float32]
    distance: Plane

    def transposed(self) -> Layer:
        """The layer of the transposed picture."""
        return Layer(np.ascontiguousarray(self.ab.transpose(0, 2, 1)), np.ascontiguousarray(self.distance.T))

    def scaled(self, factor: float) -> Layer:
        """The layer with its ab multiplied."""
        return self if factor == 1 else replace(self, ab=self.ab * np.float32(factor))


def coverage(distance: Plane) -> Plane:
    """How much of a layer shows, in 0…1, at distances from its border: all of it inside, none beyond the feather."""
    return np.clip(1 - distance / np.float32(FEATHER_PX), 0, 1).astype(np.float32)


def blend(below: NDArray[np.float32], above: NDArray[np.float32], covered: Plane) -> NDArray[np.float32]:
    """ab of any leading axes: `below` where `covered` is 0, `above` where it is 1."""
    return np.asarray(below + (above - below) * covered, np.float32)


# Rows of the full picture → a and b of these rows, [rows, W].
Rows = Callable[[slice], tuple[Plane, Plane]]


def layered(below: Rows, above: Rows, distance_of: Callable[[slice], Plane]) -> Rows:
    """Rows of a layer over what is below it. Stripes that the layer does not touch cost no more than its distance."""

    def rows_of(rows: slice) -> tuple[Plane, Plane]:
        covered = coverage(distance_of(rows))
        under = below(rows)
        if not covered.any():
            return under
        a, b = (blend(*planes, covered) for planes in zip(under, above(rows), strict=True))
        return a, b

    return rows_of
