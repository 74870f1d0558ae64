"""Settings for all SSH hosts and all buckets: `ssh.KEY` and `s3.KEY`."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from dsvc.config.keys import known_keys
from dsvc.remotes.s3.settings import S3Settings
from dsvc.remotes.ssh.settings import SshSettings
from tests.commands.conftest import CommandLine, cli
from tests.servers.rclone import rclone
from tests.servers.seaweed import Seaweed
from tests.servers.sshd import DSVC, Sshd, sshd

__all__ = ["cli", "rclone", "sshd"]

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guides" / "remotes.md"
ADDRESSED = {"ssh": {"host", "path", "user", "port", "interactive"}, "s3": {"bucket", "prefix"}}


@pytest.fixture
def ada(cli: CommandLine) -> CommandLine:
    cli.ok("init", "-q")
    (cli.directory / "a").write_text("a")
    cli.ok("commit", "-q", "-m", "first")
    return cli


def beside(person: CommandLine, name: str) -> CommandLine:
    return CommandLine(person.directory.parent / name, person.environment)


def test_all_ssh_hosts(ada: CommandLine, sshd: Sshd, tmp_path: Path) -> None:
    ada.environment["DSVC_SSH_COMMAND"] = "ssh"
    ada.ok("config", "--user", "ssh.command", DSVC)
    ada.ok("config", "--user", "ssh.options", "--", f"-F{sshd.config}")
    ada.ok("push", "-q", f"ssh://{sshd.host}{tmp_path}/hub", "main")  # an address alone has no settings of its own
    ada.ok("remote", "add", "origin", f"{sshd.host}:{tmp_path}/hub")
    ada.ok("fetch", "-q")
    ada.ok("clone", "-q", f"ssh://{sshd.host}{tmp_path}/hub", "../bob")
    assert (beside(ada, "bob").directory / "a").read_text() == "a"
    ada.ok("remote", "check", "--quick")


def test_a_remote_s_own_setting_comes_first(ada: CommandLine, sshd: Sshd, tmp_path: Path) -> None:
    ada.environment["DSVC_SSH_COMMAND"] = f"ssh -F {sshd.config}"
    ada.ok("config", "ssh.command", "no-such-program")
    ada.ok("config", "ssh.server", "dsvc")
    ada.ok("remote", "add", "origin", f"{sshd.host}:{tmp_path}/hub")
    refused = ada("push")
    assert refused.code == 14
    assert "no-such-program" in refused.err
    ada.ok("config", "remote.origin.command", DSVC)
    ada.ok("push", "-q")


def test_all_buckets(ada: CommandLine, seaweed: Seaweed) -> None:
    ada.environment.update(seaweed.environment)
    del ada.environment["AWS_ENDPOINT_URL_S3"]
    ada.ok("config", "--user", "s3.endpoint", seaweed.endpoint)
    ada.ok("config", "--user", "s3.partSize", "5MiB")
    address = f"s3://{seaweed.bucket()}/project"
    ada.ok("push", "-q", address, "main")
    ada.ok("clone", "-q", address, "../bob")
    bob = beside(ada, "bob")
    assert (bob.directory / "a").read_text() == "a"
    bob.ok("config", "remote.origin.endpoint", "http://127.0.0.1:9")
    bob.ok("config", "remote.origin.attempts", "1")
    assert "127.0.0.1:9" in bob("fetch").err


def test_a_single_writer_of_all_buckets(ada: CommandLine, seaweed: Seaweed, rclone: str) -> None:
    ada.environment.update(seaweed.environment)  # for its keys
    ada.ok("config", "s3.endpoint", rclone)
    ada.ok("remote", "add", "origin", "s3://bucket/project")
    assert "--single-writer" in ada("push").err
    ada.ok("config", "s3.singleWriter", "true")
    ada.ok("push", "-q")
    assert "one machine alone may write here" in " ".join(ada.ok("remote", "check", "--quick").out.split())


def test_a_clone_may_be_the_single_writer(ada: CommandLine, seaweed: Seaweed, rclone: str) -> None:
    """As where the machine that pushed until now is no more."""
    ada.environment.update({**seaweed.environment, "AWS_ENDPOINT_URL_S3": rclone})
    ada.ok("remote", "add", "--single-writer", "origin", "s3://bucket/project")
    ada.ok("push", "-q")
    ada.ok("clone", "-q", "s3://bucket/project", "../reader")
    ada.ok("clone", "-q", "--single-writer", "s3://bucket/project", "../bob")
    for name, code in (("reader", 14), ("bob", 0)):
        person = beside(ada, name)
        person.ok("commit", "-q", "--allow-empty", "-m", "second")
        assert person("push", "-q").code == code
    answer = ada("clone", "--single-writer", ".", "../other")
    assert (answer.code, "--single-writer is for buckets" in answer.err) == (2, True)
    assert not (ada.directory.parent / "other").exists()


def test_words_that_do_not_fit_are_refused(ada: CommandLine) -> None:
    answer = ada("config", "ssh.client", "putty")
    assert (answer.code, "auto, openssh, paramiko" in answer.err) == (3, True)
    assert "s3.region" in ada("config", "s3.regoin", "x").err
    (ada.directory / ".dsvc" / "config.toml").write_text('[s3]\nattempts = "many"\n')
    assert "s3.attempts" in ada("fetch", "s3://bucket/project").err


@pytest.mark.parametrize(("kind", "settings"), [("ssh", SshSettings), ("s3", S3Settings)])
def test_known_keys_and_the_guide_have_each_setting(kind: str, settings: type) -> None:
    names = {field.name for field in fields(settings)} - ADDRESSED[kind] | {"limit_rate"}
    wanted = {f"{kind}.{re.sub('_(.)', lambda m: m[1].upper(), name)}" for name in names}
    assert {key.name for key in known_keys() if key.name.startswith(f"{kind}.")} == wanted
    assert set(re.findall(rf"^\| `({kind}\.\w+)`", GUIDE.read_text(), re.MULTILINE)) == wanted
