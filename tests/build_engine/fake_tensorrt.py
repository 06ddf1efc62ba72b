"""A stand-in for the `tensorrt` module that records the calls of a build, with the interface of one version."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..fakecuda.tensorrt_builder import TacticSource


class FakeConfig:
    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.flags: set[str] = {"TF32"}

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.calls.append(("workspace", size))

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_tactic_sources(self, sources: int) -> bool:
        self.calls.append(("tactic sources", sources))
        return True

    def create_timing_cache(self, data: bytes) -> Any:
        self.calls.append(("timings", data))
        return SimpleNamespace(serialize=lambda: data + b"+")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self.calls.append(("set timings", ignore_mismatch))
        return True


class FakeTensorRT:
    """The part that build_plan uses: 8.6 has no strong typing, 10 and 11 have it; 11 has no precision flags."""

    def __init__(self, version: str, parses: bool = True, builds: bool = True, driver: bool = True) -> None:
        self.__version__ = version
        major = int(version.split(".")[0])
        self.config, self.network_flags, self.parses, self.builds = FakeConfig(), None, parses, builds
        self.driver = driver
        kinds = {"EXPLICIT_BATCH": 0} if major < 11 else {}
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**kinds, **({"STRONGLY_TYPED": 1} if major >= 10 else {}))
        flags = ["TF32", "VERSION_COMPATIBLE"] + (["FP16", "INT8"] if major < 11 else [])
        self.BuilderFlag = SimpleNamespace(**{name: name for name in flags})
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
        self.HardwareCompatibilityLevel = SimpleNamespace(AMPERE_PLUS="ampere")
        self.ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
        self.TacticSource = TacticSource
        self.Builder, self.OnnxParser = self._builder, self._parser
        self.ILogger = type("ILogger", (), {"__init__": lambda self: None, "Severity": SimpleNamespace(ERROR=1)})
        self.IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})

    def _builder(self, log: Any) -> Any:
        log.log(1, "something about the GPU")
        if not self.driver:
            raise TypeError("pybind11::init(): factory function returned nullptr")

        def create_network(flags: int) -> Any:
            self.network_flags = flags
            return SimpleNamespace(num_layers=0)

        def build(network: Any, config: FakeConfig) -> bytes | None:
            monitor = getattr(config, "progress_monitor", None)
            if monitor is not None:
                monitor.phase_start("build", None, 2)
                monitor.phase_start("inner", "build", 9)
                monitor.step_complete("inner", 0)
                monitor.step_complete("build", 0)
                monitor.phase_finish("build")
            if not self.builds:
                log.log(1, "something about the GPU")
            return b"plan" if self.builds else None

        return SimpleNamespace(
            create_network=create_network, create_builder_config=lambda: self.config, build_serialized_network=build
        )

    def _parser(self, network: Any, log: Any) -> Any:
        return SimpleNamespace(parse=lambda data: self.parses, num_errors=1, get_error=lambda i: "unknown operator")
