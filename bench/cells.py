"""Numbers as text, for cells of tables."""

from __future__ import annotations

from collections.abc import Mapping


def short(value: float | None) -> str:
    """Three digits, without an exponent for large numbers; a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def span(row: Mapping[str, float | None]) -> str:
    """`low to high` of an interval; a dash where there is none."""
    low, high = row["low"], row["high"]
    return "–" if low is None or high is None else f"{short(low)} to {short(high)}"


def plus_minus(row: Mapping[str, float | None]) -> str:
    """`mean ± standard error`; the mean alone where there is no error."""
    error = row["standard_error"]
    return short(row["mean"]) + ("" if error is None else f" ± {short(error)}")


def decibels(value: float, error: float | None) -> str:
    """`1.23 ± 0.04`, both in dB; the value alone where there is no error."""
    return f"{value:.2f}" + ("" if error is None else f" ± {error:.2f}")
