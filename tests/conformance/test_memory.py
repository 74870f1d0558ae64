"""The backend in memory keeps the contract."""

from pathlib import Path

import pytest

from dsvc.storage.conformance import CHECKS
from dsvc.storage.memory import MemoryBackend


@pytest.mark.parametrize("name", CHECKS)
def test_memory(name: str, tmp_path: Path) -> None:
    backend = MemoryBackend()
    CHECKS[name](lambda: backend, tmp_path)
