"""Shallow clones: a part of the history, which goes on as any other repository does."""

from __future__ import annotations

import random

import pytest

from dsvc.actions.fsck import check
from tests.commands.test_runs_travel import add_runs, opened, runs


def subjects(person, *words: str) -> list[str]:
    return person.ok("log", "--format=%s", *words).out.splitlines()


def whole(*people) -> None:
    for person in people:
        repo = opened(person)
        assert [damage.message for damage in check(repo, partial=True).damage] == []
        repo.close()


@pytest.fixture
def long(clones):
    """Ada has pushed ten commits, a merge among them, and a tag at the third and at the ninth."""
    for number in range(2, 11):
        if number == 6:
            clones.ada.ok("switch", "-q", "-c", "side")
            clones.commit(clones.ada, "side", {"side": "side\n"})
            clones.ada.ok("switch", "-q", "main")
        clones.commit(clones.ada, str(number), {"a": f"{number}\n" * 5, f"folder/{number}": "x" * number})
        if number in (3, 9):
            clones.ada.ok("tag", "-m", "tagged", f"v{number}")
    clones.ada.ok("merge", "-q", "side", "-m", "merged")
    clones.ada.ok("push", "-q", "--all", "--follow-tags", "origin")
    return clones


def test_the_newest_commits_and_nothing_else(long):
    bob = long.join("bob", "--depth", "3")
    assert subjects(bob) == ["merged", "10", "side", "9", "5"]
    assert "It is up to date with origin/main\nNothing to commit, working copy clean\n" in bob.ok("status").out
    assert (bob.directory / "folder" / "2").read_text() == "xx"
    assert "side" not in bob.ok("branch", "-a").out
    assert bob.ok("tag").out.split() == ["v9"]
    whole(bob)
    bob.ok("gc", "--prune=now")
    whole(bob)
    repo = opened(bob)
    assert len(repo.cut) == 2
    repo.close()


def test_readers_stop_where_history_is_cut(long):
    bob = long.join("bob", "--depth", "2")
    assert subjects(bob) == ["merged", "10", "side"]
    assert "10" in bob.ok("log", "--graph", "--oneline", "--stat").out
    assert bob.ok("merge-base", "main", "origin/main").out == bob.ok("rev-parse", "HEAD").out
    assert {line[0] for line in bob.ok("blame", "a").out.splitlines()} == {"^"}
    assert "+10" in bob.ok("show", "HEAD~1").out, "against nothing, as in git"
    assert bob.ok("log", "--format=%s", "--", "folder/3").out == "10\n"
    answer = bob("rev-parse", "HEAD~2")
    assert answer.code == 3
    assert "goes past the history" in answer.err
    assert "dsvc fetch --deepen" in answer.err
    before = long.ada.ok("rev-parse", "HEAD~2").out.strip()
    assert "was left out of this clone" in bob("show", before).err + bob("cherry-pick", "HEAD~1").err
    assert bob("cherry-pick", "HEAD~1").code == 3
    bob.ok("commit", "-q", "--amend", "-m", "better")
    assert subjects(bob) == ["better", "10", "side"]
    whole(bob)


def test_an_amended_commit_keeps_its_parents(long):
    bob = long.join("bob", "--depth", "1")
    real = long.ada.ok("rev-parse", "HEAD^1", "HEAD^2").out.split()
    bob.ok("commit", "-q", "--amend", "-m", "better")
    assert bob.ok("log", "-1", "--format=%P").out.split() == real
    bob.ok("push", "-q", "origin", "HEAD:better")
    assert sorted(subjects(long.join("carol"), "origin/better")) == sorted(["better", *subjects(long.ada)[1:]])


def test_work_goes_on_in_a_shallow_clone(long):
    bob = long.join("bob", "--depth", "1")
    long.commit(bob, "bob's", {"bob": "b\n"})
    bob.ok("push")
    long.ada.ok("pull", "-q")
    long.commit(long.ada, "ada's", {"ada": "a\n"})
    long.ada.ok("push", "-q")
    long.commit(bob, "bob's second", {"bob": "b2\n"})
    assert bob("push").code == 12
    bob.ok("pull", "-q")
    bob.ok("push", "-q")
    assert sorted(subjects(bob))[1:] == ["ada's", "bob's", "bob's second", "merged"]
    assert len(subjects(long.join("carol"))) == 16
    whole(bob, long.ada, long.person("hub"))


def test_a_branch_is_pushed_although_others_went_on(long):
    """What was cut lies at the remote, but no longer at the end of a branch that is known here."""
    bob = long.join("bob", "--depth", "1")
    for number in range(3):
        long.commit(long.ada, f"ada {number}", {"a": str(number)})
    long.ada.ok("push", "-q")
    bob.ok("switch", "-q", "-c", "topic")
    long.commit(bob, "topic", {"bob": "b\n"})
    bob.ok("push", "-q")
    assert subjects(long.join("carol"), "origin/topic")[:2] == ["topic", "merged"]
    assert not list((bob.directory / ".dsvc" / "transfers").glob("*/*"))
    whole(bob, long.person("hub"))


