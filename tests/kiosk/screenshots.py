"""Takes the pictures of the kiosk in README.md and docs/ with the bundled model: `make screenshots`.

Look at them before you keep them: a page that looks wrong is a bug.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from livetint.engine.files import read_toml
from livetint.engine.models import bundled_folder
from PIL import Image
from playwright.sync_api import sync_playwright

from .conftest import CHROMIUM_FLAGS
from .film import Film
from .page import Visitor
from .running import RunningKiosk

MAX_PX, QUALITY = 1200, 86
# All images on show in an element are loaded.
COMPLETE = """[...document.querySelectorAll("#{} img")]
  .every((image) => !image.checkVisibility() || image.complete && image.naturalWidth)"""


class Album:
    """Writes screenshots in full colour, small enough for a repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, visitor: Visitor, name: str, still: bool = True) -> None:
        if still:
            visitor.still()
        image = Image.open(io.BytesIO(visitor.page.screenshot())).convert("RGB")
        image.thumbnail((MAX_PX, MAX_PX), Image.Resampling.LANCZOS)
        image.save(self.folder / f"kiosk-{name}.webp", quality=QUALITY, method=6)


def hints_of(picture: int) -> list[tuple[float, float, float, float]]:
    """The hand-made hints (x, y, a, b) of a bundled photograph, counted from 1."""
    return read_toml(bundled_folder().parent / "photos/photographs.toml")["photograph"][picture - 1]["hints"]


def mix(visitor: Visitor, a: float, b: float) -> None:
    """Touch the field of colours where (a, b) lies."""
    visitor.still()
    box = visitor.page.locator("#field").bounding_box()
    square = visitor.evaluate("livetint.painting.palette.field.square")
    assert box
    x, y = ((a - square["a"]) / square["reach"] + 1) / 2, (1 - (b - square["b"]) / square["reach"]) / 2
    visitor.page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])
    visitor.settled()


def paint(visitor: Visitor, hints: list[tuple[float, float, float, float]]) -> None:
    """Place hints as a visitor does: a tap each, then its colour from the field."""
    for x, y, a, b in hints:
        visitor.place(x, y)
        mix(visitor, a, b)


def landscape(browser: Any, address: str, album: Album) -> None:
    """A visit on a panel of 1280 x 800."""
    visitor = Visitor(browser, address)
    visitor.until("livetint.painting.stage.reveal?.[2] > 0.55", "half a picture in colour")
    album.keep(visitor, "attract", still=False)
    visitor.page.click("#begin")
    visitor.until(COMPLETE.format("pictures"), "pictures")
    album.keep(visitor, "gallery")
    visitor.page.click("#pictures li:nth-child(2) button")
    visitor.settled()
    brush(visitor, album)
    hints = hints_of(2)
    x, y, a, b = hints[0]
    visitor.place(x, y)
    visitor.until("livetint.painting.ringShown", "swatches")
    album.keep(visitor, "swatches")
    mix(visitor, a, b)
    paint(visitor, hints[1:-1])
    visitor.place(*hints[-1][:2])
    mix(visitor, *hints[-1][2:])
    album.keep(visitor, "painting")
    visitor.page.click("#moods-open")
    visitor.page.click("[data-mood=rich]")
    visitor.settled()
    visitor.until(COMPLETE.format("references"), "the pictures to borrow a mood of")
    album.keep(visitor, "moods")
    visitor.page.click("#moods-close")
    visitor.page.click("#split")
    album.keep(visitor, "compare")
    visitor.page.click("#split")
    visitor.page.click("#language")
    visitor.page.click("#language-list [lang=ar]")
    visitor.until("document.documentElement.dir === 'rtl'")
    album.keep(visitor, "arabic")
    visitor.page.click("#contrast")
    album.keep(visitor, "contrast")
    visitor.close()


def brush(visitor: Visitor, album: Album) -> None:
    """A line of the brush over the car, kept inside the network's outline; taken back afterwards."""
    visitor.page.click("#brush")
    drag(visitor, (0.3, 0.47), (0.72, 0.42), back=False)
    mix(visitor, -14, -30)
    visitor.page.click("#inside")
    visitor.settled()
    album.keep(visitor, "brush")
    visitor.page.click("#brush")
    visitor.page.click("#restart")
    visitor.settled()


def upright(browser: Any, address: str, album: Album, name: str) -> None:
    """A tall panel."""
    visitor = Visitor(browser, address, 1080, 1920)
    visitor.open(3)
    paint(visitor, hints_of(3))
    album.keep(visitor, name)
    visitor.close()


def film(browser: Any, address: str, path: Path) -> None:
    """The loop as it works: grey, a touch, colours under a moving finger, more touches, before and after."""
    visitor = Visitor(browser, address, 1024, 640)
    visitor.open(2)
    visitor.still()
    recorded = Film(visitor)
    visitor.page.wait_for_timeout(700)
    x, y, a, b = hints_of(2)[0]
    visitor.place(x, y)
    visitor.page.wait_for_timeout(900)
    mix(visitor, a, b)
    visitor.page.wait_for_timeout(600)
    drag(visitor, (x, y), (x + 0.06, y + 0.05))
    for hint in hints_of(2)[1:]:
        paint(visitor, [hint])
        visitor.page.wait_for_timeout(350)
    visitor.page.keyboard.press("Escape")
    visitor.page.click("#split")
    visitor.page.wait_for_timeout(1500)
    recorded.save(path)
    visitor.close()


def drag(
    visitor: Visitor, start: tuple[float, float], end: tuple[float, float], steps: int = 24, back: bool = True
) -> None:
    """Move a point, or the brush, there and back with a finger."""
    visitor.fingers("Start", visitor.at(*start))
    for step in [*range(1, steps + 1), *(range(steps - 1, -1, -1) if back else ())]:
        part = step / steps
        at = [s + (e - s) * part for s, e in zip(start, end, strict=True)]
        visitor.fingers("Move", visitor.at(at[0], at[1]))
        visitor.page.wait_for_timeout(30)
    visitor.fingers("End")
    visitor.settled()


def main() -> None:
    """Write all pictures into the folder given."""
    album = Album(Path(sys.argv[1]))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        for reach, width_mm in (("usual", 0.0), ("low", 340.0)):
            screen = {"pixels": "planes", "reach": reach, "panel_width_mm": width_mm}
            kiosk = RunningKiosk(Path(folder) / reach, Path("touch"), screen=screen)
            try:
                if reach == "usual":
                    landscape(browser, kiosk.address, album)
                    film(browser, kiosk.address, album.folder / "kiosk-film.webp")
                upright(browser, kiosk.address, album, "portrait" if reach == "usual" else "low-reach")
            finally:
                kiosk.close()
        browser.close()


if __name__ == "__main__":
    main()
