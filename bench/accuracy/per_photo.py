"""One number for each photograph and draw, with means and standard errors over photographs."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray


class Tally:
    """Values by key (any tuple of words) and photograph, one for each draw."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, key: tuple[str, ...], photo: int, value: float) -> None:
        """One draw's value for a photograph."""
        self._values[key][photo].append(value)

    @property
    def names(self) -> list[tuple[str, ...]]:
        """All keys, in the order in which they were first added."""
        return list(self._values)

    def per_photo(self, key: tuple[str, ...]) -> NDArray[np.float64]:
        """Mean over draws for every photograph [n], in the order of the photographs."""
        photos = self._values[key]
        return np.array([np.mean(photos[index]) for index in sorted(photos)])


def mean(values: NDArray[np.float64]) -> float:
    """The mean over photographs, rounded for JSON."""
    return round(float(np.mean(values)), 4)


def standard_error(values: NDArray[np.float64]) -> float | None:
    """Standard error of the mean over photographs; None for a single one."""
    if len(values) < 2:
        return None
    return round(float(np.std(values, ddof=1) / np.sqrt(len(values))), 4)
