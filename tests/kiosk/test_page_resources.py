"""The page releases what it makes: decoded pictures, blob URLs, textures, the camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import FilePayload, Page, Route

from ..needs import needs
from .page import Visitor, page_settings
from .running import RunningKiosk, until

pytestmark = needs("chromium")

SCENE_MS = 9000
URL_LIFETIME_MS = 10_000

# Runs before the page's own scripts. `live` holds what was made and not released; `made` counts the bitmaps;
# decoding waits while `decoding.held` is true.
COUNT = """
const live = globalThis.live = { bitmaps: new Set(), urls: new Set(), textures: new Set(), tracks: new Set(), made: 0 };
const decoding = globalThis.decoding = { held: false, waiting: [] };
const kept = (bitmap) => { live.bitmaps.add(bitmap); live.made += 1; return bitmap; };
const wrap = (owner, name, replace) => { owner[name] = replace(owner[name]); };
wrap(globalThis, 'createImageBitmap', (had) => async (...rest) => {
  const bitmap = kept(await had(...rest));
  if (decoding.held) await new Promise((go) => decoding.waiting.push(go));
  return bitmap; });
wrap(OffscreenCanvas.prototype, 'transferToImageBitmap', (had) => function () { return kept(had.call(this)); });
wrap(ImageBitmap.prototype, 'close', (had) => function () { live.bitmaps.delete(this); had.call(this); });
wrap(URL, 'createObjectURL', (had) => (blob) => { const url = had.call(URL, blob); live.urls.add(url); return url; });
wrap(URL, 'revokeObjectURL', (had) => (url) => { live.urls.delete(url); had.call(URL, url); });
wrap(WebGL2RenderingContext.prototype, 'createTexture', (had) => function () {
  const texture = had.call(this); live.textures.add(texture); return texture; });
wrap(WebGL2RenderingContext.prototype, 'deleteTexture', (had) => function (texture) {
  live.textures.delete(texture); had.call(this, texture); });
"""
# A camera of 320 x 240; each stream's track is live until it is stopped.
CAMERA = """
Object.defineProperty(navigator, 'mediaDevices', { value: { getUserMedia: async () => {
  const canvas = document.createElement('canvas'); [canvas.width, canvas.height] = [320, 240];
  canvas.getContext('2d').fillRect(0, 0, 320, 240);
  const stream = canvas.captureStream(), [track] = stream.getTracks();
  live.tracks.add(track);
  const stop = track.stop.bind(track);
  track.stop = () => { live.tracks.delete(track); stop(); };
  if (globalThis.cameraHeld) await new Promise((go) => { globalThis.releaseCamera = go; });
  return stream; } } });
