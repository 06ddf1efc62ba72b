"""Painting in a real browser: points, colours, undo and redo, and that the screen shows what the engine computed."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
from livetint.cli.__main__ import main
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.colour.metrics import delta_e
from livetint.engine.image.compose import compose
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.session import Session
from livetint.kiosk.server.exhibition import bundled_photos
from PIL import Image

from ..needs import needs
from .page import Visitor
from .running import until

pytestmark = needs("chromium")
PHOTO = "abandoned-dust-bowl-home.jpg"


def test_the_first_tap_colours_the_object_and_offers_five_more(visitor: Visitor) -> None:
    before = visitor.shown_ab(0.4, 0.5)
    visitor.evaluate(
        "livetint.painting.requests.addEventListener('answer', ({detail}) => globalThis.colours ??= detail.colours)"
    )
    echo = visitor.evaluate("""(() => { livetint.painting.askColour({x: 0.4, y: 0.5});
        return getComputedStyle(document.querySelector('.mark.pending')).backgroundColor; })()""")
    expected = visitor.evaluate("livetint.painting.stage.shownAt({x: 0.4, y: 0.5})")
    np.testing.assert_allclose(expected, before, atol=0.5)
    assert echo.startswith("rgb(") and len(set(echo[4:-1].split(", "))) > 1, "the marker has the colour shown, not grey"
    until(lambda: visitor.hints, "a point")
    visitor.settled()
    first = visitor.evaluate("colours.first")
    assert [visitor.hints[0]["a"], visitor.hints[0]["b"]] == first, "the engine chooses the first colour"
    assert np.linalg.norm(first) > np.linalg.norm(before)
    after = visitor.shown_ab(0.4, 0.5)
    assert np.hypot(after[0] - before[0], after[1] - before[1]) > 5
    until(lambda: visitor.page.locator(".swatch").count() == 5, "five swatches")
    labels = [visitor.page.locator(".swatch").nth(i).get_attribute("aria-label") for i in range(5)]
    assert all(labels), "each has a name in words"


def test_a_name_that_two_swatches_share_is_shown_once_and_no_name_has_a_number(visitor: Visitor) -> None:
    visitor.place(0.4, 0.5)
    until(lambda: visitor.page.locator(".swatch").count() == 5, "five swatches")
    alike = "{L: 50, swatches: [40, 41, 42, -40, -41].map((a) => [a, 30, 0.2]), current: [0, 0]}"
    visitor.evaluate(f"livetint.painting.swatches.show(livetint.painting.point, {alike})")
    names = visitor.evaluate("[...document.querySelectorAll('.swatch')].map((swatch) => swatch.textContent)")
    read = visitor.evaluate("[...document.querySelectorAll('.swatch')].map((e) => e.ariaLabel)")
    shown = [name for name in names if name]
    assert len(set(shown)) == len(shown) == 2 and set(shown) == set(read) and len(read) == 5, (names, read)
    assert not any(character.isdigit() for name in read for character in name)


def test_the_picked_swatch_has_the_name_of_its_point(visitor: Visitor) -> None:
    visitor.place(0.4, 0.5)
    until(lambda: visitor.page.locator(".swatch").count() == 5, "five swatches")
    # Red ends where orange begins, at a hue of 45°; the swatch lies a third of a degree beyond.
    near = "{L: 60, swatches: [[39.8, 40.2, 0.9], [-40, 30, 0.1]], current: [40, 39.9]}"
    first = visitor.page.locator(".swatch").nth(0)
    for a, pressed, name in ((40, "true", "red"), (-40, "false", "orange")):
        visitor.evaluate(f"livetint.painting.swatches.show({{...livetint.painting.point, a: {a}, b: 39.9}}, {near})")
        assert first.get_attribute("aria-pressed") == pressed
        assert first.inner_text().split()[-1] == name


def test_a_swatch_recolours_and_the_point_keeps_its_suggestions(visitor: Visitor) -> None:
    """They come from the distribution without the point itself, so they are not shades of the chosen colour."""

    def swatches() -> list | None:
        return visitor.evaluate("livetint.painting.colours?.swatches ?? null")

    visitor.place(0.4, 0.5)
    until(lambda: visitor.page.locator(".swatch").count() == 5, "five swatches")
    before, answered = swatches(), visitor.evaluate("livetint.painting.requests.shownSeq")
    first = visitor.hints[0]
    visitor.page.locator(".swatch").nth(4).tap()
    until(lambda: visitor.hints[0] != first, "another colour")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.requests.shownSeq") > answered
    until(lambda: swatches() == before, "the same suggestions, asked anew")
    visitor.place(0.54, 0.5)
    until(lambda: swatches() not in (None, before), "the suggestions at another point")


def test_a_drag_moves_the_colour_live(visitor: Visitor) -> None:
    visitor.place(0.3, 0.5)
    start, end = visitor.at(0.3, 0.5), visitor.at(0.7, 0.6)
    visitor.fingers("Start", start)
    for share in np.linspace(0.1, 1, 10):
        visitor.fingers("Move", (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share))
    until(lambda: abs(visitor.hints[0]["x"] - 0.7) < 0.01, "the point under the finger")
    visitor.until("livetint.painting.requests.shownSeq >= livetint.link.seq", "colours while the finger is down")
    assert visitor.evaluate("livetint.painting.dragging") is True
    visitor.fingers("End")
    visitor.settled()
    visitor.page.click("#undo")
    assert abs(visitor.hints[0]["x"] - 0.3) < 0.01, "the whole drag is one step"


def test_the_palette_shows_the_colour_of_a_point_while_it_is_dragged(visitor: Visitor) -> None:
    visitor.place(0.3, 0.15)
    visitor.until("livetint.painting.colours", "suggestions, which tell L there")
    start, end = visitor.at(0.3, 0.15), visitor.at(0.62, 0.62)
    visitor.fingers("Start", start)
    visitor.fingers("Move", ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    visitor.fingers("Move", end)
    until(lambda: abs(visitor.hints[0]["x"] - 0.62) < 0.01, "the point under the finger")
    chip, marker = (
        visitor.evaluate(f"document.querySelector('{name}').style.getPropertyValue('--colour')")
        for name in ("#chip", ".mark.chosen")
    )
    assert chip == marker
    visitor.fingers("End")
    visitor.settled()


def test_a_point_too_many_is_refused_in_a_sentence_until_one_is_taken_back(visitor: Visitor) -> None:
    hints = "Array.from({ length: 128 }, (_, i) => ({ x: i / 128, y: 0.9, a: 20, b: 20, size: 1 }))"
    visitor.evaluate(f"livetint.painting.edits.apply({{ hints: {hints} }})")
    visitor.evaluate("livetint.painting.changed()")
    visitor.settled()
    visitor.tap(0.5, 0.2)
    status = visitor.page.locator("#status")
    until(lambda: "as many points" in status.inner_text(), "the sentence")
    assert len(visitor.hints) == 128
    visitor.page.click("#undo")
    assert status.inner_text() == ""
    visitor.settled()


def test_the_spot_that_shows_where_to_begin_follows_the_zoom(visitor: Visitor) -> None:
    for button in ("#zoom-in", "#zoom-in", "#zoom-out"):
        visitor.page.click(button)
        hint = visitor.evaluate("livetint.settings.pictures[0].hints[0]")
        place = visitor.evaluate(f"livetint.painting.stage.toStage({{ x: {hint[0]}, y: {hint[1]} }})")
        spot = visitor.evaluate("document.getElementById('spot').style.transform")
        assert spot == f"translate({place['x']:g}px, {place['y']:g}px)"
    visitor.settled()


def test_undo_redo_delete_and_start_over(visitor: Visitor) -> None:
    visitor.place(0.3, 0.3)
    visitor.place(0.7, 0.7)
    visitor.page.click("#undo")
    assert len(visitor.hints) == 1
    visitor.page.click("#redo")
    assert len(visitor.hints) == 2
    visitor.settled()
    visitor.tap(0.3, 0.3)
    until(lambda: visitor.evaluate("livetint.painting.chosen") == 0, "the point picked again")
    visitor.page.click("#delete")
    assert len(visitor.hints) == 1
    visitor.page.click("#restart")
    assert visitor.hints == []
    visitor.page.click("#undo")
    assert len(visitor.hints) == 1
    visitor.settled()


def test_an_edit_that_changes_nothing_is_no_step(visitor: Visitor) -> None:
    visitor.place(0.5, 0.5)
    visitor.page.click("#grey")
    visitor.page.click("#grey")
    visitor.page.click("#undo")
    assert visitor.hints[0]["a"] != 0
    visitor.settled()


def test_keep_grey_here_makes_the_place_grey(visitor: Visitor) -> None:
    visitor.place(0.5, 0.5)
    visitor.page.click("#grey")
    visitor.settled()
    assert visitor.hints[0]["a"] == visitor.hints[0]["b"] == 0
    assert np.abs(visitor.shown_ab(0.5, 0.5)).max() < 2


def test_a_tap_on_the_field_of_colours_recolours_the_point(visitor: Visitor) -> None:
    visitor.place(0.5, 0.5)
    before = visitor.hints[0]
    visitor.still()
    box = visitor.page.locator("#field").bounding_box()
    assert box
    visitor.page.touchscreen.tap(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.3)
    until(lambda: visitor.hints[0] != before, "the field's colour")
    visitor.settled()
    assert visitor.page.locator("#recent button").count() >= 1


def test_recent_colours_and_sizes_belong_to_the_chosen_point(visitor: Visitor) -> None:
    visitor.place(0.3, 0.4)
    placed = visitor.hints[0]
    visitor.page.locator(".swatch").nth(4).tap()
    until(lambda: visitor.hints[0] != placed, "another colour")
    visitor.settled()
    first = visitor.hints[0]
    visitor.place(0.7, 0.6)
    assert visitor.hints[1]["a"] != pytest.approx(first["a"], abs=1)
    visitor.page.locator("#recent button").last.tap()
    until(lambda: visitor.hints[1]["a"] == pytest.approx(first["a"]), "the first point's colour in the second")
    for sizes in ([5, 7], [5, 9]):
        visitor.page.locator("#bigger").tap()
        until(lambda now=sizes: [hint["size"] for hint in visitor.hints] == now, "a bigger point")
    assert visitor.page.locator("#bigger").is_disabled()
    visitor.page.locator("#smaller").tap()
    until(lambda: visitor.hints[1]["size"] == 7, "a smaller point")
    visitor.settled()


def test_suggestions_follow_undo_and_redo(visitor: Visitor) -> None:
    visitor.place(0.4, 0.5)
    until(lambda: visitor.evaluate("livetint.painting.colours"), "suggestions")
    asked = visitor.evaluate("livetint.painting.requests.shownSeq")
    visitor.page.click("#undo")
    visitor.page.click("#redo")
    visitor.settled()
    assert visitor.evaluate("livetint.painting.requests.shownSeq") > asked
    until(lambda: visitor.evaluate("livetint.painting.colours"), "suggestions again")


def test_holding_shows_grey_and_before_and_after_splits_the_picture(visitor: Visitor) -> None:
    box = visitor.page.locator("#hold").bounding_box()
    assert box
    visitor.page.mouse.move(box["x"] + 20, box["y"] + 20)
    visitor.page.mouse.down()
    visitor.until("livetint.painting.stage.scene().colour === 0")
    visitor.page.mouse.up()
    visitor.until("livetint.painting.stage.scene().colour === 1")
    visitor.page.click("#split")
    assert visitor.evaluate("livetint.painting.stage.scene().split") == 0.5
    visitor.page.locator("#compare").focus()
    visitor.page.keyboard.press("ArrowRight")
    visitor.until("livetint.painting.stage.scene().split > 0.5")
    visitor.page.click("#split")
    assert visitor.evaluate("livetint.painting.stage.scene().split") == -1


def test_keys_alone_place_move_and_delete_a_point(visitor: Visitor) -> None:
    visitor.page.locator("#cross").focus()
    visitor.page.keyboard.press("ArrowRight")
    visitor.page.keyboard.press("Enter")
    until(lambda: len(visitor.hints) == 1, "a point")
    visitor.settled()
    before = visitor.hints[0]["x"]
    visitor.page.locator(".mark").first.focus()
    visitor.page.keyboard.press("ArrowLeft")
    assert visitor.hints[0]["x"] < before
    visitor.page.keyboard.press("Delete")
    assert visitor.hints == []
    visitor.settled()


def test_the_page_shows_what_the_command_line_writes(visitor: Visitor, stub: Path, tmp_path: Path) -> None:
    visitor.place(0.35, 0.3)
    visitor.place(0.6, 0.7)
    visitor.settled()
    canvas, (x, y, w, h) = canvas_pixels(visitor)
    photo = bundled_photos() / PHOTO
    session = Session(Photo.open(photo), OnnxRunner(find_model(stub), 1))
    for hint in visitor.hints:
        session.add(hint["x"], hint["y"], hint["a"], hint["b"], hint["size"])  # pyright: ignore[reportArgumentType]
    session.save(tmp_path / "hints.json")
    arguments = [str(photo), "-o", str(tmp_path / "out.png"), "--hints", str(tmp_path / "hints.json")]
    main(["colorize", *arguments, "--model", str(stub)])
    left, top, right, bottom = round(x), round(y), round(x + w), round(y + h)
    written = np.asarray(Image.open(tmp_path / "out.png").convert("RGB"))
    expected = cv2.resize(written, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    difference = delta_e(*(srgb_to_lab(p / np.float32(255)) for p in (expected, canvas[top:bottom, left:right])))
    assert float(np.mean(difference)) <= 1.0


def canvas_pixels(visitor: Visitor) -> tuple[np.ndarray, list[float]]:
    """The canvas as uint8 [H, W, 3], and the photograph's rectangle (x, y, w, h) on it in pixels."""
    found = visitor.evaluate(
        """(() => { const v = livetint.view, s = livetint.painting.stage.scene(), p = v.read(s); let t = '';
        for (let i = 0; i < p.length; i += 8192) t += String.fromCharCode(...p.subarray(i, i + 8192));
        return [btoa(t), v.canvas.width, v.canvas.height, s.rect]; })()"""
    )
    pixels = np.frombuffer(base64.b64decode(found[0]), np.uint8).reshape(found[2], found[1], 4)
    return pixels[..., :3], found[3]


