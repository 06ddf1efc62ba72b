"""`bench accuracy --inside`: the ways of keeping touches inside, skeletons, and the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from livetint.bench.accuracy import regions
from livetint.bench.accuracy.inside import METHODS, OFF_PX, Inside, measure_inside, moved, skeleton
from livetint.bench.accuracy.protocols import PROTOCOLS
from livetint.engine import OnnxRunner, Photo, find_model
from livetint.engine.models import bundled_folder

from ...needs import import_or_skip

import_or_skip("skimage")
PHOTO = bundled_folder().parent / "photos/coffee.jpg"


@pytest.fixture(scope="module")
def table() -> dict:
    picture = PROTOCOLS["zhang17"].picture(PHOTO.read_bytes(), 256)
    with OnnxRunner(find_model("touch"), 1) as runner:
        return regions.as_table(*measure_inside(runner, [*regions.recoloured_regions([picture]), None]))


def test_a_given_region_keeps_its_touches_inside_and_full(table: dict) -> None:
    assert (table["photos"], table["left_out"]) == (1, 1) and set(METHODS) < set(table)
    for touches in ("1", "5"):
        exact, alone, filled = (table[method][touches] for method in ("exact", "network", "filled"))
        assert exact["ratio"]["mean"] <= 0.02 < alone["ratio"]["mean"]
        assert exact["gain_inside_db"]["mean"] >= filled["gain_inside_db"]["mean"] - 1
    assert set(table["stroke"]) == {"1"}


def test_every_way_has_a_line_and_a_row(table: dict) -> None:
    lines, (rows,) = Inside.lines(table).splitlines(), Inside.tables(table)
    assert len(lines) == len(rows) == 1 + 2 * (len(METHODS) - 1) + 1
    assert all(len(row) == len(rows[0]) for row in rows)
    assert any(line.startswith("outline, touches: 5") for line in lines)


def test_the_skeleton_of_a_bar_runs_along_it() -> None:
    mask = np.zeros((256, 256), bool)
    mask[100:121, 40:200] = True
    line = np.array(skeleton(mask)) * 256
    assert np.ptp(line[:, 0]) > 130 and np.abs(line[:, 1] - 110.5).max() <= 10
    assert all(mask[int(y), int(x)] for x, y in line)


def test_a_moved_mask_is_as_far_off_as_a_hand() -> None:
    mask = np.zeros((256, 256), bool)
    mask[100:150, 100:150] = True
    places = np.argwhere(moved(mask, np.random.default_rng(3))).mean(0) - np.argwhere(mask).mean(0)
    assert np.hypot(*places) == pytest.approx(OFF_PX, abs=0.8)


def test_the_photograph_of_a_region_has_its_lightness() -> None:
    picture = PROTOCOLS["zhang17"].picture(Path(PHOTO).read_bytes(), 256)
    np.testing.assert_allclose(Photo.from_rgb(picture.rgb).working_L, picture.L, atol=0.05)
