"""Where to touch next: the uncertain half first, then what remains, distances, evenness and errors."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from livetint.engine import Hint, OnnxRunner, Photo, Session, find_model
from livetint.engine.colour.bins import CENTRES
from livetint.engine.errors import HintRejected, ModelFileError
from livetint.engine.models import bundled_folder
from livetint.engine.next_touch import GRID, MIN_APART, cell_centres, next_touches, uncertainty

PHOTOS = bundled_folder().parent / "photos"
EVEN = np.full((256, 256), 50, np.float32)


class Halves:
    """A network that is uncertain in the left half alone. It colours each half by its last hint."""

    def __init__(self) -> None:
        self.bundle = find_model("touch")

    def colorize(self, features, hints, global_hints=None):
        ab = np.zeros((2, 256, 256), np.float32)
        for hint in hints:
            ab[:, :, slice(0, 128) if hint.x < 0.5 else slice(128, 256)] = np.array([[[hint.a]], [[hint.b]]])
        return ab

    def distribution(self, features, hints, global_hints, points):
        grey = int(np.flatnonzero((CENTRES == 0).all(1))[0])
        red, green = (int(np.flatnonzero((np.array([a, 0]) == CENTRES).all(1))[0]) for a in (60, -60))
        p = np.zeros((len(points), len(CENTRES)), np.float32)
        p[:, grey] = 1
        left = points[:, 0] < 0.5
        p[left] = 0
        p[np.ix_(left, [red, green])] = 0.5
        has_hint = any(hint.x < 0.5 for hint in hints)
        return p if not has_hint else np.eye(len(CENTRES), dtype=np.float32)[np.full(len(points), grey)]


def test_uncertainty_is_the_spread_about_the_colour_shown():
    points = cell_centres()
    found = uncertainty(points, np.zeros((len(points), 2)), Halves(), None)  # type: ignore[arg-type]
    error = found.error.reshape(GRID, GRID)
    np.testing.assert_allclose(error[:, : GRID // 2], 3600, rtol=1e-5)
    np.testing.assert_allclose(error[:, GRID // 2 :], 0, atol=1e-3)
    np.testing.assert_allclose(np.abs(found.direction.reshape(GRID, GRID, 2)[:, 0]), [[1, 0]] * GRID, atol=1e-6)


def test_the_uncertain_half_comes_first_and_counts_once():
    first, second = next_touches(Halves(), None, EVEN, count=2)  # type: ignore[arg-type]
    assert first.x < 0.5
    assert first.worth == pytest.approx(1800, rel=1e-3)
    assert second.worth == pytest.approx(0, abs=1e-3)


def test_places_lie_where_lightness_is_even_and_count_less_where_it_is_not():
    rng = np.random.default_rng(0)
    L = EVEN + rng.normal(0, 8, EVEN.shape).astype(np.float32)
    L[100:124, 30:60] = 40  # the only even part of the uncertain half
    (first,) = next_touches(Halves(), None, L)  # type: ignore[arg-type]
    assert 100 / 256 < first.y < 124 / 256 and 30 / 256 < first.x < 60 / 256
    assert first.worth == pytest.approx(1800, rel=1e-3)
    (uneven,) = next_touches(Halves(), None, EVEN + rng.normal(0, 8, EVEN.shape).astype(np.float32))  # type: ignore[arg-type]
    assert uneven.worth < 0.6 * first.worth


def test_a_place_in_a_half_with_a_hint_is_worth_nothing():
    (place,) = next_touches(Halves(), None, EVEN, [Hint(0.25, 0.5, 0, 0)])  # type: ignore[arg-type]
    assert place.worth == pytest.approx(0, abs=1e-3)


def test_places_of_the_bundled_model_differ_and_fall_in_worth():
    with OnnxRunner(find_model("touch"), threads=1) as runner:
        session = Session(Photo.open(PHOTOS / "coffee.jpg"), runner)
        places = session.next_touches(4)
        assert len({(p.x, p.y) for p in places}) == 4
        worth = [p.worth for p in places]
        assert worth == sorted(worth, reverse=True) and worth[0] > 0
        session.add(places[0].x, places[0].y, 20, 30)
        assert (session.next_touches()[0].x, session.next_touches()[0].y) != (places[0].x, places[0].y)


def test_places_are_apart_from_one_another_and_from_hints_while_candidates_are_left():
    with OnnxRunner(find_model("touch"), threads=1) as runner:
        L = Photo.open(PHOTOS / "chelsea-the-cat.jpg").working_L
        features = runner.encode(L)
        hints = [Hint(0.4, 0.4, 10, 20), Hint(0.7, 0.3, 0, -20)]
        places = next_touches(runner, features, L, hints, count=10)
    points = [(place.x, place.y) for place in places] + [(hint.x, hint.y) for hint in hints]
    apart = [np.hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(points[:-2]) for b in points[i + 1 :]]
    assert min(apart) >= MIN_APART
    assert len(next_touches(Halves(), None, EVEN, count=64)) == 64  # type: ignore[arg-type]


def test_impossible_counts_too_many_hints_and_models_without_a_distribution_are_refused():
    runner = Halves()
    for count in (0, 65):
        with pytest.raises(HintRejected, match="places were asked for"):
            next_touches(runner, None, EVEN, count=count)  # type: ignore[arg-type]
    with pytest.raises(HintRejected, match="at most 128"):
        next_touches(runner, None, EVEN, [Hint(0.5, 0.5, 0, 0)] * 128)  # type: ignore[arg-type]
    bundle = runner.bundle
    runner.bundle = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, distribution=None))
    with pytest.raises(ModelFileError, match="suggests no colours"):
        next_touches(runner, None, EVEN)  # type: ignore[arg-type]
