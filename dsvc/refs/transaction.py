"""Change refs: collect changes over the view one started from, then publish them as one operation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from dsvc.errors import BusyError, IntegrityError
from dsvc.objects.codec import Value
from dsvc.objects.ids import Kind, ObjectId, OperationId, ViewId
from dsvc.objects.packlist import PackClass, PackList, PackRef
from dsvc.objects.reliance import CollectedError
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.values import Operation, encode_operation
from dsvc.refs.log import Head, OperationLog, RepositoryDeletedError, contains_operation, read_head, swap_head
from dsvc.refs.moved import RefMovedError
from dsvc.refs.names import ONCE, check_name
from dsvc.refs.removals import with_removals
from dsvc.refs.view import Ref, View
from dsvc.storage.backend import SwapUncertainError

_RETRIES = 200
_MADE_ANEW = (Kind.OPERATION, Kind.VIEW)  # by each attempt, and put by nobody else


@dataclass(frozen=True, slots=True)
class Act:
    """Who does what, where and when: what an operation records beside the view."""

    verb: str
    description: str
    user: str
    host: str
    worktree: str
    time: int
    zone: int
    command: tuple[str, ...] = ()
    reverts: OperationId | None = None
    metadata: dict[str, Value] = field(default_factory=dict)

    def operation(self, view: ViewId, parents: tuple[OperationId, ...]) -> Operation:
        """Return the operation that records this act: from `parents` to `view`."""
        return Operation(
            view=view,
            parents=parents,
            time=self.time,
            zone=self.zone,
            user=storable(self.user),
            host=self.host,
            worktree=self.worktree,
            verb=self.verb,
            description=storable(self.description),
            command=tuple(storable(word) for word in self.command),
            reverts=self.reverts,
            metadata=self.metadata,
        )


class Transaction:
    """Pending changes of refs over `base`; `publish` makes them one operation, or nothing happens."""

    def __init__(
        self, store: ObjectStore, base: Head, *, check_whole: Callable[[Iterable[Ref], View], None] | None = None
    ) -> None:
        """`check_whole(refs, view)` raises when `refs` reach what is not stored, apart from what `view` reaches."""
        self._store = store
        self._check_whole = check_whole
        self._log = OperationLog(store)
        self.base = base
        self.view: View = self._log.view(base.operation)
        self._changes: dict[str, Ref | None] = {}
        self._fixed: set[str] = set()
        self._below: set[str] = set()
        self.listed = 0
        """How many packs its publish added to the list."""

    @property
    def changes(self) -> Mapping[str, Ref | None]:
        """What was set or deleted so far."""
        return self._changes

    def get(self, name: str) -> Ref | None:
        """Return the value that a ref will have."""
        return self._changes[name] if name in self._changes else self.view.get(name)

    def require(self, name: str) -> None:
        """Refuse to publish when somebody else changes this ref, although it is not changed here."""
        self._fixed.add(check_name(name))

    def require_below(self, prefix: str) -> None:
        """Refuse to publish when somebody else changes a ref whose name begins so, or makes one."""
        self._below.add(prefix)

    def set(self, name: str, ref: Ref) -> None:
        """Let a ref have this value."""
        self._changes[check_name(name)] = ref

    def delete(self, name: str) -> None:
        """Let a ref be gone."""
        self._changes[check_name(name)] = None

    def publish(
        self, act: Act, *, known: Head | None = None, wait: Callable[[int], None] | None = None
    ) -> tuple[OperationId, Head]:
        """Store everything that was put, then move the head once; return the operation and the new head.

        When other refs were changed meanwhile, the changes are put on top of the newer view. The first attempt is made
        at `known`, a head that is newer than the one this began from. `wait(n)` is called before attempt n + 1. When
        gc removed objects since this began, what the new refs reach is looked for before the head moves: it may have
        been garbage that this brings back.

        Raises:
            RefMovedError: when one of the refs has another value than in the view this began from; one
                that is made once may have got the very value that it gets here.
            RepositoryDeletedError: when somebody deleted the repository meanwhile.
            CollectedError: when stored objects that this relies on were collected meanwhile.
            OSError: when the disk refuses; the head is where it was then.
        """
        try:
            return self._publish(act, known or self.base, wait)
        except ObjectMissingError as error:
            now = read_head(self._store.backend, self._store.segments)
            if now is None or now.packs.holds_all_of(self.base.packs):
                raise
            raise CollectedError(1) from error
        except CollectedError:
            self._store.own.complained()
            raise
        finally:
            self._store.own.calls.drain()

    def _publish(self, act: Act, head: Head, wait: Callable[[int], None] | None) -> tuple[OperationId, Head]:
        changes = {name: ref for name, ref in self._changes.items() if self.view.get(name) != ref}
        expected = {name: self.view.get(name) for name in changes.keys() | self._fixed}
        tried: list[OperationId] = []
        for attempt in range(_RETRIES):
            for operation_id in tried:  # a swap whose answer was lost may take place late
                if contains_operation(self._log, head.operation, operation_id):
                    return self._done(operation_id, head)
            view = self._log.view(head.operation)
            if head is not self.base:
                for name, before in expected.items():
                    now = view.get(name)
                    if now != before and not (name.startswith(ONCE) and now == changes.get(name)):
                        raise RefMovedError(name)
                for name, _, now in (d for prefix in self._below for d in self.view.differences(view, prefix)):
                    if name not in changes or now != changes[name]:
                        raise RefMovedError(name)
            settled = with_removals(view, changes)
            operation = act.operation(ViewId(view.changed(settled).id), (head.operation,))
            operation_id = OperationId(self._store.put(Kind.OPERATION, encode_operation(operation)))
            flush = self._store.begin_flush()
            self._store.own.check(head.packs, fresh=flush.fresh)
            moved = None
            try:
                if self._can_swap(head, view, [ref for ref in settled.values() if ref is not None]):
                    moved = swap_head(
                        self._store.backend,
                        head,
                        operation_id,
                        head.packs.adding(flush.packs),
                        ready=self._store.own.settle,
                        newest=self._store.own.body_of(flush.fresh),
                    )
                if moved is None:
                    self._store.take_back(flush, but=_MADE_ANEW)
            except SwapUncertainError:  # the pack may be listed by now, or later
                tried.append(operation_id)
            if moved is not None:
                return self._done(operation_id, moved)
            if wait is not None:
                wait(attempt)
            head = self._newest()
            if self._look_ahead():  # that took a while, in which others published; what came last lies in the cell
                head = self._newest()
                self._look_ahead()
        raise BusyError("the repository changes too often to publish", hint="run the same command again")

    def _done(self, operation_id: OperationId, head: Head) -> tuple[OperationId, Head]:
        self.listed = len(self._store.own.refs)
        self._store.published(head.packs)
        return operation_id, head

    def _newest(self) -> Head:
        """Read the head, and show what it lists."""
        head = read_head(self._store.backend, self._store.segments)
        if head is None:
            raise RepositoryDeletedError
        self._store.show(head.packs)
        self._store.packs.take(head.newest)
        return head

    def _look_ahead(self) -> bool:
        """Where each call takes a round trip: read what is new of other writers, all at once; say whether it was."""
        packs, calls = self._store.packs, self._store.own.calls
        if calls.far:
            refs = [ref for ref in packs.refs() if ref.pack_class == PackClass.METADATA and not packs.has_index(ref)]
            with contextlib.suppress(IntegrityError):  # it is looked at again when somebody needs it
                calls.each(packs.index, refs)
            return bool(refs)
        return False

    def _can_swap(self, head: Head, view: View, refs: list[Ref]) -> bool:
        """Check that everything the swap from `head` would refer to is stored; False when the head has moved.

        Objects vanish only behind a move of the head, so what is there while the head stands is there at the swap.
        """
        collected = self._check_whole is not None and not head.packs.holds_all_of(self.base.packs)
        if collected or self._store.relied_on_gone(head.packs):
            self._store.own.settle()  # what is gone of one's own does not come back, wherever the head is
        try:
            self._store.check_relied(head.packs)
            if collected and self._check_whole is not None:
                self._check_whole(refs, view)
        except (CollectedError, IntegrityError):
            now = read_head(self._store.backend, self._store.segments)
            if now is None or now.value == head.value:
                raise
            return False
        return True


def first_operation(
    store: ObjectStore, act: Act, refs: dict[str, Ref], *, packs: tuple[PackRef, ...] = (), carry: bool = False
) -> Head:
    """Publish the first operation of a new repository, with these refs, over packs that lie there already.

    `carry` says that its format lets the head cell hold the pack list too.

    Raises:
        BusyError: when the repository has one already.
    """
    listed = PackList(packs)
    store.show(listed)
    view = View.empty(store).changed(refs)
    operation = act.operation(ViewId(view.id), ())
    operation_id = OperationId(ObjectId(store.put(Kind.OPERATION, encode_operation(operation))))
    head = swap_head(store.backend, None, operation_id, listed.adding(tuple(store.flush())), carry=carry)
    if head is None:
        raise BusyError("another process created a repository here at the same moment")
    store.show(head.packs)
    return head


def storable(text: str) -> str:
    """Return a text in which bytes of a name that are not UTF-8 are replaced: operations hold proper texts alone."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
