"""Open the source of an address, each once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from dsvc.sources.address import SourceAddress, parse_source
from dsvc.sources.reading import Stream
from dsvc.sources.source import Found, Source


class Sources:
    """The sources that a command uses; safe for threads."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._open: dict[tuple[str, str], Source] = {}
        self._lock = threading.Lock()

    def of(self, address: SourceAddress) -> Source:
        """Return the source of an address; nothing is sent yet.

        Raises:
            RequestError: when what is needed for it is not installed.
        """
        place = (address.scheme, address.place) if address.is_bucket else ("web", "")
        with self._lock:
            if place not in self._open:
                self._open[place] = self._made(address)
            return self._open[place]

    def stat(self, address: str) -> Found:
        """Return what lies at an address; see `Source.stat`."""
        parsed = parse_source(address)
        return self.of(parsed).stat(parsed)

    def stream(
        self,
        found: Found,
        *,
        start: int = 0,
        end: int | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> Stream:
        """Return the content of what was found, from byte `start` up to `end` (None: all), to read from."""
        return Stream(self.of(parse_source(found.address)), found, start=start, end=end, advance=advance)

    def close(self) -> None:
        """Give back connections."""
        for source in self._open.values():
            source.close()
        self._open.clear()

    def _made(self, address: SourceAddress) -> Source:
        if address.is_bucket:
            from dsvc.sources.buckets import BucketSource

            return BucketSource(address.scheme, address.place, self._environment)
        from dsvc.sources.web import WebSource

        return WebSource(self._environment)
