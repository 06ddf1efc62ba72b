"""The networks. The paper's three are topologies (`TOPOLOGIES`), without torch; `touch` is a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable

from .global_hints import siggraph17_global
from .hypercolumn import siggraph17_hypercolumn
from .siggraph17 import siggraph17
from .topology import Topology

# Name of the network, as `models import --as` and training configurations take it → its topology.
TOPOLOGIES: dict[str, Callable[[], Topology]] = {
    "siggraph17": siggraph17,
    "siggraph17-hypercolumn": siggraph17_hypercolumn,
    "siggraph17-global": siggraph17_global,
}
