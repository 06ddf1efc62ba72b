"""A run over an archive: what was done before is skipped, and every copy is entered in the manifest.

Workers hash, colour and write copies under temporary names. This process alone enters a copy in the manifest and then
renames it, so a copy is put in place at most once, whatever becomes of a worker.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..engine.errors import OutputError
from ..engine.files import put_in_place, write_error
from .colour import PART, Result, Task
from .manifest import NAME, Manifest, Record
from .plan import Photograph, Plan, check_case, named


class Workers(Protocol):
    """Who colours: processes of this machine, or a cluster."""

    def results(self, tasks: Sequence[Task], /) -> Iterator[Result]:
        """One result for every task, as they come."""
        ...

    def close(self) -> None:
        """End at once, whatever is under way. May be called twice."""
        ...


@dataclass
class Summary:
    """What a run did: numbers of photographs, notes and errors (one sentence each), and its time in seconds."""

    coloured: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def check_outputs(plan: Plan, out: Path, manifest: Manifest, overwrite: bool) -> None:
    """Raise OutputError, before work starts, where a copy would replace a file that no run has written."""
    if _ignores_case(out):
        check_case(plan.photographs)
    if overwrite:
        return
    strange = [p.output for p in plan.photographs if os.path.lexists(out / p.output) and not manifest.written(p.output)]
    if strange:
        what = "a file" if len(strange) == 1 else f"{len(strange)} files"
        raise OutputError(
            f"{out} holds {what} that {NAME} does not list ({named(strange)}); "
            "choose another folder, or replace them with --overwrite"
        )


def run(
    plan: Plan,
    out: Path,
    manifest: Manifest,
    model: str,
    workers: Workers,
    overwrite: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Colour the photographs of `plan` into `out`, after `check_outputs`.

    model: digest of the model. report: is told how many photographs are done, and of how many. Raises OutputError where
    the manifest cannot be written, or the disk is full or read-only; what was done until then is in the manifest.
    """
    start = time.perf_counter()
    summary = Summary(failures=list(plan.unreadable))
    tasks = [make_task(number, p, out, manifest, overwrite) for number, p in enumerate(plan.photographs)]
    version = importlib.metadata.version("livetint")
    _remove_parts(plan, out)
    try:
        for done, result in enumerate(workers.results(tasks), 1):
            photograph = plan.photographs[result.number]
            _enter(result, photograph, out, manifest, model, version, summary)
            report(done, len(tasks))
    except BaseException:
        workers.close()  # or a worker would write one more part
        raise
    finally:
        _remove_parts(plan, out)
    summary.seconds = time.perf_counter() - start
    return summary


def make_task(
    number: int, photograph: Photograph, out: Path, manifest: Manifest | None = None, overwrite: bool = False
) -> Task:
    """The task of a photograph, with what the manifest says of it."""
    last = manifest.last(photograph.name) if manifest else None
    is_same = last is not None and last.output == photograph.output
    return Task(
        number,
        os.fsencode(photograph.source),
        _absolute(photograph.source),
        _absolute(out / photograph.output),
        _absolute(out),
        _absolute(photograph.hints) if photograph.hints else None,
        (last.sha256_in, last.sha256_out, last.model, last.options) if last and is_same else None,
        sorted(manifest.written(photograph.output)) if manifest else (),
        overwrite,
    )


def _absolute(path: Path) -> bytes:
    return os.fsencode(path.absolute())


def _enter(
    result: Result, photograph: Photograph, out: Path, manifest: Manifest, model: str, version: str, summary: Summary
) -> None:
    """Enter a result in the manifest and put its copy in place."""
    record = Record(
        photograph.name, photograph.output, result.sha256_in, result.sha256_out, model, result.options,
        result.seconds, result.error, result.notes, version,
    )  # fmt: skip
    if result.part:
        manifest.append(record)
        summary.notes += [f"{photograph.source}: {note}" for note in result.notes]
        put_in_place(Path(os.fsdecode(result.part)), out / photograph.output)
        summary.coloured += 1
    elif result.full:
        raise OutputError(result.error)
    elif result.error:
        manifest.append(record)
        summary.failures.append(result.error)
    else:
        summary.skipped += 1


def _remove_parts(plan: Plan, out: Path) -> None:
    """Remove the temporary files that a run left which was killed."""
    for folder in {(out / photograph.output).parent for photograph in plan.photographs}:
        for part in folder.glob(PART):
            with contextlib.suppress(OSError):
                part.unlink()


def _ignores_case(out: Path) -> bool:
    """Whether the file system of `out` does not tell upper from lower case. The manifest is there."""
    try:
        return (out / NAME.upper()).exists()
    except OSError as error:
        raise write_error(out, error) from error
