"""The backend over SSH keeps the contract, through the user's own program and through paramiko."""

import os
from pathlib import Path

import pytest

from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.storage.conformance import CHECKS
from tests.servers.sshd import DSVC, Sshd, sshd

__all__ = ["sshd"]


@pytest.mark.parametrize("client", ["openssh", "paramiko"])
@pytest.mark.parametrize("server", ["dsvc", "sftp"])
@pytest.mark.parametrize("name", CHECKS)
def test_ssh(name: str, server: str, client: str, sshd: Sshd, tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    settings = SshSettings(sshd.host, path, client=client, server=server, command=DSVC, options=sshd.options)
    opened = []

    def open_one():
        opened.append(open_ssh(settings, environment=os.environ, create=True))
        return opened[-1]

    try:
        CHECKS[name](open_one, tmp_path)
    finally:
        for backend in opened:
            backend.close()
