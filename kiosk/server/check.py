"""What staff want to know before opening time: everything that is wrong, all at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ...engine.cores import usable_cores
from ...engine.errors import LivetintError
from ...engine.models import find_model
from ..settings import Settings
from .exhibition import bundled_photos, check_gallery
from .fonts import missing_glyphs
from .guard import LOOPBACK_NAMES


def problems_of(settings: Settings) -> list[str]:
    """A sentence for each thing that would not work. Empty when everything is in order."""
    problems = []
    try:
        find_model(settings.engine.model)
    except LivetintError as error:
        problems.append(str(error))
    if settings.engine.threads > usable_cores():
        problems.append(f"engine.threads is {settings.engine.threads}, but there are {usable_cores()} CPU cores; set 0")
    folder = Path(settings.gallery.folder) if settings.gallery.folder else bundled_photos()
    problems += check_gallery(folder, settings.gallery.max_megapixels)
    written = [("saving.folder", settings.saving.folder), ("wall.folder", settings.wall.folder)]
    if settings.operator.token:
        written.append(("gallery.folder, which the staff page changes,", settings.gallery.folder))
    for name, place in written:
        if Path(place).is_dir() and place and not os.access(place, os.W_OK):
            problems.append(f"{name} {place} cannot be written to; change its owner or its rights")
    problems += _addresses(settings)
    problems += [
        f"no font on this machine has the letters of {name}, so the page hides that language; {install}"
        for name, install in missing_glyphs(settings.visitors.languages)
    ]
    return problems


def _addresses(settings: Settings) -> list[str]:
    problems = []
    for name, host in (
        ("server.host", settings.server.host),
        ("operator.host", settings.operator.host if settings.operator.token else ""),
        ("takeaway.host", settings.takeaway.host),
    ):
        if host and not _is_own(host):
            problems.append(f"{name} {host} is no address of this machine; `ip address` lists those")
    if settings.takeaway.host in LOOPBACK_NAMES:
        problems.append(
            f"takeaway.host {settings.takeaway.host} is reached from this machine alone, not by a phone; give the "
            "machine's address on the visitors' Wi-Fi"
        )
    ports = {"server.port": settings.server.port}
    if settings.operator.token:
        ports["operator.port"] = settings.operator.port
    if settings.takeaway.host:
        ports["takeaway.port"] = settings.takeaway.port
    for name, port in ports.items():
        same = [other for other, its in ports.items() if its == port and port]
        if same[:1] != [name] and same:
            problems.append(f"{name} is {port}, as {same[0]} is; give each a port of its own")
    return problems


def _is_own(host: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        try:
            trial.bind((host, 0))
        except OSError:
            return False
    return True
