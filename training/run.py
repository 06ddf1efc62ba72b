"""A training run from its TOML file to a finished bundle with a model card."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load_file

from ..build_engine.networks import TOPOLOGIES
from ..build_engine.planes_bundle import planes_files, planes_manifest
from ..build_engine.restorer_file import RESTORER, export_restorer, restorer_of
from ..build_engine.touch_bundle import backbone_of, export_stages, touch_manifest, weights_of
from ..engine.bundle import Bundle, Manifest, write_bundle
from ..engine.errors import ConfigError
from ..engine.models import find_model
from .config import Card, Config, load_config
from .loop import AVERAGED, LOG, Progress, RunStatus, freeze_all_but, initialise, no_progress, train
from .planes_task import PlanesTask
from .restorer import RestorerTask
from .schedule import Clock
from .tasks import Task, TouchTask

CARD = "MODEL_CARD.md"
# Name of the network → what makes its task.
TASKS: dict[str, Callable[[Config], Task]] = {
    "touch": TouchTask,
    "restorer": RestorerTask,
    **dict.fromkeys(TOPOLOGIES, PlanesTask),
}


def run(
    path: Path,
    resume: bool = False,
    init: str | None = None,
    seconds: float | None = None,
    progress: Progress = no_progress,
    clock: Clock = time.monotonic,
) -> Bundle:
    """Train as the TOML file at `path` says and write `<output>/bundle`.

    init: name or folder of a bundle; training starts from its weights where names and shapes agree.
    seconds: spread the rest of the schedule over this time, if its steps take longer. Returns the bundle.
    """
    config = load_config(path)
    task = task_of(config)
    if init and not resume:
        initialise(task.network, _start_weights(find_model(init), task))
    status = train(task, config, resume, seconds, progress, clock)
    return export_run(task, config, status, init)


def _start_weights(start: Bundle, task: Task) -> dict[str, torch.Tensor]:
    """The weights of a bundle to start from. Raises ConfigError for a `touch` with another backbone than the task's."""
    if isinstance(task, RestorerTask):
        return restorer_of(start).state_dict()
    if (
        isinstance(task, TouchTask)
        and start.manifest.network == "touch"
        and backbone_of(start) != task.network.backbone
    ):
        raise ConfigError(
            f"{start.folder} has the backbone {backbone_of(start)}, the training file {task.network.backbone}; write "
            f'[network] name = "touch", backbone = "{backbone_of(start)}" into the training file'
        )
    return weights_of(start)


def task_of(config: Config) -> Task:
    """The task of the configured network. Raises ConfigError for unknown ones."""
    if config.network not in TASKS:
        raise ConfigError(f"network {config.network!r} cannot be trained; known are {', '.join(TASKS)}")
    task = TASKS[config.network](config)
    freeze_all_but(task.network, config.optimiser.only)
    return task


def export_run(task: Task, config: Config, status: RunStatus, init: str | None = None) -> Bundle:
    """Write the averaged weights of a run as a bundle with its model card."""
    output = Path(config.output)
    network = task.network.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    network.load_state_dict(load_file(output / AVERAGED))
    manifest, files = bundle_parts(task, config.card)
    card = model_card(config, status, init, _curves(output / LOG))
    files[CARD] = (f"{files[CARD].decode()}\n#{card}" if CARD in files else card).encode()
    return write_bundle(output / "bundle", manifest, files)


def bundle_parts(task: Task, card: Card) -> tuple[Manifest, dict[str, bytes]]:
    """Manifest and ONNX files of a trained task."""
    if isinstance(task, TouchTask):
        manifest = touch_manifest(card.version, card.licence, card.data, trained=True, backbone=task.network.backbone)
        return manifest, export_stages(task.network)
    if isinstance(task, RestorerTask):
        return _with_restorer(task, card)
    if isinstance(task, PlanesTask):
        manifest = planes_manifest(
            task.config.network, card.version, card.licence, card.data, trained=True, mask=PlanesTask.mask
        )
        return manifest, planes_files(task.config.network, task.weights())
    raise ConfigError(f"there is no bundle for {type(task).__name__}")


def _with_restorer(task: RestorerTask, card: Card) -> tuple[Manifest, dict[str, bytes]]:
    """The bundle whose encoder the restorer was fitted to, with this restorer; its ranges for INT8 stay valid."""
    old = task.bundle
    manifest = msgspec.structs.replace(old.manifest, version=card.version, restorer=RESTORER)
    return manifest, {**old.files, RESTORER: export_restorer(task.restorer)}


def model_card(config: Config, status: RunStatus, init: str | None, curves: list[dict]) -> str:
    """The contents of MODEL_CARD.md: what the weights are, what they were trained on, and their held-out curve."""
    counts = list(status.curve)
    lines = [
        f"# {config.network} {config.card.version}",
        "",
        f"* Licence of the weights: {config.card.licence}",
        f"* Trained on: {config.card.data}",
        f"* Started from: {init or 'a fresh initialisation'}",
        f"* {status.step} steps of {config.optimiser.batch} crops of {config.augmentation.crop_px} px, "
        f"{status.seconds / 60:.0f} minutes",
        f"* {config.augmentation.recoloured:.0%} of the photographs recoloured by regions; "
        "weights averaged over the steps",
    ]
    if config.card.notes:
        lines += ["", config.card.notes]
    lines += [
        "",
        "Held-out curve while training: dB gained over grey by number of points "
        f"({config.data.held_out_limit} photographs at {config.data.side_px} px; a quick look, "
        "the figures to quote come from `livetint bench accuracy`).",
        "",
        "| step | " + " | ".join(counts) + " |",
        "|---" * (len(counts) + 1) + "|",
    ]
    lines += [
        f"| {line['step']} | " + " | ".join(f"{line['gain_db'][count]:.2f}" for count in counts) + " |"
        for line in curves
        if set(counts) <= set(line["gain_db"])
    ]
    return "\n".join(lines) + "\n"


def _curves(log: Path, most: int = 12) -> list[dict]:
    """At most `most` lines of the log, evenly spaced, including the last."""
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    stride = -(-len(lines) // most)
    return lines[::-1][::stride][::-1]
