"""ONNX Runtime sessions: their options, and running them by the names of inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..cores import usable_cores

MAX_THREADS = 8
# This optimiser quantises the weights of layers that an INT8 graph keeps wide, with one coarse scale (ONNX Runtime
# 1.32).
DISABLED_OPTIMISERS = ["WeightBiasQuantization"]


class Session(Protocol):
    """What a runner uses of an ONNX Runtime session."""

    def get_inputs(self) -> Sequence[Any]: ...

    def get_outputs(self) -> Sequence[Any]: ...

    def run(self, output_names: Any, input_feed: Any, /) -> Sequence[Any]: ...


def default_threads() -> int:
    """`usable_cores`, but at most 8: a touch does not gain from more."""
    return min(usable_cores(), MAX_THREADS)


def make_session(data: bytes, threads: int, spin: bool = True, *, spin_on: bool = True) -> ort.InferenceSession:
    """An ONNX graph, ready to run. Raises ONNX Runtime's errors for invalid graphs.

    threads, spin: of `OnnxRunner`. spin_on: whether threads also poll for a while after a run; where another session
    runs next, they would take its cores.
    """
    options = session_options(threads, spin)
    options.add_session_config_entry("session.force_spinning_stop", str(int(not spin_on)))
    return ort.InferenceSession(
        data,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=DISABLED_OPTIMISERS,
    )


def run_graph(session: Session, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The outputs of a graph by name. It takes those of `inputs` that it needs."""
    names = [value.name for value in session.get_outputs()]
    outputs = session.run(names, {value.name: inputs[value.name] for value in session.get_inputs()})
    return {name: np.asarray(output) for name, output in zip(names, outputs, strict=True)}


def session_options(threads: int, spin: bool = True) -> ort.SessionOptions:
    """Options of every session: `threads` within an operator, one operator at a time, errors alone in the log.

    spin: of `OnnxRunner`.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return options


def first_line(error: Any) -> str:
    """The first line of an error's text."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
