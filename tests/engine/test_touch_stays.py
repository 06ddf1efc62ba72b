"""A tap colours its thing and nothing else: boxes on the bundled photographs (`golden/things.toml`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from livetint.engine import Hint, OnnxRunner, Photo
from livetint.engine.files import read_toml
from livetint.engine.models import bundled_folder, find_model
from livetint.engine.painter import Painter

TAPS = read_toml(Path(__file__).parents[1] / "golden" / "things.toml")["tap"]


@pytest.fixture(scope="module")
def painters():
    """File name → the photograph, encoded once."""
    photos = bundled_folder().parent / "photos"
    with OnnxRunner(find_model("touch")) as runner:
        yield {name: Painter(Photo.open(photos / name), runner) for name in dict.fromkeys(tap["file"] for tap in TAPS)}


@pytest.mark.parametrize("tap", TAPS, ids=lambda tap: tap["what"])
def test_a_tap_colours_its_thing_and_leaves_the_others_alone(painters, tap):
    painter = painters[tap["file"]]
    moved = np.linalg.norm(painter.ab([Hint(*tap["hint"])]) - painter.ab(), axis=0)
    assert {name: mean for name, mean, limit in means(moved, tap["stays"]) if mean > limit} == {}
    assert {name: mean for name, mean, limit in means(moved, tap["follows"]) if mean < limit} == {}


def means(moved, boxes):
    """Name, mean of `moved` [S, S] over the boxes of that name, and the last one's limit."""
    inside, limits, side = {}, {}, moved.shape[0]
    for name, left, top, right, bottom, limit in boxes:
        box = moved[round(top * side) : round(bottom * side), round(left * side) : round(right * side)]
        inside.setdefault(name, []).append(box.ravel())
        limits[name] = limit
    return [(name, round(float(np.concatenate(parts).mean()), 2), limits[name]) for name, parts in inside.items()]
