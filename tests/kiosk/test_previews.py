"""Previews: grey pictures made beside the engine, by a process that may die and rests when nobody needs it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from livetint.engine.errors import ImageRejected
from livetint.engine.image.compose import fitted, resize_lightness
from livetint.engine.image.photo import Photo, lightness_of_rgb
from livetint.kiosk.messages import PictureRef
from livetint.kiosk.server import previews as module
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.previews import SIZES_PX, PreviewFailed, Previews
from PIL import Image

from .processes import alive, children
from .running import RunningKiosk, complete, until
from .test_server import PHOTO, controls, edit, first_picture, reply

A, B, C = (PictureRef(letter * 16, letter) for letter in "abc")


class Folder:
    """Pictures by id, for Previews to open; counts how often."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened = 0

    def put(self, ref: PictureRef, data: bytes) -> None:
        (self.folder / ref.id).write_bytes(data)

    def open(self, ref: PictureRef) -> int:
        self.opened += 1
        try:
            return os.open(self.folder / ref.id, os.O_RDONLY)
        except FileNotFoundError as error:
            raise KeyError(ref.id) from error


def noise(width: int = 900, height: int = 700, seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path)
    for seed, ref in enumerate((A, B, C)):
        found.put(ref, noise(seed=seed))
    return found


def with_previews(folder: Folder, work: Callable[[Previews], Awaitable[None]], max_megapixels: float = 4) -> None:
    """Run `work` with Previews of a folder. Nothing of them may be left afterwards."""

    async def run() -> None:
        previews = Previews(folder.open, max_megapixels)
        before = len(list(Path("/proc/self/fd").iterdir()))
        try:
            await work(previews)
        finally:
            process = previews.process
            await previews.close()
        assert process is None or not alive(process)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before

    complete(run())


async def started(previews: Previews) -> int:
    """The process that makes previews, as soon as there is one."""
    while previews.process is None:
        await asyncio.sleep(0)
    return previews.process


def test_a_preview_is_the_lightness_of_the_photograph_in_two_sizes(folder: Folder) -> None:
    data = (bundled_photos() / PHOTO).read_bytes()
    folder.put(A, data)
    photo = Photo.from_bytes(data)

    async def work(previews: Previews) -> None:
        for size_px in SIZES_PX:
            grey = cv2.imdecode(np.frombuffer(await previews.get(A, size_px), np.uint8), cv2.IMREAD_UNCHANGED)
            assert grey is not None and grey.ndim == 2
            size = fitted(photo.size, size_px)
            assert grey.shape == size[::-1]
            assert max(size) <= size_px
            shown = lightness_of_rgb(np.repeat(grey[..., None], 3, 2).astype(np.uint8))
            assert float(np.abs(shown - resize_lightness(photo.L, size)).mean()) < 0.5
        assert folder.opened == 1, "decoded once for both"

    with_previews(folder, work)


def test_those_who_ask_at_once_share_the_work_and_the_next_pictures_share_the_process(folder: Folder) -> None:
    async def work(previews: Previews) -> None:
        both = await asyncio.gather(previews.get(A, 480), previews.get(A, 480))
        assert both[0] == both[1]
        assert folder.opened == 1
        process = previews.process
        await previews.get(B, 480)
        assert previews.process == process

    with_previews(folder, work)


def test_a_picture_that_is_none_is_refused_and_the_process_goes_on(folder: Folder) -> None:
    folder.put(B, b"\xff\xd8\xff no picture")

    async def work(previews: Previews) -> None:
        await previews.get(A, 480)
        process = previews.process
        with pytest.raises(ImageRejected, match="not a picture in a known format"):
            await previews.get(B, 480)
        opened = folder.opened
        with pytest.raises(ImageRejected, match="not a picture in a known format"):
            await previews.get(B, 480)
        assert folder.opened == opened, "a version that was refused is not tried again"
        previews.forget(B)
        assert B not in previews
        with pytest.raises(KeyError):
            await previews.get(PictureRef("0" * 16, ""), 480)
        await previews.get(C, 480)
        assert previews.process == process

    with_previews(folder, work)


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(folder: Folder) -> None:
    async def work(previews: Previews) -> None:
        with pytest.raises(ImageRejected, match=r"more than the limit of 0\.5"):
            await previews.get(A, 480)

    with_previews(folder, work, max_megapixels=0.5)


