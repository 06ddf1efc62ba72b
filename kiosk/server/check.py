"""What staff want to know before opening time: everything that is wrong, all at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ...engine.errors import LivetintError
from ...engine.models import find_model
from ..settings import Settings
from .exhibition import bundled_photos, check_gallery


def problems_of(settings: Settings) -> list[str]:
    """A sentence for each thing that would not work. Empty when everything is in order."""
    problems = []
    try:
        find_model(settings.engine.model)
    except LivetintError as error:
        problems.append(str(error))
    folder = Path(settings.gallery.folder) if settings.gallery.folder else bundled_photos()
    problems += check_gallery(folder, settings.gallery.max_megapixels)
    if settings.saving.folder and not os.access(settings.saving.folder, os.W_OK):
        problems.append(f"saving.folder {settings.saving.folder} cannot be written to; change its owner or its rights")
    for name, host in (
        ("server.host", settings.server.host),
        ("operator.host", settings.operator.host if settings.operator.token else ""),
        ("takeaway.host", settings.takeaway.host),
    ):
        if host and not _is_own(host):
            problems.append(f"{name} {host} is no address of this machine; `ip address` lists those")
    return problems


def _is_own(host: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        try:
            trial.bind((host, 0))
        except OSError:
            return False
    return True
