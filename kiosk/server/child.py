"""A process for one piece of work: it gets its input and its time, may fail by itself, and is gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def run_child(
    module: str, arguments: tuple[object, ...], data: bytes, descriptor: int, deadline_s: float
) -> tuple[int, str]:
    """Run `livetint.kiosk.MODULE` with `data` as its standard input → exit code and last line of its errors.

    `descriptor` is open in it as well. Raises asyncio.TimeoutError after `deadline_s` seconds; it is ended then.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        pass_fds=(descriptor,), start_new_session=True,
    )  # fmt: skip
    try:
        _, said = await asyncio.wait_for(child.communicate(data), deadline_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        code = await child.wait()
    return code, said.decode(errors="replace").strip().rpartition("\n")[2]
