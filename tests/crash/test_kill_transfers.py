"""A short run of kill_transfers.py: pushes, fetches and clones that are killed at random moments lose nothing."""

from kill_transfers import Killer


def test_six_kills(tmp_path):
    killer = Killer(tmp_path / "people", 1)
    killer.begin()
    killer.run(6)
    assert killer.kills == 6
