"""Everything there is to measure on a GPU, in one run: `python -m livetint.bench.gpu.run --json gpu.json`.

The kernels against their references and under compute-sanitizer, plans built, answers compared with OnnxRunner, every
stage timed by CUDA events with and without its graph, and PyTorch beside it where it is installed. What cannot be run
says why; nothing is guessed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...build_engine.accuracy_report import Case, answers, compare, example_cases
from ...build_engine.planes_bundle import write_untrained
from ...cli.terminal import run
from ...engine.bundle import Bundle
from ...engine.errors import LivetintError, ModelFileError
from ...engine.files import atomic_write, check_place
from ...engine.models import find_model
from ...engine.runners.onnx import OnnxRunner
from ...engine.runners.tensorrt.runner import TensorRTRunner
from ..environment import machine, model_table, versions
from .kernel_lab import check_kernels
from .pytorch import time_torch
from .timing import time_touch

SCHEMA = 1
MODELS = ("touch", "siggraph17")
# Random weights have no accuracy to lose; they must still answer alike.
UNTRAINED_AB = 1.0
# What can answer a touch; the kernels only where they know the model's form.
WAYS = ("plan", "kernels")
BUILD = (sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "build")


@click.command()
@click.option("--model", "models", multiple=True, default=MODELS, show_default=True, help="Names or folders.")
@click.option("--precision", default="fp16", show_default=True, help="Of the plans: fp32, fp16 or int8.")
@click.option("--touches", type=click.IntRange(8), default=1000, show_default=True, help="Samples of every stage.")
@click.option("--hints", type=click.IntRange(1, 128), default=16, show_default=True, help="Hints of a timed touch.")
@click.option("--display", default="1920x1080", show_default=True, metavar="WxH", help="Size of composed pictures.")
@click.option("--skip-kernels", is_flag=True, help="Leave out the kernel lab and compute-sanitizer (minutes).")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write everything there as JSON.")
def gpu(
    models: tuple[str, ...], precision: str, touches: int, hints: int, display: str, skip_kernels: bool,
    path: Path | None,
) -> None:  # fmt: skip
    """Check and time Livetint on this machine's NVIDIA GPU. Exits with 1 when something answers wrongly."""
    size = _size(display)
    check_place(path)
    report: dict[str, Any] = {
        "schema": SCHEMA, "machine": machine(), "versions": versions(), "display": list(size), "touches": touches,
        "hints": hints, "precision": precision, "models": {},
    }  # fmt: skip
    report["kernels"] = {"status": "skipped"} if skip_kernels else check_kernels(_say)
    with tempfile.TemporaryDirectory() as folder:
        for name in models:
            _say(f"{name}:")
            report["models"][name] = _model(name, Path(folder), precision, touches, hints, size)
    report["wrong"] = wrong_in(report)
    if path:
        atomic_write(path, json.dumps(report, indent=1).encode() + b"\n")
    click.echo(as_text(report))
    sys.exit(1 if report["wrong"] else 0)


def _model(name: str, folder: Path, precision: str, touches: int, hints: int, size: tuple[int, int]) -> dict[str, Any]:
    """Everything about one model; steps that cannot be done hold their reason."""
    bundle = _bundle(name, folder)
    found: dict[str, Any] = {"model": model_table(bundle)}
    found["build"] = _attempt(lambda: _build(bundle, precision))
    cases = example_cases()
    found["answers"] = _attempt(lambda: compare_answers(bundle, precision, cases))
    found["stages"] = _attempt(lambda: _time(bundle, cases, touches, hints, size))
    found["torch"] = _attempt(lambda: time_torch(bundle, touches, hints))
    return found


def _bundle(name: str, folder: Path) -> Bundle:
    """A model by name; one of the paper's networks with random weights where there are no others."""
    try:
        return find_model(name)
    except ModelFileError:
        if name not in MODELS:
            raise
        _say(f"  {name} is not here; random weights take its place (right in cost, meaningless in colour)")
        return write_untrained(folder / name, name)


