"""With `screen.upsampling = "guided"`, screen, JPEG and saved file all show what the engine computes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from livetint.cli.__main__ import main
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.colour.metrics import delta_e
from livetint.engine.image.compose import compose, fitted, resize_lightness
from livetint.engine.image.photo import Photo
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.session import Session
from livetint.kiosk.engine.service import _jpeg
from livetint.kiosk.server.exhibition import bundled_photos
from numpy.typing import NDArray
from PIL import Image

from ..needs import needs
from .page import Visitor, one_visitor
from .running import RunningKiosk
from .test_page import canvas_pixels
from .test_server import PHOTO, controls, edit, first_picture, reply

HINTS = [[0.3, 0.4, 20, 30, 5], [0.7, 0.6, -30, 10, 7]]
# Draws a grey picture of bytes `greys` with ab as half floats `halves`; gives the canvas as base64 of RGBA.
DRAWN = """async ([width, height, greys, halves]) => {
  const { view } = livetint, bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const grey = bytes(greys), px = new ImageData(width, height);
  for (let i = 0; i < grey.length; i += 1) px.data.set([grey[i], grey[i], grey[i], 255], i * 4);
  [view.canvas.width, view.canvas.height] = [width, height];
  view.setPhoto(await createImageBitmap(px));
  view.setPlanes(new Uint16Array(bytes(halves).buffer));
  const shown = view.read({ rect: [0, 0, width, height], colour: 1, split: -1, reveal: null });
  let text = '';
  for (let i = 0; i < shown.length; i += 8192) text += String.fromCharCode(...shown.subarray(i, i + 8192));
  return btoa(text); }"""


@pytest.fixture(scope="module")
def guided(stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKiosk]:
    """A kiosk with guided upsampling."""
    screen = {"pixels": "planes", "upsampling": "guided"}
    running = RunningKiosk(tmp_path_factory.mktemp("guided"), stub, screen=screen)
    yield running
    running.close()


@pytest.fixture
def at_guided(browser: Any, guided: RunningKiosk) -> Iterator[Visitor]:
    yield from one_visitor(browser, guided.address)


@pytest.fixture(scope="module")
def session(stub: Path) -> Session:
    """A session with HINTS on the first picture."""
    session = Session(Photo.open(bundled_photos() / PHOTO), OnnxRunner(find_model(stub), 1))
    for x, y, a, b, size in HINTS:
        session.add(x, y, a, b, int(size))
    return session


def text_of(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()


@needs("chromium")
@pytest.mark.parametrize(("height", "width"), [(256, 256), (430, 611), (700, 257)])
def test_the_shader_is_the_engines_guided_colour_within_one_step(at_guided: Visitor, height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    grey = cv2.resize(rng.integers(0, 256, (9, 7), np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    grey = np.clip(grey + rng.normal(0, 6, grey.shape), 0, 255).astype(np.uint8)
    ab = rng.uniform(-60, 60, (2, 256, 256)).astype(np.float16)
    halves = np.ascontiguousarray(ab.transpose(1, 2, 0))
    drawn = at_guided.page.evaluate(DRAWN, [width, height, text_of(grey), text_of(halves)])
    shown = np.frombuffer(base64.b64decode(drawn), np.uint8).reshape(height, width, 4)[..., :3].astype(int)
    L = Photo.from_rgb(np.repeat(grey[..., None], 3, 2)).L
    difference = np.abs(shown - compose(L, ab.astype(np.float32), method="guided"))
    assert difference.max() <= 2 and np.mean(difference > 1) < 1e-3


@needs("chromium")
def test_the_page_shows_what_the_command_line_writes(at_guided: Visitor, stub: Path, tmp_path: Path) -> None:
    for x, y in ((0.35, 0.3), (0.6, 0.7)):
        at_guided.place(x, y)
    canvas, (x, y, w, h) = canvas_pixels(at_guided)
    hints = Session(Photo.open(bundled_photos() / PHOTO), OnnxRunner(find_model(stub), 1))
    for hint in at_guided.hints:
        hints.add(hint["x"], hint["y"], hint["a"], hint["b"], int(hint["size"]))
    hints.save(tmp_path / "hints.json")
    arguments = ["-o", str(tmp_path / "out.png"), "--hints", str(tmp_path / "hints.json"), "--upsampling", "guided"]
    main(["colorize", str(bundled_photos() / PHOTO), *arguments, "--model", str(stub)])
    left, top, right, bottom = round(x), round(y), round(x + w), round(y + h)
    written = np.asarray(Image.open(tmp_path / "out.png").convert("RGB"))
    expected = cv2.resize(written, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    difference = delta_e(*(srgb_to_lab(p / np.float32(255)) for p in (expected, canvas[top:bottom, left:right])))
    assert float(np.mean(difference)) <= 1.0


def test_jpegs_are_upsampled_in_the_same_way(guided: RunningKiosk, session: Session) -> None:
    with controls(guided) as socket:
        socket.send(edit(first_picture(guided), want="jpeg", width=640, hints=HINTS))
        pixels = reply(socket)[1]
    L = resize_lightness(session.photo.L, fitted(session.photo.size, 640))
    jpegs = [_jpeg(compose(L, session.ab, method=method)) for method in ("guided", "bilinear")]
    sent, guided_pixels, bilinear_pixels = (
        np.asarray(Image.open(io.BytesIO(jpeg))).astype(int) for jpeg in (pixels, *jpegs)
    )
    to_guided, to_bilinear = (np.abs(sent - other).mean() for other in (guided_pixels, bilinear_pixels))
    assert to_guided < 0.1 * to_bilinear


def test_the_saved_file_is_upsampled_in_the_same_way(guided: RunningKiosk, session: Session) -> None:
    body = edit(first_picture(guided), hints=HINTS).encode()
    with controls(guided):
        status, data = guided.get("/save/download", "POST", body, Origin=guided.address.rstrip("/"))
    assert status == 200
    saved = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(saved - session.render(method="guided")).max() <= 1
    assert np.abs(saved - session.render()).max() > 1, "bilinear would be another file"
