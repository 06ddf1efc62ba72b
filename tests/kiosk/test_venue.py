"""What a venue gets: the operator page, the take-away, logs, metrics, opening hours, systemd's notifications."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from livetint.engine.image.photo import Photo
from livetint.kiosk.server.hours import for_page
from livetint.kiosk.server.labels import Label
from livetint.kiosk.server.notify import notify
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.server.takeaway import Takeaways
from livetint.kiosk.settings import HoursTable, Settings, TakeawayTable
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .running import PATIENCE_S, RunningKiosk, until
from .test_server import controls, edit, first_picture, free_port, reply

TOKEN = "a-long-enough-token"


class VenueKiosk(RunningKiosk):
    """A kiosk with an operator page and a take-away on ports of their own."""

    def __init__(self, folder: Path, stub: Path) -> None:
        self.operator_port, self.takeaway_port = free_port(), free_port()
        super().__init__(
            folder, stub,
            operator={"token": TOKEN, "port": self.operator_port},
            takeaway={"host": "127.0.0.1", "port": self.takeaway_port},
        )  # fmt: skip

    def at(self, port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """Status and body at another port than the kiosk's own."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request(method, path, b"" if method == "POST" else None, headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def operator(self, path: str, method: str = "GET", token: str = TOKEN, **headers: str) -> tuple[int, bytes]:
        login = "Basic " + base64.b64encode(f"operator:{token}".encode()).decode()
        return self.at(self.operator_port, path, method, Authorization=login, **headers)


@pytest.fixture(scope="module")
def venue(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueKiosk]:
    running = VenueKiosk(tmp_path_factory.mktemp("venue"), stub)
    yield running
    running.close()


# The operator page


def test_the_operator_page_needs_its_token_and_its_own_origin(venue: VenueKiosk) -> None:
    assert venue.at(venue.operator_port, "/")[0] == 401
    assert venue.operator("/", token="wrong-but-long-enough")[0] == 401
    assert venue.operator("/floor", "POST")[0] == 403
    assert venue.operator("/floor", "POST", Origin=venue.address[:-1])[0] == 403
    assert venue.operator("/", Host="evil.example")[0] == 403
    assert venue.get("/floor", "POST", b"", Origin=venue.address[:-1])[0] in (404, 405)


def told(socket: Any, kind: str) -> dict[str, Any]:
    """The next message of a kind to the page."""
    while True:
        message = socket.recv(PATIENCE_S)
        if isinstance(message, str) and json.loads(message)["type"] == kind:
            return json.loads(message)


def test_the_operator_takes_the_exhibit_off_the_floor_and_reloads_the_page(venue: VenueKiosk) -> None:
    own = f"http://127.0.0.1:{venue.operator_port}"
    with controls(venue) as socket:
        assert b"Take off the floor" in venue.operator("/")[1]
        assert venue.operator("/floor", "POST", Origin=own)[0] == 303
        assert told(socket, "hours")["open"] is False
        assert venue.status()["open"] is False
        assert venue.get("/healthz")[0] == 200
        assert b"Put on the floor" in venue.operator("/")[1]
        assert venue.operator("/floor", "POST", Origin=own)[0] == 303
        assert told(socket, "hours")["open"] is True
        assert venue.operator("/reload", "POST", Origin=own)[0] == 303
        assert told(socket, "reload")


def test_the_operator_page_shows_the_last_errors(venue: VenueKiosk) -> None:
    page = venue.operator("/")[1].decode()
    assert "Working" in page
    assert "engine lost" not in page
    os.kill(venue.worker, signal.SIGKILL)
    page = until(lambda: text if "engine lost" in (text := venue.operator("/")[1].decode()) else "", "the error")
    assert re.search(r"engine_faults</th><td>1<", page)
    until(lambda: venue.ready_again(0), "another engine")


# The take-away


def address_in(code: bytes) -> str:
    """What a phone reads in a picture of a QR code."""
    drawn = cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    return cv2.QRCodeDetector().detectAndDecode(drawn)[0]


