"""EfficientNet-Lite 0, 1 and 2 as feature extractors, with their BatchNorms folded into the convolutions.

The topology is that of the published EfficientNet-Lite (TensorFlow's SAME padding, ReLU6, no squeeze-and-excitation).
The statistics of its BatchNorms stay frozen in further training, so folding them once is exact, and every back end gets
simple convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...engine.errors import ConfigError

# kernel, stride, expansion, output channels and repeats of the stages of Lite 0
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# Name of the backbone → factors of the channels and of the repeats. The first and the last stage are not repeated more.
SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
BACKBONES = tuple(SCALES)
# Bundles and training files that name no backbone have this one.
DEFAULT_BACKBONE = "lite0"
STEM_CHANNELS = 32
BATCH_NORM_EPS = 1e-3
TAP_STRIDES = (4, 8, 16, 32)


def blocks_of(backbone: str) -> tuple[tuple[int, int, int, int], ...]:
    """Kernel, stride, expansion and output channels of every block. Raises ConfigError for an unknown backbone."""
    if backbone not in SCALES:
        raise ConfigError(f"the backbone {backbone!r} is unknown; it is one of {', '.join(BACKBONES)}")
    width, depth = SCALES[backbone]
    blocks = []
    for index, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        number = repeats if index in (0, len(STAGES) - 1) else math.ceil(repeats * depth)
        blocks += [(kernel, stride if n == 0 else 1, expansion, _scaled(channels, width)) for n in range(number)]
    return tuple(blocks)


def taps_of(backbone: str) -> dict[int, int]:
    """Channels of the last block at strides 4, 8, 16 and 32. Raises ConfigError for an unknown backbone."""
    stride, taps = 2, {}
    for _, block_stride, _, channels in blocks_of(backbone):
        stride *= block_stride
        taps[stride] = channels
    return {s: taps[s] for s in TAP_STRIDES}


def _scaled(channels: int, width: float) -> int:
    """The multiple of 8 nearest to channels · width, but at least 0.9 of it (the rule of the published networks)."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: for stride 2 the odd row and column are added at the far side."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        if self.stride[0] == 2:
            near = (self.kernel_size[0] - 2) // 2
            far = self.kernel_size[0] - 2 - near
            input = F.pad(input, (near, far, near, far))
        if self.groups > 1 and input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # The gradient of a depthwise convolution takes a CPU eight times as long in bf16 as in float32.
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.float())
        return super().forward(input)


class Block(nn.Module):
    """Inverted residual: expand 1 × 1, depthwise k × k, project 1 × 1; added to the input where shapes agree."""

    def __init__(self, inputs: int, kernel: int, stride: int, expansion: int, outputs: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = SameConv(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """[B, 3, H, W] normalised RGB → the maps at strides 4, 8, 16, 32 (channels: `taps_of`)."""

    def __init__(self, backbone: str = DEFAULT_BACKBONE) -> None:
        super().__init__()
        self.strides = [stride for _, stride, _, _ in blocks_of(backbone)]
        self.stem = SameConv(3, STEM_CHANNELS, 3, 2)
        channels, blocks = STEM_CHANNELS, []
        for kernel, stride, expansion, outputs in blocks_of(backbone):
            blocks.append(Block(channels, kernel, stride, expansion, outputs))
            channels = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        x = F.relu6(self.stem(x))
        stride, taps = 2, {}
        for block_stride, block in zip(self.strides, self.blocks, strict=True):
            stride *= block_stride
            x = block(x)
            taps[stride] = x
        return {s: taps[s] for s in TAP_STRIDES}


def fold_released_weights(released: Mapping[str, Tensor], backbone: str = DEFAULT_BACKBONE) -> dict[str, Tensor]:
    """State dict of EfficientNetLite from a released one, which has BatchNorms and convolutions without biases.

    `released` has the names of the usual PyTorch port (`_conv_stem`, `_bn0`, `_blocks.N._expand_conv`, …). Raises
    ConfigError if the names or the shapes are not those of this backbone.
    """
    folded: dict[str, Tensor] = {}

    def fold(name: str, conv: str, norm: str) -> None:
        if f"{conv}.weight" not in released or f"{norm}.running_var" not in released:
            raise ConfigError(f"these are not weights of {backbone}: {conv} or {norm} is missing")
        scale = released[f"{norm}.weight"] / torch.sqrt(released[f"{norm}.running_var"] + BATCH_NORM_EPS)
        folded[f"{name}.weight"] = released[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{name}.bias"] = released[f"{norm}.bias"] - released[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    for index, (_, _, expansion, _) in enumerate(blocks_of(backbone)):
        ours, theirs = f"blocks.{index}", f"_blocks.{index}"
        if expansion > 1:
            fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        fold(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    own = EfficientNetLite(backbone).state_dict()
    for name, weight in folded.items():
        if weight.shape != own[name].shape:
            raise ConfigError(
                f"these are not weights of {backbone}: {name} is {list(weight.shape)}, expected {list(own[name].shape)}"
            )
    return folded
