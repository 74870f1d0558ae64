"""Write one pack: frames into a temporary file, then the index behind them. docs/formats/pack.md.

A pack that takes in whole files becomes a folder with these beside the other frames. docs/formats/parted-pack.md.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsvc.atomic import temporary_name, write_all
from dsvc.objects.encodings import Encoding
from dsvc.objects.ids import Kind, PackId
from dsvc.objects.packindex import (
    NO_BASE,
    SALT_AT,
    SALT_LENGTH,
    Frame,
    Place,
    encode_index,
    pack_id_of,
    record,
    resalted,
)
from dsvc.objects.packref import PackClass, PackRef
from dsvc.storage.parts import LAYOUT, NAMELESS, REST, Part, encode_parts

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

MAGIC = b"dsvcpack"
VERSION = 1
HEADER = struct.Struct(">8sHB5x")  # magic, version, pack class
FOOTER = struct.Struct(">QQ8s")  # offset of the index, its length, magic
MAX_BYTES = 512 << 20  # a pack ends behind the frame that passes this
MAX_OBJECTS = 100_000  # about 30 MB of places while a pack is written
MAX_PARTS = 4096  # whole files in a pack
SYNC_EVERY = 64 << 20
WRITE_BYTES = 1 << 20  # gathered before they go to the file
_WAITING_BYTES = 8 * WRITE_BYTES  # gathered while others are being written, before the caller waits for these

Member = tuple[bytes, int, int, int]  # id, kind, offset in the frame's plain bytes, length


class PackWriter:
    """A pack under construction. One thread appends; what was appended can be read back at once, by any thread.

    Bytes go to the file some at a time; with `pool` in one of its threads, while the caller goes on. What goes wrong
    there is raised by the next call.
    """

    def __init__(self, staging: Path, pack_class: PackClass, *, pool: Callable[[], Executor] | None = None) -> None:
        self.pack_class = pack_class
        self._pool = pool
        self._lock = threading.RLock()  # of what is pending and being written
        self._pending: list[bytes | memoryview] = []
        self._pending_bytes = 0
        self._writing: Future[None] | None = None
        self.path = staging / temporary_name(f"pack-{pack_class.name.lower()}")
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            self._write(HEADER.pack(MAGIC, VERSION, pack_class))
        except BaseException:
            self.abandon()
            raise
        self.size = HEADER.size
        self.frames: list[Frame] = []
        self.places: dict[bytes, Place] = {}
        self._more: list[bytes] = []  # records of further objects under an id that the pack has
        self.folder: Path | None = None  # where whole files are, once there are any
        self._parts: list[Part] = []
        self._apart = 0  # bytes of the pack that lie in them

    def append(self, encoding: int, stored: bytes | memoryview, plain: int, members: list[Member]) -> None:
        """Append a frame that holds these objects."""
        self._append(Frame(self.size, len(stored), plain, NO_BASE, encoding), stored, members)

    def append_delta(self, frame: Frame, stored: bytes | memoryview, members: list[Member]) -> None:
        """Append a frame stored against an earlier frame of this pack, `frame.base`; its offset is set here."""
        self._append(frame._replace(offset=self.size, stored=len(stored)), stored, members)

    def _append(self, frame: Frame, stored: bytes | memoryview, members: list[Member]) -> None:
        self._write(stored)
        number = len(self.frames)
        self.frames.append(frame)
        self.size += len(stored)
        for object_id, kind, offset, length in members:
            place = Place(kind, number, offset, length)
            if self.places.setdefault(object_id, place) is not place:
                self._more.append(record(object_id, place))  # another map of the same file

    def append_part(self, file: Path, *, start: int, length: int, members: Sequence[tuple[bytes, int, int]]) -> None:
        """Append `length` bytes of `file` from `start` on, which stay where they are: the pack gets a link to the file.

        `members` are the chunks there that the pack is to hold: id, offset in the file, length. The file is on the same
        disk, synced or not, and nobody writes to it any more.
        """
        if self.folder is None:
            self.folder = self.path.with_name(temporary_name("pack-folder"))
            os.mkdir(self.folder)
        os.link(file, self.folder / str(len(self._parts)), follow_symlinks=False)
        found = os.stat(file)
        self._parts.append(Part(self.size, length, start, found.st_size, found.st_mtime_ns, NAMELESS))
        base = self.size - start
        for object_id, offset, size in members:
            place = Place(Kind.CHUNK, len(self.frames), 0, size)
            if self.places.setdefault(object_id, place) is place:
                self.frames.append(Frame(base + offset, size, size, NO_BASE, Encoding.RAW))
        self.size += length
        self._apart += length

    def name_part(self, file_id: bytes) -> None:
        """Say that the last part belongs to the file of this id, whose map is in this pack."""
        self._parts[-1] = self._parts[-1]._replace(id=file_id)

    def is_full(self) -> bool:
        """Say whether the pack should end here."""
        inline = self.size - self._apart
        return inline >= MAX_BYTES or len(self.places) >= MAX_OBJECTS or len(self._parts) >= MAX_PARTS

    def read(self, frame: Frame) -> bytes:
        """Return the stored bytes of a frame."""
        self._send(wait=True)
        offset = frame.offset
        for number, part in enumerate(self._parts):
            if part.offset <= frame.offset < part.offset + part.length:
                assert self.folder is not None
                with open(self.folder / str(number), "rb") as file:
                    return os.pread(file.fileno(), frame.stored, part.start + frame.offset - part.offset)
            if part.offset < frame.offset:
                offset -= part.length
        return os.pread(self._fd, frame.stored, offset)

    def sync_data(self) -> None:
        """Make what was written so far durable; may run in another thread while frames are appended."""
        os.fdatasync(self._fd)

    def finish(self) -> PackRef:
        """Write the index and return the finished pack, a file or a folder at `path` that is not durable yet."""
        records = [record(object_id, place) for object_id, place in self.places.items()] + self._more
        index = encode_index(self.pack_class, self.frames, records, salt=os.urandom(SALT_LENGTH))
        offset = self.size
        self._write(index)
        self._write(FOOTER.pack(offset, len(index), MAGIC))
        self._send(wait=True)
        os.close(self._fd)
        self._fd = -1
        if self.folder is not None:
            os.rename(self.path, self.folder / REST)
            with open(self.folder / LAYOUT, "xb") as file:
                file.write(encode_parts(self._parts))
                os.fchmod(file.fileno(), 0o444)
            self.path = self.folder
        pack_id: PackId = pack_id_of(index)
        size = offset + len(index) + FOOTER.size
        return PackRef(pack_id, self.pack_class, size, offset, len(records))

    def abandon(self) -> None:
        """Remove the unfinished pack; safe to call twice and after `finish` (then the finished file goes)."""
        if self._fd >= 0:
            if self._writing is not None and self._writing.cancelled():  # by the end of its pool
                self._writing = None
            with contextlib.suppress(OSError):
                self._settle()
            os.close(self._fd)
            self._fd = -1
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            os.unlink(self.path)

    def _write(self, data: bytes | memoryview) -> None:
        with self._lock:
            self._pending.append(data)
            self._pending_bytes += len(data)
            busy = self._writing is not None and not self._writing.done()
            if self._pending_bytes >= (_WAITING_BYTES if busy else WRITE_BYTES):
                self._send()

    def _send(self, *, wait: bool = False) -> None:
        """Write what is pending, behind what is being written."""
        with self._lock:
            self._settle()
            pieces, self._pending, self._pending_bytes = self._pending, [], 0
            if pieces and self._pool is not None and not wait:
                self._writing = self._pool().submit(_write_all, self._fd, pieces)
            else:
                _write_all(self._fd, pieces)

    def _settle(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _write_all(fd: int, pieces: list[bytes | memoryview]) -> None:
    for piece in pieces:
        write_all(fd, piece)


def renamed(ref: PackRef, index: bytes, path: Path, *, salt: bytes | None = None) -> PackRef:
    """Give the pack in the file `path`, whose index is `index`, an id of its own; return how it is named now.

    See `packindex.resalted` on why. The file is written to and not synced; afterwards it is read-only. With `salt`
    the same pack gets the same id again.
    """
    fresh = resalted(index, salt if salt is not None else os.urandom(SALT_LENGTH))
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, fresh[SALT_AT : SALT_AT + SALT_LENGTH], ref.index_offset + SALT_AT)
        os.fchmod(fd, 0o444)
    finally:
        os.close(fd)
    return ref._replace(id=pack_id_of(fresh))
