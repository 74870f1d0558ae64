"""A short run of cuts.py: connections that are cut at random bytes lose nothing."""

import pytest
from cuts import Cutter, behind_a_proxy

from tests.servers.sshd import sshd

__all__ = ["sshd"]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "server"), [("s3", "seaweed"), ("ssh", "sshd")])
def test_a_few_cuts(place, server, request, tmp_path):
    with behind_a_proxy(place, request.getfixturevalue(server), tmp_path) as behind:
        cutter = Cutter(behind, tmp_path, seed=5)
        cutter.run(5)
        assert cutter.cuts == 5
