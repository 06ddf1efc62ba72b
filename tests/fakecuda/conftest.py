"""Tests of this folder run in one process of their own, where libcuda.so.1 and TensorRT are the stand-ins.

The others must not see a driver, and nothing may load one twice. The process starts once the tests are collected and
runs beside the tests of other folders. Each test is reported as if it had run here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..needs import NEEDS
from .standin import CHILD, Standin, environment, standin

HERE = Path(__file__).parent
REPORTS = "FAKECUDA_REPORTS"
MAX_S = 600


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of one test are found by that test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def gpu() -> Iterator[Standin]:
    """The stand-in GPU, without faults; what a test took must have been given back, unless an error stuck."""
    stand_in = standin()
    stand_in.reset()
    before = stand_in.held_bytes
    yield stand_in
    if not stand_in.stuck:
        assert stand_in.held_bytes == before, "memory was not given back"
    assert stand_in.damage == 0, "something wrote behind its memory"
    stand_in.reset()


class StandinProcess:
    """The other process: it runs the given tests of this folder, and writes their reports to a file."""

    def __init__(self, config: pytest.Config, wanted: list[str]) -> None:
        self._config = config
        self._reports: dict[str, list[pytest.TestReport]] | None = None
        folder = config.rootpath / "build"
        folder.mkdir(exist_ok=True)
        self._path = folder / f"standin-{os.getpid()}.jsonl"
        self._log = self._path.with_suffix(".log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted],
                cwd=config.rootpath, env=environment(**{CHILD: "1", REPORTS: str(self._path)}),
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def reports_of(self, item: pytest.Item) -> list[pytest.TestReport]:
        """The reports of one test. The first call waits for the process to end."""
        if self._reports is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(MAX_S)
            self._reports = self._read()
        found = self._reports.get(item.nodeid)
        if found:
            return found
        ended = "was too slow and did not come to" if self._process.poll() is None else "ended before"
        words = f"the process on the stand-in driver {ended} this test:\n{self._log.read_text()[-4000:]}"
        return [pytest.TestReport(item.nodeid, item.location, {}, "failed", words, "call")]

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._path.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[pytest.TestReport]]:
        reports: dict[str, list[pytest.TestReport]] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else []:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=json.loads(line))
            reports.setdefault(report.nodeid, []).append(report)
        return reports


_process: StandinProcess | None = None


def pytest_collection_finish(session: pytest.Session) -> None:
    global _process
    if CHILD in os.environ or session.config.option.collectonly or not all(NEEDS[n][0]() for n in ("c++", "pycuda")):
        return
    wanted = [item.nodeid for item in session.items if HERE in item.path.parents]
    if wanted:
        _process = StandinProcess(session.config, wanted)


def pytest_unconfigure() -> None:
    global _process
    if _process is not None:
        _process.close()
        _process = None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if HERE not in item.path.parents or _process is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _process.reports_of(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if REPORTS in os.environ and CHILD in os.environ:
        data = _config.hook.pytest_report_to_serializable(config=_config, report=report)
        with Path(os.environ[REPORTS]).open("a") as stream:
            stream.write(json.dumps(data) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    global _config
    _config = config


_config: pytest.Config
