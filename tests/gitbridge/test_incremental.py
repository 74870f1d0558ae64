"""Import again, in both directions, with branches that moved on either side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dsvc.gitbridge.gitsource import NotGitError, UnusableGitError
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.reference import Reference, reference_entry
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person, Tag
from dsvc.refs.view import Direct, Symbolic
from tests.gitbridge.conftest import ACT, HEAD, Bridge, Git

ADA = Person("Ada", "ada@example.org", 1_700_000_000_123_456, -90)


def commit_in_dsvc(
    bridge: Bridge, branch: str = "main", /, message: str = "by dsvc", **files: bytes | Entry | None
) -> CommitId:
    """Commit files on top of a branch, as `dsvc commit` does."""
    store = bridge.repo.store
    parent = bridge.repo.view().commit(f"heads/{branch}")
    tree = bridge.repo.commit(parent).tree if parent else trees.empty_tree(store)
    changes = {
        name.replace("__", "/").encode(): Entry(EntryKind.FILE, store.put_content(content), len(content))
        if isinstance(content, bytes)
        else content
        for name, content in files.items()
    }
    made = Commit(
        TreeId(ObjectId(trees.edit_tree(store, tree, changes).id)), (parent,) if parent else (), ADA, ADA, message
    )
    commit_id = bridge.repo.put_commit(made)
    bridge.set(f"heads/{branch}", Direct(Kind.COMMIT, ObjectId(commit_id)))
    return commit_id


def test_import_again_brings_what_is_new(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    assert bridge.take(git).commits == 1
    first = bridge.tip()[0]
    git.commit("second", a="2", d__b="3")
    git("branch", "side")
    result = bridge.take(git)
    assert result.commits == 1
    assert [(m.name, m.old is None) for m in result.moved] == [("heads/main", False), ("heads/side", True)]
    assert bridge.tip()[1].parents == (first,)
    again = bridge.take(git)
    assert (again.commits, again.moved) == (0, ())


def test_nothing_new_publishes_nothing(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    bridge.take(git)
    operation = bridge.repo.head.operation
    bridge.take(git)
    assert bridge.repo.head.operation == operation


@pytest.mark.parametrize("damage", [None, b"", b"dsvc git-map 1\n\0\xff\xff\xff\xff", "flip"])
def test_the_map_is_rebuilt(bridge: Bridge, git: Git, damage: bytes | str | None) -> None:
    for number in range(5):
        git.commit(f"commit {number}", a=str(number))
    bridge.take(git)
    if damage is None:
        bridge.map_path.unlink()
    elif damage == "flip":
        data = bytearray(bridge.map_path.read_bytes())
        data[-50] ^= 1
        bridge.map_path.write_bytes(data)
    else:
        assert isinstance(damage, bytes)
        bridge.map_path.write_bytes(damage)
    git.commit("new", a="new")
    result = bridge.take(git)
    assert (result.commits, result.diverged) == (1, ())


def test_the_map_is_not_trusted_beyond_what_refs_reach(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    git("switch", "-q", "-c", "side")
    git.commit("side", b="1")
    bridge.take(git)
    transaction = bridge.repo.transaction()
    transaction.delete("heads/side")
    bridge.repo.publish(transaction, ACT)
    assert bridge.take(git).commits == 1, "the commit may have been collected: it is imported again"
    assert bridge.tip("side")[1].message == "side"


def test_head_of_an_empty_repository_follows_gits(bridge: Bridge, git: Git) -> None:
    git("switch", "-q", "-c", "develop")
    git.commit("first", a="1")
    assert bridge.take(git).head == "heads/develop"
    assert bridge.repo.view().get(HEAD) == Symbolic("heads/develop")


def test_diverged_branch_is_left(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    bridge.take(git)
    own = commit_in_dsvc(bridge, b=b"2")
    git.commit("other", c="3")
    git("branch", "new")
    result = bridge.take(git)
    assert [m.name for m in result.diverged] == ["heads/main"]
    assert bridge.tip()[0] == own
    assert bridge.tip("new")[1].message == "other"
    forced = bridge.take(git, force=True)
    assert [m.name for m in forced.moved] == ["heads/main"]
    assert bridge.tip()[1].message == "other"


def test_branch_that_is_ahead_here_stays(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    bridge.take(git)
    own = commit_in_dsvc(bridge, b=b"2")
    result = bridge.take(git)
    assert (result.moved, result.diverged) == ((), ())
    assert bridge.tip()[0] == own


def test_remote_branches_on_request(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    bridge.take(git)
    assert bridge.repo.view().get("remotes/git/origin/main") is None
    bridge.take(git, remotes=True)
    assert bridge.repo.view().commit("remotes/git/origin/main") == bridge.tip()[0]


def test_there_and_back(bridge: Bridge, new_git: Callable[..., Git]) -> None:
    git = new_git("git", bare=True)
    commit_in_dsvc(bridge, message="first", a=b"1\n", d__b=b"2\n", d__c__e=b"3\n")
    last = commit_in_dsvc(bridge, message="second\n\nbody", a=None, d__b=b"4\n")
    bridge.give("git")
    assert git("log", "--format=%s|%an|%ae|%ad|%ct", "--date=iso", "main").decode().splitlines() == [
        "second|Ada|ada@example.org|2023-11-14 20:43:20 -0130|1700000000",
        "first|Ada|ada@example.org|2023-11-14 20:43:20 -0130|1700000000",
    ]
    assert git("ls-tree", "-r", "--name-only", "main").split() == [b"d/b", b"d/c/e"]
    assert git("cat-file", "blob", "main:d/b") == b"4"
    result = bridge.take(git)
    assert (result.commits, result.moved) == (0, ()), "commits that came from here are known"
    assert bridge.tip()[0] == last


@pytest.mark.parametrize("lost", [False, True])
def test_commits_on_top_of_an_import_and_back(bridge: Bridge, git: Git, lost: bool) -> None:
    git.commit("first", a="1", d__b="2")
    tip = git.commit("second", a="3")
    git("switch", "-q", "-c", "elsewhere")
    bridge.take(git)
    mine = commit_in_dsvc(bridge, c=b"4")
    _, exported = bridge.give("git")
    assert [(m.name, m.old and m.old.hex()) for m in exported.moved] == [("refs/heads/main", tip)]
    git("switch", "-q", "main")
    git.commit("by git", d__b="5")
    if lost:
        bridge.map_path.unlink()
    result = bridge.take(git)
    assert result.commits == 1
    assert bridge.tip()[1].parents == (mine,)
    assert bridge.give("git")[1].commits == 0


def test_commits_of_ours_are_known_again_with_what_git_cannot_hold(bridge: Bridge, new_git: Callable[..., Git]) -> None:
    empty = Entry(EntryKind.TREE, trees.empty_tree(bridge.repo.store), 0)
    commit_in_dsvc(bridge, hollow=empty, large=b"x" * 5000, a=b"1")
    last = commit_in_dsvc(bridge, a=b"2")
    bridge.give("git", lfs_threshold=1000)
    git = Git(bridge.folder / "git", bridge.environment)
    work = new_git("work")
    work("pull", "-q", str(git.path), "main")
    work.commit("by git", a="3")
    work("push", "-q", str(git.path), "main")
    objects = git.everything()
    bridge.map_path.unlink()
    result = bridge.take(git, lfs_threshold=1000)
    assert (result.commits, result.diverged) == (1, ())
    tip = bridge.tip()[1]
    assert tip.parents == (last,)
    assert [name for name, _ in trees.entries(bridge.repo.store, tip.tree)] == [b"a", b"hollow", b"large"]
    large = trees.lookup(bridge.repo.store, tip.tree, b"large")
    assert large is not None
    assert large.size == 5000
    out, exported = bridge.give("again", lfs_threshold=1000)
    assert out.everything() == objects
    assert not exported.warnings


def test_amended_import_is_a_commit_of_its_own(bridge: Bridge, git: Git) -> None:
    first = git.commit("first", a="1")
    bridge.take(git)
    commit = bridge.tip()[1]
    amended = bridge.repo.put_commit(replace(commit, message="other words"))
    bridge.set("heads/main", Direct(Kind.COMMIT, ObjectId(amended)))
    out, exported = bridge.give()
    assert out("log", "--format=%s", "main") == b"other words"
    assert out("rev-parse", "main").decode() != first
    assert not exported.warnings
    bridge.map_path.unlink()
    assert bridge.take(git).diverged, "the amended commit is not taken for the one of git"


def test_what_git_cannot_hold_is_named(bridge: Bridge) -> None:
    store = bridge.repo.store
    empty = Entry(EntryKind.TREE, trees.empty_tree(store), 0)
    reference = reference_entry(Reference("https://example.org/data", 5, "etag", ""))
    commit_in_dsvc(bridge, a=b"1", hollow=empty, d__hollow=empty, data=reference)
    out, result = bridge.give()
    assert result.lost == {
        "empty folders": {b"hollow", b"d", b"d/hollow"},
        "references to content kept elsewhere": {b"data"},
    }
    assert out("ls-tree", "-r", "-t", "--name-only", "main") == b"a"
    commit_in_dsvc(bridge, a=b"2")
    assert not bridge.give()[1].lost, "said once, where it comes in"


def test_a_folder_that_becomes_empty_leaves_git(bridge: Bridge) -> None:
    commit_in_dsvc(bridge, a=b"1", d__b=b"2")
    commit_in_dsvc(bridge, d__b=None)
    out, _ = bridge.give()
    assert out("ls-tree", "-r", "-t", "--name-only", "main") == b"a"


def test_tags_made_by_dsvc(bridge: Bridge) -> None:
    commit_id = commit_in_dsvc(bridge, a=b"1")
    tag = bridge.repo.put_tag(Tag(ObjectId(commit_id), Kind.COMMIT, "v1", ADA, "the first"))
    bridge.set("tags/v1", Direct(Kind.TAG, tag))
    bridge.set("tags/light", Direct(Kind.COMMIT, ObjectId(commit_id)))
    out, _ = bridge.give()
    assert out("cat-file", "-t", "v1") == b"tag"
    shown = out("for-each-ref", "--format=%(contents)|%(taggeremail)", "refs/tags/v1")
    assert shown == b"the first\n|<ada@example.org>"
    assert out("rev-parse", "light") == out("rev-parse", "v1^{commit}")
    assert out("fsck", "--strict") == b""


def test_a_branch_of_git_is_not_moved_back(bridge: Bridge, git: Git) -> None:
    git.commit("first", a="1")
    git("switch", "-q", "-c", "elsewhere")
    bridge.take(git)
    git("switch", "-q", "main")
    ahead = git.commit("ahead", a="2")
    git("switch", "-q", "elsewhere")
    commit_in_dsvc(bridge, b=b"1")
    _, result = bridge.give("git")
    assert [(r.move.name, r.diverged) for r in result.refused] == [("refs/heads/main", True)]
    assert git("rev-parse", "main").decode() == ahead
    bridge.give("git", force=True)
    assert git("log", "--format=%s", "main").splitlines() == [b"by dsvc", b"first"]


def test_a_branch_with_gits_working_copy_is_not_moved(bridge: Bridge, git: Git) -> None:
    tip = git.commit("first", a="1")
    git("worktree", "add", "-q", "-b", "linked", "../linked")
    bridge.take(git)
    commit_in_dsvc(bridge, b=b"1")
    commit_in_dsvc(bridge, "linked", b=b"1")
    _, result = bridge.give("git", force=True)
    assert [r.move.name for r in result.refused] == ["refs/heads/linked", "refs/heads/main"]
    assert git("rev-parse", "main", "linked").decode().split() == [tip, tip]
    assert git("status", "--porcelain") == b""


def test_clear_errors(bridge: Bridge, git: Git, new_git: Callable[..., Git]) -> None:
    with pytest.raises(NotGitError):
        bridge.take(Git(git.path / "nowhere", {}))
    git.commit("first", a="1")
    git.commit("second", a="2")
    shallow = new_git("shallow")
    shallow("fetch", "-q", "--depth=1", f"file://{git.path}", "main:other")
    with pytest.raises(UnusableGitError, match="shallow"):
        bridge.take(shallow)


def test_people_that_git_cannot_hold_are_cleaned(bridge: Bridge) -> None:
    commit_in_dsvc(bridge, a=b"1")
    commit_id, commit = bridge.tip()
    odd = Person("A <b>\nC", "x>y", -1_500_000, 0)
    made = bridge.repo.put_commit(replace(commit, parents=(commit_id,), author=odd, message="nul\0 inside"))
    bridge.set("heads/main", Direct(Kind.COMMIT, ObjectId(made)))
    out, _ = bridge.give()
    assert out("cat-file", "commit", "main").splitlines()[2] == b"author A bC <xy> -2 +0000"
    assert out("log", "-1", "--format=%B", "main") == b"nul inside"
