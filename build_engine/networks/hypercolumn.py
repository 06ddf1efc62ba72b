"""The paper's own distribution head on the trunk of `siggraph17`: a hypercolumn over six blocks, 313 classes.

Each of blocks 3 to 8 gives 384 channels at quarter resolution. Their sum equals one linear layer over the
concatenated maps. The head does not train the trunk: gradients stop at all six branches.
"""

from __future__ import annotations

from .siggraph17 import decoder, eighth, encoder
from .topology import Builder, Topology

IN_GAMUT_BINS = 313
WIDTH = 384


def siggraph17_hypercolumn() -> Topology:
    """planes [B, 4, H, W] → ab [B, 2, H, W] in CIELAB units, logits [B, 313, H/4, W/4]; H, W multiples of 8."""
    table = Builder()
    maps = encoder(table, 4)
    maps["model8"] = eighth(table, maps)
    branches = []
    for number in range(3, 9):
        source = table.pointwise("stop", maps[f"model{number}"], f"head.source{number}")
        key = f"hypercolumn.conv{number}"
        at_quarter = number in (3, 8)
        branches.append(table.conv(source, key, WIDTH) if at_quarter else table.deconv(source, key, WIDTH))
    source = table.pointwise("relu", table.add("hypercolumn.sum", *branches), "hypercolumn.relu")
    logits = table.conv(source, "hypercolumn.classes", IN_GAMUT_BINS, kernel=1)
    return table.finish({"ab": decoder(table, maps), "logits": logits})
