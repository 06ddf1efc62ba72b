"""The engine service: strokes, regions and their outlines, as the session has them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.edits import HintRecord, RegionRecord, mark_of
from livetint.engine.errors import LivetintError
from livetint.engine.image.compose import compose
from livetint.engine.regions import Region
from livetint.engine.runners.base import Runner
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.session import Session
from livetint.kiosk.colours import unpack_colours
from livetint.kiosk.engine.service import EngineService
from livetint.kiosk.messages import MAX_REGIONS, Edit, HintMessage, Task, decode_upward
from msgspec.structs import replace

from .album import HINT, Album, task

SQUARE = ((0.2, 0.3), (0.7, 0.3), (0.7, 0.8), (0.2, 0.8))
STROKE = HintRecord(40, -20, lines=(((0.1, 0.1), (0.6, 0.2)), ((0.8, 0.9),)))
KEPT = HintRecord(-30, 25, 7, lines=(((0.4, 0.5),),), inside=RegionRecord((SQUARE,), grow_px=-8))


def test_strokes_and_regions_are_the_session_s(touch: Bundle, album: Album) -> None:
    ref = album.add("one", (200, 150, 90))
    with OnnxRunner(touch, 1) as runner:
        service, session = EngineService(runner, 64), Session(album.photo(ref), runner)
        index = session.add_stroke(STROKE.lines[:1] if STROKE.lines else (), STROKE.a, STROKE.b)
        session.add_line(index, ((0.8, 0.9),))
        kept = session.add(0.4, 0.5, KEPT.a, KEPT.b, KEPT.size, project=False)
        session.set_inside(kept, Region((SQUARE,), -8))
        answer, pixels = service.do(task(ref, STROKE, KEPT, HINT, point=(0.3, 0.2), outline=1), album.descriptors)
        session.add(HINT.x, HINT.y, HINT.a, HINT.b, HINT.size)
        shown = session.ab.transpose(1, 2, 0).astype(np.float16).ravel()
        np.testing.assert_array_equal(np.frombuffer(pixels, np.float16), shown)
        assert answer.colours is not None and answer.colours.first == session.suggest(0.3, 0.2, 5).first
        assert answer.outline is not None
        (border,) = answer.outline.polygons
        low, high = np.array(border).min(0), np.array(border).max(0)
        np.testing.assert_allclose([low - 8 / 256, high + 8 / 256], [SQUARE[0], SQUARE[2]], atol=0.005)
        file = service.do(Task("ab", ref, None, Edit(1, "0" * 16, (STROKE, KEPT, HINT), strength=0.7)), {})[1]
        session.set_strength(0.7)
        ab, layers = unpack_colours(file)
        np.testing.assert_array_equal(compose(session.photo.L, ab, layers=layers), session.render())


def test_the_outline_of_a_hint_is_the_network_s(touch: Bundle, album: Album) -> None:
    ref = album.add("one", (200, 150, 90))
    with OnnxRunner(touch, 1) as runner:
        service, session = EngineService(runner, 64), Session(album.photo(ref), runner)
        session.add(HINT.x, HINT.y, HINT.a, HINT.b, HINT.size)
        outline = service.do(task(ref, HINT, outline=0), album.descriptors)[0].outline
        expected = session.outline(0)
        assert outline is not None and expected is not None
        assert [len(line) for line in outline.polygons] == [len(line) for line in expected.polygons]
        np.testing.assert_allclose(outline.polygons[0], expected.polygons[0], atol=1e-4)
        assert sum(map(len, outline.polygons)) < 150, "an edit with twelve outlines fits into a message"


@pytest.mark.parametrize(
    ("hints", "more", "words"),
    [
        ((HintRecord(1, 1),), {}, "x and y, or lines"),
        ((HintRecord(1, 1, lines=(((0.5, 1.5),),)),), {}, "outside the photograph"),
        ((HINT,), {"outline": 1}, "no hint 1"),
        (tuple(replace(KEPT, inside=RegionRecord((SQUARE,), i)) for i in range(MAX_REGIONS + 1)), {}, "13 regions"),
        ((HintRecord(1, 1, lines=(((0.5, 0.5),),) * 129),), {}, "room for 128"),
    ],
)
def test_impossible_strokes_and_regions_are_refused(
    runner: Runner, album: Album, hints: Any, more: dict[str, Any], words: str
) -> None:
    service = EngineService(runner, 64)
    with pytest.raises(LivetintError, match=words):
        service.do(task(album.add("one"), *hints, **more), album.descriptors)


def test_a_message_holds_points_and_strokes_in_the_form_of_a_session_s_json(runner: Runner, album: Album) -> None:
    session = Session(album.photo(album.add("one")), runner)
    session.add_stroke([((0.1, 0.2), (0.3, 0.4))], 9, 8, 7)
    session.set_inside(0, Region((SQUARE,), 2, fill=False))
    hints = json.loads(session.to_json())["hints"]
    edit = {"type": "edit", "seq": 1, "photo": "0" * 16, "hints": [[0.5, 0.5, 1, 2, 3], *hints]}
    read = decode_upward(json.dumps(edit))
    assert isinstance(read, Edit)
    point, stroke = read.hints
    assert point == HintMessage(0.5, 0.5, 1, 2, 3)
    assert isinstance(stroke, HintRecord) and (mark_of(stroke),) == session.hints
    assert decode_upward(msgspec.json.encode(read)) == read, "as it travels to the engine"