"""
UPLOADS = {"camera": True, "max_bytes": 2**24, "max_megapixels": 24.0, "types": ["image/jpeg", "image/png"]}
IMAGE: FilePayload = {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"the route answers for it"}


def live(visitor: Visitor) -> dict[str, int]:
    return visitor.evaluate("Object.fromEntries(['bitmaps', 'urls', 'tracks'].map((kind) => [kind, live[kind].size]))")


def only_the_photograph(visitor: Visitor) -> bool:
    return live(visitor) == {"bitmaps": 1, "urls": 0, "tracks": 0}


def held(page: Page, pattern: str) -> list[Route]:
    """Requests that match `pattern` wait in the list that is returned."""
    waiting: list[Route] = []
    page.route(pattern, lambda route: waiting.append(route))
    return waiting


def test_the_attract_loop_holds_one_picture(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=COUNT, clock=True)
    for _ in range(4):
        visitor.settled()
        shown = visitor.evaluate("livetint.painting.photo")
        visitor.page.clock.fast_forward(SCENE_MS)
        until(lambda before=shown: visitor.evaluate("livetint.painting.photo") != before, "the next picture")
    visitor.settled()
    assert visitor.evaluate("live.made") >= 5
    assert only_the_photograph(visitor)
    visitor.close()


def test_a_picture_that_is_overtaken_or_broken_is_released(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=COUNT)
    visitor.settled()
    visitor.page.click("#begin")
    visitor.evaluate("decoding.held = true")
    for picture, waiting in ((1, 1), (2, 2)):
        visitor.page.click(f"#pictures li:nth-child({picture}) button")
        visitor.until(f"decoding.waiting.length === {waiting}", "its decoding")
        visitor.evaluate("document.getElementById('gallery-open').click()")
    made = visitor.evaluate("live.made")
    visitor.evaluate("decoding.held = false")
    visitor.evaluate("decoding.waiting.reverse().forEach((go) => go())")
    visitor.settled()
    assert visitor.evaluate("live.made") == made
    assert only_the_photograph(visitor)
    visitor.page.route("**/2048.jpg", lambda route: route.fulfill(body=b"no JPEG", content_type="image/jpeg"))
    visitor.page.click("#pictures li:nth-child(3) button")
    visitor.until("document.getElementById('status').textContent.includes('another')", "a sentence")
    assert only_the_photograph(visitor)
    visitor.close()


def test_coloured_jpegs_are_released_when_newer_ones_come(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=page_settings(pixels="jpeg") + COUNT)
    visitor.open()
    assert live(visitor) == {"bitmaps": 2, "urls": 0, "tracks": 0}, "the photograph and its colours"
    made = visitor.evaluate("live.made")
    visitor.evaluate("decoding.held = true")
    for number in (1, 2):
        visitor.evaluate(f"livetint.painting.edits.apply({{ strength: 0.{number} }})")
        visitor.evaluate("livetint.painting.changed()")
        visitor.until(f"decoding.waiting.length === {number}", "the decoding of its JPEG")
    visitor.evaluate("decoding.held = false")
    visitor.evaluate("decoding.waiting.reverse().forEach((go) => go())")
    visitor.settled()
    visitor.place(0.5, 0.5)
    assert visitor.evaluate("live.made") > made + 2
    assert live(visitor)["bitmaps"] == 2
    visitor.close()


def test_trying_how_fast_this_machine_draws_leaves_nothing(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=COUNT)
    assert visitor.evaluate("livetint.view.draw_ms") > 0
    visitor.settled()
    assert only_the_photograph(visitor)
    gl = "livetint.view.gl"
    textures = f"[...live.textures].map((texture) => {gl}.isTexture(texture))"
    assert visitor.evaluate(textures) == [True] * 3, "the textures of the view alone"
    visitor.evaluate(f"globalThis.loss = {gl}.getExtension('WEBGL_lose_context')")
    visitor.evaluate("loss.loseContext()")
    visitor.until("livetint.view.lost", "the loss")
    visitor.evaluate("loss.restoreContext()")
    visitor.until("!livetint.view.lost", "the picture again")
    assert visitor.evaluate(textures) == [True] * 3, "those of the lost context are forgotten"
    visitor.close()


def test_codes_and_downloads_are_released(browser: Any, kiosk: RunningKiosk) -> None:
    before = page_settings(takeaway=True, download=True, keep=False) + COUNT
    visitor = Visitor(browser, kiosk.address, before=before, clock=True)
    code = kiosk.get("/icon.svg")[1]
    answers: list[bytes] = [code, b"no picture", code]
    visitor.page.route(
        "**/save/takeaway", lambda route: route.fulfill(body=answers.pop(0), content_type="image/svg+xml")
    )
    visitor.page.route("**/save/download", lambda route: route.fulfill(body=code, content_type="image/png"))
    visitor.open()
    for place, sentence in (("saved-text", "Scan this code"), ("status", "could not be saved"), ("saved-text", "Scan")):
        visitor.page.click("#save")
        visitor.until(f"document.getElementById('{place}').textContent.includes('{sentence}')", "what became of it")
        assert visitor.page.locator("#code").is_visible() is sentence.startswith("Scan")
        if place == "saved-text":
            visitor.page.click("#saved-close")
        visitor.evaluate("document.getElementById('saved-text').textContent = ''")
        visitor.page.clock.fast_forward(URL_LIFETIME_MS + 1)
        until(lambda: only_the_photograph(visitor), "the release")
    visitor.close()


def test_pictures_of_ones_own_are_released_and_the_camera_is_shut(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=page_settings(uploads=UPLOADS) + COUNT + CAMERA)
    answer = {**visitor.evaluate("livetint.settings.pictures[0]"), "own": True}
    visitor.page.route("**/uploads", lambda route: route.fulfill(status=201, json=answer))
    visitor.page.click("#begin")
    visitor.page.set_input_files("#file", IMAGE)
    visitor.until("document.body.dataset.state === 'painting'", "the visitor's picture")
    visitor.settled()
    assert only_the_photograph(visitor)
    for button, opens in (("#camera-take", "painting"), ("#camera-close", "gallery")):
        visitor.page.click("#gallery-open")
        visitor.page.click("#camera-open")
        visitor.until("document.getElementById('view').videoWidth > 0", "the camera")
        assert live(visitor)["tracks"] == 1
        visitor.page.click(button)
        visitor.until(f"document.body.dataset.state === '{opens}'")
        until(lambda: live(visitor)["tracks"] == 0, "the camera's end")
        assert visitor.evaluate("document.getElementById('view').srcObject") is None
    visitor.settled()
    assert only_the_photograph(visitor)
    visitor.close()


IDLE = page_settings(idle_s=60, warning_s=20, uploads=UPLOADS)


def leave(visitor: Visitor) -> None:
    """The visitor walks away, and the page wipes."""
    visitor.page.clock.fast_forward(81_000)
    visitor.until("document.body.dataset.state === 'attract'", "the wipe")


def nothing_is_seen(visitor: Visitor, arrive: Callable[[], None]) -> None:
    """`arrive` brings what the visitor who left had asked for; the next visitor must not see it."""
    leave(visitor)
    visitor.page.click("#begin")
    arrive()
    visitor.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert visitor.evaluate("document.body.dataset.state") == "gallery"
    assert visitor.evaluate("document.getElementById('status').textContent") == ""
    assert not visitor.evaluate("document.getElementById('camera').open")
    assert live(visitor)["tracks"] == 0


def test_an_upload_that_ends_after_its_visitor_left_is_not_opened(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE + COUNT, clock=True)
    answer = {**visitor.evaluate("livetint.settings.pictures[0]"), "own": True}
    waiting = held(visitor.page, "**/uploads")
    visitor.page.click("#begin")
    visitor.page.set_input_files("#file", IMAGE)
    until(lambda: visitor.page.locator("#file-open").is_disabled() and waiting, "the upload")

    def arrive() -> None:
        waiting[0].fulfill(status=201, json=answer)
        until(lambda: visitor.page.locator("#file-open").is_enabled(), "the end of the upload")

    nothing_is_seen(visitor, arrive)
    assert [route.request.method for route in waiting] == ["POST", "DELETE"], "the wipe at the server"
    pictures = visitor.evaluate("livetint.settings.pictures.length")
    assert visitor.page.locator("#pictures li").count() == pictures
    visitor.close()


def test_a_camera_that_opens_after_its_visitor_left_is_shut(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE + COUNT + CAMERA, clock=True)
    visitor.page.route("**/uploads", lambda route: route.fulfill(status=204))
    visitor.page.click("#begin")
    visitor.evaluate("globalThis.cameraHeld = true")
    visitor.page.click("#camera-open")
    visitor.until("globalThis.releaseCamera !== undefined", "the camera's start")
    nothing_is_seen(visitor, lambda: visitor.evaluate("releaseCamera()"))
    visitor.close()


def test_a_wiped_picture_is_released_even_where_the_next_one_does_not_come(browser: Any, kiosk: RunningKiosk) -> None:
    visitor = Visitor(browser, kiosk.address, before=IDLE + COUNT, clock=True)
    visitor.open()
    visitor.place(0.5, 0.5)
    visitor.page.route("**/2048.jpg", lambda route: route.abort())
    leave(visitor)
    until(lambda: live(visitor)["bitmaps"] == 0, "the release of the visitor's picture")
    assert visitor.hints == []
    visitor.until("livetint.view.planes?.every((half) => half === 0) ?? true", "the release of its colours")
    visitor.close()
