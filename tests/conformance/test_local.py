"""The backend in a folder keeps the contract, with hard links and without."""

import errno
import os
from pathlib import Path

import pytest

from dsvc.storage.conformance import CHECKS
from dsvc.storage.local import LocalBackend


@pytest.mark.parametrize("name", CHECKS)
def test_local(name: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    CHECKS[name](lambda: LocalBackend(tmp_path / "store"), tmp_path)


@pytest.mark.parametrize("name", CHECKS)
def test_local_without_hard_links(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "store").mkdir()
    CHECKS[name](lambda: LocalBackend(tmp_path / "store"), tmp_path)
