"""Three-way merges of generated trees: laws that hold for any merge, and what git makes of the same trees."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from dsvc.contents import text_merge
from dsvc.contents.similarity import best_matches, fingerprint
from dsvc.history.mergeentry import Labels, MergedContent
from dsvc.history.renames import base_name
from dsvc.history.treemerge import merge_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.memory import MemoryBackend

Files = dict[str, tuple[EntryKind, str]]

GIT_MODES = {EntryKind.FILE: "100644", EntryKind.EXECUTABLE: "100755", EntryKind.SYMLINK: "120000"}


def text(rng: random.Random) -> str:
    return "".join(f"{rng.randrange(10**9)} of file\n" for _ in range(12))


def generated(rng: random.Random) -> Files:
    files: Files = {}
    for _ in range(rng.randrange(2, 9)):
        path = "/".join(rng.choice("abc") for _ in range(rng.randrange(1, 4))) + rng.choice(["", "", ".txt"])
        if free(files, path):
            files[path] = (EntryKind.FILE, text(rng))
    return files


def free(files: Files, path: str) -> bool:
    return not any(p == path or p.startswith(path + "/") or path.startswith(p + "/") for p in files)


def changed(rng: random.Random, files: Files, *, simple: bool = False, like_git: bool = False) -> Files:
    """Change a few files. `like_git` leaves out two cases in which git's result is not ours to copy.

    When one side renames a file that the other replaces by a link while another file comes to the new name, git drops
    a file; and it follows a renamed directory only for files that are added right in it, not further down.
    """
    files = dict(files)
    for _ in range(rng.randrange(0, 4)):
        if not files:
            break
        path = rng.choice(sorted(files))
        kind, content = files[path]
        match rng.randrange(5 if simple else 8):
            case 0:
                del files[path]
            case 1 | 2:
                lines = content.splitlines(keepends=True)
                if len(lines) > 5:
                    lines[rng.choice([0, 5, 11]) % len(lines)] = rng.choice(["same\n", f"{rng.random()}\n"])
                    files[path] = (kind, "".join(lines))
            case 3:
                new = rng.choice(["a", "b", "c", "d", "a/n", "b/n", "d/n", *([] if like_git else ["a/b/n"])])
                if free(files, new):
                    files[new] = (EntryKind.FILE, rng.choice([text(rng), "the same on both sides\n" * 9]))
            case 4 if kind != EntryKind.SYMLINK:
                files[path] = (EntryKind.EXECUTABLE if kind == EntryKind.FILE else EntryKind.FILE, content)
            case 5:
                new = rng.choice(["r", "s", "d/r", "a/r", "b/c/r"])
                moved = files.pop(path)
                files[new if free(files, new) else path] = moved
            case 6 if "/" in path:
                old, new = path.rsplit("/", 1)[0] + "/", rng.choice(["moved/", "d/e/", "x/"])
                if not any(p.startswith(new) or new.startswith(p + "/") or p + "/" == new for p in files):
                    files = {new + p[len(old) :] if p.startswith(old) else p: v for p, v in files.items()}
            case 7:
                link = "link" if like_git else path
                if link == path or free(files, link):
                    files[link] = (EntryKind.SYMLINK, rng.choice(["to", "elsewhere"]))
    return files


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = ObjectStore(MemoryBackend(), lambda: folder)

    def tree(self, files: Files) -> TreeId:
        entries = {
            path.encode(): Entry(kind, self.store.put_content(content.encode()), len(content))
            for path, (kind, content) in files.items()
        }
        return TreeId(trees.edit_tree(self.store, trees.empty_tree(self.store), entries).id)

    def files(self, tree: TreeId) -> Files:
        return {
            path.decode(): (EntryKind(entry.kind), self.store.read_file(entry.id).decode())
            for path, entry in trees.walk(self.store, tree)
            if entry.kind != EntryKind.TREE
        }

    def merge(self, base: TreeId, ours: TreeId, theirs: TreeId, labels: Labels = Labels(b"B", b"O", b"T")):  # noqa: B008
        return merge_trees(self.store, base, ours, theirs, content=self.content, labels=labels, similar=self.similar)

    def similar(self, old, new, minimum):
        sources = {path: fingerprint(self.store.read_file(entry.id)) for path, entry in old.items()}
        targets = {path: fingerprint(self.store.read_file(entry.id)) for path, entry in new.items()}
        return best_matches(sources, targets, minimum=minimum, prefer=lambda a, b: base_name(a) == base_name(b))

    def content(self, request):
        sides = [self.store.read_file(e.id) if e else b"" for e in (request.base, request.ours, request.theirs)]
        merged = text_merge.merge(
            *sides, base_label=request.base_label, ours_label=request.ours_label, theirs_label=request.theirs_label
        )
        return MergedContent(self.store.put_content(merged.content), len(merged.content), merged.conflicts)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_laws(bench: Bench, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        files = generated(rng)
        base = bench.tree(files)
        ours, theirs = bench.tree(changed(rng, files)), bench.tree(changed(rng, files))
        assert bench.merge(base, ours, base).tree == ours
        assert bench.merge(base, base, theirs).tree == theirs
        assert bench.merge(base, ours, ours).tree == ours
        there, back = bench.merge(base, ours, theirs), bench.merge(base, theirs, ours, Labels(b"B", b"T", b"O"))
        assert bool(there.conflicts) == bool(back.conflicts)
        if not there.conflicts:
            assert there.tree == back.tree
        assert {c.path for c in there.conflicts if c.kind != "rename/rename"} == {
            c.path for c in back.conflicts if c.kind != "rename/rename"
        }
        nothing_is_lost(bench, base, ours, theirs, there)


def nothing_is_lost(bench: Bench, base: TreeId, ours: TreeId, theirs: TreeId, merged) -> None:
    """Each line that a side added is in the merged tree, or the other side had a say in its file."""
    before, result = bench.files(base), bench.files(merged.tree)
    old_lines = {line for _, content in before.values() for line in content.splitlines()}
    lines = {line for _, content in result.values() for line in content.splitlines()}
    for conflict in merged.conflicts:
        for entry in (conflict.versions.ours, conflict.versions.theirs):
            if entry is not None:
                lines.update(bench.store.read_file(entry.id).decode().splitlines())
    for side in (ours, theirs):
        for path, (_, content) in bench.files(side).items():
            added = set(content.splitlines()) - old_lines
            assert added <= lines, f"{path}: {added - lines}"


def git(folder: Path, *arguments: str, data: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=folder, input=data, capture_output=True, check=check)


def load_into_git(folder: Path, cases: list[tuple[Files, Files, Files]]) -> None:
    """Make branches baseN, oursN and theirsN."""
    git(folder, "init", "-q", "--bare", ".")
    lines: list[bytes] = []

    def commit(name: str, files: Files, parent: str | None) -> None:
        lines.append(f"commit refs/heads/{name}\ncommitter A <a@example.org> 1700000000 +0000\ndata 0\n".encode())
        if parent:
            lines.append(f"from refs/heads/{parent}\n".encode())
        lines.append(b"deleteall\n")
        for path, (kind, content) in files.items():
            data = content.encode()
            lines.append(f"M {GIT_MODES[kind]} inline {path}\ndata {len(data)}\n".encode() + data + b"\n")

    for number, (base, ours, theirs) in enumerate(cases):
        commit(f"base{number}", base, None)
        commit(f"ours{number}", ours, f"base{number}")
        commit(f"theirs{number}", theirs, f"base{number}")
    git(folder, "fast-import", "--quiet", data=b"".join(lines))


def git_merge(folder: Path, number: int) -> tuple[bool, dict[str, tuple[str, str]], str]:
    """Return whether git's merge is clean, the merged files (kind, content), and what it says."""
    done = git(
        folder, "-c", "merge.directoryRenames=true", "-c", "merge.renameLimit=1000",
        "merge-tree", "--write-tree", f"ours{number}", f"theirs{number}", check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    tree, _, rest = done.stdout.decode().partition("\n")
    listed = git(folder, "ls-tree", "-rz", tree).stdout.decode().split("\0")
    return done.returncode == 0, {line.split("\t")[1]: line.split("\t")[0] for line in listed if line}, rest


def git_id(content: str) -> str:
    import hashlib

    data = content.encode()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.mark.parametrize(("seed", "simple"), [(1, True), (2, False), (3, False)])
def test_equal_to_git(bench: Bench, tmp_path: Path, seed: int, simple: bool) -> None:
    rng = random.Random(seed)
    cases = []
    for _ in range(120):
        files = generated(rng)
        ours, theirs = (changed(rng, files, simple=simple, like_git=True) for _ in range(2))
        cases.append((files, ours, theirs))
    folder = tmp_path / "git"
    folder.mkdir()
    load_into_git(folder, cases)
    for number, (base, ours, theirs) in enumerate(cases):
        clean, wanted, said = git_merge(folder, number)
        merged = bench.merge(bench.tree(base), bench.tree(ours), bench.tree(theirs))
        found = {
            path: f"{GIT_MODES[kind]} blob {git_id(content)}"
            for path, (kind, content) in bench.files(merged.tree).items()
        }
        context = f"case {number}: {base=}\n{ours=}\n{theirs=}\ngit: {said}\ndsvc: {merged.conflicts}"
        assert (not merged.conflicts) == clean, context
        if clean:
            assert found == wanted, context
