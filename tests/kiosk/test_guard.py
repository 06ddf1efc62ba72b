"""Which addresses of the kiosk are served: names, default ports, all addresses of a machine, paths of a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livetint.kiosk.server.guard import MAX_LOGGED, Guard, allowed_hosts, page_address
from livetint.kiosk.server.listener import listener
from livetint.kiosk.server.web_files import WEB
from starlette.responses import PlainTextResponse
from starlette.types import Scope

from ..needs import needs
from .page import Visitor, page_settings
from .running import RunningKiosk, complete, until

DOCS = Path(__file__).parents[2] / "docs" / "kiosk.md"


def status(guard: Guard, host: str | None, origin: str | None = None, method: str = "GET", server: Any = None) -> int:
    """What the guard answers to a request with these headers."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    headers = [(name, value.encode()) for name, value in ((b"host", host), (b"origin", origin)) if value is not None]
    scope: Scope = {"type": "http", "method": method, "path": "/", "headers": headers, "server": server}
    complete(guard(scope, receive, send))
    return sent[0]["status"]


def guarded(host: str, port: int, *further: str, **more: Any) -> Guard:
    return Guard(PlainTextResponse("in"), allowed_hosts(host, port, further), **more)


# host and port that the kiosk listens on, further names → what browsers send as Host
ADDRESSES = [
    ("127.0.0.1", 8017, (), ["127.0.0.1:8017", "localhost:8017", "[::1]:8017", "LocalHost:8017"]),
    ("127.0.0.1", 80, (), ["127.0.0.1", "127.0.0.1:80", "localhost", "[::1]"]),
    ("192.168.7.5", 80, (), ["192.168.7.5", "192.168.7.5:80"]),
    ("::1", 80, (), ["[::1]", "localhost"]),
    ("fd00::5", 8017, (), ["[fd00::5]:8017"]),
    ("127.0.0.1", 8017, ("museum.example:443",), ["museum.example", "museum.example:443"]),
    ("127.0.0.1", 8017, ("Museum.Example",), ["museum.example"]),
]


@pytest.mark.parametrize(("host", "port", "further", "sent"), ADDRESSES)
def test_what_browsers_send_for_an_address_is_let_in(host: str, port: int, further: Any, sent: list[str]) -> None:
    guard = guarded(host, port, *further)
    for name in sent:
        assert status(guard, name) == 200
        for scheme in ("http", "https"):
            assert status(guard, name, f"{scheme}://{name}", "POST") == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:1", "", None, "192.168.7.5:8017"]
)
def test_other_hosts_and_origins_are_refused(host: str | None) -> None:
    guard = guarded("127.0.0.1", 8017)
    assert status(guard, host) == 403
    assert status(guard, "127.0.0.1:8017", f"http://{host}", "POST") == 403
    assert status(guard, "127.0.0.1:8017", "127.0.0.1:8017", "POST") == 403


