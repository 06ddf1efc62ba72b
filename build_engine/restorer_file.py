"""The restorer of a bundle as an ONNX file: export it, and read its weights back."""

from __future__ import annotations

import torch

from ..engine.bundle import Bundle
from ..engine.errors import ModelFileError
from ..engine.hints import WORKING_PX
from ..engine.runners.restorer import INPUT, OUTPUT
from .export import store_bytes, stored_weights, to_onnx
from .networks.restorer import Restorer, RestorerStage

RESTORER = "restorer.onnx"


def export_restorer(restorer: Restorer) -> bytes:
    """The ONNX file of a restorer: L float32 [1, 1, 256, 256] → restored, weights stored as int8."""
    L = torch.full((1, 1, WORKING_PX, WORKING_PX), 50.0)
    return store_bytes(to_onnx(RestorerStage(restorer).eval(), (L,), [INPUT], [OUTPUT])).SerializeToString()


def restorer_of(bundle: Bundle) -> Restorer:
    """The restorer of a bundle in evaluation mode; one that changes nothing for bundles without.

    Raises ModelFileError if its file holds other weights.
    """
    restorer = Restorer()
    if bundle.restorer is not None:
        stored = stored_weights(bundle.restorer)
        try:
            names = {name: f"restorer.{name}" for name in restorer.state_dict() if f"restorer.{name}" in stored}
            restorer.load_state_dict({own: torch.from_numpy(stored[name]) for own, name in names.items()})
        except RuntimeError as error:
            raise ModelFileError(f"{bundle.folder} holds a restorer of another form; export it again") from error
    return restorer.eval()
