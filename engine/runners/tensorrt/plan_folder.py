"""Folders of TensorRT plans, as runners find them: a bundle with `plans.json` beside it.

A plan is code. It is loaded only when `plans.json` names it, its SHA-256 is the one written there, and it was built
for this TensorRT and this GPU. Any other plan is stale: it is built again, never loaded.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ...bundle import Bundle
from ...cache import user_cache
from ...errors import LivetintError
from ...files import sha256_of

PLANS = "plans.json"
SCHEMA = 1
# The numbers of hints for which stages are run. A runner pads to the next of these, so there is one recorded graph for
# each, and a run for 16 hints costs no more than one for 10.
HINT_SIZES = (16, 64, 128)


class StalePlan(LivetintError):
    """Plans are missing, damaged or built for something else. The message says which, in one line."""

    visitor_sentence = "The colours are being prepared."


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One plan: its stage, how many hints and points it takes (0 for none), its file and that file's digest.

    dynamic: it takes any number of hints from 1 to `hints`. optimisation: the builder level. seconds: how long the
    build took. key: SHA-256 over the graph and everything else that the plan depends on. Files of earlier versions
    lack these four.
    """

    stage: str
    hints: int
    points: int
    file: str
    sha256: str
    bytes: int
    dynamic: bool = False
    optimisation: int | None = None
    seconds: float = 0.0
    key: str = ""

    @property
    def title(self) -> str:
        return f"{self.stage}-{self.hints}" if self.hints and not self.dynamic else self.stage

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of hints for which a runner loads the plan: those of HINT_SIZES, if the plan takes any."""
        if not self.dynamic:
            return (self.hints,)
        return tuple(sorted({min(size, self.hints) for size in HINT_SIZES}))


class PlanManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of plans.json.

    key: SHA-256 over graphs, target, version, GPU and options. target: a name in versions.TARGETS; its key in the
    file is `flavour`. sources: stage → SHA-256 of the bundle's ONNX file. compute_capability: of the GPU that the
    plans are bound to, such as "8.7", or "" for plans that are not bound to one. rung: the step of the ladder of
    `--precision auto`, such as "fp16 with attention in fp32". asked: the precision that was asked for.
    """

    key: str
    model: str
    target: str = msgspec.field(name="flavour")
    version: str
    compute_capability: str
    precision: str
    options: dict[str, object]
    sources: dict[str, str]
    plans: list[Plan]
    accuracy: dict[str, float] = {}
    livetint: str = ""
    schema: int = SCHEMA
    rung: str = ""
    asked: str = ""

    def plan(self, stage: str, hints: int = 0) -> Plan:
        """The smallest plan of a stage that takes `hints` hints. Raises StalePlan if there is none."""
        fitting = [p for p in self.plans if p.stage == stage and p.hints >= hints]
        if not fitting:
            raise StalePlan(f"there is no plan of stage {stage!r} for {hints} hints; build again")
        return min(fitting, key=lambda p: p.hints)


def plan_cache_folder() -> Path:
    """Where `livetint build` without -o puts plans, and where runners look."""
    return user_cache() / "plans"


def sources_of(bundle: Bundle) -> dict[str, str]:
    """Stage → SHA-256 of its ONNX file."""
    return {stage: sha256_of(bundle.stage(stage)) for stage in bundle.manifest.stages}


def cached_folder(bundle: Bundle, target: str) -> Path:
    """The cache folder of a bundle's plans: one for each content of a bundle and target."""
    digest = sha256_of("".join(sorted(sources_of(bundle).values())).encode())
    return plan_cache_folder() / f"{bundle.name}-{digest[:12]}-{target}"


def read_plans(folder: Path) -> PlanManifest:
    """Read plans.json of a folder. Raises StalePlan when it is missing or unreadable."""
    path = folder / PLANS
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=PlanManifest)
    except FileNotFoundError:
        raise StalePlan(f"{folder} holds no plans yet") from None
    except (OSError, msgspec.DecodeError) as error:
        raise StalePlan(f"{path} cannot be read ({error})") from error
    if manifest.schema != SCHEMA:
        raise StalePlan(f"{path} has schema {manifest.schema}, this version reads {SCHEMA}")
    return manifest


def cached_plans() -> dict[str, str]:
    """Every folder in the cache → what its plans are for, or why they cannot be read, as a sentence."""
    found = {}
    for folder in sorted(path for path in plan_cache_folder().glob("*") if (path / PLANS).is_file()):
        try:
            plans = read_plans(folder)
        except StalePlan as error:
            found[folder.name] = str(error)
            continue
        gpu = f", compute capability {plans.compute_capability}" if plans.compute_capability else ""
        found[folder.name] = f"{plans.model} {plans.precision}, {plans.target} {plans.version}{gpu}"
    return found


def check_plans(
    manifest: PlanManifest, bundle: Bundle, target: str, version: str, compute_capability: str | None
) -> None:
    """Raise StalePlan unless the plans were built from this bundle for this TensorRT and this GPU."""
    if manifest.sources != sources_of(bundle):
        raise StalePlan(f"the plans were built from another {manifest.model}")
    if (manifest.target, manifest.version) != (target, version):
        raise StalePlan(f"the plans are for {manifest.target} {manifest.version}, here is {target} {version}")
    if manifest.compute_capability and manifest.compute_capability != (compute_capability or ""):
        raise StalePlan(
            f"the plans are for compute capability {manifest.compute_capability}, "
            f"here is {compute_capability or 'no GPU'}"
        )


def verified_plan(folder: Path, plan: Plan) -> bytes:
    """Read a plan's bytes and check size and SHA-256. Raises StalePlan."""
    if Path(plan.file).name != plan.file:
        raise StalePlan(f"{plan.file!r} is not a plain file name")
    try:
        data = (folder / plan.file).read_bytes()
    except OSError as error:
        raise StalePlan(f"plan {plan.file} cannot be read ({error.strerror})") from error
    if len(data) != plan.bytes:
        raise StalePlan(f"plan {plan.file} is cut off: {len(data)} bytes of {plan.bytes}")
    if sha256_of(data) != plan.sha256:
        raise StalePlan(f"plan {plan.file} is damaged: its SHA-256 is not the one in {PLANS}")
    return data


def find_plans(bundle: Bundle, target: str, version: str, compute_capability: str | None) -> tuple[Path, PlanManifest]:
    """Find plans in the bundle's own folder, else in its cache folder. Everything but the plans' bytes is checked.

    Raises StalePlan with the reason.
    """
    folder = bundle.folder if (bundle.folder / PLANS).is_file() else cached_folder(bundle, target)
    manifest = read_plans(folder)
    check_plans(manifest, bundle, target, version, compute_capability)
    return folder, manifest
