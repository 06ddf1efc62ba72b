"""Host memory for composed pictures: the GPU copies a picture straight into the array that the caller gets.

A fresh NumPy array for each picture would be one more pass over it, half a millisecond at 1920 × 1080. So there are a
few blocks of page-locked memory. A picture keeps its block until no array uses it any more; if all are in use,
the picture is copied out of a spare block. The blocks are ordinary memory that the driver has locked, so pictures stay
readable after the GPU is closed.

On an integrated GPU the kernel writes into memory that host and GPU share. Such a picture is always copied: that is the
only copy of it. Where the driver cannot lock ordinary memory, every picture is copied too.
"""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from .device import Device, Stream

# A caller that asks for the next picture while it holds the last one needs two.
BLOCKS = 2
SPARE = -1


class _Loan:
    """The owner of a picture that is handed out. NumPy keeps it alive as long as an array or view uses its memory."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._picture = picture
        self.__array_interface__ = picture.__array_interface__


class _Block:
    """Page-locked host memory of one picture, and what it is lent to."""

    def __init__(self, host: NDArray[np.uint8]) -> None:
        self.host = host
        self._loan: weakref.ref[_Loan] | None = None

    @property
    def free(self) -> bool:
        return self._loan is None or self._loan() is None

    def lend(self, frame: tuple[int, int]) -> NDArray[np.uint8]:
        loan = _Loan(_as_picture(self.host, frame))
        self._loan = weakref.ref(loan)
        return np.asarray(loan)


class Pictures:
    """Where composed pictures lie, on the GPU and on the host. size_bytes: of the largest."""

    def __init__(self, device: Device, size_bytes: int) -> None:
        self._spare = device.pinned(size_bytes)
        locked = [device.locked(size_bytes) for _ in range(0 if device.integrated else BLOCKS)]
        self._blocks = [_Block(host) for host in locked if host is not None]

    @property
    def address(self) -> int:
        """Where the GPU writes a picture."""
        return self._spare.address

    def free_block(self) -> int:
        """The number of a block for the next picture; SPARE if all are in use."""
        return next((number for number, block in enumerate(self._blocks) if block.free), SPARE)

    def download(self, stream: Stream, block: int, frame: tuple[int, int]) -> None:
        """Enqueue the copy of a picture of size (height, width) to a block."""
        size_bytes = frame[0] * frame[1] * 3
        if block == SPARE:
            self._spare.to_host(stream, size_bytes)
        else:
            stream.download(self._blocks[block].host[:size_bytes], self.address)

    def hand_out(self, block: int, frame: tuple[int, int]) -> NDArray[np.uint8]:
        """The picture in a block, uint8 [H, W, 3]. It belongs to the caller."""
        if block == SPARE:
            return _as_picture(self._spare.host, frame).copy()
        return self._blocks[block].lend(frame)


def _as_picture(host: NDArray[np.uint8], frame: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = frame
    return host[: height * width * 3].reshape(height, width, 3)
