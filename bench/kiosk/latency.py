"""Touch event → drawn frame in a real browser: `python -m livetint.bench.kiosk.latency [--model M] [--json F]`.

Starts the kiosk as a process and Chromium without a screen and with software GL, drags a point through the picture
one move per animation frame, and reads the page's own clock: from PointerEvent.timeStamp to the frame after the one
that drew its colours. Every move counts, also one that was overtaken: it is over when a newer one is on screen.

Stages, in ms, of which the first four add up to the total: `wait` (touch → question sent: an answer is under way),
`reply` (→ colours arrived; of it the server took `server`, the engine `touch`), `draw` (→ drawn), `present` (→ next
frame). The last line names the stage that bounds the total.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...cli.terminal import run
from ...engine.errors import ConfigError
from ...engine.files import atomic_write, check_place
from ...engine.image.compose import METHODS
from ...engine.models import DEFAULT_MODEL

FLAGS = (
    "--no-sandbox --disable-gpu --use-angle=swiftshader --enable-unsafe-swiftshader --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
PARTS = ("wait_ms", "reply_ms", "draw_ms", "present_ms")
STAGES = (*PARTS, "total_ms", "server_ms", "touch_ms")
AIM_P95_MS = 80.0
PAGE_START_S = 30.0

_DRAG = """async (moves) => {
  const { painting } = livetint, { stage, requests } = painting, box = stage.box.getBoundingClientRect();
  const frame = () => new Promise(requestAnimationFrame);
  const answered = async () => { while (!painting.settled) await frame(); };
  const send = (kind, x, y) => stage.box.dispatchEvent(new PointerEvent(kind, { pointerId: 7, pointerType: 'touch',
    width: 8, height: 8, clientX: box.left + x, clientY: box.top + y, bubbles: true, cancelable: true }));
  const at = (i) => stage.toStage({ x: 0.5 + 0.3 * Math.cos(i / 40), y: 0.5 + 0.3 * Math.sin(i / 40) });
  await answered();
  painting.edits.apply({ hints: [{ x: 0.8, y: 0.5, a: 20, b: 30, size: 5 }] });
  painting.changed();
  painting.showPoints();
  await frame();
  await answered();
  requests.frames = [];
  let p = at(0);
  send('pointerdown', p.x, p.y);
  const started = performance.now();
  for (let i = 1; i <= moves; i += 1) { p = at(i); send('pointermove', p.x, p.y); await frame(); }
  const spent = performance.now() - started;
  await answered();
  await frame(); await frame(); await frame();
  send('pointerup', p.x, p.y);
  const { canvas, kind, slow } = stage.view;
  const frames = requests.frames.slice(0, moves);
  return { frames, kind, slow, canvas: [canvas.width, canvas.height], probe: livetint.view.draw_ms,
    pictures_per_s: new Set(frames.map(({ seq }) => seq)).size / spent * 1000 };
}"""


def measure(model: str, moves: int, pixels: str, upsampling: str, spin: bool) -> dict[str, Any]:
    """Drag `moves` moves; stage → n, p50, p95, p99 in ms over all moves, and how the page drew."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError("this bench needs Playwright: pip install playwright") from error
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise ConfigError("this bench needs Chromium: sudo apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kiosk.toml"
        config.write_text(
            f"[server]\nport = 0\n[engine]\nspin = {json.dumps(spin)}\n"
            f'[screen]\npixels = "{pixels}"\nupsampling = "{upsampling}"\n'
        )
        command = [sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "kiosk"]
        server = subprocess.Popen(
            [*command, "--config", str(config), "--model", model],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            line = server.stdout.readline() if server.stdout else ""
            if " at " not in line:
                raise ConfigError(f"the kiosk did not start with model {model}; try `livetint kiosk --check`")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(line.split(" at ")[1].strip())
                started = time.monotonic()
                while not page.evaluate("globalThis.livetint !== undefined"):
                    if time.monotonic() - started > PAGE_START_S:
                        raise ConfigError(f"the kiosk's page did not start within {PAGE_START_S:.0f} s")
                    time.sleep(0.05)
                page.click("#begin")
                page.click("#pictures li:nth-child(1) button")
                found = page.evaluate(_DRAG, moves)
                browser.close()
        finally:
            server.terminate()
            server.wait(15)
    stages = {stage: _percentiles(found["frames"], stage) for stage in STAGES}
    drawing = {key: found[key] for key in ("kind", "slow", "canvas", "probe", "pictures_per_s")}
    asked = {"moves": moves, "pixels": pixels, "upsampling": upsampling, "spin": spin}
    return {**asked, "drawing": drawing, "stages": stages, "bounded_by": _bound(stages)}


def _percentiles(frames: list[dict[str, float]], stage: str) -> dict[str, float | int | None]:
    values = [frame[stage] for frame in frames if stage in frame]
    if not values:
        return {"n": 0, "p50": None, "p95": None, "p99": None}
    p50, p95, p99 = (round(float(v), 1) for v in np.percentile(values, (50, 95, 99)))
    return {"n": len(values), "p50": p50, "p95": p95, "p99": p99}


def _bound(stages: dict[str, dict[str, float | int | None]]) -> str:
    """The part that takes longest in the median."""
    return max(PARTS, key=lambda part: stages[part]["p50"] or 0.0).removesuffix("_ms")


def table(found: dict[str, Any]) -> str:
    """What was measured, for a reader."""
    lines = [f"{'ms':10}{'n':>6}{'p50':>9}{'p95':>9}{'p99':>9}"]
    for stage, row in found["stages"].items():
        values = "".join(f"{'-' if row[key] is None else row[key]:>9}" for key in ("p50", "p95", "p99"))
        lines.append(f"{stage.removesuffix('_ms'):10}{row['n']:>6}{values}")
    drawing = found["drawing"]
    width, height = drawing["canvas"]
    lines.append(
        f"{drawing['kind']} on a canvas of {width} x {height}, {drawing['pictures_per_s']:.0f} pictures a second; "
        f"aim: total p95 <= {AIM_P95_MS:.0f}; bounded by: {found['bounded_by']}"
    )
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or folder of a bundle.")
@click.option("--moves", type=click.IntRange(2), default=500, show_default=True, help="Moves of the drag.")
@click.option("--pixels", type=click.Choice(["auto", "planes", "jpeg"]), default="auto", show_default=True)
@click.option("--upsampling", type=click.Choice(list(METHODS)), default="bilinear", show_default=True)
@click.option("--spin", is_flag=True, help="Let the engine's threads spin (engine.spin).")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the table there as JSON.")
def main(model: str, moves: int, pixels: str, upsampling: str, spin: bool, path: Path | None) -> None:
    """Drag a point in a real browser and time touch event → drawn frame."""
    check_place(path)
    found = measure(model, moves, pixels, upsampling, spin)
    if path:
        atomic_write(path, json.dumps(found, indent=1).encode())
    click.echo(table(found), nl=False)


if __name__ == "__main__":
    run(main, "python -m livetint.bench.kiosk.latency")
