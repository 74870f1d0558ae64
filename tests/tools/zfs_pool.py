"""A real ZFS pool for tests, and a way to run commands beside it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"

OPENZFS = os.environ.get("DSVC_TEST_OPENZFS", "")  # its version, in the machine of zfs-machine.sh
needs_openzfs = pytest.mark.skipif(not OPENZFS, reason="needs OpenZFS, which zfs-fuse is not: make test-zfs")
needs_zfs_fuse = pytest.mark.skipif(bool(OPENZFS), reason="is about zfs-fuse, which runs as a program")
_NO_POOL = 77  # what zfs-pool.sh ends with then


@dataclass(frozen=True)
class Said:
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8", "surrogateescape")

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Pool:
    """`pool.zfs("list")` and `pool.dsvc(folder, "status")` run beside the pool; `pool.inside` shows its files."""

    process: subprocess.Popen[bytes]
    name: str
    mountpoint: str
    pid: int
    daemon: int
    disk: str
    environment: dict[str, str] = field(default_factory=dict)

    def inside(self, path: str | Path) -> Path:
        """Return where a path of the namespace is to be found from outside of it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def zfs(self, *words: str, check: bool = True) -> str:
        end = time.monotonic() + 10
        while True:
            said = self.run("zfs", *words)
            if "busy" not in said.err or time.monotonic() > end:
                break  # zfs-fuse lets go of a dataset some time after the last file was closed
            time.sleep(0.05)
        assert not check or said.code == 0, said.err
        return said.out

    def another(self, name: str) -> str:
        """Make one more pool beside this one, and return its name, which nobody else has."""
        taken = self.run("zpool", "list", "-H", "-o", "name").out.split()
        while f"{self.name}{name}" in taken:
            name += "x"
        disk = f"{self.disk}-{name}"
        with open(self.inside(disk), "wb") as file:
            file.truncate(256 << 20)
        said = self.run("zpool", "create", "-O", "atime=off", "-m", "none", f"{self.name}{name}", disk)
        assert said.code == 0, said.err
        return f"{self.name}{name}"

    def run(self, *words: str, folder: str | Path = "/") -> Said:
        return self._ask("program", words, folder)

    def dsvc(self, folder: str | Path, *words: str) -> Said:
        return self._ask("dsvc", words, folder)

    def _ask(self, what: str, words: tuple[str, ...], folder: str | Path) -> Said:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"what": what, "words": words, "environment": self.environment, "folder": str(folder)}
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return Said(found["code"], base64.b64decode(found["out"]), found["err"])


def why_no_pool() -> str | None:
    """Return why there can be no pool here, None where there can."""
    if os.geteuid() != 0:
        return "a pool needs root"
    if OPENZFS:
        return None
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    missing = [name for name in ("zfs-fuse", "zpool", "zfs", "unshare") if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"there is no program {missing[0]} (Debian's package zfs-fuse)"
    return None


@contextmanager
def a_pool(home: Path, size: str = "512M") -> Iterator[Pool]:
    """Start a pool, and end it with all that runs beside it."""
    reason = why_no_pool()
    if reason is not None:
        pytest.skip(reason)
    environment = {
        "PATH": _PATH,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(home),
        "DSVC_USER_NAME": "Ada Example",
        "DSVC_USER_EMAIL": "ada@example.com",
        "DSVC_DATE": "2026-01-31T12:00:00+01:00",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    if OPENZFS:
        environment["DSVC_TEST_OPENZFS"] = OPENZFS
    process = subprocess.Popen(
        ["bash", str(HERE / "zfs-pool.sh"), size, sys.executable, str(HERE / "zfs_worker.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, "PYTHONPATH": str(HERE.parent.parent)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        first = process.stdout.readline()
        if not first:
            said = process.stderr.read().decode().strip()[-1000:]
            if process.wait() == _NO_POOL or said.startswith("unshare:"):
                pytest.skip(f"no pool of zfs-fuse can be made here: {said}")
            pytest.fail(f"what runs beside the pool ended at once: {said}")
        facts = json.loads(first)
        yield Pool(
            process,
            facts["POOL"],
            facts["POOL_FOLDER"],
            facts["pid"],
            int(facts["POOL_DAEMON"]),
            facts["POOL_DISK"],
            environment,
        )
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        process.stderr.close()
