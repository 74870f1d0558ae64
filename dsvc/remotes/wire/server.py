"""The far end: answers requests for one backend until the near end is gone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from blake3 import blake3

from dsvc.errors import DsvcError
from dsvc.remotes.wire.errors import RemoteDeniedError, encode_error
from dsvc.remotes.wire.forks import DELETING, Forker, Unforker, encode_fork, encode_relatives
from dsvc.remotes.wire.forks import FEATURE as FORKS
from dsvc.remotes.wire.frames import (
    ANSWER,
    BEGIN,
    CANCEL,
    DATA,
    END,
    ERROR,
    FAR_PREFACE,
    FRAME,
    HELLO,
    INLINE,
    MAX_CONTROL,
    MAX_HELLO,
    NEAR_PREFACE,
    NEWEST,
    OLDEST,
    REQUEST,
    WINDOW,
    ConnectionCutError,
    FrameReader,
    FrameWriter,
    ProtocolError,
    Stream,
    field,
    pack_fields,
    unpack_fields,
)
from dsvc.remotes.wire.keys import LONGEST_KEY, blob_size, check_blob_key, check_prefix
from dsvc.remotes.wire.publish import FEATURE, LEDGERS, PublishingPlace, decode_offer, encode_published
from dsvc.remotes.wire.upload import Upload
from dsvc.remotes.wire.workers import Workers
from dsvc.storage.backend import Backend, BlobDamagedError, check_key, check_trial
from dsvc.version import __version__

MOST_UPLOADS = 16  # at a time; each has at most a window of bytes in memory
_PAGE = 2000  # keys of a listing in one answer
_LISTINGS = 8  # that are kept open to go on with

Fields = dict[str, Any]


def serve(
    open_backend: Callable[[bool], tuple[Backend, Path]], stream: Stream, *, read_only: bool = False
) -> None:
    """Speak the protocol over `stream` until it ends.

    `open_backend` gets whether the near end wants the place to be made, and gives the backend and a folder on the same
    disk for blobs that are arriving. What has arrived of a blob when the stream ends stays in that folder.

    Raises:
        ForeignPeerError: when the near end is no dsvc. ProtocolError: when it breaks the rules; it is told, too.
    """
    reader, writer = FrameReader(stream), FrameWriter(stream)
    try:
        reader.preface(NEAR_PREFACE)
        hello = _read_hello(reader)
        oldest, newest = field(hello, "oldest", int), field(hello, "newest", int)
        version = min(newest, NEWEST)
        if version < max(oldest, OLDEST):
            raise ProtocolError(
                f"dsvc {__version__} there speaks the protocol in version {_span(OLDEST, NEWEST)}, the dsvc here "
                f"in version {_span(oldest, newest)}",
                hint=f"install a newer dsvc {'here' if newest < OLDEST else 'there'}",
            )
        backend, staging = open_backend(hello.get("create") is True and not read_only)
    except ConnectionCutError:
        return
    except (DsvcError, OSError) as error:
        with contextlib.suppress(ConnectionCutError):
            writer.send_preface(FAR_PREFACE, pack_fields({"error": encode_error(error)}))
        if isinstance(error, OSError):
            return
        raise
    features = [FEATURE, LEDGERS] if isinstance(backend, PublishingPlace) else []
    features += [FORKS] if isinstance(backend, Forker) else []
    features += [DELETING] if isinstance(backend, Unforker) else []
    answer = {"version": version, "program": f"dsvc {__version__}", "features": features, "read_only": read_only}
    limits = {"clock": time.time(), "window": WINDOW, "uploads": MOST_UPLOADS, "inline": INLINE}
    try:
        writer.send_preface(FAR_PREFACE, pack_fields({**answer, **limits}))
        _Session(backend, staging, reader, writer, read_only=read_only).run()
    except ConnectionCutError:
        return
    finally:
        backend.close()


def _read_hello(reader: FrameReader) -> Fields:
    header = reader.header()
    if header is None:
        raise ConnectionCutError("the other end left")
    kind, _, length = header
    if kind != HELLO or length > MAX_HELLO:
        raise ProtocolError("the other end does not begin with a hello")
    return unpack_fields(reader.read(length))


class _Session:
    """One conversation after the hello."""

    def __init__(
        self, backend: Backend, staging: Path, reader: FrameReader, writer: FrameWriter, *, read_only: bool
    ) -> None:
        self._backend, self._staging = backend, staging
        self._reader, self._writer = reader, writer
        self._read_only = read_only
        self._workers = Workers()
        self._uploads: dict[int, Upload | None] = {}
        self._reads: set[int] = set()
        self._listings: OrderedDict[tuple[str, str], Iterator[tuple[str, int]]] = OrderedDict()
        self._lock = threading.Lock()
        self._newest_request = 0

    def run(self) -> None:
        """Read frames until the stream ends."""
        try:
            while (header := self._reader.header()) is not None:
                kind, request, length = header
                body = self._reader.read(length)
                if kind == DATA:
                    self._receive(request, body)
                else:
                    self._control(kind, request, unpack_fields(body), size=length)
        except ProtocolError as error:
            with contextlib.suppress(ConnectionCutError):
                self._writer.send(ERROR, 0, pack_fields(encode_error(error)))
            raise
        finally:
            self._workers.close()
            for upload in self._uploads.values():
                if upload is not None:
                    upload.abandon()

    def _receive(self, request: int, body: bytearray) -> None:
        with self._lock:
            upload = self._uploads.get(request)
        if upload is not None:
            upload.receive(body)
        elif not 0 < request <= self._newest_request:
            raise ProtocolError("the other end sends data that belongs to nothing")

    def _control(self, kind: int, request: int, fields: Fields, *, size: int) -> None:
        if kind == REQUEST:
            if request <= self._newest_request:
                raise ProtocolError("the other end uses a number twice")
            self._newest_request = request
            self._request(request, fields, size=size)
            return
        with self._lock:
            upload = self._uploads.get(request)
            self._reads.discard(request)  # only CANCEL is ever sent for one
        if kind == CANCEL:
            if upload is not None:
                upload.stop()
                self._forget(request)
        elif kind == BEGIN:
            if upload is not None:
                upload.begin(field(fields, "at", int))
        elif kind == END:
            if upload is not None:
                upload.finish(field(fields, "hash", bytes))
        else:
            raise ProtocolError(f"the other end sends a frame of the unknown kind {kind}")

    def _request(self, request: int, fields: Fields, *, size: int) -> None:
        operation = field(fields, "op", str)
        if operation == "upload":
            with self._lock:
                if len(self._uploads) >= MOST_UPLOADS:
                    raise ProtocolError("the other end sends too many large blobs at once")
                self._uploads[request] = None
        elif operation == "get":
            with self._lock:
                self._reads.add(request)
        self._workers.quick(lambda: self._do(request, operation, fields), size=size)

    def _do(self, request: int, operation: str, fields: Fields) -> None:
        try:
            try:
                method = _OPERATIONS.get(operation)
                if method is None:
                    raise ProtocolError(f"dsvc {__version__} here does not know the request {operation!r}")
                if self._read_only and operation in _WRITING:
                    raise RemoteDeniedError("this place is served for reading only")
                answer = method(self, request, fields)
                if answer is not None:
                    self._writer.send(ANSWER, request, pack_fields(answer))
            except ConnectionCutError:
                raise
            except Exception as error:  # noqa: BLE001
                self._forget(request)
                self._writer.send(ERROR, request, pack_fields(encode_error(error)))
        except ConnectionCutError:
            pass  # the thread that reads finds that out too

    def _forget(self, request: int) -> None:
        with self._lock:
            self._uploads.pop(request, None)
            self._reads.discard(request)

    def _get(self, request: int, fields: Fields) -> None:
        key = _blob_key(fields)
        offset = field(fields, "offset", int)
        length = fields.get("length")
        if length is None:
            size = blob_size(self._backend, key)
            length = size - offset
            if offset < 0 or length < 0:
                raise BlobDamagedError(f"{key} ends at byte {size}, before byte {offset}", hint="dsvc fsck")
        elif type(length) is not int or length < 0:
            raise ProtocolError("the other end asks for a length that is no number")
        first = self._backend.get(key, offset=offset, length=min(length, FRAME))
        rest = length - len(first)
        self._writer.send_answered(request, pack_fields({"size": length}), first, urgent=not rest)
        if rest:
            self._read_on(request, key, offset + len(first), rest)
        else:
            self._forget(request)

    def _read_on(self, request: int, key: str, offset: int, rest: int) -> None:
        """Let one more frame of a blob be sent when its turn comes."""

        def step() -> None:
            with self._lock:
                if request not in self._reads:
                    return  # nobody wants it any more
            try:
                try:
                    piece = self._backend.get(key, offset=offset, length=min(rest, FRAME))
                except Exception as error:  # noqa: BLE001
                    self._forget(request)
                    self._writer.send(ERROR, request, pack_fields(encode_error(error)))
                    return
                self._writer.send(DATA, request, piece, urgent=False)
            except ConnectionCutError:
                return
            if rest > len(piece):
                self._read_on(request, key, offset + len(piece), rest - len(piece))
            else:
                self._forget(request)

        self._workers.bulk(step)

    def _put(self, request: int, fields: Fields) -> Fields:
        del request
        key = _blob_key(fields)
        data = field(fields, "data", bytes)
        if len(data) > INLINE or blake3(data).digest() != field(fields, "hash", bytes):
            raise BlobDamagedError(f"what arrived of {key} is not what was sent", hint="run the command again")
        if self._backend.missing([key]):
            self._admit(key, len(data))
            self._backend.put(key, data)
        return {}

    def _upload(self, request: int, fields: Fields) -> None:
        key, size = _blob_key(fields), field(fields, "size", int)
        if not self._backend.missing([key]):
            self._forget(request)
            self._writer.send(ANSWER, request, pack_fields({"exists": True}))
            return
        self._admit(key, size)
        upload = Upload(key, size, request=request, backend=self._backend, staging=self._staging)
        upload.connect(self._writer, self._workers, over=lambda: self._forget(request))
        with self._lock:
            if request not in self._uploads:  # cancelled meanwhile
                upload.stop()
                return
            self._uploads[request] = upload
        self._writer.send(ANSWER, request, pack_fields({"at": upload.held, "hash": upload.digest}))

    def _missing(self, request: int, fields: Fields) -> Fields:
        del request
        keys = [check_blob_key(key) for key in field(fields, "keys", list)]
        absent = set(self._backend.missing(keys))
        return {"absent": [number for number, key in enumerate(keys) if key in absent]}

    def _list(self, request: int, fields: Fields) -> Fields:
        """Give the keys after `after`, as many as fit; the listing stays open for the next part."""
        del request
        prefix, after = check_prefix(field(fields, "prefix", str)), field(fields, "after", str)
        with self._lock:
            found = self._listings.pop((prefix, after), None)
        if found is None:
            found = (item for item in self._backend.list(prefix) if item[0] > after)
        keys: list[str] = []
        sizes: list[int] = []
        for key, size in found:
            keys.append(key)
            sizes.append(size)
            if len(keys) == _PAGE:
                with self._lock:
                    self._listings[prefix, key] = found
                    if len(self._listings) > _LISTINGS:
                        self._listings.popitem(last=False)
                return {"keys": keys, "sizes": sizes, "more": True}
        return {"keys": keys, "sizes": sizes, "more": False}

    def _delete(self, request: int, fields: Fields) -> Fields:
        del request
        self._backend.delete(_blob_key(fields))
        return {}

    def _read_cell(self, request: int, fields: Fields) -> Fields:
        del request
        value = self._backend.read_cell(check_key(field(fields, "name", str)[:LONGEST_KEY]))
        if value is not None and len(value) > MAX_CONTROL // 3:
            raise ProtocolError("a cell holds more than can be sent")
        return {"value": value}

    def _swap_cell(self, request: int, fields: Fields) -> Fields:
        del request
        name, value = check_key(field(fields, "name", str)[:LONGEST_KEY]), field(fields, "value", bytes)
        expected = fields.get("expected")
        if expected is not None and type(expected) is not bytes:
            raise ProtocolError("the other end expects a value that is no bytes")
        return {"swapped": self._backend.swap_cell(name, expected, value)}

    def _admit(self, key: str, size: int) -> None:
        if isinstance(self._backend, PublishingPlace):
            self._backend.admit(key, size)

    def _publish(self, request: int, fields: Fields) -> Fields:
        del request
        if not isinstance(self._backend, PublishingPlace):
            raise ProtocolError("this place does not publish; its head is swapped by whoever pushes")
        return encode_published(self._backend.publish(decode_offer(fields)))

    def _fork(self, request: int, fields: Fields) -> Fields:
        del request
        if not isinstance(self._backend, Forker):
            raise ProtocolError("this place makes no forks; whoever may write to it makes them")
        return encode_fork(self._backend.fork(field(fields, "target", str)))

    def _forks(self, request: int, fields: Fields) -> Fields:
        del request, fields
        if not isinstance(self._backend, Forker):
            raise ProtocolError("this place does not say who forked it")
        return encode_relatives(self._backend.forks())

    def _unfork(self, request: int, fields: Fields) -> Fields:
        del request, fields
        if not isinstance(self._backend, Unforker):
            raise ProtocolError("this place deletes no forks; whoever may write to it deletes them")
        return {"shared_with": self._backend.unfork()}

    def _remove_trial(self, request: int, fields: Fields) -> Fields:
        del request
        name = check_trial(field(fields, "name", str))
        remove = getattr(self._backend, "remove_trial", None)
        if remove is None:
            raise ProtocolError("this place does not know how to forget a trial")
        remove(name)
        return {}


_OPERATIONS: dict[str, Callable[[_Session, int, Fields], Fields | None]] = {
    "get": _Session._get,
    "put": _Session._put,
    "upload": _Session._upload,
    "missing": _Session._missing,
    "list": _Session._list,
    "delete": _Session._delete,
    "read_cell": _Session._read_cell,
    "swap_cell": _Session._swap_cell,
    "remove_trial": _Session._remove_trial,
    "publish": _Session._publish,
    "fork": _Session._fork,
    "forks": _Session._forks,
    "unfork": _Session._unfork,
}
_WRITING = {"put", "upload", "delete", "swap_cell", "remove_trial", "publish", "fork", "unfork"}


def _blob_key(fields: Fields) -> str:
    return check_blob_key(fields.get("key"))


def _span(oldest: int, newest: int) -> str:
    return str(oldest) if oldest == newest else f"{oldest} to {newest}"
