"""An accuracy run: what is asked of it, what its measures share, and the result that they make together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...engine.runners.base import Runner
from ..environment import machine, model_table, versions
from ..measure import Measure, Result
from ..options import Options
from ..progress import Progress, Steps, no_progress
from .per_photo import Tally
from .photo_set import PhotoSet
from .protocols import PROTOCOLS, Picture, Protocol

SCHEMA = 1
SEED = 1234

# label → number of points → PSNR lost in dB, and its standard error over photographs.
Losses = dict[str, dict[str, tuple[float, float | None]]]


@dataclass(frozen=True)
class Plan:
    """What is asked of the curve.

    counts: numbers of points. draws: how often each number is drawn anew. global_kinds: see `curve.GLOBAL_KINDS`.
    baselines: see `curve.BASELINES`. vivid: factor of the automatic colours, of `Runner.with_vivid`.
    """

    protocol: Protocol
    counts: tuple[int, ...]
    draws: int = 1
    global_kinds: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ("grey",)
    seed: int = SEED
    vivid: float = 1.0

    @property
    def levin(self) -> bool:
        """Whether Levin's optimiser is measured too."""
        return "levin" in self.baselines


@dataclass
class Accuracy:
    """What a curve found: PSNR in dB per photograph, and the counts that were left out with the reason."""

    plan: Plan
    tally: Tally = field(default_factory=Tally)
    left_out: dict[str, str] = field(default_factory=dict)
    photos: int = 0


@dataclass
class Run:
    """What the measures of one run share.

    beside: other builds, precisions or runners by label. clean: what the curve found, None before it is measured.
    """

    runner: Runner
    photos: PhotoSet
    plan: Plan
    beside: Mapping[str, Runner] = field(default_factory=dict)
    progress: Progress = no_progress
    clean: Accuracy | None = None

    @property
    def network_side(self) -> int:
        """The side in px of the network's working size."""
        return self.runner.bundle.manifest.input.working_size[0]

    def photographs(
        self, task: str, protocol: Protocol = PROTOCOLS["zhang17"]
    ) -> tuple[Iterator[Picture], Callable[[], None]]:
        """The photographs once more, and what is to be called after each. `task` names the progress bar."""
        return self.photos.pictures(protocol, self.network_side), Steps(self.progress, task, self.photos.number)


class AccuracyMeasure(Measure):
    """A measure of `bench accuracy`."""

    @classmethod
    def from_options(cls, options: Options) -> AccuracyMeasure | None:
        """The measure, or None where it is not asked for: by default where its first option, a flag, is not set."""
        return cls() if options[cls.options[0].key] else None

    @abstractmethod
    def measure(self, run: Run) -> Result:
        """What the measure adds to the result. Raises ConfigError when nothing can be measured."""

    @staticmethod
    def notes(part: Result) -> list[str]:
        """What the words of the measure mean."""
        return [f"{name}: {text}" for name, text in part.get("texts", {}).items()]

    @staticmethod
    def losses(part: Result) -> Losses:
        """What is lost on the same points. The report shows the losses of all measures in one table."""
        return {}


def measure_all(run: Run, measures: Sequence[AccuracyMeasure]) -> Result:
    """Measure everything; the curve comes first. The result for JSON, without the command."""
    result: Result = {}
    for measure in measures:
        result |= measure.measure(run)
    bundle = run.runner.bundle
    return result | {
        "model": model_table(bundle),
        "model_sha256": bundle.digest,
        "machine": machine(),
        "versions": versions(),
    }
