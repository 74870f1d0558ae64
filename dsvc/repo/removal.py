"""Take single objects out of all packs, whether something refers to them or not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dsvc.errors import BusyError
from dsvc.objects.ids import OperationId, PackId
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.repack import rewrite_packs
from dsvc.refs.log import Head, read_head
from dsvc.repo.maintenance import exchange, give_up
from dsvc.repo.repository import Repository
from dsvc.storage.backend import BlobMissingError

_ATTEMPTS = 8


class OperationMovedError(BusyError):
    """Another operation was published, which may need what was about to be removed."""

    def __init__(self) -> None:
        super().__init__("another process published something at the same time", hint="run the same command again")


def drop_objects(
    repo: Repository,
    wanted: Collection[bytes],
    *,
    unusable: Collection[PackId] = (),
    since: OperationId | None = None,
    spared: Collection[PackId] = (),
) -> int:
    """Write every pack that holds one of these objects without it; return the number of packs that went.

    `unusable` packs leave the list as a whole and are deleted. With `since`, nothing happens unless that is the
    newest operation. `spared` packs are not looked at. Safe to call again, and beside other processes.

    Raises:
        OperationMovedError: when `since` is not the newest operation any more.
        BusyError: when others change the repository again and again.
    """
    doomed = frozenset(wanted)
    for _ in range(_ATTEMPTS):
        repo.refresh()
        started = repo.head.value
        if since is not None and repo.head.operation != since:
            raise OperationMovedError
        try:
            count = _drop(repo, doomed, frozenset(unusable), since, frozenset(spared))
        except BlobMissingError:
            head = read_head(repo.backend, repo.store.segments)
            if head is None or head.value == started:
                raise
            continue
        if count is not None:
            return count
    raise BusyError("the repository changes too often to rewrite its packs", hint="run the same command again")


def _drop(
    repo: Repository,
    doomed: frozenset[bytes],
    unusable: frozenset[PackId],
    since: OperationId | None,
    spared: frozenset[PackId],
) -> int | None:
    store, head = repo.store, repo.head

    def holds(ref: PackRef) -> bool:
        if ref.id in spared:
            return False
        index = store.packs.index(ref)
        return any(index.position(i) is not None for i in doomed)

    whole = [ref for ref in head.packs.packs if ref.id in unusable]
    sources = [ref for ref in head.packs.packs if ref.id not in unusable and holds(ref)]
    if not whole and not sources:
        return 0
    made: list[PackRef] = []

    def deliver(ref: PackRef, path: Path) -> None:
        store.backend.put(ref.key, path)
        made.append(ref)

    def keep(ref: PackRef, position: int) -> bool:
        return store.packs.index(ref).id_at(position) not in doomed

    def still(newer: Head) -> bool:
        if since is not None and newer.operation != since:
            return False
        known = {ref.id for ref in head.packs.packs}
        return not any(holds(ref) for ref in newer.packs.packs if ref.id not in known)

    try:
        for pack_class in PackClass:
            group = [ref for ref in sources if ref.pack_class == pack_class]
            rewrite_packs(store.packs, group, store.staging, deliver=deliver, keep=keep, parts=True)
    except BaseException:
        give_up(store, made)
        raise
    old = tuple(ref.id for ref in (*whole, *sources))
    moved = exchange(
        store, head, lambda packs: packs.replacing(old, ()).adding(tuple(made)), old=old, new=made, still=still
    )
    if moved is None:
        give_up(store, made)
        return None
    repo.head = moved
    return len(old)
