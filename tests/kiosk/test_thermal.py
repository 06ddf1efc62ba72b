"""The kiosk warns staff when the machine gets hot: once, until it has cooled down."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from livetint.kiosk.server.thermal import ThermalWatch


def zones(folder: Path, **degrees: float) -> Path:
    for name, value in degrees.items():
        zone = folder / name
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "temp").write_text(f"{round(value * 1000)}\n")
        (zone / "type").write_text("soc\n")
    return folder


def test_a_hot_machine_is_said_once_and_again_only_after_it_cooled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # set_up_logs keeps the kiosk's records from the root logger, where caplog listens.
    monkeypatch.setattr(logging.getLogger("livetint"), "propagate", True)
    watch = ThermalWatch(tmp_path)

    def warnings_after(*degrees: float) -> int:
        caplog.clear()
        for value in degrees:
            zones(tmp_path, thermal_zone0=value, thermal_zone1=40)
            watch.look()
        return sum(record.levelno == logging.WARNING for record in caplog.records)

    assert warnings_after(60, 84.9) == 0 and not watch.hot
    assert warnings_after(85, 99, 86, 80) == 1 and watch.hot and watch.hottest_c == 80
    assert warnings_after(74.9) == 0 and not watch.hot
    assert warnings_after(90) == 1


def test_machines_without_sensors_and_zones_that_are_off_are_neither_hot_nor_cold(tmp_path: Path) -> None:
    watch = ThermalWatch(tmp_path / "none")
    watch.look()
    assert watch.hottest_c is None and not watch.hot
    (tmp_path / "thermal_zone0").mkdir()
    (tmp_path / "thermal_zone0" / "temp").write_text("invalid")
    zones(tmp_path, thermal_zone1=41.5)
    watch = ThermalWatch(tmp_path)
    watch.look()
    assert watch.hottest_c == 41.5
