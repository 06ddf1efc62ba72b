"""A process for one piece of work: it gets its input and its time, may fail by itself, and is gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence


async def run_child(
    module: str, arguments: Sequence[object], data: bytes, descriptors: Sequence[int], deadline_s: float
) -> tuple[int, str]:
    """Run `livetint.kiosk.server.MODULE` with `data` as its standard input → exit code and last line of its errors.

    `descriptors` are open in it under the same numbers. It is killed when this call is cancelled, and after
    `deadline_s` seconds, which raises asyncio.TimeoutError.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        pass_fds=descriptors, start_new_session=True,
    )  # fmt: skip
    try:
        _, errors = await asyncio.wait_for(child.communicate(data), deadline_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        code = await child.wait()
    return code, errors.decode(errors="replace").strip().rpartition("\n")[2]
