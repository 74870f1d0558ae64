"""Records of content that was erased on purpose: refs `purged/FILE-ID` to a state with who, when and why.

docs/formats/tombstone.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import NamedTuple, cast

from dsvc.errors import DsvcError, RequestError
from dsvc.objects import codec
from dsvc.objects.ids import FileId, Kind, ObjectId
from dsvc.objects.store import ObjectMissingError
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository

PURGED = "purged/"
_SIGNED = 2  # the version of a signed one; the first has no field that says so


class Tombstone(NamedTuple):
    """Who erased a file's content, when (microseconds, minutes east of UTC) and why; perhaps a signature of that."""

    file_id: FileId
    user: str
    time: int
    zone: int
    reason: str
    signature: bytes | None = None


SignTombstone = Callable[[Tombstone], Tombstone]
"""Returns a tombstone with a signature."""


class PurgedError(RequestError):
    """The content of a file was erased on purpose."""

    def __init__(self, tombstone: Tombstone) -> None:
        name = tombstone.file_id.hex()
        super().__init__(
            f"the content of file {name} was {purged_text(tombstone)}",
            hint="it cannot be read any more; put another file in its place if you need one",
            details={"id": name, "user": tombstone.user, "reason": tombstone.reason},
        )
        self.tombstone = tombstone


def purged_text(tombstone: Tombstone, *, place: str | None = None) -> str:
    """Return `purged by ada on 2026-01-31: reason`, with the place where that was if it is given."""
    zone = timezone(timedelta(minutes=tombstone.zone))
    day = datetime.fromtimestamp(tombstone.time / 1_000_000, zone).strftime("%Y-%m-%d")
    where = f" from {place}" if place is not None else ""
    return f"purged{where} by {tombstone.user} on {day}: {tombstone.reason}"


def encode_tombstone(tombstone: Tombstone, *, signed: bool = True) -> bytes:
    """Return the payload of a tombstone's state, or with `signed` off the bytes that a signature covers."""
    fields: dict[str, codec.Value] = {
        "what": "purged",
        "user": tombstone.user,
        "time": tombstone.time,
        "zone": tombstone.zone,
        "reason": tombstone.reason,
    }
    if tombstone.signature is not None or not signed:
        fields |= {"version": _SIGNED, "file": bytes(tombstone.file_id)}  # else it could be put on another file
    if tombstone.signature is not None and signed:
        fields["signature"] = tombstone.signature
    return codec.encode(fields)


def decode_tombstone(file_id: bytes, payload: bytes) -> Tombstone:
    """Return the tombstone of a file; one that names another file has a signature that does not fit it."""
    fields = cast("dict[str, object]", codec.decode(payload))
    signature = fields.get("signature")
    return Tombstone(
        FileId(ObjectId(file_id)),
        str(fields.get("user", "")),
        _number(fields.get("time")),
        _number(fields.get("zone")),
        str(fields.get("reason", "")),
        signature if isinstance(signature, bytes) else None,
    )


def _number(value: object) -> int:
    return value if type(value) is int else 0  # whoever pushes a note may write anything


def put_tombstone(repo: Repository, tombstone: Tombstone) -> tuple[str, Direct]:
    """Store a tombstone; return the ref that the caller publishes."""
    state = repo.store.put(Kind.STATE, encode_tombstone(tombstone))
    return PURGED + tombstone.file_id.hex(), Direct(Kind.STATE, state)


def tombstone_of(repo: Repository, file_id: bytes) -> Tombstone | None:
    """Return the tombstone of a file, or None."""
    ref = repo.view().get(PURGED + file_id.hex())
    if not isinstance(ref, Direct) or ref.kind != Kind.STATE:
        return None
    return decode_tombstone(file_id, repo.store.get(ref.id, Kind.STATE))


def all_tombstones(repo: Repository) -> Iterator[Tombstone]:
    """Yield the tombstones of all files, in order of their ids."""
    for name, _ in repo.view().items(PURGED):
        found = tombstone_of(repo, bytes.fromhex(name.removeprefix(PURGED)))
        if found is not None:
            yield found


def purged_files(repo: Repository) -> frozenset[bytes]:
    """Return the ids of all files that were purged."""
    return frozenset(bytes.fromhex(name.removeprefix(PURGED)) for name, _ in repo.view().items(PURGED))


def explain_missing(repo: Repository, error: ObjectMissingError) -> DsvcError:
    """Return what to raise for an object that is not there: a PurgedError where it was erased, else `error`."""
    tombstone = tombstone_of(repo, error.id)
    return error if tombstone is None else PurgedError(tombstone)
