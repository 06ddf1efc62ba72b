"""A whole visit on one panel, from the attract loop to the closed screen. It checks what a visitor should find, and can
keep a picture of every state: `python -m tests.kiosk.scripted_visit FOLDER` visits the bundled model at three sizes.

Look at the pictures: a page that looks wrong is a bug.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from livetint.kiosk.server.words import word

from .conftest import CHROMIUM_FLAGS
from .full_venue import open_venue
from .page import Visitor, page_settings
from .running import until
from .test_layouts import targets_of
from .test_staff import TOKEN, StaffKiosk
from .test_uploads import picture
from .test_venue import address_in

SIZES = {"1920x1080": (1920, 1080, 477.0), "1024x600": (1024, 600, 223.0), "1080x1920": (1080, 1920, 300.0)}
RING_MS, PAUSE_MS, SENTENCE_MS = 6000, 8000, 8000
# The largest share of a touched thing that the swatches and the bar hide, for points all over the photograph. Things as
# large as the sky cannot be kept free.
HIDDEN = """(() => { const { swatches, colours, stage } = livetint.painting, found = [];
  for (let i = 0; i < 81; i += 1) {
    const place = { x: (i % 9 + 0.5) / 9, y: (Math.floor(i / 9) + 0.5) / 9, a: 0, b: 0, size: 5 };
    const thing = stage.thingAt(place, 20).map((p) => stage.toStage(p));
    if (thing.length > 400) continue;
    swatches.show(place, colours);
    const shown = [...document.querySelectorAll('.swatch')];
    const circles = shown.map((e) => [e.offsetLeft, e.offsetTop, e.offsetWidth / 2]);
    const { offsetLeft: left, offsetTop: top, offsetWidth: w, offsetHeight: h } = document.getElementById('ring-bar');
    const hidden = thing.filter((p) => circles.some(([x, y, r]) => Math.hypot(x - p.x, y - p.y) < r)
      || (p.x > left && p.x < left + w && p.y > top && p.y < top + h)).length;
    found.push(hidden / thing.length); }
  return [found.length, Math.max(...found)]; })()"""
CUT = """['title', 'caption'].filter((id) => { const { scrollHeight, clientHeight } = document.getElementById(id);
  return scrollHeight > clientHeight + 2; })"""
DARKEST = """[...Array(900).keys()].map((i) => ({ x: (i % 30 + 3) / 36, y: (Math.floor(i / 30) + 3) / 36 }))
  .sort((p, q) => livetint.painting.stage.lightnessAt(p) - livetint.painting.stage.lightnessAt(q))[0]"""
OFFERED = """[...document.querySelectorAll('#references button')].filter((e) => !e.hidden)
  .map((e) => e.dataset.reference)"""
# The smallest font of any text that can be seen, in CSS pixels, and what it says.
SMALLEST = """[...document.querySelectorAll('body *')]
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.checkVisibility(
    { visibilityProperty: true })).map((e) => [parseFloat(getComputedStyle(e).fontSize), e.textContent])
  .sort((one, other) => one[0] - other[0])[0]"""
# All pictures in view of an element are there. (Those further down are loaded when they are scrolled to.)
LOADED = """[...document.querySelectorAll('#{} img')].filter((e) => e.checkVisibility()
  && e.getBoundingClientRect().top < innerHeight).every((e) => e.complete && e.naturalWidth && e.matches('.loaded'))"""


class ScriptedVisit:
    """One visit at one size. keep: called with the page and a name for every state that is worth a picture."""

    def __init__(
        self,
        browser: Any,
        venue: StaffKiosk,
        size: tuple[int, int, float],
        keep: Callable[[Any, str], None] = lambda *_: None,
    ) -> None:
        self.browser, self.venue, self.size, self._keep = browser, venue, size, keep
        width, height, width_mm = size
        settings = page_settings(panel_width_mm=width_mm)
        self.visitor = Visitor(browser, venue.address, width, height, before=settings, clock=True)
        self.page = self.visitor.page
        self.folders = [venue.log.parent.parent / name for name in ("kept", "wall")]

    def run(self) -> None:
        for part in (
            self.begin, self.first_colour, self.ring, self.where_next, self.looking, self.comparing, self.moods,
            self.saving, self.dialogs, self.own_picture, self.languages, self.finish, self.closed,
        ):  # fmt: skip
            part()
        self.visitor.close()

    def keep(self, name: str) -> None:
        """Everything is on the panel, whole and large enough to be read and touched; a picture of it is kept."""
        width = self.size[0]
        for target in targets_of(self.visitor):
            assert target["x"] >= -0.5 and target["x"] + target["w"] <= width + 0.5, (name, target)
            assert not target["cut"], (name, target)
        self.check_text(name)
        assert self.visitor.evaluate(CUT) == [], name
        self._keep(self.page, name)

    def check_text(self, name: str) -> None:
        """No text is under 16 px on a panel of 1080 lines."""
        if min(self.size[:2]) >= 1000:
            size, text = self.visitor.evaluate(SMALLEST)
            assert size >= 16, (name, text)

    def dialogs(self) -> None:
        """Those that the visit does not come to."""
        for name in ("languages", "idle", "camera"):
            self.visitor.evaluate(f"document.getElementById('{name}').showModal()")
            self.check_text(name)
            self.visitor.evaluate(f"document.getElementById('{name}').close()")

    def begin(self) -> None:
        """The attract loop and the gallery."""
        visitor, page = self.visitor, self.page
        visitor.until("document.getElementById('ghost').classList.contains('on')", "a ghost finger")
        page.clock.fast_forward(2500)
        visitor.until("livetint.painting.stage.reveal?.[2] > 0.1", "colours that spread from it")
        self._keep(page, "attract")
        page.click("#begin")
        visitor.until(LOADED.format("pictures"), "the pictures")
        assert page.locator("#back").is_hidden()
        self.keep("gallery")
        page.click("#pictures li:nth-child(3) button")
        visitor.until("document.body.dataset.state === 'painting'")
        visitor.settled()
        assert page.locator("#spot").is_visible() and page.locator("#coach").is_visible()
        assert page.locator("#recent-title").is_hidden(), "there is no recent colour"
        self.keep("no-point")

    def first_colour(self) -> None:
        """A tap gives the thing more colour, never less and never grey."""
        visitor, place = self.visitor, (0.44, 0.55)
        before = visitor.shown_ab(*place)
        visitor.place(*place)
        [hint] = visitor.hints
        assert np.hypot(hint["a"] - before[0], hint["b"] - before[1]) > 5
        assert np.hypot(hint["a"], hint["b"]) > np.hypot(before[0], before[1]) - 0.5
        assert self.page.locator("#recent-title").is_visible()

    def ring(self) -> None:
        """The ring hides nothing that was touched, offers more on its bar, and closes without placing anything."""
        visitor, page = self.visitor, self.page
        until(lambda: visitor.ring, "the ring")
        visitor.still()
        things, most = visitor.evaluate(HIDDEN)
        assert things > 40
        assert most < 0.1
        visitor.evaluate("livetint.painting.showPoints()")
        names = page.locator(".swatch").all_inner_texts()
        assert len(names) == 5 and not any(character.isdigit() for name in names for character in name)
        self.keep("ring")
        page.click("#all-colours")
        assert page.locator(".swatch").count() in (6, 8)
        chromas = visitor.evaluate("livetint.painting.swatches.shown.map(([a, b]) => Math.hypot(a, b))")
        assert min(chromas) > 10, "colours, none of them grey"
        self.keep("all-colours")
        page.locator(".swatch").nth(5).click()
        visitor.settled()
        assert page.locator(".swatch[aria-pressed=true]").count() == 1
        page.click("#fitting")
        assert page.locator(".swatch").count() == 5
        page.click("#ring-grey")
        visitor.settled()
        assert [(hint["a"], hint["b"]) for hint in visitor.hints] == [(0, 0)], "grey, because it was asked for"
        page.click("#undo")
        page.click("#undo")
        visitor.settled()
        for close in (
            lambda: visitor.tap(0.9, 0.1), lambda: visitor.tap(0.44, 0.55), lambda: page.keyboard.press("Escape"),
            lambda: page.click("#hold"), lambda: page.clock.fast_forward(RING_MS + 100),
        ):  # fmt: skip
            if not visitor.ring:
                visitor.tap(0.44, 0.55)
                until(lambda: visitor.ring, "the ring again")
                visitor.settled()
            close()
            until(lambda: not visitor.ring, "the end of the ring")
            visitor.settled()
            assert len(visitor.hints) == 1 and page.locator("#ring-bar").is_hidden()

    def where_next(self) -> None:
        """After a pause a spot shows where another colour would help; a touch of it places one."""
        visitor, page = self.visitor, self.page
        page.clock.fast_forward(PAUSE_MS + 100)
        visitor.until("livetint.whereNext.offered", "a place to touch next")
        assert page.locator("#spot").is_visible() and not visitor.ring
        self._keep(page, "where-next")
        place = visitor.evaluate("livetint.whereNext.place")
        visitor.place(place["x"], place["y"])
        assert not page.locator("#spot").is_visible()

    def looking(self) -> None:
        """Nothing is lost by looking at other pictures. A dark place has a field of colours that can be told apart."""
        visitor, page = self.visitor, self.page
        page.click("#undo")
        visitor.settled()
        kept, colours = visitor.hints, visitor.shown_ab(0.44, 0.55)
        page.click("#gallery-open")
        assert page.locator("#pictures .painted").count() == 1
        self.keep("gallery-painted")
        page.click("#back")
        visitor.settled()
        assert visitor.hints == kept and visitor.shown_ab(0.44, 0.55) == colours
        page.click("#gallery-open")
        page.click("#pictures li:nth-child(2) button")
        visitor.settled()
        assert visitor.hints == []
        dark = visitor.evaluate(DARKEST)
        visitor.place(dark["x"], dark["y"])
        visitor.settled()
        self.keep("dark-place")
        page.click("#gallery-open")
        page.click("#pictures li:nth-child(3) button")
        visitor.settled()
        assert visitor.hints == kept and visitor.shown_ab(0.44, 0.55) == colours
        page.click("#redo")
        assert len(visitor.hints) == 2
        page.click("#undo")
        page.click("#undo")
        assert visitor.hints == []
        page.click("#redo")
        page.click("#redo")
        visitor.settled()

    def comparing(self) -> None:
        """The line of before and after is grabbed, clear of the zoom buttons, and nothing is painted."""
        visitor, page, count = self.visitor, self.page, len(self.visitor.hints)
        page.click("#split")
        zoom = page.locator("#zoom").bounding_box()
        assert zoom
        radius = 5 * visitor.evaluate("livetint.painting.panel.pxPerMm()")
        line = visitor.at(0.5, 0.5)
        visitor.fingers("Start", (line[0] + 8, line[1] + 40))
        for share in (0.7, 1.2, -0.2, 0.25):
            visitor.fingers("Move", (visitor.at(share, 0.5)[0] + 8, line[1]))
            split = min(1, max(0, share))
            visitor.until(f"Math.abs(livetint.painting.stage.scene().split - {split}) < 0.002", "the line")
            knob = visitor.at(split, 0.62)
            in_rows = knob[1] + radius > zoom["y"] and knob[1] - radius < zoom["y"] + zoom["height"]
            in_columns = knob[0] + radius > zoom["x"] and knob[0] - radius < zoom["x"] + zoom["width"]
            assert not (in_rows and in_columns)
        visitor.fingers("End")
        self.keep("before-and-after")
        visitor.tap(0.8, 0.2)
        visitor.until("Math.abs(livetint.painting.stage.scene().split - 0.8) < 0.01", "the line where the finger is")
        assert len(visitor.hints) == count, "nothing is painted"
        assert not page.locator(".mark").first.is_visible()
        page.keyboard.press("Escape")
        visitor.until("livetint.painting.stage.scene().split === -1", "the end of the comparison")

    def moods(self) -> None:
        """Other pictures lend their mood, each in its colours, never the picture itself."""
        visitor, page = self.visitor, self.page
        page.click("#moods-open")
        visitor.until(LOADED.format("references"), "the other pictures in their colours")
        assert visitor.evaluate("livetint.painting.photo") not in visitor.evaluate(OFFERED)
        page.click("[data-mood=rich]")
        visitor.settled()
        self.keep("moods")
        page.click("#moods-close")

    def saving(self) -> None:
        """The picture is taken away by its title, kept, and shown on the wall only after a yes."""
        visitor, page = self.visitor, self.page
        before = [len(list(folder.iterdir())) for folder in self.folders]
        title = page.locator("#title").inner_text()
        page.click("#save")
        visitor.until("document.getElementById('consent').open", "the question")
        self.keep("consent")
        with page.expect_download() as download:
            page.click("#consent button[value=save]")
        assert download.value.suggested_filename == f"{title} – Livetint.png"
        visitor.until("document.getElementById('saved').open && !document.getElementById('code').hidden", "the code")
        address = address_in(page.locator("#code").screenshot())
        assert [len(list(folder.iterdir())) for folder in self.folders] == [before[0] + 1, before[1]]
        self.keep("saved")
        page.click("#saved-close")
        phone = self.browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True).new_page()
        phone.goto(address)
        assert phone.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
        assert word("en", "coloured_by") in phone.locator("body").inner_text()
        self._keep(phone, "takeaway")
        phone.context.close()

    def own_picture(self) -> None:
        """A picture of one's own is kept nowhere without a yes, and errors stand beside their button."""
        visitor, page = self.visitor, self.page
        status = page.locator("#status")
        page.click("#gallery-open")
        page.locator("#file-open").scroll_into_view_if_needed()
        page.set_input_files("#file", {"name": "x", "mimeType": "image/png", "buffer": b"no picture at all"})
        until(lambda: "another" in status.inner_text(), "a sentence")
        said, button = status.bounding_box(), page.locator("#file-open").bounding_box()
        assert said and button
        above, below = button["y"] - said["y"] - said["height"], said["y"] - button["y"] - button["height"]
        assert 0 < max(above, below) < 20
        assert said["x"] < button["x"] + button["width"] and button["x"] < said["x"] + said["width"]
        self.keep("refused")
        page.clock.fast_forward(SENTENCE_MS + 100)
        until(lambda: status.inner_text() == "", "its end, by itself")
        page.set_input_files("#file", {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": picture("JPEG")})
        visitor.until("document.body.dataset.state === 'painting'", "the visitor's picture")
        visitor.settled()
        visitor.place(0.5, 0.5)
        before = [sorted(folder.iterdir()) for folder in self.folders]
        page.click("#save")
        visitor.until("document.getElementById('consent').open", "the question")
        assert page.locator("#consent input:checked").count() == 0 and page.locator("#consent-own").is_visible()
        self.keep("consent-own")
        page.click("#consent button[value=save]")
        visitor.until("document.getElementById('saved').open", "the end")
        assert page.locator("#saved-text").inner_text() == word("en", "saved_takeaway")
        assert [sorted(folder.iterdir()) for folder in self.folders] == before, "nothing on disk"
        page.click("#saved-close")

    def languages(self) -> None:
        """Arabic runs from right to left, with the ring open too."""
        visitor, page = self.visitor, self.page
        page.click("#language")
        page.click("#language-list [lang=ar]")
        visitor.until("document.documentElement.dir === 'rtl'")
        tools = page.locator("#tools button")
        first, second = tools.nth(0).bounding_box(), tools.nth(1).bounding_box()
        assert first and second and first["x"] > second["x"]
        assert page.locator("#undo").inner_text() == "تراجع"
        assert page.locator("#title").inner_text() == word("ar", "own")
        if not visitor.ring:
            visitor.tap(0.5, 0.5)
        until(lambda: visitor.ring, "the ring")
        self.keep("arabic")

    def finish(self) -> None:
        """Finish asks where there is something to clear, and leaves nothing for the next visitor."""
        visitor, page = self.visitor, self.page
        page.click("#finish")
        self.keep("finish")
        page.click("#leave-no")
        assert len(visitor.hints) == 1
        page.click("#gallery-open")
        page.click("#finish")
        page.click("#leave-yes")
        visitor.until("document.body.dataset.state === 'attract' && document.documentElement.lang === 'en'", "the wipe")
        page.click("#begin")
        assert page.locator("#back").is_hidden() and page.locator("#pictures .painted").count() == 0
        assert page.locator("#pictures li").count() == len(visitor.evaluate("livetint.settings.pictures"))
        page.click("#pictures li:nth-child(3) button")
        visitor.settled()
        assert visitor.hints == [] and page.locator("#undo").is_disabled()
        page.click("#finish")  # nothing to clear, so nothing is asked
        visitor.until("document.body.dataset.state === 'attract'", "the attract loop")

    def closed(self) -> None:
        """The closed screen says the hours, and is black at night."""
        words = self.page.locator("#veil p")
        for blank in (False, True):
            hours = json.dumps({"type": "hours", "open": False, "opens": "09:00", "closes": "17:30", "blank": blank})
            self.visitor.evaluate(f"livetint.link.dispatchEvent(new CustomEvent('message', {{ detail: {hours} }}))")
            until(lambda now=blank: words.is_visible() is not now, "the closed screen")
            self._keep(self.page, "night" if blank else "closed")
        assert self.page.locator("#title").text_content() == "Livetint", "nothing of the visitor"
        assert "09:00" in (self.page.locator("#veil-hours").text_content() or "")

    def house(self) -> None:
        """What staff see: the exhibition, its photographs and the wall."""
        width, height, _ = self.size
        login = {"username": "", "password": TOKEN}
        page = self.browser.new_context(viewport={"width": width, "height": height}, http_credentials=login).new_page()
        for name, address in (
            ("staff", self.venue.origin), ("staff-photographs", f"{self.venue.origin}/photographs"),
            ("staff-wall", f"{self.venue.origin}/wall?language=de"), ("wall", f"{self.venue.address}wall"),
        ):  # fmt: skip
            page.goto(address)
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, name
            self._keep(page, name)
        page.context.close()


def main() -> None:
    """Visit the bundled model at every size; pictures of all states go into the folder given."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as rooms:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        with open_venue(Path(rooms), Path("touch")) as venue:
            for size_name, size in SIZES.items():

                def keep(page: Any, name: str, at: str = size_name) -> None:
                    page.screenshot(path=folder / f"{at}-{name}.png")

                visit = ScriptedVisit(browser, venue, size, keep)
                visit.run()
                visit.house()
        browser.close()


if __name__ == "__main__":
    main()
