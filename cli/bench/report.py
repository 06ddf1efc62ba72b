"""`livetint bench report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ...bench.report import page
from ...bench.report.compare import SLOWER, compare, overall
from ...engine.errors import ConfigError
from ...engine.files import atomic_write, check_writable


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The HTML page to write.")
@click.option(
    "--markdown",
    "markdown_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Markdown to write; an existing file is updated between <!-- bench --> and <!-- /bench -->, and between "
    "<!-- bench gpu [details] --> and <!-- /bench gpu [details] -->.",
)
@click.option("--compare", "old", type=click.Path(path_type=Path),
              help="An older latency result: is this build slower?")  # fmt: skip
def report(results: tuple[Path, ...], output: Path | None, markdown_files: tuple[Path, ...], old: Path | None) -> None:
    """A page and tables from RESULTS, the files of `bench latency|accuracy|energy|gpu --json`.

    With --compare the exit code is 1 when a stage has become slower beyond doubt.
    """
    for path in (output, *markdown_files):
        check_writable(path, (*results, old))
    tables = [page.read_result(path) for path in results]
    changes = []
    if old is not None:
        new = next((table for table in tables if table["kind"] == "latency"), None)
        if new is None:
            raise ConfigError("--compare needs a latency result among RESULTS")
        changes = compare(page.read_result(old), new)
    # Everything is made before the first file is written.
    texts = [(path, _markdown(path, tables, changes)) for path in markdown_files]
    if output is not None:
        texts.append((output, page.page(tables, changes)))
    for path, text in texts:
        atomic_write(path, text.encode())
    click.echo(page.markdown(tables, changes), nl=False)
    if overall(changes) == SLOWER:
        sys.exit(1)


def _markdown(path: Path, tables: list[Any], changes: list[Any]) -> str:
    """The new text of a Markdown file. Raises ConfigError if it cannot be read."""
    if not path.is_file():
        return page.markdown(tables, changes)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not readable text: {error}; check the path") from error
    return page.into_markdown(text, page.blocks(tables, changes))
