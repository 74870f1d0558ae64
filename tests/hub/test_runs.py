"""Runs on a hub: whoever may write may record them, and nobody moves or removes one."""

from __future__ import annotations

from dsvc.objects.ids import Kind
from tests.commands.test_runs_travel import add_runs, opened, put_run, runs
from tests.hub.attacker import Attacker
from tests.hub.conftest import HubHost
from tests.hub.test_attacks import offer
from tests.hub.test_rules import refused, started


def test_a_writer_shares_runs(host: HubHost) -> None:
    ada, walt = started(host)
    add_runs(walt, range(3), log=b"log of ")
    walt.ok("push")
    add_runs(ada, [5])
    assert " * 1 run\n" in ada.ok("push").err
    assert " * 3 runs\n" in ada.ok("fetch").err
    assert runs(ada) == ["r000000", "r000001", "r000002", "r000005"]
    reader = host.user("rita", "reader").clone("vision")
    assert runs(reader) == runs(ada)
    add_runs(reader, [9])
    refused(reader("push"), "may read vision and not push to it")


def test_many_runs_go_up_in_several_steps(host: HubHost) -> None:
    host.rules("[limits]\npush_refs = 1500\n")
    ada, walt = started(host)
    add_runs(walt, range(2_200))
    walt.ok("push")
    ada.ok("fetch")
    assert len(runs(ada)) == 2_200


def test_nobody_moves_or_removes_a_run(host: HubHost) -> None:
    ada, _ = started(host)
    add_runs(ada, range(2))
    ada.ok("push")
    repo = opened(ada)
    first, second = (repo.view().get(f"runs/r{number:06}") for number in range(2))
    commit = repo.view().get("heads/main")
    mine, other = ([int(Kind.RUN), bytes(ref.id)] for ref in (first, second))
    put_run(repo, 7)
    repo.close()
    for name in ("ada", "walt"):
        with Attacker(host, name, "vision") as mallory:
            mallory.hello()
            assert "made once and stays" in offer(mallory, [], ["runs/r000000", mine, None])
            assert "made once and stays" in offer(mallory, [], ["runs/r000000", mine, other])
            wrong = [int(Kind.COMMIT), bytes(commit.id)]
            for ref in ("runs/x", "models/m/versions/1", "deployments/d"):
                assert "points to something else" in offer(mallory, [], [ref, None, wrong])
            assert "needs what was not pushed" in offer(mallory, [], ["runs/x", None, [int(Kind.RUN), b"r" * 32]])
    assert "what is made once stays" in ada("push", "-d", "origin", "runs/r000000").err
    ada.ok("fetch")
    assert runs(ada) == ["r000000", "r000001"]
