"""Downloads from a file server that works, breaks off, ignores ranges, redirects or sends a wrong file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from livetint.build_engine import fetch as fetching
from livetint.build_engine import sensitivity
from livetint.build_engine.fetch import PUBLISHED, check_address, digits_of, download
from livetint.build_engine.planes_bundle import planes_weights
from livetint.cli.__main__ import main
from livetint.engine.errors import ConfigError, ModelFileError, OutputError
from livetint.engine.models import find_model

from ..disk import watch_disk
from ..needs import needs
from .networks_common import recipe_weights

CONTENT = np.random.default_rng(0).bytes(700_000)
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]


@dataclass
class Server:
    """What the server does: it closes the first `breaks` connections after `break_after` bytes.

    redirect: where every request is sent instead.
    """

    content: bytes = CONTENT
    ranges: bool = True
    break_after: int = 0
    breaks: int = 0
    status: int = 200
    redirect: str = ""
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(state: Server, encrypted: ssl.SSLContext | None = None) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.redirect:
                self.send_response(302)
                self.send_header("Location", state.redirect)
                self.end_headers()
                return
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

    class Listener(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Do not print that a client refused the certificate."""

    with Listener(("127.0.0.1", 0), Handler) as listener:
        if encrypted is not None:
            listener.socket = encrypted.wrap_socket(listener.socket, server_side=True)
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        scheme = "https" if encrypted else "http"
        state.url = f"{scheme}://127.0.0.1:{listener.server_port}/weights-{DIGITS}.pth"
        yield state
        listener.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as state:
        yield state


@pytest.fixture
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def secure(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(Server(), context) as state:
        yield state


def test_a_complete_file_leaves_nothing_beside_it(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    download(server.url, tmp_path / "w.pth", DIGITS, lambda done, total: seen.append((done, total)))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_download_is_resumed(server: Server, tmp_path: Path) -> None:
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


def test_a_part_that_is_complete_is_checked_and_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_removed(server: Server, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "10.0.0.1", "localhost.example.org"])
def test_plain_http_is_only_for_this_machine(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="is not encrypted; use https"):
        download(f"http://{host}/w-{DIGITS}.pth", tmp_path / "w.pth", DIGITS)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_this_machine_may_serve_plain_http(host: str) -> None:
    check_address(f"http://{host}:8000/w-{DIGITS}.pth")


@pytest.mark.parametrize("target", ["http://example.org/w.pth", "ftp://127.0.0.1/w.pth"])
def test_a_redirect_to_what_is_not_encrypted_is_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.redirect = target
    with pytest.raises(ModelFileError, match=f"redirects to {target}, which is not encrypted"):
        download(server.url, tmp_path / "w.pth", DIGITS)
    assert len(server.asked) == 1


def test_a_redirect_on_this_machine_is_followed(server: Server, tmp_path: Path) -> None:
    with serving(Server(redirect=server.url)) as first:
        download(first.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


@needs("openssl")
def test_an_unknown_certificate_has_its_own_sentence(secure: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"certificate of .* cannot be verified \(self.signed certificate\)"):
        download(secure.url, tmp_path / "w.pth", DIGITS)
    assert secure.asked == []


@needs("openssl")
def test_a_known_certificate_is_trusted_but_not_a_redirect_to_http(
    secure: Server, server: Server, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    download(secure.url, tmp_path / "w.pth", DIGITS)
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    secure.redirect = server.url
    with pytest.raises(ModelFileError, match="which is not encrypted"):
        download(secure.url, tmp_path / "again.pth", DIGITS)
    assert server.asked == []


def test_a_server_that_speaks_no_tls_has_its_own_sentence(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no secure connection to https://.*WRONG_VERSION_NUMBER"):
        download(server.url.replace("http:", "https:"), tmp_path / "w.pth", DIGITS)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ssl.SSLError(1, "[SSL: BAD_RECORD_MAC] bad record mac"), "no secure connection"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "EOF occurred"),
        (http.client.IncompleteRead(b""), "IncompleteRead"),
    ],
)
def test_errors_of_the_connection_are_not_taken_for_a_full_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def read(self: http.client.HTTPResponse, amt: int | None = None) -> bytes:
        raise error

    monkeypatch.setattr(http.client.HTTPResponse, "read", read)
    with pytest.raises(ModelFileError, match=said):
        download(server.url, tmp_path / "w.pth", DIGITS)


def test_a_full_disk_and_a_folder_that_may_not_be_written_are_told_apart(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, advice in ((errno.ENOSPC, "free some space"), (errno.EROFS, "that you may write to")):

        def fsync(descriptor: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(OutputError, match=advice):
            download(server.url, tmp_path / "w.pth", DIGITS)
        assert [path.name for path in tmp_path.iterdir()] == ["w.pth.part"]


def test_what_was_fetched_is_durable(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = watch_disk(monkeypatch, tmp_path)
    download(server.url, tmp_path / "w.pth", DIGITS)
    assert log.events == [("sync", "w.pth.part"), ("rename", "w.pth"), ("sync", ".")]


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
    main(["models", "fetch", "siggraph17", "--calibrate", "0"])
    said = capsys.readouterr()
    assert "without ranges for INT8; measure them: livetint calibrate" in said.out
    assert "BSD-2-Clause" in said.out and "richzhang/colorization" in said.out
    assert "nobody has confirmed" in said.err
    bundle = find_model("siggraph17")
    assert bundle.manifest.ranges == ""
    assert bundle.manifest.input.mask == (0.0, 1.0)
    assert np.array_equal(planes_weights(bundle)["model_out.0.bias"], recipe_weights("siggraph17")["model_out.0.bias"])
    asked, cases = len(server.asked), sensitivity.example_cases()[:1]
    monkeypatch.setattr(sensitivity, "example_cases", lambda: cases)
    main(["models", "fetch", "siggraph17", "--calibrate", "1"])
    assert len(server.asked) == asked
    assert find_model("siggraph17").manifest.ranges == "ranges.json"
    main(["models", "list"])
    assert "siggraph17  siggraph17" in capsys.readouterr().out
