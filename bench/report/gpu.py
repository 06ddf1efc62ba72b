"""Tables of a result of `bench gpu`, beside PyTorch on the same GPU."""

from __future__ import annotations

from typing import Any

from ..cells import short
from ..gpu.findings import OURS, PAPER, p50, torch_events, with_hints
from ..gpu.kernel_lab import touch_us
from ..gpu.processes import NOT_DONE
from ..gpu.timing import MATCH, NETWORK, OUTSIDE, SUM, TO_AB, TO_PICTURE, TO_PICTURE_ON_GPU
from ..measure import Result, Rows

SCHEMA = 2


def caption(result: Result) -> str:
    """What was measured on what, and every reason for caution."""
    gpus = result["machine"].get("gpus") or [{}]
    driver = f", driver {gpus[0]['driver']}" if gpus[0].get("driver") else ""
    tensorrt = ", ".join(f"TensorRT {result['versions'][name]}" for name in ("tensorrt", "tensorrt-rtx")
                         if name in result["versions"])  # fmt: skip
    torch = result["torch"].get("torch")
    beside = f" PyTorch {torch} on the same GPU, fp16 and channels last where not stated." if torch else ""
    words = [f"One {result['gpu']['name']}{driver}, {tensorrt or 'no TensorRT'}; medians by CUDA events.{beside}"]
    if result["warnings"]:
        words.append(f"Caution: {'; '.join(result['warnings'])}.")
    if result.get("note"):
        words.append(f"Measured: {result['note']}.")
    return " ".join(words)


def tables(result: Result, brief: bool = False) -> list[Rows]:
    """brief: only the comparison with PyTorch."""
    found = [_beside_torch(result)]
    if not brief:
        found += [_by_hints(result), *(_steps(result, model) for model in result["models"]), _aims(result)]
    return [rows for rows in found if len(rows) > 1]


def notes(result: Result) -> list[str]:
    """What the tables cannot show: the kernel lab, wrong answers, what was not done."""
    lines = []
    kernels = result["kernels"]
    if "launches" in kernels:
        lines.append(f"Kernel lab: {kernels['right']} of {kernels['launches']} launches agree with their reference.")
    for name, model in result["models"].items():
        lines += [f"{name}, {step}: not done: {found[NOT_DONE]}." for step, found in model.items() if NOT_DONE in found]
        lines += [f"{name} by {way}: {found['sentence']}." for way, found in model.get("answers", {}).items()
                  if isinstance(found, dict) and "sentence" in found]  # fmt: skip
    return lines


def _beside_torch(result: Result) -> Rows:
    """Networks and whole touches with the main number of hints, ours and PyTorch's, in ms."""
    count = result["main_hints"]
    paper, ours = with_hints(result, PAPER), with_hints(result, OURS)
    torch_paper, torch_ours = torch_events(result, PAPER), torch_events(result, OURS)
    lab = touch_us(result["kernels"].get("us", {}), count)
    rows = [
        _row(f"{PAPER}, the network in fp16", paper.get(NETWORK), torch_paper.get("network")),
        _row(f"{PAPER}, {TO_AB}", paper.get(TO_AB)),
        _row(f"{OURS}, the encoder (once per photograph)", _encoder(result), torch_ours.get("encoder")),
        _row(f"{OURS}, the touch stage with {count} hints in fp32", ours.get(NETWORK), torch_ours.get("touch")),
        _row(f"{OURS}, {TO_AB}", ours.get(TO_AB)),
        _row(f"{OURS}, {TO_PICTURE_ON_GPU}", ours.get(TO_PICTURE_ON_GPU)),
        _row(f"{OURS}, {TO_PICTURE}", ours.get(TO_PICTURE)),
    ]
    if lab is not None and not ours:
        title = f"{OURS}, the kernels of the touch stage with {count} hints in fp32, one by one"
        rows[3] = [title, short(lab / 1000), "–", *_row("", None, torch_ours.get("touch"))[3:]]
    header = ["ms", "Livetint", "in a CUDA graph", "PyTorch, eager", "in a CUDA graph"]
    return [header, *(row for row in rows if set(row[1:3]) != {"–"})]


def _row(title: str, found: dict[str, Any] | None, torch: dict[str, Any] | None = None) -> list[str]:
    times = [p50(source, launched) for source in (found, torch) for launched in ("direct", "graph")]
    return [title, *map(short, times)]


def _encoder(result: Result) -> dict[str, Any]:
    stages = result["models"].get(OURS, {}).get("stages", {})
    ways = (found for found in stages.values() if isinstance(found, dict))
    return next((found["encoder"] for found in ways if "encoder" in found), {})


def _by_hints(result: Result) -> Rows:
    """Touches of our network in a CUDA graph, for every number of hints, and the kernels that the lab timed."""
    counts = result["hints"]
    us = result["kernels"].get("us", {})
    lab_counts = [count for count in (1, 16, 64, 128) if touch_us(us, count) is not None]
    counts = sorted({*counts, *lab_counts})
    groups = [(name, "graph") for name in (NETWORK, MATCH, OUTSIDE, TO_AB, TO_PICTURE_ON_GPU, TO_PICTURE)]
    groups += [(TO_AB, "host"), (TO_PICTURE, "host")]
    rows = [
        [f"{name}, {'CUDA graph' if clock == 'graph' else 'by the host'}",
         *(short(p50(with_hints(result, OURS, count), name, clock)) for count in counts)]
        for name, clock in groups
    ]  # fmt: skip
    lab = [touch_us(us, count) for count in counts]
    rows.insert(0, ["kernels of the touch stage, one by one (lab)", *(short(t and t / 1000) for t in lab)])
    rows = [row for row in rows if set(row[1:]) != {"–"}]
    return [[f"{OURS}, ms", *(f"{count} hint{'s' if count > 1 else ''}" for count in counts)], *rows]


def _steps(result: Result, model: str) -> Rows:
    """Every step of a touch with the main number of hints, and groups of steps."""
    times = with_hints(result, model)
    rows = [
        [step, short(found["direct"]), short(found["graph"]), "–", "–"]
        for step, found in times.get("steps", {}).items()
    ]
    for name in (OUTSIDE, TO_AB, TO_PICTURE_ON_GPU, TO_PICTURE):
        found = times.get(name)
        if found:
            whole = p50(found, "direct"), p50(found, "graph"), found[SUM]["graph"], p50(found, "host")
            rows.append([f"**{name}**", *map(short, whole)])
    header = [f"{model}, {result['main_hints']} hints, ms", "direct", "CUDA graph", "sum of its steps", "by the host"]
    return [header, *rows]


def _aims(result: Result) -> Rows:
    rows = [
        [aim["aim"], short(aim["limit"]), short(aim["found"]), "reached" if aim["met"] else "missed"]
        for aim in result["aims"]
        if aim["found"] is not None
    ]
    return [["aim", "limit", "found", ""], *rows]
