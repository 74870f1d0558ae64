"""A trial's corner of a place keeps the contract, and is removed without a trace."""

from pathlib import Path

import pytest

from dsvc.remotes.check.trial import Trial, TrialBackend, TrialEndedError
from dsvc.storage.conformance import CHECKS
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend


@pytest.mark.parametrize("name", CHECKS)
def test_trial(name: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    LocalBackend(place).put("packs/other", b"theirs")
    before = {path for path in place.rglob("*") if path.name != "tmp"}
    trial = Trial()
    CHECKS[name](lambda: TrialBackend(LocalBackend(place), trial), tmp_path)
    trial.end()
    assert trial.remove(LocalBackend(place))
    assert {path for path in place.rglob("*") if path.name not in ("tmp", "cells")} == before
    assert not list(place.glob("cells/*"))


def test_nobody_goes_on_after_the_end() -> None:
    memory, trial = MemoryBackend(), Trial()
    backend = TrialBackend(memory, trial)
    backend.put("packs/aa", b"x")
    backend.swap_cell("head", None, b"x")
    memory.swap_cell("head", None, b"theirs")
    trial.end()
    with pytest.raises(TrialEndedError):
        backend.put("packs/ab", b"x")
    assert trial.remove(memory)
    assert list(memory.list("")) == []
    assert memory.read_cell("head") == b"theirs"
    assert memory.read_cell(f"{trial.name}-head") is None
