"""Fold the indexes of many packs into segments, so that a repository far away is opened with a few requests.

Runs behind a publish and never fails it. Segments at least double in size with each fold, so a repository has about
log2 of its packs, and an index is written again about as often. A segment is named by one attempt to move the head:
where another process was faster, it is removed again (see dsvc.repo.leftovers on why that must be so).
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from dsvc.errors import DsvcError
from dsvc.objects.ahead import gather_indexes
from dsvc.objects.packlist import PackList, PackRef
from dsvc.objects.segment import Segment, encode_segment, segment_id
from dsvc.objects.store import ObjectStore
from dsvc.refs.log import Head, read_head, swap_head
from dsvc.repo.maintenance import clear_condemned
from dsvc.storage.backend import SwapUncertainError

LOOSE = 16  # so many packs may stand beside the segments
_TURN = 8  # so many packs more, and the next publish tries
ALONE = 6  # so many large packs may stand beside them too
MOST = 16  # so many segments may be there before large ones are folded too
_ATTEMPTS = 4  # at folding behind gc
_MIXED = 17  # packs have more orders than anybody meets twice
LARGE_OBJECTS = 200_000  # a segment of more, about 13 MB, is left alone as long as there are few


class Fold(NamedTuple):
    """Packs and segments that become one segment."""

    loose: tuple[PackRef, ...]
    segments: tuple[Segment, ...]


def choose_fold(packs: PackList) -> Fold | None:
    """Return what should be folded, usually nothing."""
    loose = packs.loose()
    small = tuple(ref for ref in loose if ref.objects <= LARGE_OBJECTS)
    if len(loose) - len(small) <= ALONE:  # the index of a large pack is as good by itself, and long
        loose = small
    if len(loose) <= LOOSE:
        return None
    total = sum(ref.objects for ref in loose)
    absorbed: list[Segment] = []
    for segment in sorted(packs.segments, key=lambda segment: segment.ref.objects):
        many = len(packs.segments) - len(absorbed) >= MOST
        fits = segment.ref.objects <= total and total + segment.ref.objects <= LARGE_OBJECTS
        if not (fits or many):
            break
        absorbed.append(segment)
        total += segment.ref.objects
    return Fold(loose, tuple(absorbed))


def fold(store: ObjectStore, head: Head, *, added: int | None = None) -> Head:
    """Fold if there is something to fold; return the newest head. A failure leaves everything as it was.

    `added` is how many packs the publish before added, if there was one. Then only one of several publishes tries: a
    fold moves the head too, and where many publish all of them would try the same at once.
    """
    chosen = choose_fold(head.packs)
    if chosen is None:
        return head
    if added is not None:
        above = len(chosen.loose) - LOOSE - 1
        if above // _TURN == (above - added) // _TURN:
            return head
    try:
        return _fold(store, head, chosen, head.packs)
    except (DsvcError, OSError):
        return head


def refold(store: ObjectStore, head: Head) -> Head:
    """Fold anew what packs were taken out of, and forget condemned packs; return the newest head.

    Meant to run behind gc and purge: without it each pack that went would be named in every later list. A failure
    leaves everything as it was, and the next one does it.
    """
    for _ in range(_ATTEMPTS):
        chosen = _stale(head.packs)
        try:
            packs = clear_condemned(store, head.packs)
            if chosen is None and packs is head.packs:
                break
            head = _fold(store, head, chosen or Fold((), ()), packs)
        except (DsvcError, OSError):
            break
    return head


def _stale(packs: PackList) -> Fold | None:
    """Return the segments that name packs which are gone, with all packs that stand alone."""
    live = {ref.id for ref in packs.packs}
    stale = tuple(s for s in packs.segments if any(ref.id not in live for ref in s.packs))
    return Fold(packs.loose(), stale) if stale else None


def _fold(store: ObjectStore, head: Head, chosen: Fold, packs: PackList) -> Head:
    """Put one segment in place of what was chosen, or none where few packs are left; `packs` is the list then.

    The newest packs stand in a random order, so that nobody else who folds the same packs makes the same segment: a
    blob that one process is about to delete must not be what another one names.
    """
    live = {ref.id for ref in head.packs.packs}
    rows = [
        (ref, segment.index(number))
        for segment in chosen.segments
        for number, ref in enumerate(segment.packs)
        if ref.id in live
    ]
    gather_indexes(store.backend, store.packs, chosen.loose)
    rows += [(ref, store.packs.index(ref).data) for ref in chosen.loose]
    made: tuple[Segment, ...] = ()
    if len(rows) > LOOSE:
        newest = rows[-_MIXED:]
        from random import SystemRandom  # a status need not load it

        SystemRandom().shuffle(newest)
        data = encode_segment(rows[:-_MIXED] + newest)
        made = (Segment(data, segment_id(data)),)
        store.backend.put(made[0].ref.key, data)
        store.segments.learn(made[0])
    try:
        moved = swap_head(store.backend, head, head.operation, packs.folded(chosen.segments, made))
    except SwapUncertainError:
        moved = read_head(store.backend, store.segments) or head  # it may be named by now: it stays
        store.show(moved.packs)
        return moved
    if moved is None:
        for segment in made:
            with contextlib.suppress(DsvcError, OSError):
                store.backend.delete(segment.ref.key)
        moved = read_head(store.backend, store.segments) or head
    store.show(moved.packs)
    return moved
