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

from dsvc.errors import BusyError
from dsvc.remotes.s3.calls import Calls
from dsvc.remotes.s3.errors import Kind, S3Error, named_in

_MIB: Final = 1 << 20
_MOST_PARTS: Final = 10_000  # what the protocol allows
_SMALLEST_PART: Final = 5 * _MIB
_GONE: Final[frozenset[Kind]] = frozenset({"no upload", "absent"})


class ShortFileError(BusyError):
    """Somebody changed a file while it was sent."""


class UploadGoneError(Exception):
    """An upload was completed or aborted by another process, or one of its parts was replaced."""


class UploadStoppedError(Exception):
    """Another part of the same file could not be sent, or the user gave up."""


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


class FilePart:
    """A stretch of a file as a client sends it: read from the disk piece by piece, never held as a whole.

    `read` may return more than it was asked for. The client asks for 16 KiB at a time; larger pieces take it a tenth
    less processor time, and leave other threads more of theirs.
    """

    def __init__(self, fd: int, start: int, length: int) -> None:
        self._fd = fd
        self._start = start
        self._length = length
        self._at = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return the next piece of at least `size` bytes, or what is left."""
        left = self._length - self._at
        wanted = left if size is None or size < 0 else min(left, max(size, _MIB))
        data = os.pread(self._fd, wanted, self._start + self._at)
        if wanted and not data:
            raise ShortFileError("a file became shorter while it was sent", hint="run the command again")
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place of the stretch."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        return self._at

    def tell(self) -> int:
        """Return the place of the next piece."""
        return self._at

    def __len__(self) -> int:
        """Return the bytes of the stretch."""
        return self._length


@dataclass(frozen=True, slots=True)
class Multipart:
    """Uploads of one backend; `arguments` go along with each object that is begun."""

    client: Any
    calls: Calls
    bucket: str
    arguments: Mapping[str, str]
    smallest_part: int
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
            answer = self._repeat(
                lambda where=where: self.client.list_multipart_uploads(  # type: ignore[misc]
                    Bucket=self.bucket, Prefix=prefix, **where
                ),
                "listing unfinished uploads",
                missing={},  # rclone's word for a bucket without any
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

        def send(number: int) -> tuple[int, str]:
            start = (number - 1) * step
            length = min(step, size - start)

            def request() -> Any:
                if stop.is_set():
                    raise UploadStoppedError
                answer = self.client.upload_part(
                    Bucket=self.bucket,
                    Key=key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=FilePart(fd, start, length),
                )
                return named_in(answer, "ETag")

            etag = self._repeat(request, "sending a part")
            self.sent(length)
            return number, str(etag)

        futures: list[Future[tuple[int, str]]] = []
        try:
            futures = [self.workers.submit(send, number) for number in numbers if number not in etags]
            for future in futures:
                sent, etag = future.result()
                etags[sent] = etag
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
