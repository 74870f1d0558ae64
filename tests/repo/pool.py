"""A family of repositories over one pool, by whatever backend."""

from __future__ import annotations

from pathlib import Path

from dsvc.actions.fsck import check
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.names import head_of
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.family import find_member
from dsvc.repo.forking import fork_member
from dsvc.repo.lineage import Lineage
from dsvc.repo.member import FIRST, member_of
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend

SECOND = 1_000_000
DAY = 24 * 3600 * SECOND


Files = dict[bytes, bytes] | None


class Pool:
    """Repositories by name; the first one is `parent`."""

    def __init__(self, backend: Backend, staging: Path) -> None:
        self.backend = backend
        self.folder = staging
        self.now = 0
        self.ids = {"parent": FIRST}
        self.states: dict[tuple[str, str], list[Files]] = {}  # what a branch may have: several after a failure
        refs = {head_of("main"): Symbolic("heads/main")}
        Repository.create(backend, self.staging, act=self.act("init"), refs=refs, far=True)

    def staging(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        return self.folder

    def act(self, verb: str) -> Act:
        self.now += SECOND
        return Act(verb, "", "ada", "box", "one", time=self.now, zone=0)

    def fork(self, name: str, parent: str = "parent", backend: Backend | None = None) -> None:
        before = dict(self.states)
        forked = fork_member(
            backend or self.backend,
            self.staging,
            parent=self.ids[parent],
            place=f"../{name}",
            lineage=Lineage(f"../{parent}", "ada", self.now),
            act=self.act("fork"),
            worktree="main",
        )
        self.ids[name] = forked.member
        for key in self.states.keys() | before.keys():
            if key[0] == parent:
                found = before.get(key, [None]) + self.states.get(key, [None])
                self.states[name, key[1]] = found

    def open(self, name: str, backend: Backend | None = None) -> Repository:
        pool = backend or self.backend
        member = FIRST if name == "parent" else find_member(pool, f"../{name}")
        return Repository.open(member_of(pool, member), self.staging, far=True)

    def commit(self, name: str, files: dict[bytes, bytes | None], branch: str = "main", repo: Repository | None = None):
        """Commit on a branch of a repository, each time opened afresh."""
        repo = repo or self.open(name)
        transaction = repo.transaction()
        old = transaction.view.get(f"heads/{branch}")
        tree = repo.commit(old.id).tree if isinstance(old, Direct) else trees.empty_tree(repo.store)
        changes = {
            path: None if data is None else Entry(EntryKind.FILE, repo.store.put_content(data), len(data))
            for path, data in files.items()
        }
        tree = trees.edit_tree(repo.store, tree, changes).id
        act = self.act("commit")
        person = Person("Ada", "ada@example.org", act.time)
        parents = (old.id,) if isinstance(old, Direct) else ()
        commit = repo.put_commit(Commit(tree, parents, person, person, "change"))
        transaction.set(f"heads/{branch}", Direct(Kind.COMMIT, commit))
        before = self.states.get((name, branch), [None])
        after = {p: repo.store.read_file(e.id) for p, e in trees.walk(repo.store, tree) if e.kind == EntryKind.FILE}
        self.states[name, branch] = [*before, after]
        repo.publish(transaction, act)
        self.states[name, branch] = [after]
        return commit

    def drop(self, name: str, branch: str, backend: Backend | None = None) -> None:
        repo = self.open(name, backend)
        transaction = repo.transaction()
        transaction.delete(f"heads/{branch}")
        self.states[name, branch] = [*self.states[name, branch], None]
        repo.publish(transaction, self.act("branch"))
        self.states[name, branch] = [None]

    def files(self, name: str, branch: str = "main") -> Files:
        repo = self.open(name)
        commit_id = repo.view().commit(f"heads/{branch}")
        if commit_id is None:
            return None
        tree = repo.commit(commit_id).tree
        return {p: repo.store.read_file(e.id) for p, e in trees.walk(repo.store, tree) if e.kind == EntryKind.FILE}

    def has(self, name: str, content: bytes) -> bool:
        """Say whether somebody who reads this repository's packs finds a small file's content in them."""
        from blake3 import blake3

        return self.open(name).store.has(blake3(content).digest(), Kind.CHUNK)

    def size(self) -> int:
        return sum(size for _, size in self.backend.list("packs/"))

    def check(self) -> None:
        """Every repository is whole and has what was committed to it."""
        for name in self.ids:
            report = check(self.open(name))
            assert not report.damage, (name, report.damage)
        for (name, branch), states in self.states.items():
            if name in self.ids:
                files = self.files(name, branch)
                assert files in states, (name, branch, sorted(files or ()), [sorted(state or ()) for state in states])
