"""Hints follow what they lie on, end where it is lost, and obey their times and keys."""

from __future__ import annotations

import json
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livetint.engine.errors import ConfigError, HintRejected
from livetint.engine.hints import Hint
from livetint.engine.image.photo import Photo
from livetint.engine.strokes import Stroke
from livetint.video.carry import CUT, LEFT, LOST, REPLACED, Ended
from livetint.video.flow import FlowFinder, grey_of
from livetint.video.frames import FrameColourer
from livetint.video.hints import Key, VideoEdits, VideoHint, parse_video_edits
from livetint.video.shots import is_cut
from livetint.video.steady import agreement, steadied

from ..bench.stubs import ConstantRunner
from .files import Rgb

SIDE = 256
FRAME_S = 0.04


def texture(seed: int = 0, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Smooth random grey, float32 [H, W] in 20…235."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return (128 + 60 * smooth / smooth.std()).clip(20, 235)


def as_rgb(grey: np.ndarray) -> Rgb:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, 2)


def panned(count: int, step: int = 3, seed: int = 0) -> list[Rgb]:
    """Frames in which everything moves to the left by `step` pixels."""
    wide = texture(seed, SIDE, SIDE + count * step)
    return [as_rgb(wide[:, k * step : k * step + SIDE]) for k in range(count)]


def colour(frames: Sequence[Rgb], hints: Sequence[VideoHint], max_hints: int = 128) -> tuple[list, list[Ended]]:
    """The hints of each frame, as the network is given them, and those that ended."""
    runner = ConstantRunner((10, 10), max_hints)
    colourer = FrameColourer(runner, VideoEdits(tuple(hints)))
    found = []
    for number, rgb in enumerate(frames):
        colourer.next(Photo.from_rgb(rgb), number * FRAME_S)
        found.append(colourer.hints)
    return found, colourer.ended


def test_a_hint_follows_the_picture():
    found, ended = colour(panned(8), [VideoHint(Hint(0.5, 0.4, 20, 30, 7))])
    for number, (hint,) in enumerate(found):
        assert abs(hint.x * SIDE - (128 - 3 * number)) < 1 and abs(hint.y - 0.4) * SIDE < 1
        assert (hint.a, hint.b, hint.size) == (20, 30, 7)
    assert ended == []


def test_a_hint_that_leaves_the_picture_ends_there():
    found, ended = colour(panned(6), [VideoHint(Hint(0.035, 0.5, 20, 30))])
    assert [len(hints) for hints in found] == [1, 1, 1, 0, 0, 0]
    assert [(end.hint, end.frame, end.why) for end in ended] == [(0, 3, LEFT)]
    assert ended[0].time_s == pytest.approx(0.12) and ended[0].x < 0.02 and abs(ended[0].y - 0.5) < 0.01


def test_a_hint_that_is_covered_is_lost():
    still = texture()
    frames = [as_rgb(still) for _ in range(8)]
    for number in range(3, 8):
        frames[number] = frames[number].copy()
        frames[number][80:180, 80:180] = as_rgb(texture(number + 7, 100, 100))
    found, ended = colour(frames, [VideoHint(Hint(0.5, 0.5, 20, 30)), VideoHint(Hint(0.1, 0.1, 0, 40))])
    assert [len(hints) for hints in found][:4] == [2, 2, 2, 1] and len(found[-1]) == 1
    assert [(end.hint, end.why) for end in ended] == [(0, LOST)]


def test_all_hints_end_where_the_shot_changes():
    frames = [*panned(3), *panned(3, seed=9)]
    edits = [VideoHint(Hint(0.5, 0.5, 20, 30)), VideoHint(Hint(0.5, 0.5, -20, 3), t=3 * FRAME_S)]
    found, ended = colour(frames, edits)
    assert [[hint.a for hint in hints] for hints in found] == [[20]] * 3 + [[-20]] * 3
    assert [(end.hint, end.frame, end.why) for end in ended] == [(0, 3, CUT)]


def test_a_hint_has_a_start_and_an_end():
    found, ended = colour(panned(6), [VideoHint(Hint(0.5, 0.5, 20, 30), t=0.08, until=0.16)])
    assert [len(hints) for hints in found] == [0, 0, 1, 1, 1, 0]
    assert found[2][0].x == 0.5 and ended == []


def test_a_key_moves_a_hint_and_brings_a_lost_one_back():
    frames = [*panned(3), *panned(4, seed=9)]
    keys = (Key(0.04, 0.3, 0.3), Key(0.2, 0.6, 0.7))
    found, ended = colour(frames, [VideoHint(Hint(0.5, 0.5, 20, 30), keys=keys)])
    assert [len(hints) for hints in found] == [1, 1, 1, 0, 0, 1, 1]
    assert (found[1][0].x, found[5][0].x, found[5][0].y) == pytest.approx((0.3, 0.6, 0.7))
    assert abs(found[2][0].x - 0.3) * SIDE == pytest.approx(3, abs=1)
    assert [end.why for end in ended] == [CUT]


def test_every_point_of_a_stroke_is_carried():
    stroke = Stroke((((0.4, 0.5), (0.6, 0.5)),), 20, 30)
    found, _ = colour(panned(3), [VideoHint(stroke)])
    assert len(found[0]) == len(found[2]) > 3
    shifts = [(a.x - b.x) * SIDE for a, b in zip(found[0], found[2], strict=True)]
    assert shifts == pytest.approx([6] * len(shifts), abs=1)


