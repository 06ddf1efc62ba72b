"""What belongs to a visit ends with it: nothing of one visitor is saved, shown or kept once the visitor has left."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from livetint.kiosk.colours import pack_colours
from livetint.kiosk.messages import Edit
from livetint.kiosk.server import exports
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.exports import Exporter
from livetint.kiosk.server.labels import Label
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.server.visits import Visit, VisitOver
from livetint.kiosk.settings import SavingTable, Settings, TakeawayTable, UploadsTable
from PIL import Image
from websockets.sync.client import ClientConnection

from .processes import children, facts_of
from .running import PATIENCE_S, RunningKiosk, complete, until
from .test_server import PHOTO, controls, edit, first_picture, free_port, reply
from .test_uploads import bring, held

T = TypeVar("T")
GREY_OF_A, GREY_OF_B = 60, 200


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def venue(stub: Path, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKiosk]:
    """A kiosk that takes uploads and saves to every place."""
    running = RunningKiosk(
        tmp_path_factory.mktemp("kiosk"), stub,
        uploads={"enabled": True, "deadline_s": 60.0}, saving={"folder": str(kept)},
        takeaway={"host": "127.0.0.1", "port": free_port()},
    )  # fmt: skip
    yield running
    running.close()


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


def plain(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (200, 150), grey).save(file, "PNG")
    return file.getvalue()


def bring_by(page: HTTPConnection, kiosk: RunningKiosk, data: bytes) -> dict[str, Any]:
    """What is told of an upload that is sent over an open connection."""
    page.request("POST", "/uploads", data, {"Origin": kiosk.address.rstrip("/"), **kiosk.page_header})
    return json.loads(page.getresponse().read())


def save(kiosk: RunningKiosk, place: str, photo: str) -> tuple[int, bytes]:
    """Save a picture whose visitor was asked and said yes."""
    return kiosk.get(f"/save/{place}?agreed=yes", "POST", edit(photo).encode(), Origin=kiosk.address.rstrip("/"))


def stopped_child(kiosk: RunningKiosk, module: str) -> int:
    """The kiosk's child of a module, as soon as there is one, held before it has done its work."""
    child = until(lambda: children(kiosk.process.pid, module), f"the child {module}")[0]
    os.kill(child, signal.SIGSTOP)
    return child


def go_on(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)


def by_request(kiosk: RunningKiosk, socket: ClientConnection) -> None:
    assert bring(kiosk, b"", "DELETE")[0] == 204


def by_beat(kiosk: RunningKiosk, socket: ClientConnection) -> None:
    """The page's reset. An upload of before is gone when it has arrived."""
    assert bring(kiosk, plain(1))[0] == 201
    socket.send(json.dumps({"type": "beat", "state": "attract", "event": "reset"}))
    until(lambda: not held(kiosk), "the wipe")


Wipe = Callable[[RunningKiosk, ClientConnection], None]
WIPES = pytest.mark.parametrize("wipe", [by_request, by_beat])
PLACES = pytest.mark.parametrize("place", ["download", "keep", "takeaway"])


@PLACES
def test_a_waiting_save_of_a_wiped_visit_never_writes_the_next_visitors_picture(
    venue: RunningKiosk, kept: Path, beside: ThreadPoolExecutor, place: str
) -> None:
    # A browser keeps its connection, and so B's upload gets the number of the descriptor that A's had.
    with (
        controls(venue) as socket,
        contextlib.closing(HTTPConnection("127.0.0.1", venue.port, timeout=PATIENCE_S)) as page,
    ):
        of_a = bring_by(page, venue, plain(GREY_OF_A))
        first = beside.submit(save, venue, "download", of_a["id"])
        child = stopped_child(venue, ".rendering")
        waiting = beside.submit(save, venue, place, of_a["id"])
        for seq in range(3):  # the engine answers in turns: the colours to save are asked for by then
            socket.send(edit(first_picture(venue), seq))
            reply(socket)
        page.request("DELETE", "/uploads", headers={"Origin": venue.address.rstrip("/"), **venue.page_header})
        assert page.getresponse().read() == b""
        of_b = bring_by(page, venue, plain(GREY_OF_B))
        go_on(child)
        assert first.result()[0] in (404, 410)
        assert waiting.result()[0] in (404, 410)
        assert list(kept.iterdir()) == []
        assert len(held(venue)) == 1
        status, saved = save(venue, "download", of_b["id"])
        assert status == 200
        lightness = np.asarray(Image.open(io.BytesIO(saved)).convert("L"))
        assert abs(float(lightness.mean()) - GREY_OF_B) < 25
        by_request(venue, socket)


@PLACES
@WIPES
def test_a_save_under_way_ends_with_its_visit(
    venue: RunningKiosk, kept: Path, beside: ThreadPoolExecutor, place: str, wipe: Wipe
) -> None:
    with controls(venue) as socket:
        saved = beside.submit(save, venue, place, first_picture(venue))
        child = stopped_child(venue, ".rendering")
        wipe(venue, socket)
        assert saved.result() == (410, b"This visit has ended. Please begin again.")
        assert list(kept.iterdir()) == []
        until(lambda: child not in children(venue.process.pid), "the end of the child")


