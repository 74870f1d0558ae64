"""A repository far away: its indexes are folded into segments, and stay readable for everybody meanwhile."""

from collections import Counter

import pytest

from dsvc.actions.gc import collect
from dsvc.errors import IntegrityError
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.progress import Silent
from dsvc.refs.log import read_head
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.integrity import check_packs
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend


class Counting(MemoryBackend):
    """Counts reads by the folder of their key."""

    def __init__(self):
        super().__init__()
        self.reads = Counter()

    def get(self, key, *, offset=0, length=None):
        self.reads[key.split("/")[0]] += 1
        return super().get(key, offset=offset, length=length)


@pytest.fixture
def far(tmp_path):
    backend = Counting()
    act = Act("init", "", "ada", "box", "one", time=1, zone=0)
    return Repository.create(backend, lambda: tmp_path, act=act, refs={}, far=True)


def opened(repo, tmp_path):
    return Repository.open(repo.backend, lambda: tmp_path, far=True)


def commit(repo, number, branch=None):
    """Publish a commit with a file of its own on a branch of its own."""
    repo.refresh()
    transaction = repo.transaction()
    data = b"content %d" % number
    entry = Entry(EntryKind.FILE, repo.store.put_content(data), len(data))
    tree = trees.edit_tree(repo.store, trees.empty_tree(repo.store), {b"file": entry}).id
    person = Person("Ada", "ada@example.org", number)
    made = repo.put_commit(Commit(tree, (), person, person, "change"))
    transaction.set(f"heads/{branch or number}", Direct(Kind.COMMIT, made))
    repo.publish(transaction, Act("push", "", "ada", "box", "one", time=number, zone=0))
    return made


def is_whole(repo, numbers):
    for number in numbers:
        made = repo.view().commit(f"heads/{number}")
        entry = trees.lookup(repo.store, repo.commit(made).tree, b"file")
        assert repo.store.read_file(entry.id) == b"content %d" % number


def test_many_pushes_are_opened_with_few_requests(far, tmp_path):
    for number in range(150):
        commit(far, number)
    assert len(far.head.packs.packs) > 250
    far.backend.reads.clear()
    again = opened(far, tmp_path)
    is_whole(again, range(150))
    assert again.store.has(b"\x01" * 32, Kind.COMMIT) is False
    assert far.backend.reads["segments"] + len(again.head.packs.loose()) <= 40
    assert far.backend.reads["segments"] == len(again.head.packs.segments)
    listed = [size for key, size in far.backend.list("lists/")]
    assert max(listed) < 6_000  # and not 60 bytes a pack


def test_replaced_segments_and_lists_go(far):
    for number in range(150):
        commit(far, number)
    named = {segment.ref.key for segment in far.head.packs.segments} | {ref.key for ref in far.head.packs.retired}
    there = {key for key, _ in far.backend.list("segments/")}
    assert there == named


def test_a_reader_of_an_older_head_reads_on(far, tmp_path):
    for number in range(12):
        commit(far, number)
    reader = opened(far, tmp_path)
    for number in range(12, 100):
        commit(far, number)
    is_whole(reader, range(12))
    reader.refresh()
    is_whole(reader, range(100))


def test_gc_takes_packs_out_of_segments(far, tmp_path):
    for number in range(60):
        commit(far, number)
    transaction = far.transaction()
    for number in range(30):
        transaction.delete(f"heads/{number}")
    far.publish(transaction, Act("push", "", "ada", "box", "one", time=100, zone=0))
    again = opened(far, tmp_path)
    result = collect(again, now=10**15, grace=0, prune_all=True)
    assert result.objects_removed > 60
    fresh = opened(far, tmp_path)
    is_whole(fresh, range(30, 60))
    assert check_packs(fresh.store, fresh.head, deep=True, progress=Silent()) == []
    for number in range(60, 130):
        commit(fresh, number)
    is_whole(opened(far, tmp_path), range(30, 130))


def test_a_segment_that_nobody_named_is_removed(far, tmp_path):
    for number in range(40):
        commit(far, number)
    far.backend.put("segments/" + "ab" * 32, b"left behind")
    result = collect(opened(far, tmp_path), now=10**15, grace=10**9)
    assert "segments/" + "ab" * 32 not in dict(far.backend.list("segments/"))
    assert result.leftovers.lists >= 1
    is_whole(opened(far, tmp_path), range(40))


def test_a_damaged_segment_is_told(far, tmp_path):
    for number in range(40):
        commit(far, number)
    key = far.head.packs.segments[0].ref.key
    data = bytearray(far.backend.get(key))
    data[100] ^= 1
    far.backend.delete(key)
    far.backend.put(key, bytes(data))
    with pytest.raises(IntegrityError, match="segment"):
        read_head(far.backend)


def test_two_writers_fold_at_once(far, tmp_path):
    other = opened(far, tmp_path)
    for number in range(80):
        commit(far if number % 2 else other, number)
    is_whole(opened(far, tmp_path), range(80))


def test_a_local_repository_has_no_segments(tmp_path):
    backend = MemoryBackend()
    act = Act("init", "", "ada", "box", "one", time=1, zone=0)
    repo = Repository.create(backend, lambda: tmp_path, act=act, refs={})
    for number in range(40):
        commit(repo, number)
    assert list(backend.list("segments/")) == []
