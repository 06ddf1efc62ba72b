"""Regions: borders of masks and polygons, colours inside and outside, at the working size and in pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine import Hint, OnnxRunner, Photo, Session, find_model
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.edits import parse_edits
from livetint.engine.errors import ConfigError, HintRejected
from livetint.engine.image.compose import compose
from livetint.engine.image.layers import FEATHER_PX, Layer, coverage
from livetint.engine.models import bundled_folder
from livetint.engine.painter import Painter
from livetint.engine.regions import MAX_EDGE_PX, MAX_GROW_PX, Region, border, distances, working_distances
from livetint.engine.runners.base import Runner
from livetint.engine.strokes import Stroke, as_stroke

from ..kiosk.stub_bundle import write_stub_bundle

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
HOLE = ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6))
EXACT = Region((SQUARE,), edge_px=0)
BLUE = Hint(0.35, 0.3, 10, -45)


@pytest.fixture(scope="module", params=["touch", "planes"])
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """The bundled network, and a stub of those that take planes of hints."""
    folder = tmp_path_factory.mktemp("stub")
    with OnnxRunner(
        find_model("touch" if request.param == "touch" else str(write_stub_bundle(folder / "stub"))), 1
    ) as one:
        yield one


@pytest.fixture(scope="module")
def photo() -> Photo:
    """Neither dark nor light anywhere, so that the gamut limits no colour and 8 bits hold it well."""
    rgb = Photo.open(bundled_folder().parent / "photos/coffee.jpg").rgb
    return Photo.from_rgb((90 + rgb.astype(np.float32) * 0.4).astype(np.uint8))


@pytest.fixture
def session(photo: Photo, runner: Runner) -> Session:
    return Session(photo, runner)


def kept(session: Session, region: Region | None = EXACT, hint: Hint = BLUE) -> np.ndarray:
    """ab of a session after a hint that is kept inside a region."""
    session.set_inside(session.add(hint.x, hint.y, hint.a, hint.b), region)
    return session.ab


# Borders


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(30, 300), st.integers(30, 300), st.floats(2, 8))
def test_the_region_of_a_mask_is_the_mask(seed: int, height: int, width: int, grain: float) -> None:
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    mask = cv2.GaussianBlur(noise, (0, 0), grain) > 0
    if not mask.any():
        return
    plane = cv2.resize(distances(Region.from_mask(mask)), (width, height), interpolation=cv2.INTER_LINEAR)
    # Pixels beside a pixel of the other kind may be on the border.
    certain = np.ones_like(mask)
    certain[1:-1, 1:-1] = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))[1:-1, 1:-1] == 0
    certain[[0, -1]] = certain[:, [0, -1]] = False
    assert ((plane < 0) == mask)[certain].mean() > 0.99


def test_distances_are_working_pixels_and_holes_are_outside() -> None:
    plane = distances(Region((SQUARE, HOLE)))
    assert plane[256, 256] == pytest.approx(0.1 * 256, abs=0.6)  # the centre of the hole
    assert plane[256, 160] == pytest.approx(-0.0625 * 256, abs=0.6)
    assert plane[0, 256] == pytest.approx(0.25 * 256, abs=0.6)
    grown = distances(Region((SQUARE, HOLE)).grown(10).grown(-4))
    np.testing.assert_allclose(grown, plane - 6, atol=1e-4)


def test_a_region_grows_only_so_far() -> None:
    assert EXACT.grown(1e9).grow_px == MAX_GROW_PX and EXACT.grown(-1e9).grow_px == -MAX_GROW_PX


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"polygons": ()}, "polygons of 3 to"),
        ({"polygons": (((0.1, 0.1), (0.2, 0.2)),)}, "polygons of 3 to"),
        ({"polygons": (((0.1, 0.1), (0.2, 0.2), (0.2, 1.5)),)}, "outside the photograph"),
        ({"polygons": (((0.1, 0.1), (0.2, 0.2), (0.2, float("nan"))),)}, "outside the photograph"),
        ({"polygons": ((0.1, 0.2, 0.3),)}, "lists of points"),
        ({"polygons": (SQUARE,), "grow_px": 65}, "grows by"),
        ({"polygons": (SQUARE,), "edge_px": MAX_EDGE_PX + 1}, "has an edge of"),
        ({"polygons": (SQUARE,), "edge_px": float("nan")}, "has an edge of"),
    ],
)
def test_impossible_regions_are_refused(values: dict, words: str) -> None:
    with pytest.raises(HintRejected, match=words):
        Region(**values)


def test_a_mask_without_white_is_refused() -> None:
    with pytest.raises(HintRejected, match="the mask is empty"):
        Region.from_mask(np.zeros((20, 30), bool))


# Colours


def test_outside_nothing_changes_and_inside_the_colour_is_everywhere(session: Session) -> None:
    before = session.ab
    after = kept(session)
    border = working_distances(EXACT)
    outside, inside = border > FEATHER_PX + 0.5, border < -0.5
    np.testing.assert_array_equal(after[:, outside], before[:, outside])
    (stroke,) = session.hints
    off = np.hypot(*(after - np.array([stroke.a, stroke.b], np.float32)[:, None, None]))
    assert np.median(off[inside]) < 8
    assert np.median(np.hypot(*(after - before))[inside]) > 20


def test_another_hint_in_the_region_keeps_its_colour_and_one_outside_says_nothing_inside(session: Session) -> None:
    alone = kept(session)
    session.add(0.9, 0.9, 60, 40)
    inside = working_distances(EXACT) < -0.5
    np.testing.assert_allclose(session.ab[:, inside], alone[:, inside], atol=1e-4)
    session.add(0.6, 0.6, -30, 40)
    (green,) = session.painter.projected([Hint(0.6, 0.6, -30, 40)])
    off, off_alone = (np.hypot(*(ab[:, 153, 153] - (green.a, green.b))) for ab in (session.ab, alone))
    # The stub blurs hints that are near each other.
    assert off < (1 if session.runner.bundle.name == "touch" else off_alone)


def test_regions_lie_on_one_another_in_the_order_of_their_hints(session: Session) -> None:
    kept(session)
    small = Region((HOLE,), edge_px=0)
    after = kept(session, small, Hint(0.5, 0.5, -40, 40))
    green = np.array([session.hints[1].a, session.hints[1].b])
    assert np.hypot(*(after[:, 128, 128] - green)) < 10 < np.hypot(*(after[:, 128, 80] - green))
    assert len({stroke.inside for stroke in session.hints if isinstance(stroke, Stroke)}) == 2


def test_without_its_region_a_hint_is_as_before(session: Session) -> None:
    session.add(BLUE.x, BLUE.y, BLUE.a, BLUE.b)
    plain = session.ab
    session.set_inside(0, EXACT)
    assert not np.allclose(session.ab, plain, atol=1)
    session.set_inside(0, None)
    np.testing.assert_allclose(session.ab, plain, atol=1e-3)
    assert session.undo() and session.undo() and session.hints == (session.points[0],)


def test_the_picture_is_blended_at_full_size_without_a_step_at_the_border(session: Session, photo: Photo) -> None:
    """Compared with the two pictures blended by a feather that is drawn at full size."""
    size = (1024, 1024)
    base = session.render(size)
    # No colour of it is clipped into the gamut.
    kept(session, EXACT, replace(BLUE, b=-20))
    picture = session.render(size)
    filled = compose(photo.L, session.painter._layers[0].ab, size)
    along = (np.arange(1024) + 0.5) / 1024 - 0.5
    beyond = np.stack(np.meshgrid(*2 * [np.abs(along) - 0.25])) * 256
    distance = np.hypot(*np.maximum(beyond, 0))
    feather = np.clip(1 - distance / FEATHER_PX, 0, 1)[..., None]
    lab, bottom, top = (srgb_to_lab(rgb / 255) for rgb in (picture, base, filled))
    ideal = bottom * (1 - feather) + top * feather

    def steps(plane: np.ndarray) -> np.ndarray:
        right, down = (np.linalg.norm(np.diff(plane[..., 1:], axis=axis), axis=2) for axis in (1, 0))
        return np.maximum(right[:-1], down[:, :-1])

    # The largest step within two pixels, so that a border half a pixel aside is no step.
    around = cv2.dilate(steps(ideal), np.ones((5, 5)))
    near = (distance > 0) & (distance < 3)
    excess = (steps(lab) - around)[near[:-1, :-1]]
    # All but a few pixels, which 8 bits round to steps of up to ΔE 2.
    assert np.quantile(excess, 0.999) <= 1


@pytest.mark.parametrize("method", ["bilinear", "guided"])
def test_strength_and_upsampling_reach_the_layers(session: Session, method: str) -> None:
    kept(session)
    session.set_strength(0)
    grey = session.render((120, 80), method)
    assert int(np.ptp(grey.astype(int), axis=2).max()) <= 1
    session.set_strength(1)
    assert np.ptp(session.render((120, 80), method).astype(int), axis=2).max() > 40


@pytest.mark.parametrize("shape", [(3, 40_000), (40_000, 3), (1, 1), (64, 48)])
def test_layers_fit_pictures_of_any_shape(shape: tuple[int, int]) -> None:
    below, above = np.zeros((2, 8, 8), np.float32), np.full((2, 8, 8), 30, np.float32)
    L = np.full(shape, 50, np.float32)
    everywhere, nowhere = (np.full((16, 16), value, np.float32) for value in (-9, 9))
    plain = compose(L, above)
    np.testing.assert_array_equal(compose(L, below, layers=[Layer(above, everywhere)]), plain)
    np.testing.assert_array_equal(compose(L, above, layers=[Layer(below, nowhere)]), plain)


def test_a_hand_is_forgiven_some_pixels(photo: Photo) -> None:
    """A border that is 5 px off colours nearly what the exact one does; taken as exact, it does not."""
    with OnnxRunner(find_model("touch"), 1) as runner:
        session = Session(photo, runner)
        cup = Region.from_mask(np.asarray(_disc(0.48, 0.45, 0.17), bool))
        right = kept(session, cup)
        inside = working_distances(cup) < -0.5
        found = []
        for edge in (0.0, 6.0):
            session.clear()
            off = tuple((min(x + 5 / 256, 1.0), y) for x, y in cup.polygons[0])
            found.append(np.hypot(*(kept(session, Region((off,), edge_px=edge)) - right))[inside].mean())
        assert found[1] < found[0]


def _disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = (np.mgrid[:256, :256] + 0.5) / 256
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


# The network's own outline


def test_the_outline_is_where_the_hint_has_its_influence(session: Session) -> None:
    index = session.add(0.5, 0.5, 40, -40)
    region = session.outline(index)
    assert region is not None and region.contains(0.5, 0.5)
    share = session.influence(index)
    inside = np.array([[region.contains((c + 0.5) / 64, (r + 0.5) / 64) for c in range(64)] for r in range(64)])
    assert share[inside].mean() > 0.5 * share.max() > share[~inside].mean()
    session.set_inside(index, region.grown(-2))
    assert session.outline(index) is not None
    assert not region.fill
    with pytest.raises(HintRejected, match="there is no hint 3"):
        session.outline(3)


def test_the_border_that_is_shown_is_the_one_that_holds() -> None:
    assert border(EXACT) == EXACT.polygons
    grown = replace(EXACT, grow_px=5)
    again = distances(Region(border(grown), edge_px=0))
    assert np.abs(again - distances(grown))[np.abs(again) < 20].max() < 1
    assert border(replace(EXACT, grow_px=-MAX_GROW_PX)) == ()


def test_an_edit_asks_the_runner_only_for_what_it_changes(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plainly = session.runner.colorize
    monkeypatch.setattr(session.runner, "colorize", lambda *a: asked.append(len(a[1])) or plainly(*a))
    for x in (0.2, 0.6):
        square = Region((((x, 0.2), (x + 0.2, 0.2), (x + 0.2, 0.5), (x, 0.5)),), edge_px=0)
        session.set_inside(session.add(x + 0.1, 0.3, 30, 30), square)
    _ = session.ab
    assert len(asked) == 3, "one for each region and one without them"
    for change in (lambda: session.recolour(1, -30, 20), session.undo, lambda: session.add(0.1, 0.9, 5, 5)):
        before = len(asked)
        change()
        edited = session.ab
        assert len(asked) == before + 1
        np.testing.assert_array_equal(edited, Painter(session.photo, session.runner).ab(session.hints))


# JSON and the command line


def test_regions_survive_json(session: Session) -> None:
    session.set_inside(session.add(0.3, 0.3, 10, 10), Region((SQUARE, HOLE), 3, 2))
    session.set_inside(session.add_stroke([((0.3, 0.3), (0.6, 0.3))], 10, 10), EXACT)
    assert parse_edits(session.to_json()).hints == session.hints


@pytest.mark.parametrize("inside", ['{"polygons": [[[0.1, 0.1]]]}', '{"polygons": 3}', '{"polygon": []}', '"all"'])
def test_malformed_regions_are_refused_in_a_sentence(inside: str) -> None:
    text = f'{{"schema": 1, "hints": [{{"x": 0.5, "y": 0.5, "a": 1, "b": 2, "inside": {inside}}}]}}'
    with pytest.raises((ConfigError, HintRejected), match=r"the hints file is not usable|a region has polygons"):
        parse_edits(text)


def test_a_point_of_a_file_may_have_a_region() -> None:
    hint = as_stroke(replace(BLUE, size=3))
    points = [list(point) for point in SQUARE]
    table = {"x": 0.35, "y": 0.3, "a": 10, "b": -45, "size": 3, "inside": {"polygons": [points], "edge_px": 0}}
    assert parse_edits(json.dumps({"schema": 1, "hints": [table]})).hints == (replace(hint, inside=EXACT),)


def test_a_fill_is_never_more_than_the_model_takes(photo: Photo, tmp_path: Path) -> None:
    with OnnxRunner(find_model("touch"), 1) as runner:
        session = Session(photo, runner)
        session.set_hints([Hint(0.3 + 0.003 * i, 0.3, 10, 10) for i in range(120)])
        kept(session)
        assert session.ab.shape == (2, 256, 256) and len(session.points) == 121


def test_coverage_is_all_inside_and_none_beyond_the_feather() -> None:
    found = coverage(np.array([[-3, 0, FEATHER_PX / 2, FEATHER_PX, 9]], np.float32))
    np.testing.assert_allclose(found, [[1, 1, 0.5, 0, 0]])
