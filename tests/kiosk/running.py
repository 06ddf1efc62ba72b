"""A kiosk in a process of its own, and what tests ask of it. Tests wait on conditions, never for a time."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

T = TypeVar("T")
PATIENCE_S = 90.0


def until(condition: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """The first true value of `condition`; AssertionError after `patience_s` seconds."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {patience_s} s in vain for {what}"
        time.sleep(0.03)


def complete(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, on an event loop and in a thread of its own: a browser test that ran before may have
    left Playwright's loop in this one."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class RunningKiosk:
    """`livetint kiosk` with settings of its own; `port` 0 lets it choose.

    proxy_port: a port of this machine that `server.allowed_hosts` names, 0 for none. page: the name of the page that
    requests are made for, "" for none; `controls` sets it.
    """

    proxy_port = 0
    page = ""

    def __init__(
        self,
        folder: Path,
        model: Path,
        port: int = 0,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
        **tables,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.log = log or folder / "log"
        config = folder / "kiosk.toml"
        tables["server"] = {"port": port, **tables.get("server", {})}
        # A test on a busy machine is not a visitor who has left.
        tables["visitors"] = {"idle_s": 3600.0, **tables.get("visitors", {})}
        config.write_text(tomli_w.dumps(tables))
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from livetint.cli.__main__ import main; main()",
                 "kiosk", "--config", str(config), "--model", str(model)],
                stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "http://" in line, f"no address: {line!r}; see {self.log}"
        self.address = line.split(" at ")[1].strip()
        self.port = int(self.address.rstrip("/").rsplit(":", 1)[1])
        until(lambda: self.get("/healthz")[0] == 200, "health")

    @property
    def page_header(self) -> dict[str, str]:
        """The header that says which page makes a request."""
        return {"livetint-page": self.page} if self.page else {}

    def get(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body. `headers` with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            named = self.page_header | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            reply = connection.getresponse()
            return reply.status, reply.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        return json.loads(self.get("/readyz")[1])

    @property
    def worker(self) -> int:
        """Process id of the engine worker at work."""
        return until(lambda: self.status()["engine_pid"], "a worker")

    def ready_again(self, faults: int) -> bool:
        """Whether the engine was replaced more than `faults` times and stands."""
        status = self.status()
        return status["ready"] and status["engine_faults"] > faults

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
        if self.process.stdout:
            self.process.stdout.close()
