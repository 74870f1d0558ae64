"""Merges that are made on a remote name the runs that wrote what they bring, and a correction for the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.runs.conftest import Project


@pytest.fixture
def bob(stages: Project) -> Project:
    """A clone of a remote that has the branch main of `stages`, which follows it too; both are on main."""
    stages.ok("remote", "add", "origin", "../remote")
    stages.ok("push", "-q", "--runs", "origin", "main")
    stages.ok("clone", "-q", "../remote", "../bob")
    who = {"DSVC_USER_NAME": "Bob Example", "DSVC_USER_EMAIL": "bob@example.com"}
    return Project(stages.folder.parent / "bob", {**stages.environment, **who})


def asks(bob: Project) -> str:
    """Let Bob open a request in which a run changed clean.csv at its begin; return the key of that run."""
    bob.ok("switch", "-qc", "topic")
    bob.ok("run", "-q", "--", "sh", "-c", "(echo 0; cat clean.csv) >new && mv new clean.csv")
    bob.ok("commit", "-qm", "At the begin")
    bob.ok("request", "open", "--into", "main")
    return key_of(bob, "@")


def key_of(project: Project, run: str) -> str:
    key: str = json.loads(project.ok("runs", "show", "--json", run))["run"]
    return key


def corrections(project: Project) -> list[dict[str, Any]]:
    return project.runs("--where", "authority = correction")


def short(keys: list[str]) -> list[str]:
    return [key[12:22] for key in keys]


def test_what_the_merge_made_is_a_correction(stages: Project, bob: Project):
    theirs = asks(bob)
    stages.ok("run", "-q", "--", "sh", "-c", "echo 99 >>clean.csv")
    stages.ok("commit", "-qm", "At the end")
    ours = key_of(stages, "@")
    stages.ok("push", "-q", "--runs", "origin", "main")
    assert theirs not in [row["run"] for row in stages.runs()], "requests bring no names of runs"
    made = json.loads(stages.ok("request", "merge", "1", "--json"))
    assert made["way"] == "merge"
    record = stages.shown(made["correction"])
    assert [pin["path"] for pin in record["outputs"]["files"]] == ["clean.csv"]
    assert [pin["path"] for pin in record["inputs"]["files"]] == ["clean.csv", "clean.csv"], "those of both sides"
    for project in (stages, bob):
        project.ok("fetch", "-q")
        assert [row["run"] for row in corrections(project)] == [made["correction"]]
        shown = project.ok("log", "-n", "1", "--graph", "origin/main")
        assert f"correction {short([made['correction']])[0]}" in shown
        told = project.ok("lineage", "origin/main:clean.csv")
        for one in short([ours, theirs]):
            assert f"run {one} " in told, told
    assert bob.ok("fsck", "--remote", "origin") == ""


def test_a_squash_names_the_runs_of_the_request(stages: Project, bob: Project):
    theirs = asks(bob)
    made = json.loads(stages.ok("request", "merge", "1", "--squash", "--json"))
    assert made["correction"] is None
    assert corrections(stages) == []
    shown = stages.ok("log", "-n", "1", "--graph", made["result"])
    assert f"run {short([theirs])[0]} sh -c" in shown
    stages.ok("clone", "-q", "../remote", "../eve")
    eve = Project(stages.folder.parent / "eve", stages.environment)
    assert key_of(eve, theirs) == theirs, "the run has its name in the remote now"


def test_what_a_run_of_the_remote_wrote_needs_no_correction(stages: Project, bob: Project):
    stages.ok("switch", "-qc", "by-hand")
    stages.write("clean.csv", "7\n")
    stages.write("provenance.txt", "by hand\n")
    stages.ok("commit", "-qm", "By hand")
    stages.ok("request", "open", "--into", "main")
    bob.ok("run", "-q", "--", "sh", "-c", "echo 7 >clean.csv")
    bob.ok("restore", "clean.csv")
    bob.ok("push", "-q", "--runs", "origin", "main")
    known = {row["run"] for row in corrections(stages)}
    assert json.loads(stages.ok("request", "merge", "1", "--squash", "--json"))["correction"] is None
    assert {row["run"] for row in corrections(stages)} == known
    assert key_of(bob, "@") in [row["run"] for row in stages.runs()]


def test_a_merge_that_fails_leaves_no_correction(stages: Project, bob: Project):
    bob.ok("run", "-q", "--", "sh", "-c", "echo 99 >>clean.csv")
    bob.ok("commit", "-qm", "At the end")
    stages.ok("remote", "add", "bob", "../bob")
    stages.ok("switch", "-qc", "topic")
    stages.ok("run", "-q", "--", "sh", "-c", "(echo 0; cat clean.csv) >new && mv new clean.csv")
    stages.ok("commit", "-qm", "At the begin")
    stages.ok("request", "open", "--remote", "bob", "--into", "main")
    refused = stages("request", "merge", "--remote", "bob", "1")
    assert b"a working copy stands on main there" in refused.stderr
    assert corrections(stages) == []
    assert corrections(bob) == []


def test_removed_runs_stay_removed(stages: Project, bob: Project):
    theirs = asks(bob)
    bob.ok("push", "-q", "--runs", "origin", "topic")
    stages.ok("fetch", "-q")
    stages.ok("runs", "rm", theirs)
    stages.ok("push", "-q", "--runs", "origin", "main")
    stages.ok("request", "merge", "1", "--ff-only")
    assert stages("runs", "show", theirs).returncode == 3
    bob.ok("fetch", "-q")
    assert bob("runs", "show", theirs).returncode == 3
