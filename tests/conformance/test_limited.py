"""Places keep the contract at a limited rate too."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wrappers.limited import LimitedBackend, Limits
from dsvc.storage.backend import Backend
from dsvc.storage.conformance import CHECKS
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend
from tests.servers.sshd import DSVC, sshd

__all__ = ["sshd"]

LIMITS = Limits(20 << 20)


@pytest.fixture(params=["memory", "folder", "s3", "ssh"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Backend]]:
    (tmp_path / "store").mkdir()
    if request.param == "memory":
        memory = MemoryBackend()
        yield lambda: LimitedBackend(memory, LIMITS)
    elif request.param == "folder":
        yield lambda: LimitedBackend(LocalBackend(tmp_path / "store"), LIMITS)
    elif request.param == "s3":
        weed = request.getfixturevalue("seaweed")
        bucket = S3Settings(weed.bucket(), "project")
        yield lambda: open_s3(bucket, environment=weed.environment, limits=LIMITS)
    else:
        server = request.getfixturevalue("sshd")
        ssh = SshSettings(server.host, str(tmp_path / "store"), command=DSVC, options=server.options)
        with contextlib.ExitStack() as stack:
            yield lambda: stack.enter_context(
                contextlib.closing(open_ssh(ssh, environment=os.environ, limits=LIMITS))
            )


@pytest.mark.parametrize("name", CHECKS)
def test_limited(name: str, opened: Callable[[], Backend], tmp_path: Path) -> None:
    CHECKS[name](opened, tmp_path)
