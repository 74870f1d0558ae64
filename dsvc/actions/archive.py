"""Archives with the same bytes every time: tar, tar.gz and zip, written as a stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, Protocol

from dsvc.errors import UsageError
from dsvc.objects.tree import Entry, EntryKind

ArchiveForm = Literal["dir", "tar", "tar.gz", "zip"]


class ArchiveWriter(Protocol):
    """Takes one file after the other."""

    def add(self, path: bytes, entry: Entry, chunks: Iterator[bytes]) -> None:
        """Add a file, a link (whose content is its target) or an empty folder."""


@contextmanager
def open_archive(file: BinaryIO, form: ArchiveForm, *, time: int) -> Iterator[ArchiveWriter]:
    """Yield a writer of an archive into `file`, which is only written forward; `time` is that of all entries.

    Raises:
        UsageError: for a format that is none of an archive.
    """
    if form == "zip":
        import zipfile

        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            yield _Zip(archive, time)
    elif form in {"tar", "tar.gz"}:
        import gzip
        import tarfile

        if form == "tar":
            with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                yield _Tar(tar, time)
        else:
            with (
                gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                yield _Tar(tar, time)
    else:
        raise UsageError(f"{form} is no archive", hint="--format tar, tar.gz or zip")


class _Chunks:
    """Pieces of a content as a file that can be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            piece = next(self._chunks, None)
            if piece is None:
                break
            self._rest += piece
        taken, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return taken


class _Tar:
    def __init__(self, tar: object, time: int) -> None:
        import tarfile

        assert isinstance(tar, tarfile.TarFile)
        self._tar = tar
        self._time = time

    def add(self, path: bytes, entry: Entry, chunks: Iterator[bytes]) -> None:
        import tarfile

        info = tarfile.TarInfo(os.fsdecode(path))
        info.mtime = self._time
        info.mode = 0o755 if entry.kind in {EntryKind.EXECUTABLE, EntryKind.TREE} else 0o644
        if entry.kind == EntryKind.TREE:
            info.type = tarfile.DIRTYPE
            self._tar.addfile(info)
        elif entry.kind == EntryKind.SYMLINK:
            info.type = tarfile.SYMTYPE
            info.mode = 0o777
            info.linkname = os.fsdecode(b"".join(chunks))
            self._tar.addfile(info)
        else:
            info.size = entry.size
            self._tar.addfile(info, _Chunks(chunks))


class _Zip:
    def __init__(self, archive: object, time: int) -> None:
        import zipfile

        assert isinstance(archive, zipfile.ZipFile)
        self._archive = archive
        self._time = time

    def add(self, path: bytes, entry: Entry, chunks: Iterator[bytes]) -> None:
        import stat
        import zipfile
        from datetime import UTC, datetime

        moment = datetime.fromtimestamp(max(self._time, 315_532_800), UTC)
        name = path.decode("utf-8", "replace") + ("/" if entry.kind == EntryKind.TREE else "")
        info = zipfile.ZipInfo(name, moment.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3  # Unix, so that modes and links count
        kinds = {
            EntryKind.EXECUTABLE: stat.S_IFREG | 0o755,
            EntryKind.SYMLINK: stat.S_IFLNK | 0o777,
            EntryKind.TREE: stat.S_IFDIR | 0o755,
        }
        info.external_attr = kinds.get(EntryKind(entry.kind), stat.S_IFREG | 0o644) << 16
        info.file_size = entry.size
        with self._archive.open(info, "w", force_zip64=entry.size >= 1 << 31) as target:
            for chunk in chunks:
                target.write(chunk)
