"""Faces with known boxes: the boxes are read, the right things touched, and known colourings get their scores."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from livetint.bench.accuracy import faces
from livetint.bench.accuracy.faces import BESIDE, FACE, Box, Faces, read_boxes
from livetint.bench.accuracy.photo_set import PhotoSet
from livetint.bench.accuracy.protocols import PROTOCOLS, Picture
from livetint.bench.accuracy.run import Plan, Run
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.errors import ConfigError
from PIL import Image

from ...needs import needs
from ..stubs import ConstantRunner

pytestmark = needs("skimage")

# The head of the person below, and a smaller one in the corner.
BOXES = (Box(0.8, 0.05, 0.9, 0.2), Box(0.35, 0.15, 0.65, 0.55))


def person():
    """A head on a coat, in front of a wall; a second, small head. RGB uint8 [256, 256, 3]."""
    rgb = np.full((256, 256, 3), (120, 130, 140), np.uint8)
    cv2.rectangle(rgb, (88, 135), (168, 220), (60, 90, 60), -1)
    for box in BOXES:
        rgb[box.ellipse(256)] = (200, 150, 120)
    return rgb


@pytest.fixture(scope="module")
def picture():
    rgb = person()
    lab = srgb_to_lab(rgb / 255).astype(np.float64)
    return Picture(rgb, lab, lab[..., 0].astype(np.float32))


@pytest.fixture(scope="module")
def touched(picture):
    return {found.thing: found for found in faces.things(picture, BOXES, np.random.default_rng(0))}


class Spills(ConstantRunner):
    """Colours everything like the first hint, the faces with a share of it; grey without hints."""

    def __init__(self, in_faces, share):
        super().__init__()
        self.weight = np.where(in_faces, share, 1.0).astype(np.float32)

    def colorize(self, features, hints, global_hints=None):
        if not hints:
            return np.zeros((2, 256, 256), np.float32)
        return np.stack([hints[0].a * self.weight, hints[0].b * self.weight])


def table(tmp_path, text):
    path = tmp_path / "boxes.tsv"
    path.write_text(text)
    return path


def test_the_largest_face_and_the_region_beside_it_are_touched(touched):
    face, coat = touched[FACE].region, touched[BESIDE].region
    assert face.mask[90, 128] and face.mask.mean() == pytest.approx(np.pi / 4 * BOXES[1].area, rel=0.02)
    assert coat.mask[180, 128] and not coat.mask[90, 128] and not coat.mask[10, 10]
    assert touched[BESIDE].faces[90, 128] and touched[BESIDE].faces[32, 217]


def test_a_face_without_a_fitting_region_beside_it_is_still_touched():
    rgb = np.full((256, 256, 3), 120, np.uint8)
    rgb[BOXES[1].ellipse(256)] = (200, 150, 120)
    lab = srgb_to_lab(rgb / 255).astype(np.float64)
    plain = Picture(rgb, lab, lab[..., 0].astype(np.float32))
    found = faces.things(plain, BOXES[1:], np.random.default_rng(0))
    assert [one.thing for one in found] == [FACE]


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_the_ratio_of_the_faces_is_the_share_that_reaches_them(picture, touched, share):
    runner = Spills(touched[BESIDE].faces, share)
    photographs = [("one.png", picture), ("without-boxes.png", picture)]
    found = faces.as_table(faces.measure_faces(runner, photographs, {"one.png": BOXES}))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found[FACE]["photos"] == found[BESIDE]["photos"] == 1
    assert found[BESIDE]["1"]["faces_ratio"]["mean"] == pytest.approx(share, abs=1e-3)
    assert found[BESIDE]["1"]["ratio"]["mean"] == pytest.approx(1, abs=0.15)
    assert "faces_ratio" not in found[FACE]["1"]
    assert "moved faces / inside" in faces.as_lines(found)
    rows = faces.as_rows(found)
    assert len(rows) == 5 and len({len(row) for row in rows}) == 1


def test_boxes_are_read_by_name(tmp_path):
    text = "file\tleft\ttop\tright\tbottom\na.jpg\t0.1\t0.2\t0.3\t0.4\nb.jpg\t0\t0\t1\t1\na.jpg\t0.5\t0.5\t0.6\t0.7\n"
    assert read_boxes(table(tmp_path, text)) == {
        "a.jpg": (Box(0.1, 0.2, 0.3, 0.4), Box(0.5, 0.5, 0.6, 0.7)),
        "b.jpg": (Box(0, 0, 1, 1),),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file\tx\ty\nA\t1\t2\n", "first line is file left top right bottom"),
        ("file\tleft\ttop\tright\tbottom\n", "holds no boxes"),
        ("file\tleft\ttop\tright\tbottom\na.jpg\t0.1\t0.2\t0.3\n", "line 2 is no box"),
        ("file\tleft\ttop\tright\tbottom\na.jpg\t0.1\t0.2\t0.3\tx\n", "line 2 is no box"),
        ("file\tleft\ttop\tright\tbottom\na.jpg\t0.3\t0.2\t0.1\t0.4\n", "line 2 is no box"),
        ("file\tleft\ttop\tright\tbottom\na.jpg\t10\t20\t30\t40\n", "0…1 of the photograph"),
    ],
)
def test_tables_that_are_none_are_refused_with_the_reason(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        read_boxes(table(tmp_path, text))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_boxes(tmp_path / "none.tsv")


def test_the_measure_finds_the_photographs_by_their_names(tmp_path):
    Image.fromarray(person()).save(tmp_path / "b.png")
    Image.fromarray(person()[:, ::-1]).save(tmp_path / "a.png")
    run = Run(ConstantRunner((5.0, 5.0)), PhotoSet(tmp_path), Plan(PROTOCOLS["zhang17"], (0,)))
    found = Faces({"b.png": BOXES, "c.png": BOXES}).measure(run)["faces"]
    assert found[FACE]["photos"] == 1
    assert found[FACE]["1"]["ratio"] == {"mean": None, "low": None, "high": None}
    assert "–" in faces.as_lines(found)
    with pytest.raises(ConfigError, match="none of the photographs"):
        Faces({"c.png": BOXES}).measure(run)
    with pytest.raises(ConfigError, match="large enough"):
        Faces({"a.png": (Box(0.01, 0.9, 0.02, 0.91),)}).measure(run)


def test_the_committed_boxes_can_be_read():
    boxes = read_boxes(faces.FDDB)
    assert len(boxes) == 146
    assert all(name.startswith("fddb_") for name in boxes)
