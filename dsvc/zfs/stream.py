"""Look into a stream of `zfs send`: what it changes.

The records are those of dmu_replay_record in OpenZFS's include/sys/zfs_ioctl.h: 312 bytes each, the kind in the first
four, the length of what follows a BEGIN in the next four. An OBJECT is followed by drr_raw_bonuslen bytes, or if that
is 0 by drr_bonuslen, rounded up to eight.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from dsvc.storage.snapshots import Read
from dsvc.zfs.errors import BrokenStreamError

_RECORD = 312
_PIECE = 1 << 20
_BEGIN, _OBJECT, _FREE_OBJECTS, _FREE, _END, _OBJECT_RANGE = 0, 1, 2, 4, 5, 9
_WITHOUT_CONTENT = (_OBJECT, _FREE_OBJECTS, _FREE, _OBJECT_RANGE)
_MAGIC = 0x2F5BACBAC
_HEAD = struct.Struct("<IIQ")
_WRITE, _SPILL = 3, 7
_OBJECT_AND_TWO = struct.Struct("<8xQQQ")  # of a FREE: object, offset, length; of a SPILL the length is the second
_SIZES = struct.Struct("<32xQ10xB45xQ")  # of a WRITE: its length, how it is compressed, its length then
_TO_THE_END = (1 << 64) - 1
_BONUS = struct.Struct("<28xI4xI")
_FLAGS = struct.Struct("<36xI")
_CLONE = 1


class Content(IntEnum):
    """What an incremental stream brings: nothing, objects without a byte of their content, or content."""

    NOTHING = 0
    OBJECTS = 1
    CONTENT = 2


def content_of(read: Read, *, whole: bool = False) -> Content:
    """Say what an incremental stream brings; unless it is to be read as a whole, no further than to the first change.

    Numbers of objects that are free on both sides may be listed. Whatever adds, removes or changes a file changes a
    directory or a file's own record. But a dataset that was received raw gets all such records written anew when it
    is mounted for the first time, for which no file has changed.

    Raises:
        BrokenStreamError: when it is no stream.
    """
    first, found = True, Content.NOTHING
    while True:
        record = read(_RECORD)
        if len(record) < _RECORD:
            raise BrokenStreamError("a stream of zfs send ended early", hint="run the same command again")
        kind, length, magic = _HEAD.unpack_from(record)
        if first and (kind != _BEGIN or magic != _MAGIC):
            raise BrokenStreamError("what zfs send wrote is no stream", hint="zfs version")
        first = False
        if kind == _END:
            return found
        if kind != _BEGIN and kind not in _WITHOUT_CONTENT:
            return Content.CONTENT
        if kind not in {_BEGIN, _FREE_OBJECTS}:
            found = Content.OBJECTS
            if not whole:
                return found
        if kind == _BEGIN and length:
            read(length)
        elif kind == _OBJECT:
            plain, raw = _BONUS.unpack_from(record)
            read(raw or (plain + 7) // 8 * 8)


def objects_written(read: Read) -> dict[int, int]:
    """Return the numbers of the objects in whose content an incremental stream writes or frees anything.

    With each comes the size up to which a file of that number is as it was all the same: a stream frees what lies
    behind the end of every object that it mentions. The stream is one without `-w` and `-e`, and is read to its end.

    Raises:
        BrokenStreamError: when it is no stream, or has records that such a stream has not.
    """
    found: dict[int, int] = {}
    first = True
    while True:
        record = read(_RECORD)
        kind, length, magic = _HEAD.unpack_from(record) if len(record) == _RECORD else (_END, 0, 0)
        if len(record) < _RECORD or (first and (kind != _BEGIN or magic != _MAGIC)):
            raise BrokenStreamError("a stream of zfs send ended early", hint="run the same command again")
        first = False
        number, second, third = _OBJECT_AND_TWO.unpack_from(record)
        if kind == _END:
            return found
        if kind == _BEGIN:
            read(length)
        elif kind == _OBJECT:
            plain, raw = _BONUS.unpack_from(record)
            read(raw or (plain + 7) // 8 * 8)
        elif kind == _WRITE:
            found[number] = 0
            logical, compressed, physical = _SIZES.unpack_from(record)
            _pass(read, physical if compressed else logical)
        elif kind == _FREE:
            found[number] = min(second if third == _TO_THE_END else 0, found.get(number, _TO_THE_END))
        elif kind == _SPILL:
            _pass(read, second)
        elif kind != _FREE_OBJECTS:
            raise BrokenStreamError(f"a stream of zfs send has a record of kind {kind}", hint="zfs version")


def _pass(read: Read, length: int) -> None:
    while length > 0:
        piece = read(min(length, _PIECE))
        if not piece:
            raise BrokenStreamError("a stream of zfs send ended early", hint="run the same command again")
        length -= len(piece)


def is_clone(start: bytes) -> bool:
    """Say whether a stream that begins with these bytes goes on from the snapshot that a clone was made of.

    In a BEGIN record the flags stand behind magic, version, time and type (drr_begin).
    """
    return len(start) >= _FLAGS.size and bool(_FLAGS.unpack_from(start)[0] & _CLONE)