def test_a_phone_fetches_one_picture_by_the_code_and_nothing_else(venue: VenueKiosk) -> None:
    photo = first_picture(venue)
    with controls(venue):
        status, code = venue.get("/save/takeaway", "POST", edit(photo).encode(), Origin=venue.address[:-1])
    assert status == 200
    address = address_in(code)
    start = f"http://127.0.0.1:{venue.takeaway_port}"
    assert address.startswith(start + "/")
    key = address.removeprefix(start)
    assert len(key) > 20
    status, page = venue.at(venue.takeaway_port, key)
    assert status == 200
    assert f'src="{key}/picture.jpg"' in page.decode()
    status, picture = venue.at(venue.takeaway_port, f"{key}/picture.jpg")
    assert status == 200
    assert Photo.from_bytes(picture).size == (1600, 1229)
    for path in ("/", "/settings.json", "/healthz", "/metrics", "/touches", "/main.js", key[:-1], key + "/x"):
        assert venue.at(venue.takeaway_port, path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE"):
        assert venue.at(venue.takeaway_port, key, method, Origin=start)[0] == 405
    assert venue.at(venue.takeaway_port, key, Host="evil.example")[0] == 403
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{venue.takeaway_port}/touches", origin=start).__enter__()  # type: ignore[arg-type]


def test_taken_away_pictures_are_gone_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    takeaways = Takeaways(TakeawayTable(host="10.0.0.1", minutes=10))
    key = takeaways.offer(b"picture", Label("en")).rsplit("/", 1)[1]
    now = 599.0
    taken = takeaways.get(key)
    assert taken is not None and taken.picture == b"picture"
    now = 601.0
    assert takeaways.get(key) is None


def test_an_ipv6_address_is_written_in_brackets() -> None:
    takeaways = Takeaways(TakeawayTable(host="fd00::1"))
    takeaways.port = 8018
    assert takeaways.offer(b"", Label("en")).startswith("http://[fd00::1]:8018/")


# Logs and metrics


def test_logs_are_json_lines_of_known_facts_without_anything_of_a_visitor(stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, stub, uploads={"enabled": True})
    try:
        with controls(kiosk) as socket:
            socket.send(json.dumps({"type": "beat", "state": "painting", "event": "session"}))
            body = edit(first_picture(kiosk), 1, hints=[[0.123, 0.456, 20, 20, 5]], point=[0.123, 0.456])
            socket.send(body)
            reply(socket)
            kiosk.get("/save/download", "POST", body.encode(), Origin=kiosk.address[:-1])
            kiosk.get("/uploads", "POST", b"GIF89a of somebody", Origin=kiosk.address[:-1])
            socket.send('{"type":"edit","seq":1,"photo":"somebody"}')
            until(lambda: "page refused" in kiosk.log.read_text(), "the refusal")
    finally:
        kiosk.close()
    facts = {"time", "level", "event", "reason", "faults", "start_s", "how", "status", "pictures", "where", "error"}
    lines = [json.loads(line) for line in kiosk.log.read_text().splitlines()]
    assert lines
    for line in lines:
        assert line.keys() <= facts
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"])
        assert not re.search(r"0\.123|0\.456|somebody|GIF89a|[0-9a-f]{16}|127\.0\.0\.1", json.dumps(line)), line


def test_metrics_count_edits_stages_visits_and_faults_and_their_names_start_with_livetint(venue: VenueKiosk) -> None:
    def metrics() -> dict[str, float]:
        text = venue.get("/metrics")[1].decode()
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in rows}

    before = metrics()
    assert all(name.startswith("livetint_") for name in before)
    with controls(venue) as socket:
        socket.send(json.dumps({"type": "beat", "state": "gallery", "event": "session"}))
        socket.send(edit(first_picture(venue), point=[0.5, 0.5]))
        reply(socket)
        socket.send(json.dumps({"type": "beat", "state": "painting", "frame_ms": 41.5}))
        socket.send(json.dumps({"type": "beat", "state": "attract", "event": "reset"}))
        until(lambda: metrics()["livetint_resets_total"] > before["livetint_resets_total"], "the reset")
    after = metrics()
    for name in ("edits", "sessions", "resets"):
        assert after[f"livetint_{name}_total"] == before[f"livetint_{name}_total"] + 1
    for stage in ("encode", "touch", "suggest", "pack", "edit", "touch_to_frame"):
        assert after[f'livetint_latency_ms_count{{stage="{stage}"}}'] >= 1
    assert {"livetint_engine_faults", "livetint_refused_total", "livetint_uploads_total"} <= after.keys()


