"""What every kind of source can do, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from dsvc.errors import RemoteError
from dsvc.objects.reference import Reference
from dsvc.sources.address import SourceAddress

UNKNOWN_SIZE = -1  # of a Found: a server does not say how long an answer will be
Found = Reference
"""What lies at an address now; its ETag may be empty and its size unknown, which no stored reference has."""


class SourceError(RemoteError):
    """A source refused, failed or could not be reached."""


class SourceMissingError(SourceError):
    """There is nothing at an address, or not any more."""


class SourceChangedError(SourceError):
    """What lies at an address is not what it was."""


class InterruptedSourceError(SourceError):
    """A connection broke in the middle; going on where it broke may work."""


class Source(Protocol):
    """One bucket or one web server. Any number of threads may use it.

    All methods raise SourceMissingError, SourceChangedError, or SourceError when asked in vain.
    """

    def stat(self, address: SourceAddress) -> Found:
        """Return what lies at an address; nothing of it is read."""

    def list(self, prefix: SourceAddress) -> Iterator[Found]:
        """Yield what lies in the folder `prefix`, in the order in which the source lists it, page by page."""

    def read(self, found: Found, start: int, end: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the content from byte `start` up to `end` (None: to its end), as long as it is that very version.

        Raises:
            InterruptedSourceError: in the middle, when it may be asked again.
        """

    def close(self) -> None:
        """Give back connections."""


def missing(address: str) -> SourceMissingError:
    """Return the error for an address at which there is nothing."""
    return SourceMissingError(
        f"there is nothing at {address}", hint="check the address; a folder is imported with --prefix"
    )


def changed(address: str) -> SourceChangedError:
    """Return the error for content that is another one by now."""
    return SourceChangedError(
        f"{address} has changed since it was imported", hint="dsvc data update PATH takes up the new version"
    )
