"""A Docker engine of the tests' own, on a socket of its own: Debian's docker.io, without bridge and firewall rules."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

DOCKERD = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
_READY = 60  # seconds


class NoEngineError(Exception):
    """No engine can run here; the text says why."""


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """The address of the engine, for DOCKER_HOST."""
    try:
        with running_engine() as host:
            yield host
    except NoEngineError as error:
        pytest.skip(str(error))


@contextmanager
def running_engine() -> Iterator[str]:
    """Start an engine and return its address; raises NoEngineError."""
    if DOCKERD is None or os.geteuid() != 0:
        raise NoEngineError("needs dockerd and root")
    folder = Path(tempfile.mkdtemp(prefix="dsvc-docker-"))  # a path that is short enough for a socket
    host = f"unix://{folder}/docker.sock"
    words = [DOCKERD, "--host", host, "--data-root", folder / "data", "--exec-root", folder / "exec",
             "--pidfile", folder / "docker.pid", "--bridge", "none", "--iptables=false", "--ip6tables=false",
             "--ip-forward=false", "--ip-masq=false"]  # fmt: skip
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        if not _answers(host, process):
            raise NoEngineError(f"dockerd does not run here: {(folder / 'log').read_text()[-300:]}")
        yield host
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()
        subprocess.run(["umount", folder / "exec" / "netns" / "default"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(host: str, process: subprocess.Popen[bytes]) -> bool:
    import docker

    end = time.monotonic() + _READY
    while time.monotonic() < end and process.poll() is None:
        with suppress(docker.errors.DockerException):
            docker.DockerClient(host).ping()
            return True
        time.sleep(0.2)
    return False
