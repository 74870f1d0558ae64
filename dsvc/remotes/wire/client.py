"""A backend at the other end of a wire, which outlives its connections."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from blake3 import blake3

from dsvc.errors import RemoteError
from dsvc.remotes.wire.connection import WireConnection
from dsvc.remotes.wire.forks import DELETING, HubFork, Relative, decode_fork, decode_relatives
from dsvc.remotes.wire.forks import FEATURE as FORKS
from dsvc.remotes.wire.frames import INLINE, MAX_CONTROL, ConnectionCutError, ProtocolError, field
from dsvc.remotes.wire.publish import FEATURE, LEDGERS, Offer, Published, decode_published, encode_offer
from dsvc.remotes.wire.reconnecting import DELAYS, Reconnecting
from dsvc.remotes.wire.source import Source
from dsvc.storage.backend import check_key, check_trial

_KEYS = 2000  # in one request
_CELL = MAX_CONTROL // 3  # bytes of a value


class WireBackend:
    """See `Backend`. A call during which the connection breaks goes on over a new one; only a swap does not."""

    def __init__(
        self, connect: Callable[[], WireConnection], *, place: str, delays: Sequence[float] = DELAYS
    ) -> None:
        """See `Reconnecting`."""
        self.place = place
        self._connections = Reconnecting(connect, place=place, delays=delays)

    def open(self) -> WireBackend:
        """Connect now, so that whatever is wrong is told at once; returns this backend."""
        self._connections.first()
        return self

    @property
    def read_only(self) -> bool:
        """Whether the far end takes no changes."""
        return self._connections.again(lambda connection: connection.read_only)

    @property
    def publishes(self) -> bool:
        """Whether the far end is a hub that moves refs itself: see `Publisher`."""
        return self._connections.again(lambda connection: FEATURE in connection.features)

    @property
    def takes_ledgers(self) -> bool:
        """See `Publisher.takes_ledgers`."""
        return self._connections.again(lambda connection: LEDGERS in connection.features)

    def publish(self, offer: Offer) -> Published:
        """See `Publisher.publish`."""
        fields = encode_offer(offer)
        return decode_published(self._connections.again(lambda c: c.call("publish", **fields)))

    def fork(self, target: str) -> HubFork:
        """See `Forker.fork`."""
        self._require_forks()
        return decode_fork(self._connections.again(lambda c: c.call("fork", target=target)))

    def forks(self) -> list[Relative]:
        """See `Forker.forks`."""
        self._require_forks()
        return decode_relatives(self._connections.again(lambda c: c.call("forks")))

    def unfork(self) -> int:
        """See `Unforker.unfork`."""
        self._require_forks(DELETING)
        return field(self._connections.again(lambda c: c.call("unfork")), "shared_with", int)

    def _require_forks(self, feature: str = FORKS) -> None:
        if not self._connections.again(lambda connection: feature in connection.features):
            what = "knows of no forks" if feature == FORKS else "deletes no forks for those who made them"
            raise RemoteError(f"{self.place} {what}", hint="an older dsvc runs there: ask who runs it")

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        check_key(key)
        return self._connections.again(lambda connection: connection.get(key, offset, length))

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`; what has arrived of a large blob is not sent again."""
        check_key(key)
        with contextlib.closing(Source(source)) as content:
            if content.size <= INLINE:
                data = bytes(content.read(content.size)) if content.size else b""
                self._connections.again(lambda c: c.put(key, data, blake3(data).digest()))
            else:
                self._upload(key, content)
        if isinstance(source, Path):
            os.unlink(source)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        for key in keys:
            check_key(key)
        parts = [keys[start : start + _KEYS] for start in range(0, len(keys), _KEYS)]
        answers = self._connections.again(lambda c: c.call_all("missing", [{"keys": part} for part in parts]))
        found: list[str] = []
        for part, answer in zip(parts, answers, strict=True):
            numbers = field(answer, "absent", list)
            if not all(type(n) is int and 0 <= n < len(part) for n in numbers):
                raise ProtocolError(f"{self.place} names keys that it was not asked for")
            found.extend(part[number] for number in numbers)
        return found

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        after, more = "", True
        while more:
            answer = self._connections.again(lambda c, after=after: c.call("list", prefix=prefix, after=after))  # type: ignore[misc]
            keys, sizes = field(answer, "keys", list), field(answer, "sizes", list)
            more = answer.get("more") is True
            if len(keys) != len(sizes) or (more and not keys):
                raise ProtocolError(f"{self.place} sends a listing that cannot be read")
            for key, size in zip(keys, sizes, strict=True):
                if not isinstance(key, str) or type(size) is not int or key <= after or not key.startswith(prefix):
                    raise ProtocolError(f"{self.place} sends a listing that is not in order")
                after = key
                yield key, size

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        check_key(key)
        self._connections.again(lambda c: c.call("delete", key=key))

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        check_key(name)
        answer = self._connections.again(lambda c: c.call("read_cell", name=name))
        return None if answer.get("value") is None else field(answer, "value", bytes)

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`."""
        check_key(name)
        if len(value) > _CELL:
            raise RemoteError(f"a cell of {len(value):,} bytes is more than {self.place} takes")
        value = bytes(value)
        answer = self._connections.again(lambda c: c.swap(name=name, expected=expected, value=value))
        return field(answer, "swapped", bool)

    def remove_trial(self, name: str) -> None:
        """See `TrialPlace.remove_trial`."""
        self._connections.again(lambda c: c.call("remove_trial", name=check_trial(name)))

    def clock_skew(self) -> tuple[float, float] | None:
        """See `ClockedPlace.clock_skew`: what the far end said when it was connected to."""
        return self._connections.again(lambda connection: connection.clock_skew)

    def close(self) -> None:
        """See `Backend.close`."""
        self._connections.close()

    def _upload(self, key: str, content: Source) -> None:
        """Send a large blob; an attempt that found more there than the one before does not count as one."""
        failures, held = 0, 0
        while True:
            connection = self._connections.current()
            try:
                connection.upload(key, content)
                return
            except ConnectionCutError as error:
                failures, held = (0 if content.held > held else failures), max(held, content.held)
                failures = self._connections.pause(connection, failures, error)
