"""A visitor's own picture: what is accepted, what is refused and how, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livetint.engine.image.decode import decode_bytes
from livetint.engine.image.photo import Photo
from livetint.kiosk.server.decoding import TOO_LARGE, reduced
from PIL import Image
from websockets.sync.client import ClientConnection

from .running import PATIENCE_S, RunningKiosk, until
from .test_server import controls, edit, reply


@pytest.fixture(scope="module")
def venue(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKiosk]:
    """A kiosk that takes uploads, within narrow limits."""
    folder = tmp_path_factory.mktemp("uploads")
    running = RunningKiosk(
        folder,
        stub,
        uploads={"enabled": True, "camera": True, "max_mib": 1.0, "max_megapixels": 2.0, "deadline_s": 60.0},
    )
    yield running
    running.close()


def picture(kind: str = "JPEG", size: tuple[int, int] = (300, 200), **more: Any) -> bytes:
    """A file of a smooth colourful picture."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    rgb = np.stack([x * 255 // size[0], y * 255 // size[1], 0 * x + 90], -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, kind, **more)
    return file.getvalue()


def bring(kiosk: RunningKiosk, data: bytes, method: str = "POST") -> tuple[int, Any]:
    """Status and answer of an upload."""
    status, body = kiosk.get("/uploads", method, data, Origin=kiosk.address.rstrip("/"))
    return status, json.loads(body) if status == 201 else body.decode()


def save(kiosk: RunningKiosk, id: str) -> tuple[int, bytes]:
    """Status and file of a download that the visitor agreed to."""
    return kiosk.get("/save/download?agreed=yes", "POST", edit(id).encode(), Origin=kiosk.address.rstrip("/"))


@contextlib.contextmanager
def visit(kiosk: RunningKiosk) -> Iterator[ClientConnection]:
    """A page's socket; what it brought is wiped at the end."""
    with controls(kiosk) as socket:
        yield socket
        assert bring(kiosk, b"", "DELETE")[0] == 204


def held(kiosk: RunningKiosk) -> list[str]:
    """Uploads in the server's memory, by the kernel's account."""
    names = []
    for entry in Path(f"/proc/{kiosk.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while we look
            names.append(str(entry.readlink()))
    return [name for name in names if "livetint-upload" in name]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_upload_is_painted_shown_and_saved_like_any_other_picture(venue: RunningKiosk, kind: str) -> None:
    with visit(venue) as socket:
        status, told = bring(venue, picture(kind))
        assert status == 201
        assert told["own"] is True
        socket.send(edit(told["id"], hints=[[0.5, 0.5, 20, 20, 5]]))
        assert reply(socket)[0]["kind"] == "planes"
        assert venue.get(f"/pictures/{told['id']}/480.jpg")[1][:2] == b"\xff\xd8"
        status, saved = save(venue, told["id"])
        assert status == 200
        assert struct.unpack(">II", saved[16:24]) == (300, 200)


def test_an_upload_keeps_its_lightness_and_is_turned_upright(venue: RunningKiosk) -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = picture("JPEG", exif=exif, quality=98)
    with visit(venue):
        _, told = bring(venue, data)
        status, saved = save(venue, told["id"])
    assert status == 200
    expected = Photo.from_bytes(data)
    assert expected.size == (200, 300)
    # Colours that do not fit at a lightness are clipped; the stub's sepia does nearly everywhere.
    assert float(np.median(np.abs(Photo.from_bytes(saved).L - expected.L))) < 1


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it has 400 megapixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", 415, "JPEG, PNG or WebP"),
        (b"%PDF-1.7 not a photograph", 415, "JPEG, PNG or WebP"),
        (picture("TIFF"), 415, "JPEG, PNG or WebP"),
        (picture("GIF"), 415, "JPEG, PNG or WebP"),
        (b"", 415, "JPEG, PNG or WebP"),
        (picture("JPEG")[:900], 422, "cannot be opened"),
        (b"\xff\xd8\xff" + bytes(5000), 422, "cannot be opened"),
        (bomb(), 413, "too large"),
        (picture("PNG", (1500, 1400)), 413, "too large"),
        (bytes(2 << 20), 413, "too big"),
    ],
    ids=["svg", "pdf", "tiff", "gif", "nothing", "cut", "damaged", "bomb", "pixels", "bytes"],
)
def test_anything_but_an_intact_photograph_within_the_limits_is_refused_in_a_sentence(
    venue: RunningKiosk, data: bytes, status: int, sentence: str
) -> None:
    with visit(venue):
        answered, said = bring(venue, data)
    assert answered == status
    assert sentence in said
    assert held(venue) == []


