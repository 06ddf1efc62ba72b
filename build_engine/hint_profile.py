"""The optimisation profile of plans that take any number of hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine.errors import RunnerError
from ..engine.runners.tensorrt.plan_folder import HINT_SIZES
from ..engine.runners.tensorrt.versions import LoadedTarget

if TYPE_CHECKING:
    import tensorrt


def add_hint_profile(
    target: LoadedTarget,
    builder: tensorrt.Builder,
    network: tensorrt.INetworkDefinition,
    config: tensorrt.IBuilderConfig,
    max_hints: int,
) -> None:
    """Let the open axis of every input, which is that of the hints, be 1 to `max_hints`; TensorRT tunes for the
    smallest of HINT_SIZES. Raises RunnerError when TensorRT refuses the profile."""
    profile: Any = builder.create_optimization_profile()  # its stubs do not take tuples
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tensor.shape[:]
        if -1 in shape:
            smallest, usual, largest = (
                tuple(hints if length == -1 else length for length in shape) for hints in (1, HINT_SIZES[0], max_hints)
            )
            profile.set_shape(tensor.name, smallest, usual, largest)
    if config.add_optimization_profile(profile) < 0:
        raise RunnerError(f"TensorRT refuses the profile for 1 to {max_hints} hints")
    if target.traits.user_allocation:
        config.set_flag(target.module.BuilderFlag.REQUIRE_USER_ALLOCATION)
