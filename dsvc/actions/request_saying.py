"""Say something in a merge request: make an event and bring it to the remote, with the commits it speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsvc.actions.delivery import PushRaceError, deliver
from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.remote_access import steadily
from dsvc.actions.request_access import RequestPlace
from dsvc.actions.signing import Sign, find_signer
from dsvc.errors import RequestError
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import Kind, ObjectId
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct
from dsvc.requests.event import Event, EventKind, check_event, encode_event
from dsvc.requests.merge_request import MergeRequest
from dsvc.requests.names import commit_name, event_name, open_name, request_prefix


class NotOpenError(RequestError):
    """What is asked for makes no sense for a request in its state."""


@dataclass(frozen=True, slots=True)
class Said:
    """An event that is with the remote now, and what hooks of a hub printed."""

    number: int
    id: ObjectId
    event: Event
    output: str = ""


def compose(
    place: RequestPlace, kind: EventKind, request: MergeRequest | None, *, sign: Sign = None, **fields: Any
) -> Event:
    """Return a new event by whoever works here, behind all that is known of the request.

    Raises:
        RequestError: for a text or title that is too long. MissingIdentityError. NoSigningKeyError.
    """
    workspace = place.workspace
    signer = find_signer(workspace, sign)
    event = Event(
        kind,
        workspace.person(),
        request=request.opening.id if request is not None else None,
        after=request.newest() if request is not None else (),
        **fields,
    )
    try:
        check_event(event)
    except BadEncodingError as error:
        raise RequestError(error.message) from error
    return event if signer is None else signer.event(event)


def say(
    place: RequestPlace, number: int, event: Event, *, updates: Sequence[RefUpdate] = (), jobs: int = 4
) -> Said:
    """Bring an event to the remote, and with it the commits that it asks to merge, in one operation.

    `updates` are further refs of the remote that move in it. What is said twice is there once.

    Raises:
        PushRaceError: when the number is taken by now, or one of `updates` moved. RemoteError.
    """
    workspace, remote = place.workspace, place.remote
    payload = encode_event(event)
    moving = list(updates)
    if event.kind in ("open", "update") and event.commit is not None:
        name, new = commit_name(number, event.commit), Direct(Kind.COMMIT, ObjectId(event.commit))
        if remote.view().get(name) is None:
            moving.append(RefUpdate(name, None, None, new, "new"))
    event_id = ObjectId(b"")

    def also(transaction: Transaction) -> str:
        nonlocal event_id
        event_id = remote.repo.store.put(Kind.STATE, payload)
        name = open_name(number) if event.kind == "open" else event_name(number, event_id)
        there = transaction.view.get(name)
        if there is not None and there != Direct(Kind.STATE, event_id):
            raise PushRaceError(f"there is a request {number} by now", hint="run the same command again")
        transaction.set(name, Direct(Kind.STATE, event_id))
        if event.kind == "merge":  # an approval may be taken back at this moment
            transaction.require_below(request_prefix(number))
        return f"request {number}: {event.kind}"

    _, output = steadily(workspace, remote, lambda: deliver(workspace, remote, moving, jobs=jobs, also=also))
    return Said(number, event_id, event, output)


def require_open(request: MergeRequest) -> None:
    """Refuse for a request that was merged or closed.

    Raises:
        NotOpenError: then.
    """
    if request.state == "merged":
        raise NotOpenError(f"request {request.number} is merged", hint="dsvc request open asks for another merge")
    if request.state == "closed":
        raise NotOpenError(f"request {request.number} is closed", hint=f"dsvc request reopen {request.number}")
