"""Names on disk that differ from those in the tree, where a disk does not tell two names of a folder apart.

A worktree that asked for it writes the second of such names under a free one: `README.md` and `Readme~1.md`. Trees,
the index and all that is shown keep the true names; only the calls that touch the disk ask for the other ones. The
map lies beside the index, in a file of its own, and survives it. docs/formats/private.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgpack

from dsvc.atomic import write_file
from dsvc.errors import IntegrityError
from dsvc.objects import trees
from dsvc.objects.sortedmap import NodeStore
from dsvc.worktree.names import fold

_VERSION = 1


class DamagedNamesError(IntegrityError):
    """The file with the names on disk cannot be read."""


class NameMap:
    """True path -> name on disk, of the paths whose names differ; empty in nearly every worktree, and free then.

    `enabled` says whether names that fall together may get other ones from now on. Within a folder no two true names
    have one name on disk: where a true name's place is taken by nothing but is not its own, the two are exchanged.
    """

    __slots__ = ("_disk", "_true", "enabled", "pairs")

    def __init__(self, pairs: Mapping[bytes, bytes] | None = None, *, enabled: bool = False) -> None:
        self.pairs = dict(pairs or {})
        self.enabled = enabled
        self._disk: dict[bytes, dict[bytes, bytes]] = {}
        for path, on_disk in self.pairs.items():
            directory, _, name = path.rpartition(b"/")
            self._disk.setdefault(directory, {})[name] = on_disk
        for table in self._disk.values():
            taken = set(table.values())
            for name in [name for name in table if name not in taken]:
                end = name
                while end in table:
                    end = table[end]
                table[end] = name
        self._true = {d: {on_disk: name for name, on_disk in table.items()} for d, table in self._disk.items()}

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameMap) and (self.pairs, self.enabled) == (other.pairs, other.enabled)

    __hash__ = None  # type: ignore[assignment]

    def on_disk(self, path: bytes) -> bytes:
        """Return where a path of the tree lies below the working copy's root."""
        if not self._disk:
            return path
        found: list[bytes] = []
        directory = b""
        for name in path.split(b"/"):
            table = self._disk.get(directory)
            found.append(table.get(name, name) if table is not None else name)
            directory = directory + b"/" + name if directory else name
        return b"/".join(found)

    def disk_names(self, directory: bytes) -> Mapping[bytes, bytes] | None:
        """Return true name -> name on disk of a folder, None where all names are the same."""
        return self._disk.get(directory)

    def true_names(self, directory: bytes) -> Mapping[bytes, bytes] | None:
        """Return name on disk -> true name of a folder, None where all names are the same."""
        return self._true.get(directory)

    def true_path(self, path: bytes) -> bytes:
        """Return the path in the tree that somebody means who names `path`: it may be the true one or that on disk."""
        if not self._true:
            return path
        directory = b""
        for name in path.split(b"/"):
            given = directory + b"/" + name if directory else name
            true_name = name if given in self.pairs else self._true.get(directory, {}).get(name, name)
            directory = directory + b"/" + true_name if directory else true_name
        return directory

    def extended(
        self,
        store: NodeStore,
        tree_id: bytes,
        root: bytes,
        pairs: Iterable[tuple[bytes, bytes]],
        *,
        is_known: Callable[[bytes], bool],
    ) -> NameMap:
        """Return the map with a free name for one path of each pair: the second, or the one that `is_known` is not.

        A name is free when no name of its folder in the tree, in the map or on disk falls together with it.
        """
        added = dict(self.pairs)
        taken: dict[bytes, set[str]] = {}
        for one, other in pairs:
            path = one if is_known(other) and not is_known(one) else other
            directory, _, name = path.rpartition(b"/")
            if directory not in taken:
                entry = trees.lookup(store, tree_id, directory)
                names = [n for n, _ in trees.entries(store, entry.id)] if entry is not None else []
                names += self._true.get(directory, {})
                taken[directory] = {fold(n) for n in names}
            stem, dot, ending = name.rpartition(b".")
            if not stem:
                stem, dot, ending = name, b"", b""
            place = os.path.join(root, self.on_disk(directory)) if directory else root
            number = 1
            while True:
                free = b"%b~%d%b%b" % (stem, number, dot, ending)
                if fold(free) not in taken[directory] and not os.path.lexists(place + b"/" + free):
                    break
                number += 1
            taken[directory].add(fold(free))
            added[path] = free
        return NameMap(added, enabled=self.enabled)

    def moved(self, source: bytes, goal: bytes) -> NameMap:
        """Return the map after a folder was moved with all that lies in it."""
        below = {goal + p[len(source) :]: name for p, name in self.pairs.items() if p.startswith(source + b"/")}
        return NameMap({**self.pairs, **below}, enabled=self.enabled) if below else self

    def only(self, is_known: Callable[[bytes], bool]) -> NameMap:
        """Return the map without the paths that are not known: their names are free for other files."""
        kept = {path: name for path, name in self.pairs.items() if is_known(path)}
        return self if len(kept) == len(self.pairs) else NameMap(kept, enabled=self.enabled)


def read_names(path: Path) -> NameMap:
    """Return the map that a file keeps; an empty one that is not enabled where there is none.

    Raises:
        DamagedNamesError: when it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return NameMap()
    try:
        version, pairs = msgpack.unpackb(content, use_list=False)
        if version != _VERSION:
            raise ValueError(f"version {version!r} is not known")
        return NameMap({bytes(true): bytes(on_disk) for true, on_disk in pairs}, enabled=True)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DamagedNamesError(
            f"{path} cannot be read: {error}", hint="it says which files lie under other names; remove it to go without"
        ) from error


def seed_names(source: Path, target: Path) -> NameMap:
    """Let a new working copy give files other names too where the one that it is made from does; return its map."""
    names = NameMap(enabled=read_names(source).enabled)
    write_names(target, names)
    return names


def write_names(path: Path, names: NameMap) -> None:
    """Keep a map durably; no file for one that is not enabled."""
    if names.enabled:
        write_file(path, msgpack.packb([_VERSION, sorted(names.pairs.items())], use_bin_type=True))
    else:
        path.unlink(missing_ok=True)
