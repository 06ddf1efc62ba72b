"""Tests of this folder run in one process of their own, where libcuda.so.1 and TensorRT are the stand-ins.

The others must not see a driver, and nothing may load one twice. Each test is reported as if it had run here.
"""

from __future__ import annotations

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
_reports: dict[str, list[pytest.TestReport]] | None = None
_printed = ""


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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if HERE not in item.path.parents or CHILD in os.environ or not all(NEEDS[n][0]() for n in ("c++", "pycuda")):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports_of(item):
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


def _reports_of(item: pytest.Item) -> list[pytest.TestReport]:
    global _reports
    if _reports is None:
        _reports = _run_all(item)
    found = _reports.get(item.nodeid)
    if found:
        return found
    words = f"the process on the stand-in driver ended before this test:\n{_printed[-4000:]}"
    return [pytest.TestReport(item.nodeid, item.location, {}, "failed", words, "call")]


def _run_all(item: pytest.Item) -> dict[str, list[pytest.TestReport]]:
    """Run every wanted test of this folder in the other process; its reports by test."""
    global _printed
    wanted = [other.nodeid for other in item.session.items if HERE in other.path.parents]
    folder = item.config.rootpath / "build"
    folder.mkdir(exist_ok=True)
    path = folder / f"standin-{os.getpid()}.jsonl"
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted],
            cwd=item.config.rootpath, env=environment(**{CHILD: "1", REPORTS: str(path)}),
            capture_output=True, text=True, timeout=MAX_S,
        )  # fmt: skip
        _printed = done.stdout + done.stderr
        lines = path.read_text().splitlines() if path.exists() else []
    finally:
        path.unlink(missing_ok=True)
    reports: dict[str, list[pytest.TestReport]] = {}
    for line in lines:
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=json.loads(line))
        reports.setdefault(report.nodeid, []).append(report)
    return reports


_config: pytest.Config