# Time


def test_opening_hours_follow_the_clock_over_midnight_too(monkeypatch: pytest.MonkeyPatch) -> None:
    day, night = HoursTable("09:00", "18:00"), HoursTable("20:00", "02:00")
    expected = {"08:59": (0, 0), "09:00": (1, 0), "17:59": (1, 0), "18:00": (0, 0), "20:00": (0, 1), "01:59": (0, 1)}
    for hours, column in ((day, 0), (night, 1)):
        kiosk = Kiosk(msgspec.structs.replace(Settings(), hours=hours))
        for clock, found in expected.items():
            monkeypatch.setattr(time, "strftime", lambda *_, now=clock: now)
            assert kiosk.open_now == found[column], (clock, column)
        kiosk.on_floor = False
        assert not kiosk.open_now


def test_the_closed_screen_says_the_hours_and_goes_black_later() -> None:
    day = HoursTable("09:00", "18:00", blank_minutes=60)
    expected = {
        "17:59": (True, "", False),
        "18:00": (False, "09:00", False),
        "18:59": (False, "09:00", False),
        "19:00": (False, "09:00", True),
        "08:59": (False, "09:00", True),
        "09:00": (True, "", False),
    }
    for clock, (is_open, opens, blank) in expected.items():
        found = for_page(day, True, clock)
        assert (found["open"], found["opens"], found["blank"]) == (is_open, opens, blank), clock
    by_staff = for_page(day, False, "12:00")
    assert by_staff == {"open": False, "opens": "", "closes": "", "blank": False}
    night = HoursTable("20:00", "02:00", blank_minutes=30)
    assert [for_page(night, True, clock)["blank"] for clock in ("01:59", "02:29", "02:30", "19:59")] == [
        False, False, True, True,
    ]  # fmt: skip
    never = HoursTable("09:00", "18:00", blank_minutes=0)
    assert not for_page(never, True, "03:00")["blank"]


def test_systemd_is_notified_by_inferences_alone(stub: Path, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(PATIENCE_S)
    ear = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    kiosk = RunningKiosk(tmp_path, stub, environment=ear, engine={"spare": False, "deadline_s": 60.0})
    try:
        assert listener.recv(100) == b"READY=1"
        assert listener.recv(100) == b"WATCHDOG=1"
        os.kill(kiosk.worker, signal.SIGSTOP)  # hangs, within its deadline: nothing is fed meanwhile
        until(lambda: kiosk.get("/healthz")[0] == 503, "failing health")
        listener.settimeout(0)
        fed = 0
        with pytest.raises(BlockingIOError):
            while listener.recv(100):
                fed += 1
        assert fed <= 2  # by pulses that were over; health lasts longer than three of them
        listener.settimeout(PATIENCE_S)
        os.kill(kiosk.worker, signal.SIGCONT)
        assert listener.recv(100) == b"WATCHDOG=1"
    finally:
        kiosk.close()
    while listener.recv(100) != b"STOPPING=1":
        pass
    listener.close()


def test_notifications_go_to_a_socket_in_the_abstract_namespace_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False
    name = f"livetint-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert notify("READY=1") is True
        assert listener.recv(100) == b"READY=1"
    assert notify("READY=1") is False