@pytest.mark.parametrize("noticed", [False, True])
def test_a_process_that_died_while_it_rested_costs_nobody_a_preview(folder: Folder, noticed: bool) -> None:
    async def work(previews: Previews) -> None:
        await previews.stand_by()
        process = await started(previews)
        await previews.get(A, 480)
        assert previews.process == process
        os.kill(process, signal.SIGKILL)
        while noticed and previews.process:
            await asyncio.sleep(0.001)
        assert await previews.get(B, 480)
        assert previews.process != process

    with_previews(folder, work)


def test_a_process_that_dies_at_its_work_is_said_and_the_next_picture_gets_another(folder: Folder) -> None:
    async def work(previews: Previews) -> None:
        asked = asyncio.ensure_future(previews.get(A, 480))
        os.kill(await started(previews), signal.SIGKILL)
        with pytest.raises(PreviewFailed, match="ended"):
            await asked
        assert A not in previews
        assert await previews.get(B, 480)

    with_previews(folder, work)


def test_a_preview_that_takes_too_long_is_given_up(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEADLINE_S", 0.01)

    async def work(previews: Previews) -> None:
        with pytest.raises(PreviewFailed, match="longer than"):
            await previews.get(A, 480)
        assert previews.process is None

    with_previews(folder, work)


def test_a_process_without_work_is_ended_after_a_while(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.01)

    async def work(previews: Previews) -> None:
        asked = asyncio.ensure_future(previews.get(A, 480))
        process = await started(previews)
        await asked
        await asyncio.to_thread(until, lambda: not alive(process), "the end of the process")
        assert previews.process is None
        assert await previews.get(B, 480)

    with_previews(folder, work)


def test_a_picture_that_goes_while_its_preview_is_made_leaves_nothing(folder: Folder) -> None:
    async def work(previews: Previews) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        both = [asyncio.ensure_future(previews.get(ref, 480)) for ref in (A, B)]
        process = await started(previews)
        os.kill(process, signal.SIGSTOP)
        previews.forget(A)  # which is being made
        previews.forget(B)  # which waits
        for one in both:
            with pytest.raises(KeyError):
                await one
        assert A not in previews and B not in previews
        await asyncio.to_thread(until, lambda: not alive(process), "the end of the process")
        await asyncio.to_thread(
            until, lambda: len(list(Path("/proc/self/fd").iterdir())) <= before, "as few descriptors as before"
        )

    with_previews(folder, work)


def test_one_who_asked_and_left_takes_nothing_from_the_others(folder: Folder) -> None:
    async def work(previews: Previews) -> None:
        leaving, staying = (asyncio.ensure_future(previews.get(A, size)) for size in SIZES_PX)
        await started(previews)
        leaving.cancel()
        assert await staying
        assert leaving.cancelled()

    with_previews(folder, work)


def test_what_is_kept_is_bounded_in_bytes_and_the_least_used_goes_first(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(previews: Previews) -> None:
        first = len(await previews.get(A, 480)) + len(await previews.get(A, 2048))
        monkeypatch.setattr(module, "MAX_KEPT_BYTES", int(2.5 * first))
        await previews.get(B, 480)
        await previews.get(A, 480)
        await previews.get(C, 480)
        assert [ref in previews for ref in (A, B, C)] == [True, False, True]

    with_previews(folder, work)


@pytest.fixture
def fresh(stub: Path, tmp_path: Path) -> Iterator[RunningKiosk]:
    kiosk = RunningKiosk(tmp_path, stub)
    yield kiosk
    kiosk.close()


def test_an_edit_is_answered_while_the_preview_of_a_slow_picture_is_made(fresh: RunningKiosk) -> None:
    photo = first_picture(fresh)
    with ThreadPoolExecutor(1) as beside, controls(fresh) as socket:
        preview = beside.submit(fresh.get, f"/pictures/{photo}/2048.jpg")
        process = until(lambda: children(fresh.process.pid, "livetint.kiosk.server.shrinking"), "the process")[0]
        os.kill(process, signal.SIGSTOP)
        for seq in range(1, 4):
            socket.send(edit(photo, seq))
            assert reply(socket)[0]["seq"] == seq
        assert not preview.done()
        os.kill(process, signal.SIGCONT)
        status, jpeg = preview.result()
    assert (status, jpeg[:2]) == (200, b"\xff\xd8")


def test_previews_are_there_before_the_engine_and_without_it(stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, stub, engine={"spare": False, "deadline_s": 60.0})
    try:
        os.kill(kiosk.worker, signal.SIGSTOP)
        assert kiosk.get(f"/pictures/{first_picture(kiosk)}/480.jpg")[0] == 200
    finally:
        kiosk.close()
