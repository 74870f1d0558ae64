"""Layers of an image: tar archives whose bytes follow from paths, modes, contents and one time alone.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md. Members are sorted, belong to root unless they say
otherwise, and are named in the POSIX form. Layers are stored plain: what a compressor writes differs from one release
of its library to the next, and the digest of an image would with it (docs/design/0034-images-and-deployments.md).
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dsvc.errors import IntegrityError, RequestError
from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import LAYER, BadImageError, Descriptor, UnfitImageError

EPOCH = 315_532_800  # 1980-01-01, the time of files that belong to no commit


class ChangedWhileReadError(RequestError):
    """A file had another length or content than was said of it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file, link or folder of a layer.

    `path` is relative to the root of the image. `link` is the target of a symbolic link. `open` gives the content of a
    file of `size` bytes; `sha256` is checked against it where it is known. A folder has neither `open` nor `link`.
    `owner` is the number of its user and group.
    """

    path: str
    size: int = 0
    open: Callable[[], IO[bytes]] | None = None
    executable: bool = False
    link: str = ""
    sha256: str = ""
    owner: int = 0


def text_member(path: str, text: str | bytes, *, executable: bool = False) -> Member:
    """Return a file with this content."""
    data = text.encode() if isinstance(text, str) else text
    return Member(path, len(data), lambda: io.BytesIO(data), executable)


def file_member(path: str, place: Path | str, *, sha256: str = "", executable: bool | None = None) -> Member:
    """Return a file with the content of one on disk, executable as that one is unless something else is said."""
    st = os.stat(place)
    runs = bool(st.st_mode & 0o111) if executable is None else executable
    return Member(path, st.st_size, lambda: open(place, "rb"), runs, sha256=sha256)


def write_layer(blobs: Blobs, members: Iterable[Member], *, time: int = EPOCH) -> Descriptor:
    """Keep a layer with these members and the folders above them; `time` is theirs, in seconds since 1970 UTC.

    The same members give the same bytes, in whatever order they come. Nothing is kept when an error ends it.

    Raises:
        ChangedWhileReadError: for a file that is not as was said. OSError, for one that cannot be read.
    """
    ordered = _with_folders(members)
    with blobs.unfinished() as (file, finish):
        output = _Hashing(file)
        with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:
            for member in ordered:
                _add(archive, member, time)
        descriptor = Descriptor(LAYER, f"sha256:{output.digest.hexdigest()}", output.size)
        finish(descriptor.digest)
    return descriptor


def _with_folders(members: Iterable[Member]) -> list[Member]:
    found: dict[str, Member] = {}
    for member in members:
        path = os.path.normpath(member.path)
        if path.startswith(("/", "..")) or path == ".":
            raise IntegrityError(f"{member.path!r} is no path inside of an image")
        found[path] = member
        above = os.path.dirname(path)
        while above and above not in found:
            found[above] = Member(above)
            above = os.path.dirname(above)
    return [found[path] for path in sorted(found, key=os.fsencode)]


def _add(archive: tarfile.TarFile, member: Member, time: int) -> None:
    info = tarfile.TarInfo(os.path.normpath(member.path))
    info.mtime, info.mode, info.uid, info.gid = time, 0o755, member.owner, member.owner
    if member.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, member.link, 0o777
        archive.addfile(info)
    elif member.open is None:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    else:
        info.size, info.mode = member.size, 0o755 if member.executable else 0o644
        with member.open() as stream:
            reader = _Hashing(stream)
            try:
                archive.addfile(info, reader)
            except OSError as error:
                raise ChangedWhileReadError(f"{member.path} became shorter while it was read") from error
            if member.sha256 and reader.digest.hexdigest() != member.sha256:
                raise ChangedWhileReadError(f"{member.path} has not the content that is recorded for it")


class _Hashing(io.RawIOBase):
    """A stream that passes on what is read or written, and takes its digest."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest, self.size = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """Pass on what is read."""
        data = self._stream.read(size)
        self.digest.update(data)
        return data

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Pass on what is written."""
        self.digest.update(data)
        self.size += len(data)
        return self._stream.write(data)


def walk_layer(path: Path, media_type: str) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield the members of a layer, compressed or not; each can be read until the next is asked for.

    Raises:
        BadImageError: when it is damaged. UnfitImageError: for a form of compression that is not known.
    """
    with open(path, "rb") as file:
        try:
            if media_type.endswith("+zstd"):
                import zstandard

                plain = zstandard.ZstdDecompressor().stream_reader(file)
                with tarfile.open(fileobj=plain, mode="r|", bufsize=1 << 20) as archive:
                    for info in archive:
                        yield info, archive
                return
            if not media_type.endswith((".tar", "+gzip")):
                raise UnfitImageError(f"a layer is of the form {media_type!r}, which dsvc cannot read")
            with tarfile.open(fileobj=file, mode="r|*", bufsize=1 << 20) as archive:
                for info in archive:
                    yield info, archive
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise BadImageError(f"the layer {path.name} is damaged: {error}") from error
