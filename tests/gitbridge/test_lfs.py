"""Git LFS: pointers in git, content here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dsvc.gitbridge.lfs import LfsDamagedError, LfsMissingError, parse_pointer
from dsvc.objects import trees
from tests.gitbridge.conftest import Bridge, Git
from tests.gitbridge.test_incremental import commit_in_dsvc
from tests.gitbridge.test_round_trip import assert_same

BIG = b"weights" * 40_000


def pointer_to(content: bytes, *, extra: bytes = b"") -> bytes:
    digest = hashlib.sha256(content).hexdigest().encode()
    return b"version https://git-lfs.github.com/spec/v1\n%soid sha256:%s\nsize %d\n" % (extra, digest, len(content))


def lfs_path(git: Git, content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    folder = git.path / ".git" if (git.path / ".git").exists() else git.path
    return folder / "lfs" / "objects" / digest[:2] / digest[2:4] / digest


def store_lfs(git: Git, content: bytes) -> bytes:
    path = lfs_path(git, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return pointer_to(content)


def read(bridge: Bridge, path: bytes) -> bytes:
    entry = trees.lookup(bridge.repo.store, bridge.tip()[1].tree, path)
    assert entry is not None
    data = bridge.repo.store.read_file(entry.id)
    assert entry.size == len(data)
    return data


@pytest.fixture
def lfs_git(git: Git) -> Git:
    """Commits in which pointers appear, change, move, get other modes and become content."""
    git.write("model.bin", store_lfs(git, BIG))
    git.write("plain.bin", b"plain")
    git.write("sub/inner.bin", store_lfs(git, b"inner"))
    git.write("sub/strange.bin", store_lfs(git, b"inner") and pointer_to(b"inner", extra=b"ext-0-foo sha256:00\n"))
    git.commit("one")
    git.write("model.bin", store_lfs(git, BIG + b"2"))
    git.commit("two")
    (git.path / "model.bin").chmod(0o755)
    git.commit("executable")
    git("mv", "sub", "moved")
    git.commit("moved")
    git.write("model.bin", BIG + b"2")
    git.commit("the same content, now in git itself")
    git.write("plain.bin", store_lfs(git, b"plain"))
    git.commit("the same content, now in LFS")
    git.write("unrelated", b"x")
    git.commit("unrelated")
    return git


def test_pointers_stay_pointers(bridge: Bridge, lfs_git: Git) -> None:
    assert_same(bridge, lfs_git)
    assert read(bridge, b"moved/inner.bin") == pointer_to(b"inner")


def test_resolved_and_written_back(bridge: Bridge, lfs_git: Git) -> None:
    assert_same(bridge, lfs_git, lfs=True)
    assert read(bridge, b"moved/inner.bin") == b"inner"
    assert read(bridge, b"moved/strange.bin") == b"inner"
    assert read(bridge, b"plain.bin") == b"plain"
    out = Git(bridge.folder / "out", bridge.environment)
    assert lfs_path(out, BIG).read_bytes() == BIG
    assert lfs_path(out, b"inner").read_bytes() == b"inner"


def test_resolved_step_by_step(bridge: Bridge, lfs_git: Git) -> None:
    commits = lfs_git("rev-list", "--reverse", "main").decode().split()
    lfs_git("switch", "-q", "--detach")
    for commit in commits:
        lfs_git("update-ref", "refs/heads/main", commit)
        bridge.map_path.unlink(missing_ok=True)
        assert bridge.take(lfs_git, lfs=True).commits == 1
        out, exported = bridge.give()
        assert out("rev-parse", "main").decode() == commit
        assert not exported.warnings


def test_missing_ones_are_all_named_and_nothing_happens(bridge: Bridge, lfs_git: Git) -> None:
    lfs_path(lfs_git, BIG).unlink()
    lfs_path(lfs_git, b"plain").unlink()
    with pytest.raises(LfsMissingError) as caught:
        bridge.take(lfs_git, lfs=True)
    assert "model.bin" in caught.value.message
    assert "plain.bin" in caught.value.message
    assert len(caught.value.details["missing"]) == 2
    assert bridge.repo.view().get("heads/main") is None


def test_what_came_without_lfs_before_is_told(bridge: Bridge, lfs_git: Git) -> None:
    bridge.take(lfs_git)
    (warning,) = bridge.take(lfs_git, lfs=True).warnings
    assert "main still has LFS pointers, such as moved/inner.bin" in warning
    assert bridge.take(lfs_git).warnings == ()


def test_what_came_with_lfs_is_no_reason_to_warn(bridge: Bridge, lfs_git: Git) -> None:
    assert bridge.take(lfs_git, lfs=True).warnings == ()
    assert bridge.take(lfs_git, lfs=True).warnings == ()


def test_damaged_object_is_refused(bridge: Bridge, lfs_git: Git) -> None:
    lfs_path(lfs_git, BIG).write_bytes(b"x" * len(BIG))
    with pytest.raises(LfsDamagedError):
        bridge.take(lfs_git, lfs=True)
    assert bridge.repo.view().get("heads/main") is None


def test_large_files_of_new_commits_become_pointers(bridge: Bridge) -> None:
    commit_in_dsvc(bridge, small=b"x" * 1000, large=BIG, d__large=BIG + b"2")
    out, result = bridge.give(lfs_threshold=1000)
    assert result.pointers == {b"large", b"d/large"}
    assert out("cat-file", "blob", "main:large") == pointer_to(BIG).strip()
    assert lfs_path(out, BIG + b"2").read_bytes() == BIG + b"2"
    assert out("cat-file", "-s", "main:small") == b"1000"
    assert result.unmarked == {b"large", b"d/large"}
    commit_in_dsvc(bridge, small=b"y")
    assert not bridge.give(lfs_threshold=1000)[1].pointers
    marks = b"d/* filter=lfs diff=lfs merge=lfs -text\n"
    commit_in_dsvc(bridge, **{".gitattributes": marks, "large": BIG + b"3", "d__large": BIG + b"4"})
    _, result = bridge.give(lfs_threshold=1000)
    assert (result.pointers, result.unmarked) == ({b"large", b"d/large"}, {b"large"})


def test_new_commits_on_an_import_touch_only_what_they_change(bridge: Bridge, lfs_git: Git) -> None:
    lfs_git.write("big-in-git", BIG)
    lfs_git.commit("a large file in git itself")
    bridge.take(lfs_git, lfs=True)
    commit_in_dsvc(bridge, moved__inner__bin=b"", small=b"1")
    commit_in_dsvc(bridge, **{"moved__inner.bin": b"small but was a pointer"})
    out, _ = bridge.give(lfs_threshold=1000)
    changed = out("diff-tree", "-r", "--name-only", "main~2", "main").split()
    assert changed == [b"moved/inner.bin", b"moved/inner/bin", b"small"]
    assert out("cat-file", "blob", "main:moved/inner.bin") == pointer_to(b"small but was a pointer").strip()


def test_what_counts_as_a_pointer() -> None:
    assert parse_pointer(pointer_to(b"x")) is not None
    assert parse_pointer(pointer_to(b"x").replace(b"\n", b"\r\n")) is not None
    for other in (b"", b"version https://", pointer_to(b"x") + b"more", pointer_to(b"x") + b" " * 1024):
        assert parse_pointer(other) is None
