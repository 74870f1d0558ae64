"""Look at the surroundings and at the repository, quickly, and say what to do about what is wrong."""

from __future__ import annotations

import io
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from dsvc.actions.hooks import NAMES
from dsvc.config.settings import Config
from dsvc.errors import DsvcError
from dsvc.objects.chunker import cut
from dsvc.refs.log import Head, OperationLog, read_head
from dsvc.refs.names import WORKTREES, head_of
from dsvc.repo.format import check_readable, check_writable, read_format
from dsvc.repo.leftovers import remove_stale_files, temporary_folders
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.version import __version__
from dsvc.worktree import journal
from dsvc.worktree.abilities import file_system_of, probe
from dsvc.worktree.index import read_index
from dsvc.worktree.places import MAIN, PRIVATE, common_folder, find_private, store_folder, worktree_id, worktree_paths

Level = Literal["ok", "warn", "bad"]

_LIBRARIES = ("blake3", "msgpack", "pyfastcdc", "pygit2", "rich", "tomlkit", "typer", "zstandard")
_MIB = 1 << 20
_LITTLE, _TOO_LITTLE = 1024 * _MIB, 64 * _MIB  # free on the disk
_MANY_PACKS = 300
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "lustre")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is well, what was found, and what to do."""

    name: str
    level: Level
    text: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """All checks in the order they were made."""

    checks: tuple[Check, ...]

    def is_bad(self) -> bool:
        """Say whether something must be mended before dsvc can be trusted to work here."""
        return any(check.level == "bad" for check in self.checks)


def doctor(
    directory: Path, *, load_config: Callable[[], Config], identity: Callable[[], object], now: int
) -> DoctorResult:
    """Check the installation, and the repository around `directory` where there is one. Changes nothing.

    No object is read: 'dsvc fsck' does that. `now` is in microseconds.
    """
    checks = list(_installation())
    checks.append(_attempt("settings", lambda: Check("settings", "ok", _settings(load_config())), hint=None))
    checks.append(_attempt("identity", lambda: Check("identity", "ok", str(identity())), level="warn"))
    private = find_private(directory)
    if private is None:
        checks.append(Check("repository", "ok", f"{directory} is in none", "dsvc init makes one"))
        return DoctorResult(tuple(checks))
    try:
        common = common_folder(private)
    except DsvcError as error:
        checks.append(Check("repository", "bad", error.message, error.hint))
        return DoctorResult(tuple(checks))
    checks += _disk(private, store_folder(common))
    checks += _store(private, common, now=now)
    checks += _working_copy(private)
    checks += _hooks(common)
    return DoctorResult(tuple(checks))


def _attempt(name: str, check: Callable[[], Check], *, level: Level = "bad", hint: str | None = None) -> Check:
    try:
        return check()
    except DsvcError as error:
        return Check(name, level, error.message, error.hint or hint)
    except OSError as error:
        return Check(name, level, f"{error.filename}: {error.strerror}", hint)


def _installation() -> Iterator[Check]:
    level: Level = "ok" if sys.version_info >= (3, 11) else "bad"
    yield Check("python", level, f"{platform.python_version()}, dsvc {__version__}")
    missing, found = [], []
    for library in _LIBRARIES:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            missing.append(library)
    if missing:
        yield Check("libraries", "bad", f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    else:
        yield Check("libraries", "ok", ", ".join(found))
    yield _attempt("chunker", lambda: Check("chunker", "ok", f"compiled, {_chunks()} pieces of a test"))


def _chunks() -> int:
    return sum(1 for _ in cut(io.BytesIO(bytes(1 << 20)).read))


def _settings(config: Config) -> str:
    count = sum(1 for _ in config.items())
    return f"{count} {'value is' if count == 1 else 'values are'} set"


def _disk(private: Path, store: Path) -> Iterator[Check]:
    free = shutil.disk_usage(store if store.is_dir() else private).free
    level: Level = "ok" if free > _LITTLE else "warn" if free > _TOO_LITTLE else "bad"
    hint = None if level == "ok" else "dsvc gc frees what nothing reaches"
    yield Check("disk space", level, f"{free // _MIB:,} MiB free", hint)
    for place, what in ((private, "working copy"), (store, "store")):
        if not os.access(place, os.W_OK):
            yield Check(what, "bad", f"{place} may not be written by this user", f"ls -ld {place}")
            return
    kind = file_system_of(private) or "unknown"
    try:
        can = probe(private / "worktree")
    except OSError as error:
        yield Check("file system", "bad", f"{private} cannot be written: {error.strerror}")
        return
    words = {"hard links": can.hard_links, "reflinks": can.reflinks, "symlinks": can.symlinks}
    yield Check("file system", "ok", ", ".join([kind, *(f"{'' if yes else 'no '}{w}" for w, yes in words.items())]))
    if kind in _NETWORK:
        yield Check("file system", "warn", f"{kind} is a network file system: every command is slower there")
    if not can.names_apart:
        text = "the disk does not tell names apart by case or accents: some trees cannot be checked out here"
        yield Check("names", "warn", text)
    if not can.symlinks or not can.executable_bit:
        lacks = "symlinks" if not can.symlinks else "the executable bit"
        yield Check("modes", "warn", f"the disk does not keep {lacks}: commits would show them as changed")
    if can.time_step > 1_000_000:
        seconds = can.time_step / 1_000_000_000
        yield Check("file times", "warn", f"in steps of {seconds:g} s: status reads files again more often")


def _store(private: Path, common: Path, *, now: int) -> Iterator[Check]:
    store = store_folder(common)
    if not store.is_dir():
        yield Check("store", "bad", f"{store} is not there", "put it back from a backup, or fork a clone")
        return
    backend = LocalBackend(store)

    def format_check() -> Check:
        record = read_format(backend)
        if record is None:
            return Check("format", "bad", "there is no format record: the repository was not finished", "dsvc init")
        check_readable(record)
        check_writable(record)
        return Check("format", "ok", ", ".join(sorted(record.read | record.write)))

    yield _attempt("format", format_check)
    heads: list[Head] = []

    def head_check() -> Check:
        head = read_head(backend)
        if head is None:
            return Check("head", "bad", "there is no head: the repository was not finished", "dsvc init")
        heads.append(head)
        return Check("head", "ok", f"operation {head.operation.hex()[:12]}")

    yield _attempt("head", head_check)
    if heads:
        yield _packs(store, heads[0])
        yield from _refs(backend, private, common)
    left = remove_stale_files(temporary_folders(backend), now=now, at_once=True, dry_run=True)
    if left.files:
        text = f"{left.files} temporary files ({left.size // _MIB:,} MiB) of processes that died"
        yield Check("leftovers", "warn", text, "dsvc gc --prune=now, when nothing else runs")
    backend.close()


def _packs(store: Path, head: Head) -> Check:
    lost = []
    for ref in head.packs.packs:
        try:
            whole = (store / ref.key).stat().st_size == ref.size
        except OSError:
            whole = False
        if not whole:
            lost.append(ref.id.hex()[:12])
    if lost:
        return Check("packs", "bad", f"missing or cut short: {', '.join(lost[:5])}", "dsvc fsck")
    count = len(head.packs.packs)
    size = sum(ref.size for ref in head.packs.packs)
    if count > _MANY_PACKS:
        return Check("packs", "warn", f"{count:,}, which slows every look-up", "dsvc gc")
    return Check("packs", "ok", f"{count:,} with {size // _MIB:,} MiB")


def _refs(backend: LocalBackend, private: Path, common: Path) -> Iterator[Check]:
    def load() -> Check:
        repo = Repository.open(backend, backend.staging)
        view = OperationLog(repo.store).view(repo.head.operation)
        own = worktree_id(private)
        if view.get(head_of(own)) is None:
            return Check("worktrees", "bad", f"the worktree {own} is not known to the repository", "dsvc worktree list")
        paths = worktree_paths(common)
        gone = []
        names = [name.split("/")[1] for name, _ in view.items(WORKTREES) if name.endswith("/HEAD")]
        for name in names:
            path = paths.get(name)
            if name != MAIN and (path is None or not (path / PRIVATE).is_dir()):
                gone.append(name)
        if gone:
            return Check("worktrees", "warn", f"folders are gone: {', '.join(gone)}", "dsvc worktree prune")
        return Check("worktrees", "ok", f"{len(names)}")

    yield _attempt("worktrees", load, hint="dsvc fsck")


def _working_copy(private: Path) -> Iterator[Check]:
    place = private / "worktree"
    yield _attempt("index", lambda: _index(place / "index"))
    if not (place / "journal").exists():
        return
    record = journal.read(place / "journal")
    if record is not None and journal.is_alive(place / "journal", record):
        yield Check("checkout", "ok", f"process {record.pid} on {record.host} writes the working copy now")
    elif record is not None:
        text = "a checkout was broken off: the next command that opens the working copy finishes or takes it back"
        yield Check("checkout", "warn", text, "dsvc status")


def _index(path: Path) -> Check:
    index = read_index(path)
    if index is None:
        return Check("index", "warn", "there is none: the next command compares every file", "dsvc status")
    part = ", a part of the tree is checked out" if index.sparse else ""
    return Check("index", "ok", f"{len(index.blocks):,} folders{part}")


def _hooks(common: Path) -> Iterator[Check]:
    folder = common / "hooks"
    for name in NAMES:
        hook = folder / name
        if hook.is_file() and not os.access(hook, os.X_OK):
            yield Check("hooks", "warn", f"{name} is not executable, so it does not run", f"chmod +x {hook}")
    for entry in sorted(os.listdir(folder)) if folder.is_dir() else ():
        if entry not in NAMES and not entry.endswith(".sample"):
            yield Check("hooks", "warn", f"{entry} is no hook that dsvc runs", f"the hooks are {', '.join(NAMES)}")
