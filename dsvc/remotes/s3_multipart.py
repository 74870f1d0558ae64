"""Large files go up in parts, several at once; an upload that was cut off is continued by whoever sends the file again.

The store keeps the list of uploads that were begun and of the parts that arrived, so nothing need be remembered here. A
part is not sent again when the store has one of that number, of the right size, with the MD5 of the same bytes as ETag.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dsvc.remotes.s3_calls import Calls
from dsvc.remotes.s3_errors import Kind, S3Error

_MIB: Final = 1 << 20
_MOST_PARTS: Final = 10_000  # what the protocol allows
_SMALLEST_PART: Final = 5 * _MIB
_COPIES: Final = 2  # of a part in memory: as read, and as the client puts it together with the head of its request
_GONE: Final[frozenset[Kind]] = frozenset({"no upload", "absent"})


class UploadGoneError(Exception):
    """An upload was completed or aborted by another process, or one of its parts was replaced."""


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """An upload that was begun and not completed; `key` is the object's name in the bucket."""

    key: str
    upload_id: str
    begun: datetime


def part_size(size: int, smallest: int) -> int:
    """Return the bytes of a part for a file of `size` bytes: the same each time, so that an upload can be continued."""
    needed = -(-size // _MOST_PARTS)
    return max(_SMALLEST_PART, smallest, -(-needed // _MIB) * _MIB)


class Budget:
    """Bytes that may be in memory at once; a single piece that is larger than all of it goes alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._free = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until `size` bytes are free and take them."""
        with self._free:
            while self._used and self._used + size > self._most:
                self._free.wait()
            self._used += size

    def give(self, size: int) -> None:
        """Give bytes back."""
        with self._free:
            self._used -= size
            self._free.notify_all()


@dataclass(frozen=True, slots=True)
class Multipart:
    """Uploads of one backend; `arguments` go along with each object that is begun."""

    client: Any
    calls: Calls
    bucket: str
    arguments: Mapping[str, str]
    smallest_part: int
    budget: Budget
    workers: ThreadPoolExecutor
    sent: Callable[[int], None]

    def upload(self, key: str, path: Path, size: int) -> None:
        """Store the file at `path` as the object `key`, unless there is one of that name when it is complete.

        What an earlier call has sent is not sent again. On an error the parts stay for the next call.
        """
        step = part_size(size, self.smallest_part)
        upload_id, there = self._find(key, path, size, step)
        if upload_id is None:
            upload_id = self._begin(key)
        try:
            self._finish(key, path, size, step=step, upload_id=upload_id, there=there)
        except UploadGoneError:
            if self._is_there(key):
                return  # who sent the same file at the same time has completed it
            self._finish(key, path, size, step=step, upload_id=self._begin(key), there={})

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Yield the uploads of objects whose name begins with `prefix`, page by page."""
        where: dict[str, str] = {}
        while True:
            answer = self.calls.repeat(
                lambda where=where: self.client.list_multipart_uploads(  # type: ignore[misc]
                    Bucket=self.bucket, Prefix=prefix, **where
                ),
                "listing unfinished uploads",
            )
            for upload in answer.get("Uploads", ()):
                yield UnfinishedUpload(upload["Key"], upload["UploadId"], upload["Initiated"])
            if not answer.get("IsTruncated") or not answer.get("NextKeyMarker"):
                return
            where = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer.get("NextUploadIdMarker", "")}

    def abort(self, upload: UnfinishedUpload) -> None:
        """Remove an upload and its parts; one that is gone is no error."""
        self._abort(upload.key, upload.upload_id)

    def _abort(self, key: str, upload_id: str) -> None:
        self._repeat(
            lambda: self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id),
            "removing an unfinished upload",
            missing=None,
        )

    def _begin(self, key: str) -> str:
        answer = self.calls.repeat(
            lambda: self.client.create_multipart_upload(Bucket=self.bucket, Key=key, **self.arguments),
            "beginning an upload",
        )
        return str(answer["UploadId"])

    def _find(self, key: str, path: Path, size: int, step: int) -> tuple[str | None, dict[int, str]]:
        """Return the upload of `key` that has most of the file's parts, and the ETags of these by number."""
        best: tuple[str | None, dict[int, str]] = (None, {})
        for upload in self.unfinished(key):
            if upload.key == key:
                there = self._matching(upload, path, size, step)
                if there is not None and (best[0] is None or len(there) > len(best[1])):
                    best = (upload.upload_id, there)
        return best

    def _matching(self, upload: UnfinishedUpload, path: Path, size: int, step: int) -> dict[int, str] | None:
        """Return the parts that have arrived as they would be sent, or None for an upload that is no use."""
        found: dict[int, str] = {}
        where: dict[str, int] = {}
        while True:
            answer = self._repeat(
                lambda where=where: self.client.list_parts(  # type: ignore[misc]
                    Bucket=self.bucket, Key=upload.key, UploadId=upload.upload_id, **where
                ),
                "listing the parts of an upload",
                missing=None,
            )
            if answer is None:
                return None
            for part in answer.get("Parts", ()):
                number = part["PartNumber"]
                length = min(step, size - (number - 1) * step)
                if part["Size"] == length and _md5(path, (number - 1) * step, length) == part["ETag"].strip('"'):
                    found[number] = part["ETag"]
            if not answer.get("IsTruncated"):
                return found
            where = {"PartNumberMarker": int(answer["NextPartNumberMarker"])}

    def _finish(self, key: str, path: Path, size: int, *, step: int, upload_id: str, there: dict[int, str]) -> None:
        """Send the parts that are not there, several at once, and complete the upload."""
        numbers = range(1, -(-size // step) + 1)
        etags = dict(there)
        stop = threading.Event()
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

        def send(number: int) -> tuple[int, str] | None:
            start = (number - 1) * step
            length = min(step, size - start)
            self.budget.take(length * _COPIES)
            try:
                if stop.is_set():
                    return None
                data = _read(fd, start, length)
                answer = self._repeat(
                    lambda: self.client.upload_part(
                        Bucket=self.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data
                    ),
                    "sending a part",
                )
            finally:
                self.budget.give(length * _COPIES)
            self.sent(length)
            return number, str(answer["ETag"])

        futures: list[Future[tuple[int, str] | None]] = []
        try:
            futures = [self.workers.submit(send, number) for number in numbers if number not in etags]
            for future in futures:
                part = future.result()
                if part is not None:
                    etags[part[0]] = part[1]
        finally:
            stop.set()
            for future in futures:
                future.cancel()
            for future in futures:
                if not future.cancelled():
                    future.exception()  # none may read from a file that is closed
            os.close(fd)
        self._complete(key, upload_id, [{"PartNumber": number, "ETag": etags[number]} for number in numbers])

    def _complete(self, key: str, upload_id: str, parts: list[dict[str, Any]]) -> None:
        try:
            self._repeat(
                lambda: self.client.complete_multipart_upload(
                    Bucket=self.bucket,
                    Key=key,
                    UploadId=upload_id,
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                ),
                "completing an upload",
                expected=frozenset({"conflict", "refused"}),
            )
        except Exception as error:
            kind = self.calls.known(error)
            if kind == "conflict":  # there is one already, which is kept
                self._abort(key, upload_id)
            elif "InvalidPart" in str(error):
                raise UploadGoneError from error
            else:
                raise self.calls.translated(error, "completing an upload") from error

    def _is_there(self, key: str) -> bool:
        found = self._repeat(lambda: self.client.head_object(Bucket=self.bucket, Key=key), "asking", missing=False)
        return found is not False

    def _repeat(
        self,
        request: Callable[[], Any],
        doing: str,
        *,
        expected: frozenset[Kind] = frozenset(),
        missing: Any = UploadGoneError,
    ) -> Any:
        """Send a request until it is answered; return `missing` when there is no such upload, or raise it."""
        try:
            return self.calls.repeat(request, doing, expected=expected | _GONE)
        except S3Error:
            raise
        except Exception as error:
            if self.calls.known(error) not in _GONE:
                raise
            if missing is UploadGoneError:
                raise UploadGoneError from error
            return missing


def _read(fd: int, start: int, length: int) -> bytes:
    data = os.pread(fd, length, start)
    while len(data) < length:
        more = os.pread(fd, length - len(data), start + len(data))
        if not more:
            raise OSError(f"a file became shorter while it was sent: it ends before byte {start + length}")
        data += more
    return data


def _md5(path: Path, start: int, length: int) -> str:
    """The MD5 of a part, which stores give as its ETag; it finds what arrived and protects nothing."""
    from hashlib import md5

    total = md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while length > 0:
            data = file.read(min(length, _MIB))
            if not data:
                break
            total.update(data)
            length -= len(data)
    return total.hexdigest()
