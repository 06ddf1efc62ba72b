"""Where everything of a runner lies on the GPU: tensors that plans share, and the block that a touch is asked in.

All of it is taken once; addresses never change, so graphs recorded over them hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...colour.global_hints import VECTOR_LENGTH, GlobalHints
from ...errors import HintRejected
from ...hints import Hint
from ...kernels.table import HINT, hint_records
from .device import Device, PinnedBuffer
from .plan_folder import StalePlan
from .plans import LoadedPlan, Tensor

ALIGNED_BYTES = 256


def aligned(size_bytes: int) -> int:
    """The next multiple of what every address here keeps to."""
    return -(-size_bytes // ALIGNED_BYTES) * ALIGNED_BYTES


class TensorArena:
    """Tensors by name, shared by all plans that name them: an encoder's output is a touch's input, in place.

    addresses: name → address. The tensors named `features` lie in one piece, features_at, features_bytes long,
    so that a photograph's are put away and brought back with one copy.
    """

    def __init__(
        self, device: Device, plans: Iterable[LoadedPlan], features: Sequence[str], elsewhere: Iterable[str]
    ) -> None:
        """elsewhere: names that others provide. Raises StalePlan when two plans disagree on a tensor's type."""
        tensors = _tensors(plans, frozenset(elsewhere))
        sizes = {name: aligned(tensors[name].size_bytes) for name in features}
        self.features_bytes = sum(sizes.values())
        self.features_at = device.memory(self.features_bytes)
        self.addresses: dict[str, int] = {}
        offset = self.features_at
        for name, size in sizes.items():
            self.addresses[name] = offset
            offset += size
        for name, tensor in tensors.items():
            if name not in self.addresses:
                self.addresses[name] = device.memory(tensor.size_bytes)


def _tensors(plans: Iterable[LoadedPlan], elsewhere: frozenset[str]) -> dict[str, Tensor]:
    """Name → the largest tensor of that name in any plan."""
    tensors: dict[str, Tensor] = {}
    for plan in plans:
        for name, tensor in (*plan.inputs.items(), *plan.outputs.items()):
            if name in elsewhere:
                continue
            known = tensors.get(name, tensor)
            if known.dtype != tensor.dtype:
                raise StalePlan(f"the plan of {plan.title} wants {name!r} as {tensor.dtype}, others as {known.dtype}")
            tensors[name] = max(known, tensor, key=lambda t: t.size_bytes)
    return tensors


class HintBuffer:
    """What is asked of one path through the network: hints, global hints, points. One block, one copy.

    addresses: name → the GPU's address, under the names that plans give their inputs, and `records` and `count`
    for the kernels.
    """

    def __init__(self, device: Device, max_hints: int, max_points: int) -> None:
        layout: dict[str, tuple[np.dtype, tuple[int, ...]]] = {
            "records": (HINT, (max_hints,)),
            "count": (np.dtype(np.int32), (1,)),
            "positions": (np.dtype(np.float32), (max_hints, 2)),
            "colours": (np.dtype(np.float32), (max_hints, 2)),
            "sizes": (np.dtype(np.float32), (max_hints,)),
            "valid": (np.dtype(np.float32), (max_hints,)),
            "global_hints": (np.dtype(np.float32), (VECTOR_LENGTH,)),
            "points": (np.dtype(np.float32), (max_points, 2)),
        }
        sizes = {name: Tensor(shape, dtype).size_bytes for name, (dtype, shape) in layout.items()}
        self.block: PinnedBuffer = device.pinned(sum(map(aligned, sizes.values())))
        self.block.host[:] = 0
        self.max_hints = max_hints
        self.addresses: dict[str, int] = {}
        self._host: dict[str, NDArray] = {}
        offset = 0
        for name, (dtype, shape) in layout.items():
            self.addresses[name] = self.block.address + offset
            self._host[name] = self.block.host[offset : offset + sizes[name]].view(dtype).reshape(shape)
            offset += aligned(sizes[name])
        self.addresses["global"] = self.addresses["global_hints"]

    def write(self, hints: Sequence[Hint], global_hints: GlobalHints, capacity: int) -> None:
        """Hints for a plan with room for so many (0: for kernels, which read `count`). Raises HintRejected."""
        count, host = len(hints), self._host
        if count > self.max_hints:
            raise HintRejected(f"the GPU holds at most {self.max_hints} hints and got {count}; remove some")
        if hints:
            host["records"][:count] = hint_records(hints)
        host["count"][0] = count
        host["global_hints"][:] = global_hints.vector()
        if capacity:
            self._write_tensors(host["records"][:count], capacity)

    def _write_tensors(self, records: NDArray[np.void], capacity: int) -> None:
        """The same hints as a plan of the touch stage takes them, padded with hints that are not valid."""
        host, count = self._host, len(records)
        for name, first, second in (("positions", "x", "y"), ("colours", "a", "b")):
            host[name][:count, 0], host[name][:count, 1] = records[first], records[second]
            host[name][count:capacity] = 0
        host["sizes"][:count], host["sizes"][count:capacity] = records["size"], 1
        host["valid"][:count], host["valid"][count:capacity] = 1, 0

    def write_points(self, points: NDArray[np.float32], capacity: int) -> None:
        """Points float32 [P, 2] (x, y in 0…1), the rest up to `capacity` zero."""
        self._host["points"][: len(points)] = points
        self._host["points"][len(points) : capacity] = 0


def all_addresses(*sources: Mapping[str, int]) -> dict[str, int]:
    """Several name → address tables in one."""
    return {name: address for source in sources for name, address in source.items()}
