"""A backend behind a cache keeps the contract."""

from pathlib import Path

import pytest

from dsvc.remotes.wrappers.cached import CachedBackend
from dsvc.storage.conformance import CHECKS
from dsvc.storage.local import LocalBackend


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "delete"])
def test_cached(name: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    CHECKS[name](lambda: CachedBackend(LocalBackend(tmp_path / "store"), tmp_path / "cache"), tmp_path)
