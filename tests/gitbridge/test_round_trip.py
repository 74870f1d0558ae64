"""An import that is exported unchanged has git's ids: commits, trees, tags, and what is odd about them."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.errors import IntegrityError
from dsvc.objects import trees
from dsvc.objects.tree import EntryKind
from tests.gitbridge.conftest import Bridge, Git


def assert_same(bridge: Bridge, git: Git, **options: object) -> None:
    result = bridge.take(git, **options)
    assert not result.warnings
    out, exported = bridge.give()
    assert out.everything() == git.everything()
    assert out("fsck", "--strict", "--no-dangling", check=False) is not None
    assert not exported.warnings
    assert not exported.lost
    assert not exported.pointers
    assert not exported.refused


def hash_object(git: Git, kind: str, data: bytes) -> str:
    return git("hash-object", "-t", kind, "-w", "--stdin", "--literally", stdin=data).decode()


def test_branches_merges_and_tags(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1\n", dir__b="2\n")
    git("branch", "empty")
    git("switch", "-q", "-c", "left")
    git.commit("left", dir__b="3\n", dir__sub__c="x")
    git("switch", "-q", "-c", "right", "main")
    git.commit("right", d="4\n")
    git("switch", "-q", "-c", "third", "main")
    git.commit("third", e="5\n")
    git("switch", "-q", "main")
    git("merge", "-q", "--no-ff", "-m", "octopus", "left", "right", "third")
    git("tag", "light")
    git("tag", "-a", "-m", "annotated\n\nwith a body", "v1")
    git("tag", "-a", "-m", "tag of a tag", "v1-again", "v1")
    git("tag", "-a", "-m", "of a tree", "a-tree", "HEAD^{tree}")
    git("tag", "-a", "-m", "of a blob", "a-blob", "HEAD:a")
    git.commit("", f="no message") if git("config", "x.y", "z", check=False) else None
    git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    git("switch", "-q", "--orphan", "other-root")
    git.commit("another root", z="0")
    assert_same(bridge, git)
    assert bridge.tip("empty")[1].message == "first"


def test_files_of_every_kind(bridge: Bridge, git: Git) -> None:
    git.write("run.sh", b"#!/bin/sh\n")
    (git.path / "run.sh").chmod(0o755)
    os.symlink("run.sh", git.path / "link")
    git.write("crlf.txt", b"a\r\nb\r\n")
    git.write("empty", b"")
    git.write(b"latin-\xe9", b"name in latin-1")
    git.write("a.b/x", b"1")
    git.write("a/x", b"2")
    git.write("a0", b"3")
    git.write("large", random.Random(1).randbytes(700_000))
    git.commit("files")
    (git.path / "run.sh").chmod(0o644)
    (git.path / "link").unlink()
    git.write("link/now-a-folder", b"")
    (git.path / "a" / "x").unlink()
    git.write("a0", b"4")
    git.commit("change kinds")
    assert_same(bridge, git)
    tree = bridge.tip()[1].tree
    kinds = {name: entry.kind for name, entry in trees.entries(bridge.repo.store, tree)}
    assert kinds[b"run.sh"] == EntryKind.FILE
    assert kinds[b"latin-\xe9"] == EntryKind.FILE
    assert kinds[b"link"] == EntryKind.TREE
    assert b"a" not in kinds


def test_submodule_is_a_link(bridge: Bridge, git: Git) -> None:
    other = "1234567890123456789012345678901234567890"
    git("update-index", "--add", "--cacheinfo", f"160000,{other},vendor/lib")
    git("commit", "-q", "-m", "submodule")
    assert_same(bridge, git)
    entry = trees.lookup(bridge.repo.store, bridge.tip()[1].tree, b"vendor/lib")
    assert entry is not None
    assert (entry.kind, entry.id.hex()) == (EntryKind.GITLINK, other)


def test_encodings_and_odd_people(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    tree = git("rev-parse", "HEAD^{tree}")
    latin = ["-c", "i18n.commitEncoding=ISO-8859-1"]
    git(*latin, "commit", "-q", "--allow-empty", "-F", "-", stdin="dé".encode("latin-1"))
    parent = git("rev-parse", "HEAD").decode()
    people = [
        b"A <a@b> 1 +0000",
        b" <> 0 -0000",
        b"No Mail <> 100 +051800",
        b"\xff\xfe <bad@utf8> 5 +9999",
        b"Future <f@f> 99999999999999999 +0000",
        b"Past <p@p> -86400 -0330",
        b"Broken line without date",
        b"Two <one@x> <two@x> 7 +0100",
    ]
    for person in people:
        for message in (b"m\n", b"m", b"", b"\n", b"\n\nleading\n\n", b"nul\0byte\n", b"\xe9\n"):
            raw = b"tree %s\nparent %s\nauthor %s\ncommitter %s\n\n%s"
            parent = hash_object(git, "commit", raw % (tree, parent.encode(), person, person, message))
    for extra in (b"encoding utf-7", b"encoding no-such", b"encoding unicode_escape", b"HG:extra x", b"mergetag a\n b"):
        raw = b"tree %s\nparent %s\nauthor %s\ncommitter %s\n%s\n\n\\ud800 x\n"
        parent = hash_object(git, "commit", raw % (tree, parent.encode(), people[0], people[0], extra))
    git("update-ref", "refs/heads/main", parent)
    assert_same(bridge, git)
    messages = set()
    commit = bridge.tip()[1]
    while commit.parents:
        messages.add(commit.message)
        commit = bridge.repo.commit(commit.parents[0])
    assert {"dé", "m", "\ufffd"} <= messages


def test_signatures(bridge: Bridge, git: Git) -> None:
    key = git.path.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    ssh = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"]
    git.commit("first", a="1")
    git(*ssh, "commit", "-q", "-S", "--allow-empty", "-m", "signed")
    git(*ssh, "tag", "-s", "-m", "signed tag", "v1")
    git("switch", "-q", "-c", "topic", "HEAD~1")
    git.commit("topic", b="2")
    git(*ssh, "tag", "-s", "-m", "to be merged", "topic-tag")
    git("switch", "-q", "main")
    git(*ssh, "merge", "-q", "--no-ff", "-S", "-m", "merge of a signed tag", "topic-tag")
    assert b"mergetag" in git("cat-file", "commit", "HEAD")
    assert b"gpgsig" in git("cat-file", "commit", "HEAD")
    assert_same(bridge, git)
    (git.path.parent / "signers").write_text(f"c@example.org {key.with_suffix('.pub').read_text()}")
    out = Git(bridge.folder / "out", bridge.environment)
    out("-c", f"gpg.ssh.allowedSignersFile={git.path.parent / 'signers'}", "verify-commit", "main")


def tree_of(git: Git, *entries: tuple[str, str, str]) -> str:
    raw = b"".join(b"%s %s\0%s" % (m.encode(), n.encode(), bytes.fromhex(o)) for m, n, o in entries)
    return hash_object(git, "tree", raw)


def test_odd_trees(bridge: Bridge, git: Git) -> None:
    one, two = hash_object(git, "blob", b"one"), hash_object(git, "blob", b"two")
    empty = tree_of(git)
    plain = tree_of(git, ("100644", "x", one))
    old_modes = tree_of(git, ("100664", "x", one), ("100600", "y", two))
    roots = [
        tree_of(git, ("100664", "a", one), ("40000", "d", plain)),
        tree_of(git, ("100664", "a", two), ("40000", "d", plain)),
        tree_of(git, ("100644", "a", two), ("40000", "d", plain)),
        tree_of(git, ("100644", "a", two), ("40000", "d", old_modes)),
        tree_of(git, ("100644", "a", two), ("40000", "d", plain), ("40000", "e", old_modes)),
        tree_of(git, ("100644", "a", two), ("040000", "d", plain), ("40000", "e", old_modes)),
        tree_of(git, ("100644", "a", two), ("40000", "d", empty), ("40000", "e", old_modes)),
        tree_of(git, ("100644", "b", two), ("100755", "a", one)),
        tree_of(git, ("40000", "d", tree_of(git, ("40000", "inner", empty))), ("100644", "f", one)),
        empty,
        tree_of(git, ("100775", "a", one)),
    ]
    parent = ""
    for number, root in enumerate(roots):
        head = f"tree {root}\n" + (f"parent {parent}\n" if parent else "")
        raw = f"{head}author A <a> {number} +0000\ncommitter A <a> 1 +0000\n\nm\n".encode()
        parent = hash_object(git, "commit", raw)
    git("update-ref", "refs/heads/main", parent)
    git("update-ref", "refs/heads/half", f"{parent}~5")
    assert_same(bridge, git)


def test_random_histories(bridge: Bridge, new_git: Callable[..., Git]) -> None:
    for seed in range(4):
        git = new_git(f"random{seed}", bare=True)
        git("fast-import", "--quiet", stdin=random_history(seed))
        bridge.take(git, force=True)
        out, exported = bridge.give(f"out{seed}", force=True)
        names = git("for-each-ref", "--format=%(refname)").decode().split()
        objects = ["rev-list", "--objects", "--no-object-names", *names]
        assert sorted(out(*objects).split()) == sorted(git(*objects).split())
        assert not exported.warnings


def random_history(seed: int) -> bytes:
    r = random.Random(seed)
    out: list[bytes] = []
    names = [b"f%d" % i for i in range(8)] + [b"d%d/f%d" % (i % 3, i) for i in range(9)]
    names += [b"deep/er/%d/%d" % (i % 2, i) for i in range(6)] + [b"wide/%03d" % i for i in range(400)]
    for mark in range(1, 120):
        out.append(b"commit refs/heads/b%d\nmark :%d\n" % (r.randrange(4), mark))
        out.append(b"committer A <a@b> %d +0100\ndata 2\nm\n" % (10**9 + mark))
        parents = r.sample(range(1, mark), min(mark - 1, r.choice([0, 1, 1, 1, 1, 1, 2, 3]))) if mark > 2 else []
        for position, parent in enumerate(parents):
            out.append(b"%s :%d\n" % (b"merge" if position else b"from", parent))
        if not parents:
            out.append(b"deleteall\n")
        for _ in range(r.choice([0, 1, 3, 30])):
            name = r.choice(names)
            if r.random() < 0.2:
                out.append(b"D %s\n" % r.choice([name, name.split(b"/")[0]]))
            else:
                mode = r.choice([b"100644", b"100644", b"100755", b"120000"])
                out.append(b"M %s inline %s\ndata 2\n%d%d\n" % (mode, name, r.randrange(10), r.randrange(10)))
    return b"".join(out)


@pytest.mark.parametrize("name", [".dsvc", "DSVC~1", "..", ".GIT"])
def test_refused_names(bridge: Bridge, git: Git, name: str) -> None:
    blob = hash_object(git, "blob", b"")
    inner = tree_of(git, ("100644", name, blob))
    root = tree_of(git, ("40000", "folder", inner))
    commit = hash_object(git, "commit", f"tree {root}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nm\n".encode())
    git("update-ref", "refs/heads/main", commit)
    with pytest.raises(IntegrityError) as caught:
        bridge.take(git)
    assert commit in caught.value.message
    assert "folder" in caught.value.message
    assert caught.value.hint is not None
    assert bridge.repo.view().get("heads/main") is None


def test_a_tag_that_is_none_is_named(bridge: Bridge, git: Git) -> None:
    at = git.commit("first", a="1")
    broken = hash_object(git, "tag", f"object {at}\ntype nonsense\ntag broken\n\nm\n".encode())
    (git.path / ".git" / "refs" / "tags" / "broken").write_text(broken + "\n")
    with pytest.raises(IntegrityError, match="refs/tags/broken"):
        bridge.take(git)


def test_a_commit_without_a_tree_is_named(bridge: Bridge, git: Git) -> None:
    broken = hash_object(git, "commit", b"author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nm\n")
    (git.path / ".git" / "refs" / "heads" / "main").write_text(broken + "\n")
    with pytest.raises(IntegrityError, match=broken):
        bridge.take(git)


@pytest.mark.parametrize("mode", ["100644", "120000"])
def test_a_folder_under_the_mode_of_a_file_is_refused(bridge: Bridge, git: Git, mode: str) -> None:
    git.commit("first", a="1")
    broken = tree_of(git, (mode, "a", git("rev-parse", "HEAD^{tree}").decode()))
    git("update-ref", "refs/heads/main", git("commit-tree", "-m", "broken", broken).decode())
    with pytest.raises(IntegrityError, match="is a tree where a file is named"):
        bridge.take(git)
    assert bridge.repo.view().get("heads/main") is None


def test_export_into_the_repository_it_came_from_changes_nothing(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    bridge.take(git)
    before = sorted(p for p in git.path.rglob("*") if "objects" in p.parts)
    _, result = bridge.give("git")
    assert (result.commits, result.moved, result.refused) == (0, (), ())
    assert sorted(p for p in git.path.rglob("*") if "objects" in p.parts) == before


def test_large_histories_are_written_as_packs(bridge: Bridge, new_git: Callable[..., Git]) -> None:
    git = new_git("many", bare=True)
    git("fast-import", "--quiet", stdin=random_history(99))
    bridge.take(git)
    out, _ = bridge.give()
    assert out("count-objects") == b"0 objects, 0 kilobytes"
    assert out("fsck", "--full", "--strict") == b""
    assert [p.suffix for p in sorted((Path(out.path) / "objects" / "pack").iterdir())] == [".idx", ".pack"]
