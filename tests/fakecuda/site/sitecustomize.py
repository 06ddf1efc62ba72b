"""Processes that run on the stand-in driver need no fatbin: their kernels are the CPU build of the same sources."""

from __future__ import annotations

from pathlib import Path

from livetint.engine import kernels

kernels.FATBIN = Path(__file__)
