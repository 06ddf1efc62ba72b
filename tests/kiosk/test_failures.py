"""What fails, one test for each row of the table in docs/kiosk.md: painting goes on, and nothing is half done.

Rows of the page (its link, idle) are in test_visit, stuck touches in test_gestures; memory over a long time is in
test_endurance; the GPU's own faults are the runner's.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from livetint.engine.errors import ConfigError
from livetint.engine.files import atomic_write
from livetint.kiosk.settings import load_for_service
from websockets.sync.client import ClientConnection

from .processes import alive, children, resident_kib
from .running import PATIENCE_S, RunningKiosk, until
from .test_server import controls, edit, first_picture, free_port, reply
from .test_venue import address_in

# A visitor may wait this long while an engine is replaced.
PAUSE_S = 3.0


@contextmanager
def running(folder: Path, stub: Path, **more: object) -> Iterator[RunningKiosk]:
    kiosk = RunningKiosk(folder, stub, **more)  # type: ignore[arg-type]
    try:
        yield kiosk
    finally:
        kiosk.close()


def drag(socket: ClientConnection, photo: str, seq: int, count: int, hints: list[list[float]]) -> tuple[int, float]:
    """Move the last hint `count` times, waiting for each answer → the next seq and the longest pause in seconds."""
    longest, pixels = 0.0, b""
    for step in range(count):
        hints[-1][0] = 0.2 + 0.6 * step / count
        started = time.monotonic()
        socket.send(edit(photo, seq, hints=hints))
        header, pixels = reply(socket)
        longest = max(longest, time.monotonic() - started)
        assert header["seq"] == seq
        seq += 1
    planes = np.frombuffer(pixels, np.float16).reshape(256, 256, 2).astype(float)
    for x, y, *_ in hints:
        # Warm where the visitor put warm colours, however they are clipped.
        assert planes[int(y * 256), int(x * 256), 0] > 3, (x, y)
    return seq, longest


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_an_engine_killed_or_hung_in_mid_drag_costs_a_short_pause_and_no_hint(
    stub: Path, tmp_path: Path, how: signal.Signals
) -> None:
    with running(tmp_path, stub) as kiosk, controls(kiosk) as socket:
        photo = first_picture(kiosk)
        hints = [[0.2, 0.2, 20.0, 20.0, 5], [0.8, 0.8, 20.0, 20.0, 5], [0.2, 0.5, 20.0, 20.0, 5]]
        seq, pauses = 1, []
        for _ in range(3):  # the machine may be busy with other things once
            until(lambda: kiosk.status()["engine_spare"], "the spare engine")
            seq, _ = drag(socket, photo, seq, 5, hints)
            faults = kiosk.status()["engine_faults"]
            os.kill(kiosk.worker, how)
            seq, pause = drag(socket, photo, seq, 5, hints)
            pauses.append(pause)
            until(lambda lost=faults: kiosk.ready_again(lost), "the counted fault")
            if pause < PAUSE_S:
                break
        assert min(pauses) < PAUSE_S
        assert kiosk.get("/healthz")[0] == 200


def test_without_a_spare_an_engine_is_started_again(stub: Path, tmp_path: Path) -> None:
    with running(tmp_path, stub, engine={"spare": False}) as kiosk, controls(kiosk) as socket:
        assert kiosk.status()["engine_spare"] is False
        os.kill(kiosk.worker, signal.SIGKILL)
        socket.send(edit(first_picture(kiosk), 7))
        assert reply(socket)[0]["seq"] == 7


def test_a_killed_server_leaves_no_engine_behind_and_another_one_goes_on(stub: Path, tmp_path: Path) -> None:
    port = free_port()
    first = RunningKiosk(tmp_path, stub, port)
    photo = first_picture(first)
    with controls(first) as socket:
        socket.send(edit(photo, 1, hints=[[0.5, 0.5, 20, 20, 5]]))
        before = reply(socket)[1]
        engines = children(first.process.pid)
        first.kill()
    assert engines
    until(lambda: not any(alive(child) for child in engines), "the end of the engines")
    with running(tmp_path, stub, port=port) as second, controls(second) as socket:
        socket.send(edit(photo, 1, hints=[[0.5, 0.5, 20, 20, 5]]))
        assert reply(socket)[1] == before


def test_an_engine_that_cannot_start_is_tried_again_while_the_page_stays(stub: Path, tmp_path: Path) -> None:
    with running(tmp_path, stub, engine={"spare": False}) as kiosk:
        model = stub.with_name("elsewhere")
        stub.rename(model)  # the next engine finds no model
        try:
            os.kill(kiosk.worker, signal.SIGKILL)
            until(lambda: "engine not started" in kiosk.log.read_text(), "the failed start")
            assert kiosk.get("/readyz")[0] == 503
            assert kiosk.get("/")[0] == 200
        finally:
            model.rename(stub)
        until(lambda: kiosk.get("/readyz")[0] == 200, "another engine")


# The disk


def test_a_full_disk_refuses_the_saving_and_nothing_else(stub: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with running(tmp_path / "k", stub, saving={"folder": str(kept)}) as kiosk, controls(kiosk) as socket:
        body = edit(first_picture(kiosk)).encode()
        origin = kiosk.address.rstrip("/")
        no_limit = resource.prlimit(kiosk.process.pid, resource.RLIMIT_FSIZE)
        # Not a byte more to any file, the log included.
        resource.prlimit(kiosk.process.pid, resource.RLIMIT_FSIZE, (1, no_limit[1]))
        said = kiosk.get("/save/keep", "POST", body, Origin=origin)
        assert said == (503, b"The picture could not be saved.")
        assert list(kept.iterdir()) == []
        socket.send(edit(first_picture(kiosk), 2))
        assert reply(socket)[0]["seq"] == 2
        assert kiosk.get("/save/download", "POST", body, Origin=origin)[0] == 200
        resource.prlimit(kiosk.process.pid, resource.RLIMIT_FSIZE, no_limit)
        assert kiosk.get("/save/keep", "POST", body, Origin=origin)[0] == 200
        assert len(list(kept.iterdir())) == 1


def test_a_log_that_cannot_be_written_stops_nothing(stub: Path, tmp_path: Path) -> None:
    with running(tmp_path, stub, log=Path("/dev/full")) as kiosk, controls(kiosk) as socket:
        os.kill(kiosk.worker, signal.SIGKILL)  # which wants to be logged
        socket.send(edit(first_picture(kiosk), 1))
        assert reply(socket)[0]["seq"] == 1


def test_a_save_folder_that_went_away_leaves_everything_else_running(stub: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with running(tmp_path / "k", stub, saving={"folder": str(kept)}) as kiosk:
        kept.rmdir()
        body = edit(first_picture(kiosk)).encode()
        with controls(kiosk):
            said = kiosk.get("/save/keep", "POST", body, Origin=kiosk.address.rstrip("/"))
        assert said == (503, b"The picture could not be saved.")
        assert kiosk.get("/healthz")[0] == 200
        assert "picture not saved" in kiosk.log.read_text()


# Settings

OLD, NEW = "[visitors]\nidle_s = 50.0\n", "[visitors]\nidle_s = 70.0\n"

# Runs `load_for_service` again and again, each time ending the process one call of C further on.
_POWER_CUTS = """
import itertools, json, os, sys
from pathlib import Path
from livetint.kiosk.settings import load_for_service, load_settings
file, state = Path(sys.argv[1]), Path(sys.argv[2])
copy = state / "last-good.toml"
old, new = sys.argv[3:]
found = {"old": 0, "new": 0}
for last in itertools.count(1):
    file.write_text(old)
    load_for_service(file, state)
    file.write_text(new)
    child = os.fork()
    if not child:
        calls = itertools.count(1)

        def count(frame, event, what):
            if event == "c_call" and Path(frame.f_code.co_filename).name in ("files.py", "tempfile.py", "pathlib.py"):
                if next(calls) >= last:
                    os._exit(9)

        sys.setprofile(count)
        load_for_service(file, state)
        sys.setprofile(None)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    load_settings(copy)
    found[{old: "old", new: "new"}[copy.read_text()]] += 1
    if code == 0:
        break
