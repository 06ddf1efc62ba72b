"""A visit: gallery, moods, languages, saving, leaving, faults, a second page, a picture of one's own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.image.photo import Photo
from livetint.kiosk.server.exhibition import bundled_photos
from PIL import Image

from ..needs import needs
from .page import Visitor, page_settings
from .running import RunningKiosk, until

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


def test_moods_and_strength_change_the_whole_picture(visitor: Visitor) -> None:
    before = visitor.shown_ab(0.2, 0.2)
    visitor.page.click("#moods-open")
    visitor.page.click("[data-mood=rich]")
    visitor.settled()
    assert visitor.shown_ab(0.2, 0.2) != before
    reference = visitor.page.locator("#references button").nth(2)
    reference.click()
    visitor.settled()
    assert visitor.evaluate("livetint.painting.edits.present.reference") == reference.get_attribute("data-reference")
    assert not visitor.page.locator("#references button").nth(0).is_visible(), "the picture itself"
    visitor.until("document.querySelectorAll('#references .loaded').length > 2", "coloured copies")
    spread = visitor.evaluate(
        "[...document.querySelectorAll('#references .loaded')].map((image) => { "
        "const canvas = document.createElement('canvas'), context = canvas.getContext('2d'); "
        "context.drawImage(image, 0, 0, 9, 9); const { data } = context.getImageData(0, 0, 9, 9); "
        "return Math.max(...[...Array(81).keys()].map((i) => Math.abs(data[i * 4] - data[i * 4 + 2]))); })"
    )
    assert min(spread) > 8, "each has colours"
    visitor.page.click("#moods-close")


def test_the_slider_of_strength_goes_from_grey_to_the_most_and_resets_with_the_picture(visitor: Visitor) -> None:
    visitor.place(0.5, 0.5)
    planes = visitor.shown_ab(0.5, 0.5)
    visitor.page.click("#moods-open")
    found = [slide(visitor, strength) for strength in (0, 50, 100, 150, 200)]
    assert found[0] < 0.5 and min(np.diff(found)) > 0.5, found
    assert visitor.shown_ab(0.5, 0.5) == planes, "the strength is applied on screen"
    visitor.page.click("#moods-close")
    visitor.page.click("#undo")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.stage.scene().colour") == 1.5
    visitor.page.click("#restart")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.stage.scene().colour") == 1
    slide(visitor, 200)
    visitor.page.click("#gallery-open")
    visitor.page.click("#pictures li:nth-child(2) button")
    visitor.until("!document.getElementById('picture').classList.contains('loading')")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.stage.scene().colour") == 1
    visitor.page.click("#moods-open")
    assert visitor.page.locator("#strength").input_value() == "100"
    visitor.page.click("#moods-close")


def test_jpegs_follow_the_slider_of_strength(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=page_settings(pixels="jpeg"))
    visitor.open()
    found = [slide(visitor, strength) for strength in (0, 50, 100, 150, 200)]
    assert found[0] < 0.5 and min(np.diff(found)) > 0.5, found
    visitor.close()


def slide(visitor: Visitor, strength: int) -> float:
    """Move the slider of strength; returns the mean chroma of the picture on screen."""
    visitor.page.locator("#strength").evaluate(
        "(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }",
        strength,
    )
    visitor.settled()
    return chroma_on_screen(visitor)


def chroma_on_screen(visitor: Visitor) -> float:
    """Mean chroma of the pixels that the page draws. The page picks every eighth of them: JSON of all took 12 s."""
    pixels = visitor.evaluate(
        "(() => { const { view } = livetint, pixels = view.read(livetint.painting.stage.scene()), picked = [];"
        " const { width, height } = view.canvas;"
        " for (let y = 0; y < height; y += 8) for (let x = 0; x < width; x += 8) {"
        "   const at = (y * width + x) * 4; picked.push(pixels[at], pixels[at + 1], pixels[at + 2]); }"
        " return picked; })()"
    )
    lab = srgb_to_lab(np.array(pixels, np.float64).reshape(1, -1, 3) / 255)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def test_saved_pictures_have_the_strength_that_is_shown(visitor: Visitor, tmp_path: Path) -> None:
    visitor.place(0.5, 0.5)
    visitor.evaluate("livetint.painting.edits.apply({ strength: 0 })")
    visitor.evaluate("livetint.painting.changed()")
    with visitor.page.expect_download() as download:
        visitor.page.click("#save")
    download.value.save_as(tmp_path / "grey.png")
    rgb = np.asarray(Image.open(tmp_path / "grey.png")).astype(int)
    assert np.abs(rgb - rgb.mean(-1, keepdims=True)).max() <= 1
    visitor.page.click("#saved-close")


def test_a_touch_that_leaves_the_slider_where_it_was_is_no_step(visitor: Visitor) -> None:
    visitor.page.click("#moods-open")
    visitor.page.locator("#strength").dispatch_event("pointerdown")
    visitor.page.locator("#strength").dispatch_event("pointerup")
    for steps, mood in enumerate(("rich", "cool"), 1):
        visitor.page.click(f"[data-mood={mood}]")
        assert visitor.evaluate("livetint.painting.edits.past.length") == steps
    visitor.page.click("#moods-close")
    visitor.page.click("#undo")
    assert visitor.evaluate("livetint.painting.edits.present.mood") == "rich"
    visitor.settled()


def test_arabic_runs_from_right_to_left(visitor: Visitor) -> None:
    visitor.page.click("#language")
    visitor.page.click("#language-list [lang=ar]")
    visitor.until("document.documentElement.dir === 'rtl'")
    tools = visitor.page.locator("#tools button")
    first, last = tools.first.bounding_box(), tools.last.bounding_box()
    assert first and last and first["x"] > last["x"]
    assert visitor.page.locator("#undo").inner_text() == "تراجع"


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


def test_nothing_is_lost_by_looking_at_other_pictures(visitor: Visitor) -> None:
    visitor.place(0.4, 0.5)
    visitor.place(0.7, 0.6)
    visitor.page.click("#undo")
    visitor.settled()
    kept, colours = visitor.hints, visitor.shown_ab(0.4, 0.5)
    visitor.page.click("#gallery-open")
    assert visitor.page.locator("#pictures .painted").count() == 1
    visitor.page.click("#back")
    visitor.settled()
    assert visitor.hints == kept and visitor.shown_ab(0.4, 0.5) == colours
    visitor.page.click("#gallery-open")
    visitor.page.click("#pictures li:nth-child(2) button")
    visitor.settled()
    assert visitor.hints == []
    visitor.place(0.5, 0.5)
    visitor.page.click("#gallery-open")
    visitor.page.click("#pictures li:nth-child(1) button")
    visitor.settled()
    assert visitor.hints == kept and visitor.shown_ab(0.4, 0.5) == colours
    visitor.page.click("#redo")
    assert len(visitor.hints) == 2
    visitor.page.click("#undo")
    visitor.page.click("#undo")
    assert visitor.hints == []
    visitor.settled()


def test_finish_clears_everything_for_the_next_visitor(visitor: Visitor) -> None:
    visitor.place(0.4, 0.5)
    visitor.page.click("#finish")
    visitor.page.click("#leave-no")
    assert len(visitor.hints) == 1
    visitor.page.click("#gallery-open")
    visitor.page.click("#finish")
    visitor.page.click("#leave-yes")
    visitor.until("document.body.dataset.state === 'attract'", "the attract loop")
    visitor.page.click("#begin")
    assert not visitor.page.locator("#back").is_visible() and visitor.page.locator("#pictures .painted").count() == 0
    visitor.page.click("#pictures li:nth-child(1) button")
    visitor.settled()
    assert visitor.hints == [] and visitor.page.locator("#undo").is_disabled()
    visitor.page.click("#finish")  # nothing to clear, so nothing is asked
    visitor.until("document.body.dataset.state === 'attract'", "the attract loop")


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


IDLE = page_settings(idle_s=60, warning_s=20, language="de")
WARNED = "document.getElementById('idle').open"


def test_a_visitor_who_leaves_is_wiped_after_a_warning(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    visitor.place(0.5, 0.5)
    visitor.page.click("#language")
    visitor.page.click("#language-list [lang=fr]")
    visitor.until("document.documentElement.lang === 'fr'")
    visitor.page.click("#contrast")
    visitor.page.clock.fast_forward(61_000)
    visitor.until(WARNED, "the warning")
    visitor.page.mouse.move(200, 200)
    visitor.until(f"!{WARNED}", "the end of the warning")
    visitor.page.clock.fast_forward(61_000)
    visitor.until(WARNED, "another warning")
    assert len(visitor.hints) == 1
    visitor.page.clock.fast_forward(20_000)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    visitor.until("document.documentElement.lang === 'de'", "the default language")
    assert visitor.evaluate("livetint.painting.palette.recent") == []
    assert visitor.evaluate("document.documentElement.dataset.contrast") == "usual"
    assert not visitor.evaluate(WARNED)
    visitor.close()


def test_a_wipe_needs_no_server(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    visitor.page.click("#language")
    visitor.page.click("#language-list [lang=fr]")
    visitor.until("document.documentElement.lang === 'fr'")
    visitor.page.route("**/*", lambda route: route.abort())
    visitor.page.clock.fast_forward(81_000)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    visitor.until("document.documentElement.lang === 'de'", "the default language")
    visitor.close()


def test_a_save_that_ends_after_its_visitor_left_is_not_shown(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    held: list[Any] = []
    visitor.page.route("**/save/*", lambda route: held.append(route))
    visitor.page.click("#save")
    until(lambda: visitor.evaluate("document.getElementById('save').disabled") and held, "the saving")
    visitor.page.clock.fast_forward(81_000)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    with visitor.page.expect_response("**/save/*") as answer:
        held[0].continue_()
    answer.value.body()
    visitor.page.click("#begin")
    visitor.page.click("#pictures li:nth-child(1) button")
    visitor.settled()
    assert not visitor.evaluate("document.getElementById('saved').open")
    assert visitor.evaluate("document.getElementById('save').disabled") is False
    visitor.close()


def test_a_jump_of_the_clock_neither_wipes_nor_keeps_a_visitor(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()
    visitor.place(0.5, 0.5)
    for hours, place in ((5, (0.15, 0.2)), (-7, (0.85, 0.8))):
        now_ms = visitor.evaluate("Date.now()")
        visitor.page.clock.set_system_time(now_ms / 1000 + hours * 3600)
        visitor.until(f"Math.abs(Date.now() - {now_ms}) > 3_600_000", "the jump")
        visitor.page.clock.fast_forward(10_000)
        visitor.place(*place)
        assert not visitor.evaluate(WARNED)
    assert len(visitor.hints) == 3
    visitor.page.clock.fast_forward(61_000)
    visitor.until(WARNED, "the warning in its time")
    visitor.close()


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
    kiosk = RunningKiosk(tmp_path, stub, screen={"pixels": "planes"}, server={"screens": 2})
    try:
        first, second = (Visitor(browser, kiosk.address) for _ in range(2))
        for visitor, x in ((first, 0.3), (second, 0.7)):
            visitor.open()
            visitor.place(x, 0.5)
        assert [hint["x"] for hint in first.hints] != [hint["x"] for hint in second.hints]
        second.page.reload()
        second.until("globalThis.livetint?.page", "the same screen")
        assert len(kiosk.status()["screens"]) == 2
        third = Visitor(browser, kiosk.address)
        third.until("!document.getElementById('veil').hidden", "the polite refusal")
        assert len(first.hints) == 1
        first.close()
        third.until("document.getElementById('veil').hidden && livetint.link.up", "its turn")
        third.open()
        assert third.hints == []
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


def test_a_closed_screen_says_the_hours_goes_black_and_opens_again(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE, clock=True)
    visitor.open()

    def say(**hours: Any) -> None:
        detail = json.dumps({"type": "hours", "opens": "09:00", "closes": "17:30", **hours})
        visitor.evaluate(f"livetint.link.dispatchEvent(new CustomEvent('message', {{ detail: {detail} }}))")

    words = visitor.page.locator("#veil p")
    say(open=False, blank=False)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")
    visitor.until(
        "document.getElementById('veil-hours').textContent.startsWith('Geöffnet von 09:00 bis 17:30')", "hours"
    )
    assert words.is_visible()
    say(open=False, blank=True)
    assert not words.is_visible()
    visitor.page.touchscreen.tap(400, 300)
    assert words.is_visible(), "a touch wakes the screen"
    visitor.page.clock.fast_forward(16_000)
    assert not words.is_visible()
    assert visitor.evaluate("document.body.dataset.state") == "attract", "nobody gets in"
    say(open=True, blank=False)
    assert visitor.evaluate("document.getElementById('veil').hidden")
    visitor.page.click("#begin")
    visitor.close()
