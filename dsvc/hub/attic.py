"""What the refs of a hub's repositories reached once: bundles that no account sees. docs/formats/hub.md.

Each holds one branch or tag that was deleted or given another history, without what was there beside it. It is written
by `dsvc hub put-away`, which then takes all that off the repository's list of packs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dsvc.errors import DsvcError
from dsvc.hub.folder import Hub
from dsvc.objects.ids import Kind
from dsvc.remotes.bundle_file import SUFFIX, BundleBackend, BundleHeader
from dsvc.repo.repository import Repository

_NAME = re.compile(r"(\d+)-(.+)-[0-9a-f]{10}\.bundle")


@dataclass(frozen=True, slots=True)
class PutAway:
    """A bundle of the attic: the repository, when that was put away (microseconds), the file and its length in bytes.

    `ref` is the full name of the branch or tag, `target` what it named, as hex.
    """

    repository: str
    time: int
    ref: str
    target: str
    path: Path
    size: int


def bundle_path(hub: Hub, repository: str, *, time: int, ref: str, target: bytes) -> Path:
    """Return the file for what a ref named."""
    return hub.attic(repository) / f"{time}-{ref.replace('/', '+')[:100]}-{target.hex()[:10]}{SUFFIX}"


def in_attic(hub: Hub, repository: str | None = None) -> Iterator[PutAway]:
    """Yield what lies in the attic, of one repository or of all, in order of names and times."""
    root = hub.root / "attic"
    for path in sorted(root.rglob(f"*{SUFFIX}")):
        named = _NAME.fullmatch(path.name)
        name = path.parent.relative_to(root).as_posix()
        if named is None or repository not in (None, name):
            continue
        with contextlib.suppress(DsvcError, FileNotFoundError):
            ref, target = _header(path).refs[0]
            yield PutAway(name, int(named[1]), ref, bytes(target.id).hex(), path, path.stat().st_size)


def _header(path: Path) -> BundleHeader:
    with contextlib.closing(BundleBackend(path)) as backend:
        return backend.header


def remove_old(hub: Hub, *, before: int) -> None:
    """Remove what was put away before a time (microseconds)."""
    for path in (hub.root / "attic").rglob(f"*{SUFFIX}"):
        named = _NAME.fullmatch(path.name)
        if named is not None and int(named[1]) < before:
            path.unlink(missing_ok=True)


def remove_holding(hub: Hub, files: Collection[bytes]) -> None:
    """Remove what holds the content of one of these files."""
    for one in in_attic(hub):
        with contextlib.closing(BundleBackend(one.path)) as backend:
            store = Repository.open(backend, Path).store
            held = any(store.has(i, kind) for i in files for kind in (Kind.CHUNK, Kind.FILE_MAP))
        if held:
            one.path.unlink(missing_ok=True)


def hub_around(folder: Path) -> Hub | None:
    """Return the hub of which a folder is a repository's; None for one elsewhere."""
    real = Path(os.path.realpath(folder))
    for above in real.parents:
        if (above / "format").is_file() and (above / "repos").is_dir() and real.is_relative_to(above / "repos"):
            return Hub(above)
    return None


def begin_putting_away(hub: Hub, repository: str, *, always: bool = False) -> None:
    """Start `dsvc hub put-away` in a session of its own, so that nobody waits for it."""
    folder = hub.attic(repository)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    more = ["--always"] if always else []
    with open(folder / "log", "ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "dsvc", "hub", "put-away", "--behind", *more, os.fspath(hub.root), repository],
            cwd=hub.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def turn(hub: Hub, repository: str) -> Iterator[bool]:
    """Wait for whoever is at it with a repository; False when another one waits already, who sees what is there now."""
    folder = hub.attic(repository)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / "waiting", "ab") as waiting, open(folder / "working", "ab") as working:
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        fcntl.flock(working, fcntl.LOCK_EX)
        fcntl.flock(waiting, fcntl.LOCK_UN)
        yield True


