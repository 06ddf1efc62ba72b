"""A painter on the bundled model: ab kept between calls, points, projection, another runner, influence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine import GlobalHints, Hint, OnnxRunner, Photo, Session, find_model
from livetint.engine.bundle import Bundle
from livetint.engine.colour.cielab import in_gamut
from livetint.engine.colour.global_hints import histogram_of
from livetint.engine.errors import HintRejected, RunnerError
from livetint.engine.hints import pixel_at
from livetint.engine.image.compose import compose, resize_lightness
from livetint.engine.models import bundled_folder
from livetint.engine.painter import Painter

from ..kiosk.stub_bundle import write_stub_bundle

UNIT = st.floats(0, 1)


@pytest.fixture(scope="module")
def runner() -> Iterator[OnnxRunner]:
    with OnnxRunner(find_model("touch"), threads=1) as runner:
        yield runner


@pytest.fixture(scope="module")
def painter(runner: OnnxRunner) -> Painter:
    return Painter(Photo.open(bundled_folder().parent / "photos/coffee.jpg"), runner)


def test_a_photograph_with_vivid_is_encoded_once(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[float] = []
    plainly = OnnxRunner._encode
    monkeypatch.setattr(OnnxRunner, "_encode", lambda *asked: encoded.append(asked[2]) or plainly(*asked))
    monkeypatch.setattr(OnnxRunner, "_with_vivid", lambda *asked: pytest.fail("features were made twice"))
    vivid = Painter(painter.photo, painter.runner, 1.35)
    vivid.use(painter.runner)
    assert encoded == [1.35, 1.35]
    np.testing.assert_allclose(vivid.ab(), painter.ab() * 1.35, atol=2e-3)


def test_a_painter_beside_another_shares_the_features_and_keeps_its_own_answers(
    painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    vivid = Painter(painter.photo, painter.runner, 1.35)
    monkeypatch.setattr(OnnxRunner, "_encode", lambda *asked: pytest.fail("features were made twice"))
    other = vivid.beside()
    hints = [Hint(0.5, 0.5, 30, 20)]
    np.testing.assert_array_equal(other.ab(hints), vivid.ab(hints))
    other.ab()
    assert vivid.knows(hints) and not other.knows(hints)
    other.set_vivid(1)
    assert (vivid.vivid, other.vivid) == (1.35, 1)
    np.testing.assert_allclose(vivid.ab(), other.ab() * 1.35, atol=2e-3)


@pytest.mark.parametrize(("x", "y"), [(-2, 0.5), (0.5, 1.001), (float("nan"), 0.5), (0.5, float("inf"))])
def test_points_outside_the_photograph_are_refused_everywhere(painter: Painter, x: float, y: float) -> None:
    session = Session(painter.photo, painter.runner)
    questions = (
        lambda: painter.lightness_at(x, y), lambda: painter.colour_at(x, y), lambda: painter.suggest(x, y),
        lambda: painter.showable(x, y, 0, 0), lambda: session.colour_at(x, y), lambda: session.lightness_at(x, y),
    )  # fmt: skip
    for question in questions:
        with pytest.raises(HintRejected, match="outside the photograph"):
            question()


@given(UNIT, UNIT, st.integers(1, 5000), st.integers(1, 5000))
def test_pixel_at_is_the_pixel_that_contains_the_point(x: float, y: float, height: int, width: int) -> None:
    row, column = pixel_at(x, y, height, width)
    assert 0 <= row < height and 0 <= column < width
    assert row <= y * height <= row + 1 and column <= x * width <= column + 1


@settings(deadline=None, max_examples=50)
@given(UNIT, UNIT, st.floats(-128, 128), st.floats(-128, 128))
def test_projected_hints_are_in_gamut_and_keep_their_hue(
    painter: Painter, x: float, y: float, a: float, b: float
) -> None:
    (hint,) = painter.projected([Hint(x, y, a, b)])
    assert (hint.a, hint.b) == painter.showable(x, y, a, b)
    assert in_gamut(np.array([painter.lightness_at(x, y), hint.a, hint.b]))
    assert abs(hint.a * b - hint.b * a) <= 1e-6 * (a * a + b * b + 1)
    assert np.hypot(hint.a, hint.b) <= np.hypot(a, b) + 1e-9


def test_ab_is_computed_once_until_hints_or_global_hints_change(painter: Painter) -> None:
    hints = [Hint(0.3, 0.4, 40, 20)]
    first = painter.ab(hints)
    assert painter.ab(list(hints)) is first and not first.flags.writeable
    assert painter.ab(hints, GlobalHints(saturation=0.9)) is not first
    histograms = [histogram_of(np.full((2, 8, 8), value, np.float32)) for value in (-40, 40)]
    blue, red = (painter.ab(hints, GlobalHints(histogram=histogram)) for histogram in histograms)
    assert np.abs(blue - red).max() > 1, "ab must be computed anew for another histogram"
    np.testing.assert_array_equal(painter.ab(hints), first)


def test_render_composes_ab_at_any_size(painter: Painter) -> None:
    hints = [Hint(0.3, 0.4, 40, 20)]
    small = resize_lightness(painter.photo.L, (120, 80))
    expected = compose(small, painter.ab(hints))
    np.testing.assert_array_equal(painter.render(hints, L=small), expected)
    np.testing.assert_array_equal(painter.render([], L=small), compose(small, painter.ab([])))


def test_suggestions_for_a_hint_do_not_depend_on_its_own_colour(painter: Painter) -> None:
    others = [Hint(0.3, 0.4, 40, 20)]
    free = painter.suggest(0.6, 0.6, others, count=5)
    for colour in ((60, 40), (-40, 30)):
        found = painter.suggest(0.6, 0.6, [*others, Hint(0.6, 0.6, *colour)], count=5)
        assert found.swatches == free.swatches
        assert np.hypot(*np.subtract(found.current, painter.showable(0.6, 0.6, *colour))) < 2, (
            "the current colour is that of the hint"
        )
    beside = painter.suggest(0.6, 0.6, [*others, Hint(0.58, 0.6, 60, 40)], count=5)
    assert beside.swatches != free.swatches


def test_a_painter_continues_with_another_runner(painter: Painter, tmp_path: Path) -> None:
    bundle = Bundle.load(write_stub_bundle(tmp_path / "stub"))
    hints = [Hint(0.3, 0.4, 40, 20)]
    with OnnxRunner(find_model("touch"), threads=1) as first, OnnxRunner(bundle, threads=1) as second:
        moved = Painter(painter.photo, first)
        before = moved.ab(hints)
        moved.use(second)
        first.close()
        np.testing.assert_array_equal(moved.ab(hints), Painter(painter.photo, second).ab(hints))
        assert np.abs(moved.ab(hints) - before).max() > 1
        second.close()
        with pytest.raises(RunnerError, match="closed"):
            moved.use(second)


def test_influence_in_touch_is_the_share_of_the_hint_in_the_distribution(painter: Painter) -> None:
    """The network gives the colours of these hints no probability, so the mass near them is the share of the hint."""
    hints = [Hint(0.2, 0.3, -60, 60), Hint(0.8, 0.7, 60, -60)]
    share = painter.influence(0, hints)
    cells = np.array([[0.2, 0.3], [0.8, 0.7], [0.5, 0.5]], np.float32)
    table = painter.runner.bundle.manifest.distribution
    assert table is not None
    session = Session(painter.photo, painter.runner)
    session.set_hints(hints)
    np.testing.assert_array_equal(session.influence(0), share)
    near = np.hypot(*(table.centres - (-60, 60)).T) < 25
    features = painter.runner.encode(painter.photo.working_L)
    mass = painter.runner.distribution(features, hints, GlobalHints(), cells)[:, near].sum(1)
    at_cells = [share[int(y * 64), int(x * 64)] for x, y in cells]
    assert np.abs(mass - at_cells).max() < 0.15
