"""A backend that calls again what failed for a moment: a folder on a disk that is mounted over a network.

Buckets and SSH repeat their calls where their protocol is known (docs/design/0017). What is behind a folder is known to
the operating system alone: NFS, CIFS or sshfs whose connection was cut say so by an error, and soon work again.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from dsvc.storage.backend import SwapUncertainError
from dsvc.storage.local import PASSING, LocalBackend
from dsvc.storage.parts import PartedBlob
from dsvc.storage.passing import PassingBackend

DELAYS = (0.2, 1.0, 3.0)  # seconds before each new attempt; a disk that is broken is told after some four

_T = TypeVar("_T")


class RetryingBackend(PassingBackend):
    """The folder `inner`; a call that fails by one of the errors `PASSING` is made again after each of `delays`."""

    def __init__(self, inner: LocalBackend, *, delays: Sequence[float] = DELAYS) -> None:
        super().__init__(inner)
        self._folder = inner
        self._delays = delays
        self._closed = threading.Event()

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return self._again(lambda: self.inner.get(key, offset=offset, length=length))

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`. A file that could not be synced may have lost bytes: it is gone, and not put again."""

        def repeatable() -> bool:
            return not isinstance(source, Path) or source.exists()

        try:
            self._again(lambda: self.inner.put(key, source), repeatable)
        except OSError:
            if isinstance(source, Path) and source.is_file():
                with contextlib.suppress(OSError):
                    source.unlink()
            raise

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        return self._again(lambda: self.inner.missing(keys))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`; a listing that breaks off is begun anew before any of it is given."""
        return iter(self._again(lambda: [*self.inner.list(prefix)]))

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        self._again(lambda: self.inner.delete(key))

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self._again(lambda: self.inner.read_cell(name))

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`; never sent again: whoever swaps looks whether it took place."""
        try:
            return self.inner.swap_cell(name, expected, value)
        except OSError as error:
            if error.errno not in PASSING:
                raise
            raise SwapUncertainError(f"the disk of {self._folder.root} failed while {name} was changed") from error

    def close(self) -> None:
        """See `Backend.close`."""
        self._closed.set()
        self.inner.close()

    def staging(self) -> Path:
        """See `LocalBackend.staging`."""
        return self._again(self._folder.staging)

    def parted(self, key: str) -> PartedBlob | None:
        """See `LocalBackend.parted`."""
        return self._again(lambda: self._folder.parted(key))

    def remove_trial(self, name: str) -> None:
        """See `TrialPlace.remove_trial`."""
        self._folder.remove_trial(name)

    def clock_skew(self) -> tuple[float, float]:
        """See `ClockedPlace.clock_skew`."""
        return self._again(self._folder.clock_skew)

    def _again(self, call: Callable[[], _T], repeatable: Callable[[], bool] = lambda: True) -> _T:
        for delay in (*self._delays, None):
            try:
                return call()
            except Exception as error:
                if delay is None or not _passes(error) or self._closed.is_set() or not repeatable():
                    raise
            # Others failed at the same moment, and what they have open there has gone stale like this.
            self.inner.close()
            self._closed.wait(delay * random.uniform(0.5, 1.5))  # noqa: S311
        raise AssertionError


def _passes(error: BaseException) -> bool:
    """Whether an error, or the one that it was made of, is one that may be gone the next time."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__
    return found is not None and found.errno in PASSING