def test_nothing_goes_where_its_history_is_not(long):
    bob = long.join("bob", "--depth", "2")
    answer = bob("push", "../new", "main")
    assert answer.code == 3
    assert "was left out of this shallow clone" in answer.err
    assert "dsvc fetch --unshallow" in answer.err
    long.ada.ok("push", "-q", "../older", "HEAD~5:main")
    assert bob("push", "../older", "main:other").code == 3
    long.ada.ok("push", "-q", "../older", "HEAD~2:newer")
    bob.ok("push", "../older", "main:other")
    bob.ok("fetch", "--unshallow")
    bob.ok("push", "../new", "main")
    whole(long.person("new"), long.person("older"))


def test_deepen_and_unshallow(long):
    bob = long.join("bob", "--depth", "1")
    bob.ok("fetch", "--deepen", "2")
    assert subjects(bob) == ["merged", "10", "side", "9", "5"]
    whole(bob)
    bob.ok("fetch", "--depth", "4")
    assert sorted(subjects(bob)) == ["10", "4", "5", "8", "9", "merged", "side"]
    bob.ok("fetch", "--depth", "1")
    assert len(subjects(bob)) == 7, "what is here stays here"
    whole(bob)
    bob.ok("undo")
    assert len(subjects(bob)) == 7
    bob.ok("fetch", "--unshallow")
    assert subjects(bob) == subjects(long.ada)
    assert bob.ok("blame", "folder/2").out.startswith(bob.ok("rev-parse", "HEAD~9").out[:7])
    answer = bob("fetch", "--unshallow")
    assert answer.code == 3
    assert "the history is complete here" in answer.err
    whole(bob)
    bob.ok("gc", "--prune=now")
    whole(bob)
    assert bob("fetch", "--depth", "1", "--unshallow").code == 2


def test_a_fetch_brings_what_is_new_and_stays_shallow(long):
    bob = long.join("bob", "--depth", "2", "--no-single-branch")
    assert set(bob.ok("tag").out.split()) == {"v3", "v9"}
    assert subjects(bob, "origin/side") == ["side", "5"]
    long.commit(long.ada, "11", {"a": "11"})
    long.ada.ok("tag", "-m", "eleven", "v11")
    long.ada.ok("push", "-q", "--follow-tags")
    bob.ok("fetch")
    assert "2" not in subjects(bob, "origin/main")
    assert subjects(bob, "origin/main")[:3] == ["11", "merged", "10"]
    assert "v11" in bob.ok("tag").out
    whole(bob)


def test_a_clone_of_a_shallow_clone_is_shallow(long):
    bob = long.join("bob", "--depth", "2")
    long.person(".").ok("clone", "-q", "bob", "carol")
    carol = long.person("carol")
    assert subjects(carol) == ["merged", "10", "side"]
    whole(carol)
    bob.ok("fetch", "--unshallow")
    carol.ok("fetch", "--unshallow")
    assert subjects(carol) == subjects(long.ada)
    whole(carol)


def test_a_push_to_a_shallow_clone_brings_what_it_lacks(long):
    bob = long.join("bob", "--depth", "2")
    long.ada.ok("push", "-q", "../bob", "HEAD~4:older")
    assert subjects(bob, "older")[:2] == ["7", "6"]
    whole(bob)


def test_forks_and_worktrees_of_a_shallow_clone(long):
    bob = long.join("bob", "--depth", "2")
    bob.ok("fork", "-q", ".", "../fork")
    assert subjects(long.person("fork")) == ["merged", "10", "side"]
    whole(long.person("fork"))
    bob.ok("worktree", "add", "-q", "../tree")
    assert subjects(long.person("tree")) == ["merged", "10", "side"]


def test_merging_across_a_cut_says_what_to_do(long):
    long.ada.ok("switch", "-q", "-c", "other", "HEAD~3")
    long.commit(long.ada, "other", {"other": "o"})
    long.ada.ok("push", "-q")
    bob = long.join("bob", "--depth", "1", "--no-single-branch")
    answer = bob("merge", "origin/other")
    assert answer.code == 3
    assert "no commit in common" in answer.err
    assert "dsvc fetch --unshallow" in answer.err


def test_runs_of_a_shallow_clone(long):
    add_runs(long.ada, range(5))
    long.ada.ok("push", "-q")
    bob = long.join("bob", "--depth", "1")
    assert runs(bob) == []
    add_runs(bob, [7])
    bob.ok("push", "-q")
    assert len(runs(long.person("hub"))) == 6
    assert runs(bob) == ["r000007"]
    bob.ok("fetch", "--runs")
    assert len(runs(bob)) == 6
    assert len(runs(long.join("carol", "--depth", "1", "--runs"))) == 6


