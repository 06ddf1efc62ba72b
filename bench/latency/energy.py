"""Energy of a touch in joules, where the machine has a sensor for it.

Three kinds are read: the CPU package's counter (Linux powercap, x86), the board's power monitor (INA3221, on Jetsons)
and the GPU's counter (NVML). What cannot be read is None; nothing is estimated.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.errors import ConfigError
from ...engine.runners.base import Runner
from ...engine.runners.sessions import default_threads
from ..cells import short
from ..environment import machine, read_text
from ..measure import Result, Rows
from .run import LatencyMeasure, Request, Run, Timed
from .workloads import Workload, touches

POWERCAP = Path("/sys/class/powercap")
HWMON = Path("/sys/class/hwmon")
MEASURE_S, IDLE_S, SAMPLE_S = 2.0, 1.0, 0.05

Clock = Callable[[], float]


@dataclass(frozen=True)
class Sensor:
    """A named sensor. read: joules since some moment (`counts`), or watts at this moment (not `counts`).

    wrap: joules at which a counter starts again at 0; 0 for never.
    """

    name: str
    read: Callable[[], float | None]
    counts: bool
    wrap: float = 0.0


def sensors(powercap: Path = POWERCAP, hwmon: Path = HWMON) -> list[Sensor]:
    """The sensors that give a reading now."""
    found = [*_packages(powercap), *_boards(hwmon), *_gpus()]
    return [sensor for sensor in found if sensor.read() is not None]


def _packages(powercap: Path) -> list[Sensor]:
    found = []
    for zone in sorted(powercap.glob("intel-rapl:?")):
        wrap = _micro(zone / "max_energy_range_uj") or 0.0
        found.append(Sensor(read_text(zone / "name") or zone.name, _reader(zone / "energy_uj"), True, wrap))
    return found


def _boards(hwmon: Path) -> list[Sensor]:
    """Board power from an INA3221, millivolts × milliamperes: on Jetsons the first channel is the board's input."""
    places = [place for place in sorted(hwmon.glob("hwmon*")) if read_text(place / "name") == "ina3221"]
    return [Sensor(read_text(place / "in1_label") or "board", _watts(place), False) for place in places]


def _gpus() -> list[Sensor]:
    if importlib.util.find_spec("pynvml") is None:
        return []
    nvml: Any = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return []
    return [Sensor(f"GPU {index}", _gpu(nvml, handle), True) for index, handle in enumerate(handles)]


def _gpu(nvml: Any, handle: Any) -> Callable[[], float | None]:
    def read() -> float | None:
        try:
            return nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
        except nvml.NVMLError:
            return None

    return read


def _watts(place: Path) -> Callable[[], float | None]:
    def read() -> float | None:
        millivolts, milliamperes = read_text(place / "in1_input"), read_text(place / "curr1_input")
        if not (millivolts and milliamperes and millivolts.isdigit() and milliamperes.isdigit()):
            return None
        return int(millivolts) * int(milliamperes) / 1e6

    return read


def _reader(path: Path) -> Callable[[], float | None]:
    return lambda: _micro(path)


def _micro(path: Path) -> float | None:
    text = read_text(path)
    return int(text) / 1e6 if text and text.isdigit() else None


class _Meter:
    """Joules of one sensor while `measuring` is entered; None if a reading fails."""

    def __init__(self, sensor: Sensor, clock: Clock) -> None:
        self.sensor, self.clock = sensor, clock
        self.joules: float | None = None

    @contextmanager
    def measuring(self):
        if self.sensor.counts:
            first = self.sensor.read()
            yield
            last = self.sensor.read()
            if first is not None and last is not None:
                self.joules = last - first + (self.sensor.wrap if last < first else 0.0)
            return
        watts: list[float | None] = [self.sensor.read()]
        done = threading.Event()
        begin = self.clock()
        sampler = threading.Thread(target=_sample, args=(self.sensor, watts, done), daemon=True)
        sampler.start()
        yield
        elapsed = self.clock() - begin
        done.set()
        sampler.join()
        known = [value for value in watts if value is not None]
        if len(known) == len(watts):
            self.joules = elapsed * sum(known) / len(known)


