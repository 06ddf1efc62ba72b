"""From touch event to drawn frame, in a real browser.

Starts the kiosk as a process, and Chromium without a screen and with software GL. A point is dragged through the
picture, or the brush paints lines over it, one move in each animation frame. The page's own clock gives the times, from
PointerEvent.timeStamp to the frame after the one that drew the move's colours. A move that was overtaken by a newer one
counts too, until the newer one is on the screen.

Stages, in ms. The first four add up to the total: `wait` (touch → request sent; an answer is under way), `reply`
(→ colours arrived; `server` and `touch` are the shares of the server and the engine), `draw` (→ drawn), `present`
(→ next frame).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...engine.errors import ConfigError
from ...engine.models import DEFAULT_MODEL
from ..measure import Result
from ..percentiles import min_samples, percentile
from .process import running_kiosk

FLAGS = (
    "--no-sandbox --disable-gpu --use-angle=swiftshader --enable-unsafe-swiftshader --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
PARTS = ("wait_ms", "reply_ms", "draw_ms", "present_ms")
STAGES = (*PARTS, "total_ms", "server_ms", "touch_ms")
RANKS = (50, 95, 99)
AIM_P95_MS = 80.0
PAGE_START_S = 30.0
# Moves of a stroke of the brush. It is then two and a half times as long as the picture is wide: 56 points.
STROKE_MOVES = 350
PIXELS = ("auto", "planes", "jpeg")

_DRAG = """async ([moves, brush, stroke]) => {
  const { painting } = livetint, { stage, requests } = painting, box = stage.box.getBoundingClientRect();
  const frame = () => new Promise(requestAnimationFrame);
  const answered = async () => { while (!painting.settled) await frame(); };
  const send = (kind, x, y) => stage.box.dispatchEvent(new PointerEvent(kind, { pointerId: 7, pointerType: 'touch',
    width: 8, height: 8, clientX: box.left + x, clientY: box.top + y, bubbles: true, cancelable: true }));
  const at = (i) => stage.toStage({ x: 0.5 + 0.3 * Math.cos(i / 40), y: 0.5 + 0.3 * Math.sin(i / 40) });
  const begin = async () => {
    await answered();
    painting.edits.apply({ hints: brush ? [] : [{ x: 0.8, y: 0.5, a: 20, b: 30, size: 5 }] });
    painting.choose({ index: -1, line: 0 });
    painting.changed();
    await frame();
    await answered();
  };
  painting.modes.setBrush(brush);
  await begin();
  requests.frames = [];
  let spent = 0;
  for (let done = 0; done < moves; done += stroke) {
    if (done) await begin();
    let p = at(done);
    send('pointerdown', p.x, p.y);
    const started = performance.now();
    for (let i = done + 1; i <= Math.min(moves, done + stroke); i += 1) {
      p = at(i);
      send('pointermove', p.x, p.y);
      await frame();
    }
    spent += performance.now() - started;
    await answered();
    await frame(); await frame(); await frame();
    send('pointerup', p.x, p.y);
  }
  const { canvas, kind, slow } = stage.view;
  const frames = requests.frames.slice(0, moves);
  return { frames, kind, slow, canvas: [canvas.width, canvas.height], probe: livetint.view.draw_ms,
    pictures_per_s: new Set(frames.map(({ seq }) => seq)).size / spent * 1000 };
}"""


@dataclass(frozen=True)
class Settings:
    """What is asked of a run.

    moves: of the drag; the default is enough for a p99. pixels: how colours travel, `screen.pixels`. upsampling:
    `screen.upsampling`. spin: `engine.spin`. brush: lines are painted, of STROKE_MOVES moves each; otherwise a point
    moves.
    """

    model: str = DEFAULT_MODEL
    moves: int = 700
    pixels: str = "auto"
    upsampling: str = "bilinear"
    spin: bool = False
    brush: bool = False


def measure_kiosk(settings: Settings) -> Result:
    """stage → n, p50, p95, p99 in ms over all moves (None where there are too few), and how the page drew.

    Raises ConfigError where Playwright or Chromium is missing, or the kiosk or its page does not start.
    """
    with kiosk_page(settings, "engine") as page:
        found = drag(page, settings)
    asked = asdict(settings)
    model = asked.pop("model")
    stages = {stage: summary([frame[stage] for frame in found["frames"] if stage in frame]) for stage in STAGES}
    drawing = {key: found[key] for key in ("kind", "slow", "canvas", "probe", "pictures_per_s")}
    return {**asked, "model": model, "drawing": drawing, "stages": stages, "bounded_by": _bound(stages)}


@contextmanager
def kiosk_page(settings: Settings, touches: str) -> Iterator[Any]:
    """A page of a browser that shows the first picture of a kiosk, both started for it. touches: `screen.touches`.

    Raises ConfigError where Playwright or Chromium is missing, or the kiosk or its page does not start.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError("this bench needs Playwright: pip install playwright") from error
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise ConfigError("this bench needs Chromium: sudo apt-get install chromium")
    tables = (
        f'engine.spin = {json.dumps(settings.spin)}\nscreen.pixels = "{settings.pixels}"\n'
        f'screen.upsampling = "{settings.upsampling}"\nscreen.touches = "{touches}"\n'
    )
    with running_kiosk(settings.model, tables) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        _open_picture(page, address)
        yield page
        browser.close()


