"""Memory without a name: who holds it, and that a closed file is never found again by its number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from livetint.kiosk.memory import NamelessFile

DESCRIPTORS = Path("/proc/self/fd")


def test_another_descriptor_is_read_only_and_has_its_own_position_and_outlives_the_file() -> None:
    before = len(list(DESCRIPTORS.iterdir()))
    with NamelessFile("test") as file:
        os.write(file.descriptor, b"content")
        one, other = file.open(), file.open()
        assert os.read(one, 3) == b"con"
        assert os.read(other, 7) == b"content"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(one, b"x")
        assert file.read() == b"content"
    assert os.read(one, 7) == b"tent"
    os.close(one)
    os.close(other)
    assert len(list(DESCRIPTORS.iterdir())) == before


def test_a_closed_file_is_not_opened_again_though_its_number_belongs_to_another() -> None:
    file = NamelessFile("first")
    number = file.descriptor
    file.close()
    file.close()
    with NamelessFile("second") as second:
        assert second.descriptor == number, "the kernel gives the lowest free number"
        with pytest.raises(ValueError, match="closed"):
            file.open()
