"""A hub behind a real sshd, and people with keys of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands.conftest import Answer, CommandLine, cli
from tests.servers.sshd import SSHD, Sshd, start_sshd, stop_sshd

__all__ = ["cli"]

Write = Callable[..., Answer]


@dataclass
class HubHost:
    """A machine with sshd and a hub in `folder`; `admin` types there."""

    server: Sshd
    base: Path
    folder: Path
    admin: CommandLine

    @property
    def doors(self) -> Path:
        return self.server.folder / "authorized_keys"

    def hub(self, *words: str) -> Answer:
        """`dsvc hub ...`, which has to go well."""
        return self.admin.ok("hub", *words)

    def user(self, name: str, role: str, *words: str) -> Person:
        """Let somebody in with a new key."""
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        key = folder / "key"
        if not key.exists():
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}'s key", "-f", key]
            subprocess.run(keygen, check=True)
        self.hub(
            "user", "add", str(self.folder), name, "--key", f"{key}.pub", "--role", role,
            "--authorized-keys", str(self.doors), *words,
        )  # fmt: skip
        return self.person(name)

    def person(self, name: str) -> Person:
        folder = self.base / name
        environment = {
            **self.admin.environment,
            "DSVC_USER_NAME": name,
            "DSVC_USER_EMAIL": f"{name}@example.com",
            "DSVC_SSH_COMMAND": " ".join(self.ssh(name)),
        }
        return Person(folder, environment, host=self)

    def ssh(self, name: str) -> list[str]:
        """The words of `ssh` with the key of one person."""
        server = self.server
        return [
            "ssh", "-F", "none", "-i", str(self.base / name / "key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null",
            "-p", str(server.port), "-l", server.user,
        ]  # fmt: skip

    def repo(self, name: str) -> Path:
        return self.folder / "repos" / name

    def key(self, name: str) -> Path:
        """The private key of one person; the public half lies beside it."""
        return self.base / name / "key"

    def signers(self, *names: str, options: str = 'namespaces="dsvc"') -> None:
        """Say whose signatures the hub accepts."""
        lines = [f"{name}@example.com {options} {self.key(name).with_suffix('.pub').read_text()}" for name in names]
        (self.folder / "allowed_signers").write_text("".join(lines))

    def rules(self, text: str) -> None:
        (self.folder / "rules.toml").write_text(text)

    def hook(self, name: str, script: str) -> None:
        path = self.folder / "hooks" / name
        path.write_text(f"#!{sys.executable}\n{script}")
        path.chmod(0o755)


@dataclass
class Person(CommandLine):
    """Types commands in a folder of their own."""

    host: HubHost | None = None

    def address(self, repository: str) -> str:
        return f"ssh://127.0.0.1/{repository}"

    def start(self, repository: str) -> Person:
        """Make a project whose origin is a repository of the hub."""
        project = self.directory / repository.replace("/", "-")
        project.mkdir()
        mine = Person(project, self.environment, host=self.host)
        mine.ok("init", "-q")
        mine.ok("remote", "add", "origin", self.address(repository))
        return mine

    def clone(self, repository: str) -> Person:
        folder = repository.replace("/", "-") + "-clone"
        self.ok("clone", "-q", self.address(repository), folder)
        return Person(self.directory / folder, self.environment, host=self.host)

    def commit(self, message: str, **files: bytes) -> str:
        for name, data in files.items():
            (self.directory / name).write_bytes(data)
        self.ok("commit", "-q", "-m", message)
        return self.ok("rev-parse", "HEAD").out.strip()


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    server, process = start_sshd(tmp_path_factory.mktemp("hub-sshd"))
    yield server
    stop_sshd(process)


@pytest.fixture
def host(hub_server: Sshd, tmp_path: Path, cli: CommandLine) -> HubHost:
    """A new hub; nobody but its accounts can log in."""
    (hub_server.folder / "authorized_keys").write_text("# keys of this machine\n")
    made = HubHost(hub_server, tmp_path, tmp_path / "hub", cli)
    made.hub("init", str(made.folder))
    return made
