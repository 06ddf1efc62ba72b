"""Bundles of `touch`: export three ONNX stages with fp16 weights, and read the weights back from a bundle."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.bundle import Bundle, DistributionTable, InputTable, Manifest
from ..engine.colour.global_hints import VECTOR_LENGTH
from ..engine.errors import ModelFileError
from ..engine.hints import WORKING_PX
from ..engine.runners.base import FEATURES
from .export import store_half, stored_weights, to_onnx
from .networks.efficientnet_lite import DEFAULT_BACKBONE
from .networks.hint_attention import MAP_NAMES, Hints, Maps, hints_from_inputs
from .networks.touch import TouchNetwork

FORM = "hint-attention-3"
MAX_HINTS = 128
HINT_INPUTS = ("positions", "colours", "sizes", "valid", "global_hints")
# Prefixes of weights that bundles before version 7 lack.
NEWEST_WEIGHTS = ("attention.kinds.", "attention.guard")


class EncoderStage(nn.Module):
    """light [1, 1, 256, 256] in 0…100 → the maps, in the order of MAP_NAMES, and the features."""

    def __init__(self, network: TouchNetwork) -> None:
        super().__init__()
        self.encoder, self.attention = network.encoder, network.attention

    def forward(self, L: Tensor) -> tuple[Tensor, ...]:
        features = self.encoder(L)
        return (*self.attention.maps(features), features)


class TouchStage(nn.Module):
    """Maps and hints, their colours in CIELAB units → ab [1, 2, 256, 256] in CIELAB units."""

    maps = tuple(name for name in MAP_NAMES if name != "logits")

    def __init__(self, network: TouchNetwork) -> None:
        super().__init__()
        self.attention = network.attention

    def forward(self, *inputs: Tensor) -> Tensor:
        maps, hints, global_hints, _ = unpack(self.maps, inputs)
        return self.attention.colours(maps, hints, global_hints)[0]


class DistributionStage(nn.Module):
    """Maps, hints and points [1, Q, 2] → probabilities [1, Q, 313]."""

    maps = ("query", "key", "gate", "base", "logits")

    def __init__(self, network: TouchNetwork) -> None:
        super().__init__()
        self.attention = network.attention

    def forward(self, *inputs: Tensor) -> Tensor:
        maps, hints, global_hints, rest = unpack(self.maps, inputs)
        return self.attention.distribution(maps, hints, global_hints, rest[0])


def unpack(names: tuple[str, ...], inputs: tuple[Tensor, ...]) -> tuple[Maps, Hints, Tensor, tuple[Tensor, ...]]:
    """Positional inputs of a graph → maps (those not in `names` are empty), hints, global hints, further inputs."""
    given = dict(zip(names, inputs, strict=False))
    maps = Maps(*(given.get(name, inputs[0].new_zeros(0)) for name in MAP_NAMES))
    *hints, global_hints = inputs[len(names) : len(names) + len(HINT_INPUTS)]
    return maps, hints_from_inputs(*hints), global_hints, inputs[len(names) + len(HINT_INPUTS) :]


def export_stages(network: TouchNetwork, numbers: tuple[int, int] = (5, 3)) -> dict[str, bytes]:
    """File name → ONNX bytes of the three stages, float32 inside, weights stored as fp16.

    `numbers`: hints and points of the example inputs; both axes are dynamic in the graphs.
    """
    network = network.eval()
    L = torch.full((1, 1, WORKING_PX, WORKING_PX), 50.0)
    with torch.no_grad():
        maps = network(L)
    hints = example_hints(numbers[0])
    points = torch.full((1, numbers[1], 2), 0.5)
    hint_axes = {name: {1: "hints"} for name in HINT_INPUTS[:4]}
    named = maps._asdict()
    touch = TouchStage(network)
    distribution = DistributionStage(network)
    models = {
        "encoder.onnx": to_onnx(EncoderStage(network), (L,), ["light"], [*MAP_NAMES, FEATURES]),
        "touch.onnx": to_onnx(
            touch, (*(named[n] for n in touch.maps), *hints), [*touch.maps, *HINT_INPUTS], ["ab"], hint_axes
        ),
        "distribution.onnx": to_onnx(
            distribution,
            (*(named[n] for n in distribution.maps), *hints, points),
            [*distribution.maps, *HINT_INPUTS, "points"],
            ["probabilities"],
            {**hint_axes, "points": {1: "points"}, "probabilities": {1: "points"}},
        ),
    }
    return {name: store_half(model).SerializeToString() for name, model in models.items()}


def example_hints(number: int) -> tuple[Tensor, ...]:
    """`number` hints as inputs of a graph: positions, colours, sizes, valid, global hints."""
    place = torch.linspace(0.1, 0.9, number)
    return (
        torch.stack([place, place.flip(0)], 1)[None],
        torch.full((1, number, 2), 20.0),
        torch.full((1, number), 5.0),
        torch.ones(1, number),
        torch.zeros(1, VECTOR_LENGTH),
    )


def touch_manifest(
    version: str,
    licence: str,
    data: str,
    trained: bool,
    temperature_scale: float = 1.0,
    backbone: str = DEFAULT_BACKBONE,
) -> Manifest:
    """model.toml of a `touch` bundle."""
    return Manifest(
        name="touch",
        network="touch",
        version=version,
        licence=licence,
        data=data,
        trained=trained,
        input=InputTable(
            working_size=(WORKING_PX, WORKING_PX),
            kind="hints",
            light=(0.0, 1.0),
            ab_scale=1.0,
            max_hints=MAX_HINTS,
            takes_global=True,
        ),
        stages={"encoder": "encoder.onnx", "touch": "touch.onnx", "distribution": "distribution.onnx"},
        distribution=DistributionTable("in-gamut-313", "probabilities", temperature_scale),
        touch_form=FORM,
        backbone=backbone,
    )


def backbone_of(bundle: Bundle) -> str:
    """The backbone of a `touch` bundle; bundles that name none have Lite 0."""
    return bundle.manifest.backbone or DEFAULT_BACKBONE


def network_of(bundle: Bundle) -> TouchNetwork:
    """The network of a `touch` bundle with its weights, in evaluation mode.

    Raises ModelFileError if the weights are not those of its backbone.
    """
    network = TouchNetwork(backbone_of(bundle))
    try:
        network.load_state_dict(_newest_weights(network) | weights_of(bundle))
    except RuntimeError as error:
        raise ModelFileError(f"{bundle.folder} does not hold the weights of touch with {network.backbone}") from error
    return network.eval()


def _newest_weights(network: TouchNetwork) -> dict[str, Tensor]:
    """The initial weights of what bundles before version 7 lack; with these the network computes what it did."""
    return {name: weight for name, weight in network.state_dict().items() if name.startswith(NEWEST_WEIGHTS)}


def weights_of(bundle: Bundle) -> dict[str, Tensor]:
    """Parameter name → float32 weights, read from the initialisers of every stage."""
    weights: dict[str, Tensor] = {}
    for data in bundle.stage_files.values():
        weights |= {name: torch.from_numpy(np.array(value)) for name, value in stored_weights(data).items()}
    if not weights:
        raise ModelFileError(f"{bundle.folder} holds no weights to start from; name a complete bundle")
    return weights