print(json.dumps(found))
"""


def test_a_power_cut_while_settings_are_copied_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _POWER_CUTS, str(tmp_path / "kiosk.toml"), str(tmp_path), OLD, NEW],
        capture_output=True, text=True, timeout=5 * PATIENCE_S,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["old"] > 20
    assert found["new"] >= 1


def test_a_service_opens_with_the_last_good_settings(tmp_path: Path) -> None:
    file, state = tmp_path / "kiosk.toml", tmp_path / "state"
    state.mkdir()
    file.write_text("[visitors]\nidel_s = 3")
    with pytest.raises(ConfigError, match="did you mean idle_s"):
        load_for_service(file, state)
    file.write_text(OLD)
    assert load_for_service(file, state)[1] == ""
    file.write_text("[visitors]\nidel_s = 3")
    settings, complaint = load_for_service(file, state)
    assert settings.visitors.idle_s == 50
    assert "did you mean idle_s" in complaint
    (state / "last-good.toml").write_text("nonsense [")
    with pytest.raises(ConfigError):
        load_for_service(file, state)
    file.write_text(NEW)
    assert load_for_service(file, state)[0].visitors.idle_s == 70
    assert (state / "last-good.toml").read_text() == NEW


def test_a_disk_too_full_for_the_copy_is_only_a_warning(tmp_path: Path) -> None:
    (tmp_path / "kiosk.toml").write_text(NEW)
    settings, complaint = load_for_service(tmp_path / "kiosk.toml", tmp_path / "missing")
    assert settings.visitors.idle_s == 70
    assert "no copy of the settings was kept" in complaint


# Clients


def masked(text: str) -> bytes:
    """A WebSocket frame of a client, masked with zeros."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack(">BH", 0x80 | 126, len(data))
    return b"\x81" + length + bytes(4) + data


