"""Refs of merge requests: all are made once and never move, so that repositories can exchange them as a set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dsvc.objects.ids import CommitId, ObjectId
from dsvc.refs.names import REQUESTS, SEEN
from dsvc.refs.view import View

Part = Literal["open", "events", "commits", "by"]
_NAME = re.compile(r"requests/([1-9][0-9]{0,8})/(?:(open)|(events|commits|by)/([0-9a-f]{64}))", re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestRef:
    """What the name of a ref says: of which request it is, which part, and the id in it (None for `open`)."""

    number: int
    part: Part
    id: ObjectId | None = None


def parse_name(name: str) -> RequestRef | None:
    """Return what a ref's full name says, None where it is none of a request."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    number = int(found[1])
    if found[2]:
        return RequestRef(number, "open")
    return RequestRef(number, found[3], ObjectId(bytes.fromhex(found[4])))  # type: ignore[arg-type]


def request_prefix(number: int) -> str:
    """Return what comes before the names of all refs of a request."""
    return f"{REQUESTS}{number}/"


def open_name(number: int) -> str:
    """Return the name of the ref that opens a request."""
    return f"{REQUESTS}{number}/open"


def event_name(number: int, event_id: ObjectId) -> str:
    """Return the name of the ref of a later event."""
    return f"{REQUESTS}{number}/events/{event_id.hex()}"


def commit_name(number: int, commit_id: CommitId) -> str:
    """Return the name of the ref that keeps a commit which was to be merged."""
    return f"{REQUESTS}{number}/commits/{commit_id.hex()}"


def witness_name(number: int, event_id: ObjectId) -> str:
    """Return the name of the ref by which a hub says who brought an event."""
    return f"{REQUESTS}{number}/by/{event_id.hex()}"


def seen_prefix(remote: str) -> str:
    """Return what comes before the names of a remote's requests here."""
    return f"{SEEN}{remote}/"


def newest_number(view: View) -> int:
    """Return the highest number of a request, 0 where there is none.

    Numbers are given without gaps, so doubling and halving find it with few look-ups among any number of refs.
    """
    low, high = 0, 1
    while view.get(open_name(high)) is not None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if view.get(open_name(middle)) is not None:
            low = middle
        else:
            high = middle
    return low


