"""The weights of hint attention as a packed file for the page, which computes everything after the encoder itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ...engine.bundle import Bundle
from ...engine.colour import bins
from ...engine.colour.global_hints import VECTOR_LENGTH
from ...engine.errors import ModelFileError
from .packed import pack

# The form of `touch` that the page computes.
FORM = "hint-attention-3"
KIND = "heads"
_WIDTH, _HEADS, _KEY, _MOOD, _TOKEN, _BINS = 96, 4, 32, 32, 128, len(bins.CENTRES)
# What a hint's token is made of: its key, its difference from the automatic colour, its colour, its size, two flags.
_TOKEN_INPUTS = _HEADS * _KEY + 7
_PREFIX = "attention."
# The weights and their shapes, in the order of `struct weights` in kiosk/web/touch/kernels/state.h.
TENSORS: dict[str, tuple[int, ...]] = {
    "base.weight": (2, _WIDTH), "base.bias": (2,),
    "gate.weight": (_HEADS, _WIDTH), "gate.bias": (_HEADS,),
    "query.weight": (_HEADS * _KEY, _WIDTH), "query.bias": (_HEADS * _KEY,),
    "key.weight": (_HEADS * _KEY, _WIDTH), "key.bias": (_HEADS * _KEY,),
    "null.weight": (_HEADS, _WIDTH), "null.bias": (_HEADS,),
    "mood.weight": (2 * _MOOD, _WIDTH), "mood.bias": (2 * _MOOD,),
    "reach": (_HEADS,),
    "kinds.hidden.weight": (64, _WIDTH), "kinds.hidden.bias": (64,),
    "kinds.out.weight": (7, 64), "kinds.out.bias": (7,),
    "guard": (_HEADS, 4),
    "up_hidden.weight": (_WIDTH, _WIDTH, 3, 3), "up_hidden.bias": (_WIDTH,),
    "up.weight": (144, _WIDTH), "up.bias": (144,),
    "token.weight": (_TOKEN, _TOKEN_INPUTS), "token.bias": (_TOKEN,),
    "token_mood.weight": (_MOOD, _TOKEN), "token_mood.bias": (_MOOD,),
    "token_weight.weight": (_HEADS, _TOKEN), "token_weight.bias": (_HEADS,),
    "token_focus.weight": (_HEADS, _TOKEN), "token_focus.bias": (_HEADS,),
    "token_narrowing.weight": (_HEADS, _TOKEN), "token_narrowing.bias": (_HEADS,),
    "surprise": (2,), "contrast": (2,),
    "global_hidden.weight": (128, VECTOR_LENGTH), "global_mood.weight": (_MOOD, 128),
    "bins_hidden.weight": (256, _WIDTH), "bins_hidden.bias": (256,),
    "bins.weight": (_BINS, 256), "bins.bias": (_BINS,),
    "bins_mood.weight": (_BINS, _MOOD),
}  # fmt: skip
# Models before `touch` 7 lack these; zeros change nothing.
OPTIONAL = ("kinds.hidden.weight", "kinds.hidden.bias", "kinds.out.weight", "kinds.out.bias", "guard")
CENTRES = "centres"


def pack_heads(bundle: Bundle) -> bytes:
    """The packed file of a model's heads: the weights of TENSORS, then the bin centres, as fp16 or fp32. Each is padded
    to a multiple of 4 bytes.

    The header has `form`, `name`, `version`, `max_hints`, `temperature_scale` and `tensors`: name, shape and type of
    each, in the order of the content. Raises ModelFileError as `check_form` does, and for weights that are missing or
    quantised.
    """
    check_form(bundle)
    tensors = {**weights_of(bundle), CENTRES: bins.CENTRES}
    manifest = bundle.manifest
    facts: dict[str, Any] = {
        "form": manifest.touch_form,
        "name": manifest.name,
        "version": manifest.version,
        "max_hints": manifest.input.max_hints,
        "temperature_scale": manifest.distribution.temperature_scale if manifest.distribution else 1.0,
        "tensors": [(name, tensor.shape, tensor.dtype.name) for name, tensor in tensors.items()],
    }
    return pack(KIND, bundle, facts, b"".join(map(_padded, tensors.values())))


def check_form(bundle: Bundle) -> None:
    """Raise ModelFileError for a model whose touch the page cannot compute."""
    form = bundle.manifest.touch_form
    if form != FORM:
        found = f"touch of the form {form!r}" if form else "no touch stage that a browser can compute"
        raise ModelFileError(f"model {bundle.name} has {found}; a page computes {FORM} alone; use touch")


def weights_of(bundle: Bundle) -> dict[str, NDArray[np.float16] | NDArray[np.float32]]:
    """The weights of TENSORS, in that order and of these shapes, fp16 or fp32 as the bundle has them."""
    found = {name.removeprefix(_PREFIX): array for name, array in _initialisers(bundle) if name.startswith(_PREFIX)}
    weights = {}
    for name, shape in TENSORS.items():
        array = found.get(name)
        if array is None and name in OPTIONAL:
            array = np.zeros(shape, np.float16)
        if array is None or array.dtype not in (np.float16, np.float32) or array.size != np.prod(shape):
            raise ModelFileError(
                f"model {bundle.name} does not hold the weights {_PREFIX}{name} of {shape} as fp16 or fp32; "
                "use the bundle that it was built from"
            )
        weights[name] = array.reshape(shape)
    return weights


def _initialisers(bundle: Bundle) -> Iterator[tuple[str, NDArray[Any]]]:
    """Names and values of the initialisers of every stage."""
    for data in bundle.stage_files.values():
        for initialiser in onnx.load_model_from_string(data).graph.initializer:
            yield initialiser.name, numpy_helper.to_array(initialiser)


def _padded(tensor: NDArray[Any]) -> bytes:
    """The bytes of a tensor, little-endian, and zeros up to a multiple of 4 bytes."""
    data = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).tobytes()
    return data + bytes(-len(data) % 4)
