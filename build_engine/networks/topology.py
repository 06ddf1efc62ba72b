"""A network as a table of layers, from which both the PyTorch module and the ONNX file are made.

Nothing here needs torch or onnx. A topology is a tuple of `Layer`s in the order in which they run; each names the
layers that it reads. Names are state-dict prefixes (`model1.0`), so weights are assigned by name everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

EPSILON = 1e-5
LEAK = 0.2


@dataclass(frozen=True)
class Layer:
    """One step of a network.

    kind: input, conv, deconv (kernel 4, stride 2, padding 1), norm, relu, leaky, tanh, scale, add, decimate (every
    second row and column), slice (channels first…first + channels), stop (no gradient flows back).
    name: of the result; also the state-dict prefix for conv, deconv and norm. sources: names of what it reads.
    channels: of the result. stride: how many working pixels one cell covers; 0 for a vector [B, C, 1, 1].
    first: for conv and deconv the channels read, for slice where it starts.
    """

    kind: str
    name: str
    sources: tuple[str, ...]
    channels: int
    stride: int
    first: int = 0
    kernel: int = 1
    dilation: int = 1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """State-dict key → shape; empty for layers without weights."""
        if self.kind == "conv":
            weight = (self.channels, self.first, self.kernel, self.kernel)
        elif self.kind == "deconv":
            weight = (self.first, self.channels, self.kernel, self.kernel)
        elif self.kind == "norm":
            leaves = ("weight", "bias", "running_mean", "running_var")
            return {f"{self.name}.{leaf}": (self.channels,) for leaf in leaves}
        else:
            return {}
        return {f"{self.name}.weight": weight, f"{self.name}.bias": (self.channels,)}

    def macs(self, height: int, width: int) -> int:
        """Multiply-accumulates of a convolution on a photograph of height × width working pixels."""
        if self.kind not in ("conv", "deconv"):
            return 0
        cells = height * width // self.stride**2 if self.stride else 1
        taps = self.kernel**2 // (4 if self.kind == "deconv" else 1)
        return cells * taps * self.first * self.channels


@dataclass(frozen=True)
class Topology:
    """A network's layers, its inputs (name → channels) and its outputs (graph's name → layer's name)."""

    layers: tuple[Layer, ...]
    inputs: dict[str, int]
    outputs: dict[str, str]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """State-dict key → shape of all weights, in the order of the layers."""
        return {key: shape for layer in self.layers for key, shape in layer.shapes().items()}

    def macs(self, height: int = 256, width: int = 256) -> int:
        """Multiply-accumulates of one pass that computes all outputs."""
        return sum(layer.macs(height, width) for layer in self.layers)


class Builder:
    """Collects layers. Every method appends one or more and returns the name of the last."""

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}
        self.inputs: dict[str, int] = {}

    def input(self, name: str, channels: int, stride: int = 1) -> str:
        self.inputs[name] = channels
        return self._append(Layer("input", name, (), channels, stride))

    def conv(self, source: str, name: str, channels: int, kernel: int = 3, dilation: int = 1) -> str:
        read = self.layers[source]
        return self._append(Layer("conv", name, (source,), channels, read.stride, read.channels, kernel, dilation))

    def deconv(self, source: str, name: str, channels: int) -> str:
        """4 × 4 transposed convolution of stride 2 and padding 1: twice the size."""
        read = self.layers[source]
        return self._append(Layer("deconv", name, (source,), channels, read.stride // 2, read.channels, 4))

    def decimate(self, source: str) -> str:
        read = self.layers[source]
        return self._append(Layer("decimate", f"{source}.decimated", (source,), read.channels, read.stride * 2))

    def add(self, name: str, *sources: str) -> str:
        """The sum of the sources; a vector [B, C, 1, 1] among them is broadcast over the map of the others."""
        read = self.layers[sources[0]]
        return self._append(Layer("add", name, sources, read.channels, read.stride))

    def slice(self, source: str, name: str, first: int, channels: int) -> str:
        return self._append(Layer("slice", name, (source,), channels, self.layers[source].stride, first))

    def pointwise(self, kind: str, source: str, name: str) -> str:
        """A layer that does not change the shape: norm, relu, leaky, tanh, scale or stop."""
        read = self.layers[source]
        return self._append(Layer(kind, name, (source,), read.channels, read.stride))

    def block(self, source: str, name: str, widths: tuple[int, ...], dilation: int = 1, first: int = 0) -> str:
        """Convolutions, each followed by a ReLU, then one BatchNorm; the layers are numbered from `first`."""
        for index, channels in enumerate(widths):
            key = first + 2 * index
            source = self.conv(source, f"{name}.{key}", channels, dilation=dilation)
            source = self.pointwise("relu", source, f"{name}.{key + 1}")
        return self.pointwise("norm", source, f"{name}.{first + 2 * len(widths)}")

    def finish(self, outputs: dict[str, str]) -> Topology:
        return Topology(tuple(self.layers.values()), dict(self.inputs), outputs)

    def _append(self, layer: Layer) -> str:
        self.layers[layer.name] = layer
        return layer.name
