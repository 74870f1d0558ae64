"""Exchange packs for others while other processes read, write and do the same.

A pack goes in three steps. A swap of the head takes it off the list and names it as condemned; its blob is deleted;
a later swap drops its name, after its blob was deleted once more. Pack ids never come back (see
dsvc.objects.packindex), so that a process which sleeps between the steps does no harm when it wakes up. In a pool the
last two steps wait for all heads (see dsvc.repo.sweeping).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dsvc.errors import BusyError, DsvcError
from dsvc.objects.ids import PackId
from dsvc.objects.packlist import PackList, PackRef
from dsvc.objects.reliance import CollectedError
from dsvc.objects.repack import choose_packs, rewrite_packs
from dsvc.objects.store import ObjectStore
from dsvc.refs.log import Head, RepositoryDeletedError, read_head, swap_head
from dsvc.repo.member import FAMILY
from dsvc.storage.backend import SwapUncertainError

_RETRIES = 50
_MANY = 32  # packs that are worth threads to delete
_THREADS = 8


def tidy(store: ObjectStore, head: Head) -> Head:
    """Merge small packs if there are many; return the head, moved or not.

    Bounded in work (64 MiB a class of packs) and meant to run after a publish: a failure is not one of the command
    that ran before, so none is raised. The old packs stay in force then.
    """
    for group in choose_packs(head.packs.packs):
        with contextlib.suppress(DsvcError, OSError):
            head = merge_packs(store, head, group)
    return head


def merge_packs(
    store: ObjectStore, head: Head, group: Sequence[PackRef], *, advance: Callable[[int], None] | None = None
) -> Head:
    """Put one pack in place of several of one class; return the newest head. `advance` hears of bytes that are done.

    When another process was faster with one of them, the new pack is given up and nothing else happens.

    Raises:
        IntegrityError: when one of them cannot be read; the list is as it was.
    """
    made: list[PackRef] = []

    def deliver(ref: PackRef, path: Path) -> None:
        store.backend.put(ref.key, path)
        made.append(ref)

    try:
        rewrite_packs(store.packs, group, store.staging, deliver=deliver, advance=advance, parts=True)
    except BaseException:
        give_up(store, made)
        raise
    old = tuple(ref.id for ref in group)
    moved = exchange(store, head, lambda packs: packs.replacing(old, tuple(made)), old=old, new=made)
    if moved is None:
        give_up(store, made)
        newest = read_head(store.backend, store.segments) or head
        store.show(newest.packs)
        return newest
    return moved


def exchange(
    store: ObjectStore,
    head: Head,
    change: Callable[[PackList], PackList],
    *,
    old: Iterable[PackId],
    new: Iterable[PackRef],
    also: Iterable[PackRef] = (),
    still: Callable[[Head], bool] | None = None,
) -> Head | None:
    """Swap in `change(list)` with the same operation, then delete what it condemns; return the new head.

    Before each attempt the names of packs that were condemned earlier leave the list. Returns None, with nothing
    changed, when a pack of `old` is not listed any more, when `still(newer head)` says no after the head moved, or when
    one of the packs that `change` lists was condemned or deleted: `new` ones, which this process made and which tell a
    swap whose answer was lost from one that did not take place, and `also` others of the pool. Without `new` ones
    nobody can tell, and None may also come back for a swap that took place: the caller looks again for what is left.
    """
    made = list(new)
    gone, fresh, added = set(old), {ref.id for ref in made}, [*made, *also]
    for attempt in range(_RETRIES):
        if not gone <= {ref.id for ref in head.packs.packs} or _are_collected(store, head.packs, added):
            return None
        if attempt and still is not None and not still(head):
            return None
        wanted = change(clear_condemned(store, head.packs))
        try:
            moved = swap_head(store.backend, head, head.operation, wanted)
        except SwapUncertainError:
            moved = None
        if moved is None:
            newer = read_head(store.backend, store.segments)
            if newer is None:
                raise RepositoryDeletedError
            if _was_swapped(newer.packs, fresh, gone):
                moved = newer
            else:
                head = newer
                continue
        store.show(moved.packs)
        with contextlib.suppress(OSError, DsvcError):  # what stays is deleted by the next one who comes here
            clear_condemned(store, moved.packs)
        return moved
    raise BusyError("the repository changes too often to exchange packs", hint="run the same command again")


def give_up(store: ObjectStore, made: Iterable[PackRef]) -> None:
    """Remove packs that this process made and did not get listed, as far as nobody else has listed them meanwhile.

    That may be: whoever mends a list that lost a segment takes every pack that lies there for a listed one. So they are
    condemned first, which also lets a swap whose answer was lost come too late. In a pool they then wait for the next
    sweep. Where that fails they stay, for gc.
    """
    packs = {ref.id for ref in made}
    with contextlib.suppress(OSError, DsvcError):
        head = read_head(store.backend, store.segments) if packs else None
        if head is not None:
            exchange(store, head, lambda listed: listed.condemning(packs), old=(), new=())


def _are_collected(store: ObjectStore, packs: PackList, new: list[PackRef]) -> bool:
    """Say whether packs that `packs`, the newest list, does not have were collected; see `OwnPacks.check`."""
    listed, condemned = {ref.id for ref in packs.packs}, set(packs.condemned)
    open_ = [ref for ref in new if ref.id not in listed]
    return any(ref.id in condemned for ref in open_) or bool(store.backend.missing([ref.key for ref in open_]))


def list_packs(store: ObjectStore, head: Head) -> Head:
    """Make what was put into the store exist for others, with no change of refs; return the newest head.

    Raises:
        CollectedError: when gc removed some of it before it was listed; it can be put again.
    """
    own = tuple(store.flush())
    if not own:
        return head

    def still(newer: Head) -> bool:
        store.own.check(newer.packs)
        store.own.settle()
        return True

    still(head)
    moved = exchange(store, head, lambda packs: packs.adding(own), old=(), new=own, still=still)
    if moved is None:
        raise CollectedError(sum(ref.objects for ref in own))
    store.published(moved.packs)
    return moved


def _was_swapped(now: PackList, fresh: set[PackId], gone: set[PackId]) -> bool:
    """Say whether a list came after the one that first named `fresh` packs; never where there are none.

    One that still has a pack of `gone` did not: its fresh packs were taken for listed ones by who mended a list.
    That fresh packs are condemned does not say so: they may have been taken for those of a dead writer. Nor does it
    that the old ones are gone: another process may have put them away and kept of them what this one leaves out.
    """
    listed = {ref.id for ref in now.packs}
    return bool(fresh & (listed | set(now.replaced))) and not gone & listed


def clear_condemned(store: ObjectStore, packs: PackList) -> PackList:
    """Delete the packs that a list in force condemns; return the list without their names.

    In a pool nothing happens: the heads of others may list them. Whoever forks this repository after that question
    was asked reads a head that lists them no more.
    """
    if not packs.condemned or store.backend.read_cell(FAMILY) is not None:
        return packs
    delete_packs(store, packs.condemned)
    return packs.without_condemned(packs.condemned)


def delete_packs(store: ObjectStore, ids: Iterable[PackId]) -> None:
    """Delete packs that are condemned, many of them several at once."""
    keys = [f"packs/{pack_id.hex()}" for pack_id in ids]
    if len(keys) < _MANY:
        for key in keys:
            store.backend.delete(key)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="dsvc-delete") as pool:
        for _ in pool.map(store.backend.delete, keys):
            pass
