"""A kiosk with everything that a museum may turn on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livetint.kiosk.server.exhibition import bundled_photos
from PIL import Image

from .test_staff import StaffKiosk, free_port


def show_small_pictures(folder: Path) -> Path:
    """The bundled exhibition in a size that is saved fast."""
    folder.mkdir()
    for path in bundled_photos().iterdir():
        if path.suffix == ".jpg":
            with Image.open(path) as image:
                image.thumbnail((640, 640))
                image.save(folder / path.name)
        elif path.suffix == ".toml":
            shutil.copy(path, folder)
    return folder


@contextmanager
def open_venue(folder: Path, model: Path, gallery: Path | None = None) -> Iterator[StaffKiosk]:
    """A kiosk with everything that a museum may turn on."""
    for name in ("kept", "wall"):
        (folder / name).mkdir(parents=True)
    venue = StaffKiosk(
        folder / "kiosk", model, screen={"pixels": "planes"}, saving={"folder": str(folder / "kept")},
        uploads={"enabled": True, "camera": True, "max_mib": 1.0}, wall={"folder": str(folder / "wall")},
        takeaway={"host": "127.0.0.1", "port": free_port()}, gallery={"folder": str(gallery)} if gallery else {},
    )  # fmt: skip
    try:
        yield venue
    finally:
        venue.close()