def test_the_shader_is_the_engines_colour_within_one_step(visitor: Visitor) -> None:
    """256 colours against all 256 greys. The picture is as large as the planes, so that nothing is resampled."""
    visitor.page.evaluate(
        """async () => { const { view } = livetint, n = 256, px = new ImageData(n, n);
        const planes = new Uint16Array(n * n * 2);
        const half = new Float32Array(1), bits = new Uint32Array(half.buffer);
        const pack = (v) => { half[0] = v; const b = bits[0]; if (v === 0) return 0;
          return ((b >> 16) & 0x8000) | ((((b >> 23) & 255) - 112) << 10) | ((b >> 13) & 0x3ff); };
        for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) { const i = y * n + x;
          px.data.set([x, x, x, 255], i * 4);
          planes[i * 2] = pack(Math.round(Math.cos(y * 0.7) * y / 3));
          planes[i * 2 + 1] = pack(Math.round(Math.sin(y * 0.7) * y / 3)); }
        view.canvas.width = view.canvas.height = n;
        view.setPhoto(await createImageBitmap(px)); view.setPlanes(planes);
        globalThis.trial = view.read({ rect: [0, 0, n, n], colour: 1, split: -1, reveal: null }); }"""
    )
    text = visitor.evaluate(
        """(() => { let t = ''; for (let i = 0; i < trial.length; i += 8192)
        t += String.fromCharCode(...trial.subarray(i, i + 8192)); return btoa(t); })()"""
    )
    shown = np.frombuffer(base64.b64decode(text), np.uint8).reshape(256, 256, 4)[..., :3]
    grey = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3))
    y = np.arange(256)
    planes = np.round(np.stack([np.cos(y * 0.7) * y / 3, np.sin(y * 0.7) * y / 3]) - 1e-9).astype(np.float32)
    ab = np.repeat(planes[:, :, None], 256, axis=2)
    expected = compose(Photo.from_rgb(grey).L, ab)
    assert np.abs(shown.astype(int) - expected.astype(int)).max() <= 1
