"""Read and decode batches of frames beside the thread that looks at them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from dsvc.objects.decoders import Decoders, Lease
from dsvc.objects.packref import PackRef
from dsvc.objects.packs import PackSet, Stretch

_AHEAD: Final = 2  # batches that are read and decoded while one is looked at
_CAPACITY: Final = 8 << 20  # plain bytes of a batch that a process decodes; one of more is decoded here

_T = TypeVar("_T")


def read_ahead(
    packs: PackSet, batches: Iterable[tuple[PackRef, Sequence[int], _T]]
) -> Iterator[tuple[PackRef, _T, Stretch | None]]:
    """Yield batches with what was read, and where they are arrays of floats decoded, of their frames (pack, numbers).

    What comes with a batch is valid until the next one is asked for. Reading raises what the backend of the packs
    raises. Who stops early need not wait for what is read at that moment.
    """
    decoders = Decoders(capacity=_CAPACITY)
    thread = ThreadPoolExecutor(1, thread_name_prefix="dsvc-decoding")
    waiting: deque[tuple[PackRef, _T, Lease, Future[Stretch | None]]] = deque()

    def first() -> Iterator[tuple[PackRef, _T, Stretch | None]]:
        ref, batch, lease, future = waiting.popleft()
        try:
            yield ref, batch, future.result()
        finally:
            lease.end()

    done = False
    try:
        for ref, numbers, batch in batches:
            lease = decoders.lease()
            waiting.append((ref, batch, lease, thread.submit(packs.read_stretch, ref, numbers, lease)))
            if len(waiting) > _AHEAD:
                yield from first()
        while waiting:
            yield from first()
        done = True
    finally:
        for *_, future in waiting:
            future.cancel()
        thread.submit(decoders.close)  # behind what is read at this moment
        thread.shutdown(wait=done)
