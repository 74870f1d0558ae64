"""The operation log and its head: the one cell that says what a repository is. docs/formats/head.md."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import heappop, heappush
from typing import NamedTuple, cast

from dsvc.errors import DsvcError, IntegrityError, NotARepositoryError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId, OperationId
from dsvc.objects.packlist import PackList, decode_pack_list, encode_pack_list, pack_list_id, pack_list_key
from dsvc.objects.segment import Segments
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.values import Operation, decode_operation
from dsvc.refs.view import View
from dsvc.storage.backend import Backend, BlobMissingError, SwapUncertainError

CELL = "head"
VERSION = 1
CARRYING = 2  # the form that has room for the pack list and the newest pack
CARRIED_BYTES = 8192  # of each; what is longer is a blob alone: the cell is read and compared as a whole
_RETRIES = 50


_CARRYING_START = codec.encode_plain([CARRYING, b"", b"", b"", b""])[:2]
DELETED = codec.encode_plain([VERSION, None, None])
"""The value of the cell of a repository that was deleted, while its place is still needed."""


class RepositoryDeletedError(NotARepositoryError):
    """The repository was deleted."""

    def __init__(self) -> None:
        super().__init__("the repository was deleted", hint="ask whoever runs the place")


class DamagedHeadError(IntegrityError):
    """The head cell or the pack list that it names cannot be used."""


class Head(NamedTuple):
    """What the head cell says: the newest operation and the live packs; `value` is the cell's bytes."""

    operation: OperationId
    packs: PackList
    value: bytes

    @property
    def newest(self) -> bytes:
        """The pack in which the operation lies, where the cell holds it; not compared with anything."""
        return _carried(self.value, 4)


def read_head(backend: Backend, segments: Segments | None = None) -> Head | None:
    """Return the head of a repository, or None where none was ever published.

    `segments` are those that were read before; without them each one is read again.

    Raises:
        DamagedHeadError: when the cell or the list is not of its form. RepositoryDeletedError: when it was deleted.
    """
    for _ in range(_RETRIES):
        value = backend.read_cell(CELL)
        if value is None:
            return None
        operation, list_id = decode_head(value)
        try:
            payload = _carried(value, 3) or backend.get(pack_list_key(list_id))
            if pack_list_id(payload) != list_id:
                raise DamagedHeadError(f"the pack list {list_id.hex()} is damaged", hint="dsvc fsck")
            return Head(operation, decode_pack_list(payload, (segments or Segments(backend)).get), value)
        except BlobMissingError:
            if backend.read_cell(CELL) != value:
                continue  # the head moved on, and its old list or a segment of it was removed
            raise
    raise DamagedHeadError("the head moved at every attempt to read it", hint="run the same command again")


def swap_head(
    backend: Backend,
    old: Head | None,
    operation: OperationId,
    packs: PackList,
    *,
    ready: Callable[[], None] = lambda: None,
    carry: bool = False,
    newest: bytes = b"",
) -> Head | None:
    """Move the head from `old` to this operation and pack list; return the new head, None when it had moved.

    `ready` is called right before: it waits until all packs are there, and what it raises stops the swap. A first head
    is of the form that `carry` says, any other one of the form of the one before. `newest` is the pack in which the
    operation lies, where the caller has it and it is small.

    Raises:
        SwapUncertainError: when it is not known whether it moved.
    """
    fresh = old is None or packs.segments != old.packs.segments
    retired = packs.retired if fresh else ()  # named in one list: the one that has them no more
    packs = replace(packs, previous=None if old is None else decode_head(old.value)[1], retired=retired)
    payload = encode_pack_list(packs)
    list_id = pack_list_id(payload)
    backend.put(pack_list_key(list_id), payload)
    ready()
    if not newest and old is not None and old.operation == operation:
        newest = old.newest
    value = encode_head(operation, payload, carry=carry if old is None else is_carrying(old.value), newest=newest)
    if backend.swap_cell(CELL, None if old is None else old.value, value):
        if old is not None and old.packs.previous is not None:
            # The list before stays for readers that have read the cell and not yet the list; the one before it goes.
            # Lists that no head ever named belong to writers that are about to swap, and are left to gc.
            with contextlib.suppress(OSError, DsvcError):  # the head has moved: nothing may say otherwise now
                backend.delete(pack_list_key(old.packs.previous))
                for segment in old.packs.retired:
                    backend.delete(segment.key)
        return Head(operation, packs, value)
    return None


