"""The Global Hints Network: colour from L and from statistics that are asked of the whole picture.

The vector of 316 contains the histogram over the 313 bins and its flag, and the mean saturation and its flag. Four
layers of 512 channels turn it into one vector, which is added to every cell of block 4's map. There are no hints at
points and no distribution head.
"""

from __future__ import annotations

from .hypercolumn import IN_GAMUT_BINS
from .siggraph17 import decoder, eighth, encoder
from .topology import Builder, Topology

WIDTH = 512


def siggraph17_global() -> Topology:
    """planes [B, 1, H, W] (L) and global [B, 316] → ab [B, 2, H, W] in CIELAB units; H, W multiples of 8."""
    table = Builder()
    vector = table.input("global", IN_GAMUT_BINS + 3, stride=0)
    histogram = table.slice(vector, "global.histogram", 0, IN_GAMUT_BINS + 1)
    saturation = table.slice(vector, "global.saturation", IN_GAMUT_BINS + 1, 2)
    first = (
        table.conv(histogram, "global_histogram.0", WIDTH, kernel=1),
        table.conv(saturation, "global_saturation.0", WIDTH, kernel=1),
    )
    source = table.pointwise("relu", table.add("global1.sum", *first), "global1.0")
    source = table.pointwise("norm", source, "global1.1")
    for number in (2, 3, 4):
        source = table.pointwise("relu", table.conv(source, f"global{number}.0", WIDTH, kernel=1), f"global{number}.1")
        source = table.pointwise("norm", source, f"global{number}.2")
    maps = encoder(table, 1, source)
    maps["model8"] = eighth(table, maps)
    return table.finish({"ab": decoder(table, maps)})
