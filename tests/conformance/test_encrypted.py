"""An encrypted place keeps the contract, in a folder and in memory."""

from pathlib import Path

import pytest

from dsvc.remotes.encryption.backend import EncryptedBackend
from dsvc.remotes.encryption.sealing import Keys
from dsvc.storage.conformance import CHECKS
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend

KEYS = Keys.of(bytes(32))


@pytest.mark.parametrize("name", CHECKS)
def test_encrypted_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    CHECKS[name](lambda: EncryptedBackend(LocalBackend(tmp_path / "store"), KEYS), tmp_path)


@pytest.mark.parametrize("name", CHECKS)
def test_encrypted_memory(name: str, tmp_path: Path) -> None:
    place = MemoryBackend()
    CHECKS[name](lambda: EncryptedBackend(place, KEYS), tmp_path)
