"""Opening hours: whether the exhibit is open at a time of day, and what the closed screen shows."""

from __future__ import annotations

from typing import Any

from ..settings import HoursTable

MINUTES_A_DAY = 24 * 60


def is_open(hours: HoursTable, clock: str) -> bool:
    """Whether `clock` ("HH:MM") lies within opening hours, which may reach over midnight. Without hours: always."""
    if not hours.opens:
        return True
    if hours.opens <= hours.closes:
        return hours.opens <= clock < hours.closes
    return clock >= hours.opens or clock < hours.closes


def is_blank(hours: HoursTable, clock: str) -> bool:
    """Whether the screen is black at `clock`: closed for at least `hours.blank_minutes`."""
    if is_open(hours, clock) or not hours.blank_minutes:
        return False
    return (_minutes(clock) - _minutes(hours.closes)) % MINUTES_A_DAY >= hours.blank_minutes


def for_page(hours: HoursTable, on_floor: bool, clock: str) -> dict[str, Any]:
    """What the page is told: open; opens and closes, for the closed screen ("" where staff closed it); blank."""
    by_hours = not is_open(hours, clock)
    return {
        "open": on_floor and not by_hours,
        "opens": hours.opens if by_hours else "",
        "closes": hours.closes if by_hours else "",
        "blank": is_blank(hours, clock),
    }


def _minutes(clock: str) -> int:
    hour, _, minute = clock.partition(":")
    return 60 * int(hour) + int(minute)
