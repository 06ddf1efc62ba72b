"""The table of TensorRT versions, and that a real TensorRT has what its row says. Neither needs a GPU."""

from __future__ import annotations

import pytest
from livetint.engine.errors import NoDevice
from livetint.engine.runners.tensorrt.plans import TensorRT
from livetint.engine.runners.tensorrt.versions import TARGETS, load_target, traits_of

from ...needs import needs


@pytest.mark.parametrize(
    ("target", "version", "context", "sized"),
    [
        ("tensorrt", (8, 6), "without memory", False),
        ("tensorrt", (10, 3), "strategy", False),
        ("tensorrt", (10, 16), "strategy", False),
        ("tensorrt", (11, 4), "strategy", True),
        ("tensorrt-rtx", (1, 7), "config", True),
    ],
)
def test_versions_as_rows(target: str, version: tuple[int, int], context: str, sized: bool):
    traits = traits_of(target, version)
    assert (traits.context, traits.sized) == (context, sized)


def test_too_old_is_said():
    with pytest.raises(NoDevice, match=r"8\.5 is too old"):
        traits_of("tensorrt", (8, 5))
    for target in TARGETS.values():
        since = [row.since for row in target.versions]
        assert since == sorted(since), "the last row that is not newer counts"


@needs("tensorrt_rtx")
def test_the_real_rtx_has_what_its_row_uses():
    module = load_target("tensorrt-rtx").module
    found = TensorRT("tensorrt-rtx")
    assert found.version == module.__version__ and found.traits.context == "config"
    used = {
        "Runtime": ("deserialize_cuda_engine",),
        "ICudaEngine": (
            found.traits.size, "num_io_tensors", "get_tensor_name", "get_tensor_shape", "get_tensor_dtype",
            "get_tensor_mode", "create_runtime_config", "create_execution_context",
        ),
        "IRuntimeConfig": (
            "set_execution_context_allocation_strategy", "create_runtime_cache", "set_runtime_cache",
        ),
        "IRuntimeCache": ("serialize", "deserialize"),
        "IExecutionContext": ("set_tensor_address", "set_device_memory", "execute_async_v3"),
        "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
        "TensorIOMode": ("INPUT", "OUTPUT"),
    }  # fmt: skip
    missing = [f"{kind}.{name}" for kind, names in used.items() for name in names
               if not hasattr(getattr(module, kind), name)]  # fmt: skip
    assert missing == []
    assert module.nptype(module.DataType.HALF).__name__ == "float16"
