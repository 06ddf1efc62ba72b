"""Takes the screenshots of docs/kiosk.md with the bundled model: `python -m tests.kiosk.screenshots docs`.

Look at them before you keep them: a page that looks wrong is a bug.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from .conftest import CHROMIUM_FLAGS
from .page import Visitor
from .running import RunningKiosk

MAX_PX = 1000


class Album:
    """Writes screenshots, small enough for a repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, visitor: Visitor, name: str, still: bool = True) -> None:
        if still:
            visitor.still()
        image = Image.open(io.BytesIO(visitor.page.screenshot())).convert("RGB")
        image.thumbnail((MAX_PX, MAX_PX), Image.Resampling.LANCZOS)
        # Pillow dithers only to a given palette; without dithering, skies and gamuts show bands.
        palette = image.quantize(256, Image.Quantize.MEDIANCUT)
        image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(
            self.folder / f"kiosk-{name}.png", optimize=True
        )


def mix(visitor: Visitor, a: float, b: float) -> None:
    """Touch the field of colours where (a, b) lies."""
    visitor.still()
    box = visitor.page.locator("#field").bounding_box()
    square = visitor.evaluate("livetint.painting.palette.field.square")
    assert box
    x, y = ((a - square["a"]) / square["reach"] + 1) / 2, (1 - (b - square["b"]) / square["reach"]) / 2
    visitor.page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])
    visitor.settled()


def landscape(browser: Any, address: str, album: Album) -> None:
    """A visit on a panel of 1280 x 800."""
    visitor = Visitor(browser, address)
    visitor.until("livetint.painting.stage.reveal?.[2] > 0.55", "half a picture in colour")
    album.keep(visitor, "attract", still=False)
    visitor.page.click("#begin")
    visitor.until(
        "[...document.querySelectorAll('#pictures img')].every((i) => i.complete && i.naturalWidth)", "pictures"
    )
    album.keep(visitor, "gallery")
    visitor.page.click("#pictures li:nth-child(2) button")
    visitor.settled()
    visitor.place(0.62, 0.42)
    visitor.until("!document.getElementById('swatches').hidden", "swatches")
    album.keep(visitor, "swatches")
    mix(visitor, 34, 18)
    visitor.place(0.2, 0.12)
    mix(visitor, -8, -24)
    start, end = visitor.at(0.62, 0.42), visitor.at(0.6, 0.5)
    visitor.fingers("Start", start)
    visitor.fingers("Move", ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    visitor.fingers("Move", end)
    visitor.settled()
    album.keep(visitor, "painting")
    visitor.fingers("End")
    visitor.settled()
    visitor.page.click("#moods-open")
    visitor.page.click("[data-mood=rich]")
    visitor.settled()
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


def upright(browser: Any, address: str, album: Album, name: str) -> None:
    """A tall panel."""
    visitor = Visitor(browser, address, 1080, 1920)
    visitor.open(3)
    visitor.place(0.42, 0.5)
    mix(visitor, -6, -16)
    visitor.until("!document.getElementById('swatches').hidden", "swatches")
    album.keep(visitor, name)
    visitor.close()


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
                upright(browser, kiosk.address, album, "portrait" if reach == "usual" else "low-reach")
            finally:
                kiosk.close()
        browser.close()


if __name__ == "__main__":
    main()
