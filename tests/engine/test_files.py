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
from livetint.engine.files import atomic_write, check_keeps, check_writable, replacing, same_file, write_folder

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


# What is there keeps its permissions -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(mode)
    atomic_write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_folder_that_is_replaced_keeps_its_mode(tmp_path):
    write_folder(tmp_path / "model", {"a": b"old"})
    (tmp_path / "model").chmod(0o2770)
    write_folder(tmp_path / "model", {"a": b"new"})
    assert contents(tmp_path / "model") == {"a": b"new"}
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o2770


def test_the_content_is_never_readable_by_more_than_the_old_file_was(tmp_path):
    (tmp_path / "file").touch(0o600)
    with replacing(tmp_path / "file") as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EINVAL])
def test_a_share_that_refuses_chmod_and_chown_gets_the_file_all_the_same(tmp_path, monkeypatch, number):
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "file").write_bytes(b"old")
    write_folder(tmp_path / "folder", {"a": b"old"})
    for name in ("chmod", "fchmod", "chown", "fchown"):
        monkeypatch.setattr(os, name, refuse)
    atomic_write(tmp_path / "file", b"new")
    write_folder(tmp_path / "folder", {"a": b"new"})
    assert (tmp_path / "file").read_bytes() == (tmp_path / "folder" / "a").read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF])
@pytest.mark.parametrize("of", ["folders", "files and folders"])
def test_a_share_without_fsync_gets_the_file_all_the_same(tmp_path, monkeypatch, number, of):
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if of == "folders" and not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return sync(descriptor)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    atomic_write(tmp_path / "file", b"new")
    write_folder(tmp_path / "folder", {"a": b"new"})
    assert (tmp_path / "file").read_bytes() == (tmp_path / "folder" / "a").read_bytes() == b"new"


def test_a_folder_that_may_not_be_read_takes_the_file_all_the_same(tmp_path, monkeypatch):
    open_file = os.open

    def refuse_folders(path: object, flags: int, *mode: int, **options: int) -> int:
        if path == tmp_path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_file(path, flags, *mode, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse_folders)
    atomic_write(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"new"}


# Links and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_file_stays_a_link(tmp_path, exists):
    (tmp_path / "data").mkdir()
    if exists:
        (tmp_path / "data" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("data/file")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and contents(tmp_path / "data") == {"file": b"new"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_device_or_pipe_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for act in (check_writable, lambda path: atomic_write(path, b"new")):
        with pytest.raises(OutputError, match="not an ordinary file"):
            act(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("name", ["n" * 246, "n" * 255, "ü" * 127, "写" * 85])
def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path, name):
    check_writable(tmp_path / name)
    atomic_write(tmp_path / name, b"new")
    write_folder(tmp_path / "in" / name, {"a": b"new"})
    assert (tmp_path / name).read_bytes() == b"new"


@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128, "nul\0byte"])
def test_an_impossible_name_is_refused_early_and_late(tmp_path, name):
    for act in (check_writable, lambda path: atomic_write(path, b"new")):
        with pytest.raises(OutputError, match="choose another name"):
            act(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_check_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_takes_no_file_is_found_early(tmp_path, monkeypatch, number):
    def refuse(path: object, flags: int, *mode: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=r"choose another|choose a folder|free some"):
        check_writable(tmp_path / "file")


# Inputs are not lost ---------------------------------------------------------------------------------------------


def ways_to(path: Path) -> dict[str, Path]:
    """Other names of one file."""
    folder = path.parent
    (folder / "sub").mkdir()
    (folder / "link").symlink_to(path)
    (folder / "link-to-link").symlink_to("link")
    (folder / "linked-folder").symlink_to(folder)
    os.link(path, folder / "hard")
    names = ("link", "link-to-link", "hard", f"linked-folder/{path.name}", f"sub/../{path.name}", path.name)
    return {name: folder / name for name in names}


def test_a_result_that_would_replace_an_input_is_refused_by_whatever_name(tmp_path):
    (tmp_path / "photo").write_bytes(b"photo")
    (tmp_path / "other").write_bytes(b"photo")
    for name, path in ways_to(tmp_path / "photo").items():
        assert same_file(path, tmp_path / "photo"), name
        with pytest.raises(OutputError, match=r"same file as .*would be lost; choose another name"):
            check_writable(path, (None, tmp_path / "other", tmp_path / "photo"))
    check_writable(tmp_path / "new", (tmp_path / "photo", tmp_path / "missing"))


def test_two_results_that_do_not_exist_yet_are_told_apart(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new")
    assert same_file(tmp_path / "link", tmp_path / "new")
    assert not same_file(tmp_path / "new", tmp_path / "newer")


def test_a_folder_that_holds_an_input_is_not_replaced(tmp_path):
    (tmp_path / "bundle" / "sub").mkdir(parents=True)
    (tmp_path / "bundle" / "sub" / "weights").touch()
    (tmp_path / "link").symlink_to(tmp_path / "bundle")
    for folder in (tmp_path / "bundle", tmp_path / "link", tmp_path):
        with pytest.raises(OutputError, match="would be lost"):
            check_keeps(folder, (None, tmp_path / "bundle" / "sub" / "weights"))
    check_keeps(tmp_path / "new", (tmp_path / "bundle",))
