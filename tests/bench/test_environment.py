"""The machine in a result: read from files, None where there are none."""

from __future__ import annotations

import json

from livetint.bench import environment

from ..needs import needs
from .stubs import ConstantRunner


def test_clocks_and_temperatures_are_read_from_files(tmp_path):
    cpu = tmp_path / "cpu"
    (cpu / "cpu0/cpufreq").mkdir(parents=True)
    (cpu / "cpu0/cpufreq/scaling_governor").write_text("performance\n")
    (cpu / "cpu0/cpufreq/scaling_cur_freq").write_text("1500000\n")
    zone = tmp_path / "thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("45500\n")
    (zone / "type").write_text("cpu-thermal\n")
    found = environment.machine(cpu, tmp_path / "thermal")
    assert found["governor"] == "performance"
    assert found["clock_khz"] == 1_500_000
    assert found["highest_clock_khz"] is None
    assert found["temperatures_c"] == {"thermal_zone0 cpu-thermal": 45.5}


def test_what_cannot_be_read_is_none_and_the_result_is_json(tmp_path):
    found = environment.machine(tmp_path, tmp_path)
    assert found["governor"] is None and found["clock_khz"] is None
    json.dumps(found, allow_nan=False)
    assert found["usable_processors"] >= 1


def test_the_power_mode_is_read_by_name(tmp_path, monkeypatch):
    program = tmp_path / "nvpmodel"
    program.write_text("#!/bin/sh\necho 'NV Power Mode: MAXN_SUPER'\necho 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert environment.power_mode() == "MAXN_SUPER"
    program.write_text("#!/bin/sh\nexit 1\n")
    assert environment.power_mode() is None


def test_a_models_digest_is_that_of_its_files():
    digest = ConstantRunner().bundle.digest
    assert len(digest) == 64
    assert environment.model_table(ConstantRunner().bundle)["sha256"] == digest


def test_versions_name_the_packages_that_are_used():
    assert {"python", "numpy", "onnxruntime", "livetint"} <= set(environment.versions())


@needs("tensorrt_rtx")
def test_versions_name_tensorrt_rtx_by_its_package():
    assert environment.versions()["tensorrt-rtx-cu13"].startswith("1.")
