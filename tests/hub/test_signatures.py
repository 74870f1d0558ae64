"""A hub that takes signed commits, tags and approvals only."""

from __future__ import annotations

import pytest

from tests.hub.conftest import HubHost, Person
from tests.hub.test_rules import refused

PROTECTED = 'signatures = "protected"\n[[protect]]\nrefs = ["main", "tags/v*"]\n'


@pytest.fixture
def ada(host: HubHost) -> Person:
    host.rules(PROTECTED)
    return host.user("ada", "owner").start("vision")


def test_commits(host: HubHost, ada: Person) -> None:
    key = host.key("ada")
    first = ada.commit("first", code=b"1\n")
    refused(ada("push"), f"commit {first[:10]} needs a signature", "it has none")
    ada.ok("push", "origin", "HEAD:topic")
    ada.ok("commit", "-q", "--amend", "-m", "first", f"-S{key}")
    refused(ada("push"), "needs a signature of somebody whom this hub knows: this hub has no list of allowed signers")
    host.signers("ada")
    ada.ok("push")
    unsigned = ada.commit("second", code=b"2\n")
    ada.ok("push", "origin", "HEAD:other")
    ada.ok("commit", "-q", "--allow-empty", "-m", "third", f"-S{key}")
    refused(ada("push"), f"commit {unsigned[:10]}", "dsvc rebase -S")
    ada.ok("rebase", "-q", f"-S{key}", "HEAD~2")
    ada.ok("push")
    ada.ok("config", "commit.sign", "true")
    ada.ok("config", "user.signingKey", str(key))
    ada.commit("fourth", code=b"4\n")
    ada.ok("push")

    walt = host.user("walt", "writer").clone("vision")
    walt.ok("switch", "-q", "main")
    walt.ok("commit", "-q", "--allow-empty", "-m", "walt's", f"-S{host.key('walt')}")
    refused(walt("push"), "no line of the allowed signers names this key")
    host.signers("ada", "walt", options='valid-before="20260101Z"')
    refused(walt("push"), "expired")
    host.signers("ada", "walt")
    (host.folder / "revoked_keys").write_text(host.key("walt").with_suffix(".pub").read_text())
    refused(walt("push"), "its key is revoked")
    (host.folder / "revoked_keys").unlink()
    walt.ok("push")


def test_tags(host: HubHost, ada: Person) -> None:
    key = host.key("ada")
    host.signers("ada")
    ada.commit("unsigned", code=b"1\n")
    ada.ok("tag", "w1")
    ada.ok("push", "origin", "w1")
    ada.ok("tag", "v1")
    refused(ada("push", "origin", "v1"), "commit", "needs a signature")
    ada.ok("commit", "-q", "--amend", "-m", "signed", f"-S{key}")
    ada.ok("push", "origin", "main")
    ada.ok("tag", "-m", "unsigned", "v2")
    refused(ada("push", "origin", "v2"), "the tag v2 needs a signature", "dsvc tag -s v2 makes a signed one")
    ada.ok("tag", "-m", "signed", "-u", str(key), "v3")
    ada.ok("push", "origin", "v3")
    ada.ok("tag", "v4")
    ada.ok("push", "origin", "v4")


def test_everything(host: HubHost, ada: Person) -> None:
    host.rules('signatures = "all"\n')
    host.signers("ada")
    ada.commit("unsigned", code=b"1\n")
    for target in ("main", "topic", "tags/w1"):
        refused(ada("push", "origin", f"HEAD:{target}"), "needs a signature")
    ada.ok("commit", "-q", "--amend", "-m", "signed", f"-S{host.key('ada')}")
    ada.ok("push", "origin", "HEAD:topic")
    (host.folder / "allowed_signers").unlink()
    ada.ok("push", "origin", "HEAD:other")  # what a branch has was looked at when it came
    ada.ok("commit", "-q", "--allow-empty", "-m", "more", f"-S{host.key('ada')}")
    refused(ada("push", "origin", "HEAD:other"), "needs a signature")


def test_approvals_are_signed_too(host: HubHost, ada: Person) -> None:
    host.rules('signatures = "protected"\n[[protect]]\nrefs = ["main"]\napprovals = 1\n')
    host.signers("ada")
    ada.commit("first", code=b"1\n")
    ada.ok("commit", "-q", "--amend", "-m", "first", f"-S{host.key('ada')}")
    ada.ok("push")
    walt = host.user("walt", "writer").clone("vision")
    walt.ok("switch", "-q", "-c", "topic")
    walt.commit("unsigned", code=b"2\n")
    walt.ok("request", "open")
    ada.ok("request", "show", "1")
    answer = ada("request", "approve", "1")
    assert answer.code == 3
    assert "no key to sign with" in answer.err
    refused(ada("request", "approve", "1", "--no-sign"), "signed by somebody whom this hub knows", "approve 1 -S")
    ada.ok("request", "approve", "1", f"-S{host.key('ada')}")
    assert ", signed" in walt.ok("request", "show", "1").out
    refused(walt("request", "merge", "1", f"-S{host.key('walt')}"), "needs a signature")
    walt.ok("commit", "-q", "--amend", "-m", "signed", f"-S{host.key('walt')}")
    walt.ok("request", "update")
    host.signers("ada", "walt")
    ada.ok("request", "show", "1")
    ada.ok("request", "approve", "1", f"-S{host.key('ada')}")
    refused(walt("request", "merge", "1"), "needs a signature")
    walt.ok("request", "merge", "1", f"-S{host.key('walt')}")
    host.signers("walt")
    ada.ok("pull", "-q")
    assert ada.ok("log", "-1", "--format=%s").out == "Merge request 1: unsigned\n"
