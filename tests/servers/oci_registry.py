"""Debian's docker-registry on a free port of this machine: a real registry of images, without and with a password."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.ports import free_port

REGISTRY = shutil.which("docker-registry") or shutil.which("registry")
USER, PASSWORD = "ada", "secret"
_HTPASSWD = "ada:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # of PASSWORD, by bcrypt


@dataclass(frozen=True)
class OciRegistry:
    """A registry; `host` is its address, `log` what it says of each request."""

    host: str
    log: Path

    def requests(self, method: str) -> list[str]:
        """The paths of requests of a method so far."""
        lines = self.log.read_text().splitlines()
        return [line.split(f'"{method} ')[1].split()[0] for line in lines if f'"{method} ' in line]


def start_registry(folder: Path, *, password: bool = False) -> tuple[OciRegistry, subprocess.Popen[bytes]]:
    """Start one whose files are in `folder`; the caller ends the process."""
    port = free_port()
    auth = f"auth:\n  htpasswd:\n    realm: here\n    path: {folder}/htpasswd\n" if password else ""
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "config.yml").write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}/data\n"
        f"http:\n  addr: 127.0.0.1:{port}\n{auth}"
    )
    log = open(folder / "log", "wb")  # noqa: SIM115
    assert REGISTRY is not None
    process = subprocess.Popen([REGISTRY, "serve", folder / "config.yml"], stdout=log, stderr=log)
    log.close()
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
        except urllib.error.HTTPError:
            break  # it wants a password
        except OSError:
            time.sleep(0.05)
        else:
            break
    else:
        process.kill()
        raise RuntimeError((folder / "log").read_text())
    return OciRegistry(f"127.0.0.1:{port}", folder / "log"), process


def _running(folder: Path, *, password: bool = False) -> Iterator[OciRegistry]:
    if REGISTRY is None:
        pytest.skip("needs docker-registry")
    registry, process = start_registry(folder, password=password)
    yield registry
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    """A registry for the whole session."""
    yield from _running(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    """One that wants USER and PASSWORD."""
    yield from _running(tmp_path_factory.mktemp("locked"), password=True)
