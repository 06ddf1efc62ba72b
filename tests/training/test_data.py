"""Batches for training: crops, hints, recoloured regions, aged prints; their statistics beside the reference's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.calibration import visitor as one_visitor
from livetint.calibration.photographs import lab_of
from livetint.engine.colour import bins, cielab
from livetint.engine.colour.global_hints import histogram_of, saturation_of
from livetint.engine.hints import Hint, rasterise

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.training import recolour as recolour_module  # noqa: E402
from livetint.training.aging import age  # noqa: E402
from livetint.training.config import Augmentation  # noqa: E402
from livetint.training.data import Batch, BatchMaker, crops  # noqa: E402
from livetint.training.draws import Draws  # noqa: E402
from livetint.training.lab import lab_to_srgb, srgb_to_lab  # noqa: E402
from livetint.training.recolour import recolour  # noqa: E402
from livetint.training.regions import clusters, components  # noqa: E402
from livetint.training.soft_bins import nearest_bins, soft_bins  # noqa: E402
from livetint.training.visitor import hint_planes, histograms, mean_colours, saturations  # noqa: E402
from torch import Tensor  # noqa: E402

from .pictures import batch_of, coffee, lone_batch, photographs, squares  # noqa: E402
from .reference.data import draw_batch as reference_batch  # noqa: E402

CPU = torch.device("cpu")
WITH_ALL = Augmentation(crop_px=64, recoloured=0.3, lone_region=0.3, aged=0.3, global_share=0.5)


def planes_of(rgb: np.ndarray) -> tuple[Tensor, Tensor]:
    """uint8 [n, s, s, 3] → RGB in 0…1 and CIELAB, both [n, 3, s, s]."""
    planes = torch.from_numpy(rgb).movedim(3, 1).float() / 255
    return planes, srgb_to_lab(planes)


# Formulas that torch computes for whole batches are those of the engine.


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_lab_is_the_engines_lab(seed):
    rng = np.random.default_rng(seed)
    srgb = rng.choice([0, 0.04, 0.0405, 1], (1, 3, 4, 5)) * rng.uniform(0, 1, (1, 3, 4, 5)) ** rng.integers(0, 3)
    lab = rng.uniform([0, -120, -120], [100, 120, 120], (1, 4, 5, 3))
    ours, back = srgb_to_lab(torch.from_numpy(srgb).float()), lab_to_srgb(torch.from_numpy(lab).movedim(3, 1).float())
    np.testing.assert_allclose(ours.movedim(1, 3), cielab.srgb_to_lab(np.moveaxis(srgb, 1, 3)), atol=2e-3)
    np.testing.assert_allclose(back.movedim(1, 3), cielab.lab_to_srgb(lab), atol=1e-4)


def test_nearest_bins_are_exact_and_soft_bins_nearly():
    rng = np.random.default_rng(0)
    inside = bins.CENTRES[np.abs(bins.CENTRES).max(1) < 60]
    ab = (inside[:, None] + rng.uniform(-5, 5, (len(inside), 20, 2))).astype(np.float32)
    ours = nearest_bins(torch.from_numpy(ab)).numpy()
    all_around = np.isin(np.abs(ab - bins.CENTRES[ours]).max(-1) <= 5, True)
    assert (ours == bins.nearest(ab))[all_around].all() and all_around.mean() > 0.95
    found = soft_bins(torch.from_numpy(ab))
    dense = torch.zeros(*ab.shape[:2], len(bins.CENTRES)).scatter(-1, found.indices, found.weights).numpy()
    np.testing.assert_allclose(dense.sum(-1), 1, atol=1e-5)
    assert np.abs(dense - bins.soft_encode(ab)).sum(-1).mean() < 0.1
    far = soft_bins(torch.tensor([[200.0, -200.0]]))
    assert torch.isfinite(far.weights).all() and far.indices.max() < len(bins.CENTRES)


def test_histograms_and_saturations_are_the_engines():
    rgb, lab = planes_of(photographs())
    ours = histograms(lab[:, 1:])
    for index, one in enumerate(lab[:, 1:].numpy()):
        expected = histogram_of(np.ascontiguousarray(one))
        assert np.abs(ours[index].numpy() - expected).sum() < 0.01
    expected = [saturation_of(one / 255) for one in photographs()]
    np.testing.assert_allclose(saturations(rgb), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(8, 256))
def test_mean_colours_under_patches_are_exact(seed, side):
    rng = np.random.default_rng(seed)
    ab = rng.uniform(-100, 100, (2, side, side)).astype(np.float32)
    patches = one_visitor.gaussian_patches(rng, 6, whole=False)
    edges = one_visitor.Patches(np.array([0.0, 247.0]), np.array([247.0, 0.0]), np.array([9, 9]))
    for some in (patches, edges):
        corner = torch.from_numpy(np.stack([some.left, some.top], 1)).float()[None]
        ours = mean_colours(torch.from_numpy(ab)[None], corner, torch.from_numpy(some.size).float()[None])
        np.testing.assert_allclose(ours[0], one_visitor.mean_colours(ab, some), atol=0.05)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 40))
def test_hint_planes_are_those_of_the_engine(seed, side):
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 12))
    places, sizes = rng.choice([0.0, 0.3, 0.77, 1.0], (number, 2)), rng.integers(1, 10, number)
    values = rng.uniform(-90, 90, (number, 2)).astype(np.float32).tolist()
    hints = [Hint(x, y, a, b, int(size)) for (x, y), (a, b), size in zip(places, values, sizes, strict=True)]
    size = torch.tensor([[hint.size for hint in hints]])
    at = torch.tensor([[(hint.x, hint.y) for hint in hints]], dtype=torch.float64)
    corner = (at * side - size[..., None] / 2 + 0.5).floor().long()
    colours = torch.tensor([[(hint.a, hint.b) for hint in hints]])
    last = torch.tensor([[1.0] * (number - 1) + [0.0]])
    for there, shown in ((torch.ones_like(last), hints), (last, hints[:-1])):
        ab, mask = hint_planes(colours, corner, size, there, side)
        expected_ab, expected_mask = rasterise(shown, (side, side))
        np.testing.assert_array_equal(ab[0], expected_ab)
        np.testing.assert_array_equal(mask[0], expected_mask)


@pytest.mark.parametrize(("whole", "side"), [(96, 64), (64, 96), (96, 96)])
def test_crops_are_resampled_as_by_opencv(whole, side):
    """The whole photograph, mirrored or not, averaged over areas or interpolated."""
    photos = photographs(whole)
    ours = crops(torch.from_numpy(photos), torch.arange(3), side, 1.0, Draws(CPU, 1)).movedim(1, 3).numpy() * 255
    for mine, photo in zip(ours, photos, strict=True):
        theirs = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA if whole > side else cv2.INTER_LINEAR)
        assert min(np.abs(mine - theirs).max(), np.abs(mine - theirs[:, ::-1]).max()) < 1


# What a batch holds.


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    photos = torch.from_numpy(photographs())
    maker, other = BatchMaker(photos, 6, WITH_ALL, seed=3), BatchMaker(photos, 6, WITH_ALL, seed=4)
    first = [maker.batch(number) for number in range(3)]
    again, elsewhere = BatchMaker(photos, 6, WITH_ALL, seed=3).batch(2), other.batch(2)
    for name in ("L", "ab", "positions", "colours", "sizes", "valid", "global_hints", "natural", "touched"):
        assert torch.equal(getattr(again, name), getattr(first[2], name)), name
    assert not torch.equal(again.L, elsewhere.L) and not torch.equal(again.L, first[1].L)
    assert maker.batch(0, 32).L.shape == (6, 1, 32, 32)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_every_batch_has_the_shapes_that_it_says(size, share):
    chosen = Augmentation(crop_px=64, recoloured=1 - share, lone_region=share, aged=share, global_share=share)
    batch = batch_of(photographs(), size, chosen, 1)
    number = batch.valid.shape[1]
    assert batch.L.shape == (size, 1, 64, 64) and batch.ab.shape == (size, 2, 64, 64)
    assert batch.positions.shape == batch.colours.shape == (size, number, 2)
    assert batch.sizes.shape == (size, number) and batch.global_hints.shape == (size, 316)
    assert batch.natural.dtype == torch.bool and batch.natural.shape == (size,) and len(batch.touched) <= size
    assert batch.L.min() >= 0 and batch.L.max() <= 100.01
    off = batch.valid == 0
    assert not batch.positions[off].any() and not batch.colours[off].any() and (batch.sizes[off] == 1).all()
    for tensor in (batch.L, batch.ab, batch.positions, batch.colours, batch.global_hints, batch.touched):
        assert tensor.dtype == torch.float32 and torch.isfinite(tensor).all()


def test_the_saturation_shown_in_training_is_that_of_every_pixel():
    """As at run time: pixels are not averaged before their saturation is taken."""
    dots = np.zeros((1, 128, 128, 3), np.uint8)
    dots[0, (np.indices((128, 128)).sum(0) % 2) == 0] = 220, 40, 40
    dots[0, (np.indices((128, 128)).sum(0) % 2) == 1] = 40, 200, 220
    chosen = Augmentation(crop_px=128, min_crop=1.0, recoloured=0.0, global_share=1.0)
    batch = batch_of(dots, 1, chosen, 0)
    assert batch.global_hints[0, 314] == pytest.approx(saturation_of(dots[0] / 255), abs=1e-4)


def test_hints_of_a_batch_are_the_true_colours():
    chosen = Augmentation(crop_px=64, min_crop=1.0, recoloured=0)
    batch = batch_of(squares(), 3, chosen, 1)
    assert batch.valid.sum() > 0 and batch.global_hints.shape == (3, 316)
    spread = batch.ab.amax((2, 3)) - batch.ab.amin((2, 3))
    assert (spread > 0).all()
    low, high = batch.ab.amin((2, 3))[:, None], batch.ab.amax((2, 3))[:, None]
    on = batch.valid[..., None] > 0
    assert ((batch.colours >= low - 1e-3) | ~on).all() and ((batch.colours <= high + 1e-3) | ~on).all()


def test_without_photographs_there_is_no_batch():
    with pytest.raises(ValueError, match="high"):
        batch_of(squares(0), 1, Augmentation(crop_px=32), 0)


# Recoloured regions.


def in_pieces(cells: Tensor) -> float:
    """The share of the cells of int [M, h, w] that are cut off from their component; no label reaches into two."""
    found = components(cells[:, :, 1:] == cells[:, :, :-1], cells[:, 1:] == cells[:, :-1]).reshape(cells.shape).numpy()
    cut = 0
    for labels, plane in zip(found, cells.numpy(), strict=True):
        for value in np.unique(plane):
            number, expected = cv2.connectedComponents((plane == value).astype(np.uint8), connectivity=4)
            for index in range(1, number):
                part = expected == index
                values, counts = np.unique(labels[part], return_counts=True)
                cut += part.sum() - counts.max()
                assert not np.isin(labels[~part], values).any()
    return cut / cells.numel()


def test_components_are_opencvs():
    """Noise at the threshold of percolation has components that wind more than any region of a photograph."""
    noise = torch.from_numpy(np.random.default_rng(0).random((6, 40, 50)) < 0.55)
    assert in_pieces(noise.long()) < 0.01
    labels, _ = clusters(planes_of(photographs())[1].repeat(4, 1, 1, 1), Draws(CPU, 0))
    assert in_pieces(labels) < 1e-4


def test_recolouring_keeps_lightness_and_changes_some_regions():
    rgb, lab = planes_of(coffee()[None])
    changed = recolour(rgb, lab, 0, Draws(CPU, 4))
    moved = (changed.lab - lab)[0, 1:].norm(dim=0)
    assert (moved > 10).float().mean() > 0.02 and len(changed.touched) == 0
    assert (changed.lab - lab)[0, 0].abs().median() < 3
    torch.testing.assert_close(srgb_to_lab(changed.rgb), changed.lab)
    assert changed.rgb.min() >= 0 and changed.rgb.max() <= 1


def test_a_lone_region_is_in_one_piece_and_nothing_else_changes():
    rgb, lab = planes_of(np.stack([coffee()] * 12))
    changed = recolour(rgb, lab, 12, Draws(CPU, 2))
    lone = (changed.touched.amin((1, 2, 3)) < 1).numpy()
    assert lone.sum() >= 6
    for index in np.flatnonzero(lone):
        mask = changed.touched[index, 0].numpy()
        moved = (changed.lab - lab)[index, 1:].norm(dim=0).numpy()
        assert moved[mask > 0.95].mean() > 10 > 1 > moved[mask == 0].max()
        assert 0.01 < (mask > 0.5).mean() < 0.5
        assert cv2.connectedComponents((mask > 0.5).astype(np.uint8))[0] == 2


def test_a_flood_fill_stops_at_the_edges_of_objects(monkeypatch):
    """A grey disc on a lighter ground, both with grain: a flood fill takes one of them, up to its edge."""
    monkeypatch.setattr(recolour_module, "FLOODED", 1.0)
    y, x = np.mgrid[:96, :96]
    disc = np.hypot(y - 48, x - 40) < 25
    grain = np.random.default_rng(0).integers(-4, 5, (12, 96, 96))
    grey = np.repeat((np.where(disc, 90, 160) + grain).astype(np.uint8)[..., None], 3, 3)
    touched = recolour(*planes_of(grey), 12, Draws(CPU, 0)).touched
    regions = touched[touched.amin((1, 2, 3)) < 1, 0].numpy() > 0.5
    assert len(regions) >= 3
    for region in regions:
        assert (region != disc).mean() < 0.02


def test_a_picture_whose_regions_do_not_change_enough_is_recoloured_by_clusters(monkeypatch):
    monkeypatch.setattr(recolour_module, "MIN_CHANGE", 500.0)
    batch = lone_batch()
    assert not batch.lone().any() and not batch.natural.any()


def test_hints_of_a_lone_region_lie_in_it():
    batch = lone_batch()
    lone = batch.lone()
    assert lone.sum() >= 2 and not batch.natural[lone].any() and not batch.global_hints[lone].any()
    for index in torch.nonzero(lone)[:, 0]:
        places = batch.positions[index][batch.valid[index] > 0]
        assert 1 <= len(places) <= 5
        columns, rows = (places * 64).long().T
        assert (batch.touched[index, 0, rows, columns] > 0.5).all()


# Aged prints.


def test_aged_prints_are_still_lightness_and_resemble_the_picture():
    L = torch.from_numpy(lab_of(coffee())[..., 0])
    aged = age(L.expand(20, 1, -1, -1), Draws(CPU, 0))
    assert aged.dtype == torch.float32 and aged.shape == (20, 1, *L.shape)
    assert aged.min() >= 0 and aged.max() <= 100
    for one in aged:
        assert np.corrcoef(one.flatten(), L.flatten())[0, 1] > 0.7


def test_aged_pictures_keep_their_colours():
    plain, aged = lone_batch(), lone_batch(aged=1.0)
    assert (plain.L != aged.L).any()
    torch.testing.assert_close(plain.ab, aged.ab)


# Statistics, beside those of the reference, which makes one picture at a time with NumPy and OpenCV.


def many(chosen: Augmentation, batches: int, size: int) -> tuple[Batch, Batch]:
    """Batches of the product and of the reference, joined; hints beyond the smallest number of a batch are left out."""
    photos = photographs()
    ours = [batch_of(photos, size, chosen, 5, index) for index in range(batches)]
    theirs = [reference_batch(photos, size, chosen, np.random.default_rng([6, index])) for index in range(batches)]
    return joined(ours), joined(theirs)


def joined(batches: list) -> Batch:
    number = max(batch.valid.shape[1] for batch in batches)

    def column(name: str) -> Tensor:
        parts = [torch.as_tensor(getattr(batch, name)) for batch in batches]
        if name in ("positions", "colours", "sizes", "valid"):
            parts = [torch.cat([p, torch.zeros(len(p), number - p.shape[1], *p.shape[2:])], 1) for p in parts]
        return torch.cat(parts)

    names = ("L", "ab", "positions", "colours", "sizes", "valid", "global_hints", "natural", "touched")
    return Batch(**{name: column(name) for name in names}, draws=Draws(CPU, 0))


def assert_near(ours: Tensor, theirs: Tensor, within: float) -> None:
    """Their means are equal within so many of their common standard errors."""
    ours, theirs = ours.double().flatten(), theirs.double().flatten()
    error = float((ours.var() / len(ours) + theirs.var() / len(theirs)).sqrt())
    assert abs(float(ours.mean() - theirs.mean())) <= within * error + 1e-9, (ours.mean(), theirs.mean(), error)


def test_natural_pictures_have_the_references_statistics():
    chosen = Augmentation(crop_px=64, recoloured=0.0, uniform_counts=0.3, max_hints=40, global_share=0.5)
    ours, theirs = many(chosen, 32, 8)
    for batch in (ours, theirs):
        assert batch.natural.all() and not batch.lone().any()
    assert_near(ours.L.mean((1, 2, 3)), theirs.L.mean((1, 2, 3)), 4)
    assert_near(ours.L.diff(dim=3).abs().mean((1, 2, 3)), theirs.L.diff(dim=3).abs().mean((1, 2, 3)), 4)
    assert_near(ours.ab.norm(dim=1).mean((1, 2)), theirs.ab.norm(dim=1).mean((1, 2)), 4)
    counts = [batch.valid.sum(1).reshape(32, 8) for batch in (ours, theirs)]
    assert_near(counts[0].mean(1), counts[1].mean(1), 4)  # a batch's counts have one distribution
    assert counts[0].max() <= 40 and counts[0].min() == counts[1].min() == 0
    where = [batch.positions[batch.valid > 0] for batch in (ours, theirs)]
    for axis in (0, 1):
        assert_near(where[0][:, axis], where[1][:, axis], 4)
        assert_near((where[0][:, axis] - 0.5).abs(), (where[1][:, axis] - 0.5).abs(), 4)
    sizes = [batch.sizes[batch.valid > 0] for batch in (ours, theirs)]
    assert set(sizes[0].tolist()) == set(sizes[1].tolist()) == set(range(1, 10))
    assert_near(sizes[0], sizes[1], 4)
    colours = [batch.colours[batch.valid > 0].norm(dim=1) for batch in (ours, theirs)]
    assert_near(colours[0], colours[1], 4)
    for flag in (313, 315):
        assert_near(ours.global_hints[:, flag], theirs.global_hints[:, flag], 4)
    shown = [batch.global_hints[batch.global_hints[:, 315] > 0, 314] for batch in (ours, theirs)]
    assert_near(shown[0], shown[1], 4)
    known = [batch.global_hints[batch.global_hints[:, 313] > 0, :313].mean(0) for batch in (ours, theirs)]
    assert (known[0] - known[1]).abs().sum() < 0.25


def test_recoloured_pictures_have_the_references_statistics():
    ours, theirs = many(Augmentation(crop_px=64, recoloured=1.0, global_share=1.0), 16, 8)
    assert not ours.natural.any()
    chroma = [batch.ab.norm(dim=1) for batch in (ours, theirs)]
    assert_near(chroma[0].mean((1, 2)), chroma[1].mean((1, 2)), 4)
    assert_near(chroma[0].std((1, 2)), chroma[1].std((1, 2)), 4)
    assert_near(ours.L.mean((1, 2, 3)), theirs.L.mean((1, 2, 3)), 4)
    edges = [batch.ab.diff(dim=3).norm(dim=1).mean((1, 2)) for batch in (ours, theirs)]
    assert_near(edges[0], edges[1], 4)
    assert_near(ours.global_hints[:, 314], theirs.global_hints[:, 314], 4)


@pytest.mark.parametrize("flooded", [0.0, 1.0])
def test_lone_regions_have_the_references_statistics(flooded, monkeypatch):
    """Floods are found more often here, because the start is chosen among cells whose region is of a suitable size."""
    monkeypatch.setattr(recolour_module, "FLOODED", flooded)
    monkeypatch.setattr("tests.training.reference.recolour.FLOODED", flooded)
    ours, theirs = many(Augmentation(crop_px=64, lone_region=1.0, recoloured=0.0), 12, 8)
    lone = [batch.lone() for batch in (ours, theirs)]
    assert lone[0].float().mean() > lone[1].float().mean() - 0.05
    share = [batch.touched[chosen].mean((1, 2, 3)) for batch, chosen in zip((ours, theirs), lone, strict=True)]
    assert 0.75 < share[0].mean() / share[1].mean() < 1.33
    assert share[0].min() > 0.01 and share[0].max() < 0.45
    counts = [batch.valid[chosen].sum(1) for batch, chosen in zip((ours, theirs), lone, strict=True)]
    assert_near(counts[0], counts[1], 4)
    chroma = [batch.ab[chosen].norm(dim=1).mean((1, 2)) for batch, chosen in zip((ours, theirs), lone, strict=True)]
    assert_near(chroma[0], chroma[1], 4)


def test_aged_pictures_have_the_references_statistics():
    ours, theirs = many(Augmentation(crop_px=64, recoloured=0.0, aged=1.0), 16, 8)
    assert_near(ours.L.mean((1, 2, 3)), theirs.L.mean((1, 2, 3)), 4)
    assert_near(ours.L.std((1, 2, 3)), theirs.L.std((1, 2, 3)), 4)
    assert_near(ours.L.diff(dim=3).abs().mean((1, 2, 3)), theirs.L.diff(dim=3).abs().mean((1, 2, 3)), 4)
