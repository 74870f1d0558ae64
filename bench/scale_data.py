"""The data of `bench/scale.py`: made through the Python interface, in the same shape for git where it is compared."""

# ruff: noqa: S311 -- random data by a fixed seed

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from dsvc.actions.init import init_repository
from dsvc.config.identity import Identity
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.workspace import Surroundings, store_folder

BEGAN = 1_400_000_000
FILES = [b"src/d%02d/s%d/f%03d.py" % (i % 20, i % 3, i) for i in range(600)]


@dataclass(frozen=True, slots=True)
class Step:
    """A commit to make: its branch, the numbers of its parents, and the files that it sets."""

    number: int
    branch: str
    parents: tuple[int, ...]
    files: dict[bytes, bytes]


def steps(count: int) -> Iterator[Step]:
    """Yield a history of `count` commits.

    `main` takes most of them, `long` a third; each merges short side branches, and `long` takes in `main` now and then
    until half of the history is over. `old-a` and `old-b` leave `main` early and are never merged.
    """
    r = random.Random(11)
    at: dict[str, int] = {}
    content: dict[str, dict[bytes, bytes]] = {}
    for number in range(1, count + 1):
        share, phase = number / count, number % 30
        if share < 0.06:
            line = "main" if share < 0.01 else ("old-a", "old-b", "main")[number % 3]
        else:
            line = "long" if number // 30 % 3 == 0 else "main"
        main, other = line if line in at else "main", None
        if share >= 0.06 and 10 <= phase < 14:
            line = f"side-{line}"
            main = line if phase > 10 and line in at else main
        elif share >= 0.06 and phase == 16:
            other = f"side-{line}"
        elif line == "long" and phase == 20 and share < 0.5 and number // 90 % 10 == 0:
            other = "main"
        first = at.get(main)
        files = dict(content[main] if first else {})
        before = dict(files)
        if other in at:
            files.update(content[other])
        for name in FILES if first is None else r.sample(FILES, 2):
            files[name] = b"# %s\n%d %016x\n" % (name, number, r.getrandbits(64))
        parents = tuple(p for p in (first, at.get(other or "")) if p is not None)
        yield Step(number, line, parents, dict(files.items() - before.items()))
        at[line], content[line] = number, files


def surroundings() -> Surroundings:
    """Return a person and a clock that do not vary."""
    now = datetime.fromtimestamp(BEGAN, UTC)
    return Surroundings(now=lambda: now, identity=lambda: Identity("Bench", "bench@example.org"), user="bench")


def new_repository(folder: Path) -> Repository:
    """Make a repository with a working copy in `folder` and open it."""
    folder.mkdir(parents=True)
    init_repository(folder, surroundings=surroundings())
    return open_repository(folder)


def open_repository(folder: Path) -> Repository:
    """Open the repository of a working copy."""
    backend = LocalBackend(store_folder(folder / ".dsvc"))
    return Repository.open(backend, backend.staging)


def publish(repo: Repository, refs: dict[str, CommitId]) -> None:
    """Let refs point to commits, in one operation."""
    transaction = repo.transaction()
    for name, commit_id in refs.items():
        transaction.set(name, Direct(Kind.COMMIT, ObjectId(commit_id)))
    repo.publish(transaction, Act("bench", "make data", "bench", "bench", "", BEGAN * 1_000_000, 0))


def put_commit(repo: Repository, tree: TreeId, *parents: CommitId, number: int = 1) -> CommitId:
    """Store the commit with this number."""
    who = Person("Bench", "bench@example.org", (BEGAN + 60 * number) * 1_000_000)
    return repo.put_commit(Commit(tree, parents, who, who, f"change {number}\n"))


def edited(repo: Repository, tree: TreeId, files: dict[bytes, bytes]) -> TreeId:
    """Store a tree with other contents of some files."""
    changes: dict[bytes, Entry | None] = {
        name: Entry(EntryKind.FILE, repo.store.put_content(data), len(data)) for name, data in files.items()
    }
    return TreeId(ObjectId(trees.edit_tree(repo.store, tree, changes).id))


