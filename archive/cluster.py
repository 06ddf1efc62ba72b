"""Photographs coloured by the machines of a Ray cluster, as plain tasks. Files are reached by a shared folder.

Ray's usage statistics and dashboard are off. Without an address Ray is started here, for this run, on loopback alone.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import secrets
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from ..engine.cores import usable_cores
from ..engine.errors import ConfigError, LivetintError, RunnerError
from ..engine.files import write_error
from ..engine.models import find_model
from ..engine.telemetry import OPT_OUTS
from .colour import PART, Colourist, Result, Settings, Task
from .jobs import ATTEMPTS, died
from .worker import open_for

LOCAL = "auto"
# Tasks that wait at the cluster for each core, so that none is idle between two.
WAITING_PER_CORE = 2
# Without it Ray listens at this machine's own address. The name is of the systems for which it is the default.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_NO_STATISTICS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_PROMPT_ENABLED": "0"}


class Node(msgspec.Struct, frozen=True):
    """What a machine says of itself. error: why it cannot take part; "" if it can. digest: of its model."""

    version: str = ""
    digest: str = ""
    runs_on: str = ""
    said: Sequence[str] = ()
    error: str = ""


class Cluster:
    """The workers of a cluster, as a context manager.

    address: LOCAL, or that of a running cluster, as `ray.init` takes it. out: the output folder. photograph: one that
    every machine must be able to read. jobs: tasks at once; None for one on each core. Raises
    ConfigError where Ray is missing or a machine cannot take part, RunnerError where the cluster cannot be reached.
    """

    def __init__(self, settings: Settings, address: str, out: Path, photograph: Path, jobs: int | None = None) -> None:
        os.environ.update(_NO_STATISTICS | OPT_OUTS | (_LOOPBACK if address == LOCAL else {}))
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise ConfigError("--cluster needs Ray: pip install 'livetint[cluster]'") from error
        self._ray = ray
        self._settings = msgspec.msgpack.encode(settings)
        self._folder: str | None = None
        try:
            self._start(address, jobs or usable_cores())
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
            self.address: str = ray.get_runtime_context().gcs_address
            self.jobs = min(cores, jobs) if jobs else cores
            self._task = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_colour)
            nodes = self.check(out, photograph)
        except BaseException:
            self.close()
            raise
        self.device = " and ".join(sorted({node.runs_on for node in nodes}))
        self.said = sorted({line for node in nodes for line in node.said})
        self.machines = len(nodes)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        self._ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def results(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """The results of `tasks`, as they come. A task whose worker dies is tried once more by Ray."""
        waiting, running = deque(tasks), {}
        while waiting or running:
            while waiting and len(running) < self.jobs * WAITING_PER_CORE:
                task = waiting.popleft()
                running[self._task.remote(self._settings, msgspec.msgpack.encode(task))] = task
            ready, _ = self._ray.wait(list(running))
            for reference in ready:
                yield self._result(reference, running.pop(reference))

    def _result(self, reference: Any, task: Task) -> Result:
        try:
            return msgspec.msgpack.decode(self._ray.get(reference), type=Result)
        except self._ray.exceptions.WorkerCrashedError:
            return Result(task.number, error=died(task, "died"))
        except self._ray.exceptions.RayError as error:
            return Result(task.number, error=f"{os.fsdecode(task.name)}: {_first_line(error)}")

    def _start(self, address: str, jobs: int) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address == LOCAL:
                # Ray would keep a token in the home for programs of this user that join later.
                os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
                self._folder = tempfile.mkdtemp(prefix="livetint-ray-")
                with _without_dashboard(self._ray):
                    self._ray.init("local", num_cpus=jobs, include_dashboard=False, _temp_dir=self._folder, **quiet)
            else:
                self._ray.init(address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            place = "Ray cannot be started here" if address == LOCAL else f"no Ray cluster answers at {address}"
            raise RunnerError(f"{place}: {_first_line(error)}; check `ray status`") from error

    def check(self, out: Path, photograph: Path) -> list[Node]:
        """Ask every machine whether it can take part. Raises ConfigError for the first one that cannot take part."""
        ours = check_node(self._settings, b"", b"")
        version = importlib.metadata.version("livetint")
        with _marker(out) as marker:
            asked = {
                node["NodeManagerAddress"]: self._ask(node["NodeID"], marker, photograph)
                for node in self._ray.nodes()
                if node["Alive"]
            }
            nodes = {place: self._answer(place, version, reference) for place, reference in asked.items()}
        for place, node in nodes.items():
            if node.version != version:
                raise ConfigError(
                    f"{place} has Livetint {node.version}, this machine {version}; install the same on all"
                )
            if node.error:
                raise ConfigError(f"{place} cannot take part: {node.error}")
            if node.digest != ours.digest:
                raise ConfigError(f"{place} has another model of this name; give --model a folder that all can read")
        return list(nodes.values())

    def _ask(self, node: str, marker: Path, photograph: Path) -> Any:
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        there = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        task = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(_check)
        return task.remote(self._settings, os.fsencode(marker.absolute()), os.fsencode(photograph.absolute()))

    def _answer(self, place: str, version: str, reference: Any) -> Node:
        try:
            return msgspec.msgpack.decode(self._ray.get(reference), type=Node)
        except (self._ray.exceptions.RayError, ImportError) as error:
            raise ConfigError(
                f"{place} cannot run Livetint {version} ({_first_line(error)}); install the same on all"
            ) from error


def check_node(settings: bytes, marker: bytes, photograph: bytes) -> Node:
    """What this machine says of itself. marker, photograph: paths that it must be able to read, unless empty.

    It answers beside the marker, so that the machine that asks sees whether the folder is the same.
    """
    version = importlib.metadata.version("livetint")
    said: list[str] = []
    try:
        known = msgspec.msgpack.decode(settings, type=Settings)
        digest = find_model(known.model).digest
        if not marker:
            return Node(version, digest)
        for path in map(os.fsdecode, (marker, photograph)):
            with Path(path).open("rb") as file:
                file.read(1)
        with open_for(known, 1, said) as runner:
            return Node(version, digest, runner.runs_on, said)
    except OSError as error:
        reason = f"{error.filename} cannot be read there ({error.strerror}); archives need a folder that all share"
        return Node(version, error=reason)
    except LivetintError as error:
        return Node(version, error=str(error))


# What Ray calls. Tasks and results travel as bytes, which no version of Ray changes.


def _check(settings: bytes, marker: bytes, photograph: bytes) -> bytes:
    return msgspec.msgpack.encode(check_node(settings, marker, photograph))


def _colour(settings: bytes, task: bytes) -> bytes:
    result = _colourist(settings).do(msgspec.msgpack.decode(task, type=Task))
    return msgspec.msgpack.encode(result)


@cache
def _colourist(settings: bytes) -> Colourist:
    """The colourist of this worker process, which Ray uses for many tasks."""
    known = msgspec.msgpack.decode(settings, type=Settings)
    return Colourist(open_for(known, 1, []), known)


@contextlib.contextmanager
def _without_dashboard(ray: Any) -> Iterator[None]:
    """Keep Ray from starting its dashboard's process.

    It starts it with `include_dashboard=False` too, and that process asks the addresses of cloud providers.
    """
    services = ray._private.services
    start = services.start_api_server
    services.start_api_server = lambda *arguments, **options: ("", None)
    try:
        yield
    finally:
        services.start_api_server = start


@contextlib.contextmanager
def _marker(out: Path) -> Iterator[Path]:
    """A file in the output folder that every machine must be able to read. Raises OutputError."""
    path = out / PART.replace("*", secrets.token_hex(8))
    try:
        path.write_bytes(b"livetint")
        yield path
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
