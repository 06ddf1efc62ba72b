"""The server by itself: who is let in, what is limited, what is refused and how."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from livetint.engine.colour.cielab import project_into_gamut
from livetint.engine.cores import usable_cores
from livetint.kiosk.server import fonts
from livetint.kiosk.server.check import problems_of
from livetint.kiosk.server.exhibition import bundled_photos
from livetint.kiosk.server.state import Kiosk
from livetint.kiosk.server.touches import Allowance
from livetint.kiosk.settings import EngineTable, GalleryTable, ServerTable, Settings, TakeawayTable, VisitorsTable
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .running import PATIENCE_S, RunningKiosk, until

PHOTO = "abandoned-dust-bowl-home.jpg"


@contextmanager
def controls(kiosk: RunningKiosk, query: str = "") -> Iterator[ClientConnection]:
    """The socket of a page, which `kiosk` makes requests for from now on. `welcome` is the server's first message."""

    def try_it() -> ClientConnection | None:
        socket = connect(
            f"ws://127.0.0.1:{kiosk.port}/touches{query}", origin=kiosk.address.rstrip("/"), max_size=None
        ).__enter__()
        try:
            socket.welcome = json.loads(socket.recv(PATIENCE_S))  # type: ignore[attr-defined]
            assert socket.welcome["type"] == "welcome"  # type: ignore[attr-defined]
        except ConnectionClosed:
            return None
        return socket

    socket = until(try_it, "a screen")
    kiosk.page = socket.welcome["page"]  # type: ignore[attr-defined]
    try:
        yield socket
    finally:
        socket.close()


def first_picture(kiosk: RunningKiosk) -> str:
    return json.loads(kiosk.get("/settings.json")[1])["pictures"][0]["id"]


def edit(photo: str, seq: int = 1, **more: Any) -> str:
    return json.dumps({"type": "edit", "seq": seq, "photo": photo, **more})


def reply(socket: ClientConnection, patience_s: float = PATIENCE_S) -> tuple[dict[str, Any], bytes]:
    """The next binary reply; texts before it are passed over."""
    while True:
        message = socket.recv(patience_s)
        if isinstance(message, bytes):
            length = struct.unpack("<I", message[:4])[0]
            return json.loads(message[4 : 4 + length]), message[4 + length :]


def test_planes_answer_the_hints_and_suggest_colours(kiosk: RunningKiosk) -> None:
    with controls(kiosk) as socket:
        photo = first_picture(kiosk)
        socket.send(edit(photo, hints=[[0.5, 0.5, 20, 30, 5]], point=[0.5, 0.5]))
        header, pixels = reply(socket)
    planes = np.frombuffer(pixels, np.float16).reshape(256, 256, 2)
    assert header["seq"] == 1
    assert header["kind"] == "planes"
    assert len(header["colours"]["swatches"]) == 5
    L = header["colours"]["L"]
    expected = project_into_gamut(np.array([L, 20.0, 30.0]))[1:]
    np.testing.assert_allclose(planes[128, 128], expected, atol=0.5)


def test_jpegs_are_sent_on_request(kiosk: RunningKiosk) -> None:
    with controls(kiosk) as socket:
        socket.send(edit(first_picture(kiosk), want="jpeg", width=320))
        header, pixels = reply(socket)
    assert header["kind"] == "jpeg"
    assert pixels[:2] == b"\xff\xd8"


def test_the_newest_of_many_edits_is_answered(kiosk: RunningKiosk) -> None:
    with controls(kiosk) as socket:
        photo = first_picture(kiosk)
        for seq in range(1, 101):
            socket.send(edit(photo, seq, hints=[[seq / 101, 0.5, 10, 10, 5]]))
        seen = [reply(socket)[0]["seq"]]
        while seen[-1] != 100:
            seen.append(reply(socket)[0]["seq"])
    assert seen == sorted(seen)
    assert len(seen) < 100


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
def test_a_foreign_host_is_refused(kiosk: RunningKiosk, host: str) -> None:
    status, _ = kiosk.get("/", Host=host)
    assert status in (400, 403)


def test_localhost_by_name_is_let_in(kiosk: RunningKiosk) -> None:
    assert kiosk.get("/", Host=f"localhost:{kiosk.port}")[0] == 200


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_foreign_origin_gets_no_socket_and_changes_nothing(kiosk: RunningKiosk, origin: str | None) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{kiosk.port}/touches", origin=origin).__enter__()  # type: ignore[arg-type]
    headers = {"Origin": origin} if origin else {}
    assert kiosk.get("/save/download", "POST", b"{}", **headers)[0] == 403


def test_every_reply_carries_the_headers_and_no_script_runs_inline(kiosk: RunningKiosk) -> None:
    with socket.create_connection(("127.0.0.1", kiosk.port)) as plain:
        plain.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{kiosk.port}\r\nConnection: close\r\n\r\n".encode())
        text = b"".join(iter(lambda: plain.recv(65536), b"")).decode()
    head, _, body = text.partition("\r\n\r\n")
    for header in ("content-security-policy: default-src 'self'", "nosniff", "frame-ancestors 'none'", "no-store"):
        assert header in head
    assert "<script>" not in body
    assert "unsafe" not in head.replace("'wasm-unsafe-eval'", "")


