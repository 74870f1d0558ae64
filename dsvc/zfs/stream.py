"""Look into a stream of `zfs send`: whether it changes anything.

The records are those of dmu_replay_record in OpenZFS's include/sys/zfs_ioctl.h: 312 bytes each, the kind in the first
four, the length of what follows a BEGIN in the next four.
"""

from __future__ import annotations

import struct

from dsvc.storage.snapshots import Read
from dsvc.zfs.errors import BrokenStreamError

_RECORD = 312
_BEGIN, _FREE_OBJECTS, _END = 0, 2, 5
_MAGIC = 0x2F5BACBAC
_HEAD = struct.Struct("<IIQ")
_FLAGS = struct.Struct("<36xI")
_CLONE = 1


def changes_nothing(read: Read) -> bool:
    """Say whether an incremental stream ends without a record that writes something; reads no further than needed.

    Numbers of objects that are free on both sides may be listed. Whatever adds, removes or changes a file changes a
    directory or a file's own record.

    Raises:
        BrokenStreamError: when it is no stream.
    """
    first = True
    while True:
        record = read(_RECORD)
        if len(record) < _RECORD:
            raise BrokenStreamError("a stream of zfs send ended early", hint="run the same command again")
        kind, length, magic = _HEAD.unpack_from(record)
        if first and (kind != _BEGIN or magic != _MAGIC):
            raise BrokenStreamError("what zfs send wrote is no stream", hint="zfs version")
        first = False
        if kind == _END:
            return True
        if kind == _BEGIN:
            if length:
                read(length)
        elif kind != _FREE_OBJECTS:
            return False


def is_clone(start: bytes) -> bool:
    """Say whether a stream that begins with these bytes goes on from the snapshot that a clone was made of.

    In a BEGIN record the flags stand behind magic, version, time and type (drr_begin).
    """
    return len(start) >= _FLAGS.size and bool(_FLAGS.unpack_from(start)[0] & _CLONE)