def test_the_length_is_required_and_checked_before_anything_is_read(venue: RunningKiosk) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=PATIENCE_S)
    with visit(venue):
        for header, expected in ((("Content-Length", str(1 << 40)), 413), (("Transfer-Encoding", "chunked"), 411)):
            connection.putrequest("POST", "/uploads")
            for named in (("Origin", venue.address.rstrip("/")), *venue.page_header.items(), header):
                connection.putheader(*named)
            connection.endheaders()
            assert connection.getresponse().status == expected
            connection.close()


def test_only_a_page_with_a_screen_may_upload(venue: RunningKiosk) -> None:
    for page, status in (("", 409), ("of-yesterday", 410)):
        venue.page = page
        assert bring(venue, picture())[0] == status
    assert venue.get("/uploads", "POST", picture(), Origin="http://evil.example")[0] == 403
    assert venue.get("/uploads", "POST", picture())[0] == 403


def test_a_wiped_picture_is_gone_everywhere(venue: RunningKiosk) -> None:
    with visit(venue) as socket:
        _, told = bring(venue, picture())
        socket.send(edit(told["id"], 1))
        reply(socket)
        assert len(held(venue)) == 1
        bring(venue, b"", "DELETE")
        assert held(venue) == []
        assert venue.get(f"/pictures/{told['id']}/480.jpg")[0] == 404
        socket.send(edit(told["id"], 2))
        assert json.loads(socket.recv(PATIENCE_S))["type"] == "refused"


@pytest.mark.parametrize(
    "beat", [{"state": "attract", "event": "reset"}, {"state": "gallery", "event": "session"}, {"state": "attract"}]
)
def test_the_end_of_a_visit_wipes_the_uploads(venue: RunningKiosk, beat: dict[str, str]) -> None:
    with visit(venue) as socket:
        bring(venue, picture())
        assert len(held(venue)) == 1
        socket.send(json.dumps({"type": "beat", "state": "painting"}))
        socket.send(json.dumps({"type": "beat", **beat}))
        until(lambda: not held(venue), "the wipe")


def test_another_page_finds_nothing_of_what_the_last_one_brought(venue: RunningKiosk) -> None:
    with controls(venue) as socket:
        name = socket.welcome["page"]  # type: ignore[attr-defined]
        _, told = bring(venue, picture())
    with controls(venue, f"?page={name}"):  # it only lost its link
        assert len(held(venue)) == 1
        assert venue.get(f"/pictures/{told['id']}/480.jpg")[0] == 200
    with controls(venue, f"?after={name}") as socket:  # it was loaded again
        assert socket.welcome["page"] != name  # type: ignore[attr-defined]
        assert held(venue) == []
        assert venue.get(f"/pictures/{told['id']}/480.jpg")[0] == 404


def test_three_are_kept_and_the_oldest_goes_first(venue: RunningKiosk) -> None:
    with visit(venue):
        ids = [bring(venue, picture(size=(300 + n, 200)))[1]["id"] for n in range(4)]
        assert len(held(venue)) == 3
        assert venue.get(f"/pictures/{ids[0]}/480.jpg")[0] == 404
        assert venue.get(f"/pictures/{ids[3]}/480.jpg")[0] == 200


def test_the_log_holds_nothing_of_an_upload(venue: RunningKiosk) -> None:
    with visit(venue):
        _, told = bring(venue, picture())
        bring(venue, b"%PDF")
    for line in venue.log.read_text().splitlines():
        assert told["id"] not in line
        assert "/fd/" not in line


