"""Recoloured regions: the test set keeps its rules, and known colourings get the right scores."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from livetint.bench.accuracy import regions
from livetint.bench.accuracy.protocols import Picture
from livetint.engine.colour.cielab import in_gamut, srgb_to_lab
from livetint.engine.hints import patch_bounds

from ...needs import needs
from ..stubs import ConstantRunner

pytestmark = needs("skimage")


def picture(seed=0):
    """Four even regions of different colours and sizes on a background."""
    rgb = np.full((256, 256, 3), (150, 140, 120), np.uint8)
    colours = np.random.default_rng(seed).integers(60, 200, (4, 3)).tolist()
    for (centre, radius), colour in zip(
        (((60, 60), 30), ((180, 70), 40), ((80, 190), 35), ((190, 190), 25)), colours, strict=True
    ):
        cv2.circle(rgb, centre, radius, colour, -1)
    lab = srgb_to_lab(rgb / 255).astype(np.float64)
    return Picture(rgb, lab, lab[..., 0].astype(np.float32))


@pytest.fixture(scope="module")
def region():
    return next(iter(regions.recoloured_regions([picture()])))


class Paints(ConstantRunner):
    """Gives the last hint's colour inside a mask and a share of it outside; grey without hints."""

    def __init__(self, mask, leak):
        super().__init__()
        self.weight = np.where(mask, 1.0, leak).astype(np.float32)

    def colorize(self, features, hints, global_hints=None):
        if not hints:
            return np.zeros((2, 256, 256), np.float32)
        return np.stack([hints[-1].a * self.weight, hints[-1].b * self.weight])


def test_one_region_of_a_fitting_size_is_recoloured_in_gamut_and_nothing_else(region):
    before, after = picture().lab, region.picture.lab
    assert 0.02 <= region.mask.mean() <= 0.25
    np.testing.assert_array_equal(after[~region.mask], before[~region.mask])
    np.testing.assert_array_equal(after[..., 0], before[..., 0])
    assert np.linalg.norm((after - before)[region.mask].mean(0)) >= 25
    assert in_gamut(after[region.mask]).all()


def test_the_regions_are_always_the_same_and_do_not_depend_on_the_length_of_the_set(region):
    again, other = regions.recoloured_regions([picture(), picture(1)])
    assert again is not None and other is not None
    np.testing.assert_array_equal(again.picture.lab, region.picture.lab)
    assert not np.array_equal(other.mask, again.mask)


def test_touches_are_deep_in_the_region_and_have_its_new_colour(region):
    hints = region.hints(5)
    assert len(hints) == 5
    for hint in hints:
        top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, 256, 256)
        assert region.mask[top:bottom, left:right].all()
        np.testing.assert_allclose(
            (hint.a, hint.b), region.picture.ab[:, top:bottom, left:right].mean((1, 2)), atol=1e-3
        )
    depth = cv2.distanceTransform(np.pad(region.mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = region.places[0]
    assert depth[row + 1, column + 1] == depth.max()


def test_a_thin_region_has_no_place_for_a_touch():
    mask = np.zeros((64, 64), bool)
    mask[:, 30:36] = True
    assert regions.deepest(mask, 5).shape == (0, 2)


def test_a_picture_without_a_fitting_region_is_left_out_and_counted():
    grey = np.full((256, 256, 3), 90, np.uint8)
    lab = srgb_to_lab(grey / 255).astype(np.float64)
    plain = Picture(grey, lab, lab[..., 0].astype(np.float32))
    tally, left_out = regions.measure_regions(ConstantRunner(), regions.recoloured_regions([plain, picture()]))
    table = regions.as_table(tally, left_out)
    assert (table["photos"], table["left_out"]) == (1, 1)


@pytest.mark.parametrize("leak", [0.0, 0.5])
def test_the_ratio_is_the_share_that_leaks_out(region, leak):
    tally, left_out = regions.measure_regions(Paints(region.mask, leak), [region])
    table = regions.as_table(tally, left_out)
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    row = table["network"]["1"]
    assert row["ratio"]["mean"] == pytest.approx(leak, abs=1e-3)
    assert row["error_inside"]["mean"] < 1 < row["error_before_inside"]["mean"]
    assert row["gain_inside_db"]["mean"] > 10
    assert "moved outside / inside" in regions.as_lines(table)


def test_a_network_that_ignores_touches_has_no_ratio(region):
    table = regions.as_table(*regions.measure_regions(ConstantRunner((5.0, 5.0)), [region]))
    assert table["network"]["1"]["ratio"] == {"mean": None, "low": None, "high": None}
    assert table["network"]["5"]["moved_inside"]["mean"] == 0
    assert "–" in regions.as_lines(table)


def test_filled_gives_exactly_the_region_the_colour_of_the_nearest_touch(region):
    before = np.full((2, 256, 256), 7, np.float32)
    hints = [replace(hint, a=10.0 * number) for number, hint in enumerate(region.hints(2))]
    after = regions.filled(region, before)(hints)
    np.testing.assert_array_equal(after[:, ~region.mask], before[:, ~region.mask])
    for hint, (row, column) in zip(hints, region.places, strict=False):
        np.testing.assert_allclose(after[:, row, column], (hint.a, hint.b), rtol=1e-6)
    assert len(np.unique(after[:, region.mask], axis=1).T) == 2
    table = regions.as_table(*regions.measure_regions(ConstantRunner((5.0, 5.0)), [region]))
    assert table["filled"]["1"]["ratio"]["mean"] == 0
    assert table["filled"]["1"]["gain_inside_db"]["mean"] > 10
    assert "filled, touches: 5" in regions.as_lines(table)


@needs("scipy")
def test_levin_colours_the_whole_picture_from_one_touch(region):
    table = regions.as_table(*regions.measure_regions(ConstantRunner(), [region], levin=True))
    assert table["levin"]["1"]["ratio"]["mean"] == pytest.approx(1, abs=0.05)
