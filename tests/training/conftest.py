"""What all tests of training share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from livetint.engine.models import bundled_folder
from PIL import Image

from ..needs import import_or_skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread: small pictures are computed faster by one than by several that wait for each other."""
    torch = import_or_skip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "astronaut", "chelsea-the-cat"):
        image = Image.open(bundled_folder().parent / "photos" / f"{name}.jpg").convert("RGB")
        image.resize((120, 100)).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path
