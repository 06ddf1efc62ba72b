"""Start training from the automatic network of Zhang et al. (ECCV 2016), as the paper did.

That network is the trunk without skip connections and hints: its blocks 1 to 8 have the same convolutions. Its first
convolution reads only L; its weights become those of the L channel here, and the three hint channels keep their initial
values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ..build_engine.networks.planes import PlanesNetwork
from ..engine.errors import ModelFileError

FIRST = "model1.0.weight"
# Its block 8: a transposed convolution, two convolutions, then the classes (not used here). It has no BatchNorm.
RENAMED = {"model8.0": "model8up.0", "model8.2": "model8.1", "model8.4": "model8.3"}
TRUNK = tuple(f"model{number}." for number in range(1, 8))


def start_from_eccv16(network: PlanesNetwork, weights: Mapping[str, NDArray[np.float32]]) -> list[str]:
    """Load conv1 to conv8 from the released state dict; returns the names of the weights that were loaded.

    Raises ModelFileError that names what is missing or of another shape.
    """
    own = network.state_dict()
    taken = {}
    for name, shape in network.topology.shapes().items():
        source = _source(name)
        if source is None:
            continue
        if source not in weights:
            raise ModelFileError(f"the ECCV 2016 checkpoint lacks {source}; give the file that its authors publish")
        value = torch.from_numpy(np.asarray(weights[source], np.float32))
        if name == FIRST and value.shape[1] == 1:
            value = torch.cat([value, own[name][:, 1:]], 1)
        if tuple(value.shape) != shape:
            raise ModelFileError(
                f"{source} of the ECCV 2016 checkpoint is {tuple(weights[source].shape)}, expected {shape}; "
                "give the file that its authors publish"
            )
        taken[name] = value
    network.load_state_dict(taken, strict=False)
    return list(taken)


def _source(name: str) -> str | None:
    """The name in the released state dict of one of our weights; None for weights that it does not have."""
    if name.startswith(TRUNK):
        return name
    layer, leaf = name.rsplit(".", 1)
    return next((f"{theirs}.{leaf}" for theirs, ours in RENAMED.items() if ours == layer), None)
