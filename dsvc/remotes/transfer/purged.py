"""Notes of erased content travel between repositories: refs `purged/FILE-ID` are made once, never move, and are a set.

A fetch brings those that are not here. A push takes along those of files that its commits name and that are nowhere
any more, and refuses to bring back what was erased there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence

from dsvc.errors import RemoteError
from dsvc.objects.ids import FileId, Kind, ObjectId
from dsvc.objects.store import ObjectStore
from dsvc.refs.names import HEADS
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, Ref, View
from dsvc.remotes.transfer.selection import Taker
from dsvc.repo.reachable import Target
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import PURGED, Tombstone, purged_text, tombstone_of
from dsvc.repo.whereabouts import find_hits


class PurgedThereError(RemoteError):
    """A push would bring back what was erased on purpose."""

    def __init__(self, tombstone: Tombstone, *, remote: str, where: str) -> None:
        name = tombstone.file_id.hex()
        super().__init__(
            f"{where} was {purged_text(tombstone, place=remote)}; nothing was pushed",
            hint=f"dsvc purge {name} --reason TEXT erases it here too; then push again",
            details={"id": name, "user": tombstone.user, "reason": tombstone.reason},
        )


class ErasedThereError(Exception):
    """Content that is here was erased there; whoever walks adds who did that."""

    def __init__(self, file_id: bytes) -> None:
        super().__init__(file_id)
        self.file_id = file_id


def unknown_notes(ours: View, theirs: View) -> Iterator[tuple[str, Direct]]:
    """Yield (name, ref) of the notes that `theirs` has and `ours` has not."""
    for name, ref in theirs.items(PURGED):
        if isinstance(ref, Direct) and ref.kind == Kind.STATE and ours.get(name) is None:
            yield name, ref


def take_notes(source: ObjectStore, target: ObjectStore, transaction: Transaction, theirs: View) -> list[FileId]:
    """Let `transaction`, of the repository of `target`, take on the notes that it has not; return their files.

    Raises:
        IntegrityError: when one cannot be read.
    """
    taken = []
    for name, ref in list(unknown_notes(transaction.view, theirs)):
        copied = target.put(Kind.STATE, source.get(ref.id, Kind.STATE))
        transaction.set(name, Direct(Kind.STATE, copied))
        taken.append(FileId(ObjectId(bytes.fromhex(name.removeprefix(PURGED)))))
    return taken


def send_notes(
    source: ObjectStore, target: ObjectStore, transaction: Transaction, ours: View, files: Collection[bytes]
) -> None:
    """Let `transaction`, of the repository of `target`, take on the notes on these files, which `ours` has."""
    for file_id in sorted(files):
        name = PURGED + file_id.hex()
        ref = ours.get(name)
        if isinstance(ref, Direct) and transaction.get(name) is None:
            transaction.set(name, Direct(Kind.STATE, target.put(Kind.STATE, source.get(ref.id, Kind.STATE))))


def refusal(
    here: ObjectStore, there: Repository, file_id: bytes, tips: Iterable[Target], *, remote: str
) -> PurgedThereError:
    """Return the error that says where in what is pushed an erased file stands, and who erased it when and why."""
    tombstone = tombstone_of(there, file_id)
    assert tombstone is not None, "there is a note on it"
    refs: dict[str, Ref] = {f"{HEADS}{n}": Direct(kind, ObjectId(i)) for n, (kind, i) in enumerate(tips)}
    hits = find_hits(here, View.empty(here).changed(refs), [file_id], most=1).get(file_id, [])
    where = f"file {file_id.hex()}"
    if hits:
        path = os.fsdecode(hits[0].path).encode("utf-8", "backslashreplace").decode()
        where = f"{path} in commit {hits[0].commit.hex()[:10]}"
    return PurgedThereError(tombstone, remote=remote, where=where)


class Spared:
    """A taker that leaves out erased files; `left` are those whose notes must go along."""

    def __init__(
        self, inner: Taker, here: ObjectStore, there: ObjectStore, *, ours: Collection[bytes], theirs: Collection[bytes]
    ) -> None:
        self._inner = inner
        self._here, self._there = here, there
        self._ours, self._theirs = ours, theirs
        self.left: set[bytes] = set()

    def take(self, kind: Kind, wanted: bytes) -> None:
        """See `Taker.take`."""
        self._inner.take(kind, wanted)

    def take_file(self, wanted: bytes, *, small: bool) -> None:
        """See `Taker.take_file`.

        Raises:
            ErasedThereError: for content that is here and was erased there.
        """
        if wanted in self._theirs:
            if self._here.has_file(wanted) and not self._there.has_file(wanted):
                raise ErasedThereError(wanted)
        elif wanted in self._ours and not self._here.has_file(wanted):
            self.left.add(wanted)
        else:
            self._inner.take_file(wanted, small=small)

    def take_small_files(self, wanted: Sequence[bytes]) -> None:
        """See `take_file`."""
        erased = [each for each in wanted if each in self._theirs or each in self._ours]
        for each in erased:
            self.take_file(each, small=True)
        self._inner.take_small_files([each for each in wanted if each not in erased] if erased else wanted)
