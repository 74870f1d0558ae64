"""Look at the working copy: which files differ from what the index knows, judged by stat alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from dsvc.errors import RequestError
from dsvc.objects.tree import is_valid_name
from dsvc.worktree.ignore import DirectoryRules, IgnoreRules
from dsvc.worktree.index import (
    ABSENT,
    DATASET,
    DIRECTORY,
    EMPTY,
    GITLINK,
    SIGNATURE,
    Block,
    Index,
    changed_at,
    join,
    pack_signature_into,
    parents,
)
from dsvc.worktree.survey import WORTH_FORKING, together

CONTROL = frozenset({b".dsvc", b".git"})


class UnreadableError(RequestError):
    """A file or folder of the working copy may not be read."""

    def __init__(self, path: bytes, error: OSError) -> None:
        super().__init__(
            f"{os.fsdecode(path)} cannot be read: {error.strerror}",
            hint="change its permissions, or name it in .dsvcignore",
        )


class Skipped(NamedTuple):
    """Something that cannot be versioned: a socket, a device, a nested repository, a name that is not allowed."""

    path: bytes
    reason: str


@dataclass(slots=True)
class Delta:
    """How one directory differs from its block.

    `changed` and `new` map names of files and links to their present signatures, `gone` lists names of the block that
    are not on disk (directories too), `directories` are the names of those to look into, `new_directories` of those
    that the block has not. `bare` is true for a directory with nothing in it at all.
    """

    path: bytes
    changed: dict[bytes, bytes] = field(default_factory=dict)
    new: dict[bytes, bytes] = field(default_factory=dict)
    gone: list[bytes] = field(default_factory=list)
    directories: list[bytes] = field(default_factory=list)
    new_directories: list[bytes] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    bare: bool = False

    def is_clean(self) -> bool:
        """Say whether the directory's own names are as the index knows them."""
        return not (self.changed or self.new or self.gone or self.new_directories)


