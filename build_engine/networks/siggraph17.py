"""The Local Hints Network of Zhang et al. (SIGGRAPH 2017), layer for layer, with the released 529-way head.

Ten blocks. After each of the first three, the map is halved by decimation (every second row and column, no pooling).
The fifth and sixth have dilation 2. Three transposed convolutions upsample again; to each, a 3 × 3 convolution of the
encoder's map of the same size is added. In every block but the last, a BatchNorm follows the last ReLU.
"""

from __future__ import annotations

from .topology import Builder, Topology

GRID_BINS = 529


def siggraph17() -> Topology:
    """planes [B, 4, H, W] (L, a, b, mask) → ab [B, 2, H, W] in CIELAB units, logits [B, 529, H/4, W/4].

    H and W are multiples of 8. The classes run over the 23 × 23 grid, a slow and b fast.
    """
    table = Builder()
    maps = encoder(table, 4)
    maps["model8"] = eighth(table, maps)
    head = table.pointwise("stop", maps["model8"], "head.source")
    logits = table.conv(head, "model_class.0", GRID_BINS, kernel=1)
    return table.finish({"ab": decoder(table, maps), "logits": logits})


def encoder(table: Builder, channels: int, global_source: str | None = None) -> dict[str, str]:
    """Blocks 1 to 7: block → name of its result. global_source: a vector of 512 channels, added to block 4's map."""
    maps = {}
    source = table.input("planes", channels)
    for name, widths, dilation in (
        ("model1", (64, 64), 1),
        ("model2", (128, 128), 1),
        ("model3", (256, 256, 256), 1),
        ("model4", (512, 512, 512), 1),
        ("model5", (512, 512, 512), 2),
        ("model6", (512, 512, 512), 2),
        ("model7", (512, 512, 512), 1),
    ):
        source = maps[name] = table.block(source, name, widths, dilation)
        if name in ("model1", "model2", "model3"):
            source = table.decimate(source)
        if name == "model4" and global_source is not None:
            source = table.add("model4.global", source, global_source)
    return maps


def eighth(table: Builder, maps: dict[str, str]) -> str:
    """Block 8, at quarter resolution. The distribution heads read its map."""
    up = table.deconv(maps["model7"], "model8up.0", 256)
    skip = table.conv(maps["model3"], "model3short8.0", 256)
    source = table.pointwise("relu", table.add("model8.sum", up, skip), "model8.0")
    return table.block(source, "model8", (256, 256), first=1)


def decoder(table: Builder, maps: dict[str, str]) -> str:
    """Blocks 9 and 10 and the colours.

    They read the encoder's maps through gradient stops labelled `decoder`, which are open unless a training stage
    closes them.
    """
    one, two, eight = (table.pointwise("stop", maps[f"model{n}"], f"decoder.source{n}") for n in (1, 2, 8))
    up = table.deconv(eight, "model9up.0", 128)
    skip = table.conv(two, "model2short9.0", 128)
    source = table.pointwise("relu", table.add("model9.sum", up, skip), "model9.0")
    source = table.block(source, "model9", (128,), first=1)
    up = table.deconv(source, "model10up.0", 128)
    skip = table.conv(one, "model1short10.0", 128)
    source = table.pointwise("relu", table.add("model10.sum", up, skip), "model10.0")
    source = table.pointwise("leaky", table.conv(source, "model10.1", 128), "model10.2")
    source = table.pointwise("tanh", table.conv(source, "model_out.0", 2, kernel=1), "model_out.1")
    return table.pointwise("scale", source, "ab")
