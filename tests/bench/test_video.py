"""Hints carried through clips with known motion; the true flow of the clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from livetint.bench.video.clips import CLIPS, turned, with_object
from livetint.bench.video.run import ALONE, CARRIED, as_lines, measure_clip, measure_video
from livetint.engine.errors import ConfigError
from livetint.engine.image.photo import Photo
from livetint.engine.models import bundled_folder, find_model
from livetint.engine.runners.base import Runner
from livetint.engine.runners.onnx import OnnxRunner
from livetint.video.flow import sample
from PIL import Image

from .stubs import ConstantRunner, gradient_photo

PHOTOS = bundled_folder().parent / "photos"


def photograph(name: str) -> np.ndarray:
    return Photo.open(PHOTOS / name).rgb


@pytest.fixture(scope="module")
def touch() -> Iterator[Runner]:
    with OnnxRunner(find_model("touch")) as runner:
        yield runner


@pytest.mark.parametrize("kind", ["object", "two shots"])
def test_carried_hints_are_steady_and_as_good_as_true_hints_in_every_frame(touch: Runner, kind: str):
    shots = CLIPS[kind](photograph("chelsea-the-cat.jpg"), photograph("coffee.jpg"), (192, 144), 12)
    result = measure_clip(touch, shots, 6)
    alone, carried = result[ALONE], result[CARRIED]
    assert carried["warping_error"] <= alone["warping_error"] / 3
    assert carried["psnr_db"] >= alone["psnr_db"] - 0.3
    assert carried["chroma"] >= 0.95 * alone["chroma"]
    assert carried["new_error"] <= 1.03 * alone["new_error"] + 0.1
    assert result["shots_found"] == ([0] if kind == "object" else [0, 6])


def test_the_true_flow_moves_one_frame_onto_the_next():
    rgb = np.asarray(cv2.GaussianBlur(photograph("astronaut.jpg"), (0, 0), 4), np.uint8)
    for shot in (turned(rgb, (96, 72), 5), with_object(rgb, rgb[::-1].copy(), (96, 72), 5)):
        places, seen = shot.sources(3)
        moved = sample(shot.frame(2).astype(np.float32), places)
        assert 0.5 < seen.mean() <= 1
        assert np.abs(moved - shot.frame(3))[seen].mean() < 3
        x, y = np.argwhere(seen)[len(places) // 2][::-1]
        assert shot.follow(20.0, 30.0, 0) == pytest.approx((20, 30))
        assert 0 <= x < 96 and 0 <= y < 72


def test_all_kinds_of_clips_are_measured(tmp_path: Path):
    for number in range(2):
        Image.fromarray(gradient_photo(64, (60, 10 * number, -60))).save(tmp_path / f"{number}.png")
    result = measure_video(ConstantRunner((10, 20)), tmp_path, (48, 36), 4, 2, limit=2)
    assert [clip["clip"] for clip in result["clips"]] == [*CLIPS, *CLIPS]
    assert "10 clips of 4 frames, 48 × 36, 2 hints" in as_lines(result)


def test_photographs_without_colour_are_refused(tmp_path: Path):
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(ConfigError, match="fewer than two photographs in colour"):
        measure_video(ConstantRunner(), tmp_path, (48, 36), 4, 2)
