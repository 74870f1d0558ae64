"""A backend in a bucket: a blob is an object that is never replaced, a cell one that is replaced on condition.

Which keys mean what is written in docs/formats/s3.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from dsvc.remotes.s3.calls import Calls
from dsvc.remotes.s3.cells import Cells
from dsvc.remotes.s3.conditions import ConditionalWrites
from dsvc.remotes.s3.errors import Kind, Target, named_in
from dsvc.remotes.s3.listing import Listing
from dsvc.remotes.s3.multipart import FilePart, Multipart, UnfinishedUpload
from dsvc.remotes.s3.settings import S3Settings, make_client
from dsvc.remotes.wrappers.limited import Limits, PacedBody
from dsvc.storage.backend import BlobDamagedError, BlobMissingError, check_key, check_trial

_ABSENT: Final[frozenset[Kind]] = frozenset({"absent"})
_ABSENT_OR_RANGE: Final[frozenset[Kind]] = frozenset({"absent", "range"})
_CONFLICT: Final[frozenset[Kind]] = frozenset({"conflict"})


def open_s3(
    settings: S3Settings,
    *,
    environment: Mapping[str, str],
    on_bytes: Callable[[int], None] | None = None,
    limits: Limits | None = None,
) -> S3Backend:
    """Return the backend of a bucket; nothing is sent yet.

    `on_bytes` hears of each piece of a blob that was sent or received, in bytes, from any thread. Both ways keep to
    `limits`.

    Raises:
        RequestError: when botocore is not installed. S3Error: for a profile that does not exist and the like.
    """
    return S3Backend(settings, make_client(settings, environment), on_bytes=on_bytes, limits=limits)


class S3Backend:
    """Blobs and cells below a prefix of a bucket; `client` is one of botocore's for S3.

    Each call sends its requests itself, so who wants several at once calls from several threads; only a large file is
    sent in parts by threads of the backend's own.
    """

    def __init__(
        self,
        settings: S3Settings,
        client: Any,
        *,
        on_bytes: Callable[[int], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.settings = settings
        self._client = client
        self._bucket = settings.bucket
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._moved = on_bytes or (lambda _: None)
        self._limits = limits or Limits()
        self.target = Target(settings.url, client.meta.endpoint_url)
        self._calls = Calls(self.target, connections=settings.connections, attempts=settings.attempts)
        encryption = _encryption(settings)
        self._arguments = encryption | ({"StorageClass": settings.storage_class} if settings.storage_class else {})
        self._cells = Cells(
            client,
            self._calls,
            self._bucket,
            key_of=lambda name: f"{self._prefix}cells/{name}",
            arguments=encryption,
            mark=blake3(f"{client.meta.endpoint_url}\n{self._bucket}".encode()).digest(16),
            single_writer=settings.single_writer,
        )
        if self._limits.any:
            client.meta.events.register("before-send.s3", self._pace)
        self._listing = Listing(client, self._calls, self._bucket, self._prefix)
        self._workers: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        name = self._name(key)
        if offset < 0 or (length is not None and length < 0):
            raise BlobDamagedError(f"{key} has no bytes before its first one")
        if length == 0:
            self._expect_size(key, offset)
            return b""
        whole = offset == 0 and length is None
        last = "" if length is None else offset + length - 1
        bytes_wanted = {} if whole else {"Range": f"bytes={offset}-{last}"}

        def request() -> tuple[bool, bytes]:
            answer = self._client.get_object(Bucket=self._bucket, Key=name, **bytes_wanted)
            return "ContentRange" in answer, self._read(answer["Body"])

        try:
            in_part, data = self._calls.repeat(request, f"reading {key}", expected=_ABSENT_OR_RANGE)
        except Exception as error:
            kind = self._calls.known(error)
            if kind == "absent":
                raise BlobMissingError(key, self.settings.url) from error
            if kind == "range":
                if length is not None or self._expect_size(key, offset) != offset:
                    raise self._too_short(key, offset + (length or 0)) from error
                return b""
            raise
        if bytes_wanted and not in_part:  # a store that does not know ranges sends all
            data = data[offset:] if length is None else data[offset : offset + length]
        if length is not None and len(data) != length:
            raise self._too_short(key, offset + length)
        self._moved(len(data))
        return data

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`; on an error a file stays where it is, so that the upload can be continued."""
        name = self._name(key)
        if isinstance(source, Path):
            size = source.stat().st_size
            if size <= self.settings.part_size:
                with source.open("rb") as file:
                    self._put_whole(key, name, size, lambda: FilePart(file.fileno(), 0, size))
            elif self._size(key) is None:
                self._multipart().upload(name, source, size)
            source.unlink()
        else:
            self._put_whole(key, name, len(source), lambda: source)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`: by a listing where that takes fewer requests than asking for each."""
        return self._listing.missing([check_key(key) for key in keys], ask=self._size, jobs=self.settings.connections)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`; pages are read as they are needed."""
        return self._listing.blobs(prefix)

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        name = self._name(key)
        self._calls.repeat(lambda: self._client.delete_object(Bucket=self._bucket, Key=name), f"deleting {key}")

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self._cells.read(check_key(name))

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`.

        Raises:
            UnconditionalStoreError: when the store ignores conditions on writes and several machines may write.
        """
        return self._cells.swap(check_key(name), expected, value)

    def close(self) -> None:
        """See `Backend.close`."""
        with self._lock:
            if self._workers is not None:
                self._workers.shutdown(cancel_futures=True)
                self._workers = None
        self._client.close()

    @property
    def requests_at_once(self) -> int:
        """How many requests are let through at once: fewer after the store asked for that, more as it recovers."""
        return self._calls.gate.limit

    def conditional_writes(self) -> ConditionalWrites:
        """Say whether the store keeps conditions on writes; the first time that takes five small requests."""
        return self._cells.check()

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """Yield the uploads below the prefix that were begun and not completed, for gc."""
        return self._multipart().unfinished(self._prefix)

    def abort_uploads(self, *, begun_before: datetime) -> int:
        """Remove the unfinished uploads that are older than that moment (with a zone); return how many.

        A slow upload that is still going on ends with an error and is begun anew when it is put again.
        """
        old = [upload for upload in self.unfinished_uploads() if upload.begun < begun_before]
        for upload in old:
            self._multipart().abort(upload)
        return len(old)

    def abandoned_uploads(self, *, begun_before: int, dry_run: bool) -> int:
        """See `UploadingPlace.abandoned_uploads`."""
        moment = datetime.fromtimestamp(begun_before / 1_000_000, UTC)
        if dry_run:
            return sum(upload.begun < moment for upload in self.unfinished_uploads())
        return self.abort_uploads(begun_before=moment)

    def remove_trial(self, name: str) -> None:
        """See `TrialPlace.remove_trial`."""
        for start in (f"{check_trial(name)}/", f"cells/{name}-"):
            for page in self._listing.pages(start):
                for key, _ in page:
                    self.delete(key)
        for upload in self._multipart().unfinished(f"{self._prefix}{name}/"):
            self._multipart().abort(upload)

    def clock_skew(self) -> tuple[float, float] | None:
        """See `ClockedPlace.clock_skew`: each answer of a store says when it was given, to the second."""
        before = time.time()
        answer = self._calls.repeat(
            lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._prefix}cells/", MaxKeys=1),
            "reading the store's clock",
        )
        after = time.time()
        try:
            said = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
        except (KeyError, ValueError):
            return None
        return said + 0.5 - (before + after) / 2, 0.5 + (after - before) / 2

    def _read(self, body: Any) -> bytes:
        """Read an answer, as fast as it may come."""
        pace = self._limits.down
        if pace.rate is None:
            return bytes(body.read())
        pieces: list[bytes] = []
        while piece := body.read(pace.piece):
            pieces.append(piece)
            pace.take(len(piece))
        return b"".join(pieces)

    def _pace(self, request: Any, **_: object) -> None:
        """Let a client send the body of a request only as fast as it may; called when all headers are made."""
        if request.body:
            request.body = PacedBody(request.body, self._limits.up)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _put_whole(self, key: str, name: str, size: int, body: Callable[[], object]) -> None:
        if not self._cells.conditions_known() and self._size(key) is not None:
            return  # a store that ignores the condition below would write it again
        try:
            self._calls.repeat(
                lambda: self._client.put_object(
                    Bucket=self._bucket, Key=name, Body=body(), IfNoneMatch="*", **self._arguments
                ),
                f"writing {key}",
                expected=_CONFLICT,
            )
        except Exception as error:
            if self._calls.known(error) != "conflict":
                raise
            return  # there is one, which is kept
        self._moved(size)

    def _size(self, key: str) -> int | None:
        """Return the bytes of a blob, or None where there is none."""
        name = self._name(key)
        try:
            return self._calls.repeat(
                lambda: int(named_in(self._client.head_object(Bucket=self._bucket, Key=name), "ContentLength")),
                f"looking for {key}",
                expected=_ABSENT,
            )
        except Exception as error:
            if self._calls.known(error) != "absent":
                raise
            return None

    def _expect_size(self, key: str, least: int) -> int:
        """Return the bytes of a blob, which should be there and have at least so many."""
        size = self._size(key)
        if size is None:
            raise BlobMissingError(key, self.settings.url)
        if size < least:
            raise self._too_short(key, least)
        return size

    def _too_short(self, key: str, end: int) -> BlobDamagedError:
        return BlobDamagedError(f"{key} in {self.settings.url} ends before byte {end}", hint="dsvc fsck")

    def _multipart(self) -> Multipart:
        settings = self.settings
        with self._lock:
            if self._workers is None:
                self._workers = ThreadPoolExecutor(max(1, settings.parallel_parts), thread_name_prefix="s3-part")
            workers = self._workers
        return Multipart(
            self._client,
            self._calls,
            self._bucket,
            arguments=self._arguments,
            smallest_part=settings.part_size,
            workers=workers,
            sent=self._moved,
        )


def check_conditional_writes(backend: S3Backend) -> ConditionalWrites:
    """Find out by trying whether the store behind `backend` keeps conditions on writes."""
    return backend.conditional_writes()


def _encryption(settings: S3Settings) -> dict[str, str]:
    arguments: dict[str, str] = {}
    if settings.encryption:
        arguments["ServerSideEncryption"] = settings.encryption
    if settings.kms_key:
        arguments["SSEKMSKeyId"] = settings.kms_key
    return arguments