def _build(bundle: Bundle, precision: str) -> dict[str, Any]:
    started = time.perf_counter()
    command = [*BUILD, str(bundle.folder), "--precision", precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelFileError(f"livetint build failed: {done.stderr.strip().rpartition(chr(10))[2]}")
    return {"seconds": round(time.perf_counter() - started, 2), "said": done.stdout.strip().splitlines()}


def compare_answers(bundle: Bundle, precision: str, cases: Sequence[Case]) -> dict[str, Any]:
    """The GPU's answers against the CPU's in fp32, by each way that can answer a touch."""
    with OnnxRunner(bundle) as runner:
        reference = answers(runner, cases)
    found: dict[str, Any] = {}
    for by in WAYS:
        try:
            runner = TensorRTRunner(bundle, touch_by=by)
        except ModelFileError as error:
            _say(f"  {error}")
            continue
        with runner:
            if runner.served_by != by:
                continue
            said = compare(precision, cases, reference, answers(runner, cases))
        within = said.within if bundle.manifest.trained else said.mean_ab <= UNTRAINED_AB
        found[by] = {"lost_db": said.lost_db, "mean_ab": said.mean_ab, "max_ab": said.max_ab, "within": within}
    return found


def _time(bundle: Bundle, cases: Sequence[Case], touches: int, hints: int, size: tuple[int, int]) -> dict[str, Any]:
    with TensorRTRunner(bundle, display=size) as runner:
        rng = np.random.default_rng(0)
        L = rng.uniform(0, 100, size[::-1]).astype(np.float32)
        return {
            "card": runner.device.name,
            "compute_capability": runner.device.compute_capability,
            "integrated": runner.device.integrated,
            "tensorrt": runner.tensorrt,
            "served_by": runner.served_by,
            **time_touch(runner, cases[0].L, L, touches, hints),
        }


def _attempt(step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A step's result, or why there is none."""
    try:
        return step()
    except LivetintError as error:
        _say(f"  not done: {error}")
        return {"not_done": str(error)}


def wrong_in(report: dict[str, Any]) -> list[str]:
    """What answered wrongly, in words; empty when all that could be checked is right."""
    wrong = [f"kernels: {step}" for step, found in report["kernels"].items() if found == "failed"]
    for name, model in report["models"].items():
        for by, found in model["answers"].items():
            if by != "not_done" and not found["within"]:
                wrong.append(f"{name} by {by}: mean |Δab| {found['mean_ab']:.3f}, {found['lost_db']:+.3f} dB lost")
    return wrong


def as_text(report: dict[str, Any]) -> str:
    """The report as a table for people."""
    lines = [f"kernels   {', '.join(f'{step} {found}' for step, found in report['kernels'].items() if step != 'said')}"]
    for name, model in report["models"].items():
        stages = model["stages"]
        lines.append(f"\n{name} ({model['model']['version']}), {report['precision']}, {report['hints']} hints")
        if "not_done" in stages:
            lines.append(f"  not timed: {stages['not_done']}")
        for by, found in model["answers"].items():
            if by != "not_done":
                lines.append(f"  answers of the {by}: {found['lost_db']:+.3f} dB, mean |Δab| {found['mean_ab']:.3f}")
        if "events" in stages:
            lines.append(f"  {stages['card']} ({stages['compute_capability']}), {stages['tensorrt']}, "
                         f"touches served by the {stages['served_by']}")  # fmt: skip
            lines.append(f"  {'stage, median ms':<34}{'direct':>10}{'graph':>10}")
            lines += [_row(stage, found) for stage, found in stages["events"].items()]
            lines += [_row(f"{stage} (host clock)", {"graph": found}) for stage, found in stages["host"].items()]
        torch = model["torch"]
        lines += [_row(f"PyTorch: {stage}", found) for stage, found in torch.get("events", {}).items()]
        if "not_done" in torch:
            lines.append(f"  PyTorch not timed: {torch['not_done']}")
    lines += [f"WRONG  {line}" for line in report["wrong"]]
    return "\n".join(lines)


def _row(stage: str, found: dict[str, Any]) -> str:
    times = [f"{found[kind]['p50']:>10.4f}" if kind in found else f"{'':>10}" for kind in ("direct", "graph")]
    return f"  {stage:<34}{''.join(times)}"


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise click.BadParameter(f"{text!r} is no size; write WxH, for instance 1920x1080", param_hint="--display")
    return int(width), int(height)


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    run(gpu, "python -m livetint.bench.gpu.run")
