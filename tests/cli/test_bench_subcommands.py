"""The benches besides latency and accuracy: mistakes end in one line and exit code 2, before any work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from livetint.bench.latency import energy
from livetint.bench.latency.energy import Sensor
from livetint.bench.report import page
from livetint.cli.__main__ import main
from livetint.cli.bench import COMMANDS
from livetint.cli.bench import energy as energy_command
from livetint.engine.errors import ConfigError
from livetint.engine.runners.tensorrt.driver import driver_present

from ..bench.stubs import ConstantRunner


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("sheets", ["nothing.tar", "-o", "sheet.png"], "nothing.tar is neither a folder nor a tar"),
        ("sheets", [], "Missing argument"),
        ("readme-figure", ["-o", "picture.png", "--photo", "nothing.jpg"], "nothing.jpg does not exist"),
        ("readme-figure", ["-o", "picture.odd"], "extension '.odd'"),
        ("gpu", ["--display", "wide"], "wide"),
        ("gpu", ["--json", "missing/gpu.json"], "the folder missing does not exist"),
        ("kiosk", ["--json", "missing/kiosk.json"], "the folder missing does not exist"),
        ("kiosk", ["--moves", "1"], "--moves"),
        ("kiosk", ["--in-browser", "--brush"], "neither strokes nor JPEGs"),
        ("kiosk", ["--screens", "0,2"], "--screens '0,2' is out of range; numbers run from 1 to 64"),
        ("archive", ["--photos", "nothing"], "nothing does not exist"),
        ("video", ["--size", "large"], "--size 'large' is no size"),
        ("energy", ["--hints", "few"], "whole numbers"),
        ("energy", ["--json", "missing/energy.json"], "the folder missing does not exist"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path: Path, command: str, arguments: list[str], words: str) -> None:
    done = _livetint(tmp_path, command, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("livetint: ") and done.stderr.count("\n") == 1 and words in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(driver_present(), reason="this machine has an NVIDIA driver")
def test_without_a_gpu_the_gpu_bench_ends_at_once(tmp_path: Path) -> None:
    done = _livetint(tmp_path, "gpu", "--json", "gpu.json")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("livetint: ") and done.stderr.count("\n") == 1
    assert "driver" in done.stderr or "pycuda" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        main(["bench", command, "--help"])
        assert f"Usage: livetint bench {command}" in capsys.readouterr().out
    main(["bench", "--help"])
    out = capsys.readouterr().out
    assert all(f"  {command}" in out for command in COMMANDS)


def test_without_a_sensor_the_energy_bench_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(energy, "sensors", list)
    with pytest.raises(SystemExit) as leaving:
        main(["bench", "energy"])
    out, err = capsys.readouterr()
    assert leaving.value.code == 2 and out == ""
    assert err.startswith("livetint: no sensor for energy can be read") and err.count("\n") == 1


def test_energy_of_a_touch_goes_to_the_terminal_the_file_and_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(energy, "sensors", lambda: [Sensor("board", lambda: 5.0, counts=False)])
    monkeypatch.setattr(energy, "MEASURE_S", 0.05)
    monkeypatch.setattr(energy, "IDLE_S", 0.05)
    monkeypatch.setattr(energy_command, "open_runner", lambda model, device: ConstantRunner())
    path = tmp_path / "energy.json"
    main(["bench", "energy", "--hints", "1,4", "--json", str(path)])
    out, err = capsys.readouterr()
    assert "touch_to_ab_4: " in out and "J by board" in out and err == ""
    result = json.loads(path.read_text())
    assert result["kind"] == "energy" and set(result["energy"]["board"]) == {"idle_w", "touch_to_ab_1", "touch_to_ab_4"}
    assert {"model", "machine", "machine_after", "versions", "command"} <= set(result)
    main(["bench", "report", str(path), "-o", str(tmp_path / "energy.html")])
    assert "| board | touch_to_ab_4 |" in capsys.readouterr().out
    assert "touch_to_ab_4" in (tmp_path / "energy.html").read_text()


def test_a_report_that_cannot_be_made_writes_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*arguments: object) -> str:
        raise ConfigError("the report's plots need matplotlib")

    monkeypatch.setattr(page, "page", fail)
    result = Path(__file__).parents[1] / "bench" / "report" / "recorded" / "latency-peers.json"
    with pytest.raises(SystemExit):
        main(["bench", "report", str(result), "-o", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md")])
    assert list(tmp_path.iterdir()) == []


def _livetint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from livetint.cli.__main__ import main; main()"
    command = [sys.executable, "-c", program, "bench", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
