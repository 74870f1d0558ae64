"""A hub that delivers: the steps of what was pushed run there, and their runs come back."""

from __future__ import annotations

import json
import re
import time

from dsvc.actions.ci_hook import LOGS
from tests.hub.conftest import HubHost
from tests.hub.test_rules import started

STEPS = b"""
[[delivery.steps]]
name = "note"
secrets = ["HUB_TOKEN"]
run = "echo $DSVC_EVENT $DSVC_REF $(dsvc rev-parse HEAD) with $HUB_TOKEN in $(basename $PWD)"
"""
NONE = "0" * 64


def logs(host: HubHost) -> str:
    return "".join(path.read_text() for path in sorted((host.folder / LOGS).glob("*.log")))


def test_a_push_is_delivered(host: HubHost) -> None:
    ada, walt = started(host)
    host.admin.ok("ci", "init", "hub", str(host.folder))
    hook = host.folder / "hooks" / "post-receive"
    hook.write_text(hook.read_text().replace("exec ", "export HUB_TOKEN=abc-123-xyz\nexec "))
    walt.commit("steps", **{"dsvc.toml": STEPS})
    pushed = walt.ok("push")
    assert re.search(r"remote: delivery has begun; its log is vision-\d{8}T\d{6}\.\d{6}\.log\n", pushed.err)
    steps: list[dict[str, str]] = []
    patience = time.monotonic() + 240
    while not steps and time.monotonic() < patience:
        ada.ok("fetch", "-q")
        steps = ada.ok("ci", "list", "--json").json["steps"]
        time.sleep(0.2)
    commit = walt.ok("rev-parse", "HEAD").out.strip()
    assert [(s["step"], s["event"], s["ref"], s["commit"], s["state"]) for s in steps] == [
        ("note", "commit", "main", commit, "done")
    ]
    assert ada.ok("runs", "show", steps[0]["run"], "--log").out == f"commit main {commit} with *** in vision\n"
    while "note" not in logs(host) and time.monotonic() < patience:
        time.sleep(0.05)
    assert logs(host) == "commit main: note: ran\n"
    assert "abc-123-xyz" not in logs(host)


def test_why_nothing_was_delivered_is_said(host: HubHost) -> None:
    _, walt = started(host)
    walt.commit("steps", **{"dsvc.toml": STEPS})
    walt.ok("push")
    hub, tip = host.admin, walt.ok("rev-parse", "HEAD").out.strip()
    hub.stdin = f"{NONE} {tip} heads/main\n".encode()
    answer = hub("ci", "hook", "--wait", directory=host.repo("vision"))
    assert answer.out == "commit main: dsvc: step note needs the secret HUB_TOKEN\n"
    walt.commit("a wrong key", **{"dsvc.toml": STEPS + b"comand = 1\n"})
    walt.ok("push")
    tip = walt.ok("rev-parse", "HEAD").out.strip()
    hub.stdin = f"{NONE} {tip} heads/main\n".encode()
    [event] = hub("ci", "hook", "--wait", "--json", directory=host.repo("vision")).json["events"]
    assert (event["exit_code"], event["steps"]) == (3, [])
    assert event["error"] == "dsvc: dsvc.toml: step note has the unknown key 'comand'"


def test_what_counts(host: HubHost) -> None:
    ada, walt = started(host)
    walt.commit("steps", **{"dsvc.toml": STEPS})
    walt.ok("push")
    walt.ok("switch", "-q", "-c", "side")
    side = walt.commit("on the side", code=b"side\n")
    walt.ok("tag", "v2")
    walt.ok("push", "-u", "origin", "side", "v2")
    walt.ok("switch", "-q", "main")
    walt.ok("tag", "v1")
    walt.ok("push", "origin", "v1")
    walt.ok("merge", "-q", "--no-ff", "side", "-m", "join")
    merged = walt.ok("rev-parse", "HEAD").out.strip()
    first = walt.ok("rev-parse", "v1").out.strip()

    def delivered(*lines: str, words: tuple[str, ...] = ()) -> list[tuple[str, str, int]]:
        hub = host.admin
        hub.stdin = "".join(f"{line}\n" for line in lines).encode()
        hub.environment["HUB_TOKEN"] = "abc-123-xyz"
        answer = hub("ci", "hook", "--wait", "--json", *words, directory=host.repo("vision"))
        return [(e["event"], e["ref"], e["exit_code"]) for e in json.loads(answer.raw)["events"]]

    tip = walt.ok("rev-parse", "side").out.strip()
    assert delivered(f"{NONE} {tip} heads/side") == []  # not the default branch
    assert delivered(f"{NONE} {tip} heads/side", words=("--branch", "s*")) == [("commit", "side", 0)]
    assert delivered(f"{NONE} {first} tags/v1", f"{NONE} {tip} tags/v2") == [("tag", "v1", 0)]  # not v2
    assert delivered(f"{tip} {NONE} heads/main") == []
    walt.ok("push")
    assert delivered(f"{first} {merged} heads/main") == [("merge", "main", 0)]
    assert delivered(f"{NONE} {first} models/churn/stages/prod") == [("promote", "churn@prod", 0)]
    assert delivered(f"{NONE} {first} models/churn/versions/1") == []
    assert side == tip
    assert ada.ok("fetch", "-q").code == 0


def test_another_hook_stays(host: HubHost) -> None:
    started(host)
    host.hook("post-receive", "print('mine')\n")
    answer = host.admin("ci", "init", "hub", str(host.folder))
    assert (answer.code, "says something else" in answer.err) == (3, True)
    assert host.admin("ci", "init", "hub", str(host.base)).code == 3
    assert host.admin("ci", "init", "hub").code == 2


def test_lines_that_are_none(host: HubHost) -> None:
    started(host)
    host.admin.stdin = b"heads/main\n"
    assert host.admin("ci", "hook", directory=host.repo("vision")).code == 2
