"""One self-contained HTML page, and tables in Markdown, from result files of the bench."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...engine.errors import ConfigError
from ...engine.files import decode_text
from .. import measure
from ..accuracy import measures as accuracy
from ..accuracy.measures import loss_rows
from ..latency import measures as latency
from ..latency.energy import Energy
from ..measure import Measures, Result, Rows
from . import gpu, plots
from .compare import Change, overall

# Marks in a Markdown file, in the form of `marks`, between which tables are written.
MAIN, GPU, GPU_DETAILS = "bench", "bench gpu", "bench gpu details"
WANTED = "give files written by `livetint bench latency|accuracy|energy|gpu --json`"
MEASURES: dict[str, Measures] = {"accuracy": accuracy.MEASURES, "latency": latency.MEASURES, "energy": (Energy,)}
# kind of result → the schema that the report reads.
SCHEMAS = {**dict.fromkeys(MEASURES, 1), "gpu": gpu.SCHEMA}
PLOTS = {"accuracy": plots.accuracy_curve, "latency": plots.latency_bars}
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ccc;"
    "text-align:right}td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}"
    "code{background:#f2f2f2;padding:.1rem .3rem;overflow-wrap:anywhere}"
)


def read_result(path: Path) -> dict[str, Any]:
    """A file that the bench wrote, of a kind in SCHEMAS. Raises ConfigError for anything else."""
    try:
        table = json.loads(decode_text(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check the path") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON ({error}); {WANTED}") from error
    if not isinstance(table, dict) or SCHEMAS.get(table.get("kind", "")) != table.get("schema", 0):
        raise ConfigError(f"{path} is no result that the report shows; {WANTED}")
    return table


def change_rows(changes: Sequence[Change]) -> list[list[str]]:
    """Header and rows of a comparison of two latency files."""
    rows = [
        [c.stage, f"{c.ratio:.3f}", f"{c.low:.3f} to {c.high:.3f}", c.verdict + (f": {c.why}" if c.why else "")]
        for c in changes
    ]
    return [["new over old, relative to the reference", "ratio", "95 % interval", "verdict"], *rows]


def _counts(changes: Sequence[Change]) -> str:
    """Number of stages for each verdict."""
    return ", ".join(f"{n} {verdict}" for verdict, n in Counter(change.verdict for change in changes).most_common())


def markdown(results: Sequence[dict[str, Any]], changes: Sequence[Change] = (), brief: bool = False) -> str:
    """All tables as Markdown; brief: only the curve, the stages and the ratios, for a README."""
    parts = []
    for table in results:
        parts += [_caption(table), *(_markdown_table(rows) for rows in _tables(table, brief))]
        parts += gpu.notes(table) if table["kind"] == "gpu" and not brief else []
    if changes:
        parts += [
            f"Comparison: **{overall(list(changes))}** ({_counts(changes)})",
            _markdown_table(change_rows(changes)),
        ]
    return "\n\n".join(parts) + "\n"


def _tables(result: Result, brief: bool = False) -> list[Rows]:
    """The tables of a result; brief: only those that a README shows."""
    if result["kind"] == "gpu":
        return gpu.tables(result, brief)
    found = measure.tables(MEASURES[result["kind"]], result, brief)
    losses = loss_rows(result) if result["kind"] == "accuracy" and not brief else []
    return [*found, losses] if losses else found


def _notes(result: Result) -> list[str]:
    return gpu.notes(result) if result["kind"] == "gpu" else measure.notes(MEASURES[result["kind"]], result)


def _caption(table: dict[str, Any]) -> str:
    if table["kind"] == "gpu":
        return gpu.caption(table)
    machine = table.get("machine", {})
    where = f"{machine.get('processor') or 'unknown CPU'}, {machine.get('usable_processors')} CPU cores"
    if table["kind"] == "accuracy":
        return f"Accuracy: {table['photos']} photographs, protocol {table['protocol']}, grey {table['gray']:.2f} dB."
    if table["kind"] == "energy":
        return f"Energy: {where}, {table['runner']}."
    return f"Latency in ms: {where}, {table['threads']} threads, {table['runner']}, {table['scenario']}."


def _markdown_table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" + " ---: |" * (len(rows[0]) - 1))
    return "\n".join(lines)


def marks(name: str) -> tuple[str, str]:
    """The lines between which a Markdown file shows tables."""
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def blocks(results: Sequence[dict[str, Any]], changes: Sequence[Change] = ()) -> dict[str, str]:
    """Mark → what an existing Markdown file shows there, of all marks for which there are results."""
    of_gpu = [table for table in results if table["kind"] == "gpu"]
    others = [table for table in results if table["kind"] != "gpu"]
    found = {MAIN: markdown(others, changes, brief=True)} if others else {}
    if of_gpu:
        found |= {GPU: markdown(of_gpu, brief=True), GPU_DETAILS: markdown(of_gpu)}
    return found


def into_markdown(text: str, shown: Mapping[str, str]) -> str:
    """An existing text with `shown` (mark → tables) between the marks that it has.

    Raises ConfigError for a text without any of the marks, so that no other file is overwritten, and for marks without
    an end.
    """
    found = {name: tables for name, tables in shown.items() if marks(name)[0] in text}
    if not found:
        start, end = marks(next(iter(shown), MAIN))
        raise ConfigError(f"the Markdown file lacks the lines {start} and {end}; put them where the table belongs")
    for name, tables in found.items():
        start, end = marks(name)
        if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
            raise ConfigError(f"the Markdown file lacks the lines {start} and {end}, once each and in this order")
        head, rest = text.split(start)
        text = f"{head}{start}\n{tables}{end}{rest.split(end)[1]}"
    return text


def page(results: Sequence[dict[str, Any]], changes: Sequence[Change] = ()) -> str:
    """One HTML page: plots, tables, machine, versions, command lines, and the raw results."""
    body = ["<h1>Livetint bench</h1>"]
    for table in results:
        plot = PLOTS.get(table["kind"])
        body += [
            f"<h2>{html.escape(_caption(table))}</h2>",
            f"<p><code>{html.escape(table.get('command', ''))}</code></p>",
        ]
        body += [*([plot(table)] if plot else []), *(_html_table(rows) for rows in _tables(table))]
        body += [f"<p>{html.escape(note)}</p>" for note in _notes(table)]
        body.append(_facts(table))
    if changes:
        body += [
            f"<h2>Comparison: {overall(list(changes))} ({_counts(changes)})</h2>",
            _html_table(change_rows(changes)),
        ]
    raw = json.dumps(list(results)).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Livetint bench</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style><body>{"".join(body)}'
        f'<script type="application/json" id="results">{raw}</script></body></html>\n'
    )


def _html_table(rows: list[list[str]]) -> str:
    head, *rest = rows
    cells = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    lines = ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rest]
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _facts(table: dict[str, Any]) -> str:
    facts = {**table.get("machine", {}), **table.get("versions", {})}
    facts |= {f"memory, {name}, MiB": value for name, value in table.get("memory_mib", {}).items()}
    if "model" in table:
        facts |= {f"model {key}": value for key, value in table["model"].items()}
    rows = [[key, json.dumps(value) if isinstance(value, (dict, list)) else str(value)] for key, value in facts.items()]
    return f"<details><summary>machine, versions, model</summary>{_html_table([['what', 'is'], *rows])}</details>"
