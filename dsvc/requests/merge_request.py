"""A merge request: its events in order, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Literal, Protocol

from dsvc.errors import IntegrityError
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import REQUESTS
from dsvc.refs.view import Direct, View
from dsvc.requests.event import MOST_AFTER, Event, Witness, decode_event, decode_witness
from dsvc.requests.names import parse_name

State = Literal["open", "closed", "merged"]


class Reader(Protocol):
    """What gives stored objects: an `ObjectStore`."""

    def get(self, wanted: bytes, kind: Kind, /) -> bytes:
        """Return the payload of an object."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its id, and what a hub says of it, which is None where no hub took it."""

    id: ObjectId
    event: Event
    witness: Witness | None = None

    @property
    def who(self) -> str:
        """Whose word it is: an account where a hub says so, else what the author says, by their e-mail address."""
        if self.witness is not None:
            return f"@{self.witness.account}"
        return self.event.author.email or self.event.author.name

    @property
    def name(self) -> str:
        """How people call whoever it was."""
        return self.witness.account if self.witness is not None else self.event.author.name


@dataclass(frozen=True, slots=True)
class Approval:
    """The last word of somebody who approved a commit and did not withdraw that."""

    said: Recorded
    commit: CommitId


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A request and all its events, the opening one first, each behind those that its author knew of.

    `unreadable` is how many of its refs hold something else than they should.
    """

    number: int
    events: tuple[Recorded, ...]
    unreadable: int = 0

    @property
    def opening(self) -> Recorded:
        """The event that opened it."""
        return self.events[0]

    @property
    def target(self) -> str:
        """The full name of the branch that it is to be merged into."""
        return self.opening.event.target

    @property
    def title(self) -> str:
        """What it is about, as said last."""
        return next(r.event.title for r in reversed(self.events) if r.event.title)

    @property
    def versions(self) -> tuple[Recorded, ...]:
        """The events that brought commits to be merged, oldest first."""
        return tuple(r for r in self.events if r.event.kind in ("open", "update") and r.event.commit is not None)

    @property
    def head(self) -> CommitId:
        """The commit that is to be merged."""
        commit = self.versions[-1].event.commit
        assert commit is not None
        return commit

    @property
    def state(self) -> State:
        """Whether it is open, closed or merged; a merge is final."""
        ending = self.ending
        if ending is None:
            return "open"
        return "merged" if ending.event.kind == "merge" else "closed"

    @property
    def ending(self) -> Recorded | None:
        """The event that merged or closed it, None while it is open."""
        found: Recorded | None = None
        for recorded in self.events:
            match recorded.event.kind:
                case "merge":
                    return recorded
                case "close":
                    found = found or recorded
                case "reopen":
                    found = None
        return found

    @property
    def comments(self) -> int:
        """How many comments there are."""
        return sum(r.event.kind == "comment" for r in self.events)

    def approvals(self) -> list[Approval]:
        """Return the last word of each who approved and did not withdraw it, in the order of their words.

        Whether it is of the commit that is to be merged now is for the caller to see.
        """
        last: dict[str, Recorded] = {}
        for recorded in self.events:
            if recorded.event.kind in ("approve", "withdraw"):
                last.pop(recorded.who, None)
                last[recorded.who] = recorded
        return [
            Approval(said, said.event.commit)
            for said in last.values()
            if said.event.kind == "approve" and said.event.commit is not None
        ]

    def authors(self) -> frozenset[str]:
        """Return whose approval does not count: who opened it, and who brought the commit that is to be merged."""
        brought = (r for r in self.versions if r.event.commit == self.head)
        return frozenset({self.opening.who, *(r.who for r in brought)})

    def newest(self) -> tuple[ObjectId, ...]:
        """Return the events that no other one follows."""
        followed = {before for r in self.events for before in r.event.after}
        found = tuple(sorted(r.id for r in self.events[1:] if r.id not in followed))
        return found[:MOST_AFTER] or (self.opening.id,)


def read_request(store: Reader, view: View, number: int, *, prefix: str = "") -> MergeRequest | None:
    """Return a request from its refs in `view`, whose names begin with `prefix`; None where it is not there.

    What is not of its form does not count, so that whoever can write refs cannot make a request unreadable.
    """
    refs = ((name[len(prefix) :], ref) for name, ref in view.items(f"{prefix}{REQUESTS}{number}/"))
    return next(_requests(store, refs), None)


def read_requests(store: Reader, view: View, *, prefix: str = "") -> Iterator[MergeRequest]:
    """Yield all requests, in no particular order; see `read_request`."""
    refs = ((name[len(prefix) :], ref) for name, ref in view.items(f"{prefix}{REQUESTS}"))
    return _requests(store, refs)


def _requests(store: Reader, refs: Iterable[tuple[str, object]]) -> Iterator[MergeRequest]:
    """Put refs together, of which those of one request follow each other."""
    number, gathered = 0, _Gathered(store)
    for name, ref in refs:
        found = parse_name(name)
        if found is None:
            continue
        if found.number != number:
            request = gathered.request(number)
            if request is not None:
                yield request
            number, gathered = found.number, _Gathered(store)
        if not isinstance(ref, Direct) or ref.kind != (Kind.COMMIT if found.part == "commits" else Kind.STATE):
            gathered.unreadable += 1
        elif found.part == "open":
            gathered.opening = ref.id
        elif found.part == "events" and found.id == ref.id:
            gathered.events.append(ref.id)
        elif found.part == "by" and found.id is not None:
            gathered.witnesses[found.id] = ref.id
        elif found.part == "events" or found.id != ref.id:
            gathered.unreadable += 1
    request = gathered.request(number)
    if request is not None:
        yield request


class _Gathered:
    """The refs of one request."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self.opening: ObjectId | None = None
        self.events: list[ObjectId] = []
        self.witnesses: dict[ObjectId, ObjectId] = {}
        self.unreadable = 0

    def request(self, number: int) -> MergeRequest | None:
        """Return the request, None where it has no opening event."""
        opening = self._read(self.opening) if self.opening is not None else None
        if opening is None or opening.event.kind != "open":
            return None
        found = []
        for event_id in self.events:
            recorded = self._read(event_id)
            if recorded is not None and recorded.event.request == opening.id:
                found.append(recorded)
            else:
                self.unreadable += 1
        return MergeRequest(number, (opening, *in_order(found)), self.unreadable)

    def _read(self, event_id: ObjectId) -> Recorded | None:
        try:
            event = decode_event(self._store.get(event_id, Kind.STATE))
        except IntegrityError:
            return None
        witness_id = self.witnesses.get(event_id)
        witness: Witness | None = None
        if witness_id is not None:
            try:
                witness = decode_witness(self._store.get(witness_id, Kind.STATE), event_id)
            except IntegrityError:
                self.unreadable += 1
        return Recorded(event_id, event, witness)


def in_order(events: Iterable[Recorded]) -> list[Recorded]:
    """Return events so that each comes behind those it follows, and otherwise by their times.

    The order depends on the events alone, so everybody has the same one, whatever their clocks say.
    """
    by_id = {recorded.id: recorded for recorded in events}
    waits = {r.id: {before for before in r.event.after if before in by_id} for r in by_id.values()}
    behind: dict[ObjectId, list[ObjectId]] = {}
    for event_id, before in waits.items():
        for one in before:
            behind.setdefault(one, []).append(event_id)
    ready = [(by_id[event_id].event.author.time, event_id) for event_id, before in waits.items() if not before]
    heapify(ready)
    found = []
    while ready:
        _, event_id = heappop(ready)
        found.append(by_id[event_id])
        for later in behind.get(event_id, ()):
            waits[later].discard(event_id)
            if not waits[later]:
                heappush(ready, (by_id[later].event.author.time, later))
    return found

