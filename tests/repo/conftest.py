"""A small project with files, large files and branches, in a backend on disk."""

import random

import pytest

from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

SECOND = 1_000_000


class Project:
    """Commits by path and content, a second after each other."""

    def __init__(self, root):
        self.backend = LocalBackend(root)
        self.root = root
        self.now = 0
        self.repo = Repository.create(self.backend, self.backend.staging, act=self.act("init"), refs={})

    def act(self, verb):
        self.now += SECOND
        return Act(verb, "", "ada", "box", "one", time=self.now, zone=0)

    def commit(self, files, branch="main", repo=None):
        """Commit `files` (path -> content) on a branch; None removes."""
        repo = repo or self.repo
        repo.refresh()
        transaction = repo.transaction()
        old = transaction.view.get(f"heads/{branch}")
        tree = repo.commit(old.id).tree if old else trees.empty_tree(repo.store)
        changes = {
            path: None if data is None else Entry(EntryKind.FILE, repo.store.put_content(data), len(data))
            for path, data in files.items()
        }
        tree = trees.edit_tree(repo.store, tree, changes).id
        act = self.act("commit")
        person = Person("Ada", "ada@example.org", act.time)
        commit = repo.put_commit(Commit(tree, (old.id,) if old else (), person, person, "change"))
        transaction.set(f"heads/{branch}", Direct(Kind.COMMIT, commit))
        repo.publish(transaction, act)
        return commit

    def delete(self, branch):
        self.repo.refresh()
        transaction = self.repo.transaction()
        transaction.delete(f"heads/{branch}")
        self.repo.publish(transaction, self.act("branch"))

    def open(self):
        backend = LocalBackend(self.root)
        return Repository.open(backend, backend.staging)

    def files(self, branch="main", repo=None):
        """Read a whole branch through a repository that was opened afresh."""
        repo = repo or self.open()
        tree = repo.commit(repo.view().commit(f"heads/{branch}")).tree
        found = trees.walk(repo.store, tree)
        return {p: repo.store.read_file(e.id) for p, e in found if e.kind == EntryKind.FILE}

    def packs(self):
        return sorted((self.root / "packs").iterdir(), key=lambda path: path.stat().st_size)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


@pytest.fixture(name="noise")
def _noise():
    return noise


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)
