"""A short run of cuts.py: connections that are cut at random bytes lose nothing.

Each run takes other bytes. `DSVC_CUTS_SEED` repeats one, and so does the command that a failed test has printed.
"""

import os
import secrets

import pytest
from cuts import Cutter, behind_a_proxy

from tests.servers.sshd import sshd

__all__ = ["sshd"]

CUTS = 10  # at each place


@pytest.mark.slow
@pytest.mark.parametrize(("place", "server"), [("s3", "seaweed"), ("ssh", "sshd")])
def test_cuts_of_push_fetch_clone_and_gc(place, server, request, tmp_path):
    seed = int(os.environ.get("DSVC_CUTS_SEED") or secrets.randbelow(1_000_000))
    print(f"python tests/crash/cuts.py --verbose --cuts {CUTS} --place {place} --seed {seed}")
    with behind_a_proxy(place, request.getfixturevalue(server), tmp_path) as behind:
        cutter = Cutter(behind, tmp_path, seed, verbose=True)
        cutter.run(CUTS)
        assert cutter.cuts == CUTS
