"""Events of merge requests as values, and their one encoding. docs/formats/requests.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, cast, get_args

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.fields import Fields, person_fields, present
from dsvc.objects.ids import CommitId, ObjectId
from dsvc.objects.values import Person
from dsvc.refs.names import HEADS, BadRefNameError, check_name

EventKind = Literal["open", "update", "comment", "approve", "withdraw", "close", "reopen", "merge"]
KINDS: tuple[EventKind, ...] = get_args(EventKind)
MOST_TITLE = 500  # characters
MOST_TEXT = 1 << 18
MOST_AFTER = 1000  # events that one follows directly
_WHAT = "request"
_FIELDS: Mapping[EventKind, tuple[frozenset[str], frozenset[str]]] = {
    # what an event of this kind has beside author, request and after; and what else it may have
    "open": (frozenset({"title", "target", "commit"}), frozenset({"text", "source", "source_url"})),
    "update": (frozenset(), frozenset({"text", "title", "commit"})),
    "comment": (frozenset({"text"}), frozenset()),
    "approve": (frozenset({"commit"}), frozenset({"text"})),
    "withdraw": (frozenset(), frozenset({"text"})),
    "close": (frozenset(), frozenset({"text"})),
    "reopen": (frozenset(), frozenset({"text"})),
    "merge": (frozenset({"commit", "base", "result"}), frozenset({"text"})),
}


class Event(NamedTuple):
    """Something that somebody said or did about a request.

    `request` is the id of the event that opened it, None for that event itself; `after` are the newest events that the
    author knew of. `commit` is what is to be merged, approved or was merged, `base` the target's commit before the
    merge and `result` the one after it. `target` is the full name of a branch. `source` says for people where the
    commits come from: a branch, in the repository at `source_url` where that is another one.
    """

    kind: EventKind
    author: Person
    request: ObjectId | None = None
    after: tuple[ObjectId, ...] = ()
    title: str = ""
    text: str = ""
    target: str = ""
    source: str = ""
    source_url: str = ""
    commit: CommitId | None = None
    base: CommitId | None = None
    result: CommitId | None = None
    signature: bytes | None = None


def encode_event(event: Event, *, signed: bool = True) -> bytes:
    """Return the canonical bytes of an event; without its signature these are the bytes that are signed."""
    fields: dict[str, object] = {
        "what": _WHAT,
        "event": event.kind,
        "author": person_fields(event.author),
        "request": event.request,
        "after": event.after,
        "title": event.title or None,
        "text": event.text or None,
        "target": event.target or None,
        "source": event.source or None,
        "source_url": event.source_url or None,
        "commit": event.commit,
        "base": event.base,
        "result": event.result,
        "signature": event.signature if signed else None,
    }
    return codec.encode(present(fields, ("what", "event", "author")))


def decode_event(payload: bytes) -> Event:
    """Return the event that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not an event's, or it lacks what its kind needs.
    """
    fields = Fields(payload, "request's event")
    kind = fields.text("event")
    if fields.text("what") != _WHAT or kind not in KINDS:
        raise BadEncodingError(f"{kind!r} is no event of a request")
    event = Event(
        kind=kind,
        author=fields.person("author"),
        request=fields.optional_id("request"),
        after=fields.ids("after"),
        title=fields.optional_text("title"),
        text=fields.optional_text("text"),
        target=fields.optional_text("target"),
        source=fields.optional_text("source"),
        source_url=fields.optional_text("source_url"),
        commit=cast("CommitId | None", fields.optional_id("commit")),
        base=cast("CommitId | None", fields.optional_id("base")),
        result=cast("CommitId | None", fields.optional_id("result")),
        signature=fields.optional_bytes("signature"),
    )
    fields.check(encode_event(event))
    check_event(event)
    return event


def check_event(event: Event) -> None:
    """Make sure that an event has what its kind needs and nothing else, within bounds.

    Raises:
        BadEncodingError: otherwise.
    """
    needed, allowed = _FIELDS[event.kind]
    names = ("title", "text", "target", "source", "source_url", "commit", "base", "result")
    there = {name for name in names if getattr(event, name)}
    if not needed <= there or not there <= needed | allowed:
        raise BadEncodingError(f"an event {event.kind!r} of a request has other fields than it should")
    if (event.request is None) != (event.kind == "open") or (event.kind == "open" and event.after):
        raise BadEncodingError("an event of a request does not say which one it belongs to")
    if event.kind == "update" and not there & {"title", "commit"}:
        raise BadEncodingError("an update of a request brings neither commits nor a title")
    if event.target:
        try:
            check_name(event.target)
        except BadRefNameError as error:
            raise BadEncodingError(error.message) from error
        if not event.target.startswith(HEADS):
            raise BadEncodingError(f"a request asks for a merge into a branch, not into {event.target}")
    short = (event.title, event.source, event.source_url)
    if "\n" in event.title or any(len(text) > MOST_TITLE for text in short):
        raise BadEncodingError(f"the title of a request is one line of at most {MOST_TITLE} characters")
    if len(event.text) > MOST_TEXT or len(event.after) > MOST_AFTER:
        raise BadEncodingError(f"what is said in a request has at most {MOST_TEXT:,} characters")


class Witness(NamedTuple):
    """What a hub says of an event: which account brought it, with which key, when."""

    account: str
    key: str
    time: int
    zone: int


def encode_witness(witness: Witness, event_id: ObjectId) -> bytes:
    """Return the canonical bytes of what a hub says of an event."""
    return codec.encode(
        {
            "what": "witness",
            "event": event_id,
            "account": witness.account,
            "key": witness.key,
            "time": witness.time,
            "zone": witness.zone,
        }
    )


def decode_witness(payload: bytes, event_id: ObjectId) -> Witness:
    """Return what a hub says of that event.

    Raises:
        BadEncodingError: when the bytes are of another form, or of another event.
    """
    fields = Fields(payload, "witness")
    witness = Witness(fields.text("account"), fields.text("key"), fields.integer("time"), fields.integer("zone"))
    fields.check(encode_witness(witness, event_id))
    return witness
