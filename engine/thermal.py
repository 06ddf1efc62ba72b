"""The temperature of the machine. A hot machine lowers its clocks, so touches and measurements become slower."""

from __future__ import annotations

from pathlib import Path

THERMAL_FOLDER = Path("/sys/class/thermal")


def temperatures(thermal: Path = THERMAL_FOLDER) -> dict[str, float]:
    """Temperature in °C of every thermal zone that can be read, by the zone's name and type."""
    degrees = {}
    for zone in sorted(thermal.glob("thermal_zone*")):
        try:
            millidegrees = int((zone / "temp").read_text())
            kind = (zone / "type").read_text(errors="replace").strip() if (zone / "type").is_file() else ""
        except (OSError, ValueError):
            continue  # reading a zone that is switched off fails: it has no temperature
        degrees[f"{zone.name} {kind}".strip()] = millidegrees / 1000
    return degrees
