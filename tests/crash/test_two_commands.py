"""Two dsvc processes at the same moment: both succeed, or one says clearly that it was late and has lost nothing."""

import json
import os
import threading
import time

import pytest
from mortal import Project, apart


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    project.ok("init", "-q")
    for number in range(20):
        (project.folder / f"f{number}").write_text(f"{number}\n")
    project.ok("commit", "-qm", "first")
    return project


def at_once(*calls):
    """Run calls, each in a process of its own, as near to the same moment as it gets; return their answers."""
    start = time.monotonic() + 0.02
    answers = [None] * len(calls)

    def work(call):
        while time.monotonic() < start:
            pass
        project, words = call
        return project.here(*words)

    def one(number, call):
        answers[number], _ = apart(lambda: work(call))

    threads = [threading.Thread(target=one, args=(n, c)) for n, c in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in answers
    return answers


def test_commits_to_different_branches_both_succeed(project):
    project.ok("worktree", "add", "-q", "../second", "-b", "second")
    second = Project(project.folder.parent / "second")
    for number in range(20):
        (project.folder / "mine").write_text(f"{number}\n")
        (second.folder / "theirs").write_text(f"{number}\n")
        words = ("commit", "-qm", f"number {number}")
        for answer in at_once((project, words), (second, words)):
            assert answer.code == 0, answer.err
    for here in (project, second):
        assert len(here.ok("log", "--oneline").splitlines()) == 21
        assert here.ok("status", "-s") == ""
    project.ok("fsck")


def test_commits_to_the_same_branch(project):
    """Each takes one file. Both succeed in turn, or the late one is told so; then its next try works."""
    for number in range(10):
        for name in ("a", "b"):
            (project.folder / name).write_text(f"{name} {number}\n")
        calls = [(project, ("commit", "-qm", name, name)) for name in ("a", "b")]
        for name, answer in zip(("a", "b"), at_once(*calls), strict=True):
            if answer.code:
                assert answer.code == 11, answer.err
                assert "lost" in answer.err or "another" in answer.err
                assert "hint: " in answer.err
                project.ok("commit", "-qm", name, name)
        assert project.ok("status", "-s") == ""
        for name in ("a", "b"):
            assert project.ok("cat", f"HEAD:{name}") == f"{name} {number}\n"
    assert len(project.ok("log", "--oneline").splitlines()) == 21
    project.ok("fsck")


def test_status_while_another_process_switches(project):
    project.ok("switch", "-q", "-c", "other")
    for number in range(20):
        (project.folder / f"f{number}").write_text(f"other {number}\n")
    project.ok("commit", "-qm", "other")
    for number in range(10):
        goal = "main" if number % 2 == 0 else "other"
        switched, *seen = at_once(
            (project, ("switch", "-q", goal)), (project, ("status", "--json")), (project, ("status", "--json"))
        )
        assert switched.code == 0 or (switched.code == 11 and "hint: " in switched.err), switched.err
        for answer in seen:
            assert answer.code in (0, 11), answer.err
            if answer.code == 0:
                json.loads(answer.out)
        if switched.code:
            project.ok("switch", "-q", goal)
        assert project.ok("status", "-s") == ""
    assert (project.folder / "f1").read_text() == "other 1\n"
    project.ok("fsck")


def test_gc_during_commits(project):
    for number in range(10):
        (project.folder / "f1").write_text(f"new {number}\n")
        (project.folder / "big").write_bytes(os.urandom(300_000))
        prune = ("gc", "--prune=now") if number % 2 else ("gc",)
        committed, collected = at_once((project, ("commit", "-qm", str(number))), (project, prune))
        assert collected.code in (0, 11), collected.err
        if committed.code:
            assert committed.code == 11, committed.err
            assert "hint: " in committed.err
            project.ok("commit", "-qm", str(number))
        assert project.ok("status", "-s") == ""
    assert len(project.ok("log", "--oneline").splitlines()) == 11
    project.ok("fsck")
