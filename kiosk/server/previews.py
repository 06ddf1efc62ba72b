"""Previews: grey JPEGs of photographs, made in a process beside the engine, and kept while there is room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator

from ...engine.errors import ImageRejected, LivetintError
from ..memory import NamelessFile
from ..messages import PictureRef
from .tasks import end_tasks

log = logging.getLogger("livetint.kiosk")

# Longer side in pixels: of a thumbnail, and of what the page paints on.
SIZES_PX = (480, 2048)
MAX_KEPT_BYTES = 128 << 20
DEADLINE_S = 30.0
# A process without work is ended after this time. Starting one takes about a second.
IDLE_S = 60.0
ANSWER_BYTES = 4096


class PreviewFailed(LivetintError):
    """The process that makes previews ended or took too long."""

    visitor_sentence = ImageRejected.visitor_sentence


class Previews:
    """Previews of all pictures. A picture is decoded once, for all of SIZES_PX.

    open_picture: gives a descriptor of a picture, which is closed here; KeyError where the picture is gone.
    """

    def __init__(self, open_picture: Callable[[PictureRef], int], max_megapixels: float) -> None:
        self._open_picture = open_picture
        self._shrinker = Shrinker(max_megapixels)
        self._one_at_a_time = asyncio.Lock()
        self._kept: OrderedDict[PictureRef, dict[int, bytes]] = OrderedDict()
        self._refused: dict[PictureRef, str] = {}
        self._jobs: dict[PictureRef, asyncio.Task[dict[int, bytes]]] = {}

    @property
    def process(self) -> int | None:
        """Id of the process that makes previews, or None where none stands by."""
        return self._shrinker.pid

    def __contains__(self, ref: PictureRef) -> bool:
        """Whether anything is kept of a picture, or being made."""
        return ref in self._kept or ref in self._jobs or ref in self._refused

    async def get(self, ref: PictureRef, size_px: int) -> bytes:
        """The grey JPEG of a picture, whose longer side is at most `size_px`, one of SIZES_PX.

        Raises KeyError where the picture is gone or goes meanwhile, ImageRejected, and PreviewFailed.
        """
        if ref in self._refused:
            raise ImageRejected(self._refused[ref])
        if ref not in self._kept:
            job = self._jobs.get(ref) or self._begin(ref)
            try:
                # Others may wait for the same picture when this call is cancelled.
                await asyncio.shield(job)
            except asyncio.CancelledError:
                if job.cancelled():
                    raise KeyError(ref) from None
                raise
        self._kept.move_to_end(ref)
        return self._kept[ref][size_px]

    def forget(self, ref: PictureRef) -> None:
        """Let go of a picture that is gone, and give up what is being made of it."""
        self._kept.pop(ref, None)
        self._refused.pop(ref, None)
        job = self._jobs.pop(ref, None)
        if job:
            job.cancel()

    async def stand_by(self) -> None:
        """Start the process that makes previews: a picture is about to come. Raises OSError."""
        async with self._one_at_a_time:
            await self._shrinker.stand_by()

    async def close(self) -> None:
        """Give up all work and end the process."""
        await end_tasks(list(self._jobs.values()))
        await self._shrinker.close()

    def _begin(self, ref: PictureRef) -> asyncio.Task[dict[int, bytes]]:
        job = self._jobs[ref] = asyncio.create_task(self._make(ref))
        job.add_done_callback(lambda job: self._done(ref, job))
        return job

    async def _make(self, ref: PictureRef) -> dict[int, bytes]:
        async with self._one_at_a_time:
            return await self._shrinker.shrink(lambda: self._open_picture(ref))

    def _done(self, ref: PictureRef, job: asyncio.Task[dict[int, bytes]]) -> None:
        """Keep what was made, unless the picture was forgotten meanwhile. Runs before those who wait for the job."""
        error = None if job.cancelled() else job.exception()
        if self._jobs.get(ref) is not job:
            return
        del self._jobs[ref]
        if isinstance(error, LivetintError):
            log.warning("no preview", extra={"facts": {"reason": str(error)}})
        if isinstance(error, ImageRejected):
            self._refused[ref] = str(error)  # this version of the picture never opens
        if not job.cancelled() and not error:
            self._kept[ref] = job.result()
        while len(self._kept) > 1 and self._kept_bytes > MAX_KEPT_BYTES:
            self._kept.popitem(last=False)

    @property
    def _kept_bytes(self) -> int:
        return sum(len(jpeg) for sizes in self._kept.values() for jpeg in sizes.values())


class Shrinker:
    """The process that makes previews: started when there is work, used again, ended when it had none for a while."""

    def __init__(self, max_megapixels: float) -> None:
        self._max_megapixels = max_megapixels
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ended: list[asyncio.subprocess.Process] = []

    @property
    def pid(self) -> int | None:
        """Process id, or None where no process stands by."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def shrink(self, open_source: Callable[[], int]) -> dict[int, bytes]:
        """One photograph → its previews by size, one of SIZES_PX. For one caller at a time.

        open_source: gives a descriptor of the photograph, which is closed here; its errors are passed on. Raises
        ImageRejected where the photograph cannot be opened, and PreviewFailed where the process ends or overruns
        DEADLINE_S. A call that is cancelled ends the process.
        """
        with self._resting_afterwards():
            try:
                if self._socket:
                    # A process that stood by may have died meanwhile. Another one gets the work then.
                    with contextlib.suppress(EOFError):
                        return await self._ask(open_source)
                return await self._ask(open_source)
            except EOFError as error:
                raise PreviewFailed("the process that makes previews ended; the picture may be too large") from error

    async def stand_by(self) -> None:
        """Start the process before there is work, so that nobody waits for it. Raises OSError."""
        with self._resting_afterwards():
            if not self.pid:
                self.end()
                await self._start()

    @contextlib.contextmanager
    def _resting_afterwards(self) -> Iterator[None]:
        """The time without work begins with the end of the block."""
        if self._idle:
            self._idle.cancel()
        try:
            yield
        finally:
            if self._socket:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.end)

    async def _ask(self, open_source: Callable[[], int]) -> dict[int, bytes]:
        """As `shrink`. Raises EOFError where the process ended."""
        with contextlib.ExitStack() as stack:
            files = {size_px: stack.enter_context(NamelessFile("preview")) for size_px in SIZES_PX}
            source = open_source()
            descriptors = [source, *(file.descriptor for file in files.values())]
            try:
                answer = await asyncio.wait_for(self._exchange(descriptors), DEADLINE_S)
            except BaseException as error:
                self.end()
                if isinstance(error, asyncio.TimeoutError):
                    raise PreviewFailed(f"a preview took longer than {DEADLINE_S:g} s and was given up") from error
                if isinstance(error, OSError):
                    raise EOFError(str(error)) from error
                raise
            finally:
                os.close(source)
            if "error" in answer:
                raise ImageRejected(answer["error"])
            return {size_px: file.read() for size_px, file in files.items()}

    async def _exchange(self, descriptors: list[int]) -> dict[str, str]:
        requests = self._socket or await self._start()
        socket.send_fds(requests, [json.dumps(SIZES_PX).encode()], descriptors)
        text = b""
        while not text.endswith(b"\n"):
            part = await asyncio.get_running_loop().sock_recv(requests, ANSWER_BYTES)
            if not part:
                raise EOFError("no answer")
            text += part
        return json.loads(text)

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"{__package__}.shrinking", str(theirs.fileno()), str(self._max_megapixels),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        return ours

    def end(self) -> None:
        """Kill the process. The next picture gets a new one."""
        if self._idle:
            self._idle.cancel()
        if self._socket:
            self._socket.close()
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._ended = [process for process in self._ended if process.returncode is None] + [self._process]
        self._process = self._socket = self._idle = None

    async def close(self) -> None:
        """End the process and wait until it is gone."""
        self.end()
        await asyncio.gather(*(process.wait() for process in self._ended))
