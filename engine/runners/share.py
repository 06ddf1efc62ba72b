"""A hint's share in the colour of every cell, read out of the attention of `touch`.

The distribution stage of a bundle mixes the automatic distribution with the hints' own bins by their shares; the tensor
of shares is the left factor of that product. The stage is cut there, so that neither bins nor logits are computed.
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
    """The graph that gives shares [1, P, N] at points [1, P, 2], cut from the distribution stage; None for bundles
    whose distribution is not mixed by hint attention."""
    table = bundle.manifest.distribution
    if not bundle.manifest.touch_form or table is None or table.gives != "probabilities":
        return None
    data = bundle.stage("distribution")
    name = _shares_of(onnx.load_model_from_string(data).graph)
    return extract_tensor(data, name) if name else None


def _shares_of(graph: onnx.GraphProto) -> str | None:
    """The left factor of the product that the automatic distribution is added to."""
    made_by = {output: node for node in graph.node for output in node.output}
    last = made_by.get(graph.output[0].name)
    if last is None or last.op_type != "Add":
        return None
    products = [made_by[name] for name in last.input if name in made_by and made_by[name].op_type == "MatMul"]
    return products[0].input[0] if len(products) == 1 else None


def share_inputs(
    maps: Mapping[str, NDArray[np.float32]], hints: Sequence[Hint], global_hints: GlobalHints, cells: int
) -> dict[str, NDArray[np.float32]]:
    """Inputs of `share_graph` for the centres of cells × cells cells, row by row. maps: the encoder's outputs."""
    centres = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
    points = np.stack(np.meshgrid(centres, centres), -1).reshape(1, -1, 2).astype(np.float32)
    return {**maps, **touch_input(hints, global_hints), "points": points}


def share_map(shares: NDArray[np.float32], index: int, cells: int) -> NDArray[np.float32]:
    """Shares [1, cells², N] → that of hint `index`, float32 [cells, cells] in 0…1."""
    return np.clip(shares[0, :, index], 0, 1).reshape(cells, cells).astype(np.float32)
