"""Directories that moved as a whole, by where most of their files went."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from dsvc.history.renames import Rename


class DirectoryRenames(NamedTuple):
    """Old directory to new one; `split` are directories whose files went to several places, none with most."""

    renames: Mapping[bytes, bytes]
    split: tuple[bytes, ...] = ()

    def moved(self, path: bytes) -> bytes | None:
        """Return where a path goes when the nearest renamed directory above it takes it along, or None."""
        above = parent_of(path)
        while above:
            new = self.renames.get(above)
            if new is not None:
                rest = path[len(above) + 1 :]
                return new + b"/" + rest if new else rest
            above = parent_of(above)
        return None

    def without(self, directories: Iterable[bytes]) -> DirectoryRenames:
        """Return the renames but for those of these directories."""
        left_out = set(directories)
        return DirectoryRenames({k: v for k, v in self.renames.items() if k not in left_out}, self.split)


def directory_renames(renames: Iterable[Rename], gone: Callable[[bytes], bool]) -> DirectoryRenames:
    """Find the directories that were renamed; `gone(path)` says whether a directory no longer exists.

    A file that went from a/b/c/x to a/z/c/y speaks for a/b/c -> a/z/c and for a/b -> a/z: as far up as the names of
    the directories stay the same. The new place with most votes wins; with two of equal count there is none.
    """
    votes: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
    known: dict[bytes, bool] = {}
    for rename in renames:
        old, new = parent_of(rename.old_path), parent_of(rename.new_path)
        while old and old != new:
            if old not in known:
                known[old] = gone(old)
            if not known[old]:
                break
            votes[old][new] += 1
            if not new or _name(old) != _name(new):
                break
            old, new = parent_of(old), parent_of(new)
    found: dict[bytes, bytes] = {}
    split: list[bytes] = []
    for old, places in votes.items():
        (best, count), *others = places.most_common(2)
        if others and others[0][1] == count:
            split.append(old)
        else:
            found[old] = best
    return DirectoryRenames(found, tuple(sorted(split)))


def parent_of(path: bytes) -> bytes:
    """Return the directory that holds a path, empty for the top."""
    return path[: max(path.rfind(b"/"), 0)]


def _name(path: bytes) -> bytes:
    return path[path.rfind(b"/") + 1 :]
