"""Two people work on one project over each kind of place: the same commands, the same results."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dsvc.remotes.encryption.keyslots import make_key_file
from tests.commands.conftest import Answer, CommandLine, cli
from tests.servers.seaweed import Seaweed
from tests.servers.sshd import DSVC, Sshd, sshd

__all__ = ["cli", "sshd"]


@dataclass
class Team:
    """People by name, each with a folder of their own; `address` is the place that they share."""

    address: str
    options: tuple[str, ...]
    base: Path
    environment: dict[str, str]

    def person(self, name: str) -> CommandLine:
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        environment = {**self.environment, "DSVC_USER_NAME": name, "DSVC_USER_EMAIL": f"{name}@example.com"}
        return CommandLine(folder, environment)

    def clone(self, name: str, *words: str) -> CommandLine:
        person = self.person(name)
        set_options = [word for option in self.options for word in ("-c", f"remote.origin.{option}")]
        answer = person(*set_options, "clone", *words, self.address, "project")
        assert answer.code == 0, answer.err
        clone = CommandLine(person.directory / "project", person.environment)
        for option in self.options:
            key, _, value = option.partition("=")
            clone.ok("config", f"remote.origin.{key}", value)
        return clone

    def first(self, name: str) -> CommandLine:
        person = self.person(name)
        person.ok("init", "-q")
        person.ok("remote", "add", "origin", self.address)
        for option in self.options:
            key, _, value = option.partition("=")
            person.ok("config", f"remote.origin.{key}", value)
        return person


Make = Callable[[str], Team]


@pytest.fixture(params=["folder", "ssh", "s3", "encrypted folder", "encrypted ssh", "encrypted s3"])
def team(request: pytest.FixtureRequest, tmp_path: Path, cli: CommandLine) -> Team:
    environment = dict(cli.environment)
    *encrypted, place = request.param.split()
    made = _team(request, place, tmp_path, environment)
    if encrypted:
        make_key_file(tmp_path / "key")
        made = replace(made, options=(*made.options, f"keyFile={tmp_path}/key"))
    return made


def _team(request: pytest.FixtureRequest, place: str, tmp_path: Path, environment: dict[str, str]) -> Team:
    if place == "folder":
        return Team(str(tmp_path / "shared"), (), tmp_path, environment)
    if place == "ssh":
        server: Sshd = request.getfixturevalue("sshd")
        options = (f"command={DSVC}",)
        environment["DSVC_SSH_COMMAND"] = f"ssh -F {server.config}"
        return Team(f"ssh://{server.host}{tmp_path}/shared", options, tmp_path, environment)
    weed: Seaweed = request.getfixturevalue("seaweed")
    return Team(f"s3://{weed.bucket()}/project", (), tmp_path, environment | weed.environment)


def write(person: CommandLine, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = person.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def commit(person: CommandLine, message: str, files: dict[str, bytes]) -> Answer:
    write(person, files)
    return person.ok("commit", "-q", "-m", message)


BIG = random.Random(7).randbytes(5_000_000)


def test_two_people(team: Team) -> None:
    ada = team.first("ada")
    commit(ada, "first", {"code/train.py": b"print(1)\n", "data/big.bin": BIG, "empty": b""})
    (ada.directory / "code" / "train.py").chmod(0o755)
    (ada.directory / "link").symlink_to("code/train.py")
    (ada.directory / "nothing" / "here").mkdir(parents=True)
    ada.ok("commit", "-q", "-m", "second")
    ada.ok("tag", "-m", "the first", "v1")
    ada.ok("push", "-q", "--tags", "origin", "main")

    bob = team.clone("bob")
    assert (bob.directory / "data" / "big.bin").read_bytes() == BIG
    assert (bob.directory / "code" / "train.py").stat().st_mode & 0o111
    assert (bob.directory / "link").readlink() == Path("code/train.py")
    assert (bob.directory / "nothing" / "here").is_dir()
    assert bob.ok("status", "--porcelain").out == ""
    assert bob.ok("tag").out == "v1\n"
    assert bob.ok("rev-parse", "HEAD").out == ada.ok("rev-parse", "HEAD").out

    changed = BIG[:2_000_000] + b"changed" + BIG[2_000_000:]
    commit(bob, "bob's", {"data/big.bin": changed})
    pushed = bob.ok("push", "--json").json
    assert pushed["bytes"] < 1_000_000, "only what changed is sent"
    commit(ada, "ada's", {"code/eval.py": b"print(2)\n"})
    refused = ada("push")
    assert refused.code == 12
    assert "dsvc pull" in refused.err
    ada.ok("pull")
    assert (ada.directory / "data" / "big.bin").read_bytes() == changed
    ada.ok("push")
    bob.ok("pull", "--ff-only")
    assert (bob.directory / "code" / "eval.py").read_bytes() == b"print(2)\n"
    for person in (ada, bob):
        assert person("fsck").code == 0, person("fsck").err


def test_branches_and_deleting_them(team: Team) -> None:
    ada = team.first("ada")
    commit(ada, "first", {"a": b"a"})
    ada.ok("push")
    bob = team.clone("bob")
    bob.ok("switch", "-q", "-c", "topic")
    commit(bob, "on topic", {"b": b"b"})
    bob.ok("push")
    ada.ok("fetch")
    ada.ok("switch", "-q", "topic")
    assert (ada.directory / "b").read_bytes() == b"b"
    assert ada.ok("status", "--json").json["upstream"]["name"] == "origin/topic"
    ada.ok("switch", "-q", "main")
    bob.ok("push", "--delete", "origin", "topic")
    assert "origin/topic" in ada.ok("branch", "-r").out
    ada.ok("fetch", "--prune")
    assert "origin/topic" not in ada.ok("branch", "-r").out


def test_an_address_without_a_repository(team: Team) -> None:
    bob = team.person("bob")
    answer = bob("clone", *(["-q"]), team.address, "project") if not team.options else None
    if answer is None:
        first = team.first("ada")
        answer = first("fetch")
    assert answer.code == 14, answer.err
    assert "there is no " in answer.err
    assert not (bob.directory / "project").exists()
