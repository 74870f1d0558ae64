"""Working copies beside each other: each has datasets of its own, cloned and not copied."""

from __future__ import annotations

from tests.zfs.conftest import Project


def test_a_fork_clones(project):
    said = project.pool.dsvc(project.folder.parent, "fork", "-q", str(project.folder), "fork")
    assert said.code == 0, said.err
    fork = Project(project.pool, project.folder.parent / "fork", project.dataset)
    assert (fork.data / "a").read_text() == "one\n"
    (fork.data / "a").write_text("of the fork\n")
    fork.commit("in the fork")
    assert (project.data / "a").read_text() == "one\n"
    assert project.ok("status", "--json").json["clean"]
    assert fork.ok("status", "--json").json["clean"]


def test_a_worktree_clones_and_its_removal_harms_nobody(project):
    project.ok("worktree", "add", "-q", "-b", "other", "../beside")
    beside = Project(project.pool, project.folder.parent / "beside", project.dataset)
    (beside.data / "a").write_text("beside\n")
    beside.commit("beside")
    project.ok("worktree", "remove", "../beside")
    assert not beside.folder.exists()
    project.ok("merge", "-q", "other")
    assert (project.data / "a").read_text() == "beside\n"


def test_a_merge_takes_the_state_that_follows_the_other(project):
    project.ok("switch", "-q", "-c", "other")
    (project.data / "a").write_text("two\n")
    project.commit("second")
    project.ok("switch", "-q", "main")
    (project.folder / "code").write_text("x\n")
    project.commit("code")
    project.ok("merge", "-q", "other", "-m", "both")
    assert (project.data / "a").read_text() == "two\n"
    assert project.ok("status", "--json").json["clean"]


def test_a_merge_of_two_changed_states_is_a_conflict_and_a_side_can_be_taken(project):
    project.ok("switch", "-q", "-c", "other")
    (project.data / "a").write_text("theirs\n")
    project.commit("theirs")
    project.ok("switch", "-q", "main")
    (project.data / "a").write_text("ours\n")
    project.commit("ours")
    assert project("merge", "other").code == 13
    assert (project.data / "a").read_text() == "ours\n"
    project.ok("resolve", "--theirs", "data")
    assert (project.data / "a").read_text() == "theirs\n"
    project.ok("commit", "-q", "-m", "merged")
    assert project.ok("status", "--json").json["clean"]
