"""Fetching from a file server that is honest, slow to finish, forgetful or wrong."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from livetint.build_engine import fetch as fetching
from livetint.build_engine.fetch import PUBLISHED, digits_of, download
from livetint.build_engine.planes_bundle import planes_weights
from livetint.cli.__main__ import main
from livetint.engine.errors import ConfigError, ModelFileError
from livetint.engine.models import find_model

from ..needs import needs
from .networks_common import recipe_weights

CONTENT = np.random.default_rng(0).bytes(700_000)
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]


@dataclass
class Server:
    """What the server does: `break_after` bytes of an answer it hangs up, for the first `breaks` answers."""

    content: bytes = CONTENT
    ranges: bool = True
    break_after: int = 0
    breaks: int = 0
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.status != 200:
                self.send_error(state.status)
                return
            first = int(wanted.split("=")[1].rstrip("-")) if wanted and state.ranges else 0
            if first >= len(state.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(state.content)}")
                self.end_headers()
                return
            body = state.content[first:]
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(state.content) - 1}/{len(state.content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.breaks > 0:
                state.breaks -= 1
                body = body[: state.break_after]
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}/weights-{DIGITS}.pth"
        yield state
        http.shutdown()
        thread.join()


def test_a_whole_file_arrives_and_leaves_nothing_beside_it(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    download(server.url, tmp_path / "w.pth", DIGITS, lambda done, total: seen.append((done, total)))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_download_is_carried_on(server: Server, tmp_path: Path) -> None:
    server.breaks, server.break_after = 2, 300_000
    download(server.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=600000-"]


def test_what_has_arrived_is_kept_for_the_next_call(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(CONTENT[:1234])
    download(server.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert server.asked == ["bytes=1234-"]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges, server.breaks, server.break_after = False, 1, 1000
    download(server.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_part_that_was_whole_already_is_checked_and_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(CONTENT + b"more")
    download(server.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_wrong_file_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"\0"
    with pytest.raises(ModelFileError, match="its SHA-256 begins with"):
        download(server.url, tmp_path / "w.pth", DIGITS)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_names_the_mirror_option(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(ModelFileError, match=r"404.*--url"):
        download(server.url, tmp_path / "w.pth", DIGITS)


def test_a_server_that_never_finishes_ends_in_an_error_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.breaks, server.break_after = 99, 10
    with pytest.raises(ModelFileError, match="run the command again"):
        download(server.url, tmp_path / "w.pth", DIGITS)
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth.part"]


def test_no_server_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be fetched"):
        download(f"http://127.0.0.1:9/w-{DIGITS}.pth", tmp_path / "w.pth", DIGITS)


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no web address"):
        download("file:///etc/hostname", tmp_path / "w.pth", DIGITS)


def test_the_digits_come_from_the_published_name() -> None:
    assert digits_of(PUBLISHED["siggraph17"].file) == "df00044c"
    with pytest.raises(ConfigError):
        digits_of("weights.pth")


@needs("torch")
def test_fetch_checks_imports_and_says_where_it_comes_from(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    torch.save({k: torch.from_numpy(v) for k, v in recipe_weights("siggraph17").items()}, tmp_path / "w.pth")
    server.content = (tmp_path / "w.pth").read_bytes()
    digits = hashlib.sha256(server.content).hexdigest()[:8]
    entry = replace(PUBLISHED["siggraph17"], url=server.url.replace(DIGITS, digits))
    monkeypatch.setattr(fetching, "PUBLISHED", {"siggraph17": entry})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    main(["models", "fetch", "siggraph17"])
    said = capsys.readouterr()
    assert "BSD-2-Clause" in said.out and "richzhang/colorization" in said.out
    assert "nobody has confirmed" in said.err
    bundle = find_model("siggraph17")
    assert bundle.manifest.input.mask == (0.0, 1.0)
    assert np.array_equal(planes_weights(bundle)["model_out.0.bias"], recipe_weights("siggraph17")["model_out.0.bias"])
    asked = len(server.asked)
    main(["models", "fetch", "siggraph17"])
    assert len(server.asked) == asked
    main(["models", "list"])
    assert "siggraph17  siggraph17" in capsys.readouterr().out
