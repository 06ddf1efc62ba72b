"""The encoder's features of a photograph as a packed file for the page, which computes touches from them.

Every channel has a range of its own, cut into 2^bits − 1 steps. The high 8 bits of the values are stored as differences
along the rows, which gzip packs well; the low bits are close to noise and follow packed together. The working L is
stored in the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...engine.bundle import Bundle
from ...engine.errors import ModelFileError
from ...engine.inputs import normalise_lightness
from ...engine.runners.base import FEATURES, Features, Runner
from ...engine.runners.restorer import load_restorer
from ...engine.runners.sessions import default_threads, make_session, run_graph
from ...engine.runners.subgraph import extract_outputs
from .heads import check_form
from .packed import pack

KIND, HISTOGRAM_KIND = "features", "histogram"
SHAPE = (96, 64, 64)
BITS, DEFAULT_BITS = (8, 10, 16), 10


class FeatureEncoder:
    """Computes the encoder's last tensor with ONNX Runtime, for runners that do not give it.

    threads: None for the engine's default. Raises ModelFileError for a model of another form, or without that output.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        check_form(bundle)
        threads = threads or default_threads()
        try:
            graph = extract_outputs(bundle.stage("encoder"), [FEATURES])
        except ModelFileError as error:
            raise no_features(bundle) from error
        self._input = bundle.manifest.input
        self._restore = load_restorer(bundle, threads, spin=False)
        self._session = make_session(graph, threads, spin=False)

    def __call__(self, L: NDArray[np.float32]) -> NDArray[np.float32]:
        """Working L float32 [256, 256] in 0…100 → features float32 [96, 64, 64]."""
        plane = normalise_lightness(self._restore(L), self._input)[None, None]
        return run_graph(self._session, {"light": plane})[FEATURES].reshape(SHAPE)


def features_of(runner: Runner, encoded: Features) -> NDArray[np.float32]:
    """The features [96, 64, 64] of a photograph that `runner` encoded. Raises ModelFileError if it gives none."""
    found = runner.encoder_features(encoded)
    if found is None:
        raise no_features(runner.bundle)
    return found


def no_features(bundle: Bundle) -> ModelFileError:
    """The error for a model whose encoder does not give its features."""
    return ModelFileError(
        f"the encoder of model {bundle.name} does not give its features; "
        "use the bundle that it was built from, or export it again"
    )


def pack_features(features: NDArray[np.float32], L: NDArray[np.float32], bits: int, bundle: Bundle) -> bytes:
    """The packed file of a photograph. features float32 [96, 64, 64]; L: working L float32 [256, 256] in 0…100.

    bits: 8, 10 or 16. The content is `_coded` of the features, and then of L.
    """
    content = _coded(features, bits) + _coded(L[None], bits)
    return pack(KIND, bundle, {"bits": bits, "shape": SHAPE, "side": L.shape[0]}, content)


def pack_histogram(histogram: NDArray[np.float32], bundle: Bundle) -> bytes:
    """The packed file of a histogram float32 [313]: of a picture whose colours others can have as their mood."""
    return pack(HISTOGRAM_KIND, bundle, {}, np.ascontiguousarray(histogram, "<f4").tobytes())


def _coded(planes: NDArray[np.float32], bits: int) -> bytes:
    """Planes [C, H, W] as bytes: the least value and the step of each channel float32 [2, C], the high 8 bits of all
    values as differences along the rows, and the low bits, several values in a byte, the first in its lowest bits."""
    least = planes.min((1, 2))
    step = (planes.max((1, 2)) - least) / np.float32(2**bits - 1)
    step[step == 0] = 1
    values = np.rint((planes - least[:, None, None]) / step[:, None, None]).clip(0, 2**bits - 1).astype(np.uint16)
    high = (values >> (bits - 8)).astype(np.uint8)
    differences = np.diff(high, axis=2, prepend=np.uint8(0))
    ranges = np.stack([least, step]).astype("<f4")
    return ranges.tobytes() + differences.tobytes() + _low_bits(values, bits - 8)


def _low_bits(values: NDArray[np.uint16], bits: int) -> bytes:
    """The lowest 0, 2 or 8 bits of values, packed; their number is a multiple of 4."""
    if not bits:
        return b""
    per_byte = 8 // bits
    low = (values & (2**bits - 1)).astype(np.uint8).reshape(-1, per_byte)
    return np.bitwise_or.reduce(low << (np.arange(per_byte, dtype=np.uint8) * bits), axis=1).astype(np.uint8).tobytes()
