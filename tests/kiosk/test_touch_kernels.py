"""The kernels with which the page computes touches give the engine's colours; compiled for this machine."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.colour.global_hints import GlobalHints, histogram_of
from livetint.engine.errors import ModelFileError
from livetint.engine.hints import Hint
from livetint.engine.image.photo import Photo
from livetint.engine.match_hints import match_hints
from livetint.engine.models import find_model
from livetint.engine.runners.base import NO_GLOBAL_HINTS
from livetint.engine.runners.onnx import OnnxFeatures, OnnxRunner
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.site.features import FeatureEncoder
from livetint.kiosk.site.heads import pack_heads
from numpy.typing import NDArray

from ..needs import needs
from .native_touch import SOURCES, NativeTouch, compile_kernels

VIVID = 1.35
WASM = SOURCES.parent / "kernels.wasm"


@pytest.fixture(scope="module")
def runner() -> OnnxRunner:
    return OnnxRunner(find_model("touch"), 1)


@pytest.fixture(scope="module")
def plane() -> NDArray[np.float32]:
    return Photo.open(next(iter(sorted(bundled_photos().glob("*.jpg"))))).working_L


@pytest.fixture(scope="module")
def features(runner: OnnxRunner, plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return FeatureEncoder(runner.bundle, 1)(plane)


@pytest.fixture(scope="module")
def encoded(runner: OnnxRunner, plane: NDArray[np.float32]) -> OnnxFeatures:
    return runner.encode(plane, VIVID)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_kernels(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def touch(runner: OnnxRunner, features: NDArray[np.float32], library: Path) -> NativeTouch:
    touch = NativeTouch(library, pack_heads(runner.bundle))
    touch.open(features, VIVID)
    return touch


def hints_of(count: int, seed: int = 0) -> list[Hint]:
    """Hints anywhere, also on the border, some beside each other; the first one is far from every automatic colour."""
    random = np.random.default_rng(seed)
    places = random.uniform(-0.02, 1.02, (count, 2)).clip(0, 1)
    colours = random.uniform(-40, 60, (count, 2))
    colours[:1] = 70, 60
    sizes = random.integers(1, 10, count).tolist()
    return [
        Hint(x, y, a, b, size) for (x, y), (a, b), size in zip(places.tolist(), colours.tolist(), sizes, strict=True)
    ]


@needs("cc")
@pytest.mark.parametrize("asked", [False, True], ids=["plain", "mood"])
@pytest.mark.parametrize("count", [0, 1, 5, 16, 64, 128])
def test_colours_and_distributions_are_the_engines(
    touch: NativeTouch, runner: OnnxRunner, encoded: OnnxFeatures, count: int, asked: bool
) -> None:
    mood = GlobalHints(histogram_of(runner.colorize(encoded, ()) * 1.5 + 6), 0.4) if asked else NO_GLOBAL_HINTS
    hints, (x, y) = hints_of(count), (0.31, 0.62)
    touch.use_global_hints(mood.vector())
    difference = np.abs(touch.colorize(hints) - runner.colorize(encoded, hints, mood))
    assert difference.mean() < 5e-4
    assert difference.max() < 0.05
    expected = runner.distribution(encoded, hints, mood, np.array([[x, y]], np.float32))[0]
    assert np.abs(touch.distribution(hints, x, y) - expected).max() < 2e-5


@needs("cc")
def test_a_hint_that_moves_among_kept_ones_gives_what_all_new_ones_give(touch: NativeTouch) -> None:
    touch.use_global_hints(NO_GLOBAL_HINTS.vector())
    hints = hints_of(16)
    touch.colorize(hints)
    hints[5] = Hint(0.4, 0.45, 30, -20)
    assert np.array_equal(touch.colorize(hints, [5]), touch.colorize(hints))


coordinates = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 0.99609375]), st.floats(0, 1, width=32))
colours = st.floats(-80, 80, width=32)
marks = st.builds(Hint, coordinates, coordinates, colours, colours, st.integers(1, 9))


@needs("cc")
@settings(max_examples=40, deadline=None, derandomize=True)
@given(hints=st.lists(marks, min_size=1, max_size=12), seed=st.integers(0, 9))
def test_colours_under_hints_are_matched_as_in_the_engine(touch: NativeTouch, hints: list[Hint], seed: int) -> None:
    """The same examples every time: a residual at the limit of what is changed may be on either side of it."""
    ab = np.random.default_rng(seed).uniform(-40, 40, (2, 256, 256)).astype(np.float32)
    touch.ab[:] = ab
    touch.hints[: 5 * len(hints)] = np.array([(h.x, h.y, h.a, h.b, h.size) for h in hints], np.float64).ravel()
    touch.kernels.match_hints(len(hints))
    assert np.abs(touch.ab - match_hints(ab, hints)).max() < 0.02


@needs("cc")
def test_half_floats_are_numpys(touch: NativeTouch) -> None:
    special = [0, -0.0, 1e-9, -6e-8, 6.1e-5, -6.09e-5, 128, 2049, 1e-5]
    random = np.random.default_rng(1).normal(0, 40, 2 * 65536 - len(special))
    values = np.concatenate([random, special]).astype(np.float32)
    touch.ab[:] = values.reshape(2, 256, 256)
    touch.kernels.pack_halves()
    assert np.array_equal(touch.halves.view(np.uint16), touch.ab.transpose(1, 2, 0).astype(np.float16).view(np.uint16))


# Runs the kernels in Node: weights, features and hints from a file; ab and a distribution to another one.
IN_NODE = """
import { readFileSync, writeFileSync } from 'node:fs';
const [wasm, given, out] = process.argv.slice(1);
const { instance: { exports: k } } = await WebAssembly.instantiate(readFileSync(wasm));
const from = readFileSync(given), data = from.buffer.slice(from.byteOffset, from.byteOffset + from.length);
const put = (Kind, start, at, count) => new Kind(k.memory.buffer, start, count).set(new Kind(data, at, count));
const count = 24, weights = k.weights_count();
put(Float64Array, k.hints_start(), 0, 5 * count);
put(Float32Array, k.weights_start(), 40 * count, weights);
put(Float32Array, k.features_start(), 40 * count + 4 * weights, 96 * 4096);
const numbers = Array.from({ length: count }, (_, i) => i);
for (const start of [k.slots_start(), k.fresh_start()]) new Int32Array(k.memory.buffer, start, count).set(numbers);
k.open_photograph(1.35);
k.use_global_hints();
k.add_hints(count, count);
k.colorize(count);
k.match_hints(count);
k.distribution(0.31, 0.62, count);
const floats = (start, count) => new Uint8Array(k.memory.buffer, start, 4 * count);
writeFileSync(out, Buffer.concat([floats(k.ab_start(), 2 * 65536), floats(k.probabilities_start(), 313)]));
"""


def in_node(wasm: Path, touch: NativeTouch, features: NDArray[np.float32], folder: Path) -> tuple[bytes, bytes]:
    """What the kernels answer to 24 hints as WebAssembly, and natively: ab and a distribution."""
    hints = hints_of(24)
    touch.open(features, VIVID)
    ab = touch.colorize(hints)
    native = ab.tobytes() + touch.distribution(hints, 0.31, 0.62).tobytes()
    given, out = folder / "given", folder / "out"
    given.write_bytes(touch.hints[: 5 * 24].tobytes() + touch.weights.tobytes() + features.tobytes())
    subprocess.run(["node", "--input-type=module", "-e", IN_NODE, wasm, given, out], check=True)
    return out.read_bytes(), native


@needs("cc")
@needs("node")
def test_the_committed_file_gives_the_bits_that_its_sources_give(
    touch: NativeTouch, features: NDArray[np.float32], tmp_path: Path
) -> None:
    answer, native = in_node(WASM, touch, features, tmp_path)
    assert answer == native


@needs("cc")
@needs("node")
@needs("clang")
def test_a_rebuilt_file_is_the_committed_one(touch: NativeTouch, features: NDArray[np.float32], tmp_path: Path) -> None:
    subprocess.run(["sh", SOURCES / "build.sh", tmp_path], check=True)
    rebuilt, committed = ((folder / "kernels.txt").read_text().splitlines() for folder in (tmp_path, WASM.parent))
    if rebuilt[1] == committed[1]:
        assert (tmp_path / "kernels.wasm").read_bytes() == WASM.read_bytes()
    answer, native = in_node(tmp_path / "kernels.wasm", touch, features, tmp_path)
    assert answer == native


def test_the_note_beside_the_committed_file_has_its_hash() -> None:
    digest, compiler = (WASM.parent / "kernels.txt").read_text().splitlines()
    assert digest == hashlib.sha256(WASM.read_bytes()).hexdigest()
    assert "clang version" in compiler


def test_models_of_another_form_are_refused_in_a_sentence(runner: OnnxRunner) -> None:
    other = replace(runner.bundle, manifest=msgspec.structs.replace(runner.bundle.manifest, touch_form="other-1"))
    for make in (pack_heads, FeatureEncoder):
        with pytest.raises(ModelFileError, match="touch of the form 'other-1'; a page computes hint-attention-3 alone"):
            make(other)


def test_the_runner_gives_the_features_that_the_page_computes_from(
    encoded: OnnxFeatures, runner: OnnxRunner, features: NDArray[np.float32]
) -> None:
    given = runner.encoder_features(encoded)
    assert given is not None and given.shape == features.shape
    np.testing.assert_allclose(given, features, atol=1e-4 * float(np.abs(features).max()))
    assert "features" not in runner.feature_maps(encoded)


def test_weights_that_are_not_whole_are_refused_in_a_sentence(runner: OnnxRunner) -> None:
    files = {name: data for name, data in runner.bundle.files.items() if not name.startswith(("touch.", "distr"))}
    with pytest.raises(ModelFileError, match="does not hold the weights attention"):
        pack_heads(replace(runner.bundle, files=files))
