"""A short run of kill.py: commands that are killed at random moments lose nothing."""

import pytest
from kill import Killer
from mortal import Project


@pytest.mark.parametrize("seed", [1, 2])
def test_twelve_kills(tmp_path, seed):
    killer = Killer(Project(tmp_path / "project"), seed)
    killer.begin()
    killer.run(6)
    assert killer.kills == 6
