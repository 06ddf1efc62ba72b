"""The paper's network with random weights, to time against. Its colours mean nothing."""

from __future__ import annotations

from pathlib import Path

from ...build_engine.networks import TOPOLOGIES
from ...build_engine.topology_onnx import random_weights, topology_model
from ...engine.bundle import Bundle, InputTable, Manifest
from ...engine.files import sha256_of
from ...engine.runners.subgraph import extract_outputs

NAME = "siggraph17"
FILE = "bare.onnx"


def untrained_bundle() -> Bundle:
    """`siggraph17` without its distribution head, in memory: 75.2 GMAC at 256 × 256, 136 MB."""
    topology = TOPOLOGIES[NAME]()
    whole = topology_model(topology, random_weights(topology)).SerializeToString()
    data = extract_outputs(whole, ["ab"])
    manifest = Manifest(
        name=NAME,
        network=NAME,
        version="bare",
        licence="none: random weights",
        data="none",
        trained=False,
        input=InputTable(),
        stages={"colour": FILE},
        files={FILE: sha256_of(data)},
    )
    return Bundle(Path(FILE), manifest, {FILE: data})
