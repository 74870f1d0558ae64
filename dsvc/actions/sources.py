"""Bring content in from sources: many small objects at once, large ones one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from dsvc.actions.begun import Begun, EndedEarlyError
from dsvc.actions.reading_ahead import PATIENCE, read_ahead
from dsvc.objects.reference import reference_id, reference_of
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.progress import Progress
from dsvc.repo.ledgers import FETCHED, LEARNED, learned_entry, ledger_entry, write_ledger
from dsvc.sources.opening import Sources
from dsvc.sources.source import UNKNOWN_SIZE, Found, SourceChangedError, SourceError, SourceMissingError
from dsvc.workspace import Workspace

AT_ONCE = 1 << 20  # bytes; what is larger is read as it is stored
_WAITING = 64 << 20  # bytes of small objects that were read and are not stored yet


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found at an address, and the content that it had."""

    found: Found
    entry: Entry


def store_all(
    store: ObjectStore, sources: Sources, found: Iterable[Found], *, begun: Begun, jobs: int, progress: Progress
) -> Iterator[Stored]:
    """Store the content of objects and yield each, in their order; nothing is written to a file on the way but packs.

    What `begun` has of them is not asked for again, and it is told what came.

    Raises:
        SourceError: when one of them cannot be read to its end; what was stored before is of no harm.
        EndedEarlyError: when `begun` is to end.
    """
    waiting: deque[tuple[Found, Future[bytes] | Entry | None]] = deque()
    size = 0
    with ThreadPoolExecutor(jobs, thread_name_prefix="dsvc-import") as pool:

        def read(one: Found) -> bytes:
            if not one.size:
                return b""  # it may stand for a folder, under a key that a listing does not spell exactly
            return sources.stream(one).read(AT_ONCE + 1)

        def take() -> Stored:
            nonlocal size
            one, future = waiting.popleft()
            if isinstance(future, Entry) and future.size == one.size:
                entry = future
            elif future is None or isinstance(future, Entry):
                entry = _store_large(store, sources, one, kept=future, begun=begun, progress=progress)
            else:
                data = _waited_for(future, begun)
                size -= one.size
                entry = Entry(EntryKind.FILE, store.put_content(data), len(data))
                progress.advance(size=entry.size)
            begun.note(one, entry)
            progress.advance(items=1)
            return Stored(one, entry)

        try:
            for one in found:
                begun.check()
                small = 0 <= one.size <= AT_ONCE
                kept = begun.of(one)
                if kept is None and small:
                    waiting.append((one, pool.submit(read, one)))
                    size += one.size
                else:
                    waiting.append((one, kept))
                while waiting and (len(waiting) > jobs * 8 or size > _WAITING or _is_ready(waiting[0][1])):
                    yield take()
            while waiting:
                yield take()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _is_ready(future: Future[bytes] | Entry | None) -> bool:
    return isinstance(future, Future) and future.done()


def _waited_for(future: Future[bytes], begun: Begun) -> bytes:
    while True:
        try:
            return future.result(timeout=PATIENCE)
        except TimeoutError:
            if future.done():
                raise
            begun.check()


def _store_large(
    store: ObjectStore, sources: Sources, found: Found, *, kept: Entry | None, begun: Begun, progress: Progress
) -> Entry:
    """Store one object while another thread reads on; `kept` is the first part of it, which is here.

    Where the source breaks off, `begun` is told of the part that came before the error is raised.
    """
    start = kept.size if kept is not None else 0
    ahead = read_ahead(sources, found, start=start, advance=lambda n: progress.advance(size=n), stopped=begun.stopped)
    here = store.file_chunks(kept.id) if kept is not None else iter(())
    progress.advance(size=start)
    failure: BaseException | None = None
    rest = memoryview(b"")

    def read(size: int) -> bytes:
        nonlocal rest, failure
        parts: list[memoryview] = []
        while size > 0:
            if not rest:
                try:
                    rest = memoryview(next(here, b"") or ahead.next())
                except (SourceChangedError, SourceMissingError):
                    raise
                except (SourceError, EndedEarlyError) as error:
                    failure = error  # what came until here is stored as a file of its own
                    ahead.end()
                if not rest:
                    break
            parts.append(rest[:size])
            size -= len(parts[-1])
            rest = rest[len(parts[-1]) :]
        return b"".join(parts)

    try:
        file_id, length = store.put_stream(read)
    finally:
        ahead.end()
    entry = Entry(EntryKind.FILE, file_id, length)
    if failure is not None:
        begun.note(found, entry)
        raise failure
    return entry


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
    an error is noted too, and the first part of an object that broke off is kept.

    Raises:
        SourceMissingError, SourceChangedError: when the source does not have it any more. SourceError: otherwise.
    """
    repo, size, failure = workspace.repo, 0, None
    begun = Begun(workspace)
    fresh: dict[str, Entry] = {}
    wanted = {reference_of(entry): entry for entry in entries}
    workspace.progress.start("Fetching", total_bytes=sum(found.size for found in wanted), total_items=len(wanted))
    try:
        with open_sources(workspace) as sources:
            for stored in store_all(
                repo.store, sources, list(wanted), begun=begun, jobs=jobs, progress=workspace.progress
            ):
                _check(workspace, stored, wanted[stored.found])
                fresh[reference_id(wanted[stored.found].id).hex()] = stored.entry
                size += stored.entry.size
    except BaseException as error:  # noqa: BLE001  (raised again when what came is noted)
        failure = error
    finally:
        workspace.progress.finish()
    if fresh:
        transaction = repo.transaction()
        begun.forget(transaction)
        write_ledger(repo.store, transaction, FETCHED, dict(fresh))
        write_ledger(repo.store, transaction, LEARNED, {k: learned_entry(e.id, e.size) for k, e in fresh.items()})
        what = "one reference" if len(fresh) == 1 else f"{len(fresh)} references"
        workspace.publish(transaction, workspace.act("data", f"fetch the content of {what}"))
    if failure is not None:
        begun.keep(failure, parts_only=True)
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
