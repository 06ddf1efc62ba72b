"""A plain static web server, with faults on request."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class StaticServer(ThreadingHTTPServer):
    """Serves `root` at `address`. While `cut`, it closes every connection without an answer."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(root)))
        self.address = f"http://127.0.0.1:{self.server_port}/"
        self.cut = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(SimpleHTTPRequestHandler):
    """Quiet; deaf while the server is cut."""

    def do_GET(self) -> None:
        assert isinstance(self.server, StaticServer)
        if self.server.cut:
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass
