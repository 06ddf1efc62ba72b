"""The engine service by itself: pictures by id and version, what it holds, the way from hints to colours."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, get_type_hints

import msgspec
import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ImageRejected, LivetintError, RunnerError
from livetint.engine.image.compose import MAX_STRENGTH
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.runners.base import MAX_VIVID, MIN_VIVID, Runner
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.session import Session
from livetint.kiosk.colours import unpack_colours
from livetint.kiosk.engine import page_files
from livetint.kiosk.engine.photo_state import PhotoState
from livetint.kiosk.engine.service import MORE_PHOTOS, EngineService
from livetint.kiosk.messages import Edit, HintMessage, PictureRef, Task
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.settings import EngineTable
from PIL import Image

from .album import HINT, Album, planes, task

# From hints to colours


class Calls:
    """The functions of Livetint that run until a runner is asked for colours, each once."""

    def __init__(self) -> None:
        self._found: dict[CodeType, str] = {}
        self._counting = True

    @property
    def names(self) -> list[str]:
        return list(self._found.values())

    def __enter__(self) -> Calls:
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, _: object) -> None:
        module, code = frame.f_globals.get("__name__", ""), frame.f_code
        if event != "call" or not self._counting or not module.startswith("livetint."):
            return
        if code is Runner.colorize.__code__:
            self._counting = False
        else:
            self._found[code] = f"{module}: {getattr(code, 'co_qualname', code.co_name)}"


def test_an_edit_reaches_the_runner_by_the_session_s_way_and_four_functions_more_at_most(
    touch: Bundle, album: Album
) -> None:
    ref = album.add("one")
    with OnnxRunner(touch, 1) as runner:
        service, session = EngineService(runner, 64), Session(album.photo(ref), runner)
        service.do(task(ref), album.descriptors)  # the photograph is open
        asked = task(ref, HINT)
        with Calls() as direct:
            session.add(HINT.x, HINT.y, HINT.a, HINT.b, HINT.size)
            _ = session.ab
        with Calls() as served:
            service.do(asked, {})
    for title, calls in (("Session.add and .ab", direct), ("EngineService.do", served)):
        sys.stdout.write("\n  ".join([f"{title}: {len(calls.names)} functions", *calls.names, "\n"]))
    assert len(direct.names) > 10
    assert len(served.names) <= len(direct.names) + 4


def test_colours_suggestions_and_jpegs_are_the_painter_s(touch: Bundle, album: Album) -> None:
    ref = album.add("one", (200, 150, 90))
    with OnnxRunner(touch, 1) as runner:
        service, session = EngineService(runner, 64), Session(album.photo(ref), runner)
        session.add(HINT.x, HINT.y, HINT.a, HINT.b, HINT.size)
        answer, pixels = service.do(task(ref, HINT, point=(0.3, 0.2)), album.descriptors)
        np.testing.assert_array_equal(
            np.frombuffer(pixels, np.float16), session.ab.transpose(1, 2, 0).astype(np.float16).ravel()
        )
        found = session.suggest(0.3, 0.2, 5)
        assert answer.colours is not None
        assert answer.colours.L == found.L
        assert answer.colours.current == found.current
        assert answer.colours.first == found.first
        assert np.hypot(*np.subtract(answer.colours.first, found.current)) > 4
        assert answer.colours.swatches == [(s.a, s.b, s.confidence) for s in found.swatches]
        jpeg = service.do(task(ref, HINT, want="jpeg", width=64), {})[1]
        shown = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
        assert np.abs(shown - session.render((64, 48))).mean() < 3


def test_automatic_colours_are_vivid_where_the_model_takes_it(touch: Bundle, runner: Runner, album: Album) -> None:
    ref = album.add("one", (200, 150, 90))
    asked: dict[Any, Any] = {}
    for vivid in (1.0, 1.3):
        with OnnxRunner(touch, 1) as staged:
            service = EngineService(staged, 64, vivid)
            asked[vivid] = planes(service, task(ref), album)
            at_hint = planes(service, task(ref, HINT))[:, int(0.4 * 256), int(0.3 * 256)]
            assert np.hypot(*(at_hint - (HINT.a, HINT.b))) < 1
            asked[vivid, "mood"] = PhotoState(album.photo(ref), staged, vivid).mood("rich")
    np.testing.assert_allclose(asked[1.3], asked[1.0] * 1.3, atol=0.05)
    assert asked[1.3, "mood"] == asked[1.0, "mood"], "a mood is asked of the network, before its answer is multiplied"
    plain, same = (planes(EngineService(runner, 64, vivid), task(ref), album) for vivid in (1.0, 1.3))
    np.testing.assert_array_equal(same, plain)


def test_jpegs_and_files_have_the_strength_and_planes_have_not(touch: Bundle, album: Album) -> None:
    ref = album.add("one", (200, 150, 90))
    with OnnxRunner(touch, 1) as runner:
        service, session = EngineService(runner, 64), Session(album.photo(ref), runner)
        session.add(HINT.x, HINT.y, HINT.a, HINT.b, HINT.size)
        plain = planes(service, task(ref, HINT), album)
        for strength in (0.0, 1.6):
            session.set_strength(strength)
            np.testing.assert_array_equal(planes(service, task(ref, HINT, strength=strength)), plain)
            jpeg = service.do(task(ref, HINT, want="jpeg", width=64, strength=strength), {})[1]
            shown = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
            assert np.abs(shown - session.render((64, 48))).mean() < 3
            file = service.do(Task("ab", ref, None, Edit(1, "0" * 16, (HINT,), strength=strength)), {})[1]
            ab, layers = unpack_colours(file)
            np.testing.assert_allclose(ab, session.ab * strength, atol=1e-4)
            assert layers == []


def test_the_numbers_of_messages_and_settings_are_the_engine_s() -> None:
    def bounds(kind: Any) -> tuple[float | None, float | None]:
        meta = next(m for m in kind.__metadata__ if isinstance(m, msgspec.Meta))
        return meta.ge, meta.le

    strength = get_type_hints(Edit, include_extras=True)["strength"]
    vivid = get_type_hints(EngineTable, include_extras=True)["vivid"]
    assert (bounds(strength), bounds(vivid)) == ((0, MAX_STRENGTH), (MIN_VIVID, MAX_VIVID))


def test_the_runner_composes_jpegs_from_the_same_lightness(runner: Runner, album: Album, monkeypatch) -> None:
    service, ref, given = EngineService(runner, 64), album.add("one"), []
    render = runner.render
    monkeypatch.setattr(runner, "render", lambda *a: (given.append(a[3]), render(*a))[1])
    for x in (0.2, 0.4):
        service.do(task(ref, HintMessage(x, 0.5, 1, 1), want="jpeg", width=64), album.descriptors)
    assert given[0].shape == (48, 64)
    assert given[0] is given[1], "a GPU takes another array to be another picture"


# Pictures


def test_every_answer_can_say_what_is_held(runner: Runner, album: Album) -> None:
    service = EngineService(runner, 64)
    refs = [album.add(str(number), (50 * number, 90, 60)) for number in range(1 + MORE_PHOTOS + 1)]
    for ref in refs:
        service.do(task(ref), album.descriptors)
    assert service.held == refs[1:]
    service.do(task(refs[1]), {})
    service.do(task(refs[0]), album.descriptors)
    assert service.held == [refs[3], refs[1], refs[0]]
    service.do(Task("forget", refs[1]), {})
    assert service.held == [refs[3], refs[0]]


def test_what_screens_paint_stays_while_others_look_at_many_photographs(runner: Runner, album: Album) -> None:
    service = EngineService(runner, 64, screens=4)
    refs = [album.add(str(number), (20 * number, 90, 60)) for number in range(12)]
    painted = refs[:3]
    for screen, ref in enumerate(painted, 1):
        service.do(task(ref, screen=screen), album.descriptors)
    for ref in refs[3:]:
        service.do(task(ref, screen=4), album.descriptors)
    assert service.held == [*painted, *refs[-1 - MORE_PHOTOS :]]
    service.do(Task("forget", painted[0]), {})
    service.do(task(refs[3], screen=1), album.descriptors)
    assert service.held == [*painted[1:], *refs[-1 - MORE_PHOTOS :], refs[3]]


def test_screens_share_the_features_of_a_photograph_and_keep_their_own_answers(
    runner: Runner, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("_encode", "_colorize"):
        plainly = getattr(OnnxRunner, name)
        monkeypatch.setattr(OnnxRunner, name, lambda *a, n=name, f=plainly: (asked.append(n), f(*a))[1])
    service, ref = EngineService(runner, 64, screens=2), album.add("one")
    asked.clear()
    edits = [task(ref, HintMessage(0.1 * screen, 0.5, 20, 9), screen=screen) for screen in (1, 2)]
    first = [planes(service, edit, album) for edit in edits]
    again = [planes(service, edit) for edit in edits]
    assert asked == ["_encode", "_colorize", "_colorize"]
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - first[1]).max() > 1
    assert not service.do(edits[0], {})[0].inferred


def test_a_page_s_features_are_the_runner_s_and_come_from_the_cpu_where_it_gives_none(
    touch: Bundle, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[object] = []
    plainly = OnnxRunner._encode
    monkeypatch.setattr(OnnxRunner, "_encode", lambda *a: (encoded.append(a), plainly(*a))[1])
    with OnnxRunner(touch, 1) as runner:
        service, ref = EngineService(runner, 64), album.add("one")
        asked = Task("features", ref)
        encoded.clear()
        closed = service.do(asked, album.descriptors)[1]
        assert len(encoded) == 1 and service.held == []
        service.do(task(ref, HINT), album.descriptors)  # the photograph is open
        with monkeypatch.context() as alone:
            alone.setattr(page_files, "FeatureEncoder", None)
            assert service.do(asked, {})[1] == closed
        assert len(encoded) == 2
        monkeypatch.setattr(OnnxRunner, "_encoder_features", lambda *_: None)
        assert len(service.do(asked, {})[1]) == len(closed)
        monkeypatch.setattr(OnnxRunner, "gives_encoder_features", False)
        encoded.clear()
        fresh = EngineService(runner, 64)
        assert len(fresh.do(asked, album.descriptors)[1]) == len(closed)
        assert len(encoded) == 1, "the pulse alone: what a runner does not give it is not asked to encode"


def test_a_large_photograph_is_held_in_the_size_of_screens_and_coloured_as_in_full(
    touch: Bundle, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(grey_file())).resize((4800, 300)).save(file, "PNG")
    ref = PictureRef("large", "own")
    album.descriptors[ref] = os.memfd_create("large")
    os.write(album.descriptors[ref], file.getvalue())
    kept: list[Photo] = []
    begin = PhotoState.__init__
    monkeypatch.setattr(
        PhotoState, "__init__", lambda self, photo, *more: (kept.append(photo), begin(self, photo, *more))[1]
    )
    with OnnxRunner(touch, 1) as runner:
        session = Session(Photo.from_bytes(file.getvalue()), runner)
        session.add(HINT.x, HINT.y, HINT.a, HINT.b, HINT.size)
        found = planes(EngineService(runner, 64), task(ref, HINT), album)
        expected = session.ab
    assert kept[0].size == (2048, 128)
    np.testing.assert_array_equal(found, expected.astype(np.float16).astype(np.float32))


def test_a_reference_is_known_by_its_histogram_and_pushes_no_picture_out(album: Album, touch: Bundle) -> None:
    with OnnxRunner(touch, 1) as runner:
        service = EngineService(runner, 64)
        refs = [album.add(str(number), (50 * number, 90, 60)) for number in range(1 + MORE_PHOTOS)]
        for ref in refs:
            service.do(task(ref), album.descriptors)
        reference = album.add("reference", (220, 30, 30))
        service.do(task(refs[0], reference=reference), album.descriptors)
        assert set(service.held) == set(refs)
        assert service.histograms == [reference]
        service.do(task(refs[0], HINT, reference=reference), {})
        service.do(Task("forget", reference), {})
        assert service.histograms == []


def test_the_mood_of_a_picture_is_shown_in_its_colours_and_its_histogram_kept(album: Album, touch: Bundle) -> None:
    with OnnxRunner(touch, 1) as runner:
        service = EngineService(runner, 1)
        red = album.add("reference", (220, 30, 30))
        grey = PictureRef("grey", hashlib.sha256(photograph := grey_file()).hexdigest())
        album.descriptors[grey] = os.memfd_create("grey")
        os.write(album.descriptors[grey], photograph)
        for reference, most in ((red, 180), (grey, 4)):
            answer, jpeg = service.do(Task("mood", reference=reference), album.descriptors)
            rgb = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
            assert answer.ok and max(rgb.shape) <= 320
            assert (rgb[..., 0] - rgb[..., 2]).max() > most
        assert service.histograms == [red, grey] and service.held == []


def grey_file() -> bytes:
    """A small copy of a photograph without colours."""
    file = io.BytesIO()
    with Image.open(bundled_photos() / "abandoned-dust-bowl-home.jpg") as image:
        image.convert("L").resize((400, 300)).save(file, "PNG")
    return file.getvalue()


def test_another_version_is_another_picture_and_another_reference(touch: Bundle, album: Album) -> None:
    with OnnxRunner(touch, 1) as runner:
        service = EngineService(runner, 64)
        picture = album.add("one", (120, 120, 120))
        red, blue = (album.add("reference", colour) for colour in ((220, 40, 40), (40, 60, 220)))
        warm = planes(service, task(picture, reference=red), album)
        cold = planes(service, task(picture, reference=blue), album)
        assert np.abs(warm - cold).max() > 5
        np.testing.assert_array_equal(planes(service, task(picture, reference=red)), warm)


def test_a_file_that_was_replaced_is_refused(runner: Runner, album: Album) -> None:
    service, ref = EngineService(runner, 64), album.add("one")
    other = album.add("two", (9, 9, 200))
    with pytest.raises(ImageRejected, match="replaced meanwhile") as refusal:
        service.do(task(ref), {ref: album.descriptors[other]})
    assert refusal.value.visitor_sentence == "This picture is no longer on show."
    assert service.held == []


def test_the_limit_of_the_gallery_does_not_apply_to_uploads(runner: Runner, album: Album) -> None:
    service, shown, upload = EngineService(runner, 0.001), album.add("shown"), album.add("upload", version="own")
    with pytest.raises(ImageRejected, match="megapixels"):
        service.do(task(shown), album.descriptors)
    service.do(task(upload), album.descriptors)
    assert service.held == [upload]


def test_descriptors_are_read_by_position(runner: Runner, album: Album) -> None:
    ref = album.add("one", version="an upload's own")
    os.lseek(album.descriptors[ref], 7, os.SEEK_SET)
    EngineService(runner, 64).do(task(ref), album.descriptors)
    assert os.lseek(album.descriptors[ref], 0, os.SEEK_CUR) == 7


@pytest.mark.parametrize("op", ["edit", "ab"])
def test_a_task_without_what_it_needs_is_refused(runner: Runner, album: Album, tmp_path: Path, op: Any) -> None:
    service, ref, folder = EngineService(runner, 64), album.add("one", version="x"), os.open(tmp_path, os.O_RDONLY)
    edit = Edit(1, "0" * 16)
    album.descriptors[PictureRef("folder", "x")] = folder
    for bad in (Task(op), Task(op, ref), Task(op, None, None, edit), Task("forget")):
        with pytest.raises(RunnerError, match="came without"):
            service.do(bad, album.descriptors)
    with pytest.raises(RunnerError, match="without its descriptor"):
        service.do(Task(op, ref, None, edit), {})
    with pytest.raises(LivetintError):
        service.do(Task(op, PictureRef("folder", "x"), None, edit), album.descriptors)
    assert service.held == []


# Runners


def test_photographs_move_to_another_runner(stub: Path, album: Album) -> None:
    refs = [album.add(str(number), (50 * number, 90, 60)) for number in range(2)]
    with OnnxRunner(find_model(stub), 1) as old:
        service = EngineService(old, 64)
        before = [planes(service, task(ref, HINT, mood="rich"), album) for ref in refs]
    with OnnxRunner(find_model(stub), 1) as new:
        service.use(new)
        assert service.held == refs
        for ref, expected in zip(refs, before, strict=True):
            np.testing.assert_array_equal(planes(service, task(ref, HINT, mood="rich")), expected)
        assert service.do(Task("pulse"), {})[0].inferred


def test_an_answer_without_inference_does_not_count_as_one(runner: Runner, album: Album) -> None:
    service, ref = EngineService(runner, 64), album.add("one")
    for x, want in ((0.1, "planes"), (0.2, "planes"), (0.3, "jpeg")):
        asked = task(ref, HintMessage(x, 0.5, 9, 9), want=want)
        assert service.do(asked, album.descriptors)[0].inferred
    service.do(task(ref, HINT), {})
    assert not service.do(task(ref, HINT), {})[0].inferred
