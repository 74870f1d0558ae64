"""Check that a repository is whole, and name what is damaged and whom it hits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.ids import Kind, OperationId, PackId
from dsvc.objects.store import ObjectStore
from dsvc.progress import Progress, Silent
from dsvc.refs.log import Head, OperationLog, read_head
from dsvc.refs.salvage import Salvaged, salvage_head
from dsvc.repo.gcrecord import read_record
from dsvc.repo.integrity import Problem, check_files, check_packs, follow
from dsvc.repo.ledgers import DROPPED, ledger_entry
from dsvc.repo.reachable import Target
from dsvc.repo.removal import drop_objects
from dsvc.repo.repository import Repository
from dsvc.repo.whereabouts import Hit, find_hits
from dsvc.storage.gathering import Gathers

_ATTEMPTS = 3
_IN_TREES = frozenset({Kind.CHUNK, Kind.FILE_MAP, Kind.MAP_PAGE, Kind.TREE})

_CONTENT = frozenset({Kind.CHUNK, Kind.FILE_MAP})

_HINTS = {
    "head": "remove the newest file of the cell named above to go back one step, then run: dsvc fsck",
    "segment": "dsvc fsck --remote NAME --repair-from . writes the indexes in it anew",
    "pack": "put it back from a backup, or: dsvc fsck --repair-from REMOTE; without both: dsvc fsck --drop-damaged",
    "missing": "dsvc fsck --repair-from REMOTE that has it; of a file that you still have: dsvc add --repair PATH",
    "history": "dsvc fsck --repair-from REMOTE; without one: dsvc fsck --drop-damaged, which leaves files alone and, "
    "where HEAD stands on this, goes back to a whole commit",
    "refs": "dsvc fsck --repair-from REMOTE, or: dsvc fsck --drop-damaged; both go back to the newest refs to be read",
    "undo": "nothing but undo needs it: dsvc gc --prune now takes away all that only undo needs",
    "damaged": "dsvc fsck --repair-from REMOTE, or: dsvc fsck --drop-damaged, then dsvc add --repair PATH",
    "shape": "the program that wrote this has an error: keep the repository and report it",
    "file": "dsvc fsck --repair-from REMOTE, or: dsvc fsck --drop-damaged, then dsvc add --repair PATH",
    "gc": "dsvc gc writes it anew",
}


class Damage(NamedTuple):
    """One thing that is damaged or missing, what that hits, and how to repair it.

    `what` is head, segment, pack, damaged, missing, shape, file or gc; `id` names an object of `kind`, or a segment or
    pack.
    """

    what: str
    kind: Kind | None
    id: bytes
    pack: PackId | None
    message: str
    hint: str
    hits: tuple[Hit, ...] = ()


class FsckResult(NamedTuple):
    """What was checked, and everything that is damaged.

    Absent on purpose are `purged` files, cut operations and, in a partial clone, the `not_fetched` contents.
    """

    damage: tuple[Damage, ...]
    packs: int
    size: int
    objects: int
    operations: int
    files: int
    purged: tuple[bytes, ...]
    cut: tuple[OperationId, ...]
    deep: bool
    not_fetched: int = 0


def check(
    repo: Repository, *, deep: bool = True, partial: bool = False, progress: Progress | None = None
) -> FsckResult:
    """Check the head, every pack and all that the view and the operations reach.

    With `deep` every object is decoded and hashed again and large files are put together; without it only indexes
    and what carries history are read. In a `partial` clone content may be absent. Changes nothing, and other
    processes may go on.
    """
    watch = progress or Silent()
    result = None
    for _ in range(_ATTEMPTS):
        try:
            salvaged = _salvaged(repo)
        except IntegrityError as error:
            return _headless(error, deep=deep)
        if salvaged is None:
            return _headless(IntegrityError("the head cell is gone"), deep=deep)
        head = salvaged.head
        result = _check_at(repo, head, deep=deep, partial=partial, progress=watch)
        if salvaged.lost:
            lost = [Problem("segment", None, s.ref.id, None, s.reason) for s in salvaged.lost]
            result = result._replace(damage=(*_with_hits(repo.store, head, lost), *result.damage))
        if not result.damage or not _was_exchanged(repo, head):
            break
        # Packs were exchanged while they were read: what is missing may only have moved.
    assert result is not None
    return result


def _salvaged(repo: Repository) -> Salvaged | None:
    """Return the head; only where that cannot be read are its parts looked at one by one."""
    try:
        head = read_head(repo.backend, repo.store.segments)
        return None if head is None else Salvaged(head, ())
    except IntegrityError:
        salvaged = salvage_head(repo.backend)
        if salvaged is None or not salvaged.lost:
            raise
        return salvaged


def drop_damaged(repo: Repository, damage: Iterable[Damage]) -> int:
    """Take damaged objects and unusable packs out of the store, so that good copies can be stored again.

    Until then they are missing. Returns the number of packs that were written anew or dropped.
    """
    found = list(damage)
    packs = {d.pack for d in found if d.what == "pack" and d.pack is not None}
    return drop_objects(repo, {d.id for d in found if d.what in ("damaged", "file")}, unusable=packs)


def _was_exchanged(repo: Repository, head: Head) -> bool:
    try:
        now = read_head(repo.backend, repo.store.segments)
    except IntegrityError:
        return False
    return now is not None and not {p.id for p in head.packs.packs} <= {p.id for p in now.packs.packs}


def _headless(error: IntegrityError, *, deep: bool) -> FsckResult:
    damage = Damage("head", None, b"", None, error.message, error.hint or _HINTS["head"])
    return FsckResult((damage,), 0, 0, 0, 0, 0, (), (), deep)


def _check_at(repo: Repository, head: Head, *, deep: bool, partial: bool, progress: Progress) -> FsckResult:
    store = ObjectStore(repo.backend, repo.store.staging)  # one that looks at no newer list, and shares no cache
    problems = []
    cut: frozenset[OperationId] = frozenset()
    try:
        cut = read_record(repo.backend).cut
    except IntegrityError as error:
        problems.append(Problem("gc", None, b"", None, error.message))
    problems += check_packs(store, head, deep=deep, progress=progress)
    reached = follow(store, head, cut=cut, progress=progress)
    problems += reached.problems
    absent = [target for target in reached.absent if target[1] not in reached.purged]
    dropped = _dropped_here(store, head) if absent and not partial else None
    not_fetched: list[Target] = []
    lost: list[Target] = []
    for target in absent:
        left = target[0] in _CONTENT and (partial or (dropped is not None and dropped(target[1])))
        (not_fetched if left else lost).append(target)
    problems += _missing(lost)
    if deep and not isinstance(repo.backend, Gathers):  # each object was compared; this would fetch all of them again
        problems += check_files(store, reached.files, progress=progress)
    return FsckResult(
        damage=_with_hits(store, head, problems),
        packs=len(head.packs.packs),
        size=sum(ref.size for ref in head.packs.packs),
        objects=reached.objects,
        operations=reached.operations,
        files=len(reached.files),
        purged=tuple(sorted({i for _, i in reached.absent if i in reached.purged})),
        cut=tuple(sorted(cut)),
        deep=deep,
        not_fetched=len(not_fetched),
    )


def _missing(absent: Iterable[Target]) -> list[Problem]:
    problems = []
    for kind, object_id in absent:
        name = "file" if kind in _CONTENT else kind.name.lower().replace("_", " ")
        message = f"{name} {object_id.hex()} is needed and in no usable pack"
        problems.append(Problem("missing", kind, object_id, None, message))
    return problems


def _with_hits(store: ObjectStore, head: Head, problems: list[Problem]) -> tuple[Damage, ...]:
    """Return the problems, each object once, with the paths that they hit."""
    first: dict[tuple[bytes, str], Problem] = {}
    for problem in problems:
        what = "damaged" if problem.what == "missing" else problem.what
        first.setdefault((problem.id, what), problem)
    wanted = {p.id for p in first.values() if p.kind in _IN_TREES or p.kind == Kind.COMMIT}
    hits: dict[bytes, list[Hit]] = {}
    refs_are_lost = False
    if problems:
        try:
            view = OperationLog(store).view(head.operation)
            for _ in view.items():
                pass
            hits = find_hits(store, view, wanted) if wanted else {}
        except IntegrityError:
            refs_are_lost = True  # that is among the problems
    found = []
    for p in first.values():
        hint = _hint(p, refs_are_lost=refs_are_lost)
        found.append(Damage(p.what, p.kind, p.id, p.pack, p.message, hint, tuple(hits.get(p.id, ()))))
    return tuple(found)


def _hint(problem: Problem, *, refs_are_lost: bool) -> str:
    """Return how to repair it: what holds no content is stored anew by no command of its own."""
    if problem.what in ("damaged", "missing"):
        if problem.kind in (Kind.VIEW, Kind.OPERATION):
            return _HINTS["refs" if refs_are_lost else "undo"]
        if problem.kind in (Kind.TREE, Kind.COMMIT):
            return _HINTS["history"]
    return _HINTS[problem.what]


def _dropped_here(store: ObjectStore, head: Head) -> Callable[[bytes], bool] | None:
    """Return what says whether content was dropped here on purpose; None where the newest refs cannot be read."""
    try:
        view = OperationLog(store).view(head.operation)
    except IntegrityError:
        return None

    def dropped(file_id: bytes) -> bool:
        try:
            return ledger_entry(view, store, DROPPED, file_id.hex()) is not None
        except IntegrityError:
            return False

    return dropped
