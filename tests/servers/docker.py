"""A real Docker daemon of its own, without a network, and with one image: `tiny`, a shell."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DAEMON = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]


@pytest.fixture(scope="session")
def docker() -> Iterator[dict[str, str]]:
    """Variables of the environment with which `docker` talks to it."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in ("docker", "dockerd", "busybox") if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    if os.getuid():
        pytest.skip("a Docker daemon needs root")
    with tempfile.TemporaryDirectory(prefix="dsvc-docker-") as name:
        base = Path(name)
        host = f"unix://{base}/s"
        environment = {"DOCKER_HOST": host, "PATH": path, "DOCKER_CONFIG": str(base / "config")}
        with open(base / "log", "wb") as log:
            words = ["dockerd", *DAEMON, "-H", host, "--data-root", base / "data", "--exec-root", base / "exec"]
            daemon = subprocess.Popen([*words, "--pidfile", base / "pid"], env=environment, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 30
            while subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False).returncode:
                if daemon.poll() is not None or time.monotonic() > end:
                    reason = (base / "log").read_text().strip().splitlines()[-1:]
                    pytest.skip(f"no Docker daemon can be started here: {reason}")
                time.sleep(0.1)
            import_shell(environment, "tiny")
            if not works(environment):
                pytest.skip("the Docker daemon that was started here can run no container")
            yield environment
        finally:
            daemon.terminate()
            daemon.wait(30)
            for place in (base / "exec").rglob("*"):
                if place.is_mount():
                    subprocess.run(["umount", "-l", place], check=False)


def import_shell(environment: dict[str, str], name: str, *, engine: str = "docker") -> None:
    """Make an image of a shell and its libraries."""
    program = shutil.which("busybox")
    assert program is not None
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    files = {"bin/busybox": program} | {
        word.lstrip("/"): word for line in libraries.splitlines() for word in line.split() if word.startswith("/")
    }
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for place, source in files.items():
            tar.add(os.path.realpath(source), place)
        for tool in ("sh", "cat", "echo", "env", "sleep", "id", "wc", "touch"):
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    words = [engine, "import", "--change", 'CMD ["/bin/sh", "-c", "env > plugin.txt"]', "-", name]
    subprocess.run(words, input=data.getvalue(), env=environment, capture_output=True, check=True)


def works(environment: dict[str, str]) -> bool:
    words = ["docker", "run", "--rm", "--init", "tiny", "/bin/busybox", "true"]
    return subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 0
