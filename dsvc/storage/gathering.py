"""Ask a place far away for many ranges at once, ahead of the reads that need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from dsvc.storage.backend import Backend

Range = tuple[int, int]  # first byte, byte behind the last one
Ranges = list[Range]


@runtime_checkable
class Gathers(Protocol):
    """A backend that can bring ranges of blobs near, several at once."""

    def gather(self, wanted: Iterable[tuple[str, Ranges]], *, advance: Callable[[int], None] | None = None) -> None:
        """Let later reads of these ranges be fast; `advance` hears of the bytes of each part that arrived.

        Raises:
            BlobMissingError, BlobDamagedError: where a blob is not there or too short. What a `get` raises.
        """

    def forget(self, keys: Iterable[str]) -> None:
        """Give back the room that what was gathered of these blobs takes."""

    def again(self, key: str, *, offset: int, length: int) -> bytes:
        """Read a range from where it is, whatever was gathered. Raises what a `get` raises."""


def gather(
    backend: Backend, wanted: Iterable[tuple[str, Ranges]], *, advance: Callable[[int], None] | None = None
) -> None:
    """Gather where the backend can; elsewhere reads are fast as they are."""
    if isinstance(backend, Gathers):
        backend.gather(wanted, advance=advance)


def forget(backend: Backend, keys: Iterable[str]) -> None:
    """Give back the room that was taken by `gather`."""
    if isinstance(backend, Gathers):
        backend.forget(keys)


def again(backend: Backend, key: str, *, offset: int, length: int) -> bytes:
    """Read a range once more, from where it is."""
    if isinstance(backend, Gathers):
        return backend.again(key, offset=offset, length=length)
    return backend.get(key, offset=offset, length=length)
