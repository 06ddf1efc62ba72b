"""The touch stage of the kernels gives the colours of its reference in NumPy and of the bundled touch.onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.colour.global_hints import GlobalHints, histogram_of
from livetint.engine.errors import ModelFileError
from livetint.engine.hints import Hint
from livetint.engine.image.photo import Photo
from livetint.engine.inputs import AB_SCALE, hint_tensors
from livetint.engine.kernels.table import HINT, hint_records
from livetint.engine.kernels.touch import FORM, MAX_HINTS, WORK_BYTES, pack_weights
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner
from numpy.typing import NDArray
from onnx import numpy_helper

from tests.needs import needs

from .library import ROOT, kernels
from .touch_reference import MAP_NAMES, random_maps, random_weights, touch

pytestmark = pytest.mark.usefixtures("rounding")

# ab in CIELAB units; onnxruntime itself differs from float64 by up to 0.0013 here.
TOLERANCE = 0.005


def run_kernels(maps, hints, global_hints, weights, capacity=None):
    """The six kernels in their order → ab [2, 4h, 4w] and coarse [2, h, w]."""
    height, width = maps["base"].shape[1:]
    records = np.zeros(capacity or max(1, len(hints)), HINT)
    records.view(np.uint8)[:] = 0xFF  # records behind the last hint are not read
    records[: len(hints)] = hint_records(hints)
    count, work = np.array([len(hints)], np.int32), np.full(WORK_BYTES // 4, np.nan, np.float32)
    coarse = np.empty((2, height, width), np.float32)
    ab = np.empty((2, 4 * height, 4 * width), np.float32)
    query, key, gate, base, mood, up = (maps[name] for name in MAP_NAMES)
    packed, size, launch = pack_weights(FORM, weights), (height, width), kernels().launch
    launch(
        "touch_tokens", (MAX_HINTS,), records, count, query, key, gate, base, mood, global_hints, packed, work, *size
    )
    launch("touch_shares", (MAX_HINTS + 1,), records, count, global_hints, packed, work)
    launch("touch_values", (1,), records, count, work)
    launch("touch_attention", (height * width,), count, query, gate, base, mood, packed, work, coarse, *size)
    launch("touch_corrections", (1,), records, count, up, coarse, work, *size)
    launch("touch_upsample", (width, height), records, count, up, coarse, work, ab, *size)
    return ab, coarse


def random_hints(rng, number, clustered=False):
    spread = 0.05 if clustered else 1.0
    table = np.column_stack([0.5 + spread * rng.uniform(-0.5, 0.5, (number, 2)), rng.uniform(-90, 90, (number, 2))])
    return [Hint(x, y, a, b, int(rng.integers(1, 10))) for x, y, a, b in table.tolist()]


@needs("c++")
@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 999),
    st.tuples(st.integers(1, 9), st.integers(1, 37)),
    st.sampled_from([0, 1, 2, 7, 31, 32, 33, 64, 100, 128]),
    st.sampled_from([0.3, 1.0, 2.0]),
    st.booleans(),
    st.integers(0, 5),
)
def test_kernels_give_the_colours_of_the_reference(seed, size, number, sharpness, clustered, schedule):
    kernels().schedule(schedule)
    rng = np.random.default_rng(seed)
    height, width = size
    maps, weights = random_maps(rng, height, width, sharpness), random_weights(rng)
    hints = random_hints(rng, number, clustered)
    global_hints = np.zeros(316, np.float32)
    if seed % 2:
        global_hints[:313], global_hints[313], global_hints[314:] = 1 / 313, 1, (0.4, 1)
    ab, coarse = run_kernels(maps, hints, global_hints, weights)
    exact_ab, exact_coarse = touch(maps, hints, global_hints, weights)
    # Rounding grows with the hints' values, which are large where close hints have different colours.
    scale = max(1.0, np.abs(exact_ab).max() / AB_SCALE)
    np.testing.assert_allclose(coarse, exact_coarse, rtol=0, atol=2e-4 * scale)
    np.testing.assert_allclose(ab, exact_ab, rtol=0, atol=TOLERANCE * scale)


@needs("c++")
@pytest.mark.parametrize("layer", ["token_focus", "token_narrowing"])
def test_focus_and_narrowing_change_colours(layer):
    kernels().schedule(0)
    rng = np.random.default_rng(3)
    maps, weights, hints = random_maps(rng, 8, 8), random_weights(rng), random_hints(rng, 6)
    zeroed = {name: np.zeros_like(w) if layer in name else w for name, w in weights.items()}
    none = np.zeros(316, np.float32)
    (ab, _), (without, _) = (run_kernels(maps, hints, none, some) for some in (weights, zeroed))
    assert np.abs(ab - without).max() > 1000 * TOLERANCE


@pytest.fixture(scope="module")
def bundled() -> dict[str, Any]:
    """The bundled model's runner, maps of a photograph and the touch stage's weights."""
    bundle = find_model("touch")
    photo = Photo.open(ROOT / "photos" / "coffee.jpg")
    runner = OnnxRunner(bundle)
    graph = onnx.load_model_from_string(bundle.stage("touch")).graph
    weights = {i.name: numpy_helper.to_array(i).astype(np.float32) for i in graph.initializer}
    features = runner.encode(photo.working_L)
    return {
        "bundle": bundle,
        "features": features,
        "maps": {name: features.maps[name][0] for name in MAP_NAMES},
        "weights": weights,
        "ab": photo.working_ab(),
        "graph": ort.InferenceSession(bundle.stage("touch"), providers=["CPUExecutionProvider"]),
    }


def by_graph(bundled: dict[str, Any], hints: list[Hint], global_hints: GlobalHints) -> NDArray[np.float32]:
    """ab of touch.onnx itself, without the runner's match_hints."""
    inputs = {**bundled["features"].maps, **hint_tensors(hints), "global_hints": global_hints.vector()[None]}
    names = {node.name for node in bundled["graph"].get_inputs()}
    return bundled["graph"].run(None, {name: inputs[name] for name in names})[0][0]


