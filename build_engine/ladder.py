"""The ladder of `--precision auto`: what is tried, from the fastest to the most exact.

On a GPU, fp16 arithmetic may lose more than on the CPU where it is measured. Then attention runs in fp32 (3.8 % of the
multiplications of the encoder of `touch`), then also the stem and the first two blocks (5.5 %), then everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from .attention import attention_nodes, first_nodes


@dataclass(frozen=True)
class Rung:
    """One step: its name for messages and plans.json, its precision, and the nodes that stay in fp32."""

    name: str
    precision: str
    keep_fp32: frozenset[str] = frozenset()


def ladder(models: Mapping[str, onnx.ModelProto]) -> list[Rung]:
    """The rungs for a bundle. models: stage → folded graph, of `folded_stages`.

    A network without attention has no rung for it, and a small one none for its first layers.
    """
    attention = frozenset().union(*(attention_nodes(model) for model in models.values()))
    first = frozenset().union(*(first_nodes(model) for model in models.values()))
    rungs = [Rung("fp16", "fp16")]
    if attention:
        rungs.append(Rung("fp16 with attention in fp32", "fp16", attention))
    if first:
        names = "attention and the first layers" if attention else "the first layers"
        rungs.append(Rung(f"fp16 with {names} in fp32", "fp16", attention | first))
    return [*rungs, Rung("fp32", "fp32")]
