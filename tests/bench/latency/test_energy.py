"""Joules of a touch, from sensors that are files; None without a sensor."""

from __future__ import annotations

import pytest
from livetint.bench.latency import energy
from livetint.bench.latency.energy import Sensor, of_touches, sensors
from livetint.bench.latency.workloads import Workload


class World:
    """10 watts when idle; a touch takes a tenth of a second at 30 watts."""

    def __init__(self):
        self.now = self.joules = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.joules += 10 * seconds

    def touch(self):
        self.now += 0.1
        self.joules += 3.0


@pytest.fixture
def world(monkeypatch):
    found = World()
    monkeypatch.setattr(energy.time, "sleep", found.sleep)
    return found


def test_a_counter_gives_joules_of_a_touch_whole_and_above_idle(world):
    meter = Sensor("package-0", lambda: world.joules, counts=True)
    found = of_touches([Workload("touch", world.touch)], [meter], world.clock)
    assert found is not None
    row = found["package-0"]
    assert row["idle_w"] == pytest.approx(10)
    assert row["touch"]["joules"] == pytest.approx(3) and row["touch"]["above_idle"] == pytest.approx(2)


def test_a_counter_that_wraps_is_read_right(world):
    meter = Sensor("package-0", lambda: (world.joules + 45) % 50, counts=True, wrap=50)
    found = of_touches([Workload("touch", world.touch)], [meter], world.clock)
    assert found and found["package-0"]["idle_w"] == pytest.approx(10)


def test_watts_are_averaged_over_the_time_of_measuring(monkeypatch):
    monkeypatch.setattr(energy, "MEASURE_S", 0.2)
    monkeypatch.setattr(energy, "IDLE_S", 0.2)
    naps = [Workload("touch", lambda: energy.time.sleep(0.01))]
    found = of_touches(naps, [Sensor("board", lambda: 5.0, counts=False)])
    assert found is not None
    row = found["board"]
    assert row["idle_w"] == pytest.approx(5, rel=0.2)
    assert row["touch"]["joules"] == pytest.approx(5 * 0.2 / row["touch"]["n"], rel=0.3)


def test_a_reading_that_fails_is_none(world):
    found = of_touches([Workload("touch", world.touch)], [Sensor("broken", lambda: None, counts=True)], world.clock)
    assert found and found["broken"]["touch"]["joules"] is None


def test_sensors_are_found_where_the_kernel_shows_them(tmp_path):
    package = tmp_path / "powercap/intel-rapl:0"
    package.mkdir(parents=True)
    for name, text in (("name", "package-0"), ("energy_uj", "2500000"), ("max_energy_range_uj", "9000000")):
        (package / name).write_text(text + "\n")
    board = tmp_path / "hwmon/hwmon3"
    board.mkdir(parents=True)
    for name, text in (("name", "ina3221"), ("in1_label", "VDD_IN"), ("in1_input", "5000"), ("curr1_input", "1400")):
        (board / name).write_text(text + "\n")
    found = {sensor.name: sensor for sensor in sensors(tmp_path / "powercap", tmp_path / "hwmon")}
    assert found["package-0"].read() == 2.5 and found["package-0"].wrap == 9.0
    assert found["VDD_IN"].read() == 7.0 and not found["VDD_IN"].counts


def test_without_a_sensor_the_result_is_none(tmp_path):
    assert of_touches([Workload("touch", lambda: None)], sensors(tmp_path, tmp_path)) is None
