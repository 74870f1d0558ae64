"""Figures of served models as people read them."""

from __future__ import annotations


def figure_text(name: str, value: float | None) -> str:
    """Return a figure by its name: shares as percents, seconds as milliseconds; `-` where it is not known."""
    if value is None:
        return "-"
    if name == "samples":
        return f"{value:,.0f}"
    if name == "errors":
        return percent_text(value)
    if name in ("p50", "p99"):
        return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
    if name == "psi":
        return f"{value:.3f}"
    return plain_text(value)


def percent_text(value: float | None) -> str:
    """Return a share as percents."""
    return "-" if value is None else f"{100 * value:.1f} %"


def plain_text(value: float | None) -> str:
    """Return a number in four digits."""
    return "-" if value is None else f"{value:.4g}"
