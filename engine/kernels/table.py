"""Every kernel by name: its arguments, its block and its grid.

Launches are described here only; the runner and the tests read this table. A test holds it equal to the sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..hints import Hint

# One hint in memory, as the kernels read it: 32 bytes. Positions are float64 so that patches are those of hints.py.
HINT = np.dtype(
    {
        "names": ["x", "y", "a", "b", "size"],
        "formats": [np.float64, np.float64, np.float32, np.float32, np.float32],
        "offsets": [0, 8, 16, 20, 24],
        "itemsize": 32,
    }
)


@dataclass(frozen=True)
class Kernel:
    """How a kernel is launched.

    arguments: a struct string for pycuda: `P` an address, `i` int32, `f` float32. block: threads (x, y, z).
    tile: the columns and rows of work that one block does.
    """

    name: str
    arguments: str
    block: tuple[int, int, int]
    tile: tuple[int, int] = (1, 1)

    def grid(self, columns: int, rows: int = 1) -> tuple[int, int, int]:
        """Blocks (x, y, z) for this many columns and rows of work (README.md: which work); at least one each."""
        across, down = self.tile
        return max(1, -(-columns // across)), max(1, -(-rows // down)), 1


def _kernels() -> list[Kernel]:
    wide, tile = (32, 8, 1), (128, 8)
    return [
        *(Kernel(f"hint_planes_{kind}", "PPPiifff", wide, tile) for kind in ("f32", "f16")),
        *(Kernel(f"L_plane_{kind}", "PPiff", (256, 1, 1), (1024, 1)) for kind in ("f32", "f16")),
        Kernel("touch_tokens", "PPPPPPPPPPii", (128, 1, 1)),
        Kernel("touch_shares", "PPPPP", (128, 1, 1)),
        Kernel("touch_values", "PPP", (256, 1, 1)),
        Kernel("touch_attention", "PPPPPPPPii", (32, 4, 1), (32, 1)),
        Kernel("touch_corrections", "PPPPPii", (256, 1, 1)),
        Kernel("touch_upsample", "PPPPPPii", (32, 4, 1), (32, 1)),
        Kernel("match_measure", "PPPPii", (128, 1, 1)),
        Kernel("match_couple", "PP", (128, 1, 1)),
        Kernel("match_solve", "PPP", (128, 1, 1)),
        Kernel("match_add", "PPPii", wide, (32, 8)),
        *(Kernel(f"distribution_points_{kind}", "PPfiiiiPPP", (128, 1, 1)) for kind in ("f32", "f16")),
        Kernel("probabilities_points", "PfiiPPP", (128, 1, 1)),
        Kernel("compose_rgb", "PPiiPiii", wide, tile),
        Kernel("compose_guided_rgb", "PPPiiPiii", wide, tile),
    ]


KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in _kernels()}


def hint_records(hints: Sequence[Hint]) -> NDArray[np.void]:
    """Hints as the kernels read them: HINT [N], in the given order (later ones lie on top)."""
    return np.array([(h.x, h.y, h.a, h.b, h.size) for h in hints], HINT)
