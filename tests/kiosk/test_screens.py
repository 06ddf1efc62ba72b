"""Several screens of one kiosk: who gets a place, that nobody sees or ends anything of another, and fair turns."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from livetint.bench.kiosk.scripted import ScriptedPage
from livetint.kiosk.server import uploads
from livetint.kiosk.server.screens import Screens
from livetint.kiosk.server.uploads import KEPT_BYTES, Uploads
from livetint.kiosk.server.visits import Visit
from livetint.kiosk.settings import UploadsTable
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .running import PATIENCE_S, RunningKiosk, complete, until
from .test_privacy import go_on, plain, save, stopped_child
from .test_server import controls, edit, first_picture, reply
from .test_uploads import bring, held, picture

SCREENS = 8
ANSWERS = 240


@pytest.fixture(scope="module")
def venue(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKiosk]:
    running = RunningKiosk(
        tmp_path_factory.mktemp("screens"), stub, engine={"spare": False},
        uploads={"enabled": True, "deadline_s": 60.0},
    )  # fmt: skip
    yield running
    running.close()


# Who gets a place


class Socket:
    """A page's socket as `Screen` knows it."""

    def __init__(self) -> None:
        self.leaving = self.replaced = False

    async def tell(self, kind: str, **facts: object) -> None: ...

    def replace(self) -> None:
        self.leaving = self.replaced = True


def arrive(screens: Screens, name: str = "", after: str = "") -> tuple[int, str, bool, Socket] | None:
    """Number and name of the place that a page gets, whether its visit goes on, and its socket."""
    place = screens.place_for(name, after)
    if place is None:
        return None
    screen, goes_on = place
    socket = Socket()
    screen.connect(socket)
    return screen.number, screen.name, goes_on, socket


def leave(screens: Screens, name: str, socket: Socket) -> None:
    screen = screens.of(name)
    assert screen
    socket.leaving = True
    screen.disconnect(socket)


def test_pages_get_free_places_and_the_last_one_waits() -> None:
    screens = Screens(2)
    first, second = arrive(screens), arrive(screens)
    assert first and second
    assert (first[0], second[0]) == (1, 2)
    assert first[1] != second[1]
    assert len(first[1]) > 20, "nobody guesses it"
    assert arrive(screens) is None
    assert arrive(screens, name="unknown", after="unknown") is None
    leave(screens, second[1], second[3])
    third = arrive(screens)
    assert third and third[0] == 2
    assert screens.of(second[1]) is None
    assert screens.of("") is None


def test_the_place_of_the_page_that_has_been_gone_for_the_longest_time_goes_first() -> None:
    screens = Screens(3)
    pages = [arrive(screens) for _ in range(3)]
    for at in (1, 2, 0):
        found = pages[at]
        assert found
        leave(screens, found[1], found[3])
    later = [arrive(screens) for _ in range(3)]
    assert [found and found[0] for found in later] == [2, 3, 1]


def test_a_page_that_lost_its_link_keeps_its_place_and_one_that_was_loaded_again_takes_it_over() -> None:
    screens = Screens(2)
    page = arrive(screens)
    assert page
    number, name, _, socket = page
    # The server may not have noticed yet that the old socket is gone.
    back = arrive(screens, name=name)
    assert back and back[:3] == (number, name, True)
    assert socket.replaced
    screen = screens.of(name)
    assert screen and not screen.disconnect(socket), "the end of the old socket is not the page's"
    again = arrive(screens, after=name)
    assert again and again[0] == number and again[1] != name and not again[2]
    assert back[3].replaced
    assert len(screens.connected) == 1


def test_the_ninth_page_is_told_to_wait_and_gets_its_turn(venue: RunningKiosk) -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(controls(venue)) for _ in range(SCREENS)]
        until(lambda: len(venue.status()["screens"]) == SCREENS, "all screens")
        ninth = connect(f"ws://127.0.0.1:{venue.port}/touches", origin=venue.address.rstrip("/"))  # type: ignore[arg-type]
        with ninth, pytest.raises(ConnectionClosed) as refusal:
            ninth.recv(PATIENCE_S)
        assert refusal.value.rcvd is not None and refusal.value.rcvd.code == 4001
        for number, page in enumerate(pages):
            page.send(edit(first_picture(venue), number + 1))
            assert reply(page)[0]["seq"] == number + 1
        metrics = venue.get("/metrics")[1].decode()
        assert f"livetint_screens {SCREENS}.0" in metrics
        assert all(f'livetint_screen_edits_total{{screen="{n}"}}' in metrics for n in range(1, SCREENS + 1))
        pages[3].close()
        with controls(venue):
            assert len(venue.status()["screens"]) == SCREENS


# What is apart


class Page:
    """A page with its socket; requests carry its name."""

    def __init__(self, kiosk: RunningKiosk, socket: ClientConnection) -> None:
        self.kiosk, self.socket = kiosk, socket
        self.name: str = socket.welcome["page"]  # type: ignore[attr-defined]

    def __enter__(self) -> RunningKiosk:
        self.kiosk.page = self.name
        return self.kiosk

    def __exit__(self, *_: object) -> None:
        self.kiosk.page = ""

    def bring(self, data: bytes) -> tuple[int, Any]:
        with self as kiosk:
            return bring(kiosk, data)

    def get(self, path: str) -> int:
        with self as kiosk:
            return kiosk.get(path)[0]

    def wipe(self) -> None:
        with self as kiosk:
            assert bring(kiosk, b"", "DELETE")[0] == 204

    def answer(self, message: str) -> dict[str, Any]:
        """The JSON of the answer to an edit."""
        self.socket.send(message)
        found = self.socket.recv(PATIENCE_S)
        return json.loads(found) if isinstance(found, str) else {"type": "reply"}


