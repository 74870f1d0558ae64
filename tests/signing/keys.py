"""Throwaway SSH keys and an agent, by the real programs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
needs_ssh_agent = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="needs ssh-agent")


def make_key(path: Path, *options: str, passphrase: str = "") -> Path:
    """A private key at `path`, its public one beside it."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", path.name, "-f", str(path), *options]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return path


def public(key: Path) -> str:
    """The text of a public key."""
    return key.with_name(key.name + ".pub").read_text().strip()


def fingerprint(key: Path) -> str:
    """What ssh-keygen calls a key."""
    answer = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True)
    return answer.stdout.split()[1]


@contextmanager
def agent(folder: Path, *keys: Path) -> Iterator[str]:
    """An agent that has these keys; yields its socket. It ends with the block."""
    socket = folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while not socket.exists():
            assert process.poll() is None, "the agent ended"
            assert time.monotonic() < until, "the agent does not answer"
            time.sleep(0.01)
        for key in keys:
            environment = {"SSH_AUTH_SOCK": str(socket), "PATH": "/usr/bin:/bin"}
            subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, capture_output=True)
        yield str(socket)
    finally:
        process.terminate()
        process.wait()
