"""Bring content in from sources: many small objects at once, large ones one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread

from dsvc.objects.ids import FileId
from dsvc.objects.reference import reference_id, reference_of
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.progress import Progress
from dsvc.repo.ledgers import FETCHED, LEARNED, learned_entry, ledger_entry, write_ledger
from dsvc.sources.opening import Sources
from dsvc.sources.source import UNKNOWN_SIZE, Found, SourceChangedError
from dsvc.workspace import Workspace

AT_ONCE = 1 << 20  # bytes; what is larger is read as it is stored
_WAITING = 64 << 20  # bytes of small objects that were read and are not stored yet
_PIECE = 1 << 20
_AHEAD = 16  # pieces of a large object that wait


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found at an address, and the content that it had."""

    found: Found
    entry: Entry


def store_all(
    store: ObjectStore, sources: Sources, found: Iterable[Found], *, jobs: int, progress: Progress
) -> Iterator[Stored]:
    """Store the content of objects and yield each, in their order; nothing is written to a file on the way but packs.

    Raises:
        SourceError: when one of them cannot be read to its end; what was stored before is of no harm.
    """
    waiting: deque[tuple[Found, Future[bytes] | None]] = deque()
    size = 0
    with ThreadPoolExecutor(jobs, thread_name_prefix="dsvc-import") as pool:

        def read(one: Found) -> bytes:
            if not one.size:
                return b""  # it may stand for a folder, under a key that a listing does not spell exactly
            return sources.stream(one).read(AT_ONCE + 1)

        def take() -> Stored:
            nonlocal size
            one, future = waiting.popleft()
            if future is None:
                file_id, length = _store_large(store, sources, one, progress)
            else:
                data = future.result()
                size -= one.size
                file_id, length = store.put_content(data), len(data)
                progress.advance(size=length)
            progress.advance(items=1)
            return Stored(one, Entry(EntryKind.FILE, file_id, length))

        try:
            for one in found:
                small = 0 <= one.size <= AT_ONCE
                waiting.append((one, pool.submit(read, one) if small else None))
                size += one.size if small else 0
                while waiting and (len(waiting) > jobs * 8 or size > _WAITING or _is_ready(waiting[0][1])):
                    yield take()
            while waiting:
                yield take()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _is_ready(future: Future[bytes] | None) -> bool:
    return future is not None and future.done()


def _store_large(store: ObjectStore, sources: Sources, found: Found, progress: Progress) -> tuple[FileId, int]:
    """Store one object while another thread reads on."""
    stream = sources.stream(found, advance=lambda count: progress.advance(size=count))
    pieces: Queue[bytes | BaseException] = Queue(_AHEAD)
    given_up = Event()

    def give(item: bytes | BaseException) -> bool:
        while not given_up.is_set():
            try:
                pieces.put(item, timeout=0.5)
                return True
            except Full:
                continue
        return False

    def read_ahead() -> None:
        try:
            while (piece := stream.read(_PIECE)) and give(piece):
                pass
            give(b"")
        except BaseException as error:  # noqa: BLE001  (raised again where it is waited for)
            give(error)

    rest = memoryview(b"")

    def read(size: int) -> bytes:
        nonlocal rest
        parts: list[memoryview] = []
        while size > 0:
            if not rest:
                item = pieces.get()
                if isinstance(item, BaseException):
                    raise item
                if not item:
                    pieces.put(b"")  # it may be asked again
                    break
                rest = memoryview(item)
            parts.append(rest[:size])
            size -= len(parts[-1])
            rest = rest[len(parts[-1]) :]
        return b"".join(parts)

    reader = Thread(target=read_ahead, name="dsvc-import-ahead", daemon=True)
    reader.start()
    try:
        return store.put_stream(read)
    finally:
        given_up.set()
        reader.join()


@contextmanager
def open_sources(workspace: Workspace) -> Iterator[Sources]:
    """Open sources as the workspace's surroundings say, and close them at the end."""
    sources = Sources(workspace.surroundings.environment)
    try:
        yield sources
    finally:
        sources.close()


def fetch_references(workspace: Workspace, entries: Sequence[Entry], *, jobs: int = 8) -> int:
    """Store the content of references, and note in the ledgers what it is; return how many bytes came.

    Content that is known by an earlier fetch is compared with that. One operation notes all of it; what came before
    an error is noted too.

    Raises:
        SourceMissingError, SourceChangedError: when the source does not have it any more. SourceError: otherwise.
    """
    repo, size, failure = workspace.repo, 0, None
    fresh: dict[str, Entry] = {}
    wanted = {reference_of(entry): entry for entry in entries}
    workspace.progress.start("Fetching", total_bytes=sum(found.size for found in wanted), total_items=len(wanted))
    try:
        with open_sources(workspace) as sources:
            for stored in store_all(repo.store, sources, list(wanted), jobs=jobs, progress=workspace.progress):
                _check(workspace, stored, wanted[stored.found])
                fresh[reference_id(wanted[stored.found].id).hex()] = stored.entry
                size += stored.entry.size
    except BaseException as error:
        failure = error
        if not fresh:
            raise
    finally:
        workspace.progress.finish()
    if fresh:
        transaction = repo.transaction()
        write_ledger(repo.store, transaction, FETCHED, dict(fresh))
        write_ledger(repo.store, transaction, LEARNED, {k: learned_entry(e.id, e.size) for k, e in fresh.items()})
        what = "one reference" if len(fresh) == 1 else f"{len(fresh)} references"
        workspace.publish(transaction, workspace.act("data", f"fetch the content of {what}"))
    if failure is not None:
        raise failure
    return size


def _check(workspace: Workspace, stored: Stored, entry: Entry) -> None:
    """Refuse content that is not what a reference was found to have before, although its source says so."""
    known = ledger_entry(workspace.view(), workspace.repo.store, LEARNED, reference_id(entry.id).hex())
    if stored.found.size not in (UNKNOWN_SIZE, stored.entry.size) or (
        known is not None and known.id != stored.entry.id
    ):
        raise SourceChangedError(
            f"{stored.found.address} has another content than before under the same ETag",
            hint="dsvc data update PATH takes up what is there; the old content is lost where no copy of it is kept",
        )
