"""Writing files and folders: whole or not at all, synced before the old one is removed, permissions by the umask."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

import pytest
from livetint.engine import files
from livetint.engine.errors import OutputError
from livetint.engine.files import atomic_write, replacing, write_folder

from ..disk import PowerCut, watch_disk


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch):
    log = watch_disk(monkeypatch, tmp_path)
    atomic_write(tmp_path / "a.txt", b"new")
    assert log.events == [("sync", "temporary"), ("rename", "a.txt"), ("sync", ".")]
    assert contents(tmp_path) == {"a.txt": b"new"}


def test_every_file_of_a_folder_is_synced_before_the_folder_is_renamed(tmp_path, monkeypatch):
    log = watch_disk(monkeypatch, tmp_path)
    write_folder(tmp_path / "model", {"a": b"1", "b": b"2"})
    assert log.events == [
        ("sync", "temporary/a"), ("sync", "temporary/b"), ("sync", "temporary"), ("rename", "model"), ("sync", "."),
    ]  # fmt: skip
    assert contents(tmp_path / "model") == {"a": b"1", "b": b"2"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_power_cut_while_a_folder_is_replaced_leaves_the_old_one_or_the_new_one(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    old, new = {"a": b"old", "c": b"old"}, {"a": b"new", "b": b"new"}
    states = []
    for cut in range(5 if can_exchange else 9):
        root = tmp_path / str(cut)
        write_folder(root / "model", old)
        with monkeypatch.context() as patch, contextlib.suppress(PowerCut):
            watch_disk(patch, root).cut_at = cut
            write_folder(root / "model", new)
        states.append(contents(root / "model") if (root / "model").exists() else contents_beside(root))
    write_folder(tmp_path / "0" / "model", new)
    assert contents(tmp_path / "0" / "model") == new and [path.name for path in (tmp_path / "0").iterdir()] == ["model"]
    assert states[:4] == [old] * 4, "nothing is renamed before the files and their folder are synced"
    assert all(state in (old, new) for state in states)


def contents_beside(root: Path) -> dict[str, bytes]:
    """The contents of the folder that has a hidden name between two renames."""
    (hidden,) = (path for path in root.iterdir() if path.name.startswith("."))
    return contents(hidden)


def test_this_machine_exchanges_folders_in_one_step(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not files.exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange two folders")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    with pytest.raises(FileNotFoundError):
        files.exchange(tmp_path / "a", tmp_path / "nowhere")


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    write_folder(tmp_path / "data", {"a": b"old"})
    (tmp_path / "model").symlink_to(tmp_path / "data")
    write_folder(tmp_path / "model", {"a": b"new"})
    assert (tmp_path / "model").is_symlink() and contents(tmp_path / "data") == {"a": b"new"}


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_follow_the_umask_which_is_never_touched(tmp_path, monkeypatch, mask):
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("the umask belongs to every thread"))
            atomic_write(tmp_path / "file", b"1")
            write_folder(tmp_path / "folder", {"a": b"1"})
    finally:
        os.umask(before)
    modes = {p: stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("file", "folder", "folder/a")}
    assert modes == {"file": 0o666 & ~mask, "folder": 0o777 & ~mask, "folder/a": 0o666 & ~mask}


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"), (errno.EROFS, "that you may write to"), (errno.EIO, "check the disk"),
        (errno.EACCES, "that you may write to"),
    ],
)  # fmt: skip
def test_the_advice_fits_the_reason(tmp_path, monkeypatch, number, advice):
    atomic_write(tmp_path / "file", b"old")
    write_folder(tmp_path / "folder", {"a": b"old"})

    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    for write in (
        lambda: atomic_write(tmp_path / "file", b"new"), lambda: write_folder(tmp_path / "folder", {"a": b"new"}),
    ):  # fmt: skip
        with pytest.raises(OutputError, match=f"{os.strerror(number)}; .*{advice}"):
            write()
    assert (tmp_path / "file").read_bytes() == (tmp_path / "folder" / "a").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match="choose a folder that exists"):
        atomic_write(tmp_path / "nowhere" / "file", b"1")


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    atomic_write(tmp_path / "file", b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as path:
        path.write_bytes(b"half")
        raise ZeroDivisionError
    assert contents(tmp_path) == {"file": b"old"}
