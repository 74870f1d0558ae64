"""A repository: one store and one operation log. The same type for one on disk, a bare one and a remote one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from dsvc.errors import IntegrityError, NotARepositoryError
from dsvc.objects.encodings import LEVEL
from dsvc.objects.ids import CommitId, Kind, ObjectId, OperationId, TagId
from dsvc.objects.packlist import PackList, PackRef
from dsvc.objects.store import ObjectStore
from dsvc.objects.values import Commit, Operation, Tag, decode_commit, decode_tag, encode_commit, encode_tag
from dsvc.refs.log import CELL as HEAD_CELL
from dsvc.refs.log import Head, OperationLog, read_head
from dsvc.refs.salvage import LostSegment, salvage_head
from dsvc.refs.transaction import Act, Transaction, first_operation
from dsvc.refs.view import Direct, Ref, View
from dsvc.repo.cuts import decode_cut, read_cut, without_parents
from dsvc.repo.folding import fold, refold
from dsvc.repo.format import (
    CALLED,
    CARRIED,
    CURRENT,
    FAR,
    PARTED,
    PARTED_CURRENT,
    SEGMENTS,
    SNAPSHOTS,
    Format,
    Pointer,
    check_readable,
    check_writable,
    raise_format,
    read_format,
    write_format,
)
from dsvc.repo.maintenance import tidy
from dsvc.repo.reachable import check_whole
from dsvc.storage.backend import Backend

_COMMIT_CACHE = 20_000


class PooledElsewhereError(NotARepositoryError):
    """A place only points to the pool that its repository is a member of; see `dsvc.repo.family.find_member`."""

    def __init__(self, pointer: Pointer) -> None:
        super().__init__(
            f"this place is a fork whose packs are in {pointer.pool}", hint="name the place as a remote: dsvc clone"
        )
        self.pointer = pointer


class FormatLostError(IntegrityError):
    """A repository has operations and no record of its format."""


class Repository:
    """An open repository. It sees the head that was read when it was opened or last refreshed."""

    def __init__(
        self,
        backend: Backend,
        store: ObjectStore,
        head: Head,
        *,
        tidies: bool = True,
        folds: bool = False,
        record: Format | None = None,
    ) -> None:
        self.backend = backend
        self._record = record
        self._tidies, self._folds = tidies, folds
        self.store = store
        self.log = OperationLog(store)
        self.head = head
        self.lost: tuple[LostSegment, ...] = ()
        self.called = CALLED
        self.patience: Callable[[], Callable[[int], None]] | None = None
        """Makes what waits between attempts to publish, see `Transaction.publish`."""
        self._commits: OrderedDict[bytes, Commit] = OrderedDict()
        self._cut: tuple[OperationId, frozenset[CommitId]] | None = None

    @classmethod
    def create(
        cls,
        backend: Backend,
        staging: Callable[[], Path],
        *,
        act: Act,
        refs: dict[str, Ref],
        packs: tuple[PackRef, ...] = (),
        far: bool = False,
        parted: bool = False,
    ) -> Repository:
        """Make a new repository with one operation that sets `refs`, over `packs` that lie in the backend already.

        `far` says that it is a remote one, see `open`; `parted` that it may keep large files whole.

        Raises:
            BusyError: when there is one already.
        """
        record = read_format(backend)
        if record is None:
            record = FAR if far else PARTED_CURRENT if parted else CURRENT
            write_format(backend, record)
        store = _store(backend, staging, LEVEL)
        head = first_operation(store, act, refs, packs=packs, carry=CARRIED in record.write)
        return cls(backend, store, head, tidies=not far, folds=far)

    @classmethod
    def open(
        cls,
        backend: Backend,
        staging: Callable[[], Path],
        *,
        level: int = LEVEL,
        far: bool = False,
        salvage: bool = False,
        link: str = "copy",
        called: str = CALLED,
    ) -> Repository:
        """Open an existing repository, which messages about its format call as `called` says.

        Behind a publish small packs are merged, unless it is `far`: then its packs stay, and their indexes are folded
        into segments where its format allows that. With `salvage` it may be opened although segments are lost; then
        `lost` says so, and nothing should be published before `mend_list`.

        `link` says how large files are kept whole, where its format allows that: auto, reflink, hardlink, or copy: not.

        Raises:
            NotARepositoryError: where there is none. PooledElsewhereError: where there is only a way to it.
            FormatTooNewError, FormatLostError, IntegrityError: where it cannot be used.
        """
        record = read_format(backend, called=called)
        if record is None:
            if backend.read_cell(HEAD_CELL) is not None:
                raise FormatLostError(
                    f"{called} has lost the record of its format",
                    hint="push a clone of it to a new place" if far else "dsvc init makes it again",
                )
            raise NotARepositoryError("there is no dsvc repository at this place", hint="dsvc init")
        check_readable(record, called=called)
        if record.pointer is not None:
            raise PooledElsewhereError(record.pointer)
        store = _store(backend, staging, level)
        lost: tuple[LostSegment, ...] = ()
        try:
            head = read_head(backend, store.segments)
        except IntegrityError:
            salvaged = salvage_head(backend) if salvage else None
            if salvaged is None or not salvaged.lost:
                raise
            head, lost = salvaged.head, salvaged.lost
        if head is None:
            raise NotARepositoryError("a dsvc repository was begun here and not finished", hint="dsvc init")
        store.show(head.packs)
        store.packs.take(head.newest)
        repo = cls(backend, store, head, tidies=not far, folds=far and SEGMENTS in record.write, record=record)
        repo.lost, repo.called = lost, called
        if repo.keeps_parts and link != "copy":
            store.wholes = "hardlink" if link == "hardlink" else "reflink"
        return repo

    @property
    def keeps_parts(self) -> bool:
        """Whether its format allows that large files lie beside its packs."""
        return self._record is not None and PARTED in self._record.write

    @property
    def is_far(self) -> bool:
        """Whether this is a remote's repository, whose indexes are folded into segments."""
        return self._folds

    def refold(self) -> None:
        """Fold anew what packs were taken out of, where indexes are folded."""
        if self._folds:
            self.head = refold(self.store, self.head)

    def refresh(self) -> None:
        """See what other processes have published since."""
        head = read_head(self.backend, self.store.segments)
        if head is not None and head.value != self.head.value:
            self.head = head
            self.store.show(head.packs)
            self.store.packs.take(head.newest)

    def view(self) -> View:
        """Return all refs as this repository sees them."""
        return self.log.view(self.head.operation)

    def operation(self) -> Operation:
        """Return the newest operation."""
        return self.log.get(self.head.operation)

    def transaction(self) -> Transaction:
        """Begin to change refs, from what this repository sees.

        Raises:
            FormatTooNewError: when this version may read the repository and not write to it.
        """
        self.require_writable()
        return Transaction(self.store, self.head, check_whole=self._check_whole)

    @property
    def may_have_datasets(self) -> bool:
        """Whether its format says that trees may have snapshot references."""
        return self._record is not None and SNAPSHOTS in self._record.write

    def expect_datasets(self) -> None:
        """Let its format say that trees may have snapshot references, so that no older gc takes them away."""
        if not self.may_have_datasets:
            raise_format(self.backend, SNAPSHOTS)
            self._record = read_format(self.backend)

    def require_writable(self) -> None:
        """Refuse where this version may only read.

        Raises:
            FormatTooNewError: naming what is unknown to it.
        """
        if self._record is not None:
            check_writable(self._record, called=self.called)

    def needs(self, feature: str) -> bool:
        """Say whether a program must know a feature to read this repository."""
        return self._record is not None and feature in self._record.read

    def need(self, feature: str) -> None:
        """Let programs that do not know a feature keep off from now on; before what they would misread is published."""
        if not self.needs(feature):
            raise_format(self.backend, feature, reading=True)
            self._record = read_format(self.backend)

    def publish(self, transaction: Transaction, act: Act) -> OperationId:
        """Publish a transaction and see its result; raises what `Transaction.publish` raises.

        Where that makes many small packs, they are merged afterwards.
        """
        wait = self.patience() if self.patience is not None else None
        operation_id, self.head = transaction.publish(act, known=self.head, wait=wait)
        if self._tidies:
            self.head = tidy(self.store, self.head)
        if self._folds:
            self.head = fold(self.store, self.head, added=transaction.listed)
        return operation_id

    def commit(self, commit_id: CommitId) -> Commit:
        """Return a commit.

        Raises:
            ObjectMissingError, IntegrityError: when it is not there or damaged.
        """
        found = self._commits.get(commit_id)
        if found is None:
            found = self._commits[commit_id] = decode_commit(self.store.get(commit_id, Kind.COMMIT))
            if len(self._commits) > _COMMIT_CACHE:
                self._commits.popitem(last=False)
        return found

    @property
    def cut(self) -> frozenset[CommitId]:
        """The commits that were left out here on purpose; nothing where history is complete."""
        if self._cut is None or self._cut[0] != self.head.operation:
            self._cut = self.head.operation, read_cut(self.store, self.view())
        return self._cut[1]

    def walked(self, commit_id: CommitId) -> Commit:
        """Return a commit as walks through history see it: without the parents that were left out."""
        commit = self.commit(commit_id)
        return without_parents(commit, self.cut) if self.cut else commit

    def parents(self, commit: Commit) -> tuple[CommitId, ...]:
        """Return the parents of a commit that were not left out."""
        return without_parents(commit, self.cut).parents

    def put_commit(self, commit: Commit) -> CommitId:
        """Store a commit; it is visible to others only when a published ref reaches it."""
        return CommitId(self.store.put(Kind.COMMIT, encode_commit(commit)))

    def tag(self, tag_id: TagId) -> Tag:
        """Return a tag object."""
        return decode_tag(self.store.get(tag_id, Kind.TAG))

    def put_tag(self, tag: Tag) -> TagId:
        """Store a tag object."""
        return TagId(ObjectId(self.store.put(Kind.TAG, encode_tag(tag))))

    def peel(self, kind: Kind, object_id: ObjectId) -> tuple[Kind, ObjectId]:
        """Follow tag objects until something else."""
        for _ in range(32):
            if kind != Kind.TAG:
                break
            tag = self.tag(TagId(object_id))
            kind, object_id = tag.target_kind, tag.target
        return kind, object_id

    def _check_whole(self, refs: Iterable[Ref], view: View) -> None:
        named = {ref.id for _, ref in view.tips()} | read_cut(self.store, view)
        roots = [(ref.kind, ref.id) for ref in refs if isinstance(ref, Direct)]
        for kind, wanted in roots:
            if kind == Kind.STATE:  # it may be the note on what is left out with this very change
                named |= decode_cut(self.store.get(wanted, kind))
        check_whole(self.store, roots, stop=lambda target: target[1] in named)

    def close(self) -> None:
        """Give back files and threads; what was not published is dropped."""
        self.store.close()


def _store(backend: Backend, staging: Callable[[], Path], level: int) -> ObjectStore:
    def reread() -> PackList:
        head = read_head(backend, store.segments)
        return head.packs if head is not None else PackList()

    store = ObjectStore(backend, staging, level=level, reread=reread)
    return store
