"""Two people work through a hub: what they push arrives, in their names."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from tests.hub.conftest import HubHost

BIG = random.Random(5).randbytes(3_000_000)


def test_a_push_and_a_clone(host: HubHost) -> None:
    ada = host.user("ada", "owner").start("team/vision")
    first = ada.commit("first", code=b"print(1)\n", big=BIG)
    ada.ok("tag", "-m", "the first", "v1")
    ada.ok("push", "--tags", "origin", "main")

    bob = host.user("bob", "writer", "--repo", "team/*").clone("team/vision")
    assert (bob.directory / "big").read_bytes() == BIG
    assert bob.ok("rev-parse", "HEAD").out.strip() == first
    second = bob.commit("second", code=b"print(2)\n")
    bob.ok("push")
    ada.ok("pull", "--ff-only")
    assert ada.ok("rev-parse", "HEAD").out.strip() == second
    for person in (ada, bob):
        person.ok("fsck")

    lines = host.hub("log", str(host.folder), "team/vision").out.splitlines()
    assert [line.split()[3] for line in lines] == ["bob", "ada", "ada"]
    entries = host.hub("log", str(host.folder), "--json").json["entries"]
    assert [entry["what"] for entry in entries] == ["push", "push", "init"]
    listed = host.hub("user", "list", str(host.folder), "--json").json["users"]
    assert entries[0]["key"] == next(u for u in listed if u["name"] == "bob")["keys"][0]["fingerprint"]
    assert "team/vision" in host.hub("repos", str(host.folder)).out


def test_a_partial_clone_and_its_content(host: HubHost) -> None:
    ada = host.user("ada", "owner").start("vision")
    ada.commit("first", code=b"1\n", big=BIG)
    ada.ok("push")
    bob = host.user("bob", "reader")
    bob.ok("clone", "-q", "--no-data", bob.address("vision"), "some")
    some = replace(bob, directory=bob.directory / "some")
    some.ok("data", "get")
    assert (some.directory / "big").read_bytes() == BIG


def test_a_hub_is_not_encrypted(host: HubHost, tmp_path: Path) -> None:
    ada = host.user("ada", "owner").start("vision")
    ada.commit("first", code=b"1\n")
    ada.ok("remote", "add", "--key-file", str(tmp_path / "key"), "sealed", ada.address("vision"))
    refused = ada("push", "sealed", "main")
    assert refused.code == 14
    assert "cannot check what is encrypted" in refused.err


def test_upkeep_is_done_on_the_host(host: HubHost) -> None:
    ada = host.user("ada", "owner").start("vision")
    for number in range(3):
        ada.commit(f"{number}", code=b"%d\n" % number)
        ada.ok("push")
    assert ada("gc", "--remote", "origin").code == 14
    ada.ok("gc", "--remote", str(host.repo("vision")))
    ada.commit("after", code=b"after\n")
    ada.ok("push")
    host.person("ada").clone("vision").ok("fsck")
