"""Records what a page shows as an animated WebP, in the time that it took."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from .page import Visitor

WIDTH_PX, QUALITY = 720, 62
# Frames closer together than this are left out; the last one stays this long.
STEP_MS, LAST_MS = 90, 2500


class Film:
    """Frames of one page, from its making until `save`."""

    def __init__(self, visitor: Visitor) -> None:
        self._frames: list[tuple[float, bytes]] = []
        self._session = visitor.context.new_cdp_session(visitor.page)
        self._session.on("Page.screencastFrame", self._keep)
        options = {"format": "jpeg", "quality": 95, "maxWidth": 2 * WIDTH_PX, "maxHeight": 2 * WIDTH_PX}
        self._session.send("Page.startScreencast", options)

    def _keep(self, event: dict[str, Any]) -> None:
        self._frames.append((1000 * event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        self._session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    def save(self, path: Path) -> None:
        """Write the film."""
        self._session.send("Page.stopScreencast")
        kept = self._frames[:1]
        for at_ms, data in self._frames[1:]:
            if at_ms - kept[-1][0] >= STEP_MS:
                kept.append((at_ms, data))
        ends = [at_ms for at_ms, _ in kept[1:]] + [kept[-1][0] + LAST_MS]
        durations = [round(end - start) for (start, _), end in zip(kept, ends, strict=True)]
        first, *rest = (_shrunk(data) for _, data in kept)
        first.save(
            path, save_all=True, append_images=rest, duration=durations, loop=0, quality=QUALITY, method=4,
            minimize_size=True,
        )  # fmt: skip


def _shrunk(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail((WIDTH_PX, WIDTH_PX), Image.Resampling.LANCZOS)
    return image