def _sample(sensor: Sensor, watts: list[float | None], done: threading.Event) -> None:
    while not done.wait(SAMPLE_S):
        watts.append(sensor.read())


def of_touches(
    loads: Sequence[Workload], found: Sequence[Sensor] | None = None, clock: Clock = time.perf_counter
) -> dict[str, Any] | None:
    """Joules of one run of every load by every sensor, whole and above idle; None on a machine without a sensor.

    sensor → {"idle_w", workload → {"n", "joules", "above_idle"}}. Idle power is measured first, for a second.
    """
    found = sensors() if found is None else found
    if not found:
        return None
    return {sensor.name: _of_sensor(sensor, loads, clock) for sensor in found}


def _of_sensor(sensor: Sensor, loads: Sequence[Workload], clock: Clock) -> dict[str, Any]:
    idle, idle_s, _ = _joules(sensor, None, IDLE_S, clock)
    watts = None if idle is None else idle / idle_s
    table: dict[str, Any] = {"idle_w": None if watts is None else round(watts, 3)}
    for load in loads:
        joules, seconds, number = _joules(sensor, load, MEASURE_S, clock)
        above = None if joules is None or watts is None else (joules - watts * seconds) / number
        table[load.name] = {
            "n": number,
            "joules": None if joules is None else round(joules / number, 5),
            "above_idle": None if above is None else round(above, 5),
        }
    return table


def _joules(sensor: Sensor, load: Workload | None, length_s: float, clock: Clock) -> tuple[float | None, float, int]:
    """Joules, seconds and number of runs over at least `length_s`. Without a load the process sleeps."""
    meter, runs = _Meter(sensor, clock), 0
    begin = clock()
    with meter.measuring():
        while clock() - begin < length_s:
            if load is None:
                time.sleep(length_s)
            else:
                load.run()
                runs += 1
    return meter.joules, clock() - begin, max(runs, 1)


def require_sensors() -> list[Sensor]:
    """The sensors that give a reading now. Raises ConfigError where there is none."""
    found = sensors()
    if not found:
        raise ConfigError(
            "no sensor for energy can be read: the CPU's counter (often readable by root alone), a Jetson's INA3221 or "
            "an NVIDIA GPU's counter (pip install nvidia-ml-py)"
        )
    return found


def measure_energy(runner: Runner, numbers: tuple[int, ...], found: Sequence[Sensor]) -> Result:
    """Joules of a touch for every number of hints, without the rest of `bench latency`.

    Raises HintRejected for more hints than the model takes.
    """
    run = Run(runner, numbers, threads=default_threads())
    run.check(runner)
    settings = run.settings(machine()) | {"kind": "energy", "unit": "J"}
    return settings | {Energy.key: of_touches(touches(runner, numbers), found), "machine_after": machine()}


def as_lines(result: Result) -> str:
    """For the terminal: one line for each sensor and number of hints."""
    return "\n".join(
        f"{name}: {short(row['joules'])} J by {sensor}, "
        f"{short(row['above_idle'])} J above {short(table['idle_w'])} W idle"
        for sensor, table in result[Energy.key].items()
        for name, row in table.items()
        if name != "idle_w"
    )


def as_rows(found: Result) -> Rows:
    """Header and rows of the report."""
    rows = [["sensor", "stage", "J a run", "J above idle", "idle, W"]]
    for sensor, table in found.items():
        rows += [
            [sensor, name, short(row["joules"]), short(row["above_idle"]), short(table["idle_w"])]
            for name, row in table.items()
            if name != "idle_w"
        ]
    return rows


class Energy(LatencyMeasure):
    """Joules of a touch, after the rounds; None without a sensor."""

    key = "energy"

    @classmethod
    def from_options(cls, request: Request) -> Energy | None:
        return cls() if request.single_stream else None

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        return {self.key: of_touches(touches(run.runner, run.numbers))}

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