def _open_picture(page: Any, address: str) -> None:
    """Open the first picture. Raises ConfigError where the page does not start."""
    page.goto(address)
    started = time.monotonic()
    while not page.evaluate("globalThis.livetint !== undefined"):
        if time.monotonic() - started > PAGE_START_S:
            raise ConfigError(f"the kiosk's page did not start within {PAGE_START_S:.0f} s")
        time.sleep(0.05)
    page.click("#begin")
    page.click("#pictures li:nth-child(1) button")


def drag(page: Any, settings: Settings) -> dict[str, Any]:
    """Drag through the picture that a page shows; what the page measured."""
    stroke = STROKE_MOVES if settings.brush else settings.moves
    return page.evaluate(_DRAG, [settings.moves, settings.brush, stroke])


def summary(values_ms: list[float]) -> dict[str, float | int | None]:
    """n, p50, p95, p99 in ms; None for a percentile that so few values do not carry."""
    values = np.asarray(values_ms, np.float64)
    found = {f"p{rank}": percentile(values, rank) if len(values) else None for rank in RANKS}
    return {"n": len(values), **{key: None if value is None else round(value, 1) for key, value in found.items()}}


def _bound(stages: dict[str, dict[str, float | int | None]]) -> str:
    """The part that takes longest in the median."""
    return max(PARTS, key=lambda part: stages[part]["p50"] or 0.0).removesuffix("_ms")


def as_lines(found: Result) -> str:
    """For the terminal. The last line names the stage that bounds the total."""
    keys = [f"p{rank}" for rank in RANKS]
    lines = [f"{'ms':10}{'n':>6}" + "".join(f"{key:>9}" for key in keys)]
    for stage, row in found["stages"].items():
        values = "".join(f"{'-' if row[key] is None else row[key]:>9}" for key in keys)
        lines.append(f"{stage.removesuffix('_ms'):10}{row['n']:>6}{values}")
    few = [f"p{rank} needs {min_samples(rank)} moves" for rank in RANKS if found["moves"] < min_samples(rank)]
    drawing = found["drawing"]
    width, height = drawing["canvas"]
    lines += ["; ".join(few)] if few else []
    lines.append(
        f"{drawing['kind']} on a canvas of {width} x {height}, {drawing['pictures_per_s']:.0f} pictures a second; "
        f"aim: total p95 <= {AIM_P95_MS:.0f}; bounded by: {found['bounded_by']}"
    )
    return "\n".join(lines)