@pytest.fixture
def two(venue: RunningKiosk) -> Iterator[tuple[Page, Page]]:
    with controls(venue) as a, controls(venue) as b:
        pages = Page(venue, a), Page(venue, b)
        yield pages
        for page in pages:
            page.wipe()


def test_nobody_sees_paints_borrows_or_saves_the_picture_of_another_screen(two: tuple[Page, Page]) -> None:
    one, other = two
    status, told = one.bring(picture())
    assert status == 201
    own, shown = told["id"], first_picture(one.kiosk)
    addresses = [f"/pictures/{own}/{what}.jpg" for what in ("480", "2048", "mood")]
    assert [one.get(path) for path in addresses] == [200] * 3
    assert [other.get(path) for path in addresses] == [404] * 3
    assert [one.kiosk.get(path)[0] for path in addresses] == [404] * 3, "nor somebody without a page"
    assert one.kiosk.get(f"{addresses[0]}?page={one.name}")[0] == 200, "as an image asks"
    assert one.answer(edit(own))["type"] == "reply"
    for asked in (edit(own), edit(shown, reference=own)):
        refused = other.answer(asked)
        assert (refused["type"], refused["sentence"]) == ("refused", "This picture is no longer on show.")
    other.socket.send(json.dumps({"type": "next", "edit": json.loads(edit(own))}))
    until(lambda: "no place to touch next" in one.kiosk.log.read_text(), "the end of the search")
    assert own not in one.kiosk.log.read_text()
    with other as kiosk:
        assert save(kiosk, "download", own)[0] == 404
    kiosk.page = ""
    assert save(kiosk, "download", own)[0] == 409
    with one as kiosk:
        assert save(kiosk, "download", own)[0] == 200
    assert own not in one.kiosk.get("/settings.json")[1].decode() + one.kiosk.get("/readyz")[1].decode()


def test_the_end_of_one_visit_ends_nothing_of_another(two: tuple[Page, Page]) -> None:
    one, other = two
    kept, wiped = one.bring(plain(60))[1]["id"], other.bring(plain(200))[1]["id"]
    with ThreadPoolExecutor(1) as beside:
        with one as kiosk:
            saved = beside.submit(save, kiosk, "download", kept)
            child = stopped_child(kiosk, ".rendering")
        other.wipe()
        other.socket.send(json.dumps({"type": "beat", "state": "attract", "event": "reset"}))
        until(lambda: other.get(f"/pictures/{wiped}/480.jpg") == 404, "the wipe of the other")
        go_on(child)
        assert saved.result()[0] == 200
    assert one.get(f"/pictures/{kept}/480.jpg") == 200
    assert len(held(one.kiosk)) == 1
    assert one.answer(edit(kept))["type"] == "reply"
    other.socket.close()
    assert one.answer(edit(kept))["type"] == "reply"


# Memory


async def body(data: bytes) -> AsyncIterator[bytes]:
    yield data


def test_uploads_of_all_screens_fit_into_memory_and_nobody_loses_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way: list[int] = []

    async def opened(module: str, arguments: Any, data: bytes, descriptors: Any, deadline_s: float) -> tuple[int, str]:
        under_way.append(descriptors[0])
        await asyncio.sleep(0)
        assert len(under_way) == 1, "one at a time"
        os.truncate(under_way.pop(), KEPT_BYTES)
        return 0, ""

    monkeypatch.setattr(uploads, "run_child", opened)
    data = b"\xff\xd8\xff" + bytes(100)

    async def run() -> None:
        brought = Uploads(UploadsTable(enabled=True), SCREENS)
        visits = [Visit(screen=number) for number in range(SCREENS)]

        async def bring(visit: Visit) -> tuple[Any, list[Any]]:
            return await brought.receive(str(len(data)), body(data), visit)

        # The first two bring three each, all others one, at the same time.
        replaced = []
        for _ in range(2):
            replaced += [gone for _, gone in await asyncio.gather(*map(bring, visits[:2]))]
        replaced += [gone for _, gone in await asyncio.gather(*map(bring, visits))]
        counts = [len(brought.of(visit)) for visit in visits]
        assert min(counts) >= 1
        assert sum(counts) == SCREENS + uploads.MAX_PICTURES - 1
        assert max(counts) <= uploads.MAX_PICTURES
        assert sum(map(len, replaced)) == 2 * 3 + SCREENS - 2 - sum(counts)
        for visit in visits[1:]:
            assert len(brought.wipe(visit)) == counts[visit.screen]
        assert len(brought.pictures) == counts[0]
        brought.wipe(visits[0])
        assert not brought.pictures

    complete(run())


# Turns


def test_screens_take_turns_and_none_starves(venue: RunningKiosk) -> None:
    """Eight pages that send more than any engine answers; half of them ask for JPEGs and colours, which take longer."""
    photos = [entry["id"] for entry in json.loads(venue.get("/settings.json")[1])["pictures"]]
    kinds: list[dict[str, Any]] = [{"want": "jpeg", "width": 256, "point": [0.5, 0.5]}, {}]
    pages = [ScriptedPage(venue.address, photos[n % 4], 200.0, kinds[n % 2]) for n in range(SCREENS)]

    def over() -> bool:
        return sum(page.answers for page in pages) >= ANSWERS

    async def paint() -> None:
        await asyncio.gather(*(page.run(over) for page in pages))

    complete(paint())
    answers = [page.answers for page in pages]
    assert min(answers) >= median(answers) / 2, answers
    assert max(answers) <= 2 * median(answers), answers
    assert all(page.settled for page in pages), "the newest edit of each is answered"
    assert all(len(page.latencies_ms) > page.answers for page in pages), "edits were overtaken"
