"""A backend that passes every call on: what a wrapper leaves alone, it inherits from here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dsvc.storage.backend import Backend


class PassingBackend:
    """`inner`, unchanged. A wrapper overrides the calls that it changes."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return self.inner.get(key, offset=offset, length=length)

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`."""
        self.inner.put(key, source)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        return self.inner.missing(keys)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        self.inner.delete(key)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self.inner.read_cell(name)

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`."""
        return self.inner.swap_cell(name, expected, value)

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()
