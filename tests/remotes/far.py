"""A remote's repository in memory, with pushes to it, and a backend that fails where it is told to."""

import random

from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.remotes.transfer.gathered import GatheredBackend
from dsvc.repo.repository import Repository
from dsvc.storage.backend import SwapUncertainError
from dsvc.storage.memory import MemoryBackend

SECOND = 1_000_000
DAY = 24 * 3600 * SECOND


def noise(seed, size):
    return random.Random(seed).randbytes(size)


class Far:
    """A remote in `backend`; `push` is what a person far from it does."""

    def __init__(self, folder, backend=None):
        self.folder = folder
        self.now = 0
        self.backend = backend or MemoryBackend()
        self.expected = {}
        if self.backend.read_cell("head") is None:
            Repository.create(self.backend, self.staging, act=self.act("init"), refs={}, far=True).close()

    def staging(self):
        self.folder.mkdir(exist_ok=True)
        return self.folder

    def act(self, verb):
        self.now += SECOND
        return Act(verb, "", "ada", "box", "one", time=self.now, zone=0)

    def open(self, backend=None):
        return Repository.open(backend or self.backend, self.staging, far=True)

    def ahead(self, name="ahead", inner=None):
        return GatheredBackend(inner or self.backend, self.folder / name, jobs=4)

    def push(self, branch, files, repo=None):
        repo = repo or self.open()
        transaction = repo.transaction()
        old = transaction.view.get(f"heads/{branch}")
        changes = {p: Entry(EntryKind.FILE, repo.store.put_content(d), len(d)) for p, d in files.items()}
        tree = repo.commit(old.id).tree if old else trees.empty_tree(repo.store)
        tree = trees.edit_tree(repo.store, tree, changes).id
        act = self.act("push")
        person = Person("Ada", "", act.time)
        made = repo.put_commit(Commit(tree, (old.id,) if old else (), person, person, "change"))
        transaction.set(f"heads/{branch}", Direct(Kind.COMMIT, made))
        repo.publish(transaction, act)
        self.expected.setdefault(branch, {}).update(files)
        return made

    def delete(self, *branches):
        repo = self.open()
        transaction = repo.transaction()
        for branch in branches:
            transaction.delete(f"heads/{branch}")
            del self.expected[branch]
        repo.publish(transaction, self.act("push"))

    def copy(self):
        """Return another one with the same blobs and cells."""
        backend = MemoryBackend()
        for key, _ in self.backend.list(""):
            backend.put(key, self.backend.get(key))
        for cell in ("format", "head", "gc"):
            value = self.backend.read_cell(cell)
            if value is not None:
                backend.swap_cell(cell, None, value)
        copy = Far(self.folder, backend)
        copy.now = self.now
        copy.expected = {branch: dict(files) for branch, files in self.expected.items()}
        return copy

    def files(self, repo=None):
        """Read every branch through a repository opened afresh."""
        repo = repo or self.open()
        found = {}
        for name, ref in repo.view().items("heads/"):
            walked = trees.walk(repo.store, repo.commit(ref.id).tree)
            found[name.removeprefix("heads/")] = {
                p: repo.store.read_file(e.id) for p, e in walked if e.kind == EntryKind.FILE
            }
        return found


class Failing:
    """Passes calls on; the n-th call fails, and all after it when `dead`.

    Ways: "before" nothing happens, "after" it happens and the answer is lost, "unsure" a swap takes place and says
    that nobody knows.
    """

    def __init__(self, inner, fail_at, way, *, dead=True):
        self.inner, self.fail_at, self.way, self.dead = inner, fail_at, way, dead
        self.calls = 0

    def _call(self, action, *, swap=False):
        self.calls += 1
        if self.fail_at is None or self.calls < self.fail_at or (self.calls > self.fail_at and not self.dead):
            return action()
        if self.calls == self.fail_at and self.way != "before":
            result = action()
            if self.way == "unsure":
                if not swap:
                    return result
                raise SwapUncertainError("the answer was lost")
        if self.way == "unsure":
            return action()
        raise OSError("the connection is gone")

    def get(self, key, *, offset=0, length=None):
        return self._call(lambda: self.inner.get(key, offset=offset, length=length))

    def put(self, key, source):
        self._call(lambda: self.inner.put(key, source))

    def missing(self, keys):
        return self._call(lambda: self.inner.missing(keys))

    def list(self, prefix):
        return iter(self._call(lambda: list(self.inner.list(prefix))))

    def delete(self, key):
        self._call(lambda: self.inner.delete(key))

    def read_cell(self, name):
        return self._call(lambda: self.inner.read_cell(name))

    def swap_cell(self, name, expected, value):
        return self._call(lambda: self.inner.swap_cell(name, expected, value), swap=True)

    def close(self):
        pass