def test_an_upload_that_arrives_or_opens_too_slowly_is_given_up(stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, stub, uploads={"enabled": True, "deadline_s": 0.05})
    try:
        with controls(kiosk):
            assert bring(kiosk, picture())[0] == 503
            connection = http.client.HTTPConnection("127.0.0.1", kiosk.port, timeout=PATIENCE_S)
            connection.putrequest("POST", "/uploads")
            for header in (("Origin", kiosk.address.rstrip("/")), *kiosk.page_header.items()):
                connection.putheader(*header)
            connection.putheader("Content-Length", "1000")
            connection.endheaders(b"\xff\xd8\xff")
            assert connection.getresponse().status == 408
            connection.close()
        assert kiosk.get("/healthz")[0] == 200
    finally:
        kiosk.close()


def test_uploads_are_off_unless_they_are_enabled(kiosk: RunningKiosk, venue: RunningKiosk) -> None:
    assert json.loads(kiosk.get("/settings.json")[1])["uploads"] is None
    assert bring(kiosk, picture())[0] == 404
    told = json.loads(venue.get("/settings.json")[1])["uploads"]
    assert told == {
        "camera": True, "max_bytes": 1 << 20, "max_megapixels": 2.0, "types": ["image/jpeg", "image/png", "image/webp"],
    }  # fmt: skip


def test_the_page_may_use_the_camera_only_where_it_is_enabled(kiosk: RunningKiosk, venue: RunningKiosk) -> None:
    for running, expected in ((kiosk, "camera=()"), (venue, "camera=(self)")):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE_S)
        connection.request("GET", "/")
        assert expected in (connection.getresponse().getheader("permissions-policy") or "")
        connection.close()


def test_memory_and_time_of_the_opening_child_are_limited_by_the_kernel(tmp_path: Path) -> None:
    """In the child itself: what asks for more memory is refused, what runs on is ended."""
    start = "from livetint.kiosk.server.limits import limit; limit(1_000_000, 1, 24, 3); "
    greedy = subprocess.run([sys.executable, "-c", start + "bytes(1 << 30)"], capture_output=True, text=True)
    assert "MemoryError" in greedy.stderr
    endless = subprocess.run([sys.executable, "-c", start + "sum(1 for _ in iter(int, 1))"], capture_output=True)
    assert endless.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
    writing = f"open({str(tmp_path / 'big')!r}, 'wb').write(bytes(4_000_000))"
    assert (
        "File too large"
        in subprocess.run([sys.executable, "-c", start + writing], capture_output=True, text=True).stderr
    )


def decoded(data: bytes, max_megapixels: float, tmp_path: Path) -> tuple[int, bytes]:
    """Exit code of the child that opens `data`, and the header of what it wrote."""
    with (tmp_path / "pixels").open("w+b") as out:
        command = [sys.executable, "-m", "livetint.kiosk.server.decoding", str(out.fileno()), f"{max_megapixels}", "60"]
        child = subprocess.run(command, input=data, pass_fds=[out.fileno()], capture_output=True)
        out.seek(0)
        return child.returncode, out.read(12)


def test_a_photograph_of_a_phone_is_reduced_within_the_memory_of_before(tmp_path: Path) -> None:
    """50 megapixels as a progressive JPEG of full colour, which takes the most memory."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((8160, 6120)).convert("RGB").save(file, "JPEG", progressive=True, subsampling=0)
    assert decoded(file.getvalue(), 50, tmp_path) == (0, b"P6\n4080 3060")
    assert decoded(file.getvalue(), 49, tmp_path)[0] == TOO_LARGE


def test_other_formats_are_reduced_after_decoding() -> None:
    pixels = decode_bytes(picture("PNG", (300, 200)), "a test", 1)
    small = reduced(pixels, 15_000)
    assert small.rgb.shape == (100, 150, 3)
    assert np.abs(small.rgb.astype(int) - pixels.rgb[::2, ::2]).max() <= 2
    assert reduced(pixels, 60_000) is pixels
