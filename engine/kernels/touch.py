"""The touch stage of the kernels: which bundles they can serve, its sizes, its weights and its scratch memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ..bundle import Bundle
from ..errors import ModelFileError

FORM = "hint-attention-3"
MAX_HINTS = 128
HEADS, KEY, MOOD, HIDDEN, GLOBALS = 4, 32, 32, 128, 316
TOKEN = HEADS * KEY + 7
REACH_SLOPE = 5.0

# Initialisers of touch.onnx in the order of TouchWeights in touch.cuh: name, shape, whether transposed. The transposed
# ones are read by one thread per hidden unit, so that neighbouring threads read neighbouring numbers.
_WEIGHTS = (
    ("reach", (HEADS,), False),
    ("surprise", (2,), False),
    ("contrast", (2,), False),
    ("token.weight", (HIDDEN, TOKEN), True),
    ("token.bias", (HIDDEN,), False),
    ("token_mood.weight", (MOOD, HIDDEN), False),
    ("token_weight.weight", (HEADS, HIDDEN), False),
    ("token_focus.weight", (HEADS, HIDDEN), False),
    ("token_narrowing.weight", (HEADS, HIDDEN), False),
    ("token_mood.bias", (MOOD,), False),
    ("token_weight.bias", (HEADS,), False),
    ("token_focus.bias", (HEADS,), False),
    ("token_narrowing.bias", (HEADS,), False),
    ("global_hidden.weight", (HIDDEN, GLOBALS), True),
    ("global_mood.weight", (MOOD, HIDDEN), False),
)

# Size of the scratch memory, the same for every photograph (TouchWork in touch.cuh).
WORK_BYTES = 337_536
# The same of the kernels of match_hints.cu (MatchWork there).
MATCH_WORK_BYTES = 734_720


def touch_weights(bundle: Bundle) -> NDArray[np.float32]:
    """The weights of a bundle's touch stage for the kernels, float32 [n].

    Raises ModelFileError, with the reason, for bundles whose touch stage the kernels cannot serve.
    """
    manifest = bundle.manifest
    if "touch" not in manifest.stages:
        raise ModelFileError(f"model {bundle.name} has no touch stage, so the touch kernels cannot serve it")
    graph = onnx.load_model_from_string(bundle.stage("touch")).graph
    return pack_weights(manifest.touch_form, {i.name: numpy_helper.to_array(i) for i in graph.initializer})


def kernels_serve(bundle: Bundle) -> bool:
    """Whether the kernels can serve a bundle's touch stage. It then needs no plan."""
    try:
        touch_weights(bundle)
    except ModelFileError:
        return False
    return True


def pack_weights(form: str, initialisers: Mapping[str, NDArray]) -> NDArray[np.float32]:
    """Initialisers of `touch.onnx` by name → `weights` of the touch kernels, float32 [n].

    form: touch_form of model.toml. Raises ModelFileError if it is not FORM, or if a weight is missing or of another
    shape; the runner then uses the plan of the touch stage.
    """
    if form != FORM:
        raise ModelFileError(f"the touch kernels compute the form {FORM!r}, this model has {form!r}; use its plan")
    parts = []
    for name, shape, transposed in _WEIGHTS:
        weight = initialisers.get(f"attention.{name}")
        if weight is None or weight.shape != shape:
            found = "missing" if weight is None else f"of shape {list(weight.shape)}"
            raise ModelFileError(f"the touch stage's weight {name} is {found}, expected {list(shape)}; use its plan")
        parts.append(np.asarray(weight.T if transposed else weight, np.float32).ravel())
    parts[0] = np.exp(REACH_SLOPE * parts[0])  # reach → the distance penalty of each head
    return np.concatenate(parts)
