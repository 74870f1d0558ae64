"""Podman, whose images lie in a folder of their own, with one image: `tiny`, a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.docker import import_shell

STORAGE = """
[storage]
driver = "vfs"
graphroot = "{base}/root"
runroot = "{base}/run"
"""
# What a machine without a network of its own and with few rights can do.
ENGINE = """
[containers]
netns = "host"
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
"""


@pytest.fixture(scope="session")
def podman() -> Iterator[dict[str, str]]:
    """Variables of the environment with which `podman` finds them, and with which no Docker answers."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in ("podman", "runc", "busybox") if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    with tempfile.TemporaryDirectory(prefix="dsvc-podman-") as name:
        base = Path(name)
        (base / "storage.conf").write_text(STORAGE.format(base=base))
        (base / "containers.conf").write_text(ENGINE)
        environment = {
            "CONTAINERS_STORAGE_CONF": str(base / "storage.conf"),
            "CONTAINERS_CONF": str(base / "containers.conf"),
            "DOCKER_HOST": "unix:///nowhere",
            "HOME": str(base),
            "PATH": path,
        }
        try:
            import_shell(environment, "tiny", engine="podman")
            words = ["podman", "run", "--rm", "tiny", "/bin/busybox", "true"]
            done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"podman can run no container here: {done.stderr.strip()[-200:]}")
            yield environment
        finally:
            subprocess.run(["podman", "system", "reset", "-f"], env=environment, capture_output=True, check=False)
            for place in base.rglob("*"):
                if place.is_mount():
                    subprocess.run(["umount", "-l", place], check=False)
