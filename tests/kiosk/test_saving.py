"""Saving: painting goes on meanwhile, a failure costs nobody else anything, the file is the command line's."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.regions import Region
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.session import Session
from livetint.kiosk.server import takeaway
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.labels import Label
from livetint.kiosk.settings import TakeawayTable
from PIL import Image

from .processes import children
from .running import RunningKiosk, until
from .test_server import PHOTO, controls, edit, first_picture, reply

LABEL = Label("en")
WIDTH, HEIGHT = 4000, 3000
HINTS = [[0.3, 0.4, 20, 30, 5], [0.7, 0.6, -30, 10, 7]]


@pytest.fixture(scope="module")
def large(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKiosk]:
    """A kiosk that shows one large picture, whose grain makes its file slow to write."""
    folder = tmp_path_factory.mktemp("large")
    show = folder / "show"
    show.mkdir()
    grain = np.random.default_rng(0).integers(60, 190, (500, 500), np.uint8)
    Image.fromarray(np.tile(grain, (HEIGHT // 500, WIDTH // 500))).save(show / "grain.png")
    running = RunningKiosk(folder, stub, gallery={"folder": str(show)})
    with controls(running) as socket:  # the engine opens it once
        socket.send(edit(first_picture(running)))
        reply(socket)
    yield running
    running.close()


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def save(pool: ThreadPoolExecutor, kiosk: RunningKiosk, hints: list[Any] = HINTS) -> Future[tuple[int, bytes]]:
    """A download of the first picture, asked for while the test goes on."""
    body = edit(first_picture(kiosk), hints=hints).encode()
    return pool.submit(kiosk.get, "/save/download", "POST", body, Origin=kiosk.address.rstrip("/"))


def exports(kiosk: RunningKiosk) -> list[int]:
    """Processes of the kiosk that are making a file now."""
    return children(kiosk.process.pid, "livetint.kiosk.server.rendering")


def test_painting_goes_on_while_a_large_picture_is_saved(large: RunningKiosk, beside: ThreadPoolExecutor) -> None:
    with controls(large) as socket:
        photo = first_picture(large)
        saved = save(beside, large)
        until(lambda: exports(large), "the process that makes the file")
        for seq in range(2, 12):
            socket.send(edit(photo, seq, hints=[[seq / 12, 0.5, 20, 20, 5]]))
            assert reply(socket)[0]["seq"] == seq
        assert exports(large), "ten answers, and the file is still being made"
        status, data = saved.result()
    assert status == 200
    assert struct.unpack(">II", data[16:24]) == (WIDTH, HEIGHT)


def test_two_files_are_made_one_after_the_other(large: RunningKiosk, beside: ThreadPoolExecutor) -> None:
    with controls(large):
        both = [save(beside, large), save(beside, large)]
        while not all(one.done() for one in both):
            assert len(exports(large)) <= 1
    assert both[0].result() == both[1].result()
    assert both[0].result()[0] == 200


def test_a_save_whose_process_dies_costs_no_engine(large: RunningKiosk, beside: ThreadPoolExecutor) -> None:
    faults, engine = large.status()["engine_faults"], large.worker
    with controls(large):
        saved = save(beside, large)
        os.kill(until(lambda: exports(large), "the process that makes the file")[0], signal.SIGKILL)
        assert saved.result() == (503, b"The picture could not be saved.")
    assert (large.status()["engine_faults"], large.worker) == (faults, engine)
    assert "the child that saves ended with -9" in large.log.read_text()


def test_the_file_is_that_of_the_command_line(kiosk: RunningKiosk, stub: Path, beside: ThreadPoolExecutor) -> None:
    with controls(kiosk):
        status, data = save(beside, kiosk).result()
    assert status == 200
    session = Session(Photo.open(bundled_photos() / PHOTO), OnnxRunner(find_model(stub), 1))
    for x, y, a, b, size in HINTS:
        session.add(x, y, a, b, int(size))
    saved = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(saved.astype(int) - session.render().astype(int)).max() <= 1


def test_a_region_is_blended_at_the_size_of_the_file(
    kiosk: RunningKiosk, stub: Path, beside: ThreadPoolExecutor
) -> None:
    inside = Region((((0.2, 0.3), (0.7, 0.3), (0.5, 0.8)),))
    session = Session(Photo.open(bundled_photos() / PHOTO), OnnxRunner(find_model(stub), 1))
    session.add_stroke([((0.3, 0.4), (0.6, 0.4))], 60, 30)
    session.set_inside(0, inside)
    hints = json.loads(session.to_json())["hints"]
    status, data = save(beside, kiosk, hints).result()
    assert status == 200
    saved = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(saved.astype(int) - session.render().astype(int)).max() <= 1


def test_taken_away_pictures_take_a_limited_amount_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeaway, "MAX_BYTES", 100)
    takeaways = takeaway.Takeaways(TakeawayTable())
    keys = [takeaways.offer(bytes(40), LABEL).rsplit("/", 1)[1] for _ in range(3)]
    assert [takeaways.get(key) is not None for key in keys] == [False, True, True]
    last = takeaways.offer(bytes(300), LABEL).rsplit("/", 1)[1]
    newest = takeaways.get(last)
    assert newest is not None and newest.picture == bytes(300), "the newest one is always there"
    assert takeaways.get(keys[2]) is None
