"""A visit: gallery, languages, saving, faults, a second page, a picture of one's own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from livetint.engine.image.photo import Photo
from livetint.kiosk.server.exhibition import bundled_photos

from ..needs import needs
from .page import Visitor, page_settings
from .running import RunningKiosk, until
from .test_moods import chroma_on_screen

pytestmark = needs("chromium")


def test_a_visitor_who_begins_before_the_language_is_loaded_stays_in_the_gallery(
    browser: Any, kiosk: RunningKiosk
) -> None:
    visitor = Visitor(browser, kiosk.address)
    held: list[Any] = []
    visitor.page.route("**/languages/*.json", lambda route: held.append(route))
    visitor.page.reload(wait_until="commit")
    until(lambda: visitor.evaluate("document.body?.dataset.state") and held, "the request for the language")
    assert visitor.evaluate("getComputedStyle(document.body).opacity") == "0", "nothing flashes without its words"
    visitor.page.click("#begin")
    visitor.until("document.body.dataset.state === 'gallery'")
    held[0].continue_()
    visitor.until("globalThis.livetint !== undefined", "the page")
    assert visitor.evaluate("document.body.dataset.state") == "gallery"
    visitor.until("getComputedStyle(document.body).opacity === '1'", "the page")
    visitor.close()


def test_a_picture_that_is_loading_takes_no_touch(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address)
    visitor.until("livetint.painting.stage.image !== null", "a picture of the attract loop")
    visitor.page.click("#begin")
    held: list[Any] = []
    visitor.page.route("**/2048.jpg", lambda route: held.append(route))
    visitor.page.click("#pictures li:nth-child(2) button")
    until(
        lambda: visitor.evaluate("document.body.dataset.state === 'painting'") and held, "the request for the picture"
    )
    assert visitor.evaluate("getComputedStyle(document.getElementById('picture')).opacity") == "0", (
        "the picture of before is hidden"
    )
    visitor.tap(0.5, 0.5)
    visitor.page.locator("#cross").focus()
    visitor.page.keyboard.press("Enter")
    held[0].continue_()
    visitor.settled()
    assert visitor.hints == []
    visitor.place(0.5, 0.5)
    visitor.close()


def test_a_sentence_about_another_picture_goes_when_the_next_one_is_opened(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address)
    status = visitor.page.locator("#status")
    visitor.page.route("**/2048.jpg", lambda route: route.fulfill(body=b"no JPEG", content_type="image/jpeg"))
    visitor.page.click("#begin")
    visitor.page.click("#pictures li:nth-child(2) button")
    until(lambda: "could not be opened" in status.inner_text(), "a sentence")
    assert visitor.evaluate("document.body.dataset.state") == "gallery"
    visitor.page.unroute("**/2048.jpg")
    visitor.page.click("#pictures li:nth-child(3) button")
    visitor.settled()
    assert status.inner_text() == ""
    visitor.evaluate('livetint.link.onMessage(\'{"type": "refused", "seq": 0, "sentence": "Not now."}\')')
    assert status.inner_text() == "Not now."
    visitor.place(0.5, 0.5)
    assert status.inner_text() == ""
    visitor.close()


def test_saving_downloads_the_picture_at_full_size(visitor: Visitor, tmp_path: Path) -> None:
    visitor.place(0.5, 0.5)
    with visitor.page.expect_download() as download:
        visitor.page.click("#save")
    path = tmp_path / "saved.png"
    download.value.save_as(path)
    assert Photo.open(path).size == (1600, 1229)
    visitor.page.click("#saved-close")


def test_a_code_for_the_phone_is_shown_or_a_sentence_beside_the_button_says_why_not(
    browser: Any, kiosk: RunningKiosk
) -> None:
    visitor = Visitor(
        browser, kiosk.address, before=page_settings(takeaway=True, download=False, keep=False), clock=True
    )
    code = kiosk.get("/icon.svg")[1]
    visitor.open()
    status = visitor.page.locator("#status")
    answers = [503, 404]
    visitor.page.route("**/save/takeaway", lambda route: route.fulfill(status=answers.pop(0), body="x"))
    for expected in ("could not be saved", "no longer here"):
        visitor.page.click("#save")
        until(lambda words=expected: words in status.inner_text(), "the sentence")
        said, button = status.bounding_box(), visitor.page.locator("#save").bounding_box()
        assert said and button
        assert abs(said["x"] + said["width"] / 2 - button["x"] - button["width"] / 2) < said["width"] / 2
        assert 0 < button["y"] - said["y"] - said["height"] < 20
        assert not visitor.evaluate("document.getElementById('saved').open")
        visitor.page.clock.fast_forward(9000)
        until(lambda: status.inner_text() == "", "its end, by itself")
    visitor.page.unroute("**/save/takeaway")
    visitor.page.route("**/save/takeaway", lambda route: route.fulfill(body=code, content_type="image/svg+xml"))
    visitor.page.click("#save")
    visitor.until("document.getElementById('saved').open", "what became of it")
    assert visitor.page.locator("#code").is_visible()
    assert "Scan this code" in visitor.page.locator("#saved-text").inner_text()
    visitor.page.click("#saved-close")
    visitor.close()


def test_a_picture_that_cannot_be_opened_leaves_the_one_of_before(visitor: Visitor) -> None:
    visitor.place(0.4, 0.5)
    kept = visitor.hints
    visitor.page.click("#gallery-open")
    visitor.page.route("**/2048.jpg", lambda route: route.fulfill(body=b"no JPEG", content_type="image/jpeg"))
    visitor.page.click("#pictures li:nth-child(2) button")
    visitor.until("document.body.dataset.state === 'gallery'", "the gallery again")
    visitor.page.click("#back")
    visitor.settled()
    assert visitor.hints == kept


NO_WEBGL = """const had = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === 'webgl2' ? null : had.call(this, kind, ...rest); };"""


def test_without_webgl_the_page_shows_jpegs(browser: Any, stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, stub, screen={"pixels": "auto"})
    try:
        visitor = Visitor(browser, kiosk.address, before=NO_WEBGL)
        assert visitor.evaluate("livetint.view.kind") == "jpeg"
        visitor.open()
        visitor.place(0.4, 0.5)
        assert visitor.evaluate("livetint.view.coloured.width") > 0
        shown = visitor.evaluate("[...livetint.view.read(livetint.painting.stage.scene()).slice(0, 4000)]")
        assert any(shown[i] != shown[i + 1] for i in range(0, 4000, 4)), "colour on the canvas"
        until(lambda: b"livetint_fallbacks_total 1.0" in kiosk.get("/metrics")[1], "the count of fallbacks")
        visitor.close()
        drawing = Visitor(browser, kiosk.address)
        assert drawing.evaluate("livetint.view.draw_ms") > 0, "where there is WebGL its speed is measured"
        drawing.close()
    finally:
        kiosk.close()


def test_a_webgl_context_that_never_returns_is_replaced_by_jpegs(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, clock=True)
    visitor.open()
    visitor.place(0.4, 0.5)
    kept = visitor.hints
    visitor.evaluate("livetint.view.gl.getExtension('WEBGL_lose_context').loseContext()")
    visitor.until("livetint.view.lost", "the loss")
    visitor.page.clock.fast_forward(4000)
    visitor.until("livetint.view.kind === 'jpeg' && livetint.view.coloured !== null", "a JPEG")
    visitor.settled()
    assert visitor.hints == kept
    assert chroma_on_screen(visitor) > 1
    visitor.place(0.7, 0.6)
    visitor.close()


def test_a_picture_of_ones_own_is_coloured_and_wiped(browser: Any, stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(
        tmp_path, stub, screen={"pixels": "planes"}, uploads={"enabled": True, "camera": True, "max_mib": 1.0}
    )
    try:
        visitor = Visitor(browser, kiosk.address)
        visitor.page.click("#begin")
        assert visitor.page.locator("#camera-open").is_visible()
        visitor.page.set_input_files("#file", bundled_photos() / "coffee.jpg")
        visitor.until("document.body.dataset.state === 'painting'", "the visitor's picture")
        visitor.settled()
        visitor.place(0.5, 0.5)
        id = visitor.evaluate("livetint.painting.photo")
        kiosk.page = visitor.evaluate("livetint.page")
        assert kiosk.get(f"/pictures/{id}/480.jpg")[0] == 200
        visitor.page.click("#gallery-open")
        assert visitor.page.locator("#pictures li").count() == len(visitor.evaluate("livetint.settings.pictures")) + 1
        visitor.page.set_input_files("#file", {"name": "x", "mimeType": "image/png", "buffer": b"no picture at all"})
        visitor.until("document.getElementById('status').textContent.includes('another')", "a sentence")
        too_large = b"\xff\xd8\xff" + bytes(2 << 20)
        visitor.page.set_input_files("#file", {"name": "x", "mimeType": "image/jpeg", "buffer": too_large})
        visitor.until("document.getElementById('status').textContent.includes('at most 1 MB')", "where it is too large")
        visitor.page.evaluate("fetch('/uploads', { method: 'DELETE', headers: { 'livetint-page': livetint.page } })")
        until(lambda: kiosk.get(f"/pictures/{id}/480.jpg")[0] == 404, "its end")
        visitor.close()
    finally:
        kiosk.close()


def test_uploads_are_not_offered_where_they_are_off(visitor: Visitor) -> None:
    visitor.page.click("#gallery-open")
    assert not visitor.page.locator("#own").is_visible()


def test_every_language_has_every_word(kiosk: RunningKiosk, browser: Any) -> None:
    page = Visitor(browser, kiosk.address)
    tables = {
        code: json.loads(kiosk.get(f"/languages/{code}.json")[1])
        for code in page.evaluate("livetint.settings.languages")
    }
    elements = "[...document.querySelectorAll('[data-words], [data-label]')]"
    named = set(page.evaluate(f"{elements}.map((e) => e.dataset.words ?? e.dataset.label)"))
    for code, words in tables.items():
        assert set(words) == set(tables["en"]), code
        assert named <= set(words), code
        assert all(words.values()), code
    page.close()


def test_two_tabs_paint_apart_and_a_third_waits_for_the_first_that_leaves(
    browser: Any, stub: Path, tmp_path: Path
) -> None:
    kiosk = RunningKiosk(tmp_path, stub, screen={"pixels": "jpeg"}, server={"screens": 2}, engine={"spare": False})
    small = {"width": 800, "height": 480, "reduced_motion": "reduce"}  # so that three pages draw fast
    try:
        first, second = (Visitor(browser, kiosk.address, **small) for _ in range(2))
        for visitor, x in ((first, 0.3), (second, 0.7)):
            visitor.open()
            visitor.place(x, 0.5)
        assert [hint["x"] for hint in first.hints] != [hint["x"] for hint in second.hints]
        second.page.reload()
        second.until("globalThis.livetint?.page", "the same screen")
        assert len(kiosk.status()["screens"]) == 2
        third = Visitor(browser, kiosk.address, **small)
        third.until("!document.getElementById('veil').hidden", "the polite refusal")
        assert len(first.hints) == 1
        first.close()
        third.until("document.getElementById('veil').hidden && livetint.link.up", "its turn")
        for visitor in (second, third):
            visitor.close()
    finally:
        kiosk.close()


def test_no_hint_is_lost_when_the_engine_or_the_server_dies(browser: Any, stub: Path, tmp_path: Path) -> None:
    kiosk = RunningKiosk(tmp_path, stub, screen={"pixels": "planes"})
    visitor = Visitor(browser, kiosk.address)
    try:
        visitor.open()
        visitor.place(0.4, 0.5)
        start = visitor.at(0.4, 0.5)
        visitor.fingers("Start", start)
        visitor.fingers("Move", (start[0] + 20, start[1]))
        os.kill(kiosk.worker, signal.SIGKILL)
        visitor.fingers("Move", (start[0] + 60, start[1]))
        visitor.fingers("End")
        visitor.settled()
        assert len(visitor.hints) == 1
        kept = visitor.hints
        kiosk.kill()
        visitor.until("!livetint.link.up", "the loss")
        seq = visitor.evaluate("livetint.painting.requests.shownSeq")
        kiosk = RunningKiosk(tmp_path, stub, port=kiosk.port, screen={"pixels": "planes"})
        visitor.until(f"livetint.link.up && livetint.painting.requests.shownSeq > {seq}", "colours again")
        assert visitor.hints == kept
        visitor.close()
    finally:
        kiosk.close()
