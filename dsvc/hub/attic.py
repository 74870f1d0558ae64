"""What the refs of a hub's repositories reached once: bundles that no account sees. docs/formats/hub.md.

Each holds one branch or tag that was deleted or given another history, without what was there beside it. It is written
by `dsvc hub put-away`, which then takes all that off the repository's list of packs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dsvc.atomic import sync_directory
from dsvc.errors import DsvcError, RequestError
from dsvc.hub.folder import Hub, open_hub
from dsvc.hub.located import Located, locate
from dsvc.objects.ids import Kind
from dsvc.remotes.bundle_file import SUFFIX, BundleBackend, BundleHeader
from dsvc.repo.leftovers import remove_stale_files
from dsvc.repo.repository import Repository

_DUE, _TAKEN, _LOG, _WAITING, _WORKING = ".due", ".taken", ".log", ".waiting", "putting-away"
_AGAIN = 600  # seconds from one try to the next
_LONGEST = 1 << 20  # bytes of what the program printed
_DAY = 24 * 3600 * 1_000_000  # microseconds
_NAME = re.compile(r"(\d+)-(.+)-[0-9a-f]{32}\.bundle")


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
    name = ref.replace("/", "+").encode()[:100].decode(errors="ignore")
    return hub.attic(repository) / f"{time}-{name}-{target.hex()[:32]}{SUFFIX}"


def in_attic(hub: Hub, repository: str | None = None) -> Iterator[PutAway]:
    """Yield what lies in the attic, of one repository or of all, in order of names and times."""
    root = hub.root / "attic"
    found = root.rglob(f"*{SUFFIX}") if repository is None else hub.attic(repository).glob(f"*{SUFFIX}")
    for path in sorted(found):
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue
        name = path.parent.relative_to(root).as_posix()
        with contextlib.suppress(DsvcError, FileNotFoundError):
            ref, target = _header(path).refs[0]
            yield PutAway(name, int(named[1]), ref, bytes(target.id).hex(), path, path.stat().st_size)


def _header(path: Path) -> BundleHeader:
    with contextlib.closing(BundleBackend(path)) as backend:
        return backend.header


def remove_old(hub: Hub, *, now: int) -> None:
    """Remove what was put away for longer than the rules say (`now` is in microseconds), and what is half written."""
    before = now - hub.rules().attic_days * _DAY
    for path in (hub.root / "attic").rglob(f"*{SUFFIX}"):
        named = _NAME.fullmatch(path.name)
        if named is not None and int(named[1]) < before:
            path.unlink(missing_ok=True)
    remove_stale_files(
        {path.parent for path in (hub.root / "attic").rglob("*.tmp")}, now=now, at_once=False, dry_run=False
    )


def remove_holding(hub: Hub, located: Located, files: Collection[bytes]) -> None:
    """Remove what one repository put away and holds the content of one of these files; waits for who puts away.

    What cannot be read goes too.
    """
    with _working(located) as working:
        fcntl.flock(working, fcntl.LOCK_EX)
        for path in hub.attic(located.name).glob(f"*{SUFFIX}"):
            try:
                with contextlib.closing(BundleBackend(path)) as backend:
                    store = Repository.open(backend, Path).store
                    held = any(store.has(i, kind) for i in files for kind in (Kind.CHUNK, Kind.FILE_MAP))
            except DsvcError:
                held = True
            if held:
                path.unlink(missing_ok=True)


def located_around(folder: Path) -> tuple[Hub, Located] | None:
    """Return the hub of which a folder is a repository's, and that; None for one elsewhere."""
    real = Path(os.path.realpath(folder))
    for above in real.parents:
        if (above / "format").is_file() and real.is_relative_to(above / "repos"):
            with contextlib.suppress(DsvcError):
                hub = open_hub(above)
                return hub, locate(hub.repos, real.relative_to(hub.repos).as_posix())
    return None


def mark_due(hub: Hub, repository: str, *, always: bool = False) -> None:
    """Write down that something is to be put away, before it is removed: whoever does so may die."""
    folder = hub.attic(repository)
    with contextlib.suppress(OSError):  # it is begun right away, and this is for who dies before
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(folder / _DUE, "a") as file:
            file.write("always\n" if always else "")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(folder)


def has_due(hub: Hub, repository: str) -> bool:
    """Say whether something is to be put away, or somebody is at it."""
    return any((hub.attic(repository) / name).exists() for name in (_DUE, _TAKEN))


def is_due(hub: Hub, located: Located) -> bool:
    """Say whether something is to be put away, nobody is at it, and nobody tried in the last ten minutes."""
    folder = hub.attic(located.name)
    try:
        if not has_due(hub, located.name):
            return False
        if (folder / _LOG).exists() and time.time() - (folder / _LOG).stat().st_mtime < _AGAIN:
            return False
        with _working(located) as working, open(folder / _WAITING, "ab") as waiting:
            for file in (working, waiting):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def take_due(hub: Hub, repository: str) -> bool:
    """Begin with what is due; say whether garbage is to be removed in any case. What becomes due later stays so."""
    due, taken = hub.attic(repository) / _DUE, hub.attic(repository) / _TAKEN
    before = taken.read_text() if taken.exists() else ""
    with contextlib.suppress(FileNotFoundError):
        os.replace(due, taken)
    if before:
        with open(taken, "a") as file:
            file.write(before)
    return taken.exists() and "always" in taken.read_text()


def settle_due(hub: Hub, repository: str) -> None:
    """Take note that what was taken is done."""
    (hub.attic(repository) / _TAKEN).unlink(missing_ok=True)


def begin_putting_away(hub: Hub, repository: str) -> None:
    """Start `dsvc hub put-away` in a session of its own, so that nobody waits for it; see `mark_due`.

    Where that cannot be done it stays due.
    """
    import subprocess  # which visits that start nothing do without

    with contextlib.suppress(OSError), open(hub.attic(repository) / _LOG, "ab") as log:
        if log.tell() > _LONGEST:
            log.truncate(0)
        os.utime(log.fileno())
        subprocess.Popen(
            [sys.executable, "-m", "dsvc", "hub", "put-away", "--behind", os.fspath(hub.root), repository],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def refuse_other_user(hub: Hub) -> None:
    """Refuse to work for a hub that belongs to somebody else: what is made could not be changed by it.

    Raises:
        RequestError: as root, for example.
    """
    owner = os.stat(hub.root).st_uid
    if owner != os.geteuid():
        raise RequestError(f"the hub {hub.root} belongs to another user", hint=f"sudo -u '#{owner}' dsvc hub put-away")


@contextmanager
def turn(hub: Hub, located: Located) -> Iterator[bool]:
    """Wait for whoever is at it in the pool of a repository.

    False when another one waits for the same repository, who has not looked yet.
    """
    folder = hub.attic(located.name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / _WAITING, "ab") as waiting, _working(located) as working:
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        fcntl.flock(working, fcntl.LOCK_EX)
        fcntl.flock(waiting, fcntl.LOCK_UN)
        yield True


def _working(located: Located) -> BinaryIO:
    folder = located.pool / "tmp"
    folder.mkdir(exist_ok=True)  # a copy of a hub may lack what is empty
    return open(folder / _WORKING, "ab")