def test_a_reader_that_stops_reading_loses_the_controls_and_costs_no_memory(stub: Path, tmp_path: Path) -> None:
    with running(tmp_path, stub) as kiosk, closing(socket.socket()) as slow:
        photo = first_picture(kiosk)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", kiosk.port))
        headers = {
            "Host": f"127.0.0.1:{kiosk.port}",
            "Origin": kiosk.address[:-1],
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "A" * 22 + "==",
        }
        lines = ["GET /touches HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        slow.sendall("\r\n".join(lines).encode())
        assert b"101" in slow.recv(64)
        before = resident_kib(kiosk.process.pid)

        def cut_off() -> bool:
            try:
                slow.sendall(masked(edit(photo)))
            except OSError:
                return True
            assert kiosk.get("/healthz")[0] == 200
            return False

        until(cut_off, "the end of the slow page")
        assert resident_kib(kiosk.process.pid) - before < 20_000
        with controls(kiosk) as after:
            after.send(edit(photo))
            assert reply(after)[0]["seq"] == 1


def test_half_a_request_is_not_waited_for_and_too_many_connections_are_cut(stub: Path, tmp_path: Path) -> None:
    with running(tmp_path, stub) as kiosk:
        idle = [socket.create_connection(("127.0.0.1", kiosk.port)) for _ in range(200)]
        for one in idle:
            one.settimeout(PATIENCE_S)
            with suppress(OSError):
                one.sendall(b"GET / HTTP/1.1\r\nHost:")
        ended = 0
        for one in idle:
            try:
                ended += one.recv(1) == b""
            except ConnectionResetError:
                ended += 1
            one.close()
        assert ended == len(idle)
        assert kiosk.get("/healthz")[0] == 200


# Hours that a file tells are added to the wall clock of every Python process that finds this as its sitecustomize.
_JUMPING_CLOCK = """
import os, time
from pathlib import Path
now, hours = time.time, Path(os.environ["LIVETINT_TEST_HOURS"])
time.time = lambda: now() + 3600 * float(hours.read_text())
"""


def clock_of(kiosk: RunningKiosk) -> float:
    """The wall clock of a kiosk from the date of its replies, in seconds since 1970."""
    connection = http.client.HTTPConnection("127.0.0.1", kiosk.port, timeout=PATIENCE_S)
    connection.request("GET", "/healthz")
    told = connection.getresponse().getheader("date")
    connection.close()
    assert told
    return parsedate_to_datetime(told).timestamp()


def test_a_wall_clock_that_jumps_ends_no_deadline(stub: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_JUMPING_CLOCK)
    hours = tmp_path / "hours"
    atomic_write(hours, b"0")
    environment = {"PYTHONPATH": str(tmp_path), "LIVETINT_TEST_HOURS": str(hours)}
    takeaway = {"host": "127.0.0.1", "port": free_port(), "minutes": 10.0}
    with running(tmp_path / "k", stub, environment=environment, takeaway=takeaway) as kiosk, controls(kiosk) as socket:
        photo, start = first_picture(kiosk), clock_of(kiosk)
        code = kiosk.get("/save/takeaway", "POST", edit(photo).encode(), Origin=kiosk.address.rstrip("/"))[1]
        offered = address_in(code)
        for seq, jump in enumerate((5, -7), 1):
            atomic_write(hours, str(jump).encode())
            until(lambda by=jump: (clock_of(kiosk) - start) / by > 3000, "the jump")
            socket.send(edit(photo, seq))
            assert reply(socket)[0]["seq"] == seq
            assert kiosk.get("/healthz")[0] == 200
            with urlopen(f"{offered}/picture.jpg") as picture:
                assert picture.read(2) == b"\xff\xd8"
        assert kiosk.status()["engine_faults"] == 0


def test_no_module_measures_with_the_wall_clock() -> None:
    for path in (Path(__file__).parents[2] / "kiosk").rglob("*.py"):
        assert not re.search(r"\btime\.time\(|\bdatetime\b", path.read_text()), path