def test_newer_hints_get_the_room_of_older_ones():
    hints = [VideoHint(Hint(0.2 + 0.2 * n, 0.5, 20, n)) for n in range(2)]
    found, ended = colour(panned(3), [*hints, VideoHint(Hint(0.5, 0.2, 20, 9), t=0.04)], max_hints=2)
    assert [[hint.b for hint in of_frame] for of_frame in found] == [[0, 1], [1, 9], [1, 9]]
    assert [(end.hint, end.why) for end in ended] == [(0, REPLACED)]


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0.1, 9), st.floats(0, 1), st.floats(0, 1)), max_size=4),
)
def test_times_are_read_beside_the_hints_of_a_photograph(values: list[tuple[float, float, float, float]]):
    records = [
        {"x": x, "y": y, "a": 1, "b": 2, "t": t, "until": t + more, "keys": [{"t": t + more / 2, "x": y, "y": x}]}
        for t, more, x, y in values
    ]
    edits = parse_video_edits(json.dumps({"schema": 1, "hints": records, "vivid": 1.5}))
    assert edits.vivid == 1.5 and len(edits.hints) == len(values)
    for hint, (t, more, x, y) in zip(edits.hints, values, strict=True):
        assert hint == VideoHint(Hint(x, y, 1, 2), t, t + more, (Key(t + more / 2, y, x),))


@pytest.mark.parametrize(
    ("hint", "error", "sentence"),
    [
        ({"x": 0.5, "y": 0.5, "t": -1}, ConfigError, "hint 0 starts at -1.0 s; the start of the video is 0"),
        ({"x": 0.5, "y": 0.5, "t": 2, "until": 1}, ConfigError, "ends at 1.0 s, but starts at 2.0 s"),
        ({"x": 0.5, "y": 0.5, "keys": [{"t": 0, "x": 0, "y": 0}]}, ConfigError, "keys come after the hint's start"),
        ({"x": 0.5, "y": 0.5, "keys": [{"t": 1, "x": 2, "y": 0}]}, HintRejected, "lies outside"),
        ({"x": 0.5, "y": 0.5, "keys": [{"x": 1, "y": 0}]}, ConfigError, "the times of hint 0 are not usable"),
        ({"lines": [[[0, 0]]], "keys": [{"t": 1, "x": 1, "y": 0}]}, ConfigError, "only points have keys"),
        ({"x": 0.5, "y": 0.5, "inside": {"polygons": []}}, ConfigError, "cannot move with a video"),
        ({"x": 0.5, "y": 0.5, "until": "soon"}, ConfigError, "the times of hint 0 are not usable"),
    ],
)
def test_impossible_times_are_refused(hint: dict, error: type[Exception], sentence: str):
    with pytest.raises(error, match=sentence):
        parse_video_edits(json.dumps({"schema": 1, "hints": [{**hint, "a": 1, "b": 2}]}))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"hints": 3}', '{"schema": 1, "hints": [3]}'])
def test_what_is_no_file_of_hints_is_refused(text: str):
    with pytest.raises(ConfigError, match="the hints file is not usable"):
        parse_video_edits(text)


def test_steadied_colours_keep_their_place_and_leave_no_trail():
    background, thing = texture(1), texture(2, 60, 60)
    frames = []
    for number in range(2):
        frame = background.copy()
        left = 60 + 12 * number
        frame[100:160, left : left + 60] = thing
        frames.append(Photo.from_rgb(as_rgb(frame)).working_L)
    flow = FlowFinder().between(*map(grey_of, frames))
    alike = agreement(flow, *frames)
    earlier = np.zeros((2, SIDE, SIDE), np.float32)
    earlier[0, 100:160, 60:120] = 50  # the thing was red
    later = np.zeros((2, SIDE, SIDE), np.float32)
    later[0, 100:160, 72:132] = 30
    result = steadied(later, flow.warp(earlier), alike)[0]
    assert np.median(result[110:150, 85:120]) > 45  # it stays as red as it was
    uncovered = result[105:155, 61:70]
    assert np.median(uncovered) < 1 and np.mean(uncovered > 10) < 0.15


def test_fast_motion_flicker_and_noise_are_no_cuts():
    still = texture(3)
    wide = texture(4, SIDE, SIDE + 20)
    rng = np.random.default_rng(0)
    pairs = {
        "motion": (wide[:, :SIDE], wide[:, 20:]),
        "flicker": (still, still * 0.8),
        "noise": (still + rng.normal(0, 8, still.shape), still + rng.normal(0, 8, still.shape)),
        "cut": (still, texture(5)),
        "cut to dark": (still, texture(5) * 0.4),
    }
    finder = FlowFinder()
    found = {}
    for name, pair in pairs.items():
        earlier, later = (Photo.from_rgb(as_rgb(grey.clip(0, 255))).working_L for grey in pair)
        alike = agreement(finder.between(grey_of(earlier), grey_of(later)), earlier, later)
        found[name] = is_cut(alike, earlier, later)
    assert found == {name: name.startswith("cut") for name in pairs}
