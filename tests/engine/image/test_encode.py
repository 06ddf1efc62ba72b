"""Writing pictures, and checking early that they can be written."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from livetint.engine.errors import OutputError
from livetint.engine.image.encode import EXTENSIONS, check_output, encode_rgb, save_rgb
from livetint.engine.image.photo import Photo
from PIL import Image

from .picture_files import colour_picture

RGB = colour_picture(60, 40)


@pytest.mark.parametrize("extension", [*EXTENSIONS, ".PNG", ".Jpg"])
def test_written_pictures_can_be_opened(extension, tmp_path):
    path = tmp_path / f"out{extension}"
    save_rgb(check_output(path), RGB)
    again = Photo.open(path)
    lossless = extension.lower() in (".png", ".tif", ".tiff")
    difference = np.abs(again.rgb.astype(int) - RGB)
    assert difference.max() == 0 if lossless else difference.mean() < 2
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_jpeg_keeps_its_colour_at_full_resolution(tmp_path):
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 60, 200)
    save_rgb(tmp_path / "stripes.jpg", stripes)
    again = Photo.open(tmp_path / "stripes.jpg").rgb.astype(int)
    assert np.abs(again - stripes).mean() < 8


def test_files_have_an_srgb_profile_and_are_the_same_every_time():
    for extension in EXTENSIONS:
        data = encode_rgb(RGB, extension)
        assert data == encode_rgb(RGB, extension)
        assert b"acsp" in data or extension == ".png"  # PNG compresses it


@pytest.mark.parametrize("name", ["out", "out.xyz", "out.svg", "out.png.exe", ".png"])
def test_an_unknown_extension_is_refused(name, tmp_path):
    for act in (check_output, lambda path: save_rgb(path, RGB)):
        with pytest.raises(OutputError, match=r"\.png, \.jpg"):
            act(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_and_a_folder_are_refused(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        check_output(tmp_path / "none" / "out.png")
    with pytest.raises(OutputError, match="does not exist"):
        save_rgb(tmp_path / "none" / "out.png", RGB)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path / "folder.png")
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="written"):
        check_output(tmp_path / "out.png")
    tmp_path.chmod(0o700)


def test_a_name_without_a_folder_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_rgb("out.png", RGB)
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("extension", "side"), [(".webp", 16_384), (".jpg", 65_536)])
def test_a_picture_too_large_for_its_format_is_refused_and_nothing_is_written(extension, side, tmp_path):
    path = tmp_path / f"long{extension}"
    with pytest.raises(OutputError, match=r"use \.png"):
        save_rgb(path, np.zeros((1, side, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    save_rgb(path, RGB)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        save_rgb(path, RGB[::-1])
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_encoder_is_an_output_error(monkeypatch):
    monkeypatch.delitem(Image.SAVE, "WEBP")
    with pytest.raises(OutputError):
        encode_rgb(RGB, ".webp")
