"""The picture at the top of the README: an old photograph as it is, coloured automatically, and with five touches.

Draw it again after every change of the weights: `livetint bench readme-figure -o docs/readme-figure.jpg`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...engine.hints import Hint
from ...engine.image.compose import compose
from ...engine.image.photo import Photo
from ...engine.runners.base import Runner
from ...engine.session import Session
from ..accuracy.sheets import with_gaps

PHOTO = Path("photos/abandoned-dust-bowl-home.jpg")
# (x, y, a, b): wall, roof, sky, grass and earth.
TOUCHES = (
    (0.72, 0.45, 20, 24),
    (0.76, 0.33, -2, 6),
    (0.12, 0.2, -4, -22),
    (0.08, 0.66, -14, 28),
    (0.45, 0.86, 6, 20),
)
WIDTH_PX = 645


def panels(session: Session) -> list[NDArray[np.uint8]]:
    """The photograph in grey, coloured automatically and with TOUCHES, each uint8 [H, WIDTH_PX, 3]."""
    L = session.photo.L
    size = WIDTH_PX, round(WIDTH_PX * L.shape[0] / L.shape[1])
    shown = [compose(L, np.zeros((2, 1, 1), np.float32), size), session.render(size, method="guided")]
    session.set_hints([Hint(*touch) for touch in TOUCHES])
    return [*shown, session.render(size, method="guided")]


def draw(runner: Runner, photo: Path) -> NDArray[np.uint8]:
    """The panels of a photograph side by side, uint8 [H, W, 3]. Raises ImageRejected."""
    return with_gaps(panels(Session(Photo.open(photo), runner)), 1)
