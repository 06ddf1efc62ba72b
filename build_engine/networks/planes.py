"""A topology as a PyTorch module, with the names of the topology as state-dict keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...engine.inputs import AB_SCALE
from . import TOPOLOGIES
from .topology import EPSILON, LEAK, Layer, Topology

# Where gradients can be stopped: at the head, as in the paper, or, in one stage of the retrained release, at the
# colour decoder instead.
HEAD, DECODER = "head", "decoder"


class PlanesNetwork(nn.Module):
    """One of the paper's networks: `forward(planes[, global])` returns the topology's outputs by name.

    stopped: labels of the gradient stops that are closed ("head", "decoder"). They change no value, only which layers
    are trained.
    """

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self.topology = topology
        self.stopped = frozenset({HEAD})
        for layer in topology.layers:
            module = _module(layer)
            if module is not None:
                _place(self, layer.name, module)
        self._learned = {name: module for name, module in self.named_modules() if not isinstance(module, _Folder)}

    def forward(self, planes: Tensor, vector: Tensor | None = None) -> dict[str, Tensor]:
        """planes [B, C, H, W], vector [B, 316] for the global network → output name → tensor."""
        values = {"planes": planes}
        if vector is not None:
            values["global"] = vector[:, :, None, None]
        for layer in self.topology.layers:
            if layer.kind != "input":
                values[layer.name] = self._run(layer, [values[name] for name in layer.sources])
        return {name: values[source] for name, source in self.topology.outputs.items()}

    def _run(self, layer: Layer, sources: list[Tensor]) -> Tensor:
        x = sources[0]
        if layer.name in self._learned:
            return self._learned[layer.name](x)
        if layer.kind == "stop":
            return x.detach() if layer.name.split(".")[0] in self.stopped else x
        if layer.kind == "add":
            for other in sources[1:]:
                x = x + other
            return x
        if layer.kind == "slice":
            return x[:, layer.first : layer.first + layer.channels]
        return _FUNCTIONS[layer.kind](x)


def decimate(x: Tensor) -> Tensor:
    """Every second row and column, starting with the first, in the form that TensorRT and ncnn run fastest."""
    return F.max_pool2d(x, 1, 2)


_FUNCTIONS = {
    "relu": F.relu,
    "leaky": lambda x: F.leaky_relu(x, LEAK),
    "tanh": torch.tanh,
    "scale": lambda x: x * AB_SCALE,
    "decimate": decimate,
}


class _Folder(nn.Module):
    """Holds the layers of one block under their numbers."""


def _module(layer: Layer) -> nn.Module | None:
    if layer.kind == "conv":
        padding = layer.dilation * (layer.kernel // 2)
        return nn.Conv2d(layer.first, layer.channels, layer.kernel, 1, padding, layer.dilation)
    if layer.kind == "deconv":
        return nn.ConvTranspose2d(layer.first, layer.channels, layer.kernel, 2, 1)
    if layer.kind == "norm":
        return nn.BatchNorm2d(layer.channels, eps=EPSILON)
    return None


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    *folders, leaf = name.split(".")
    for folder in folders:
        if folder not in root._modules:
            root.add_module(folder, _Folder())
        root = root._modules[folder]  # type: ignore[assignment]
    root.add_module(leaf, module)


def planes_network(name: str) -> PlanesNetwork:
    """A fresh network by name: siggraph17, siggraph17-hypercolumn or siggraph17-global."""
    return PlanesNetwork(TOPOLOGIES[name]())
