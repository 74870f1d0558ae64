"""The large frameworks that some tests train with, and why they are missing where they are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

REASON = Path(sys.prefix) / "frameworks.reason"  # by .ci/frameworks


def why_missing(*modules: str) -> str:
    """Return why a test that needs these modules cannot run, an empty text where it can."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    why = f": {REASON.read_text().strip()}" if REASON.exists() else ""
    return f"{' and '.join(missing)} not installed{why}"


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skip a test where one of these modules is missing, and say why it is."""
    why = why_missing(*modules)
    return pytest.mark.skipif(bool(why), reason=why)
