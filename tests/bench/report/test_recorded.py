"""Results that earlier versions wrote: the report reads them, and what is written today still holds every key.

The files were written by `livetint bench` of commit 0a90fb1, on two bundled photographs and with eight touches; the
bursts of `relative` are cut to three in each round.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from livetint.bench.latency.against import Against
from livetint.bench.latency.beside import Beside, OtherBuild
from livetint.bench.latency.roofline import Roofline
from livetint.bench.report import page
from livetint.cli.commands import livetint
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner

from ...needs import needs
from ..stubs import ConstantRunner, hasten, measured

RECORDED = Path(__file__).parent / "recorded"
PHOTOS = Path(__file__).parents[3] / "photos"


def recorded(name: str) -> dict[str, Any]:
    return page.read_result(RECORDED / f"{name}.json")


def keys(value: Any, path: str = "") -> set[str]:
    """Paths of all keys, and the kind of what stands there."""
    if isinstance(value, dict):
        return {found for key, inner in value.items() for found in keys(inner, f"{path}/{key}")}
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    return {f"{path}: {kind}"}


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("accuracy", ["| touch | 3.36 ± 1.25 | 8.01 ± 0.86 | 10.97 ± 0.92 |", "| histogram | 10.94 ± 2.00 |",
                      "| aged light | 0.20 ± 0.08 | 0.78 ± 0.59 | 1.25 ± 0.66 |", "| chosen | 1.17 ± 0.02 |",
                      "| network | 1 | 0.0426 |", "| network | even | 16 | 0.459 ± 0.233 |",
                      "| coverage | 9 | 0.75 | 0.188 | 2 |"]),
        ("latency", ["| touch_to_ab_2 | 522 × | 472 to 662 |", "| siggraph17: touch_to_ab_2 | 8 | 768 |",
                     "| 2 threads (OnnxRunner) | encode |", "| encode | 3.91 | 35.6 |", "reference_convolutions"]),
        ("latency-peers", ["| encode | PyTorch | 1.84 × |", "| ncnn | encode, touch_2: ncnn is not installed"]),
    ],
)  # fmt: skip
def test_the_report_shows_what_earlier_versions_wrote(name: str, lines: list[str]):
    text = page.markdown([recorded(name)])
    for line in lines:
        assert line in text


@needs("skimage")
@needs("scipy")
def test_an_accuracy_result_still_holds_every_key(tmp_path: Path):
    for name in ("chelsea-the-cat.jpg", "coffee.jpg"):
        (tmp_path / name).write_bytes((PHOTOS / name).read_bytes())
    old, path = recorded("accuracy"), tmp_path / "new.json"
    command = old["command"].split()[1:]
    command[command.index("photos")], command[command.index("acc.json")] = str(tmp_path), str(path)
    assert CliRunner().invoke(livetint, command, catch_exceptions=False).exit_code == 0
    today = page.read_result(path)
    for result in (old, today):
        del result["machine"], result["versions"]
    assert keys(old) <= keys(today)


def test_a_latency_result_still_holds_every_key(monkeypatch: pytest.MonkeyPatch):
    hasten(monkeypatch)
    with OnnxRunner(find_model("touch"), 1) as runner:
        beside = Beside([OtherBuild("touch", ConstantRunner(), 1), OtherBuild("2 threads", ConstantRunner(), 2)])
        today, _ = measured(runner, (2,), Against(ConstantRunner()), beside, Roofline())
    old = recorded("latency")
    for result in (old, today):
        del result["machine"]["temperatures_c"], result["machine_after"]["temperatures_c"], result["versions"]
    missing = keys(old) - keys(today)
    assert missing == {"/command: str"}, "the command line adds this one"
