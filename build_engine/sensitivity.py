"""From photographs to INT8 settings: ranges, the best method to read them, and the layers that stay unquantised.

Each layer is quantised alone; the table of what each one costs travels with the bundle. The costliest layers stay
in fp16 until the rest together loses little enough.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort

from ..calibration.photographs import photograph_files
from ..calibration.ranges import INPUTS, METHODS, Choice, Provenance, Ranges, all_methods, encode, measure
from ..calibration.samples import EXAMPLE_SAMPLES, feeds, squares
from ..engine.bundle import MANIFEST, Bundle, write_bundle
from ..engine.errors import ConfigError
from ..engine.files import sha256_of
from ..engine.runners.onnx import OnnxRunner
from .accuracy_report import Case, answers, cases_of, compare, example_cases, example_photographs, reference_answers
from .apply_precision import apply_precision, convolution_stages, folded_stages
from .cpu_features import pairs_saturate
from .fold import fold_constants
from .quantise import layers_of, measured_tensors

RANGES_FILE, TABLE_FILE = "ranges.json", "sensitivity.json"
DEFAULT_SAMPLES = 256
HELD_OUT = 12
SWEEP_PHOTOGRAPHS = 3
# A third of what INT8 may lose, so that photographs unlike the held-out ones stay within the limit too.
GOAL_DB = 0.1
# How many of the costliest layers stay unquantised; tried in this order.
STEPS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

Tick = Callable[[str, int], None]


class Row(msgspec.Struct, frozen=True):
    """One layer quantised alone: dB of PSNR lost, mean |Δab| in CIELAB units, and whether it stays unquantised."""

    stage: str
    layer: str
    lost_db: float
    mean_ab: float
    kept: bool = False


class Table(msgspec.Struct, frozen=True):
    """The contents of sensitivity.json: how it was measured, and one row per layer, the costliest first."""

    method: str
    photographs: int
    hints: int
    rows: list[Row]
    together: dict[str, float]  # number of costliest layers left unquantised → dB lost by the rest together
    pairs_saturate: bool = False  # whether weights were scaled for a CPU without VNNI
    schema: int = 1


def no_progress(_: str, __: int) -> None:
    """A tick that shows nothing."""


def measure_ranges(
    bundle: Bundle,
    sources: Sequence[str | Path] | str | Path,
    samples: int = DEFAULT_SAMPLES,
    held_out: int = HELD_OUT,
    threads: int = 2,
    tick: Tick = no_progress,
    seed: int = 0,
) -> Ranges:
    """Ranges of the input and output of every convolution, by every method, over `samples` simulated visits.

    The first `held_out` photographs are not used. tick(what, total) is called after each sample.
    """
    names, digest = _fingerprint(sources)
    if names == 0:
        raise ConfigError(f"{sources} holds no photographs; check the path")
    skip = min(held_out, names // 2)
    stages = {}
    for stage in convolution_stages(bundle):
        model = fold_constants(bundle.stage(stage))
        visits = feeds(bundle, sources, samples, skip, seed)
        histograms = measure(model, measured_tensors(model), visits, threads, lambda: tick("ranges", samples))
        stages[stage] = all_methods(histograms)
    made = Provenance(
        model=bundle.name,
        stages={stage: sha256_of(bundle.stage(stage)) for stage in stages},
        samples=samples,
        photographs=names - skip,
        photographs_sha256=digest,
        seed=seed,
        livetint=importlib.metadata.version("livetint"),
        onnxruntime=ort.__version__,
        inputs=INPUTS,
    )
    return Ranges(made, stages)


def _fingerprint(sources: Sequence[str | Path] | str | Path) -> tuple[int, str]:
    """Number of photographs and SHA-256 over their bytes, in order."""
    total, digest = 0, hashlib.sha256()
    for _, data in photograph_files(sources):
        total += 1
        digest.update(hashlib.sha256(data).digest())
    return total, digest.hexdigest()


def held_out_cases(sources: Sequence[str | Path] | str | Path, number: int = HELD_OUT) -> list[Case]:
    """The first `number` photographs of a set, but at most half of it, with ten hints each.

    Raises ConfigError if all of them are grey.
    """
    enough = sum(1 for _ in islice(photograph_files(sources), 2 * number))
    cases = cases_of(islice(squares(sources), max(enough // 2, 1)))
    if not cases:
        raise ConfigError(f"the first photographs of {sources} are all grey; calibrate with colour photographs")
    return cases


def best_method(bundle: Bundle, ranges: Ranges, cases: Sequence[Case], threads: int = 2) -> Choice:
    """The best method on `cases` with every layer quantised."""
    return _compare_methods(_AccuracyMeter(bundle, cases, threads), ranges, no_progress)


def choose_layers(
    bundle: Bundle, ranges: Ranges, cases: Sequence[Case], threads: int = 2, tick: Tick = no_progress
) -> tuple[Ranges, Table]:
    """Compare the methods, quantise each layer alone, and choose the layers that stay unquantised.

    Returns `ranges` with that choice, and the table.
    """
    meter = _AccuracyMeter(bundle, cases, threads)
    choice = _compare_methods(meter, ranges, tick)
    rows = _sweep(meter, ranges, choice.method, tick)
    together: dict[str, float] = {}
    best: tuple[float, list[str]] = (np.inf, [])
    for step in STEPS:
        keep = [row.layer for row in rows[:step]]
        if step > len(rows):
            break
        db = meter.loss(ranges, msgspec.structs.replace(choice, keep=keep))[0]
        together[str(step)] = db
        best = min(best, (db, keep), key=lambda pair: pair[0])
        if db <= GOAL_DB:
            best = (db, keep)
            break
    choice = msgspec.structs.replace(choice, keep=best[1])
    table = Table(
        choice.method, min(len(cases), SWEEP_PHOTOGRAPHS), len(cases[0].hints),
        [msgspec.structs.replace(row, kept=row.layer in choice.keep) for row in rows], together, pairs_saturate(),
    )  # fmt: skip
    return msgspec.structs.replace(ranges, choice=choice), table


def _compare_methods(meter: _AccuracyMeter, ranges: Ranges, tick: Tick) -> Choice:
    """The method with the smallest mean |Δab|. dB are recorded, but differ between methods by chance."""
    found: dict[str, tuple[float, float]] = {}
    for method in METHODS:
        found[method] = meter.loss(ranges, Choice(method, [], {}, 0))
        tick("methods", len(METHODS))
    lost_db, mean_ab = ({name: pair[place] for name, pair in found.items()} for place in (0, 1))
    return Choice(min(METHODS, key=lambda method: mean_ab[method]), [], lost_db, len(meter.cases), mean_ab)


def _sweep(meter: _AccuracyMeter, ranges: Ranges, method: str, tick: Tick) -> list[Row]:
    """Quantise one layer at a time, on a few of the photographs; rows by mean |Δab|, the costliest first."""
    names = [(stage, layer.name) for stage, model in meter.models.items() for layer in layers_of(model)]
    rows = []
    for stage, layer in names:
        keep = [name for _, name in names if name != layer]
        rows.append(Row(stage, layer, *meter.loss(ranges, Choice(method, keep, {}, 0), SWEEP_PHOTOGRAPHS)))
        tick("sweep", len(names))
    return sorted(rows, key=lambda row: -row.mean_ab)


class _AccuracyMeter:
    """Measures dB lost and mean |Δab| of a choice against fp32 results.

    The fp32 results and the folded graphs are the same for every choice, so they are prepared once.
    """

    def __init__(self, bundle: Bundle, cases: Sequence[Case], threads: int) -> None:
        self.bundle, self.cases, self.threads = bundle, cases, threads
        self.models = folded_stages(bundle)
        self.reference = reference_answers(bundle, cases, threads, maps=False)

    def loss(self, ranges: Ranges, choice: Choice, number: int | None = None) -> tuple[float, float]:
        """dB lost and mean |Δab| of `choice` on the first `number` cases, or on all."""
        cases = self.cases[:number]
        converted = apply_precision(self.bundle, "int8", "onnxruntime", ranges, choice, self.models)
        with OnnxRunner(converted, self.threads) as runner:
            found = compare("int8", cases, self.reference[:number], answers(runner, cases, maps=False))
        return found.lost_db, found.mean_ab


def calibrate_on_examples(
    bundle: Bundle, samples: int = EXAMPLE_SAMPLES, threads: int = 2, tick: Tick = no_progress
) -> Bundle:
    """Write ranges into a bundle that are measured on the bundled photographs alone: a minute for `siggraph17`.

    The method is the best one on the same photographs, so `Choice.held_out` is 0. Without training there is nothing to
    compare; the method is then min-max.
    """
    ranges = measure_ranges(bundle, example_photographs(), samples, held_out=0, threads=threads, tick=tick)
    choice = Choice("minmax", [], {}, 0)
    if bundle.manifest.trained:
        meter = _AccuracyMeter(bundle, example_cases(), threads)
        choice = msgspec.structs.replace(_compare_methods(meter, ranges, tick), held_out=0)
    return add_ranges(bundle, msgspec.structs.replace(ranges, choice=choice), None)


def add_ranges(bundle: Bundle, ranges: Ranges, table: Table | None) -> Bundle:
    """Write ranges (and the table) into the bundle's folder and list them in model.toml.

    The bundle is replaced whole or not at all. Files in its folder that model.toml does not list stay.
    """
    files = {**bundle.files, RANGES_FILE: encode(ranges)}
    if table is not None:
        files[TABLE_FILE] = msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n"
    unlisted = {p.name: p.read_bytes() for p in bundle.folder.iterdir() if p.is_file() and p.name != MANIFEST}
    manifest = msgspec.structs.replace(bundle.manifest, ranges=RANGES_FILE)
    return write_bundle(bundle.folder, manifest, files, unlisted)
