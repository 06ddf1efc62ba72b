"""Reading sets of photographs: folders and tar files, in a fixed order, with clear errors."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from livetint.calibration import samples
from livetint.calibration.photographs import lab_of, load_squares, photograph_files
from livetint.engine.bundle import Bundle, InputTable, Manifest
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.colour.global_hints import histogram_of, saturation_of
from livetint.engine.errors import ConfigError
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.runners.restorer import load_restorer
from PIL import Image


def picture(level: int, size=(40, 20)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (level, 10, 200)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    for name, level in (("b.png", 20), ("a.png", 10), ("notes.txt", 0)):
        (tmp_path / name).write_bytes(picture(level) if level else b"hello")
    return tmp_path


def test_a_folder_is_read_by_name(folder):
    assert [name for name, _ in photograph_files(folder)] == ["a.png", "b.png"]
    squares = load_squares(folder, 16)
    assert squares.shape == (2, 16, 16, 3) and squares[0, 0, 0, 0] == 10


def test_a_tar_is_read_in_its_own_order(folder, tmp_path):
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("b.png", "notes.txt", "a.png"):
            archive.add(folder / name, name)
    assert [name for name, _ in photograph_files([path])] == ["b.png", "a.png"]
    assert len(load_squares([path, folder], 8, limit=3)) == 3


def test_anything_but_a_set_of_photographs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="neither a folder nor a tar"):
        load_squares(tmp_path / "missing", 8)
    with pytest.raises(ConfigError, match="holds no photographs"):
        load_squares(tmp_path, 8)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ConfigError, match=r"broken\.jpg cannot be decoded"):
        load_squares(tmp_path, 8)


def test_lab_is_that_of_the_definition_and_of_photographs():
    rgb = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    found = lab_of(rgb)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, srgb_to_lab(rgb.astype(np.float64) / 255), atol=0.002)
    photo = Photo.from_rgb(rgb)
    np.testing.assert_allclose(found[..., 0], photo.working_L, atol=0.002)
    np.testing.assert_allclose(found[..., 1:].transpose(2, 0, 1), photo.working_ab(), atol=0.002)


def test_samples_skip_held_out_photographs_repeat_the_rest_and_stop_at_the_number(folder, monkeypatch):
    looked = []
    squares = samples.squares

    def counted(sources, side):
        for square in squares(sources, side):
            looked.append(square[0, 0, 0])
            yield square

    monkeypatch.setattr(samples, "squares", counted)
    touch = find_model("touch")
    assert len(list(samples.feeds(touch, folder, 1))) == 1
    assert len(looked) <= 2, "not the whole set"
    looked.clear()
    L_planes = [feed["light"].mean() for feed in samples.feeds(touch, folder, 3, skip=1)]
    assert len(L_planes) == 3 and np.allclose(L_planes, L_planes[0]), "only the second photograph, again and again"
    assert list(samples.feeds(touch, folder, 3, skip=2)) == []


def test_global_statistics_are_those_that_the_network_is_given_at_run_time(tmp_path):
    """The histogram pools ab once, as at run time and in training: fine stripes of two colours stay two colours."""
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, (np.arange(256) // 4) % 2 == 0] = 200, 40, 40
    stripes[:, (np.arange(256) // 4) % 2 == 1] = 40, 60, 200
    manifest = Manifest(
        name="global", network="siggraph17-global", version="1", licence="none", data="none", trained=False,
        input=InputTable(takes_global=True, local=False), stages={"colour": "colour.onnx"},
    )  # fmt: skip
    bundle, rng = Bundle(tmp_path, manifest, {}), np.random.default_rng(0)
    restore = load_restorer(bundle, 1)
    vectors = [samples.stage_inputs(bundle, restore, stripes, rng, index)["global"][0] for index in range(16)]
    shown = [vector for vector in vectors if vector[313] and vector[315]]
    assert shown, "no visitor revealed both"
    expected = histogram_of(np.ascontiguousarray(lab_of(stripes)[..., 1:].transpose(2, 0, 1)))
    np.testing.assert_array_equal(shown[0][:313], expected)
    assert np.count_nonzero(expected) == 2
    assert shown[0][314] == pytest.approx(saturation_of(stripes / 255))


@pytest.mark.parametrize("kind", ["a broken link", "a folder"])
def test_an_entry_of_a_set_that_cannot_be_read_is_named(tmp_path, kind):
    if kind == "a folder":
        (tmp_path / "x.jpg").mkdir()
    else:
        (tmp_path / "x.jpg").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"x\.jpg cannot be read: .*; take it out of the set"):
        list(photograph_files(tmp_path))
