"""Who gets in, where to, and that a key of the hub opens nothing else."""

from __future__ import annotations

import subprocess

import pytest

from tests.hub.conftest import HubHost


def run(host: HubHost, name: str, *command: str) -> subprocess.CompletedProcess[bytes]:
    """Let somebody run a command on the host by the plain `ssh` program."""
    words = [*host.ssh(name), "127.0.0.1", *command]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)


def refusals(host: HubHost) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = host.hub("log", str(host.folder), "--refused", "--json").json["entries"]
    return entries


def test_roles(host: HubHost) -> None:
    ada = host.user("ada", "owner").start("team/vision")
    ada.commit("first", code=b"1\n")
    ada.ok("push")
    head = ada.ok("rev-parse", "HEAD").out

    reader = host.user("rita", "reader").clone("team/vision")
    reader.commit("mine", code=b"2\n")
    refused = reader("push")
    assert refused.code == 14
    assert "rita may read team/vision and not push to it" in refused.err
    assert refusals(host)[0]["account"] == "rita"

    host.user("walt", "writer", "--repo", "other/*")
    stranger = host.person("walt")
    absent = stranger("clone", stranger.address("team/vision"), "x")
    missing = stranger("clone", stranger.address("team/nothing"), "y")
    assert absent.code == missing.code == 14
    assert absent.err.replace("vision", "nothing") == missing.err, "nobody learns which repositories there are"

    assert stranger("clone", stranger.address("other/new"), "z").code == 14
    writer = stranger.start("other/new")
    writer.commit("first", code=b"1\n")
    refused = writer("push")
    assert refused.code == 14
    assert "walt (writer) may not make one" in refused.err
    assert not host.repo("other/new").exists()

    host.hub("user", "role", str(host.folder), "rita", "writer", "--authorized-keys", str(host.doors))
    reader.ok("push")
    assert ada.ok("ls-remote").out.count(head.strip()) == 0
    host.hub("user", "remove", str(host.folder), "rita", "--authorized-keys", str(host.doors))
    reader.commit("more", code=b"3\n")
    out = reader("push")
    assert out.code == 14
    assert "does not let you in" in out.err


def test_an_account_that_is_taken_away_meanwhile(host: HubHost) -> None:
    """sshd let it in by a line that somebody else put there: the hub asks its own file."""
    ada = host.user("ada", "owner").start("vision")
    ada.commit("first", code=b"1\n")
    elsewhere = host.base / "other_keys"
    host.hub("user", "remove", str(host.folder), "ada", "--authorized-keys", str(elsewhere))
    refused = ada("push")
    assert refused.code == 14
    assert "the hub has no account 'ada' any more" in refused.err


def test_no_shell_and_no_other_command(host: HubHost) -> None:
    host.user("ada", "owner")
    witness = host.base / "witness"
    for command in (
        ["ls", "/"],
        ["dsvc", "version"],
        ["dsvc", "hub", "user", "list", str(host.folder)],
        ["dsvc", "hub", "serve", "--below", "/", "x"],
        [f"dsvc hub serve x; touch {witness}"],
        [f"dsvc hub serve $(touch {witness})"],
        [f"dsvc hub serve x\ntouch {witness}"],
        ["sh", "-c", f"'dsvc hub serve x; touch {witness}'"],
        ["python3 -c 'print(1)' hub serve x"],
        ["dsvc hub serve 'x"],
        [],
    ):
        done = run(host, "ada", *command)
        assert done.returncode == 14, command
        assert done.stdout == b"", command
        assert b"dsvc" in done.stderr, command
    assert not witness.exists()
    assert len(refusals(host)) == 11
    sftp = subprocess.run(
        [*host.ssh("ada")[:-4], "-p", str(host.server.port), "-l", host.server.user, "-s", "127.0.0.1", "sftp"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert sftp.returncode == 14
    forward = subprocess.run(
        [*host.ssh("ada"), "-o", "ExitOnForwardFailure=yes", "-W", f"127.0.0.1:{host.server.port}", "127.0.0.1"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert forward.returncode != 0
    assert b"SSH-2.0" not in forward.stdout


@pytest.mark.parametrize(
    "path",
    [
        "../vision", "a/../../vision", "/etc/passwd/../x", "~root/x", "vision;ls", "$(ls)", "a//b", ".hidden", "a b",
        "x\n", "a/b/c/d/e", "vision/packs", "vision/inside", "link", "link/inner", "team", "ж", "x.tmp", "", "/",
        "%2e%2e",
    ],
)  # fmt: skip
def test_paths_that_are_no_repository(host: HubHost, path: str) -> None:
    from tests.hub.attacker import Attacker

    host.user("ada", "owner")
    outside = host.base / "outside"
    for folder in ("vision", "team/one"):
        (host.repo(folder) / "cells").mkdir(parents=True)
    (outside / "cells").mkdir(parents=True)
    host.repo("link").symlink_to(outside)
    before = sorted(p.relative_to(host.base) for p in host.base.rglob("*") if "hub/refused" not in str(p))
    with Attacker(host, "ada", path) as attacker:
        answer = attacker.hello(create=True)
    assert answer["error"]["kind"] == "denied", answer
    assert "no name of a repository" in answer["error"]["message"]
    after = sorted(p.relative_to(host.base) for p in host.base.rglob("*") if "hub/refused" not in str(p))
    assert after == before, "nothing was made"
    assert len(refusals(host)) == 1
