"""Steady colours: the last frame's ab, moved along the flow, is mixed with the new ab where the two frames agree.

A colour follows its thing and changes slowly. Where a thing comes into sight, or the flow fails, the new ab is shown at
once, so that nothing leaves a trail.
"""

from __future__ import annotations

import cv2
import numpy as np

from .flow import Flow, Plane

# The share of the new ab where frames agree completely.
NEW_SHARE = 0.1
# L of a moved pixel may differ by about this much from the new L, after a change of brightness of the whole frame.
SIGMA_L = 8.0
# Doubtful pixels make their neighbours doubtful too.
MARGIN_PX = 3


def agreement(flow: Flow, earlier_L: Plane, later_L: Plane) -> Plane:
    """How far each pixel of the later frame shows what the flow says: float32 [H, W] in 0…1. L: float32 [H, W]."""
    difference = later_L - flow.warp(earlier_L[None])[0]
    if flow.agrees.any():
        difference = difference - np.median(difference[flow.agrees])
    alike = flow.agrees * np.exp(-((difference / np.float32(SIGMA_L)) ** 2))
    return np.asarray(cv2.erode(alike.astype(np.float32), np.ones((MARGIN_PX, MARGIN_PX))), np.float32)


def steadied(ab: Plane, moved: Plane, agreement: Plane) -> Plane:
    """ab float32 [2, H, W] of a frame, steadied by the last frame's ab, moved along the flow."""
    kept = (1 - np.float32(NEW_SHARE)) * agreement
    return np.asarray(ab + kept * (moved - ab), np.float32)