@WIPES
def test_an_upload_under_way_is_not_taken_in_once_its_visit_has_ended(
    venue: RunningKiosk, beside: ThreadPoolExecutor, wipe: Wipe
) -> None:
    with controls(venue) as socket:
        brought = beside.submit(bring, venue, plain(GREY_OF_A))
        child = stopped_child(venue, ".decoding")
        if wipe is by_request:
            wipe(venue, socket)
        else:
            socket.send(json.dumps({"type": "beat", "state": "attract", "event": "reset"}))
            until(lambda: brought.done(), "the refusal")
        go_on(child)
        assert brought.result()[0] == 410
        assert held(venue) == []


def test_wiped_visits_leave_no_descriptor_and_no_process(venue: RunningKiosk, beside: ThreadPoolExecutor) -> None:
    with controls(venue) as socket:

        def visit() -> None:
            _, told = bring(venue, plain(GREY_OF_A))
            saved = beside.submit(save, venue, "keep", told["id"])
            shown = beside.submit(venue.get, f"/pictures/{told['id']}/480.jpg")
            child = stopped_child(venue, ".rendering")
            by_request(venue, socket)
            go_on(child)
            assert saved.result()[0] in (404, 410)
            assert shown.result()[0] in (200, 404)

        visit()
        before = facts_of(venue.process.pid)[1]
        for _ in range(5):
            visit()
        until(lambda: facts_of(venue.process.pid)[1] <= before, "as few descriptors as before")
        assert children(venue.process.pid, ".rendering") == []


# In this process, where a visit can end at any moment


def of_visitors() -> list[str]:
    """Files of visitors that this process holds open."""
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while we look
            names.append(str(entry.readlink()))
    return [name for name in names if re.search("livetint-(upload|preview|render)", name)]


async def body(data: bytes) -> AsyncIterator[bytes]:
    yield data


def test_a_preview_and_an_upload_in_flight_leave_nothing_behind() -> None:
    async def run() -> None:
        kiosk = Kiosk(Settings(uploads=UploadsTable(enabled=True, deadline_s=60.0)))
        screen = next(iter(kiosk.screens))
        first = await kiosk.take_in(str(len(plain(1))), body(plain(1)), screen.visit)
        preview = asyncio.ensure_future(kiosk.previews.get(first.ref, 480))
        second = asyncio.ensure_future(kiosk.take_in(str(len(plain(2))), body(plain(2)), screen.visit))
        while len(of_visitors()) < 4:  # two uploads and two sizes of a preview
            await asyncio.sleep(0.001)
        kiosk.end_visit(screen)
        with pytest.raises(KeyError):
            await preview
        with pytest.raises(VisitOver):
            await second
        assert of_visitors() == []
        assert first.ref not in kiosk.previews
        assert kiosk.uploads.pictures == {}
        with pytest.raises(KeyError):
            kiosk.open_picture(first.ref)
        await kiosk.close()

    complete(run())


@pytest.mark.parametrize(
    ("place", "moment"),
    [
        ("keep", "colours"), ("keep", "rendering"), ("keep", "copyfileobj"), ("keep", "sync"), ("keep", "_write"),
        ("take_away", "colours"), ("take_away", "rendering"), ("take_away", "_read"),
    ],
)  # fmt: skip
def test_a_visit_that_ends_at_any_moment_of_a_save_leaves_no_file_and_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, moment: str
) -> None:
    settings = Settings(saving=SavingTable(folder=str(tmp_path)), takeaway=TakeawayTable(host="127.0.0.1"))
    grey = pack_colours(np.zeros((2, 256, 256), np.float32), [])
    source = bundled_photos() / PHOTO

    def ended_after(function: Callable[..., T]) -> Callable[..., T]:
        def wrapped(*arguments: Any) -> T:
            result = function(*arguments)
            visit.end()
            return result

        return wrapped

    async def colours(edit: Edit, visit: Visit) -> bytes:
        if moment == "colours":
            visit.end()
        return grey

    def open_picture(id: str, visit: Visit) -> int:
        if moment == "rendering":
            asyncio.get_running_loop().call_soon(visit.end)
        return os.open(source, os.O_RDONLY)

    owner = exports.shutil if moment == "copyfileobj" else exports
    if hasattr(owner, moment):  # a step in the thread that reads or writes the file
        monkeypatch.setattr(owner, moment, ended_after(getattr(owner, moment)))

    async def run() -> None:
        exporter = Exporter(settings, colours, open_picture)
        with pytest.raises(VisitOver):
            await getattr(exporter, place)(Edit(1, "0" * 16), visit, Label("en"))
        assert list(tmp_path.iterdir()) == []
        assert len(exporter.takeaways) == 0
        assert of_visitors() == []

    visit = Visit()
    complete(run())