@pytest.mark.parametrize("path", ["/../kiosk/app.py", "/%2e%2e/app.py", "/pictures/../../x/480.jpg", "/nothing"])
def test_no_address_leads_to_other_files(kiosk: RunningKiosk, path: str) -> None:
    assert kiosk.get(path)[0] == 404


def test_previews_are_served_by_id_in_two_sizes_only(kiosk: RunningKiosk) -> None:
    photo = first_picture(kiosk)
    status, body = kiosk.get(f"/pictures/{photo}/480.jpg")
    assert (status, body[:2]) == (200, b"\xff\xd8")
    assert kiosk.get(f"/pictures/{photo}/9999.jpg")[0] == 404
    assert kiosk.get(f"/pictures/{'0' * 16}/480.jpg")[0] == 404


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x" * 100_000, 1009),
        ("not json", 1008),
        ('{"type":"edit","seq":1,"photo":"../etc"}', 1008),
        ('{"type":"edit","seq":1,"photo":"0123456789abcdef","hints":[[2,0,0,0,5]]}', 1008),
        ('{"type":"edit","seq":1,"photo":"0123456789abcdef","extra":1}', 1008),
    ],
)
def test_an_invalid_message_ends_the_socket(kiosk: RunningKiosk, message: str, code: int) -> None:
    with controls(kiosk) as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed) as refusal:
            socket.recv(PATIENCE_S)
    assert refusal.value.rcvd is not None
    assert refusal.value.rcvd.code == code
    assert kiosk.get("/healthz")[0] == 200


@pytest.mark.parametrize("kind", ["beat", "edit"])
def test_a_flood_ends_its_own_socket_alone(kiosk: RunningKiosk, kind: str) -> None:
    message = edit(first_picture(kiosk)) if kind == "edit" else '{"type":"beat"}'
    with controls(kiosk) as socket, pytest.raises(ConnectionClosed) as refusal:
        for _ in range(10_000):
            socket.send(message)
        while True:
            socket.recv(PATIENCE_S)
    assert refusal.value.rcvd is not None
    assert refusal.value.rcvd.code == 1008
    assert refusal.value.rcvd.reason == "too many messages"
    with controls(kiosk) as socket:
        socket.send(edit(first_picture(kiosk)))
        assert reply(socket)[0]["seq"] == 1


@pytest.mark.parametrize(
    ("rate_per_s", "answered", "seconds", "let_through"),
    [
        (10_000, 1.0, 20, True),  # waits for every answer, on a machine far faster than any
        (240, 0.0, 60, True),  # the fastest panel, and no answer for a minute
        (700, 0.5, 60, True),
        (1_500, 0.0, 2, False),
        (10_000, 0.5, 2, False),
    ],
)
def test_only_unanswered_messages_faster_than_any_panel_are_a_flood(
    rate_per_s: int, answered: float, seconds: int, let_through: bool
) -> None:
    now = 0.0
    allowance = Allowance(lambda: now)
    taken, owed = True, 0.0
    for _ in range(rate_per_s * seconds):
        now += 1 / rate_per_s
        taken = taken and allowance.take()
        owed += answered
        if owed >= 1:
            owed -= 1
            allowance.give_back()
    assert taken is let_through


def test_a_picture_no_longer_on_show_is_refused_in_a_sentence(kiosk: RunningKiosk) -> None:
    with controls(kiosk) as socket:
        socket.send(edit("0" * 16))
        told = json.loads(socket.recv(PATIENCE_S))
    assert told["type"] == "refused"
    assert "no longer on show" in told["sentence"]


def test_one_hint_too_many_is_refused_in_a_sentence_and_the_next_edit_works(kiosk: RunningKiosk) -> None:
    with controls(kiosk) as socket:
        photo = first_picture(kiosk)
        socket.send(edit(photo, hints=[[0.5, 0.5, 0, 0, 5]] * 129))
        assert json.loads(socket.recv(PATIENCE_S))["type"] == "refused"
        socket.send(edit(photo, 2, hints=[[0.5, 0.5, 0, 0, 5]] * 128))
        assert reply(socket)[0]["seq"] == 2


def test_a_changed_folder_is_shown_and_a_broken_list_is_not(stub: Path, tmp_path: Path) -> None:
    show = tmp_path / "show"
    show.mkdir()
    (show / "a.jpg").write_bytes((bundled_photos() / PHOTO).read_bytes())
    kiosk = RunningKiosk(tmp_path, stub, gallery={"folder": str(show)})
    try:
        (show / "b.jpg").write_bytes((bundled_photos() / "coffee.jpg").read_bytes())
        until(lambda: kiosk.status()["pictures"] == 2, "the second picture")
        (show / "photographs.toml").write_text("nonsense [")
        until(lambda: "gallery not reloaded" in kiosk.log.read_text(), "the warning")
        assert kiosk.status()["pictures"] == 2
    finally:
        kiosk.close()


