"""Damage at a remote is found from afar, named by path, and mended from a copy elsewhere."""

import random
from functools import partial

import pytest

from dsvc.actions.fsck import check
from dsvc.actions.fsck_remote import mend_from, rewrite_segments
from dsvc.errors import DsvcError
from dsvc.objects.ids import Kind
from dsvc.objects.packlist import PackClass
from dsvc.objects.repack import rewrite_packs
from dsvc.progress import Silent
from dsvc.repo.mending import BadSourceError
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend
from tests.remotes.far import Failing, Far, noise


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    far = Far(tmp_path_factory.mktemp("start") / "far")
    for number in range(22):
        far.push(f"b{number}", {b"dir/file": noise(number, 3000), b"other": noise(100 + number, 200)})
    far.push("b0", {b"data/big": noise(500, 900_000)})
    assert far.open().head.packs.segments
    assert len(far.open().head.packs.loose()) > 1
    return far


@pytest.fixture
def far(start):
    return start.copy()


@pytest.fixture(scope="module")
def clone(start, tmp_path_factory):
    """What somebody has who cloned: everything but the remote's own operations."""
    folder = tmp_path_factory.mktemp("clone")
    source, backend = start.open(), MemoryBackend()
    made = []

    def deliver(ref, path):
        backend.put(ref.key, path)
        made.append(ref)

    def keep(ref, position):
        return source.store.packs.index(ref).place_at(position).kind not in (Kind.OPERATION, Kind.VIEW)

    for pack_class in PackClass:
        refs = [ref for ref in source.head.packs.packs if ref.pack_class == pack_class]
        rewrite_packs(source.store.packs, refs, lambda: folder, deliver=deliver, keep=keep)
    return Repository.create(backend, lambda: folder, act=start.act("clone"), refs={}, packs=tuple(made))


def look(far, inner=None, *, full):
    ahead = far.ahead(inner=inner)
    try:
        repo = Repository.open(ahead, far.staging, far=True, salvage=True)
        return check(repo, deep=full)
    finally:
        ahead.close()


def repair(far, source, inner=None):
    """Do what 'fsck --remote --full --repair-from' does; return the last check."""
    ahead = far.ahead(inner=inner)
    try:
        repo = Repository.open(ahead, far.staging, far=True, salvage=True)
        rewrite_segments(repo)
        again = partial(check, repo)
        done = mend_from(repo, again(), source, act=far.act("fsck"), check_again=again, progress=Silent())
        return done.result
    finally:
        ahead.close()


def change(far, key, damage):
    data = damage(bytearray(far.backend.get(key)))
    far.backend.delete(key)
    if data is not None:
        far.backend.put(key, bytes(data))


def flipped(at):
    def flip(data):
        data[at] ^= 0x55
        return data

    return flip


def packs(far, pack_class):
    return [ref for ref in far.open().head.packs.packs if ref.pack_class == pack_class]


def assert_mended(far, result):
    assert [d.message for d in result.damage] == []
    assert far.files() == far.expected
    assert [d.message for d in check(far.open()).damage] == []
    far.push("b1", {b"after": b"it goes on"})
    assert far.files() == far.expected


@pytest.mark.parametrize("pack_class", list(PackClass))
@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_lost_pack_is_seen_quickly_and_mended(far, start, clone, pack_class, how):
    ref = packs(far, pack_class)[0]
    change(far, ref.key, lambda data: None if how == "missing" else data[:-100])
    result = look(far, full=False)
    assert any(d.what == "pack" and d.pack == ref.id for d in result.damage)
    if pack_class != PackClass.METADATA:
        hits = {(hit.path, hit.refs) for d in result.damage for hit in d.hits}
        assert (b"data/big", ("b0",)) in hits or any(path in (b"dir/file", b"other") for path, _ in hits)
    if pack_class == PackClass.METADATA and how == "missing":
        other = far.copy()
        assert_mended(other, repair(other, start.open()))
    assert_mended(far, repair(far, clone))


def test_the_newest_operation_is_lost(far, clone):
    """The refs go back to those of the push before; whoever made the last one pushes again."""
    newest = [ref for ref in far.open().head.packs.loose() if ref.pack_class == PackClass.METADATA][-1]
    change(far, newest.key, lambda data: None)
    assert look(far, full=False).damage
    result = repair(far, clone)
    del far.expected["b0"][b"data/big"]
    assert_mended(far, result)


@pytest.mark.parametrize("pack_class", list(PackClass))
def test_a_flipped_bit_is_seen_by_a_full_check(far, start, pack_class):
    for ref in packs(far, pack_class)[:3]:
        change(far, ref.key, flipped(40))
    result = look(far, full=True)
    assert result.damage
    assert any(d.pack is not None for d in result.damage)
    assert_mended(far, repair(far, start.open()))


@pytest.mark.parametrize("how", ["missing", "flipped"])
def test_a_lost_segment_is_written_anew(far, start, how):
    key = far.open().head.packs.segments[0].ref.key
    change(far, key, lambda data: None if how == "missing" else flipped(100)(data))
    with pytest.raises(DsvcError):
        far.open()
    result = look(far, full=False)
    assert [d.what for d in result.damage] == ["segment"]
    assert_mended(far, repair(far, start.open()))
    assert far.open().head.packs.segments


@pytest.mark.parametrize("seed", range(4))
def test_much_at_once(far, start, seed):
    dice = random.Random(seed)
    head = far.open().head
    change(far, head.packs.segments[0].ref.key, lambda data: None)
    for ref in dice.sample(list(head.packs.packs), 20):
        what = dice.choice(["missing", "cut", "flip"])
        if what == "flip":
            change(far, ref.key, flipped(dice.randrange(ref.size)))
        else:
            change(far, ref.key, lambda data, what=what: None if what == "missing" else data[: len(data) // 2])
    assert look(far, full=True).damage
    result = repair(far, start.open())
    assert_mended(far, result)


def test_what_nobody_has_stays_and_is_named(far, start):
    lost = max(packs(far, PackClass.BULK), key=lambda ref: ref.size)
    other = far.copy()
    change(far, lost.key, lambda data: None)
    change(far, packs(far, PackClass.SMALL)[0].key, lambda data: None)
    change(other, lost.key, lambda data: None)
    result = repair(far, other.open())
    assert {hit.path for d in result.damage for hit in d.hits} == {b"data/big"}
    assert_mended(far, repair(far, start.open()))


def test_a_damaged_copy_is_not_taken(far):
    lost = max(packs(far, PackClass.BULK), key=lambda ref: ref.size)
    other = far.copy()
    change(far, lost.key, lambda data: None)
    change(other, lost.key, flipped(3000))
    before = far.backend.read_cell("head")
    with pytest.raises(BadSourceError):
        repair(far, other.open())
    assert far.backend.read_cell("head") == before


def test_a_line_that_breaks_while_mending(start):
    for way in ("before", "after", "unsure"):
        at = 0
        while True:
            at += 13
            far = start.copy()
            change(far, packs(far, PackClass.SMALL)[0].key, lambda data: None)
            change(far, packs(far, PackClass.METADATA)[1].key, flipped(40))
            failing = Failing(far.backend, at, way)
            try:
                repair(far, start.open(), inner=failing)
            except (OSError, DsvcError):
                pass
            if failing.calls < at:
                break
            assert_mended(far, repair(far, start.open()))
        assert at > 30
