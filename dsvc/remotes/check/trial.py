"""A corner of a live place for a trial: blobs and cells under a name of its own, removed without a trace."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsvc.errors import DsvcError, RemoteError
from dsvc.storage.backend import Backend, check_trial

_PATIENCE = 60.0  # seconds that a call of another thread may take until it is given up


class TrialEndedError(RemoteError):
    """A thread goes on with a trial that was ended."""


class Trial:
    """The name under which everything is written, and who is writing."""

    def __init__(self) -> None:
        self.name = check_trial(f"check-{secrets.token_hex(6)}")
        self.used = False
        self._inside = 0
        self._ended = False
        self._changed = threading.Condition()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Make one call of a backend.

        Raises:
            TrialEndedError: after the end.
        """
        with self._changed:
            if self._ended:
                raise TrialEndedError("the check was ended")
            self.used = True
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Let no call begin any more, and wait for those of other threads."""
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: not self._inside, _PATIENCE)

    def remove(self, backend: Backend) -> bool:
        """Remove everything through `backend`; return whether that could be done.

        It is looked for a second time: what was sent last, when the user interrupted, may have been written last. A far
        end of an older version keeps the small cells of a trial, and an account that may not delete keeps all.
        """
        remove = getattr(backend, "remove_trial", None)
        with contextlib.suppress(DsvcError):
            for _ in range(2):
                if remove is not None:
                    remove(self.name)
                left = [key for key, _ in backend.list(f"{self.name}/")]
                for key in left:
                    backend.delete(key)
                if not left:
                    return remove is not None
        return False


class TrialBackend:
    """The part of `inner` that belongs to a trial, as if there were nothing else."""

    def __init__(self, inner: Backend, trial: Trial) -> None:
        self.inner = inner
        self._trial = trial
        self._prefix = f"{trial.name}/"

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        with self._trial.call():
            return self.inner.get(self._prefix + key, offset=offset, length=length)

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`."""
        with self._trial.call():
            self.inner.put(self._prefix + key, source)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        with self._trial.call():
            absent = self.inner.missing([self._prefix + key for key in keys])
        return [key.removeprefix(self._prefix) for key in absent]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        with self._trial.call():
            for key, size in self.inner.list(self._prefix + prefix):
                yield key.removeprefix(self._prefix), size

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        with self._trial.call():
            self.inner.delete(self._prefix + key)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        with self._trial.call():
            return self.inner.read_cell(f"{self._trial.name}-{name}")

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`."""
        with self._trial.call():
            return self.inner.swap_cell(f"{self._trial.name}-{name}", expected, value)

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()
