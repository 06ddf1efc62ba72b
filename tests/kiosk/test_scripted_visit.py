"""A whole visit at three sizes: `scripted_visit` says what it covers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..needs import needs
from .full_venue import open_venue, show_small_pictures
from .scripted_visit import SIZES, ScriptedVisit
from .test_staff import StaffKiosk

pytestmark = needs("chromium")


@pytest.fixture(scope="module")
def venue(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaffKiosk]:
    folder = tmp_path_factory.mktemp("visit")
    with open_venue(folder, stub, show_small_pictures(folder / "show")) as venue:
        yield venue


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_visit_from_the_attract_loop_to_the_closed_screen(
    browser: Any, venue: StaffKiosk, size: tuple[int, int, float]
) -> None:
    visit = ScriptedVisit(browser, venue, size)
    visit.run()
    if size == SIZES["1920x1080"]:
        visit.house()
