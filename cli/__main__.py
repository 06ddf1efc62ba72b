"""The command `livetint`. An error prints one line on stderr and sets the exit code; it prints no traceback."""

from __future__ import annotations

import sys

from .interrupts import ExitOnInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. An error prints one line on stderr and ends the process with the error's exit code.

    Importing this module takes no time. What the commands need is imported here, so that Ctrl-C ends it in one line.
    """
    with ExitOnInterrupt():
        from .process import NO_MEMORY, NO_MEMORY_SENTENCE, lacks_memory, open_standard_streams

        open_standard_streams()
        try:
            from .commands import livetint
            from .terminal import run
        except (ImportError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            sys.stderr.write(f"livetint: {NO_MEMORY_SENTENCE}\n")
            sys.exit(NO_MEMORY)
    run(livetint, "livetint", arguments)


if __name__ == "__main__":
    main()
