"""Records of content that was erased on purpose: refs `purged/FILE-ID` to a state with who, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import cast

from dsvc.errors import DsvcError, RequestError
from dsvc.objects import codec
from dsvc.objects.ids import FileId, Kind, ObjectId
from dsvc.objects.store import ObjectMissingError
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository

PURGED = "purged/"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Who erased a file's content, when (microseconds, minutes east of UTC) and why."""

    file_id: FileId
    user: str
    time: int
    zone: int
    reason: str


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


def put_tombstone(repo: Repository, tombstone: Tombstone) -> tuple[str, Direct]:
    """Store a tombstone; return the ref that the caller publishes."""
    fields = {
        "what": "purged",
        "user": tombstone.user,
        "time": tombstone.time,
        "zone": tombstone.zone,
        "reason": tombstone.reason,
    }
    state = repo.store.put(Kind.STATE, codec.encode(fields))
    return PURGED + tombstone.file_id.hex(), Direct(Kind.STATE, state)


def tombstone_of(repo: Repository, file_id: bytes) -> Tombstone | None:
    """Return the tombstone of a file, or None."""
    ref = repo.view().get(PURGED + file_id.hex())
    if not isinstance(ref, Direct) or ref.kind != Kind.STATE:
        return None
    fields = cast("dict[str, object]", codec.decode(repo.store.get(ref.id, Kind.STATE)))
    return Tombstone(
        FileId(ObjectId(file_id)),
        str(fields.get("user", "")),
        cast("int", fields.get("time", 0)),
        cast("int", fields.get("zone", 0)),
        str(fields.get("reason", "")),
    )


def purged_files(repo: Repository) -> frozenset[bytes]:
    """Return the ids of all files that were purged."""
    return frozenset(bytes.fromhex(name.removeprefix(PURGED)) for name, _ in repo.view().items(PURGED))


def explain_missing(repo: Repository, error: ObjectMissingError) -> DsvcError:
    """Return what to raise for an object that is not there: a PurgedError where it was erased, else `error`."""
    tombstone = tombstone_of(repo, error.id)
    return error if tombstone is None else PurgedError(tombstone)
