"""The manifest: appended line by line, read back after a crash, held by one run at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from livetint.archive.manifest import NAME, Manifest, Record
from livetint.engine.errors import OutputError

DONE = Record("a.png", "a.png", "in", "out", "model", {"vivid": 1.2, "hints": None}, 0.5, "", [], "1")


def test_records_are_read_back(tmp_path: Path):
    with Manifest(tmp_path) as manifest:
        manifest.append(DONE)
        manifest.append(Record("b.png", "b.png", "in", error="is empty"))
    with Manifest(tmp_path) as manifest:
        assert manifest.last("a.png") == DONE
        assert manifest.last("b.png") is None
        assert manifest.written("a.png") == {"out"} and manifest.written("b.png") == frozenset()


def test_a_line_names_paths_hashes_model_options_time_and_error(tmp_path: Path):
    with Manifest(tmp_path) as manifest:
        manifest.append(DONE)
    assert json.loads((tmp_path / NAME).read_text()) == {
        "path": "a.png", "output": "a.png", "sha256_in": "in", "sha256_out": "out", "model": "model",
        "options": {"vivid": 1.2, "hints": None}, "seconds": 0.5, "error": "", "notes": [], "livetint": "1",
    }  # fmt: skip


def test_the_last_line_of_a_photograph_counts_and_all_its_pictures_are_known(tmp_path: Path):
    with Manifest(tmp_path) as manifest:
        manifest.append(DONE)
        manifest.append(Record("a.png", "a.png", "in", "newer"))
        manifest.append(Record("a.png", "a.png", "in", error="is empty"))
        last = manifest.last("a.png")
        assert last is not None and last.sha256_out == "newer"
        assert manifest.written("a.png") == {"out", "newer"}


@pytest.mark.parametrize("rubbish", [b'{"path": "b.p', b"\xff\x00\n", b'{"path": 7}\n', b"[]\n", b"\n\n"])
def test_a_line_that_was_cut_off_counts_for_nothing(tmp_path: Path, rubbish: bytes):
    with Manifest(tmp_path) as manifest:
        manifest.append(DONE)
    with (tmp_path / NAME).open("ab") as file:
        file.write(rubbish)
    with Manifest(tmp_path) as manifest:
        manifest.append(Record("c.png", "c.png", "in", "out"))
    with Manifest(tmp_path) as manifest:
        assert manifest.last("a.png") == DONE
        assert manifest.last("b.png") is None and manifest.last("c.png") is not None


def test_names_need_not_be_utf8(tmp_path: Path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    with Manifest(tmp_path) as manifest:
        manifest.append(Record(name, name, "in", "out"))
    with Manifest(tmp_path) as manifest:
        assert manifest.written(name) == {"out"}


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path):
    with Manifest(tmp_path / "out"):
        pass
    with Manifest(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_run_at_a_time_holds_it(tmp_path: Path):
    with Manifest(tmp_path), pytest.raises(OutputError, match="another run"):
        Manifest(tmp_path)
    with Manifest(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        Manifest(tmp_path / "file" / "out")
