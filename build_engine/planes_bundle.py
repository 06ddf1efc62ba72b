"""Bundles of the paper's networks: one ONNX file for both stages, so that the 137 MB of the trunk are stored once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ..engine.bundle import Bundle, DistributionTable, InputTable, Manifest, write_bundle
from ..engine.errors import ConfigError, ModelFileError
from ..engine.hints import WORKING_PX
from .networks import TOPOLOGIES
from .networks.topology import Topology
from .topology_onnx import Weights, random_weights, topology_model

FILE = "network.onnx"
GLOBAL = "siggraph17-global"
# Name → value of the mask without and with a hint. The released checkpoints differ in it; with the wrong one a network
# seems to ignore hints.
MASKS: dict[str, tuple[float, float]] = {"zero-one": (0.0, 1.0), "centred": (-0.5, 0.5)}
DEFAULT_MASK = "zero-one"
# Factor of the logits before the softmax, for suggestions.
SUGGESTION_SCALE = 0.2
BINS = {529: "grid-529", 313: "in-gamut-313"}


def topology_of(network: str) -> Topology:
    """The topology of a network by name. Raises ConfigError for unknown names."""
    if network not in TOPOLOGIES:
        raise ConfigError(f"there is no network {network!r}; known are {', '.join(TOPOLOGIES)}")
    return TOPOLOGIES[network]()


def planes_input_table(
    topology: Topology, mask: str = DEFAULT_MASK, size: tuple[int, int] = (WORKING_PX, WORKING_PX)
) -> InputTable:
    """How hints become the input of one of the paper's networks; `mask` is a key of MASKS."""
    return InputTable(
        working_size=size,
        mask=MASKS[mask],
        takes_global="global" in topology.inputs,
        local=topology.inputs["planes"] == 4,
    )


def planes_manifest(
    network: str,
    version: str,
    licence: str,
    data: str,
    trained: bool,
    mask: str = DEFAULT_MASK,
    size: tuple[int, int] = (WORKING_PX, WORKING_PX),
) -> Manifest:
    """model.toml of one of the paper's networks; `mask` is a key of MASKS."""
    topology = topology_of(network)
    bins = _bins_of(topology)
    return Manifest(
        name=network,
        network=network,
        version=version,
        licence=licence,
        data=data,
        trained=trained,
        input=planes_input_table(topology, mask, size),
        stages={"colour": FILE, "distribution": FILE} if bins else {"colour": FILE},
        distribution=DistributionTable(BINS[bins], "logits", SUGGESTION_SCALE) if bins else None,
    )


def planes_files(
    network: str, weights: Weights, size: tuple[int, int] | None = (WORKING_PX, WORKING_PX)
) -> dict[str, bytes]:
    """File name → ONNX bytes; outputs `ab` [1, 2, H, W] and, where there is a head, `logits` [1, bins, H/4, W/4]."""
    return {FILE: topology_model(topology_of(network), weights, size).SerializeToString()}


def write_untrained(
    folder: str | Path, network: str, seed: int = 17, size: tuple[int, int] = (WORKING_PX, WORKING_PX)
) -> Bundle:
    """Write a bundle with random weights: right in shape and cost, without meaning in colour. Needs no torch."""
    weights = random_weights(topology_of(network), seed)
    manifest = planes_manifest(network, "untrained", "none: random weights", "none", trained=False, size=size)
    return write_bundle(folder, manifest, planes_files(network, weights, size))


def planes_weights(bundle: Bundle) -> dict[str, NDArray[np.float32]]:
    """State-dict key → weights, read from a bundle of one of the paper's networks."""
    model = onnx.load_model_from_string(bundle.stage("colour"))
    found = {value.name: value for value in model.graph.initializer}
    shapes = topology_of(bundle.manifest.network).shapes()
    check_weights({name: tuple(value.dims) for name, value in found.items() if name in shapes}, shapes)
    return {name: numpy_helper.to_array(found[name]) for name in shapes}


def check_weights(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Compare keys and shapes. Raises ModelFileError that names what is missing, unknown or of another shape."""
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    wrong = [
        f"{name} is {_times(found[name])}, expected {_times(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    problems = [
        f"{title}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for title, names in (("missing", missing), ("unknown", unknown), ("of another shape", wrong))
        if names
    ]
    if problems:
        raise ModelFileError(f"these weights do not fit the network ({'; '.join(problems)}); check --as")


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a scalar"


def _bins_of(topology: Topology) -> int:
    """The number of classes of the distribution head; 0 for a network without one."""
    name = topology.outputs.get("logits")
    return next((layer.channels for layer in topology.layers if layer.name == name), 0)
