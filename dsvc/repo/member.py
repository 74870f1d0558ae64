"""One repository of a pool: its packs are the pool's, everything else has the member's id in its name.

The place of a pool is that of the repository which was forked first. That one, whose id is empty, has its cells and
blobs under the plain names, as if it were alone. docs/formats/pool.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from pathlib import Path

from dsvc.storage.backend import Backend
from dsvc.storage.gathering import Gathers, Ranges

FAMILY = "family"
FIRST = ""  # the member whose place the pool is
HERE = "."  # what a family calls the place of its pool
FORKS = "forks/"
_PACKS = "packs/"
_COMMON = ("format", FAMILY)


class MemberBackend:
    """What the member `member` sees of the pool in `inner`."""

    def __init__(self, inner: Backend, member: str) -> None:
        self.inner, self.member = inner, member
        self._folder = f"{FORKS}{member}/"

    def key(self, key: str) -> str:
        """Return the key that a blob has in the pool."""
        return key if key.startswith(_PACKS) else self._folder + key

    def cell(self, name: str) -> str:
        """Return the name that a cell has in the pool."""
        return name if name in _COMMON else f"{name}-{self.member}"

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return self.inner.get(self.key(key), offset=offset, length=length)

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`."""
        self.inner.put(self.key(key), source)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        names = {self.key(key): key for key in keys}
        return [names[key] for key in self.inner.missing(list(names))]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`: the member's own blobs, and the packs of all."""
        if prefix.startswith(_PACKS):
            yield from self.inner.list(prefix)
            return
        own = ((key.removeprefix(self._folder), size) for key, size in self.inner.list(self._folder + prefix))
        yield from merge(own, self.inner.list(_PACKS) if _PACKS.startswith(prefix) else ())

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        self.inner.delete(self.key(key))

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self.inner.read_cell(self.cell(name))

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`."""
        return self.inner.swap_cell(self.cell(name), expected, value)

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()


class GatheringMember(MemberBackend):
    """The same of a pool from which ranges can be gathered ahead."""

    def gather(self, wanted: Iterable[tuple[str, Ranges]], *, advance: Callable[[int], None] | None = None) -> None:
        """See `Gathers.gather`."""
        assert isinstance(self.inner, Gathers)
        self.inner.gather(((self.key(key), ranges) for key, ranges in wanted), advance=advance)

    def forget(self, keys: Iterable[str]) -> None:
        """See `Gathers.forget`."""
        assert isinstance(self.inner, Gathers)
        self.inner.forget(self.key(key) for key in keys)

    def again(self, key: str, *, offset: int, length: int) -> bytes:
        """See `Gathers.again`."""
        assert isinstance(self.inner, Gathers)
        return self.inner.again(self.key(key), offset=offset, length=length)


def member_of(pool: Backend, member: str) -> Backend:
    """Return what a member sees of a pool."""
    if member == FIRST:
        return pool
    return GatheringMember(pool, member) if isinstance(pool, Gathers) else MemberBackend(pool, member)


def pool_of(backend: Backend) -> tuple[Backend, str]:
    """Return the pool that a backend shows a member of, and that member; for any other one itself."""
    if isinstance(backend, MemberBackend):
        return backend.inner, backend.member
    return backend, FIRST
