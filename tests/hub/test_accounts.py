"""Accounts and the lines of authorized_keys, without a server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dsvc.hub.accounts import Account, Grant
from dsvc.hub.rules import TEMPLATE, Rules, decode_rules
from tests.commands.conftest import CommandLine, cli

__all__ = ["cli"]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, words in {
        "ed25519": ["-t", "ed25519"],
        "ecdsa": ["-t", "ecdsa", "-b", "384"],
        "rsa": ["-t", "rsa", "-b", "2048"],
        "small": ["-t", "rsa", "-b", "1024"],
    }.items():
        path = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", *words, "-N", "", "-C", f"{name} of ada", "-f", path], check=True)
        found[name] = tmp_path / f"{name}.pub"
    return found


@pytest.fixture
def hub(cli: CommandLine) -> CommandLine:
    """A command line beside a hub in `hub`."""
    cli.ok("hub", "init", "hub")
    return cli


def add(hub: CommandLine, name: str, key: Path, *words: str) -> tuple[int, str]:
    answer = hub("hub", "user", "add", "hub", name, "--key", str(key), "--authorized-keys", "keys", *words)
    return answer.code, answer.err


def test_lines_of_others_stay(hub: CommandLine, keys: dict[str, Path]) -> None:
    file = hub.directory / "keys"
    other = f"# mine\n\n   {keys['rsa'].read_text()}no newline at the end"
    file.write_text(other)
    file.chmod(0o640)
    assert add(hub, "ada", keys["ed25519"], "--role", "owner")[0] == 0
    assert add(hub, "ada", keys["ecdsa"])[0] == 0
    text = file.read_text()
    assert text.startswith(other + "\n")
    ours = text.removeprefix(other + "\n").splitlines()
    assert len(ours) == 2
    for line in ours:
        assert line.startswith('restrict,command="')
        assert f"hub shell --hub {hub.directory}/hub --user ada --key SHA256:" in line
        assert line.endswith("of ada")
    assert file.stat().st_mode & 0o777 == 0o640
    fingerprint = hub.ok("hub", "user", "list", "hub", "--json").json["users"][0]["keys"][0]["fingerprint"]
    told = subprocess.run(["ssh-keygen", "-lf", keys["ed25519"]], capture_output=True, text=True, check=True)
    assert fingerprint in told.stdout
    hub.ok("hub", "user", "remove", "hub", "ada", "--key", fingerprint, "--authorized-keys", "keys")
    assert len(file.read_text().removeprefix(other).splitlines()) == 2
    hub.ok("hub", "user", "remove", "hub", "ada", "--authorized-keys", "keys")
    assert file.read_text() == other + "\n"


def test_two_hubs_in_one_file(hub: CommandLine, keys: dict[str, Path]) -> None:
    assert add(hub, "ada", keys["ed25519"], "--role", "owner")[0] == 0
    hub.ok("hub", "init", "hub 'two\"")
    hub.ok(
        "hub", "user", "add", "hub 'two\"", "bob", "--key", str(keys["rsa"]), "--role", "reader",
        "--authorized-keys", "keys",
    )  # fmt: skip
    assert len((hub.directory / "keys").read_text().splitlines()) == 2
    hub.ok("hub", "user", "remove", "hub 'two\"", "bob", "--authorized-keys", "keys")
    (line,) = (hub.directory / "keys").read_text().splitlines()
    assert "--user ada" in line


def test_keys_that_are_refused(hub: CommandLine, keys: dict[str, Path], tmp_path: Path) -> None:
    good = keys["ed25519"].read_text().strip()
    kind, data, _ = good.split(" ", 2)
    for text, reason in {
        "": "it is empty",
        "hello": "no type of key",
        f"no-pty {good}": "no type of key",
        f'command="sh" {good}': "no type of key",
        f"{good}\nnonsense": "no type of key",
        kind: "only its type",
        f"{kind} !!!!": "not base64",
        f"{kind} {data[:-8]}": "not the ssh-ed25519",
        f"ssh-rsa {data}": "not the ssh-rsa",
        f"ssh-dss {data}": "no type of key",
        f"{kind} {data} a\x07bell": "control characters",
        keys["small"].read_text(): "shorter than 2,048 bits",
        (tmp_path / "ed25519").read_text(): "private key",
    }.items():
        (tmp_path / "bad").write_text(text)
        code, said = add(hub, "ada", tmp_path / "bad", "--role", "writer")
        assert code == 3, text
        assert reason in said, text
    assert not (hub.directory / "keys").exists()
    assert hub.ok("hub", "user", "list", "hub").out == ""
    assert add(hub, "a b", keys["rsa"], "--role", "writer")[0] == 3
    assert add(hub, "../x", keys["rsa"], "--role", "writer")[0] == 3
    assert add(hub, "ada", keys["rsa"], "--role", "writer", "--repo", "a b")[0] == 3
    assert add(hub, "ada", keys["rsa"])[0] == 3, "a new account needs a role"
    assert add(hub, "ada", keys["rsa"], "--role", "king")[0] == 2
    assert add(hub, "ada", keys["rsa"], "--role", "writer")[0] == 0
    code, said = add(hub, "bob", keys["rsa"], "--role", "writer")
    assert (code, "ada has the key" in said) == (3, True)


def test_a_key_that_opens_a_shell_already(hub: CommandLine, keys: dict[str, Path]) -> None:
    (hub.directory / "keys").write_text(f'environment="A=b c" {keys["rsa"].read_text()}')
    code, said = add(hub, "ada", keys["rsa"], "--role", "writer")
    assert code == 3
    assert "has a line of its own" in said
    assert "take line 1 out" in said
    assert hub.ok("hub", "user", "list", "hub").out == ""


def test_grants() -> None:
    account = Account("ada", (), (Grant("reader"), Grant("writer", "team/*"), Grant("owner", "team/mine")))
    assert [account.role(name) for name in ("x", "team/x", "team/mine", "team/a/b")] == [
        "reader", "writer", "owner", "writer",
    ]  # fmt: skip
    assert Account("bob", (), (Grant("owner", "team"),)).role("teams") is None


def test_roles_are_set_and_taken(hub: CommandLine, keys: dict[str, Path]) -> None:
    assert add(hub, "ada", keys["rsa"], "--role", "reader", "--repo", "a/*", "--repo", "b")[0] == 0
    door = ("--authorized-keys", "keys")
    hub.ok("hub", "user", "role", "hub", "ada", "owner", "--repo", "b", *door)
    hub.ok("hub", "user", "role", "hub", "ada", "none", "--repo", "a/*", *door)
    (user,) = hub.ok("hub", "user", "list", "hub", "--json").json["users"]
    assert user["grants"] == [{"role": "owner", "repos": "b"}]
    assert hub("hub", "user", "role", "hub", "eve", "owner", *door).code == 3
    (hub.directory / "hub" / "accounts").write_text("{}")
    assert hub("hub", "user", "list", "hub").code == 15


def test_the_template_says_the_defaults() -> None:
    assert decode_rules(TEMPLATE.encode()) == Rules()
    lines = [line.removeprefix("# ") if " = " in line else line for line in TEMPLATE.splitlines()]
    assert decode_rules("\n".join(lines).encode()) == Rules()


def test_a_folder_that_is_no_hub(cli: CommandLine) -> None:
    assert cli("hub", "user", "list", ".").code == 10
    (cli.directory / "x").write_text("x")
    assert cli("hub", "init", ".").code == 3
    cli.ok("hub", "init", "new")
    assert cli("hub", "init", "new").code == 3
    (cli.directory / "new" / "format").write_text('{"dsvc hub": 2}')
    assert cli("hub", "user", "list", "new").code == 16
