"""A record of what is made durable and in which order, and power cuts at any of those moments."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from livetint.engine import files


class PowerCut(BaseException):
    """Not an Exception, so that nothing handles it."""


@dataclass
class DiskLog:
    """Every fsync, rename and exchange, as ("sync" | "rename" | "exchange", path), paths relative to `root`.

    With `cut_at` = n the n-th of them does not happen: PowerCut is raised instead.
    """

    root: Path
    events: list[tuple[str, str]] = field(default_factory=list)
    cut_at: int | None = None

    def note(self, kind: str, path: Path) -> None:
        if len(self.events) == self.cut_at:
            raise PowerCut
        shown = os.path.relpath(path, self.root)
        # Temporary names end in random digits.
        self.events.append(
            (kind, "/".join("temporary" if p.startswith(".") and len(p) > 1 else p for p in shown.split("/")))
        )


def watch_disk(monkeypatch: pytest.MonkeyPatch, root: Path) -> DiskLog:
    """Record what happens under `root` from now on."""
    log = DiskLog(root.resolve())
    sync, exchange = os.fsync, files.exchange

    def fsync(descriptor: int) -> None:
        log.note("sync", Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    def swap(one: Path, other: Path) -> bool:
        log.note("exchange", other)
        return exchange(one, other)

    def renaming(real: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def rename(self: Path, target: Path) -> Path:
            log.note("rename", target)
            return real(self, target)

        return rename

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(files, "exchange", swap)
    monkeypatch.setattr(Path, "rename", renaming(Path.rename))
    monkeypatch.setattr(Path, "replace", renaming(Path.replace))
    return log