def test_saving_writes_the_full_size_picture_and_refuses_bad_requests(kiosk: RunningKiosk, tmp_path: Path) -> None:
    origin = kiosk.address.rstrip("/")
    body = edit(first_picture(kiosk), hints=[[0.5, 0.5, 20, 20, 5]]).encode()
    with controls(kiosk):
        status, data = kiosk.get("/save/download", "POST", body, Origin=origin)
        assert (status, data[1:4]) == (200, b"PNG")
        assert struct.unpack(">II", data[16:24]) == (1600, 1229)
        status, data = kiosk.get("/save/keep", "POST", body, Origin=origin)
        assert status == 200
        assert json.loads(data)["name"].endswith(".png")
        assert kiosk.get("/save/takeaway", "POST", body, Origin=origin)[0] == 404
        assert kiosk.get("/save/keep", "POST", b"x" * 100_000, Origin=origin)[0] == 400
        assert kiosk.get("/save/keep", "POST", b"{}", Origin=origin)[0] == 400


def test_a_taken_port_is_an_error_of_one_line(kiosk: RunningKiosk, stub: Path) -> None:
    command = [sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "kiosk"]
    result = subprocess.run(
        [*command, "--port", str(kiosk.port), "--model", str(stub)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert result.returncode == 2
    assert "another kiosk may be running" in result.stderr.splitlines()[-1]


def test_check_finds_faults_before_opening_time(stub: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner
    from livetint.cli.kiosk import kiosk as command

    well = CliRunner().invoke(command, ["--check", "--model", str(stub)])
    assert well.exit_code == 0, well.output
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    ill = CliRunner().invoke(command, ["--check", "--model", str(stub), "--photos", str(tmp_path)])
    assert ill.exit_code == 2
    assert "a.jpg" in ill.output
    # Faults of the settings file do not hide those of the pictures, nor one another.
    config = tmp_path / "kiosk.toml"
    config.write_text(
        "[operator]\ntoken = 'short'\n[hours]\nopens = '9'\n[screen]\nreach = 'high'\n[visitor]\na = 1\n"
        "[server]\nport = 70000\n[visitors]\nidle_s = 'long'\nlanguages = 3\n"
    )
    ill = CliRunner().invoke(
        command, ["--check", "--model", str(stub), "--photos", str(tmp_path), "--config", str(config)]
    )
    lines = ill.output.splitlines()
    for expected in (
        "operator.token is too short, with 5 characters; use at least 12",
        "hours.opens is '9'; write a time such as '09:30'",
        "screen.reach is 'high'; write 'usual' or 'low'",
        "there is no table [visitor]; did you mean visitors?",
        "server.port is 70000; write a whole number of at most 65535",
        "visitors.idle_s is 'long'; write a number",
        "visitors.languages is 3; write a list in square brackets",
        "a.jpg",
    ):
        assert [line for line in lines if expected in line and line.startswith("- ")], expected
    assert len(lines) == 9


def test_check_finds_everything_at_once(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        Settings(),
        engine=EngineTable(model="no-such-model", threads=usable_cores() + 1),
        gallery=GalleryTable(folder=str(tmp_path)),
        takeaway=TakeawayTable(host="203.0.113.7"),
    )
    model, threads, gallery, takeaway = problems_of(settings)
    assert "engine.threads" in threads
    assert "no-such-model" in model
    assert "holds no photographs" in gallery
    assert "takeaway.host 203.0.113.7 is no address of this machine" in takeaway
    assert problems_of(Settings()) == []


def test_check_names_every_mistake_in_the_lists_of_an_exhibition(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes((bundled_photos() / "coffee.jpg").read_bytes())
    (tmp_path / "photographs.toml").write_text("[[photograph]]\nfile = 'a.jpg'\ntitle = 'A'\n")
    (tmp_path / "captions.de.toml").write_text("['b.jpg']\ntitle = 'B'\n")
    (tmp_path / "captions.fr.toml").write_text("nonsense [")
    settings = msgspec.structs.replace(Settings(), gallery=GalleryTable(folder=str(tmp_path)))
    german, french = problems_of(settings)
    assert "there is no picture 'b.jpg'" in german
    assert "captions.fr.toml" in french


def test_check_finds_addresses_that_cannot_work_and_letters_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "languages_without_glyphs", lambda: ["ja", "en"])
    settings = msgspec.structs.replace(
        Settings(),
        takeaway=TakeawayTable(host="127.0.0.1", port=8017),
        visitors=VisitorsTable(language="ja", languages=("ja", "de")),
    )
    loopback, port, glyphs = problems_of(settings)
    assert "not by a phone" in loopback
    assert port.startswith("takeaway.port is 8017, as server.port is")
    assert "letters of ja" in glyphs
    assert "fonts-noto-cjk" in glyphs
    told = Kiosk(settings).for_page()
    assert (told["language"], told["languages"]) == ("de", ["de"])
    elsewhere = Kiosk(msgspec.structs.replace(settings, server=ServerTable(host="0.0.0.0"))).for_page()
    assert elsewhere["languages"] == ["ja", "de"], "a browser on another machine has its own fonts"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