GLOBALS = {"none": {}, "saturation": {"saturation": 0.7}, "both": {"saturation": 0.2, "histogram": True}}


@needs("c++")
@pytest.mark.parametrize(
    ("number", "given_globally"), [(0, "none"), (0, "both"), (1, "none"), (10, "saturation"), (128, "both")]
)
def test_the_bundled_model_gives_the_same_colours_as_in_onnxruntime(bundled, number, given_globally):
    keywords = dict(GLOBALS[given_globally])
    if keywords.get("histogram"):
        keywords["histogram"] = histogram_of(bundled["ab"])
    global_hints = GlobalHints(**keywords)
    hints = random_hints(np.random.default_rng(number), number)
    kernels().schedule(0)
    ab, _ = run_kernels(bundled["maps"], hints, global_hints.vector(), bundled["weights"], capacity=MAX_HINTS)
    truth = by_graph(bundled, hints, global_hints)
    np.testing.assert_allclose(ab, truth, rtol=0, atol=TOLERANCE)


@needs("c++")
def test_hints_beyond_the_128th_are_not_read(bundled):
    hints = random_hints(np.random.default_rng(1), MAX_HINTS + 3)
    none = np.zeros(316, np.float32)
    many, _ = run_kernels(bundled["maps"], hints, none, bundled["weights"])
    most, _ = run_kernels(bundled["maps"], hints[:MAX_HINTS], none, bundled["weights"])
    np.testing.assert_array_equal(many, most)


def test_the_reference_equals_the_bundled_graph(bundled):
    hints = random_hints(np.random.default_rng(4), 20)
    ab, _ = touch(bundled["maps"], hints, np.zeros(316, np.float32), bundled["weights"])
    truth = by_graph(bundled, hints, GlobalHints())
    np.testing.assert_allclose(ab, truth, rtol=0, atol=TOLERANCE)


def test_the_bundle_has_the_form_of_the_kernels(bundled):
    assert bundled["bundle"].manifest.touch_form == FORM
    assert len(pack_weights(FORM, bundled["weights"])) == 4 + 2 + 2 + 136 * 128 + 44 * 129 + 316 * 128 + 32 * 128


def test_another_form_and_other_weights_are_refused(bundled):
    with pytest.raises(ModelFileError, match=r"'hint-attention-2'.*plan"):
        pack_weights("hint-attention-2", bundled["weights"])
    missing = {name: w for name, w in bundled["weights"].items() if name != "attention.reach"}
    with pytest.raises(ModelFileError, match="reach is missing"):
        pack_weights(FORM, missing)
    wide = {**bundled["weights"], "attention.token.bias": np.zeros(64, np.float32)}
    with pytest.raises(ModelFileError, match=r"token.bias is of shape \[64\], expected \[128\]"):
        pack_weights(FORM, wide)
