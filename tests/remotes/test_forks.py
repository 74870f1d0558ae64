"""Forks of places: the same in folders, over SSH and in buckets, within one place and from one to another."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine, cli
from tests.remotes.test_everywhere import Team, _team
from tests.servers.seaweed import Seaweed
from tests.servers.sshd import sshd

__all__ = ["cli", "sshd"]


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(params=["folder", "ssh", "s3"])
def team(request: pytest.FixtureRequest, tmp_path: Path, cli: CommandLine) -> Team:
    return _team(request, request.param, tmp_path, dict(cli.environment))


def commit(person: CommandLine, message: str, **files: bytes) -> str:
    for name, data in files.items():
        (person.directory / name).write_bytes(data)
    person.ok("commit", "-qm", message)
    return person.ok("rev-parse", "HEAD").out.strip()


def clone(team: Team, name: str, address: str) -> CommandLine:
    there = Team(address, team.options, team.base, team.environment)
    return there.clone(name)


def test_a_family(team: Team) -> None:
    ada = team.first("ada")
    commit(ada, "first", code=b"print(1)\n", big=noise(1, 700_000))
    ada.ok("push", "-q")
    mine = f"{team.address}-mine"
    said = ada.ok("fork", "origin", mine, "--json").json
    assert said["shares"] is True
    assert said["bytes_copied"] == 0
    again = ada("fork", "origin", mine)
    assert again.code == 14
    assert "already" in again.err

    bob = clone(team, "bob", mine)
    assert bob.ok("config", "remote.upstream.url").out.strip() == team.address
    theirs = commit(bob, "of bob", extra=noise(2, 500_000))
    bob.ok("push", "-q")
    head = commit(ada, "second", code=b"print(2)\n")
    ada.ok("push", "-q")
    assert theirs not in ada.ok("ls-remote").out
    assert bob("sync", "--from", "upstream").code == 12
    bob.ok("merge", "-q", "upstream/main")
    bob.ok("push", "-q")
    assert bob("merge-base", "--is-ancestor", head, "HEAD").code == 0

    listed = ada.ok("hub", "forks", "origin", "--json").json
    assert [one["name"] for one in listed["repositories"]] == [team.address, mine]
    assert [one["parent"] for one in listed["repositories"]] == [None, team.address]
    assert 1_200_000 < listed["bytes"] < 1_300_000, "what both have is stored once"
    assert listed["repositories"][1]["bytes_own"] > 490_000

    for person in (bob, ada):
        gone = person.ok("gc", "--remote", "origin", "--prune=now", "--json").json
        assert gone["repositories"] == 2
        person.ok("fsck", "--remote", "origin", "--full")
    assert ada.ok("hub", "forks", "origin", "--json").json["bytes"] < 1_300_000
    eve = clone(team, "eve", mine)
    assert (eve.directory / "extra").read_bytes() == noise(2, 500_000)
    assert (eve.directory / "code").read_bytes() == b"print(2)\n"


def test_purge_in_one_keeps_the_other(team: Team) -> None:
    ada = team.first("ada")
    commit(ada, "first", secret=noise(3, 900), code=b"1\n")
    ada.ok("push", "-q")
    mine = f"{team.address}-mine"
    ada.ok("fork", "origin", mine)
    ada.ok("purge", "--remote", "origin", "--yes", "--reason", "a key", "secret")
    ada.ok("fsck", "--remote", "origin", "--full")
    bob = clone(team, "bob", mine)
    assert (bob.directory / "secret").read_bytes() == noise(3, 900)
    bob.ok("fsck", "--remote", "origin", "--full")
    bob.ok("gc", "--remote", "origin", "--prune=now")
    eve = team.clone("eve", "--no-checkout")
    assert eve.ok("cat", "HEAD:code").raw == b"1\n"
    gone = eve("cat", "HEAD:secret")
    assert gone.code != 0
    assert "a key" in gone.err


def test_purge_in_the_whole_family(team: Team) -> None:
    ada = team.first("ada")
    secret = b"a password\n" * 40_000
    commit(ada, "first", code=b"print(1)\n", secret=secret)
    ada.ok("push", "-q")
    mine = f"{team.address}-mine"
    ada.ok("fork", "-q", "origin", mine)
    bob = clone(team, "bob", mine)
    kept = commit(bob, "of bob", more=b"more\n")
    bob.ok("push", "-q")
    ada.ok("rm", "-q", "secret")
    commit(ada, "without", code=b"print(2)\n")
    done = ada.ok("purge", "--remote", "origin", "--forks", "--yes", "--reason", "a key", "secret", "--json").json
    assert done["remote_repositories"] == 2
    for name, address in (("eve", mine), ("fred", team.address)):
        after = Team(address, team.options, team.base, team.environment).clone(name, "--no-checkout")
        assert "a key" in after("cat", "HEAD~1:secret" if name == "eve" else "HEAD:secret").err
        assert after("fsck").code == 0
    for name in ("origin", "upstream"):
        assert bob("fsck", "--remote", name, "--full").code == 0
    assert kept in bob.ok("ls-remote").out
    if team.address.startswith("/"):
        packs = list(Path(team.address, "packs").iterdir())
        assert packs
        assert sum(path.stat().st_size for path in packs) < 20_000
    assert ada("purge", "secret", "--forks", "--reason", "x", "--yes").code == 2


def test_a_fork_is_deleted_by_its_address(team: Team) -> None:
    ada = team.first("ada")
    commit(ada, "first", code=b"1\n", big=noise(4, 400_000))
    ada.ok("push", "-q")
    mine, other = f"{team.address}-mine", f"{team.address}-other"
    ada.ok("fork", "-q", "origin", mine)
    bob = clone(team, "bob", mine)
    theirs = commit(bob, "of bob", extra=noise(5, 500_000))
    bob.ok("push", "-q")
    bob.ok("fork", "-q", "origin", other)
    assert ada("fork", "--delete", mine).code == 2, "nobody was asked"
    refused = ada("fork", "--delete", "origin", "--yes")
    assert refused.code == 3
    assert "is no fork" in refused.err
    assert bob.ok("fork", "--delete", "origin", "--yes", "--json").json["shared_with"] == 2
    commit(bob, "too late", late=b"late\n")
    gone = bob("push")
    assert gone.code != 0
    assert ada("ls-remote", mine).code != 0
    assert ada("fork", "--delete", mine, "--yes").code != 0

    ada.ok("gc", "--remote", "origin", "--prune=now")
    eve = clone(team, "eve", other)
    assert eve.ok("rev-parse", "HEAD").out.strip() == theirs
    assert eve("fsck").code == 0
    assert eve.ok("fork", "--delete", "origin", "--yes", "--json").json["shared_with"] == 1
    assert int(ada.ok("gc", "--remote", "origin", "--prune=now", "--json").json["bytes_freed"]) > 480_000
    assert ada("fsck", "--remote", "origin", "--full").code == 0
    ada.ok("fork", "-q", "origin", f"{team.address}-again")
    assert clone(team, "fay", f"{team.address}-again").ok("rev-parse", "HEAD").out == ada.ok("rev-parse", "HEAD").out


def test_to_another_place(team: Team, tmp_path: Path) -> None:
    ada = team.first("ada")
    commit(ada, "first", code=b"print(1)\n", big=noise(1, 700_000))
    ada.ok("push", "-q")
    ada.ok("tag", "v1")
    ada.ok("push", "-q", "--tags")
    copy = tmp_path / "elsewhere" / "copy"
    words = ["--copy"] if team.address.startswith("/") else []
    said = ada.ok("fork", *words, "origin", str(copy), "--json").json
    assert said["shares"] is False
    assert said["bytes_copied"] > 700_000
    eve = clone(Team(str(copy), (), tmp_path, team.environment), "eve", str(copy))
    assert (eve.directory / "big").read_bytes() == noise(1, 700_000)
    assert "v1" in eve.ok("tag").out
    parent = eve.ok("config", "remote.upstream.url").out.strip()
    assert parent in (team.address, f"file://{team.address}")
    eve.ok("fsck", "--remote", "origin", "--full")
    if team.address.startswith("s3://"):
        head = commit(ada, "second", code=b"print(2)\n")
        ada.ok("push", "-q")
        eve.ok("sync", "--from", "upstream", "--push")
        assert eve.ok("rev-parse", "origin/main").out.strip() == head


def test_of_a_working_copy_to_a_place(team: Team) -> None:
    ada = team.first("ada")
    commit(ada, "first", code=b"print(1)\n", big=noise(1, 700_000))
    ada.ok("remote", "rename", "origin", "there")
    ada.ok("fork", ".", "there")
    eve = clone(team, "eve", team.address)
    assert (eve.directory / "big").read_bytes() == noise(1, 700_000)
    assert [line.split("\t")[1] for line in eve.ok("ls-remote").out.splitlines()] == ["HEAD", "heads/main"]


def test_an_encrypted_remote_is_not_forked(tmp_path: Path, cli: CommandLine) -> None:
    cli.ok("init", "-q")
    commit(cli, "first", a=b"a")
    cli.ok("remote", "add", "--encrypt", "--key-file", str(tmp_path / "key"), "origin", str(tmp_path / "sealed"))
    cli.ok("push", "-q")
    for source in ("origin", f"file://{tmp_path}/sealed"):
        refused = cli("fork", source, f"file://{tmp_path}/mine")
        assert refused.code == 3, refused.err
        assert "an encrypted remote is not forked" in refused.err
        assert not (tmp_path / "mine").exists()


def test_places_that_are_taken_or_within_each_other(tmp_path: Path, cli: CommandLine) -> None:
    cli.ok("init", "-q")
    commit(cli, "first", a=b"a")
    cli.ok("remote", "add", "origin", str(tmp_path / "shared"))
    cli.ok("push", "-q")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    for target in ("full", "shared", "shared/inside", ""):
        refused = cli("fork", "origin", f"file://{tmp_path}/{target}")
        assert refused.code == 14, (target, refused.err)
    missing = cli("fork", f"file://{tmp_path}/nothing", f"file://{tmp_path}/mine")
    assert missing.code == 14
    assert not (tmp_path / "mine").exists()
    assert cli("fork", "origin").code == 2


def test_a_family_that_is_moved(tmp_path: Path, cli: CommandLine) -> None:
    """The way between places is what they remember, so the folder around them may be moved."""
    cli.ok("init", "-q")
    commit(cli, "first", a=b"a")
    cli.ok("remote", "add", "origin", str(tmp_path / "srv" / "shared"))
    cli.ok("push", "-q")
    cli.ok("fork", "origin", f"file://{tmp_path}/srv/mine")
    (tmp_path / "srv").rename(tmp_path / "moved")
    cli.ok("clone", "-q", str(tmp_path / "moved" / "mine"), str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "a").read_bytes() == b"a"
    (tmp_path / "moved" / "shared").rename(tmp_path / "away")
    lost = cli("clone", "-q", str(tmp_path / "moved" / "mine"), str(tmp_path / "again"))
    assert lost.code == 14
    assert f"the pool with its packs is not at {tmp_path}/moved/shared" in lost.err


def test_in_a_bucket_a_fork_takes_few_requests(seaweed: Seaweed, tmp_path: Path, cli: CommandLine) -> None:
    environment = {**cli.environment, **seaweed.environment}
    ada = CommandLine(cli.directory, environment)
    ada.ok("init", "-q")
    bucket = seaweed.bucket()
    ada.ok("remote", "add", "origin", f"s3://{bucket}/one")
    for number in range(3):
        commit(ada, f"c{number}", a=noise(number, 1000))
        ada.ok("push", "-q")
    assert ada("fork", "origin", f"s3://{bucket}/one/two").code == 14
    assert ada.ok("fork", f"s3://{bucket}/one", f"s3://{bucket}/two").out.strip() == f"s3://{bucket}/two"
    ada.ok("fork", f"s3://{bucket}/two", f"s3://{bucket}/three/deep")
    ada.ok("remote", "add", "third", f"s3://{bucket}/three/deep")
    ada.ok("fetch", "-q", "third")
    assert len(ada.ok("hub", "forks", "third", "--json").json["repositories"]) == 3
