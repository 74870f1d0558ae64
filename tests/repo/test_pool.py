"""Forks share one pool of packs: nothing is copied, gc counts every head, and nobody reads what others alone have."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from blake3 import blake3

from dsvc.actions.fsck_remote import rewrite_segments
from dsvc.actions.gc import collect
from dsvc.actions.purge import purge
from dsvc.objects.ids import FileId, ObjectId
from dsvc.repo.family import read_family
from dsvc.repo.member import FIRST, member_of
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend
from tests.repo.pool import DAY, Pool


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(params=["folder", "memory"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Pool:
    folder = tmp_path / "parent"
    folder.mkdir()
    backend = LocalBackend(folder) if request.param == "folder" else MemoryBackend()
    return Pool(backend, tmp_path / "staging")


def gc(pool: Pool, name: str = "parent", *, everything: bool = True):
    return collect(pool.open(name), now=pool.now + 60 * DAY, grace=0, prune_all=everything)


def test_a_fork_has_everything_and_copies_nothing(pool: Pool) -> None:
    pool.commit("parent", {b"a": noise(1, 5000), b"big": noise(2, 2_000_000)})
    before = pool.size()
    pool.fork("mine")
    assert pool.size() - before < 1000
    pool.commit("mine", {b"b": b"mine"})
    pool.commit("parent", {b"b": b"theirs"})
    pool.fork("other", parent="mine")
    pool.check()
    assert set(pool.files("other")) == {b"a", b"big", b"b"}
    assert pool.files("other")[b"b"] == b"mine"


def test_gc_keeps_what_any_head_reaches(pool: Pool) -> None:
    pool.commit("parent", {b"shared": noise(1, 300_000)})
    pool.commit("parent", {b"old": noise(2, 300_000)}, branch="side")
    pool.fork("mine")
    pool.drop("parent", "side")
    pool.commit("mine", {b"new": noise(3, 300_000)})
    gc(pool)
    pool.check()
    assert pool.files("mine", "side") == {b"old": noise(2, 300_000)}
    pool.drop("mine", "side")
    before = pool.size()
    result = gc(pool, "mine")
    assert result.repositories == 2
    assert before - pool.size() > 290_000
    pool.check()


def test_gc_stores_what_both_need_once(pool: Pool) -> None:
    """Packs are divided by who needs what is in them, and not written once for each repository."""
    for number in range(10):
        pool.commit("parent", {b"f%d" % number: noise(number, 100_000)})
    pool.commit("parent", {b"gone": noise(50, 400_000)}, branch="side")
    pool.fork("mine")
    pool.fork("other")
    pool.drop("parent", "side")
    pool.drop("mine", "side")
    gc(pool)
    assert pool.size() < 1_450_000
    pool.drop("other", "side")
    gc(pool)
    assert pool.size() < 1_050_000
    pool.check()


def test_what_one_repository_let_go_is_not_read_through_it(pool: Pool) -> None:
    secret = noise(7, 900)
    pool.commit("parent", {b"readme": b"read me"})
    pool.commit("parent", {b"secret": secret, b"more": noise(8, 50_000)}, branch="private")
    pool.fork("mine")
    pool.drop("mine", "private")
    gc(pool)
    assert pool.has("parent", secret)
    assert not pool.has("mine", secret), "what only the parent reaches is in no pack that the fork lists"
    later = noise(9, 900)
    pool.commit("parent", {b"secret": later}, branch="private")
    assert not pool.has("mine", later)
    gc(pool, everything=False)
    assert not pool.has("mine", later)
    pool.check()


def test_what_was_pushed_to_two_forks_lies_there_once_after_gc(pool: Pool) -> None:
    """As when somebody takes over what is new in the parent and pushes it to a fork."""
    pool.commit("parent", {b"a": b"a"})
    pool.fork("mine")
    pool.fork("other")
    news = {b"n%d" % number: noise(number, 100_000) for number in range(5)}
    large = {b"large": noise(60, 900_000)}
    pool.commit("parent", {**news, **large, b"of the parent": noise(70, 90_000)})
    pool.commit("mine", {**news, **large, b"of mine": noise(71, 90_000)})
    pool.commit("other", {**large, b"of other": noise(72, 90_000)})
    assert pool.size() > 3_900_000
    gc(pool, everything=False)
    pool.check()
    assert pool.size() < 1_750_000
    for name, foreign in (("mine", 70), ("mine", 72), ("other", 70), ("other", 71), ("parent", 71)):
        assert not pool.has(name, noise(foreign, 90_000)), "nobody lists what others alone have"
    assert not pool.has("other", news[b"n1"])
    again = pool.size()
    gc(pool)
    pool.check()
    assert pool.size() <= again


def test_what_was_purged_in_one_does_not_come_back_from_another(pool: Pool) -> None:
    secret = noise(80, 2000)
    pool.commit("parent", {b"a": b"a"})
    pool.fork("mine")
    pool.commit("parent", {b"secret": secret, b"b": noise(81, 2000)})
    pool.commit("mine", {b"secret": secret, b"b": noise(81, 2000)})
    purge(pool.open("mine"), [FileId(ObjectId(blake3(secret).digest()))], reason="a key", act=pool.act("purge"))
    gc(pool)
    assert pool.has("parent", secret)
    assert not pool.has("mine", secret)


def test_packs_of_a_writer_to_a_fork_are_not_leftovers(pool: Pool) -> None:
    pool.commit("parent", {b"a": b"a"})
    pool.fork("mine")
    repo = pool.open("mine")
    repo.store.put_content(noise(1, 100_000))
    assert repo.store.flush()
    collect(pool.open("parent"), now=pool.now, grace=0)
    collect(pool.open("parent"), now=pool.now + DAY // 2, grace=0)
    pool.commit("mine", {b"b": noise(1, 100_000)}, repo=repo)
    pool.check()
    assert collect(pool.open("mine"), now=pool.now + 3 * DAY, grace=0).leftovers.packs == 0
    pool.check()


def test_small_packs_are_merged_for_all_who_list_them(pool: Pool) -> None:
    for number in range(20):
        pool.commit("parent", {b"f%d" % number: b"%d" % number})
    pool.fork("mine")
    for number in range(20):
        pool.commit("mine", {b"m%d" % number: b"%d" % number})
    result = gc(pool)
    assert result.after.packs <= 12
    parent, mine = ({ref.id for ref in pool.open(name).head.packs.packs} for name in ("parent", "mine"))
    assert parent & mine, "both list the same packs still"
    pool.check()


def test_a_fork_that_died_is_forgotten(pool: Pool) -> None:
    class DeadError(Exception):
        pass

    def die(member: str) -> None:
        raise DeadError

    pool.commit("parent", {b"a": noise(1, 100_000)})

    class Dying(MemoryBackend):
        pass

    import dsvc.repo.forking as forking

    before = forking.write_lineage
    try:
        forking.write_lineage = lambda *_: die("")
        with pytest.raises(DeadError):
            pool.fork("mine")
    finally:
        forking.write_lineage = before
    assert len(read_family(pool.backend).members) == 2
    gc(pool)
    assert list(read_family(pool.backend).members) == [""]
    assert not list(pool.backend.list("forks/"))
    pool.fork("mine")
    pool.check()


def test_a_list_that_lost_a_segment_takes_back_what_is_its_own(tmp_path: Path) -> None:
    """And not what other members of the family have: nobody else may read that."""
    pool = Pool(MemoryBackend(), tmp_path / "staging")
    pool.commit("parent", {b"shared": noise(1, 900)})
    pool.fork("mine")
    for number in range(20):
        pool.commit("parent", {b"theirs%d" % number: noise(100 + number, 700)})
        pool.commit("mine", {b"own%d" % number: noise(200 + number, 700)})
    pool.commit("parent", {b"both": noise(3, 800)})
    pool.commit("mine", {b"both": noise(3, 800)})
    for name, secret in (("mine", noise(101, 700)), ("parent", noise(201, 700))):
        repo = pool.open(name)
        segments = repo.head.packs.segments
        assert segments
        before = {ref.id for ref in repo.head.packs.packs}
        repo.backend.delete(segments[0].ref.key)
        member = FIRST if name == "parent" else pool.ids[name]
        broken = Repository.open(member_of(pool.backend, member), pool.staging, far=True, salvage=True)
        assert broken.lost
        assert rewrite_segments(broken) == 1
        assert {ref.id for ref in pool.open(name).head.packs.packs} <= before
        assert not pool.has(name, secret)
        pool.check()
