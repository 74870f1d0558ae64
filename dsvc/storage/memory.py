"""A backend in memory: for tests and for trials that keep nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from dsvc.storage.backend import BlobDamagedError, BlobMissingError, check_key, check_trial


class MemoryBackend:
    """Blobs and cells in two dicts."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._cells: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        data = self._blobs.get(check_key(key))
        if data is None:
            raise BlobMissingError(key, "memory")
        end = len(data) if length is None else offset + length
        if not 0 <= offset <= end <= len(data):
            raise BlobDamagedError(f"{key} ends at byte {len(data)}, before byte {end}")
        return data[offset:end]

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`."""
        check_key(key)
        if isinstance(source, Path):
            data = source.read_bytes()
            source.unlink()
        else:
            data = bytes(source)
        with self._lock:
            self._blobs.setdefault(key, data)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        return [key for key in keys if check_key(key) not in self._blobs]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        with self._lock:
            found = sorted((k, len(v)) for k, v in self._blobs.items() if k.startswith(prefix))
        yield from found

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        with self._lock:
            self._blobs.pop(check_key(key), None)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self._cells.get(check_key(name))

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`."""
        with self._lock:
            if self._cells.get(check_key(name)) != expected:
                return False
            self._cells[name] = bytes(value)
            return True

    def remove_trial(self, name: str) -> None:
        """See `TrialPlace.remove_trial`."""
        check_trial(name)
        with self._lock:
            self._blobs = {key: data for key, data in self._blobs.items() if not key.startswith(f"{name}/")}
            self._cells = {key: value for key, value in self._cells.items() if not key.startswith(f"{name}-")}

    def close(self) -> None:
        """See `Backend.close`."""
