"""Purging on a remote: whatever breaks, the same call ends the work, and the rest stays whole."""

import pytest
from blake3 import blake3

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.actions.purge import purge
from dsvc.errors import DsvcError
from dsvc.refs.log import read_head
from tests.remotes.far import DAY, Failing, Far, noise

SMALL = b"the password is swordfish " * 3
LARGE = noise(77, 600_000)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    far = Far(tmp_path_factory.mktemp("start") / "far")
    for number in range(20):
        far.push(f"b{number}", {b"file": noise(number, 300)})
    far.push("b0", {b"secret": SMALL, b"large": LARGE, b"shares": LARGE + b"more"})
    return far


def erase(far, inner=None):
    ahead = far.ahead(inner=inner)
    files = [blake3(SMALL).digest(), blake3(LARGE).digest()]
    try:
        return purge(far.open(ahead), files, reason="by mistake", act=far.act("purge"))
    finally:
        ahead.close()


def assert_erased(far):
    head = read_head(far.backend)
    there = {key for key, _ in far.backend.list("packs/")}
    assert there == {ref.key for ref in head.packs.packs}
    assert not any(SMALL in far.backend.get(key) for key in there)
    repo = far.open()
    assert not repo.store.has_file(blake3(SMALL).digest())
    assert not repo.store.has_file(blake3(LARGE).digest())
    assert repo.store.read_file(blake3(LARGE + b"more").digest()) == LARGE + b"more"
    report = check(repo)
    assert [d.message for d in report.damage] == []
    assert len(report.purged) == 2


def test_it_goes_from_all_packs(start):
    far = start.copy()
    result = erase(far)
    assert result.shared > 0
    assert_erased(far)
    erase(far)
    collect(far.open(), now=far.now + 40 * DAY)
    assert_erased(far)


@pytest.mark.parametrize("way", ["before", "after", "unsure"])
def test_a_line_that_breaks_at_any_call(start, way):
    at = 1
    while True:
        at += 2
        far = start.copy()
        failing = Failing(far.backend, at, way)
        try:
            erase(far, inner=failing)
        except (OSError, DsvcError):
            pass
        if failing.calls < at:
            break
        assert [d.message for d in check(far.open()).damage] == [], at
        erase(far)
        assert_erased(far)
    assert at > 20
