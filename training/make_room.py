"""Free the last channels of every head's queries and keys, which the guarded kinds of `networks/kinds.py` use.

The products of queries and keys hardly use their last principal directions, so the logits stay nearly the same. The
tokens of hints read keys too; they stay exactly the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..build_engine.networks.hint_attention import HEADS, KEY, HintAttention
from ..build_engine.networks.kinds import GUARDED

# Added to the second moments' diagonal, relative to its mean, so that channels that are always 0 stay solvable.
RIDGE = 1e-9
KEPT = KEY - GUARDED


@torch.no_grad()
def make_room(attention: HintAttention, features: Tensor) -> float:
    """Change the weights so that the last GUARDED channels of every head's queries and keys are 0.

    features [n, WIDTH] of cells of many photographs. Of all products of rank KEPT, those that are nearest to the old
    ones are taken, on average over all pairs of cells. Returns the root mean square by which the logits change.
    """
    cells = features.double()
    error, token, tokens_bias = torch.zeros((), dtype=torch.float64), attention.token.weight, attention.token.bias
    old, old_bias = _matrix(attention.key)
    for head in range(HEADS):
        rows = slice(head * KEY, (head + 1) * KEY)
        (query, query_bias), (key, key_bias) = (
            (w[rows], b[rows]) for w, b in map(_matrix, (attention.query, attention.key))
        )
        q, k = cells @ query.T * KEY**-0.5 + query_bias * KEY**-0.5, cells @ key.T + key_bias
        left, right, dropped = _nearest(q, k)
        error = error + dropped
        _set(attention.query, rows, left.T @ query, left.T @ query_bias)
        _set(attention.key, rows, right.T @ key, right.T @ key_bias)
    new, new_bias = _matrix(attention.key)
    of_keys = token[:, : HEADS * KEY].double()
    changed = of_keys @ old @ torch.linalg.pinv(new)
    token[:, : HEADS * KEY] = changed.float()
    tokens_bias += (of_keys @ old_bias - changed @ new_bias).float()
    return float((error / HEADS).sqrt())


def _nearest(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices A, B [KEY, KEPT] for which (A'q)·(B'k) is nearest to q·k, and the mean squared difference."""
    roots = []
    for rows in (q, k):
        moments = rows.T @ rows / len(rows)
        roots.append(torch.linalg.cholesky(moments + RIDGE * moments.diagonal().mean() * torch.eye(KEY).double()))
    u, s, vt = torch.linalg.svd(roots[0].T @ roots[1])
    scaled = [basis[:, :KEPT] * s[:KEPT].sqrt() for basis in (u, vt.T)]
    left, right = (
        torch.linalg.solve_triangular(root.T, part, upper=True) for root, part in zip(roots, scaled, strict=True)
    )
    return left, right, (s[KEPT:] ** 2).sum()


def _matrix(layer: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert layer.bias is not None
    return layer.weight[:, :, 0, 0].double(), layer.bias.double()


def _set(layer: torch.nn.Conv2d, rows: slice, weight: Tensor, bias: Tensor) -> None:
    """The first KEPT of a head's rows; the others become 0."""
    assert layer.bias is not None
    layer.weight[rows], layer.bias[rows] = 0, 0
    kept = slice(rows.start, rows.start + KEPT)
    layer.weight[kept, :, 0, 0], layer.bias[kept] = weight.float(), bias.float()
