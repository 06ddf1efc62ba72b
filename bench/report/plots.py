"""Plots as SVG text, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ...engine.errors import ConfigError
from ..accuracy.published import OFFICIAL_LABEL, official_gain
from ..cells import short
from ..latency.stages import all_stages

# The axis of times is this many times as long as the longest bar, so that labels fit beside the bars.
AXIS_FACTOR = 12
INK, ACCENT, MUTED, SOFT = "#222222", "#b03020", "#777777", "#3f6f9f"


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError("the report's plots need matplotlib; pip install 'livetint[bench]'") from error
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "livetint", "font.size": 10})
    from matplotlib import pyplot

    return pyplot


def accuracy_curve(table: dict[str, Any]) -> str:
    """Gain over grey against the number of points, with standard errors. The published curve is dashed."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(7, 4))
    curves = [(table["model"]["name"] if "model" in table else "network", table, ACCENT, "o")]
    beside = table.get("beside", {})
    shades = pyplot.get_cmap("viridis")(np.linspace(0.2, 0.8, len(beside)))
    curves += [(label, curve, shade, "^") for (label, curve), shade in zip(beside.items(), shades, strict=True)]
    if "levin" in table:
        curves.append(("Levin et al. 2004", table["levin"], SOFT, "s"))
    for name, curve, colour, marker in curves:
        points = [int(column) for column in curve["gain"]]
        errors = [curve["gain_standard_error"][column] or 0 for column in curve["gain"]]
        label = f"{name} ({table['photos']} photographs)"
        axes.errorbar(points, list(curve["gain"].values()), errors, color=colour, marker=marker, label=label, capsize=3)
    if table["protocol"] == "zhang17":
        most = max([int(column) for column in table["gain"]] or [100])
        official = {points: gain for points, gain in official_gain().items() if points <= max(most, 10)}
        axes.plot(list(official), list(official.values()), "--", color=MUTED, label=OFFICIAL_LABEL)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xscale("symlog", linthresh=1)
    ticks = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(-0.2, max([int(column) for column in table["gain"]] or [100]) * 1.3 + 0.2)
    axes.set_xlabel("points revealed")
    axes.set_ylabel("gain over grey, dB PSNR")
    axes.set_title(f"Accuracy, protocol {table['protocol']}")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=8)
    return _svg(figure)


def latency_bars(table: dict[str, Any]) -> str:
    """Medians of all stages as bars on a logarithmic axis, with marks at p90 and p99 where there are enough samples."""
    pyplot = _pyplot()
    rows = [(name, row, ACCENT if name in table["stages"] else MUTED) for name, row in all_stages(table).items()]
    figure, axes = pyplot.subplots(figsize=(7, 0.3 * len(rows) + 1.2))
    for index, (_, row, colour) in enumerate(rows):
        axes.barh(index, row["p50"], color=colour, alpha=0.75)
        for rank, marker in (("p90", "|"), ("p99", "x")):
            if row[rank] is not None:
                axes.plot(row[rank], index, marker, color=INK)
        furthest = max(row[rank] or 0 for rank in ("p50", "p90", "p99"))
        text = f"{short(row['p50'])} ms"
        axes.annotate(text, (furthest, index), (7, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    # A logarithmic axis has no zero; this start leaves the shortest bar visible.
    axes.set_xlim(min(row["p50"] for _, row, _ in rows) / 4, axes.get_xlim()[1] * AXIS_FACTOR)
    axes.set_xlabel("ms (bar: median, |: p90, ×: p99)")
    axes.set_title(f"Latency, {table['threads']} threads, {table['scenario']}")
    return _svg(figure)


def _svg(figure: Any) -> str:
    """The figure as an <svg> element without the XML prologue. Closes the figure."""
    figure.tight_layout()
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    _pyplot().close(figure)
    text = stream.getvalue()
    return text[text.index("<svg") :]
