"""Merge requests on a hub: what it asks for, who may say what, and what it does not let anybody get around."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.commands.conftest import Answer
from tests.hub.conftest import HubHost, Person
from tests.hub.test_access import refusals

APPROVED = '[[protect]]\nrefs = ["main"]\napprovals = 1\n'


def refused(answer: Answer, *words: str) -> None:
    assert answer.code == 14, answer.err
    for word in words:
        assert word in answer.err


@pytest.fixture
def team(host: HubHost) -> tuple[Person, Person, Person]:
    """Ada (owner), Walt and Bo (writers) with clones of `vision`; main takes one approval."""
    ada = host.user("ada", "owner").start("vision")
    ada.commit("first", code=b"1\n2\n3\n4\n5\n6\n7\n8\n9\n", other=b"x\n")
    ada.ok("push")
    host.rules(APPROVED)
    return ada, host.user("walt", "writer").clone("vision"), host.user("bo", "writer").clone("vision")


def asked(person: Person, branch: str = "topic", **files: bytes) -> str:
    """Open a request with one commit; return the commit."""
    person.ok("switch", "-q", "-c", branch, "origin/main")
    commit = person.commit(f"on {branch}", **(files or {"code": b"1\n2\n3\n4\n5\n6\n7\n8\nnine\n"}))
    person.ok("request", "open", "--into", "main")
    return commit


def main_of(person: Person) -> str:
    return person.ok("ls-remote", "origin", "main").out.split()[0]


def test_a_request_from_opening_to_merge(host: HubHost, team: tuple[Person, Person, Person]) -> None:
    ada, walt, _ = team
    before = main_of(ada)
    commit = asked(walt)
    refused(walt("push", "origin", "HEAD:main"), "main takes 1 approval", "dsvc request open --into main")

    answer = walt("request", "merge", "1")
    assert answer.code == 1
    assert "0 of 1 approval that" in answer.err
    shown = ada.ok("request", "show", "1")
    assert "Approvals: 0 of 1 (none)" in shown.out
    assert "advice" not in shown.out
    ada.ok("request", "approve", "1", "-m", "fine")
    assert "1 of 1 (ada)" in walt.ok("request", "show", "1").out
    walt.ok("request", "merge", "1")
    made = ada.ok("request", "show", "1", "--json").json
    assert made["state"] == "merged"
    assert made["author"]["account"] == "walt"
    assert [e["author"]["account"] for e in made["events"]] == ["walt", "ada", "walt"]
    assert made["merge"]["way"] == "merge"
    ada.ok("pull", "-q")
    assert ada.ok("rev-parse", "HEAD^1", "HEAD^2").out.split() == [before, commit]
    assert "Approved-by: ada" in ada.ok("log", "-1").out
    log = host.hub("log", str(host.folder), "vision").out
    assert "walt  vision  push: request 1: merge, main" in log
    ada.ok("fsck", "--remote", str(host.repo("vision")))


def test_an_approval_is_of_one_commit(host: HubHost, team: tuple[Person, Person, Person]) -> None:
    ada, walt, bo = team
    asked(walt)
    ada.ok("request", "show", "1")
    ada.ok("request", "approve", "1")
    walt.commit("more", extra=b"more\n")
    assert "1 approval of the version before no longer counts" in walt.ok("request", "update").err
    answer = walt("request", "merge", "1")
    assert answer.code == 1
    assert "the one by ada is of an earlier version" in answer.err
    assert "was not looked at here" in ada("request", "approve", "1").err
    ada.ok("request", "diff", "1")
    ada.ok("request", "approve", "1")
    ada.ok("request", "approve", "1", "--withdraw")
    assert walt("request", "merge", "1").code == 1
    bo.ok("request", "show", "1")
    bo.ok("request", "approve", "1")
    walt.ok("request", "merge", "1", "--squash")
    ada.ok("pull", "-q")
    assert ada.ok("log", "--format=%s %an", "-2").out.splitlines()[0] == "on topic walt"


def test_nobody_approves_their_own(host: HubHost, team: tuple[Person, Person, Person]) -> None:
    _, walt, bo = team
    asked(walt)
    assert "your own commits" in walt("request", "approve", "1").err
    walt.environment["DSVC_USER_EMAIL"] = "somebody@else"
    assert "your own commits" in walt("request", "approve", "1").err, "the hub says whose they are"
    bo.ok("request", "checkout", "1")
    bo.commit("bo's part", bo=b"1\n")
    bo.ok("request", "update")
    assert "your own commits" in bo("request", "approve", "1").err
    bo.ok("request", "show", "1")
    assert walt("request", "merge", "1").code == 1


def test_readers_take_part_where_they_may(host: HubHost, team: tuple[Person, Person, Person]) -> None:
    ada, walt, _ = team
    asked(walt)
    rita = host.user("rita", "reader").clone("vision")
    assert "topic -> main" in rita.ok("request", "list").out
    refused(rita("request", "comment", "1", "-m", "why?"), "may read vision and not push")
    host.rules(APPROVED + 'approvers = ["writer", "owner"]\n')
    rules = 'requests = ["reader", "writer", "owner"]\n' + APPROVED
    host.rules(rules)
    rita.ok("request", "comment", "1", "-m", "why?")
    rita.ok("request", "show", "1")
    refused(rita("request", "approve", "1"), "approvals of rita (reader) do not count for main")
    refused(rita("request", "close", "1"), "opened by somebody else")
    refused(rita("push", "origin", "main:mine"), "may read vision and not push to it")
    rita.ok("switch", "-q", "-c", "mine")
    rita.commit("rita's", rita=b"1\n")
    rita.ok("request", "open")
    rita.ok("run", "-q", "--", "sh", "-c", "echo 2 >made")
    rita.commit("rita's more", rita=b"2\n")
    rita.ok("request", "update")
    ada.ok("request", "show", "2")
    ada.ok("request", "approve", "2")
    refused(rita("request", "merge", "2"), "may read vision and not push to it")
    assert ada.ok("runs", "--json").json["runs"] == []
    ada.ok("request", "merge", "2")
    walt.ok("fetch", "-q")
    for person in (ada, walt):  # what the request's commits name has a name there now
        (row,) = person.ok("runs", "--json").json["runs"]
        assert row["command"].startswith("sh -c")


def test_conflicts_are_named_and_settled_in_the_branch(host: HubHost, team: tuple[Person, Person, Person]) -> None:
    ada, walt, bo = team
    asked(walt)
    asked(bo, "second", code=b"1\n2\n3\n4\n5\n6\n7\n8\nNINE\n")
    for person, number in ((ada, 1), (walt, 2)):
        person.ok("request", "show", str(number))
        person.ok("request", "approve", str(number))
    ada.ok("request", "merge", "1", "--delete-branch")
    answer = ada("request", "merge", "2")
    assert answer.code == 13
    assert "request 2 conflicts with main in code" in answer.err
    assert "conflicts in code" in bo.ok("request", "show", "2").out
    bo.ok("fetch", "-q")
    assert bo("merge", "origin/main").code == 13
    (bo.directory / "code").write_bytes(b"1\n2\n3\n4\n5\n6\n7\n8\nNine\n")
    bo.ok("resolve", "code")
    bo.ok("commit", "-q", "-m", "settled")
    bo.ok("request", "update")
    assert ada("request", "merge", "2").code == 1, "what settles a conflict is looked at too"
    walt.ok("request", "show", "2")
    walt.ok("request", "approve", "2")
    ada.ok("request", "merge", "2")
    ada.ok("pull", "-q")
    assert (ada.directory / "code").read_bytes().endswith(b"Nine\n")


def test_a_hub_makes_merges_by_rows_and_keys_again(host: HubHost, team: tuple[Person, Person, Person]) -> None:
    ada, walt, bo = team
    table = b"id,n\n1,a\n2,b\n3,c\n"
    host.rules("")
    ada.commit("table", **{"t.csv": table, "p.json": b'{"x": 1, "y": 2}\n'})
    ada.ok("push")
    host.rules(APPROVED)
    for person in (walt, bo):
        person.ok("fetch", "-q")
    asked(walt, **{"t.csv": table.replace(b"1,a", b"1,A"), "p.json": b'{"x": 5, "y": 2}\n'})
    asked(bo, "other", **{"t.csv": table.replace(b"2,b", b"2,B"), "p.json": b'{"x": 1, "y": 6}\n'})
    for number in ("1", "2"):
        ada.ok("request", "show", number)
        ada.ok("request", "approve", number)
        walt.ok("request", "merge", number)
    ada.ok("pull", "-q")
    assert (ada.directory / "t.csv").read_bytes() == b"id,n\n1,A\n2,B\n3,c\n"
    assert (ada.directory / "p.json").read_bytes() == b'{"x": 5, "y": 6}\n'


def test_a_request_outlives_its_branch(host: HubHost, team: tuple[Person, Person, Person]) -> None:
    ada, walt, _ = team
    commit = asked(walt)
    walt.ok("push", "-q", "-u", "origin", "topic")
    walt.ok("push", "-q", "--delete", "origin", "topic")
    host.admin.ok("init", "-q")
    host.admin.ok("gc", "--remote", str(host.repo("vision")))
    ada.ok("request", "checkout", "1")
    assert ada.ok("rev-parse", "HEAD").out.strip() == commit
    assert refusals(host) == []


def typed(person: Person, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dsvc", "request", *words]
    return subprocess.run(
        command, cwd=person.directory, env=person.environment, capture_output=True, text=True, check=False
    )


def test_many_people_at_once(host: HubHost, team: tuple[Person, Person, Person], tmp_path: Path) -> None:
    _, walt, _ = team
    asked(walt)
    people = [host.user(f"p{number}", "writer").clone("vision") for number in range(8)]
    for number, person in enumerate(people):
        person.ok("switch", "-q", "-c", f"b{number}")
        person.commit("mine", **{f"f{number}": b"1\n"})
    answers: list[subprocess.CompletedProcess[str]] = []

    def act(number: int, person: Person) -> None:
        answers.append(typed(person, "open"))
        answers.append(typed(person, "comment", "1", "-m", f"from {number}"))

    threads = [threading.Thread(target=act, args=item) for item in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.stderr for a in answers if a.returncode] == []
    found = walt.ok("request", "list", "--json").json["requests"]
    assert sorted(r["number"] for r in found) == list(range(1, len(people) + 2))
    assert len({r["source"] for r in found}) == len(people) + 1
    said = walt.ok("request", "show", "1", "--json").json
    assert {e["text"] for e in said["events"] if e["event"] == "comment"} == {f"from {n}" for n in range(len(people))}


def test_an_approval_that_is_taken_back_while_a_merge_is_checked(
    host: HubHost, team: tuple[Person, Person, Person]
) -> None:
    """Between the hub's look at it and the move of the target."""
    ada, walt, _ = team
    asked(walt)
    before = main_of(ada)
    ada.ok("request", "show", "1")
    ada.ok("request", "approve", "1")
    begun, go = host.folder / "begun", host.folder / "go"
    host.hook(
        "pre-receive",
        "import pathlib, sys, time\n"
        "if any(line.split()[2] == 'heads/main' for line in sys.stdin):\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n"
        "    for _ in range(600):\n"
        f"        if pathlib.Path({str(go)!r}).exists():\n"
        "            break\n"
        "        time.sleep(0.05)\n",
    )
    merged: list[Answer] = []
    merging = threading.Thread(target=lambda: merged.append(walt("request", "merge", "1")))
    merging.start()
    while not begun.exists() and merging.is_alive():
        merging.join(0.05)
    assert begun.exists(), merged
    ada.ok("request", "approve", "1", "--withdraw")
    go.touch()
    merging.join(60)
    assert merged[0].code == 1
    assert "0 of 1 approval that" in merged[0].err
    assert main_of(ada) == before
    assert ada.ok("request", "show", "1", "--json").json["state"] == "open"
