"""Cells in a bucket: one object each, replaced on the condition that it still is the one that was read.

The object holds more than the value: random tokens of the writes that led to it. So no two writes have the same bytes,
and an ETag that comes back can only mean the same write. A writer whose answer was lost finds out from a later state
whether its own write was among those before. docs/formats/s3.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.remotes.s3.calls import Calls
from dsvc.remotes.s3.conditions import ConditionalWrites, try_conditions
from dsvc.remotes.s3.errors import S3Error, UnconditionalStoreError
from dsvc.storage.backend import SwapUncertainError, check_key

_VERSION: Final = 1
_DIGEST: Final = 32
_MARK: Final = 16
_TOKEN: Final = 16
_KEPT_TOKENS: Final = 64  # so many swaps later a lost answer can still be settled
_UNCHECKED: Final = bytes(_MARK)
_CONFLICTS: Final = 20  # refusals by a busy store while the value is still the expected one


class DamagedCellObjectError(IntegrityError):
    """The object of a cell does not match its checksum, or is of an unknown form."""


@dataclass(frozen=True, slots=True)
class CellObject:
    """What the object of a cell holds; `mark` names the store whose conditions its writer had checked."""

    value: bytes
    tokens: tuple[bytes, ...]
    mark: bytes = _UNCHECKED

    def encode(self) -> bytes:
        """The bytes of the object."""
        body = bytes((_VERSION, len(self.tokens))) + self.mark + b"".join(self.tokens) + self.value
        return blake3(body).digest() + body


def decode_cell(data: bytes, key: str) -> CellObject:
    """Read the object of a cell; `key` is for the message.

    Raises:
        DamagedCellObjectError: when it is not what `CellObject.encode` writes.
    """
    body = data[_DIGEST:]
    start = 2 + _MARK
    if len(body) < start or blake3(body).digest() != data[:_DIGEST]:
        raise DamagedCellObjectError(f"the cell {key} is damaged: it does not match its checksum")
    end = start + body[1] * _TOKEN
    if body[0] != _VERSION or len(body) < end:
        raise DamagedCellObjectError(f"the cell {key} has a form that this version does not know")
    tokens = tuple(body[place : place + _TOKEN] for place in range(start, end, _TOKEN))
    return CellObject(body[end:], tokens, body[2:start])


@dataclass(frozen=True, slots=True)
class _Seen:
    """An object of a cell as it was read or written, with its ETag."""

    etag: str
    object: CellObject


@dataclass(slots=True)
class Cells:
    """The cells of one backend; `arguments` go along with each object that is written."""

    client: Any
    calls: Calls
    bucket: str
    key_of: Callable[[str], str]
    arguments: Mapping[str, str]
    mark: bytes
    single_writer: bool
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _verdict: ConditionalWrites | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        seen = self._read(name)
        return None if seen is None else seen.object.value

    def conditions_known(self) -> bool:
        """Whether the store is known to keep conditions, without asking it."""
        return self._verdict is not None and self._verdict.kept

    def swap(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`.

        When the object that was last read or written here has the expected value, one request does it: the store
        compares.

        Raises:
            UnconditionalStoreError: when the store ignores conditions and several may write.
        """
        base = self._seen.get(name)
        if base is None or base.object.value != expected or not self.conditions_known():
            base = self._read(name)
        if (None if base is None else base.object.value) != expected:
            return False
        conditional = self._may_write()
        for attempt in range(_CONFLICTS):
            done, base = self._replace(name, base, value, conditional=conditional)
            if done:
                return True
            if (None if base is None else base.object.value) != expected:
                return False
            self.calls.wait(attempt + 1)  # another write of the same value came between, or the store was busy
        raise SwapUncertainError(f"{self._place(name)} is written by others all the time", hint="run the command again")

    def check(self) -> ConditionalWrites:
        """Find out, by writing and deleting one small object, whether the store keeps conditions; remember it."""
        with self._lock:
            if self._verdict is None:
                self._verdict = try_conditions(self.calls, self._put_object, self._delete, self.key_of)
            return self._verdict

    def _may_write(self) -> bool:
        """Return whether conditions are kept; raise where they are not and others may write."""
        verdict = self.check()
        if verdict.kept:
            return True
        if self.single_writer:
            return False
        raise UnconditionalStoreError(
            f"{self.calls.target.url}: the store at {self.calls.target.endpoint} {verdict.found}, so two writers "
            "at once would overwrite each other",
            hint="use a store that keeps conditions on writes; or, if one machine alone ever writes here, say so: "
            "'dsvc config remote.NAME.singleWriter true', or --single-writer with 'dsvc remote add'",
            details={"reason": "no conditional writes", "found": verdict.found},
        )

    def _replace(self, name: str, base: _Seen | None, value: bytes, *, conditional: bool) -> tuple[bool, _Seen | None]:
        """Write `value` over exactly `base`; return whether that took place, and what the cell is then.

        The same bytes are sent again after a lost answer, which is safe: at most one of the requests finds `base`.
        """
        token = os.urandom(_TOKEN)
        before = () if base is None else base.object.tokens
        written = CellObject(value, (token, *before)[:_KEPT_TOKENS], self.mark if conditional else _UNCHECKED)
        body = written.encode()
        lost: Exception | None = None
        attempt = 0
        while True:
            kind = None
            try:
                etag = self.calls.once(lambda: self._put(name, body, base, conditional=conditional))
                now = _Seen(etag, written)
                self._seen[name] = now
                return True, now
            except Exception as error:
                kind = self.calls.known(error)
                attempt += self.calls.weight(error)
                if kind in ("lost", "throttled"):
                    lost = error
                elif kind == "unsent":
                    if attempt >= self.calls.attempts_now():
                        if lost is None:
                            raise self.calls.translated(error, "moving a cell") from error
                        raise self._uncertain(name) from error
                elif kind == "refused":
                    if lost is None:
                        raise self.calls.translated(error, "moving a cell") from error
                    raise self._uncertain(name) from error
            if kind == "unsent":
                self.calls.wait(attempt)
                continue
            try:
                now_there = self._read(name)
            except S3Error as error:
                if lost is None:
                    raise
                raise self._uncertain(name) from error
            if now_there is not None and token in now_there.object.tokens:
                return True, now_there
            if _etag(now_there) != _etag(base):
                if lost is not None and not _follows(now_there, base):
                    raise self._uncertain(name) from lost
                return False, now_there  # what was sent for `base` can never be done any more
            if attempt >= self.calls.attempts_now():
                raise self._uncertain(name) from lost
            self.calls.wait(attempt, throttled=kind == "throttled")

    def _read(self, name: str) -> _Seen | None:
        key = self.key_of(name)

        def request() -> tuple[str, bytes] | None:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            return str(answer.get("ETag", "")), bytes(answer["Body"].read())

        try:
            answer = self.calls.repeat(request, "reading a cell", expected=frozenset({"absent"}))
        except Exception as error:
            if self.calls.known(error) != "absent":
                raise
            answer = None
        if answer is None:
            self._seen.pop(name, None)
            return None
        seen = _Seen(answer[0], decode_cell(answer[1], key))
        self._seen[name] = seen
        if self._verdict is None and seen.object.mark == self.mark:
            self._verdict = ConditionalWrites(kept=True)  # somebody tried it at this endpoint
        return seen

    def _put(self, name: str, body: bytes, base: _Seen | None, *, conditional: bool) -> str:
        condition: dict[str, str] = {}
        if conditional:
            condition = {"IfNoneMatch": "*"} if base is None else {"IfMatch": base.etag}
        return self._put_object(self.key_of(name), body, condition)

    def _put_object(self, key: str, body: bytes, condition: Mapping[str, str]) -> str:
        answer = self.client.put_object(
            Bucket=self.bucket, Key=key, Body=body, CacheControl="no-cache", **condition, **self.arguments
        )
        return str(answer.get("ETag", ""))

    def _delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def _uncertain(self, name: str) -> SwapUncertainError:
        return SwapUncertainError(
            f"{self._place(name)} was to be moved, and no answer says whether it was", hint="run the command again"
        )

    def _place(self, name: str) -> str:
        return f"the cell {check_key(name)} of {self.calls.target.url}"


def _etag(seen: _Seen | None) -> str | None:
    return None if seen is None else seen.etag


def _follows(later: _Seen | None, earlier: _Seen | None) -> bool:
    """Whether `later` tells of all writes since `earlier`."""
    if later is None:
        return False
    tokens = later.object.tokens
    if earlier is None or not earlier.object.tokens:
        return len(tokens) < _KEPT_TOKENS
    return earlier.object.tokens[0] in tokens
