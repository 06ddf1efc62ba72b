"""The restorer of a bundle changes what the encoder sees, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.bench.accuracy.aging import aged
from livetint.build_engine.apply_precision import apply_precision
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ModelFileError
from livetint.engine.image.photo import Photo
from livetint.engine.models import bundled_folder, find_model
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.restorer import load_restorer
from livetint.kiosk.site.features import FeatureEncoder

from ...restorers import lighter, with_restorer, without_restorer

BY = 7.0


@pytest.fixture(scope="module")
def plain() -> Bundle:
    return without_restorer(Bundle.load(bundled_folder() / "touch"))


@pytest.fixture(scope="module")
def lightness() -> np.ndarray:
    return np.random.default_rng(3).uniform(5, 90, (256, 256)).astype(np.float32)


def test_the_encoder_sees_restored_lightness_and_the_photograph_keeps_its_own(plain, lightness):
    with OnnxRunner(plain, threads=1) as runner, OnnxRunner(with_restorer(plain, lighter(BY)), threads=1) as restoring:
        expected, found = runner.encode(lightness + np.float32(BY)), restoring.encode(lightness)
        np.testing.assert_array_equal(found.L, lightness)
        for name, values in runner.feature_maps(expected).items():
            np.testing.assert_allclose(restoring.feature_maps(found)[name], values, atol=1e-5, err_msg=name)
        vivid = restoring.with_vivid(found, 1.3)
        np.testing.assert_allclose(restoring.colorize(vivid, []), runner.colorize(expected, []) * 1.3, atol=1e-2)


def test_without_a_restorer_the_encoder_gets_the_lightness_of_the_photograph(plain, lightness):
    assert load_restorer(plain, 1)(lightness) is lightness


def test_features_for_the_page_are_those_of_restored_lightness(plain, lightness):
    restoring, restored = with_restorer(plain, lighter(BY)), lightness + np.float32(BY)
    np.testing.assert_allclose(FeatureEncoder(restoring, 1)(lightness), FeatureEncoder(plain, 1)(restored), atol=1e-4)


def test_a_bundle_at_another_precision_keeps_its_restorer(plain):
    converted = apply_precision(with_restorer(plain, lighter(BY)), "fp16", "onnxruntime")
    assert converted.restorer == lighter(BY)
    assert converted.manifest.restorer in converted.manifest.files


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "cannot be used"),
        (lighter(1, side=128), r"128.* where L \[1, 1, 256, 256\] is needed"),
        (lighter(1, name="light"), r"light.* where L "),
    ],
)
def test_a_file_that_is_no_restorer_is_refused(plain, data, reason):
    with pytest.raises(ModelFileError, match=reason) as caught:
        OnnxRunner(with_restorer(plain, data), threads=1)
    assert "restorer.onnx" in str(caught.value) and "\n" not in str(caught.value)


def test_the_bundled_restorer_brings_old_prints_nearer_to_clean_ones():
    """In the features of the encoder, on every third of the bundled photographs; it changes clean L less than old L."""
    bundle = find_model("touch")
    restore, encode = load_restorer(bundle, 2), FeatureEncoder(without_restorer(bundle), 2)
    before, after, changed = [], [], []
    for index, path in enumerate(sorted((bundled_folder().parent / "photos").glob("*.jpg"))[::3]):
        clean = Photo.open(path).working_L
        old = aged(clean, np.random.default_rng([2, index]))
        wanted = encode(clean)
        before.append(np.square(encode(old) - wanted).mean())
        after.append(np.square(encode(restore(old)) - wanted).mean())
        changed.append((np.abs(restore(clean) - clean).mean(), np.abs(restore(old) - old).mean()))
    assert np.mean(after) < 0.9 * np.mean(before)
    on_clean, on_old = np.mean(changed, 0)
    assert on_clean < 1.5 < on_old