@dataclass(slots=True)
class Scanner:
    """Compares directories below `root` with an index.

    `ignore` decides about names that the index does not know; names it knows are never ignored. `paths` limits what
    is looked at to these files and directories; empty means everything.
    """

    root: bytes
    index: Index
    ignore: IgnoreRules
    paths: Sequence[bytes] = ()
    check_racy: bool = True
    prepared: dict[bytes, Delta] = field(default_factory=dict)
    _absent: frozenset[bytes] | None = field(default=None, init=False, repr=False)

    def prepare(self) -> None:
        """Compare the directories that the index knows ahead of time, half of them in another process.

        Does nothing where there are few files, or most of them in one directory.
        """
        sizes = {path: len(block.signatures) // SIGNATURE + 1 for path, block in self.index.blocks.items()}
        total = sum(sizes.values())
        if self.paths or total < WORTH_FORKING or max(sizes.values()) > total // 2:
            return
        half: list[bytes] = []
        rest: list[bytes] = []
        counted = 0
        for path, size in sizes.items():
            (half if counted * 2 < total else rest).append(path)
            counted += size
        first, second = together(lambda: self._compare_each(half), lambda: self._compare_each(rest))
        self.prepared = {**first, **second}

    def _compare_each(self, paths: list[bytes]) -> dict[bytes, Delta]:
        found: dict[bytes, Delta] = {}
        for path in paths:
            with suppress(UnreadableError):  # it is gone, or the walk meets it and says so
                found[path] = self.compare(path)
        return found

    def compare(self, path: bytes, rules: DirectoryRules | None = None) -> Delta:
        """Compare one directory with its block.

        Raises:
            UnreadableError: when the folder cannot be listed.
        """
        ready = self.prepared.pop(path, None)
        if ready is not None:
            return ready
        block = self.index.blocks.get(path, EMPTY)
        prefix = self.place(path) + b"/" if path else self.root + b"/"
        try:
            names = os.listdir(prefix)
        except OSError as error:
            if not (isinstance(error, FileNotFoundError) and path and self.anything_absent()):
                raise UnreadableError(prefix, error) from error
            names = []  # what is left of it is absent on purpose
        true_names = self.index.names.true_names(path)
        if true_names is not None:
            names = [true_names.get(name, name) for name in names]
        names.sort()
        delta = Delta(path, bare=not names)
        if not CONTROL.isdisjoint(names):
            names = [n for n in names if n not in CONTROL]
        if len(names) < WORTH_FORKING:
            names, signatures, racy = self._signatures(prefix, names, delta)
        else:
            names, signatures, racy = self._shared_signatures(prefix, names, delta)
        same_names = b"\0".join(names) == block.names
        if not racy and same_names and signatures == block.signatures:
            if self.paths:
                delta.directories = [n for n in delta.directories if self.wanted(join(path, n))]
            return delta
        self._compare_names(delta, block, names, bytes(signatures), rules=rules)
        return delta

    def _shared_signatures(
        self, prefix: bytes, names: list[bytes], delta: Delta
    ) -> tuple[list[bytes], bytearray, bool]:
        """Do what `_signatures` does for a very large directory, half of it in another process."""
        middle = len(names) // 2
        other = Delta(delta.path)

        def there() -> tuple[list[bytes] | None, bytearray, bool, Delta]:
            kept, signatures, racy = self._signatures(prefix, names[middle:], other)
            return (None if len(kept) == len(names) - middle else kept), signatures, racy, other

        def here() -> tuple[list[bytes] | None, bytearray, bool, Delta]:
            return *self._signatures(prefix, names[:middle], delta), delta

        (kept, signatures, racy, _), (others, more, racy_too, found) = together(here, there)
        delta.directories += found.directories
        delta.skipped += found.skipped
        signatures += more
        if others is None and len(kept or ()) == middle:
            return names, signatures, racy or racy_too
        return (kept or []) + (names[middle:] if others is None else others), signatures, racy or racy_too

    def _signatures(self, prefix: bytes, names: list[bytes], delta: Delta) -> tuple[list[bytes], bytearray, bool]:
        """Return the names of what can be versioned, their signatures, and whether any of it may be racy."""
        lstat, pack_into = self._lstat(delta.path, prefix), pack_signature_into
        stamp = self.index.stamp if self.check_racy else 1 << 62
        racy, at = False, 0
        directories = delta.directories
        signatures = bytearray(len(names) * SIGNATURE)
        kept = names
        for position, name in enumerate(names):
            try:
                st = lstat(prefix + name)
            except FileNotFoundError:
                st = None  # removed between the listing and now
            except OSError as error:
                raise UnreadableError(prefix + name, error) from error
            mode = st.st_mode if st is not None else 0
            if st is not None and (mode & 0o170000 == 0o100000 or mode & 0o170000 == 0o120000):
                ctime = st.st_ctime_ns
                if ctime >= stamp:
                    racy = True
                pack_into(signatures, at, st.st_size, st.st_mtime_ns, ctime, st.st_ino, mode)
            elif stat.S_ISDIR(mode):
                signatures[at : at + SIGNATURE] = DIRECTORY
                directories.append(name)
            else:
                if st is not None:
                    delta.skipped.append(Skipped(join(delta.path, name), special(mode)))
                if kept is names:
                    kept = names[:position]
                continue
            if kept is not names:
                kept.append(name)
            at += SIGNATURE
        del signatures[at:]
        return kept, signatures, racy

    def _compare_names(
        self, delta: Delta, block: Block, names: list[bytes], signatures: bytes, *, rules: DirectoryRules | None
    ) -> None:
        stamp = self.index.stamp if self.check_racy else 1 << 62
        delta.directories = []
        unlimited = not self.paths
        for name, before, sig in _side_by_side(block, names, signatures):
            if not unlimited and not self.wanted(join(delta.path, name)):
                continue
            if before == sig and sig is not None and sig != DIRECTORY and changed_at(sig) < stamp:
                continue
            if before == DATASET:
                continue  # what is in it is known to who serves it
            if sig is None:
                if before == DIRECTORY and join(delta.path, name) in self._holding_absent():
                    delta.directories.append(name)  # only the files that were checked out are gone
                elif before != ABSENT:
                    delta.gone.append(name)
            elif sig == DIRECTORY:
                if before == DIRECTORY:
                    delta.directories.append(name)
                elif before != GITLINK:
                    if before is not None and before != ABSENT:
                        delta.gone.append(name)  # a directory stands where a file was
                    self._new_directory(delta, name, rules)
            elif before is None:
                self._new_file(delta, name, sig, rules)
            elif before in (DIRECTORY, GITLINK):
                delta.gone.append(name)
                delta.new[name] = sig
            else:
                delta.changed[name] = sig

    def _new_file(self, delta: Delta, name: bytes, sig: bytes, rules: DirectoryRules | None) -> None:
        rules = rules if rules is not None else self._rules(delta.path)
        if rules is not None and rules.ignored(name, is_directory=False):
            return
        if not is_valid_name(name):
            delta.skipped.append(Skipped(join(delta.path, name), "a name that no repository may hold"))
            return
        delta.new[name] = sig

    def _new_directory(self, delta: Delta, name: bytes, rules: DirectoryRules | None) -> None:
        rules = rules if rules is not None else self._rules(delta.path)
        if rules is not None and rules.ignored(name, is_directory=True):
            return
        path = join(delta.path, name)
        if not is_valid_name(name):
            delta.skipped.append(Skipped(path, "a name that no repository may hold"))
        elif os.path.lexists(self.place(path) + b"/.dsvc"):
            delta.skipped.append(Skipped(path, "a dsvc repository of its own"))
        else:
            delta.new_directories.append(name)

    def place(self, path: bytes) -> bytes:
        """Return where a path lies on disk."""
        return join(self.root, self.index.names.on_disk(path))

    def _lstat(self, directory: bytes, prefix: bytes) -> Callable[[bytes], os.stat_result]:
        """Return what gives the stat of `prefix` with a true name of this directory behind it."""
        disk_names = self.index.names.disk_names(directory)
        if disk_names is None:
            return os.lstat
        table, length = disk_names, len(prefix)

        def lstat(full: bytes) -> os.stat_result:
            name = full[length:]
            return os.lstat(prefix + table.get(name, name))

        return lstat

    def anything_absent(self) -> bool:
        """Say whether something may have been left out of the working copy on purpose."""
        return self.index.partial or bool(self.index.sparse) or bool(self._holding_absent())

    def _holding_absent(self) -> frozenset[bytes]:
        """Return the directories with anything below them that was left out of the working copy on purpose."""
        if self._absent is None:  # it is asked for each folder that is gone, and there may be thousands of them
            found = {
                path
                for path, block in self.index.blocks.items()
                if ABSENT in block.signatures and ABSENT in block.entries().values()
            }
            self._absent = frozenset(found | parents(found) if found else ())
        return self._absent

    def _rules(self, directory: bytes) -> DirectoryRules | None:
        return self.ignore.in_directory(directory)

    def wanted(self, path: bytes) -> bool:
        """Say whether a path is one of the given ones, below one, or on the way to one."""
        return any(
            path == p or not p or path.startswith(p + b"/") or p.startswith(path + b"/") for p in self.paths
        )

    def walk(self, path: bytes = b"") -> Iterator[Delta]:
        """Yield the delta of every directory that the index knows, parents first; new ones are not entered."""
        if not path:
            self.prepare()
        delta = self.compare(path)
        yield delta
        for name in delta.directories:
            yield from self.walk(join(path, name))


def _side_by_side(
    block: Block, names: list[bytes], signatures: bytes
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield (name, signature in the block, signature on disk) of all names in order."""
    old_names, old = block.name_list(), block.signatures
    i = j = 0
    while i < len(old_names) or j < len(names):
        a = old_names[i] if i < len(old_names) else None
        b = names[j] if j < len(names) else None
        if b is None or (a is not None and a < b):
            assert a is not None
            yield a, old[i * SIGNATURE : (i + 1) * SIGNATURE], None
            i += 1
        elif a is None or b < a:
            yield b, None, signatures[j * SIGNATURE : (j + 1) * SIGNATURE]
            j += 1
        else:
            yield a, old[i * SIGNATURE : (i + 1) * SIGNATURE], signatures[j * SIGNATURE : (j + 1) * SIGNATURE]
            i += 1
            j += 1


def special(mode: int) -> str:
    """Say in words what kind of file this is that cannot be versioned."""
    for test, what in ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISBLK, "a block device")):
        if test(mode):
            return what
    return "a device" if stat.S_ISCHR(mode) else "no file, link or folder"