@pytest.mark.parametrize(
    ("reached", "host"),
    [
        ("192.168.7.5", "192.168.7.5:8017"), ("::ffff:192.168.7.5", "192.168.7.5:8017"), ("fd00::5", "[fd00::5]:8017"),
        ("fe80::1%eth0", "[fe80::1]:8017"), ("127.0.0.1", "localhost:8017"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_on_all_addresses_the_one_that_was_reached_is_let_in(bound: str, reached: str, host: str) -> None:
    guard = guarded(bound, 8017, all_addresses=True)
    assert status(guard, host, f"http://{host}", "POST", (reached, 8017)) == 200
    assert status(guard, "evil.example:8017", server=(reached, 8017)) == 403, "a name may be rebound"
    assert status(guard, host, "http://evil.example", "POST", (reached, 8017)) == 403
    assert status(guard, "10.9.8.7:8017", server=(reached, 8017)) == 403
    assert status(guard, "10.9.8.7:8017", server=None) == 403


def test_a_kiosk_on_one_address_does_not_let_in_what_was_reached() -> None:
    assert status(guarded("127.0.0.1", 8017), "192.168.7.5:8017", server=("192.168.7.5", 8017)) == 403


def test_the_page_of_a_kiosk_on_all_addresses_is_at_loopback() -> None:
    assert page_address("0.0.0.0", 8017) == page_address("::", 8017) == "http://127.0.0.1:8017/"
    assert page_address("fd00::5", 80) == "http://[fd00::5]:80/"


def test_a_refusal_names_the_setting_and_the_log_names_each_host_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("livetint"), "propagate", True)
    guard = guarded("127.0.0.1", 8017, setting="server.allowed_hosts")
    for _ in range(2):
        status(guard, "kiosk.local:8017")
        status(guard, "127.0.0.1:8017", "http://kiosk.local:8017", "POST")
    facts = [getattr(record, "facts", None) for record in caplog.records]
    setting = {"setting": "server.allowed_hosts"}
    assert facts == [{"host": "kiosk.local:8017"} | setting, {"origin": "http://kiosk.local:8017"} | setting]
    for i in range(2 * MAX_LOGGED):
        status(guard, f"{i}.example" + "x" * 1000)
    assert len(caplog.records) == MAX_LOGGED
    assert all(len(str(record.__dict__["facts"])) < 200 for record in caplog.records)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_a_listener_on_all_addresses_knows_the_one_that_was_reached(bound: str) -> None:
    async def answers() -> list[bytes]:
        family = socket.AF_INET6 if ":" in bound else socket.AF_INET
        with socket.socket(family) as open_socket:
            open_socket.bind((bound, 0))
            port = open_socket.getsockname()[1]
            server = listener(guarded(bound, port, all_addresses=True, setting="server.allowed_hosts"))
            serving = asyncio.create_task(server.serve(sockets=[open_socket]))
            while not server.started:
                await asyncio.sleep(0.01)
            found = []
            for host in (f"127.0.0.2:{port}", f"evil.example:{port}"):
                reader, writer = await asyncio.open_connection("127.0.0.2", port)
                writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                found.append(await reader.read())
                writer.close()
            server.should_exit = True
            await serving
            return found

    inside, refused = complete(answers())
    assert inside.startswith(b"HTTP/1.1 200") and inside.endswith(b"in")
    assert refused.startswith(b"HTTP/1.1 403") and b"server.allowed_hosts may list it" in refused


# Under a path of a reverse proxy --------------------------------------------------------------------------------


def test_no_address_of_the_page_starts_at_the_root() -> None:
    absolute = re.compile(r"""(?:href=|src=|fetch\(|url\(|import |from )\(?["'`]?/[a-z]""")
    for path in sorted(WEB.glob("*.*")):  # the staff page, in a folder of its own, is on another listener
        if path.suffix in (".js", ".html", ".css"):
            assert not absolute.findall(path.read_text("utf-8")), path.name


def nginx_of_the_docs(server_port: int, kiosk_port: int) -> str:
    """The configuration in docs/kiosk.md, with these ports."""
    text = DOCS.read_text("utf-8")
    blocks = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    found = blocks[0].replace("127.0.0.1:8017", f"127.0.0.1:{kiosk_port}")
    assert "listen 80;" in found and f"127.0.0.1:{kiosk_port}/;" in found
    return found.replace("listen 80;", f"listen 127.0.0.1:{server_port};")


@pytest.fixture
def proxied(kiosk: RunningKiosk, tmp_path: Path) -> Iterator[str]:
    """The address of the kiosk under a path of nginx, configured as in the docs."""
    folders = "".join(f"{kind}_temp_path {tmp_path};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    # As root, nginx would work as another user, who may not write into these folders.
    user = "user root;" if os.geteuid() == 0 else ""
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"{user} daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {folders}\n{nginx_of_the_docs(kiosk.proxy_port, kiosk.port)}}}\n"
    )
    nginx = subprocess.Popen(["nginx", "-e", "stderr", "-c", str(config)], stderr=subprocess.PIPE, text=True)

    def answers() -> bool:
        assert nginx.poll() is None, nginx.communicate()[1]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", kiosk.proxy_port)):
            return True
        return False

    until(answers, "nginx")
    yield f"http://127.0.0.1:{kiosk.proxy_port}/exhibit/"
    nginx.terminate()
    nginx.communicate()


@needs("nginx")
@needs("chromium")
def test_under_a_path_of_nginx_everything_works_as_the_docs_say(browser: Any, proxied: str) -> None:
    # The stub's touches cannot be computed in a page, so it need not ask for the weights.
    visitor = Visitor(browser, proxied, before=page_settings(vivid=None))
    replies: list[tuple[int, str]] = []
    visitor.page.on("response", lambda reply: replies.append((reply.status, reply.url)))
    visitor.page.reload()
    visitor.until("globalThis.livetint !== undefined", "the page")
    visitor.open()
    visitor.place(0.5, 0.5)
    visitor.close()
    assert len(replies) > 10
    assert [url for code, url in replies if code >= 400 or not url.startswith(proxied)] == []
