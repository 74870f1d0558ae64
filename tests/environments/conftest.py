"""A store, and a virtual environment with two small packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.environments import Locked, lock
from dsvc.objects.store import ObjectStore
from dsvc.storage.memory import MemoryBackend
from tests.environments.wheels import install, make_venv, make_wheel

Lock = Callable[..., Locked]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    staging = tmp_path / "staging"
    staging.mkdir()
    return ObjectStore(MemoryBackend(), lambda: staging)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "Left_Pad", "1.0", headers=("License-Expression: MIT",))
    make_wheel(folder, "rentals", "2.0", headers=("Requires-Dist: left.pad (>=1)", "Requires-Dist: x; extra == 'y'"))
    return folder


@pytest.fixture
def python(tmp_path: Path, wheels: Path) -> Path:
    """The interpreter of a virtual environment in which the wheels are installed."""
    made = make_venv(tmp_path / "venv")
    install(made, *sorted(wheels.iterdir()))
    return made


@pytest.fixture
def locked(tmp_path: Path, store: ObjectStore) -> Lock:
    """Locks an interpreter as one process after the other would."""

    def call(interpreter: Path, **more: object) -> Locked:
        variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **more.pop("variables", {})}
        return lock(store, interpreter=interpreter, cache=tmp_path / "cache", variables=variables, **more)

    return call
