"""A folder of blobs under the digests of their content, as in an OCI layout: `blobs/sha256/HEX`."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from dsvc.atomic import temporary_name, write_file
from dsvc.errors import RequestError
from dsvc.images.descriptor import MAX_JSON, BadImageError, Descriptor, digest_of

_PIECE = 1 << 20


class Blobs:
    """The blobs below `folder`. What stands under a digest was checked when it came; several processes may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        """Return where a blob lies, or would."""
        return self._blobs / digest.partition(":")[2]

    def has(self, descriptor: Descriptor) -> bool:
        """Say whether a blob is there in its full length."""
        try:
            return self.path(descriptor.digest).stat().st_size == descriptor.size
        except OSError:
            return False

    def put(self, data: bytes, media_type: str) -> Descriptor:
        """Keep bytes and return their descriptor."""
        descriptor = Descriptor(media_type, digest_of(data), len(data))
        if not self.has(descriptor):
            self._make()
            try:
                write_file(self.path(descriptor.digest), data, durable=False)
            except OSError as error:
                raise RequestError(f"{self.path(descriptor.digest)} cannot be written: {error.strerror}") from error
        return descriptor

    def open(self, digest: str) -> IO[bytes]:
        """Return a stream of a blob's content, unchecked; raises FileNotFoundError where it is not there."""
        return self.path(digest).open("rb")

    def read(self, descriptor: Descriptor, what: str) -> bytes:
        """Return a manifest or config, checked.

        Raises:
            BadImageError: when it is not there, too large or damaged.
        """
        if descriptor.size > MAX_JSON:
            raise BadImageError(f"{what} has {descriptor.size:,} bytes, more than any manifest may")
        try:
            data = self.path(descriptor.digest).read_bytes()
        except OSError as error:
            raise BadImageError(f"{what} {descriptor.digest} is not there") from error
        if digest_of(data) != descriptor.digest:
            raise BadImageError(f"{what} {descriptor.digest} is damaged: its content has another digest")
        return data

    def check(self, descriptor: Descriptor, what: str) -> None:
        """Read a blob to its end and compare.

        Raises:
            BadImageError: when it is not there, or is damaged.
        """
        try:
            with open(self.path(descriptor.digest), "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadImageError(f"{what} {descriptor.digest} is not there") from error
        if found != descriptor.hex:
            raise BadImageError(
                f"{what} {descriptor.digest} is damaged: its content has another digest", hint=f"rm -r {self.folder}"
            )

    def take(self, pieces: Iterable[bytes], expected: Descriptor, what: str) -> None:
        """Keep content that comes in pieces, if it has the expected digest and length.

        Raises:
            BadImageError: otherwise; nothing is kept then.
        """
        digest, size = hashlib.sha256(), 0
        with self.unfinished() as (file, finish):
            for piece in pieces:
                size += len(piece)
                if size > expected.size:
                    break
                digest.update(piece)
                file.write(piece)
            if size != expected.size or digest.hexdigest() != expected.hex:
                raise BadImageError(f"{what} {expected.digest} is damaged: other content came under this digest")
            finish(expected.digest)

    def link(self, digest: str, other: Blobs) -> None:
        """Let a blob be in another folder too: as a hard link, or a copy where there can be none."""
        other._make()
        place = other.path(digest)
        if place.exists():
            return
        part = place.with_name(temporary_name(place.name))
        try:
            try:
                os.link(self.path(digest), part)
            except OSError:
                shutil.copyfile(self.path(digest), part)
            part.replace(place)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise RequestError(f"{place} cannot be written: {error.strerror}") from error

    def unfinished(self) -> Unfinished:
        """Return a file that becomes a blob when its digest is known, and is removed otherwise."""
        self._make()
        return Unfinished(self._blobs)

    def _make(self) -> None:
        try:
            self._blobs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"{self._blobs} cannot be made: {error.strerror}") from error


class Unfinished:
    """A context manager: the file, and a function that keeps it under a digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part = folder / temporary_name("layer")

    def __enter__(self) -> tuple[IO[bytes], Callable[[str], None]]:
        self._file = open(self._part, "wb", buffering=_PIECE)
        return self._file, self._finish

    def __exit__(self, *_exception: object) -> None:
        self._file.close()
        with suppress(OSError):
            self._part.unlink()

    def _finish(self, digest: str) -> None:
        self._file.flush()
        self._part.replace(self._folder / digest.partition(":")[2])
