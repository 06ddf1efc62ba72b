"""The share of every hint in the colour of every cell, from the attention of `touch`.

The distribution stage of a bundle adds the automatic distribution to the product of the hints' shares and their bins.
The graph is cut at the shares, the left factor of this product, so that neither bins nor logits are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from ..bundle import Bundle
from ..colour.global_hints import GlobalHints
from ..hints import Hint
from ..inputs import touch_input
from .subgraph import extract_tensor


def share_graph(bundle: Bundle) -> bytes | None:
    """The graph from points [1, P, 2] to shares [1, P, N], cut from the distribution stage. None for bundles without
    hint attention in it."""
    table = bundle.manifest.distribution
    if not bundle.manifest.touch_form or table is None or table.gives != "probabilities":
        return None
    data = bundle.stage("distribution")
    name = _shares_of(onnx.load_model_from_string(data).graph)
    return extract_tensor(data, name) if name else None


def _shares_of(graph: onnx.GraphProto) -> str | None:
    """The name of the left factor of the product that the automatic distribution is added to; None if not found."""
    producers = {output: node for node in graph.node for output in node.output}
    last = producers.get(graph.output[0].name)
    if last is None or last.op_type != "Add":
        return None
    products = [producers[n] for n in last.input if n in producers and producers[n].op_type == "MatMul"]
    return products[0].input[0] if len(products) == 1 else None


def share_inputs(
    maps: Mapping[str, NDArray[np.float32]], hints: Sequence[Hint], global_hints: GlobalHints, cells: int
) -> dict[str, NDArray[np.float32]]:
    """Inputs of `share_graph` for the centres of cells × cells cells, row by row. maps: the outputs of the encoder."""
    centres = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
    points = np.stack(np.meshgrid(centres, centres), -1).reshape(1, -1, 2).astype(np.float32)
    return {**maps, **touch_input(hints, global_hints), "points": points}


def share_map(shares: NDArray[np.float32], indices: Sequence[int], cells: int) -> NDArray[np.float32]:
    """Shares [1, cells², N] → the share of the hints `indices` together, float32 [cells, cells] in 0…1."""
    share = shares[0][:, list(indices)].sum(1)
    return np.clip(share, 0, 1).reshape(cells, cells).astype(np.float32)
