"""Watches the temperature of the machine, so that staff learn of a clogged fan before the visitors do."""

from __future__ import annotations

import logging
from pathlib import Path

from ...engine.thermal import THERMAL_FOLDER, temperatures

log = logging.getLogger("livetint.kiosk")

# Jetsons and most CPUs begin to lower their clocks between 85 and 100 °C.
HOT_C = 85.0
# It counts as cool again only this far below, so that the log does not fill up at the boundary.
COOLER_C = 10.0


class ThermalWatch:
    """The hottest zone, and whether staff have been warned of it."""

    def __init__(self, thermal: Path = THERMAL_FOLDER) -> None:
        self._thermal = thermal
        self.hottest_c: float | None = None
        self.hot = False

    def look(self) -> None:
        """Read the sensors. Log once that it is hot, and once that it is cool again."""
        found = temperatures(self._thermal)
        self.hottest_c = max(found.values(), default=None)
        if self.hottest_c is None:
            return
        if not self.hot and self.hottest_c >= HOT_C:
            self.hot = True
            zone = max(found, key=lambda name: found[name])
            log.warning("too hot: clean the fan or the vents", extra={"facts": {"zone": zone, "c": self.hottest_c}})
        elif self.hot and self.hottest_c < HOT_C - COOLER_C:
            self.hot = False
            log.info("cool again", extra={"facts": {"c": self.hottest_c}})