def make_history(folder: Path, count: int) -> None:
    """Write the history of `steps` into a new repository, with a tag at each thousandth commit."""
    repo = new_repository(folder)
    store = repo.store
    tips: dict[str, CommitId] = {}
    refs: dict[str, CommitId] = {}
    made: dict[int, tuple[CommitId, TreeId]] = {}
    for step in steps(count):
        base = made[step.parents[0]][1] if step.parents else trees.empty_tree(store)
        tree = edited(repo, base, step.files)
        commit = put_commit(repo, tree, *(made[p][0] for p in step.parents), number=step.number)
        made[step.number] = commit, tree
        tips[step.branch] = commit
        if step.number % 1000 == 0:
            refs[f"tags/v{step.number // 1000}"] = commit
    publish(repo, {**{f"heads/{name}": commit for name, commit in tips.items()}, **refs})
    repo.store.close()


def make_git_history(folder: Path, count: int) -> None:
    """Write the same history into a git repository with packed objects and a commit-graph with changed paths."""
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    with subprocess.Popen(["git", "-C", folder, "fast-import", "--quiet"], stdin=subprocess.PIPE) as git:
        assert git.stdin is not None
        _fast_import(git.stdin, count)  # type: ignore[arg-type]
        git.stdin.close()
    subprocess.run(["git", "-C", folder, "reset", "-q", "--hard", "main"], check=True)
    graph = ["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"]
    subprocess.run(["git", "-C", folder, *graph], check=True)


def _fast_import(out: BinaryIO, count: int) -> None:
    for step in steps(count):
        message, when = b"change %d\n" % step.number, b"%d +0000" % (BEGAN + 60 * step.number)
        out.write(b"commit refs/heads/%s\nmark :%d\n" % (step.branch.encode(), step.number))
        out.write(b"committer Bench <bench@example.org> %s\ndata %d\n%s" % (when, len(message), message))
        if step.parents:
            out.write(b"from :%d\n" % step.parents[0])
        for parent in step.parents[1:]:
            out.write(b"merge :%d\n" % parent)
        for name, data in step.files.items():
            out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(data), data))
        if step.number % 1000 == 0:
            out.write(b"reset refs/tags/v%d\nfrom :%d\n\n" % (step.number // 1000, step.number))
    out.write(b"done\n")


def make_small(folder: Path) -> None:
    """Write a working copy of ten files."""
    new_repository(folder).store.close()
    for number in range(10):
        (folder / f"file{number}.txt").write_text(f"file {number}\n")


def _wide_name(number: int) -> bytes:
    return b"data/%03d/f%03d.txt" % (number // 1000, number % 1000)


def _wide_content(number: int) -> bytes:
    return b"".join(b"line %d of %d\n" % (at, number) for at in range(12))


def make_wide(folder: Path, count: int) -> None:
    """Write a working copy of `count` small text files, a thousand in each directory; nothing is committed."""
    new_repository(folder).store.close()
    for number in range(count):
        path = folder / _wide_name(number).decode()
        if not number % 1000:
            path.parent.mkdir(parents=True)
        path.write_bytes(_wide_content(number))


def make_wide_branches(marker: Path, count: int) -> None:
    """Commit two branches on top of HEAD; each changes one file in a hundred, some of them both, in other lines."""
    repo = open_repository(marker.parent.parent)
    base = repo.view().commit("heads/main")
    assert base is not None
    tree, r = repo.commit(base).tree, random.Random(5)
    refs = {}
    for side, (branch, line) in enumerate((("ours", b"line 1 of "), ("theirs", b"line 9 of "))):
        chosen = r.sample(range(count), count // 100)
        files = {_wide_name(n): _wide_content(n).replace(line, b"changed " + line) for n in chosen}
        refs[f"heads/{branch}"] = put_commit(repo, edited(repo, tree, files), base, number=2 + side)
    publish(repo, refs)
    repo.store.close()
    marker.touch()


def make_huge(folder: Path, size: int) -> None:
    """Write a working copy of one file of bytes that do not compress."""
    new_repository(folder).store.close()
    with (folder / "model.bin").open("wb") as out:
        for number in range(0, size, 1 << 20):
            out.write(blake3(b"%d" % number).digest(length=min(1 << 20, size - number)))


def make_flat(folder: Path, count: int) -> None:
    """Write a working copy of one directory of `count` small files."""
    new_repository(folder).store.close()
    (folder / "d").mkdir()
    for number in range(count):
        (folder / "d" / f"f{number:07d}.txt").write_bytes(b"%d\n" % number)


def pack_bytes(folder: Path) -> dict[str, int]:
    """Return the packs of a repository and their sizes."""
    packs = store_folder(folder / ".dsvc") / "packs"
    return {path.name: path.stat().st_size for path in packs.iterdir()}
