"""One photograph: faults become its error, links are not written through, and a full disk ends the run."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from livetint.archive import colour
from livetint.archive.colour import PART, Colourist, Result, Settings, Task
from livetint.archive.manifest import Manifest
from livetint.archive.plan import make_plan
from livetint.archive.run import run
from livetint.engine import OnnxRunner, find_model
from livetint.engine.errors import DeviceLost, OutputError
from PIL import Image

from ..kiosk.stub_bundle import write_stub_bundle

Do = Callable[..., Result]


@pytest.fixture(scope="module")
def colourist(tmp_path_factory: pytest.TempPathFactory) -> Colourist:
    stub = write_stub_bundle(tmp_path_factory.mktemp("bundle") / "stub")
    return Colourist(OnnxRunner(find_model(stub), 1), Settings(str(stub), "cpu"))


@pytest.fixture
def do(colourist: Colourist, tmp_path: Path) -> Do:
    """Colour in.png into out/in.png."""
    Image.new("L", (16, 12), 90).save(tmp_path / "in.png")
    (tmp_path / "out").mkdir()

    def do(**changes: object) -> Result:
        task = {
            "number": 0,
            "name": b"in.png",
            "source": path("in.png"),
            "output": path("out/in.png"),
            "out": path("out"),
        }
        return colourist.do(Task(**{**task, **changes}))  # type: ignore[arg-type]

    def path(name: str) -> bytes:
        return os.fsencode(tmp_path / name)

    return do


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob(PART))


def test_a_copy_is_written_under_a_temporary_name(do: Do, tmp_path: Path):
    result = do()
    assert result.error == "" and Path(os.fsdecode(result.part)) in parts(tmp_path / "out")
    assert Image.open(os.fsdecode(result.part)).size == (16, 12)
    assert not (tmp_path / "out" / "in.png").exists()


def test_what_was_done_is_skipped_and_what_was_changed_is_kept(do: Do, colourist: Colourist, tmp_path: Path):
    first = do()
    copy = tmp_path / "out" / "in.png"
    Path(os.fsdecode(first.part)).rename(copy)
    done = (first.sha256_in, first.sha256_out, colourist.model, first.options)
    again = do(done=done, written=[first.sha256_out])
    assert (again.part, again.error, again.sha256_out) == (b"", "", first.sha256_out)
    assert do(done=(*done[:3], {}), written=[first.sha256_out]).part
    copy.write_bytes(b"mine")
    assert "was changed after it was written" in do(done=done, written=[first.sha256_out]).error
    assert do(done=done, written=[first.sha256_out], overwrite=True).part


@pytest.mark.parametrize("place", ["in.png", "."])
def test_nothing_is_written_through_a_link(do: Do, tmp_path: Path, place: str):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "in.png").write_bytes(b"theirs")
    if place == ".":
        (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
        result = do(output=os.fsencode(tmp_path / "out" / "sub" / "in.png"), overwrite=True)
    else:
        (tmp_path / "out" / "in.png").symlink_to(tmp_path / "elsewhere" / "in.png")
        result = do(overwrite=True)
    assert "link" in result.error and parts(tmp_path) == []
    assert (tmp_path / "elsewhere" / "in.png").read_bytes() == b"theirs"


def fail(error: BaseException) -> Callable[..., object]:
    def raising(*arguments: object, **options: object) -> object:
        raise error

    return raising


@pytest.mark.parametrize(
    ("error", "words", "full"),
    [
        (MemoryError(), "in.png needs more memory than there is", False),
        (KeyError("odd"), "in.png: internal error: KeyError", False),
        (OutputError("too large for WebP"), "in.png: too large for WebP", False),
    ],
)
def test_a_fault_becomes_the_photographs_error(do: Do, tmp_path: Path, monkeypatch, error, words: str, full: bool):
    monkeypatch.setattr(colour, "encode_rgb", fail(error))
    result = do()
    assert words in result.error and result.full is full
    assert result.sha256_in and not result.sha256_out and parts(tmp_path) == []


def test_a_full_disk_ends_the_run_and_leaves_no_part(do: Do, colourist: Colourist, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(colour, "fsync", fail(OSError(errno.ENOSPC, "No space left on device")))
    assert do().full and parts(tmp_path) == []

    class Here:
        def results(self, tasks):
            return map(colourist.do, tasks)

        def close(self):
            pass

    (tmp_path / "in.png").replace(tmp_path / "out" / "scan.png")
    plan = make_plan([tmp_path / "out"], tmp_path / "copies")
    with Manifest(tmp_path / "copies") as manifest, pytest.raises(OutputError, match="free some space"):
        run(plan, tmp_path / "copies", manifest, "model", Here())
    assert not (tmp_path / "copies").exists()


def test_a_lost_gpu_is_not_the_photographs_fault(do: Do, monkeypatch):
    monkeypatch.setattr(colour, "encode_rgb", fail(DeviceLost("gone")))
    with pytest.raises(DeviceLost):
        do()


def test_a_source_that_is_gone_is_named(do: Do):
    assert do(source=b"/nowhere/in.png").error == "in.png is no longer there; run the command again"
