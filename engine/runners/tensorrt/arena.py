"""Memory of a runner on the GPU: the tensors that plans share, and the buffer for hints and points.

All memory is allocated once. Addresses never change, so recorded graphs stay valid.
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
    """A size rounded up to a multiple of ALIGNED_BYTES, to which all addresses here are aligned."""
    return -(-size_bytes // ALIGNED_BYTES) * ALIGNED_BYTES


class TensorArena:
    """Tensors by name, shared by all plans that name them: an encoder's output is a touch's input, without a copy.

    addresses: name → address. The tensors named `features` lie in one block at features_address, of features_bytes, so
    one copy saves or restores those of a photograph.
    """

    def __init__(
        self, device: Device, plans: Iterable[LoadedPlan], features: Sequence[str], external: Iterable[str]
    ) -> None:
        """external: names of tensors with memory elsewhere. Raises StalePlan if plans disagree on a tensor's type."""
        tensors = _tensors(plans, frozenset(external))
        sizes = {name: aligned(tensors[name].size_bytes) for name in features}
        self.features_bytes = sum(sizes.values())
        self.features_address = device.memory(self.features_bytes)
        self.addresses: dict[str, int] = {}
        offset = self.features_address
        for name, size in sizes.items():
            self.addresses[name] = offset
            offset += size
        for name, tensor in tensors.items():
            if name not in self.addresses:
                self.addresses[name] = device.memory(tensor.size_bytes)


def _tensors(plans: Iterable[LoadedPlan], external: frozenset[str]) -> dict[str, Tensor]:
    """Name → the largest tensor of that name in any plan."""
    tensors: dict[str, Tensor] = {}
    for plan in plans:
        for name, tensor in (*plan.inputs.items(), *plan.outputs.items()):
            if name in external:
                continue
            other = tensors.get(name, tensor)
            if other.dtype != tensor.dtype:
                raise StalePlan(f"the plan of {plan.title} wants {name!r} as {tensor.dtype}, others as {other.dtype}")
            tensors[name] = max(other, tensor, key=lambda t: t.size_bytes)
    return tensors


class HintBuffer:
    """Hints, global hints and points for one run, in one pinned block that is copied at once.

    addresses: name → address on the GPU. The names are those of the plans' inputs; `records` and `count` are for the
    kernels.
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
        """Write hints for a plan of `capacity` hints, or 0 for the kernels, which read `count`. Raises HintRejected."""
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
        """Write the same hints as tensors for a plan, padded to `capacity` with hints that are not valid."""
        host, count = self._host, len(records)
        for name, first, second in (("positions", "x", "y"), ("colours", "a", "b")):
            host[name][:count, 0], host[name][:count, 1] = records[first], records[second]
            host[name][count:capacity] = 0
        host["sizes"][:count], host["sizes"][count:capacity] = records["size"], 1
        host["valid"][:count], host["valid"][count:capacity] = 1, 0

    def write_points(self, points: NDArray[np.float32], capacity: int) -> None:
        """Write points float32 [P, 2] (x, y in 0…1), padded to `capacity` with zeros."""
        self._host["points"][: len(points)] = points
        self._host["points"][len(points) : capacity] = 0


def all_addresses(*sources: Mapping[str, int]) -> dict[str, int]:
    """Several tables name → address, merged."""
    return {name: address for source in sources for name, address in source.items()}
