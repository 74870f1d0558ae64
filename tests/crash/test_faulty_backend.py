"""Whatever write fails, and however: the repository is at the old state or the new one, whole, and goes on."""

import random

import pytest

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.actions.purge import purge
from dsvc.errors import DsvcError
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.repack import choose_packs
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.log import read_head
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.maintenance import merge_packs
from dsvc.repo.repository import Repository
from dsvc.storage.backend import SwapUncertainError
from dsvc.storage.memory import MemoryBackend

DAY = 24 * 3600 * 1_000_000


class FaultyBackend:
    """Passes everything on, but the n-th write fails; after that every one, as for a process that is gone.

    Ways to fail: "after" it is written and the answer lost; "torn" nothing is written, but a temporary or
    unlisted blob is left half written (a backend never shows a half under the real key);
    "unsure" a swap takes place or not and says so.
    """

    def __init__(self, inner, fail_at, way):
        self.inner, self.fail_at, self.way = inner, fail_at, way
        self.writes = 0

    def _write(self, action, cell=False):
        self.writes += 1
        if self.fail_at is None or self.writes < self.fail_at:
            return action()
        if self.writes > self.fail_at:
            if self.way in ("unsure", "unsure-done"):
                return action()
            raise OSError("the process is gone")
        if self.way == "unsure-done" and cell:
            action()
        if self.way.startswith("unsure") and cell:
            raise SwapUncertainError("the answer was lost")
        if self.way == "after":
            action()
        raise OSError(28, "No space left on device")

    def get(self, key, *, offset=0, length=None):
        return self.inner.get(key, offset=offset, length=length)

    def put(self, key, source):
        if self.way == "torn" and self.writes + 1 == self.fail_at:
            data = source if isinstance(source, bytes) else source.read_bytes()
            self.inner.put("packs/" + "0" * 64, data[: len(data) // 2])
        self._write(lambda: self.inner.put(key, source))

    def missing(self, keys):
        return self.inner.missing(keys)

    def list(self, prefix):
        return self.inner.list(prefix)

    def delete(self, key):
        self._write(lambda: self.inner.delete(key))

    def read_cell(self, name):
        return self.inner.read_cell(name)

    def swap_cell(self, name, expected, value):
        return self._write(lambda: self.inner.swap_cell(name, expected, value), cell=True)

    def close(self):
        pass


WAYS = ["after", "torn", "unsure", "unsure-done"]
CLOCK = iter(range(1_000_000, 10**12, 1_000_000))


def act(verb="commit"):
    return Act(verb, "", "ada", "box", "one", time=next(CLOCK), zone=0)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def open_repo(backend, tmp_path):
    return Repository.open(backend, lambda: tmp_path)


def commit(repo, files, branch="main"):
    transaction = repo.transaction()
    old = transaction.view.get(f"heads/{branch}")
    tree = repo.commit(old.id).tree if old else trees.empty_tree(repo.store)
    changes = {p: Entry(EntryKind.FILE, repo.store.put_content(d), len(d)) for p, d in files.items()}
    tree = trees.edit_tree(repo.store, tree, changes).id
    done = act()
    person = Person("Ada", "", done.time)
    commit_id = repo.put_commit(Commit(tree, (old.id,) if old else (), person, person, "change"))
    transaction.set(f"heads/{branch}", Direct(Kind.COMMIT, commit_id))
    repo.publish(transaction, done)


def content(repo, branch="main"):
    commit_id = repo.view().commit(f"heads/{branch}")
    if commit_id is None:
        return None
    found = trees.walk(repo.store, repo.commit(commit_id).tree)
    return {p: repo.store.read_file(e.id) for p, e in found if e.kind == EntryKind.FILE}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return a function that copies a repository with some history, a deleted branch and several small packs."""
    scratch = tmp_path_factory.mktemp("start")
    made = MemoryBackend()
    repo = Repository.create(made, lambda: scratch, act=act("init"), refs={})
    for number in range(4):
        commit(repo, {b"f%d" % number: noise(number, 400), b"big": noise(100 + number, 270_000)})
    commit(repo, {b"gone": noise(50, 3000)}, "other")
    transaction = repo.transaction()
    transaction.delete("heads/other")
    repo.publish(transaction, act("branch"))

    def copy():
        backend = MemoryBackend()
        for key, _ in made.list(""):
            backend.put(key, made.get(key))
        for cell in ("format", "head"):
            backend.swap_cell(cell, None, made.read_cell(cell))
        return backend

    return copy


def every_failure(start, tmp_path, way, work):
    """Run `work` with every one of its writes failing; yield (repository before, backend after, whether it raised)."""
    n = 0
    while True:
        n += 1
        inner = start()
        before = content(open_repo(inner, tmp_path))
        faulty = FaultyBackend(inner, n, way)
        raised = False
        repo = open_repo(faulty, tmp_path)
        try:
            work(repo)
        except (OSError, DsvcError):
            raised = True
        if faulty.writes < n:
            assert not raised
            assert n > 2
            return
        yield before, inner, raised


def assert_whole_and_usable(inner, tmp_path):
    repo = open_repo(inner, tmp_path)
    assert [d.message for d in check(repo).damage] == []
    commit(repo, {b"next": b"it works"})
    collect(repo, now=next(CLOCK) + 40 * DAY, prune_all=True)
    fresh = open_repo(inner, tmp_path)
    assert content(fresh)[b"next"] == b"it works"
    assert [d.message for d in check(fresh).damage] == []
    head = read_head(inner)
    assert {key for key, _ in inner.list("packs/")} == {ref.key for ref in head.packs.packs}
    assert len(list(inner.list("lists/"))) <= 2


@pytest.mark.parametrize("way", WAYS)
def test_publish(start, tmp_path, way):
    new = {b"f1": b"new", b"more": noise(9, 300_000)}
    for before, inner, raised in every_failure(start, tmp_path, way, lambda repo: commit(repo, new)):
        now = content(open_repo(inner, tmp_path))
        assert now in (before, {**before, **new})
        assert raised or now == {**before, **new}
        assert_whole_and_usable(inner, tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_merge_of_packs(start, tmp_path, way):
    def work(repo):
        for group in choose_packs(repo.head.packs.packs, slack=2):
            repo.head = merge_packs(repo.store, repo.head, group)
        assert content(repo)[b"f1"] == noise(1, 400)

    for before, inner, _ in every_failure(start, tmp_path, way, work):
        assert content(open_repo(inner, tmp_path)) == before
        assert_whole_and_usable(inner, tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_gc(start, tmp_path, way):
    def work(repo):
        collect(repo, now=next(CLOCK) + 40 * DAY, prune_all=True)

    for before, inner, _ in every_failure(start, tmp_path, way, work):
        assert content(open_repo(inner, tmp_path)) == before
        assert_whole_and_usable(inner, tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_purge(start, tmp_path, way):
    def work(repo):
        file_id = repo.store.put_content(noise(2, 400))
        purge(repo, [file_id], reason="secret", act=act("purge"))

    for before, inner, _ in every_failure(start, tmp_path, way, work):
        repo = open_repo(inner, tmp_path)
        assert [d.message for d in check(repo).damage] == []
        work(repo)
        fresh = open_repo(inner, tmp_path)
        assert check(fresh).purged
        assert not any(noise(2, 400)[:50] in inner.get(key) for key, _ in inner.list("packs/"))
        assert fresh.store.read_file(fresh.store.put_content(before[b"big"])) == before[b"big"]
