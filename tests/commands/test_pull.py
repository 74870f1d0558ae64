"""`dsvc pull` and `dsvc sync`, as people meet them."""

import pytest


@pytest.fixture
def bob(clones):
    """Bob, who has pushed a commit that Ada lacks."""
    bob = clones.join("bob")
    clones.commit(bob, "bob's", {"b": "b\n"})
    bob.ok("push", "-q")
    return bob


def test_fast_forward(clones, bob):
    answer = clones.ada.ok("pull")
    assert "Fast-forward" in answer.err
    assert (clones.ada.directory / "b").read_text() == "b\n"
    assert clones.ada.ok("pull").err == "Already up to date\n"


def test_merge(clones, bob):
    clones.commit(clones.ada, "ada's", {"c": "c\n"})
    assert clones.ada("pull", "--ff-only").code == 12
    clones.ada.ok("pull")
    assert len(clones.ada.ok("rev-parse", "HEAD^1", "HEAD^2").out.split()) == 2
    clones.ada.ok("push")
    bob.ok("pull")
    assert (bob.directory / "c").read_text() == "c\n"


def test_rebase(clones, bob):
    clones.commit(clones.ada, "ada's", {"c": "c\n"})
    clones.ada.ok("pull", "--rebase")
    assert clones.ada.ok("log", "--format=%s").out == "ada's\nbob's\nfirst\n"
    clones.ada.ok("push")
    clones.commit(bob, "bob again", {"b": "bb\n"})
    bob.ok("config", "pull.rebase", "true")
    bob.ok("pull")
    assert bob.ok("log", "--format=%s").out == "bob again\nada's\nbob's\nfirst\n"


def test_conflicts(clones, bob):
    clones.commit(clones.ada, "ada's", {"b": "a\n"})
    answer = clones.ada("pull")
    assert answer.code == 13
    assert "CONFLICT" in answer.out
    assert "dsvc pull" not in clones.ada.ok("status").out, "the merge comes first"
    assert clones.ada("pull").code in (3, 13), "one at a time"
    (clones.ada.directory / "b").write_text("both\n")
    clones.ada.ok("resolve", "b")
    clones.ada.ok("merge", "--continue")
    clones.ada.ok("push")
    bob.ok("pull", "-q")
    assert (bob.directory / "b").read_text() == "both\n"


def test_changes_in_the_way_stay(clones, bob):
    (clones.ada.directory / "b").write_text("not stored")
    answer = clones.ada("pull")
    assert answer.code != 0
    assert (clones.ada.directory / "b").read_text() == "not stored"


def test_into_an_empty_repository(clones, bob):
    eve = clones.person("eve")
    eve.directory.mkdir()
    eve.ok("init", "-q")
    eve.ok("pull", "-q", str(clones.hub), "main")
    assert (eve.directory / "b").read_text() == "b\n"


def test_which_branch(clones, bob):
    clones.ada.ok("switch", "-q", "-c", "topic")
    answer = clones.ada("pull")
    assert answer.code == 3
    assert "origin has no branch topic" in answer.err
    clones.ada.ok("pull", "-q", "origin", "main")
    assert (clones.ada.directory / "b").read_text() == "b\n"
    assert clones.ada("pull", "origin", "nothing").code == 3
    clones.ada.ok("switch", "-q", "--detach", "HEAD")
    assert clones.ada("pull").code == 3


def test_a_remote_that_is_not_there(clones):
    clones.ada.ok("remote", "set-url", "origin", "../nothing")
    answer = clones.ada("pull")
    assert answer.code == 14
    assert "nothing" in answer.err


def test_sync(clones, bob):
    ada = clones.ada
    ada.ok("sync")
    assert (ada.directory / "b").read_text() == "b\n"
    assert ada.ok("sync").err == "Both sides are the same\n"
    mine = clones.commit(ada, "ada's", {"c": "c\n"})
    ada.ok("sync")
    assert clones.there("main") == mine
    clones.commit(bob, "bob again", {"b": "bb\n"})
    before = bob.ok("rev-parse", "HEAD").out
    answer = bob("sync")
    assert answer.code == 12
    assert "main and origin/main have both gone on, by 1 and 1\nhint: dsvc pull" in answer.err
    assert bob.ok("rev-parse", "HEAD").out == before
    assert bob.ok("rev-parse", "origin/main").out.strip() == mine, "what was fetched stays"
    bob.ok("pull", "-q")
    bob.ok("sync")
    ada.ok("switch", "-q", "-c", "topic")
    ada.ok("sync")
    assert clones.there("topic") == ada.ok("rev-parse", "HEAD").out.strip()
