"""The same manifest by a cluster: a local Ray of two processes, on loopback, with a worker killed in mid-run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from livetint.archive.cluster import LOCAL, Cluster, check_node
from livetint.archive.colour import Settings
from livetint.archive.manifest import Manifest
from livetint.archive.plan import make_plan
from livetint.archive.run import run
from livetint.engine.errors import ConfigError

from ..kiosk.stub_bundle import write_stub_bundle
from ..needs import needs
from .photographs import write_photographs
from .test_resume import assert_complete, records

pytestmark = needs("ray")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle and photographs, and room for the copies."""
    folder = tmp_path_factory.mktemp("cluster")
    write_stub_bundle(folder / "stub")
    write_photographs(folder / "photos", 12)
    return folder


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[Cluster]:
    (place / "out").mkdir()
    first = make_plan([place / "photos"], place / "out").photographs[0].source
    with Cluster(Settings(str(place / "stub"), "cpu"), LOCAL, place / "out", first, 2) as cluster:
        yield cluster


def ray_workers() -> list[int]:
    """The worker processes that colour. Other children of this process have tests in their command lines."""
    titles = {child.pid: " ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)}
    return [pid for pid, title in titles.items() if title.startswith("ray::") and "_colour" in title]


def test_a_worker_that_is_killed_loses_nothing_and_does_nothing_twice(cluster: Cluster, place: Path):
    photos, out = place / "photos", place / "out"
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if not killed and (workers := ray_workers()):
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    plan = make_plan([photos], out)
    with Manifest(out) as manifest:
        summary = run(plan, out, manifest, "model", cluster, report=kill_one)
    assert killed and (summary.coloured, summary.failures) == (12, [])
    assert len(records(out)) == 12
    assert_complete(out, [photograph.name for photograph in plan.photographs])


def test_ray_listens_on_loopback_alone_without_a_dashboard(cluster: Cluster):
    children = psutil.Process().children(recursive=True)
    listening = {at.laddr.ip for child in children for at in child.net_connections("inet") if at.status == "LISTEN"}
    assert listening and listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert not [child for child in children if "dashboard.py" in "".join(child.cmdline())]


def test_an_address_joins_a_running_cluster(cluster: Cluster, place: Path):
    """The command, as another program than the one that started Ray."""
    code, out = "from livetint.cli.__main__ import main; main()", place / "joined"
    command = ["colorize", place / "photos", "-o", out, "--cluster", cluster.address, "--model", place / "stub"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "12 coloured" in done.stderr and "2 tasks at once on 1 machine" in done.stderr
    assert len(records(out)) == 12


def test_another_version_is_refused_in_one_sentence(cluster: Cluster, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    with pytest.raises(ConfigError, match=r"has Livetint .*, this machine 9\.9; install the same on all"):
        cluster.check(place / "out", next((place / "photos").rglob("*.png")))


def test_a_folder_that_is_not_shared_is_named(place: Path):
    settings = msgspec.msgpack.encode(Settings(str(place / "stub"), "cpu"))
    photo = os.fsencode(next((place / "photos").rglob("*.png")))
    assert check_node(settings, photo, photo).error == ""
    assert "archives need a folder that all share" in check_node(settings, b"/nowhere/marker", photo).error
