"""How measurements of hints change when residuals are removed at other hints: the responses.

Few hints have a matrix of them: one product. Of many hints most are too far apart to respond to each other, so they
have a list of pairs. Neither depends on the order of earlier edits, to the last bit.

Both classes have the same methods: `replace`, `add` and `truncate` change responses, `update` is called after them, and
`remove` uses them. Residuals are complex, a + ib; responses are real numbers, but NumPy multiplies arrays of one type
quicker, so they are kept as complex numbers too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Complexes = NDArray[np.complex64]
Indices = NDArray[np.intp]

# Up to so many hints the matrix is quicker. BLAS computes its product in one thread.
MAX_DENSE = 64


def make_responses(capacity: int) -> DenseResponses | SparseResponses:
    """No responses yet, for up to `capacity` hints."""
    return DenseResponses(capacity) if capacity <= MAX_DENSE else SparseResponses(capacity)


class DenseResponses:
    """The responses of all hints to all, 0 where a field does not reach."""

    def __init__(self, capacity: int) -> None:
        # [measurement with the residual, its hint, measurement that responds, its hint].
        self._values = np.zeros((3, capacity, 3, capacity), np.complex64)
        self._matrix = self._values.reshape(3 * capacity, 3 * capacity)
        # A view of those of hints to themselves, [measurement with the residual, measurement that responds, hint].
        self._own = np.einsum("jnmn->jmn", self._values)

    def replace(self, rows: slice, own: Doubles) -> None:
        """Drop all responses of hints `rows` and to them; own [3, 3, R] are the new ones of these to themselves."""
        self._values[:, rows] = 0
        self._values[..., rows] = 0
        self._own[..., rows] = own

    def add(self, measured: Indices, fields: Indices, values: Doubles) -> None:
        """Set the responses of hints `measured` to residuals at `fields`. values [P, measurement with the residual,
        measurement that responds]."""
        self._values[:, fields, :, measured] = values

    def truncate(self, count: int) -> None:
        """Forget the hints from `count` on. No residual is removed there, and nobody reads what responds there."""

    def update(self) -> None:
        """Nothing: the matrix is what is multiplied."""

    def remove(self, residuals: Complexes, removed: Complexes) -> None:
        """Change `residuals` at the measurements as they change when `removed` is removed there, both [3 · C]."""
        residuals -= removed.dot(self._matrix)


class SparseResponses:
    """The responses of pairs of a hint that is measured and one whose field reaches it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # At capacity · (the hint that is measured) + the other: whether they are a pair, and the response of
        # measurement m to a residual at measurement j, at 3 j + m.
        self._is_pair = np.zeros((capacity, capacity), np.bool_)
        self._pairs = self._is_pair.reshape(-1)
        self._values = np.zeros((capacity**2, 9), np.complex64)
        self._firsts, self._seconds = np.divmod(np.arange(capacity**2), capacity)
        self._rows = np.arange(3)[:, None] * capacity
        # Of the pairs in rising order: responses [3, 3, P], the second hints, and the places of the first one's
        # measurements in residuals [3, C].
        self._responses = np.zeros((3, 3, 0), np.complex64)
        self._from = self._to = np.zeros(0, np.intp)

    def replace(self, rows: slice, own: Doubles) -> None:
        """Drop all responses of hints `rows` and to them; own [3, 3, R] are the new ones of these to themselves."""
        self._is_pair[rows] = self._is_pair[:, rows] = False
        step = self._capacity + 1
        themselves = slice(rows.start * step, rows.stop * step, step)
        self._pairs[themselves] = True
        self._values[themselves] = own.reshape(9, -1).T

    def add(self, measured: Indices, fields: Indices, values: Doubles) -> None:
        """Set the responses of hints `measured` to residuals at `fields`. values [P, measurement with the residual,
        measurement that responds]."""
        places = measured * self._capacity + fields
        self._pairs[places] = True
        self._values[places] = values.reshape(-1, 9)

    def truncate(self, count: int) -> None:
        """Forget the hints from `count` on."""
        self._is_pair[count:] = self._is_pair[:, count:] = False

    def update(self) -> None:
        """List the pairs."""
        pairs = self._pairs.nonzero()[0]
        self._responses = np.ascontiguousarray(self._values.take(pairs, 0).T).reshape(3, 3, -1)
        self._from = self._seconds.take(pairs)
        self._to = (self._rows + self._firsts.take(pairs)).reshape(-1)

    def remove(self, residuals: Complexes, removed: Complexes) -> None:
        """Change `residuals` at the measurements as they change when `removed` is removed there, both [3 · C]."""
        at_fields = removed.reshape(3, -1).take(self._from, 1)
        changes = np.add.reduce(at_fields[:, None] * self._responses)
        np.subtract.at(residuals, self._to, changes.reshape(-1))
