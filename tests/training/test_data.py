"""Batches for training: crops, hints, recoloured regions, aged prints."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from livetint.engine.colour.global_hints import saturation_of
from livetint.engine.models import bundled_folder
from PIL import Image

from ..needs import import_or_skip

import_or_skip("torch")

from livetint.calibration.photographs import lab_of  # noqa: E402
from livetint.training.aging import age  # noqa: E402
from livetint.training.config import Augmentation  # noqa: E402
from livetint.training.data import batches, draw_batch  # noqa: E402
from livetint.training.recolour import recolour, recolour_one  # noqa: E402

from .pictures import coffee, lone_batch, squares  # noqa: E402


def test_the_saturation_shown_in_training_is_that_of_every_pixel():
    """As at run time: pixels are not averaged before their saturation is taken."""
    dots = np.zeros((1, 128, 128, 3), np.uint8)
    dots[0, (np.indices((128, 128)).sum(0) % 2) == 0] = 220, 40, 40
    dots[0, (np.indices((128, 128)).sum(0) % 2) == 1] = 40, 200, 220
    settings = Augmentation(crop_px=128, min_crop=1.0, recoloured=0.0, global_share=1.0)
    batch = draw_batch(dots, 1, settings, np.random.default_rng(0))
    assert batch.global_hints[0, 314] == pytest.approx(saturation_of(dots[0] / 255), abs=1e-4)


def test_batches_do_not_depend_on_where_a_run_was_interrupted():
    settings = Augmentation(crop_px=32)
    source = batches(squares(), 2, settings, seed=3)
    whole = [next(source) for _ in range(3)]
    source.close()
    later = batches(squares(), 2, settings, seed=3, first=2)
    np.testing.assert_array_equal(next(later).L, whole[2].L)
    later.close()


def test_hints_of_a_batch_are_the_true_colours():
    settings = Augmentation(crop_px=64, min_crop=1.0, recoloured=0)
    batch = draw_batch(squares(), 3, settings, np.random.default_rng(1))
    assert batch.valid.sum() > 0 and batch.global_hints.shape == (3, 316)
    spread = batch.ab.max((2, 3)) - batch.ab.min((2, 3))
    assert (spread > 0).all()
    low, high = batch.ab.min((2, 3))[:, None], batch.ab.max((2, 3))[:, None]
    on = batch.valid[..., None] > 0
    assert ((batch.colours >= low - 1e-3) | ~on).all() and ((batch.colours <= high + 1e-3) | ~on).all()


def test_an_error_in_the_background_is_raised_here():
    source = batches(squares(0), 2, Augmentation(crop_px=32), seed=0)
    with pytest.raises(ValueError, match="high"):
        next(source)


def test_recolouring_keeps_lightness_and_changes_some_regions():
    rgb = np.asarray(Image.open(bundled_folder().parent / "photos" / "coffee.jpg").resize((96, 96)))
    lab = lab_of(rgb)
    changed = recolour(rgb, np.random.default_rng(4))
    moved = np.linalg.norm(changed[..., 1:] - lab[..., 1:], axis=-1)
    assert (moved > 10).mean() > 0.02
    assert np.median(np.abs(changed[..., 0] - lab[..., 0])) < 3


def test_a_lone_region_is_in_one_piece_and_nothing_else_changes():
    lab = lab_of(coffee())
    found = [recolour_one(coffee(), np.random.default_rng(seed)) for seed in range(12)]
    regions = [one for one in found if one is not None]
    assert len(regions) >= 6
    for changed, mask in regions:
        moved = np.linalg.norm(changed[..., 1:] - lab[..., 1:], axis=-1)
        assert moved[mask > 0.95].mean() > 10 > 1 > moved[mask == 0].max()
        assert 0.01 < (mask > 0.5).mean() < 0.5
        assert cv2.connectedComponents((mask > 0.5).astype(np.uint8))[0] == 2


def test_a_flood_fill_stops_at_the_edges_of_objects(monkeypatch):
    """A grey disc on a lighter ground, both with grain: a flood fill takes one of them, up to its edge."""
    monkeypatch.setattr("livetint.training.recolour.FLOODED", 1.0)
    y, x = np.mgrid[:96, :96]
    disc = np.hypot(y - 48, x - 40) < 25
    grain = np.random.default_rng(0).integers(-4, 5, (96, 96))
    rgb = np.repeat((np.where(disc, 90, 160) + grain).astype(np.uint8)[..., None], 3, 2)
    regions = [
        one[1] > 0.5 for seed in range(12) if (one := recolour_one(rgb, np.random.default_rng(seed))) is not None
    ]
    assert len(regions) >= 3
    for region in regions:
        assert (region != disc).mean() < 0.02


def test_a_picture_whose_regions_do_not_change_enough_is_not_used(monkeypatch):
    monkeypatch.setattr("livetint.training.recolour.MIN_CHANGE", 500.0)
    assert recolour_one(coffee(), np.random.default_rng(0)) is None


@pytest.mark.parametrize("seed", range(20))
def test_an_aged_print_is_still_a_lightness_and_resembles_the_picture(seed):
    L = lab_of(coffee())[..., 0]
    aged = age(L, np.random.default_rng(seed))
    assert aged.dtype == np.float32 and aged.shape == L.shape and 0 <= aged.min() <= aged.max() <= 100
    assert np.corrcoef(aged.ravel(), L.ravel())[0, 1] > 0.7


def test_hints_of_a_lone_region_lie_in_it():
    batch = lone_batch()
    lone = batch.touched.min((1, 2, 3)) < 1
    assert lone.sum() >= 2 and not batch.natural[lone].any() and not batch.global_hints[lone].any()
    for index in np.nonzero(lone)[0]:
        places = batch.positions[index][batch.valid[index] > 0]
        assert 1 <= len(places) <= 5
        columns, rows = (places * 64).astype(int).T
        assert (batch.touched[index, 0, rows, columns] > 0.5).all()


def test_aged_pictures_keep_their_colours():
    plain, aged = lone_batch(), lone_batch(aged=1.0)
    assert (plain.L != aged.L).any()
    np.testing.assert_array_equal(plain.ab, aged.ab)
