"""The restorer: a graph that makes the L of an old print like that of a new one, before the encoder sees it.

Grain, blur, stains, scratches and faded tones mislead the encoder; on L of a good photograph the restorer changes next
to nothing. It runs once per photograph, always by ONNX Runtime on the CPU. Pictures keep the L of the photograph.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..errors import ModelFileError
from .sessions import Session, first_line, make_session, run_graph

# Names of the graph's input and output, both float32 [1, 1, H, W], L in CIELAB units.
INPUT, OUTPUT = "L", "restored"
Restore = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def load_restorer(bundle: Bundle, threads: int, spin: bool = True) -> Restore:
    """A function from working L float32 [H, W] in 0…100 to the L that the encoder gets, of the same shape, about 0…100.

    For bundles without a restorer it returns what it gets. threads, spin: of `OnnxRunner`. Raises ModelFileError for a
    file that is not a restorer of the bundle's working size.
    """
    data = bundle.restorer
    if data is None:
        return lambda L: L
    try:
        session = make_session(data, threads, spin, spin_on=False)
    except Exception as error:  # onnxruntime's errors have no common base class
        raise _unusable(bundle, first_line(error)) from error
    _check(session, bundle)
    return lambda L: run_graph(session, {INPUT: L[None, None]})[OUTPUT][0, 0]


def _check(session: Session, bundle: Bundle) -> None:
    wanted = [1, 1, *bundle.manifest.input.working_size]
    for name, values in ((INPUT, session.get_inputs()), (OUTPUT, session.get_outputs())):
        found = {value.name: list(value.shape) for value in values}
        if found != {name: wanted}:
            raise _unusable(bundle, f"it has {found or 'nothing'} where {name} {wanted} is needed")


def _unusable(bundle: Bundle, reason: str) -> ModelFileError:
    return ModelFileError(
        f"{bundle.manifest.restorer}, the restorer of model {bundle.name}, cannot be used: {reason}; "
        "fetch or import the model again"
    )
