"""The files of the kiosk's pages."""

from __future__ import annotations

import mimetypes
from pathlib import Path

WEB = Path(__file__).resolve().parents[1] / "web"
# What the kernels of the page are built from.
SOURCES = WEB / "touch" / "kernels"
# Types that not every machine's table has right.
KINDS = {".js": "text/javascript", ".wasm": "application/wasm"}


def web_files() -> dict[str, tuple[bytes, str]]:
    """Address → content and type of every file of the page: a closed list, so no path is ever joined from input."""
    files = {}
    for path in sorted(WEB.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and SOURCES not in path.parents:
            kind = KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            text = kind.startswith("text/") or kind == "application/json"
            files["/" + path.relative_to(WEB).as_posix()] = path.read_bytes(), kind + ("; charset=utf-8" * text)
    files["/"] = files["/index.html"]
    return files
