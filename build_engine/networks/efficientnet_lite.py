"""EfficientNet-Lite 0 as a feature extractor, with its BatchNorms folded into the convolutions.

The topology is that of the published EfficientNet-Lite 0 (TensorFlow's SAME padding, ReLU6, no
squeeze-and-excitation). The statistics of its BatchNorms stay frozen in further training, so folding them once is
exact, and every back end gets simple convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# kernel, stride, expansion, output channels of the 16 blocks
BLOCKS = (
    (3, 1, 1, 16),
    (3, 2, 6, 24), (3, 1, 6, 24),
    (5, 2, 6, 40), (5, 1, 6, 40),
    (3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80),
    (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112),
    (5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192),
    (3, 1, 6, 320),
)  # fmt: skip
STEM_CHANNELS = 32
BATCH_NORM_EPS = 1e-3
# channels of the last block at strides 4, 8, 16 and 32
TAPS = {4: 24, 8: 40, 16: 112, 32: 320}


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: for stride 2 the odd row and column are added at the far side."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        if self.stride[0] == 2:
            near = (self.kernel_size[0] - 2) // 2
            far = self.kernel_size[0] - 2 - near
            input = F.pad(input, (near, far, near, far))
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


class EfficientNetLite0(nn.Module):
    """[B, 3, H, W] normalised RGB → the maps at strides 4, 8, 16, 32 (channels in TAPS)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM_CHANNELS, 3, 2)
        channels, blocks = STEM_CHANNELS, []
        for kernel, stride, expansion, outputs in BLOCKS:
            blocks.append(Block(channels, kernel, stride, expansion, outputs))
            channels = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        x = F.relu6(self.stem(x))
        stride, taps = 2, {}
        for (_, block_stride, _, _), block in zip(BLOCKS, self.blocks, strict=True):
            stride *= block_stride
            x = block(x)
            taps[stride] = x
        return {s: taps[s] for s in TAPS}


def fold_released_weights(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of EfficientNetLite0 from a released one, which has BatchNorms and convolutions without biases.

    `released` has the names of the usual PyTorch port (`_conv_stem`, `_bn0`, `_blocks.N._expand_conv`, …).
    """
    folded: dict[str, Tensor] = {}

    def fold(name: str, conv: str, norm: str) -> None:
        scale = released[f"{norm}.weight"] / torch.sqrt(released[f"{norm}.running_var"] + BATCH_NORM_EPS)
        folded[f"{name}.weight"] = released[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{name}.bias"] = released[f"{norm}.bias"] - released[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    for index, (_, _, expansion, _) in enumerate(BLOCKS):
        ours, theirs = f"blocks.{index}", f"_blocks.{index}"
        if expansion > 1:
            fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        fold(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    return folded
