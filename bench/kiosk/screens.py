"""Several screens on one engine: latency, answers a second and fairness with scripted pages.

Each page paints a photograph of its own (of the bundled ones) and sends an edit 30 times a second, whatever is
answered. An edit that a newer one overtakes counts until the newer one is answered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from ...engine.bundle import Bundle
from ...engine.errors import ConfigError
from ..environment import machine, model_table, versions
from ..measure import Result
from ..percentiles import percentile
from .process import running_kiosk
from .scripted import ScriptedPage

RATE_PER_S = 30.0
WARM_UP_S, LOOK_EVERY_S = 2.0, 0.05
SECONDS = 20.0
# The most that the setting server.screens takes.
MAX_SCREENS = 64


def measure_screens(bundle: Bundle, counts: Sequence[int], seconds: float = SECONDS) -> Result:
    """Number of screens → what `summary` gives. Each number has a kiosk of its own.

    Raises ConfigError where the kiosk does not start or refuses a page.
    """
    found: dict[str, Any] = {"schema": 1, "kind": "screens", "seconds": seconds, "rate_per_s": RATE_PER_S}
    found |= {"model": model_table(bundle), "machine": machine(), "versions": versions(), "screens": {}}
    for count in counts:
        with running_kiosk(str(bundle.folder), f"server.screens = {count}\n") as address:
            pages, memory_mib = asyncio.run(_paint(address, count, seconds))
        found["screens"][str(count)] = summary(pages, seconds) | {"engine_mib": memory_mib}
    return found | {"machine_after": machine()}


async def _paint(address: str, count: int, seconds: float) -> tuple[list[ScriptedPage], float | None]:
    """The pages after `seconds` of measuring, and the engine's resident memory at the end."""
    photos = [picture["id"] for picture in _read(address, "settings.json")["pictures"]]
    pages = [ScriptedPage(address, photos[n % len(photos)], RATE_PER_S) for n in range(count)]
    end_s = float("inf")

    async def measure() -> None:
        nonlocal end_s
        while not all(page.answers for page in pages):  # the engine opens the photographs
            await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.sleep(WARM_UP_S)
        for page in pages:
            page.begin()
        end_s = time.perf_counter() + seconds

    measuring = asyncio.create_task(measure())
    try:
        await asyncio.gather(*(page.run(lambda: time.perf_counter() >= end_s) for page in pages))
    finally:
        measuring.cancel()
    return pages, resident_mib(_read(address, "readyz")["engine_pid"])


def _read(address: str, path: str) -> dict[str, Any]:
    try:
        with urlopen(f"{address}{path}") as reply:
            return json.load(reply)
    except OSError as error:
        raise ConfigError(f"the kiosk does not answer at {address}{path}: {error}") from error


def resident_mib(process: int) -> float | None:
    """Resident memory of a process; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), None)
    return None if found is None else round(int(found) / 1024, 1)


def summary(pages: Sequence[ScriptedPage], seconds: float) -> dict[str, Any]:
    """Latency in ms over all pages, answers a second by page, and the slowest page's share of the median."""
    latencies = np.concatenate([np.asarray(page.latencies_ms, np.float64) for page in pages])
    answers = np.array([page.answers / seconds for page in pages])
    table: dict[str, Any] = {"n": len(latencies)}
    for rank in (50, 95, 99):
        value = percentile(latencies, rank) if len(latencies) else None
        table[f"p{rank}"] = None if value is None else round(value, 1)
    middle = float(np.median(answers))
    return table | {
        "answers_per_s": [round(float(value), 1) for value in answers],
        "slowest_share": round(float(answers.min()) / middle, 3) if middle else 0.0,
    }


def as_lines(found: Result) -> str:
    """For the terminal, one line for each number of screens."""
    keys = ("screens", "p50 ms", "p95 ms", "p99 ms", "answers/s each", "all", "slowest", "engine MiB")
    lines = ["".join(f"{key:>16}" for key in keys)]
    for count, row in found["screens"].items():
        each = row["answers_per_s"]
        values = (
            count, *("-" if row[key] is None else row[key] for key in ("p50", "p95", "p99")),
            round(float(np.median(each)), 1), round(sum(each), 1), row["slowest_share"], row["engine_mib"] or "-",
        )  # fmt: skip
        lines.append("".join(f"{value:>16}" for value in values))
    lines.append(f"edits a second of each screen: {found['rate_per_s']:.0f}; slowest: its answers over the median's")
    return "\n".join(lines)
