"""An archive is coloured by several processes, killed and resumed; nothing is lost or done twice.

`make soak` runs this with 1,000 photographs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from livetint.archive.colour import PART, Settings
from livetint.archive.jobs import Processes
from livetint.archive.manifest import NAME, Manifest
from livetint.archive.plan import make_plan
from livetint.archive.run import run
from livetint.engine.files import sha256_of

from ..kiosk.running import until
from ..kiosk.stub_bundle import write_stub_bundle
from .photographs import write_photographs

COUNT = 1000 if os.environ.get("LIVETINT_SOAK") else 100


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stub_bundle(tmp_path_factory.mktemp("bundle") / "stub")


def records(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / NAME).read_text().splitlines()]


def line_count(out: Path) -> int:
    path = out / NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start(photos: Path, out: Path, model: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "colorize", photos, "-o", out]
    return subprocess.Popen(
        [*map(str, command), "--jobs", "2", "--model", str(model)], stderr=subprocess.PIPE, text=True
    )


def assert_complete(out: Path, names: list[str]) -> None:
    """Every photograph has its copy, as the manifest says, and nothing else lies there."""
    last = {record["path"]: record for record in records(out)}
    assert sorted(last) == names and not any(record["error"] for record in last.values())
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {NAME, *names}
    for name, record in last.items():
        assert sha256_of((out / name).read_bytes()) == record["sha256_out"]


def test_a_run_that_is_killed_twice_is_resumed(stub: Path, tmp_path: Path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    names = write_photographs(photos, COUNT)
    for enough in (COUNT // 4, COUNT // 2):
        with start(photos, out, stub) as process:
            until(lambda: line_count(out) >= enough or process.poll() is not None, "some photographs")  # noqa: B023
            process.kill()
    assert line_count(out) < COUNT
    before = line_count(out)
    with start(photos, out, stub) as process:
        _, said = process.communicate()
    assert process.returncode == 0
    assert_complete(out, names)
    # A kill may fall between a line and its picture: then the photograph is coloured again.
    assert COUNT <= line_count(out) <= COUNT + 2
    coloured = line_count(out) - before
    assert f"{coloured} coloured" in said and f"{COUNT - coloured} done before" in said


def test_an_interrupted_run_leaves_no_part_and_says_how_to_go_on(stub: Path, tmp_path: Path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photographs(photos, 60)
    with start(photos, out, stub) as process:
        until(lambda: line_count(out) >= 5 or process.poll() is not None, "some photographs")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert [line for line in said.splitlines() if line] == [
        "what was done is kept; the same command goes on from there",
        "livetint: interrupted",
    ]
    assert list(out.rglob(PART)) == []


def test_a_worker_that_is_killed_loses_nothing(stub: Path, tmp_path: Path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    names = write_photographs(photos, 12)
    plan, settings = make_plan([photos], out), Settings(str(stub), "cpu")
    with Manifest(out) as manifest, Processes(settings, 2) as workers:
        first = workers.pids

        def kill_one(done: int, total: int) -> None:
            if done == 3:
                os.kill(first[0], signal.SIGKILL)

        summary = run(plan, out, manifest, "model", workers, report=kill_one)
        assert first[0] not in workers.pids and first[1] in workers.pids
    assert (summary.coloured, summary.failures) == (12, [])
    assert len(records(out)) == 12
    assert_complete(out, names)


def test_a_photograph_whose_worker_dies_twice_is_a_failure(stub: Path, tmp_path: Path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    good, deadly = (photos / name for name in write_photographs(photos, 2))
    plan, settings = make_plan([good, deadly], out), Settings(str(stub), "cpu")
    deadly.unlink()
    os.mkfifo(deadly)  # a worker waits for its other end
    with Manifest(out) as manifest, Processes(settings, 1) as workers:

        def kill_twice() -> None:
            first = kill_reader()
            until(lambda: workers.pids[0] != first, "another worker")
            kill_reader()

        def kill_reader() -> int:
            with deadly.open("wb"):  # waits until the worker reads
                pid = workers.pids[0]
                os.kill(pid, signal.SIGKILL)
            return pid

        killer = threading.Thread(target=kill_twice)
        killer.start()
        summary = run(plan, out, manifest, "model", workers)
        killer.join()
    assert summary.coloured == 1
    assert len(summary.failures) == 1 and "was ended by SIGKILL, 2 times" in summary.failures[0]
    assert str(deadly) in summary.failures[0]
    assert [bool(record["error"]) for record in records(out)] == [False, True]
