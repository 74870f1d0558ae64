"""A real OpenSSH server on a free port of this machine, with throwaway keys, and a user's SSH folder that knows it."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
DSVC = f"{sys.executable} -m dsvc hub serve"  # what the far end runs: the program under test


@dataclass(frozen=True)
class Sshd:
    """`host` is the name under which `config` (a file for `ssh -F`) reaches the server."""

    folder: Path
    port: int
    user: str
    host: str = "far"

    @property
    def key(self) -> Path:
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def options(self) -> tuple[str, ...]:
        """Words for the `ssh` program."""
        return ("-F", str(self.config))


def start_sshd(folder: Path, *, home: Path | None = None) -> tuple[Sshd, subprocess.Popen[bytes]]:
    """Start a server whose files are in `folder`; end it with `stop_sshd`. `home` stands for the account's folder."""
    for name in ("host_key", "user_key", "other_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
        "MaxStartups 100\nMaxSessions 100\nPrintMotd no\nLogLevel ERROR\n"
        + (f"SetEnv HOME={home}\n" if home is not None else "")
    )
    host_key = (folder / "host_key.pub").read_text().rsplit(" ", 1)[0]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    user = getpass.getuser()
    (folder / "config").write_text(
        f"Host far\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {folder}/user_key\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it
    log = open(folder / "log", "wb")  # noqa: SIM115
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdout=log, stderr=log)
    log.close()
    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                if connection.recv(4) == b"SSH-":
                    return Sshd(folder, port, user), process
        except OSError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.05)
    stop_sshd(process)
    pytest.fail(f"sshd does not start: {(folder / 'log').read_text()}")


def stop_sshd(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(10)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all tests of a session."""
    if SSHD is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    server, process = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    stop_sshd(process)
