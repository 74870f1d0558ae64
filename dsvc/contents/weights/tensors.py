"""Tensors of a file, and how members of a zip file are read."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from dsvc.contents.driver import UnfitError

PIECE = 1 << 20
"""Bytes that are read at once."""


class Tensor(NamedTuple):
    """A tensor: element type (in safetensors' words where it has one), shape, size in bytes, and its bytes in pieces.

    `order` is what else must agree before bytes can be compared: byte order and layout. `place` is the member of a
    checkpoint in which the bytes lie, and where they begin there.
    """

    dtype: str
    shape: tuple[int, ...]
    size: int
    pieces: Callable[[], Iterator[bytes]]
    order: str = ""
    place: tuple[str, int] = ("", 0)

    @property
    def described(self) -> str:
        """Type and shape for people."""
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Archive:
    """The tensors of a file by name, in its order, and what else it says (texts by name).

    Of a checkpoint also its zip file, and its pickle, which says all that is not a tensor's bytes.
    """

    form: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    zip: zipfile.ZipFile | None = None
    pickle: bytes = b""


class Chosen(NamedTuple):
    """What a tensor becomes in a merge: its type and shape, its bytes in pieces, and which side it is of.

    `source` is `both` where the sides agree, else `ours`, `theirs`, `base`, `mean` or `task`.
    """

    tensor: Tensor
    pieces: Callable[[], Iterator[bytes]]
    source: str


def opened_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """Open a member of a zip file.

    Raises:
        UnfitError: for one that is damaged or encrypted.
    """
    try:
        return archive.open(info)  # type: ignore[return-value]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise UnfitError(f"{info.filename} cannot be read: {error}") from error


def member_pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    """Yield the bytes of a member from a place on."""
    import zlib

    try:
        with opened_member(archive, info) as stream:
            while start > 0:
                start -= len(stream.read(min(start, PIECE)) or b"x" * start)
            while piece := stream.read(PIECE):
                yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise UnfitError(f"{info.filename} is damaged: {error}") from error
