"""Tests of kernels run on builds that round multiplications and additions separately, and as one operation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .library import SEPARATE, roundings, use_rounding


@pytest.fixture(scope="module", params=roundings())
def rounding(request: pytest.FixtureRequest) -> Iterator[str]:
    """SEPARATE or FUSED: how the library of `kernels` rounds, in this test."""
    use_rounding(request.param)
    yield request.param
    use_rounding(SEPARATE)