def test_partial_and_shallow_at_once(long):
    long.commit(long.ada, "large", {"large": random.Random(1).randbytes(600_000)})
    long.ada.ok("push", "-q")
    bob = long.join("bob", "--depth", "2", "--no-data")
    assert subjects(bob) == ["large", "merged"]
    assert not (bob.directory / "large").exists()
    bob.ok("data", "get", "large")
    assert (bob.directory / "large").stat().st_size == 600_000
    whole(bob)


def test_bundles_of_a_shallow_clone_say_what_they_build_on(long):
    bob = long.join("bob", "--depth", "1")
    bob.ok("bundle", "create", "../part.bundle")
    fresh = long.base / "fresh"
    fresh.mkdir()
    dan = long.person("fresh")
    dan.ok("init", "-q")
    answer = dan("fetch", "../part.bundle")
    assert answer.code == 3, answer.err
    assert "are not here" in answer.err
    long.ada.ok("fetch", "-q", "../part.bundle")


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_and_depths(clones, seed):
    draw = random.Random(seed)
    branches = ["main"]
    for number in range(25):
        name = draw.choice(branches)
        clones.ada.ok("switch", "-q", name)
        if draw.random() < 0.2:
            name = f"b{number}"
            clones.ada.ok("switch", "-q", "-c", name)
            branches.append(name)
        if draw.random() < 0.3 and len(branches) > 1:
            clones.ada("merge", "-q", draw.choice(branches), "-X", "ours", "-m", f"m{number}")
        files = {draw.choice("abcd"): str(number), f"d{draw.randrange(3)}/x": str(number)}
        clones.commit(clones.ada, str(number), files)
    clones.ada.ok("push", "-q", "--all", "origin")
    bob = clones.join("bob", "--depth", str(draw.choice([1, 2, 5])), "--no-single-branch")
    whole(bob)
    for step in range(4):
        what = draw.choice(["--deepen", "--depth", "push", "more"])
        if what == "push":
            bob.ok("switch", "-q", "-c", f"bobs{step}", f"origin/{draw.choice(branches)}")
            clones.commit(bob, f"bob {step}", {"bob": str(step)})
            bob.ok("push", "-q", "origin", "HEAD")
        elif what == "more":
            clones.ada.ok("switch", "-q", draw.choice(branches))
            clones.commit(clones.ada, f"more {step}", {"more": str(step)})
            clones.ada.ok("push", "-q", "--all", "origin")
            bob.ok("fetch", "-q")
        else:
            bob.ok("fetch", "-q", what, str(draw.choice([1, 2, 4])))
        whole(bob, clones.person("hub"))
    if bob("fetch", "-q", "--unshallow").code:
        assert not opened(bob).cut
    for name in branches:
        assert subjects(bob, f"origin/{name}") == subjects(clones.ada, name)
    whole(bob)
    bob.ok("gc", "--prune=now", "-q")
    whole(bob)


def test_pull_takes_no_more_than_is_asked_for(long):
    bob = long.join("bob", "--depth", "1")
    for number in (11, 12, 13):
        long.commit(long.ada, str(number), {"a": f"{number}\n" * 5})
    long.ada.ok("push", "-q")
    bob.ok("pull", "-q", "--depth", "4", "--ff-only")
    assert subjects(bob) == ["13", "12", "11", "merged"]
    assert (bob.directory / "a").read_text() == "13\n" * 5
    whole(bob)


@pytest.mark.parametrize("words", [("--ff-only",), ()])
def test_pull_brings_what_lies_between_where_the_depth_does_not_reach(long, words):
    bob = long.join("bob", "--depth", "1")
    if "--ff-only" not in words:
        long.commit(bob, "bob's", {"bob": "bob\n"})
    for number in (11, 12, 13):
        long.commit(long.ada, str(number), {"a": f"{number}\n" * 5})
    long.ada.ok("push", "-q")
    answer = bob.ok("pull", "--depth", "1", *words)
    assert "commit in common" not in answer.err
    ours = [] if "--ff-only" in words else ["bob's"]
    assert sorted(s for s in subjects(bob) if not s.startswith("Merge")) == sorted(["11", "12", "13", "merged", *ours])
    assert (bob.directory / "a").read_text() == "13\n" * 5
    assert subjects(bob, "origin/main") == ["13", "12", "11", "merged"]
    whole(bob)


def test_pull_of_a_history_that_was_begun_anew(long):
    """Nothing leads from there to what is here: all of it comes, and it is not joined."""
    bob = long.join("bob", "--depth", "1")
    carol = long.person("carol")
    carol.directory.mkdir()
    carol.ok("init", "-q")
    for number in range(3):
        long.commit(carol, f"new {number}", {"new": f"{number}"})
    carol.ok("push", "-q", "--force", str(long.hub), "main")
    answer = bob("pull", "-q", "--depth", "1")
    assert answer.code == 3
    assert "no commit in common" in answer.err
    whole(bob)
