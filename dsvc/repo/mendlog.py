"""Mend an operation log from which something is lost. Operations never leave their repository: no copy is elsewhere.

Where the newest operation cannot be read, the newest one that can takes its place, and pushes that came after it are
to be made again: those who pushed still have what they pushed. Older operations that reach what is lost for good are
cut off, as gc cuts off those that are too old.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from dsvc.errors import BusyError, IntegrityError
from dsvc.objects.ids import Kind, OperationId
from dsvc.objects.packlist import PackList
from dsvc.objects.store import ObjectStore
from dsvc.objects.values import Operation, decode_operation, encode_operation
from dsvc.refs.log import swap_head
from dsvc.refs.transaction import Act
from dsvc.refs.view import View
from dsvc.repo.gcrecord import change_record
from dsvc.repo.reachable import Marks, Target, mark
from dsvc.repo.removal import drop_objects
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import PURGED
from dsvc.storage.backend import SwapUncertainError


class LogMended(NamedTuple):
    """To which operation the refs went back, if they had to, and how many older operations were cut off."""

    back_to: Operation | None = None
    cut: int = 0


def mend_log(repo: Repository, act: Act) -> LogMended:
    """Let the newest operation be one that can be read, and cut off older ones that reach what is not there.

    Raises:
        IntegrityError: when no operation can be read. BusyError: when somebody published meanwhile; call again.
    """
    back_to = mend_head(repo, act)
    store = _usable(repo)
    cut = _first_incomplete(repo, store)
    if cut:
        change_record(repo.backend, lambda record: record.cutting(frozenset(cut)))
        there = {ref.id for ref in store.packs.refs()}
        spared = [ref.id for ref in repo.head.packs.packs if ref.id not in there]
        drop_objects(repo, cut, spared=spared)  # an operation that is there would be followed
    return LogMended(back_to, len(cut))


def mend_head(repo: Repository, act: Act) -> Operation | None:
    """Let the newest operation be one that can be read; return the one that refs went back to, None if none was lost.

    Raises:
        IntegrityError: when no operation can be read. BusyError: when somebody published meanwhile; call again.
    """
    store = _usable(repo)
    return None if _is_readable(store, repo.head.operation) else _go_back(repo, store, act)


def has_readable_refs(repo: Repository) -> bool:
    """Say whether there is an operation of which all refs can be read."""
    store = _usable(repo)
    return any(_is_readable(store, operation_id) for operation_id, _ in _operations(store))


def _usable(repo: Repository) -> ObjectStore:
    """Return a store that sees only packs whose index can be read."""
    store = ObjectStore(repo.backend, repo.store.staging)
    packs = repo.head.packs
    store.show(packs)
    usable = []
    for ref in packs.packs:
        try:
            if not repo.backend.missing([ref.key]):
                store.packs.index(ref)
                usable.append(ref)
        except IntegrityError:
            continue
    store.show(PackList(tuple(usable), segments=packs.segments))
    return store


def _is_readable(store: ObjectStore, operation_id: OperationId) -> bool:
    """Say whether an operation and all refs of its view can be read."""
    try:
        for _ in View(store, decode_operation(store.get(operation_id, Kind.OPERATION)).view).items():
            pass
    except IntegrityError:
        return False
    return True


def readable_operations(repo: Repository) -> list[tuple[OperationId, Operation]]:
    """Return every operation that lies in a usable pack, the newest first, whether or not the log still leads to it."""
    return _operations(_usable(repo))


def _operations(store: ObjectStore) -> list[tuple[OperationId, Operation]]:
    """Return them as their parents say, and by time and the age of their packs where one between them is lost."""
    found: dict[OperationId, tuple[int, int, Operation]] = {}
    for number, ref in enumerate(store.packs.refs()):
        for operation_id, place in store.packs.index(ref).objects():
            if place.kind == Kind.OPERATION:
                try:
                    operation = decode_operation(store.get(operation_id, Kind.OPERATION))
                except IntegrityError:
                    continue
                found[OperationId(operation_id)] = (-operation.time, -number, operation)
    later = Counter(parent for _, _, operation in found.values() for parent in operation.parents)
    heap = [(time, age, operation_id) for operation_id, (time, age, _) in found.items() if not later[operation_id]]
    heapify(heap)
    ordered: list[tuple[OperationId, Operation]] = []
    while heap:
        operation_id = heappop(heap)[2]
        operation = found[operation_id][2]
        ordered.append((operation_id, operation))
        for parent in operation.parents:
            later[parent] -= 1
            if parent in found and not later[parent]:
                heappush(heap, (*found[parent][:2], parent))
    return ordered


def _go_back(repo: Repository, store: ObjectStore, act: Act) -> Operation:
    for operation_id, operation in _operations(store):
        if _is_readable(store, operation_id):
            _publish(repo, store, operation_id, operation, act)
            return operation
    raise IntegrityError("no operation can be read, so nobody knows which refs there were", hint="push everything anew")


def _publish(
    repo: Repository, store: ObjectStore, operation_id: OperationId, operation: Operation, act: Act
) -> None:
    fresh = act.operation(operation.view, (operation_id,))
    made = OperationId(store.put(Kind.OPERATION, encode_operation(fresh)))
    packs = repo.head.packs.adding(tuple(store.flush()))
    try:
        moved = swap_head(repo.backend, repo.head, made, packs)
    except SwapUncertainError:
        moved = None
    if moved is None:
        raise BusyError("somebody published while the log was mended", hint="run the same command again")
    repo.store.show(moved.packs)
    repo.head = moved


def _first_incomplete(repo: Repository, store: ObjectStore) -> set[OperationId]:
    """Return the newest operations behind the head that reach what is not there; what is older is not looked at."""
    marks = Marks(store.packs, store.packs.refs())
    purged = {name.removeprefix(PURGED) for name, _ in repo.view().items(PURGED)}
    cut: set[OperationId] = set()
    stack, seen = [repo.head.operation], {repo.head.operation}
    while stack:
        operation_id = stack.pop()
        failures: list[Target] = []
        mark(store, marks, [(Kind.OPERATION, operation_id)], failed=_into(failures))
        if operation_id != repo.head.operation and any(i.hex() not in purged for _, i in failures):
            cut.add(operation_id)
            continue
        parents = decode_operation(store.get(operation_id, Kind.OPERATION)).parents
        stack += [parent for parent in parents if parent not in seen]
        seen.update(parents)
    return cut


def _into(failures: list[Target]) -> Callable[[Target, IntegrityError], None]:
    return lambda target, _error: failures.append(target)
