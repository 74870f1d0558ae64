"""The guide of hubs, with three people on three machines and a real sshd between them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.conftest import hub_server
from tests.servers.sshd import Sshd
from tests.test_docs import DOCS, is_shown, normal

__all__ = ["hub_server"]

BLOCK = re.compile(r"^```console (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "\x1e"


def machine(folder: Path, server: Sshd) -> Path:
    """A home folder whose `ssh` knows the host of the guide."""
    ssh = folder / ".ssh"
    ssh.mkdir(parents=True)
    shutil.copy(server.known_hosts, ssh / "known_hosts")
    (ssh / "config").write_text(
        f"Host hub.example.com\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {ssh}/id_ed25519\n  IdentitiesOnly yes\n  UserKnownHostsFile {ssh}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n"
    )
    return folder


def run(home: Path, place: Path, commands: list[str], name: str) -> tuple[list[str], Path]:
    """Run commands in one shell; return what each printed with its exit code, and where the shell ended."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "DSVC_SSH_COMMAND": f"ssh -F {home}/.ssh/config",
        "DSVC_USER_NAME": name,
        "DSVC_USER_EMAIL": f"{name}@example.com",
    }
    script = "exec 2>&1\n" + "".join(f"{command}\nprintf '{END}%d{END}' $?\n" for command in commands) + "pwd\n"
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    )
    *answers, last = done.stdout.decode().split(END)
    return answers, Path(last.strip())


def test_the_guide(hub_server: Sshd, tmp_path: Path) -> None:
    # The guide to merge requests goes on where that of hubs ends.
    text = "".join((DOCS / "guides" / name).read_text() for name in ("hub.md", "requests.md"))
    blocks = BLOCK.findall(text)
    assert {name for name, _ in blocks} == {"hub", "ada", "bob"}
    homes = {name: machine(tmp_path / name, hub_server) for name in ("hub", "ada", "bob")}
    places = dict(homes)
    doors = hub_server.folder / "authorized_keys"
    doors.write_text("")
    (homes["hub"] / ".ssh" / "authorized_keys").symlink_to(doors)
    for name, block in blocks:
        for person in ("ada", "bob"):  # their public keys have come by mail
            key = homes[person] / ".ssh" / "id_ed25519.pub"
            if key.exists():
                shutil.copy(key, homes["hub"] / f"{person}.pub")
        shown: list[tuple[str, list[str]]] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                shown.append((line[2:], []))
            else:
                shown[-1][1].append(line)
        # There is no login of that name on this machine, and ssh's own configuration says which one is meant.
        commands = [command.replace("ssh://dsvc@", "ssh://") for command, _ in shown]
        answers, places[name] = run(homes[name], places[name], commands, name)
        for (command, lines), output, code in zip(shown, answers[::2], answers[1::2], strict=True):
            announced = re.search(r"# exit code (\d+)$", command)
            assert int(code) == (int(announced[1]) if announced else 0), f"$ {command}\n{output}"
            said = iter(normal(output.replace("ssh://", "ssh://dsvc@"), homes[name]).splitlines())
            for line in lines:
                assert any(is_shown(line, candidate) for candidate in said), f"$ {command}\n{output}\nlacks: {line}"


def test_the_rules_of_the_guide_are_rules() -> None:
    from dsvc.hub.rules import decode_rules

    (block,) = re.findall(r"^```toml\n(.*?)^```$", (DOCS / "guides" / "hub.md").read_text(), re.MULTILINE | re.DOTALL)
    rules = decode_rules(block.encode())
    assert rules.signatures == "protected"
    assert rules.protect[0].rewind == ()


def test_the_example_of_the_format_page() -> None:
    from dsvc.hub.accounts import decode_accounts, encode_accounts

    page = (DOCS / "formats" / "hub.md").read_text()
    (block,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    accounts = decode_accounts(block.encode())
    assert decode_accounts(encode_accounts(accounts.values())) == accounts
    assert accounts["ada"].role("any/thing") == "owner"


@pytest.mark.parametrize("key", ["create", "signatures", "hook_seconds", "protect"])
def test_every_rule_is_on_the_format_page(key: str) -> None:
    from dataclasses import fields

    from dsvc.hub.rules import Limits, Protection, Rules

    page = (DOCS / "formats" / "hub.md").read_text()
    assert f"| `{key}` |" in page
    assert key in {field.name for field in fields(Rules)}
    assert all(f"`limits.{field.name}`" in page for field in fields(Limits))
    assert all(f"`{field.name}`" in page for field in fields(Protection))
