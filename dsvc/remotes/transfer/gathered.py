"""A remote place whose packs are read ahead: ranges are fetched in parallel into a folder, for work on many packs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from dsvc.remotes.transfer.landing import Landing
from dsvc.remotes.wrappers.cached import uncached
from dsvc.storage.backend import Backend
from dsvc.storage.gathering import Ranges
from dsvc.storage.passing import PassingBackend


class GatheredBackend(PassingBackend):
    """`inner`, of which ranges that were gathered into `folder` are read from there. Closing removes the folder."""

    def __init__(self, inner: Backend, folder: Path, *, jobs: int) -> None:
        super().__init__(inner)
        self._folder = folder
        self._jobs = jobs
        self._landing = Landing(uncached(inner), folder)

    def gather(self, wanted: Iterable[tuple[str, Ranges]], *, advance: Callable[[int], None] | None = None) -> None:
        """See `Gathers.gather`."""
        self._landing.fetch(wanted, jobs=self._jobs, advance=advance)

    def forget(self, keys: Iterable[str]) -> None:
        """See `Gathers.forget`."""
        for key in keys:
            self._landing.forget(key)

    def again(self, key: str, *, offset: int, length: int) -> bytes:
        """See `Gathers.again`."""
        return uncached(self.inner).get(key, offset=offset, length=length)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        if length is not None and self._landing.covers(key, offset, offset + length):
            return self._landing.get(key, offset=offset, length=length)
        return self.inner.get(key, offset=offset, length=length)

    def close(self) -> None:
        """Remove what was gathered; `inner` stays open, it belongs to whoever opened it."""
        shutil.rmtree(self._folder, ignore_errors=True)
