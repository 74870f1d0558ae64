"""The near end of one connection: sends requests for many threads, and hands each answer to who waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from dsvc.errors import DsvcError
from dsvc.remotes.wire.errors import decode_error
from dsvc.remotes.wire.frames import (
    ANSWER,
    BEGIN,
    CANCEL,
    CREDIT,
    DATA,
    END,
    ERROR,
    FAR_PREFACE,
    HELLO,
    MAX_HELLO,
    NEAR_PREFACE,
    NEWEST,
    OLDEST,
    REQUEST,
    Bytes,
    ConnectionCutError,
    FrameReader,
    FrameWriter,
    ProtocolError,
    Stream,
    field,
    pack_fields,
    unpack_fields,
)
from dsvc.remotes.wire.pending import Pending, PendingBytes
from dsvc.remotes.wire.source import Source
from dsvc.remotes.wire.turns import Turns
from dsvc.remotes.wrappers.limited import Limits
from dsvc.storage.backend import SwapUncertainError
from dsvc.version import __version__

_MOST_REQUESTS = 128  # under way at a time
_LAST_WORDS = 2.0  # seconds for reading what the far end said before it closed
_LARGE = 1 << 20  # bytes that are read at once: more than that waits for its turn
_LARGE_READS = 2  # at a time: further ones would share the line, and whoever needs the first would wait for all


class WireConnection:
    """One conversation with a far end. Safe for threads."""

    def __init__(
        self,
        stream: Stream,
        *,
        place: str,
        create: bool = False,
        limits: Limits | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Exchange hellos; `meanwhile` is called while the other end has not answered yet.

        Raises:
            ForeignPeerError: when something else answers. ConnectionCutError: when nothing does.
            DsvcError: what the far end says against it.
        """
        self.place = place
        self._limits = limits or Limits()
        self._stream = stream
        self._reader, self._writer = FrameReader(stream), FrameWriter(stream)
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._last = 0
        self._broken: Exception | None = None
        hello = {"oldest": OLDEST, "newest": NEWEST, "program": f"dsvc {__version__}", "features": [], "create": create}
        before = time.time()
        with contextlib.suppress(ConnectionCutError):  # what it said before it left is told below
            self._writer.send_preface(NEAR_PREFACE, pack_fields(hello))
        meanwhile()
        self._reader.preface(FAR_PREFACE)
        header = self._reader.header()
        if header is None:
            raise ConnectionCutError("the connection ended before the other end said hello")
        if header[0] != HELLO or header[2] > MAX_HELLO:
            raise ProtocolError("the other end does not begin with a hello")
        answer = unpack_fields(self._reader.read(header[2]))
        if isinstance(answer.get("error"), dict):
            raise decode_error(answer["error"], place)
        if not OLDEST <= field(answer, "version", int) <= NEWEST:
            raise ProtocolError("the other end speaks a version of the protocol that was not asked for")
        self.program = field(answer, "program", str)
        self.clock_skew = _skew(before, answer.get("clock"), time.time())
        self.read_only = answer.get("read_only") is True
        self.features = frozenset(map(str, answer["features"] if isinstance(answer.get("features"), list) else ()))
        self._window, self.inline = field(answer, "window", int), field(answer, "inline", int)
        self._uploads = threading.BoundedSemaphore(max(1, field(answer, "uploads", int)))
        self._requests = threading.BoundedSemaphore(_MOST_REQUESTS)
        self._large_reads = Turns(_LARGE_READS)
        self._thread = threading.Thread(target=self._read, name="dsvc wire", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._broken is not None

    def call(self, operation: str, **fields: Any) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        return self.call_all(operation, [fields])[0]

    def call_all(self, operation: str, several: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask several times at once and wait for all answers."""
        answers: list[dict[str, Any]] = []
        for start in range(0, len(several), _MOST_REQUESTS // 4):
            sent: list[Pending] = []
            try:
                sent.extend(self._ask(Pending, operation, f) for f in several[start : start + _MOST_REQUESTS // 4])
                answers.extend(pending.answer() for pending in sent)
            finally:
                for pending in sent:
                    self._close(pending)
        return answers

    def put(self, key: str, data: bytes, digest: bytes) -> None:
        """Send a small blob whole."""
        self._limits.up.take(len(data), over=lambda: self.broken)
        self.call("put", key=key, data=data, hash=digest)

    def swap(self, **fields: Any) -> dict[str, Any]:
        """Ask for a swap.

        Raises:
            ConnectionCutError: it did not take place. SwapUncertainError: it may have.
        """
        pending = self._ask(Pending, "swap_cell", fields)
        try:
            answer: dict[str, Any] = pending.answer()
        except (ConnectionCutError, ProtocolError) as error:
            raise SwapUncertainError(
                f"the connection to {self.place} broke before it was known whether the repository was changed",
                hint="run the command again; it looks what became of this one first",
            ) from error
        finally:
            self._close(pending)
        return answer

    def get(self, key: str, offset: int, length: int | None) -> bytes:
        """Read bytes of a blob; of those who ask for many, the first two are served first."""
        fields: dict[str, Any] = {"key": key, "offset": offset}
        if length is None or length <= _LARGE:
            return self._get(fields, length)
        with self._large_reads.taken():
            return self._get(fields, length)

    def _get(self, fields: dict[str, Any], length: int | None) -> bytes:
        if length is not None:
            fields["length"] = length
        pending = self._ask(lambda number: PendingBytes(number, length), "get", fields)
        try:
            data: bytes = pending.data()
            return data
        except BaseException:
            self._cancel(pending)
            raise
        finally:
            self._close(pending)

    def upload(self, key: str, source: Source) -> int:
        """Send a blob, or what the far end does not have of it yet; return how many bytes were sent."""
        with self._uploads:
            pending = self._ask(Pending, "upload", {"key": key, "size": source.size})
            try:
                return self._send(pending, source, key)
            except BaseException:
                self._cancel(pending)
                raise
            finally:
                self._close(pending)

    def close(self) -> None:
        """End the conversation."""
        self._break(ConnectionCutError(f"the connection to {self.place} was closed"))
        self._stream.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _send(self, pending: Pending, source: Source, key: str) -> int:
        answer = pending.answer()
        if answer.get("exists") is True:
            return 0
        at = field(answer, "at", int)
        if not 0 <= at <= source.size or source.hash_to(at) != field(answer, "hash", bytes):
            at = source.restart()
        source.held = start = at
        number = pending.number
        self._write(BEGIN, number, pack_fields({"at": at}))
        pending.take_credit(self._window)
        while at < source.size:
            count = pending.credit(min(source.piece, self._limits.up.piece))
            if not count:
                raise ProtocolError(f"the other end has {key} before it was sent")
            piece = source.read(count)
            self._limits.up.take(len(piece), over=lambda: self.broken)
            self._write(DATA, number, piece, urgent=False)
            at += len(piece)
        self._write(END, number, pack_fields({"hash": source.digest()}))
        pending.answer()
        return at - start

    def _ask(self, kind: Callable[[int], Any], operation: str, fields: dict[str, Any]) -> Any:
        self._requests.acquire()
        with self._asking:  # the other end wants the numbers in order
            try:
                with self._lock:
                    if self._broken is not None:
                        raise self._broken
                    self._last += 1
                    pending = self._pending[self._last] = kind(self._last)
            except BaseException:
                self._requests.release()
                raise
            try:
                self._write(REQUEST, pending.number, pack_fields({"op": operation, **fields}))
            except BaseException:
                self._close(pending)
                raise
        return pending

    def _write(self, kind: int, number: int, body: Bytes, *, urgent: bool = True) -> None:
        try:
            self._writer.send(kind, number, body, urgent=urgent)
        except ConnectionCutError:
            self._thread.join(_LAST_WORDS)
            if self._broken is not None:
                raise self._broken from None
            raise

    def _close(self, pending: Pending) -> None:
        with self._lock:
            self._pending.pop(pending.number, None)
        self._requests.release()

    def _cancel(self, pending: Pending) -> None:
        """Tell the far end that nobody waits any more, unless it ended the request itself."""
        if not self.broken and not pending.failed:
            with contextlib.suppress(DsvcError):
                self._writer.send(CANCEL, pending.number, pack_fields({}))

    def _read(self) -> None:
        error: Exception = ConnectionCutError(f"{self.place} closed the connection")
        try:
            while (header := self._reader.header()) is not None:
                self._take(*header)
        except Exception as found:  # noqa: BLE001
            error = found
        self._break(error)

    def _take(self, kind: int, number: int, length: int) -> None:
        with self._lock:
            pending = self._pending.get(number)
        if kind == DATA:
            self._limits.down.take(length, over=lambda: self.broken)
            if pending is None:
                self._reader.skip(length)
                return
            with pending.room(length) as view:
                self._reader.read_into(view)
            pending.filled(length)
            return
        fields = unpack_fields(self._reader.read(length))
        if kind == ERROR and number == 0:
            raise decode_error(fields, self.place)
        if pending is None:
            return
        if kind == ANSWER:
            pending.take_answer(fields)
        elif kind == ERROR:
            pending.take_error(decode_error(fields, self.place))
        elif kind == CREDIT:
            pending.take_credit(max(0, field(fields, "bytes", int)))
        else:
            raise ProtocolError(f"the other end sends a frame of the unknown kind {kind}")

    def _break(self, error: Exception) -> None:
        with self._lock:
            if self._broken is None:
                self._broken = error
            waiting = list(self._pending.values())
        for pending in waiting:
            pending.take_error(error)


def _skew(before: float, said: object, after: float) -> tuple[float, float] | None:
    """See `ClockedPlace.clock_skew`: what the far end's clock said between two moments here."""
    return (said - (before + after) / 2, (after - before) / 2) if isinstance(said, float) else None