def list_of(head: Head) -> ObjectId:
    """Return the id of the pack list that a head names."""
    return decode_head(head.value)[1]


def encode_head(operation: OperationId, payload: bytes, *, carry: bool, newest: bytes = b"") -> bytes:
    """Return the cell that names an operation and the pack list with this payload, in the form that `carry` says."""
    list_id = pack_list_id(payload)
    if not carry:
        return codec.encode_plain([VERSION, operation, list_id])
    held = (data if len(data) <= CARRIED_BYTES else b"" for data in (payload, newest))
    return codec.encode_plain([CARRYING, operation, list_id, *held])


def is_carrying(value: bytes) -> bool:
    """Say whether a head cell is of the form that has room for the pack list; nothing else is looked at."""
    return value[:2] == _CARRYING_START


def _carried(value: bytes, position: int) -> bytes:
    return cast("bytes", codec.decode_plain(value)[position]) if is_carrying(value) else b""


def decode_head(value: bytes) -> tuple[OperationId, ObjectId]:
    """Return the operation and the pack list that a head cell names.

    Raises:
        DamagedHeadError: when it is not of its form. RepositoryDeletedError: when it says so.
    """
    if value == DELETED:
        raise RepositoryDeletedError
    try:
        fields = codec.decode_plain(value)
    except BadEncodingError as error:
        raise DamagedHeadError("the head cell is damaged", hint="dsvc fsck") from error
    match fields:
        case (int(version), bytes(operation), bytes(list_id)) if (
            version is not True and version == VERSION and len(operation) == len(list_id) == ID_LENGTH
        ):
            return OperationId(ObjectId(operation)), ObjectId(list_id)
        case (int(version), bytes(operation), bytes(list_id), bytes(payload), bytes(newest)) if (
            version == CARRYING
            and len(operation) == len(list_id) == ID_LENGTH
            and max(len(payload), len(newest)) <= CARRIED_BYTES
        ):
            return OperationId(ObjectId(operation)), ObjectId(list_id)
    raise DamagedHeadError("the head cell is not of its form", hint="dsvc fsck")


class OperationLog:
    """Operations, from the head back."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def get(self, operation_id: OperationId) -> Operation:
        """Return an operation."""
        return decode_operation(self.store.get(operation_id, Kind.OPERATION))

    def view(self, operation_id: OperationId) -> View:
        """Return the view that an operation led to."""
        return View(self.store, self.get(operation_id).view)

    def walk(self, start: OperationId) -> Iterator[tuple[OperationId, Operation]]:
        """Yield operations from `start` back, newest first; ends where older ones were cut off."""
        heap: list[tuple[int, bytes, Operation]] = []
        seen: set[bytes] = set()

        def push(operation_id: OperationId) -> None:
            if operation_id not in seen:
                seen.add(operation_id)
                try:
                    operation = self.get(operation_id)
                except ObjectMissingError:
                    return  # cut by gc
                heappush(heap, (-operation.time, operation_id, operation))

        push(start)
        while heap:
            _, operation_id, operation = heappop(heap)
            yield OperationId(ObjectId(operation_id)), operation
            for parent in operation.parents:
                push(parent)


def contains_operation(log: OperationLog, head: OperationId, wanted: OperationId, *, limit: int = 1000) -> bool:
    """Say whether an operation is the head or one of its nearest `limit` ancestors."""
    return any(operation_id == wanted for (operation_id, _), _ in zip(log.walk(head), range(limit), strict=False))


__all__ = [
    "CARRIED_BYTES",
    "CELL",
    "DELETED",
    "DamagedHeadError",
    "Head",
    "OperationLog",
    "RepositoryDeletedError",
    "SwapUncertainError",
    "contains_operation",
    "encode_head",
    "is_carrying",
    "list_of",
    "read_head",
    "swap_head",
]
