"""Bring content in from sources: many small objects at once, large ones one after the other."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.begun import Begun, EndedEarlyError, version_key
from dsvc.actions.reading_ahead import PATIENCE, Ahead, read_ahead
from dsvc.objects.reference import reference_id, reference_of
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.progress import Progress
from dsvc.repo.ledgers import FETCHED, LEARNED, learned_entry, ledger_entry, write_ledger
from dsvc.sources.opening import Sources
from dsvc.sources.source import UNKNOWN_SIZE, Found, SourceChangedError, SourceError, SourceMissingError
from dsvc.workspace import Workspace
from dsvc.worktree.arriving import LEAST, Arrival, Arriving

AT_ONCE = 1 << 20  # bytes; what is larger is read as it is stored
_WAITING = 64 << 20  # bytes of small objects that were read and are not stored yet


@dataclass(frozen=True, slots=True)
class Stored:
    """What was found at an address, and the content that it had."""

    found: Found
    entry: Entry


def store_all(
    store: ObjectStore,
    sources: Sources,
    found: Iterable[Found],
    *,
    begun: Begun,
    jobs: int,
    progress: Progress,
    arriving: Arriving | None = None,
    lost: dict[Found, SourceError] | None = None,
) -> Iterator[Stored]:
    """Store the content of objects and yield each, in their order.

    What `begun` has of them is not asked for again, and it is told what came. Large ones are written to files of
    `arriving` as they come, for the checkout. What is not at its source as it was is put into `lost`, where that is
    given, and passed over.

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

        def taken() -> Iterator[Stored]:
            one, future = waiting.popleft()
            try:
                yield take(one, future)
            except (SourceMissingError, SourceChangedError) as error:
                if lost is None:
                    raise
                lost[one] = error

        def take(one: Found, future: Future[bytes] | Entry | None) -> Stored:
            nonlocal size
            if isinstance(future, Entry) and future.size == one.size:
                entry = future
            elif future is None or isinstance(future, Entry):
                entry = _store_large(
                    store, sources, one, kept=future, begun=begun, arriving=arriving, progress=progress
                )
            else:
                size -= one.size
                data = _waited_for(future, begun)
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
                    yield from taken()
            while waiting:
                yield from taken()
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
    store: ObjectStore,
    sources: Sources,
    found: Found,
    *,
    kept: Entry | None,
    begun: Begun,
    arriving: Arriving | None,
    progress: Progress,
) -> Entry:
    """Store one object while other threads read on; `kept` is the first part of it, which is in the store.

    It goes into a file of `arriving` on the way, where that has room. Where the source breaks off, `begun` is told of
    the part that came before the error is raised.
    """
    file = arriving.begin(version_key(found)) if arriving is not None and not 0 <= found.size < LEAST else None
    content = _Content(sources, found, file=file, begun=begun, progress=progress)
    try:
        if file is not None and file.held >= (kept.size if kept is not None else 0):
            content.begin(file.kept(), file.held)
        elif kept is not None:
            content.begin(store.file_chunks(kept.id), kept.size)
        else:
            content.begin(iter(()), 0)
        note = file.note if file is not None else None
        if file is not None and store.wholes is not None and _on_one_disk(file.path, store.staging()):
            file.will_be_synced = True
            file_id, length = store.put_whole(file.path, shared=0, read=content.read_all, note=note)
        else:
            file_id, length = store.put_stream(content.read, note=note)
        if file is not None and arriving is not None and content.failure is None:
            arriving.came(file, file_id, length)
    finally:
        content.end()
        if file is not None:
            file.finish()
    entry = Entry(EntryKind.FILE, file_id, length)
    if content.failure is not None:
        begun.note(found, entry)
        raise content.failure
    return entry


class _Content:
    """The content of one object to read from: first what is here, then what comes."""

    def __init__(
        self, sources: Sources, found: Found, *, file: Arrival | None, begun: Begun, progress: Progress
    ) -> None:
        self.failure: BaseException | None = None
        """Why it ends early."""
        self._sources, self._found, self._file, self._begun, self._progress = sources, found, file, begun, progress
        self._here: Iterator[bytes] = iter(())
        self._ahead: Ahead | None = None
        self._rest = memoryview(b"")
        self._old = 0  # bytes that the file has already

    def begin(self, here: Iterator[bytes], size: int) -> None:
        """Begin with `size` bytes that are here."""
        self._here = here
        if self._file is not None and self._file.held == size:
            self._old = size
        elif self._file is not None:
            self._file.restart()
        self._progress.advance(size=size)
        if size != self._found.size:
            self._ahead = read_ahead(
                self._sources,
                self._found,
                start=size,
                advance=lambda count: self._progress.advance(size=count),
                stopped=self._begun.stopped,
            )

    def end(self) -> None:
        """Let the threads go that read."""
        if self._ahead is not None:
            self._ahead.end()

    def read(self, size: int) -> memoryview:
        """Return what comes next, at most `size` bytes; nothing at the end, and where `failure` is set."""
        if not self._rest:
            self._rest = memoryview(self._next())
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def read_all(self, size: int) -> memoryview:
        """Do what `read` does, for who wants the whole file to be there at the end.

        Raises:
            OSError: when it cannot be written. Why it ends early.
        """
        piece = self.read(size)
        if not piece and self._file is not None:
            self._file.settle()
            if self._file.error is not None:
                raise self._file.error
        return piece

    def _next(self) -> bytes | memoryview:
        if self.failure is not None:
            return b""
        try:
            piece = next(self._here, None) or (self._ahead.next() if self._ahead is not None else b"")
        except (SourceChangedError, SourceMissingError):
            raise
        except (SourceError, EndedEarlyError) as error:
            self.failure = error  # what came until here is stored as a file of its own
            self.end()
            return b""
        if self._file is not None:
            if self._old:
                self._old -= len(piece)
            else:
                self._file.write(piece)
        return piece


def _on_one_disk(one: Path, other: Path) -> bool:
    return os.stat(one).st_dev == os.stat(other).st_dev


@contextmanager
def open_sources(workspace: Workspace) -> Iterator[Sources]:
    """Open sources as the workspace's surroundings say, and close them at the end."""
    sources = Sources(workspace.surroundings.environment)
    try:
        yield sources
    finally:
        sources.close()


def fetch_references(
    workspace: Workspace,
    entries: Sequence[Entry],
    *,
    jobs: int = 8,
    arriving: Arriving | None = None,
    lost: dict[bytes, SourceError] | None = None,
) -> int:
    """Store the content of references, and note in the ledgers what it is; return how many bytes came.

    Content that is known by an earlier fetch is compared with that. One operation notes all of it; what came before
    an error is noted too, and the first part of an object that broke off is kept. With `lost`, what is not at its
    source as it was is put into that, by the ids of references, and the others come all the same.

    Raises:
        SourceMissingError, SourceChangedError: when the source does not have it any more. SourceError: otherwise.
    """
    repo, size, failure = workspace.repo, 0, None
    begun = Begun(workspace)
    fresh: dict[str, Entry] = {}
    wanted = {reference_of(entry): entry for entry in entries}
    gone: dict[Found, SourceError] | None = {} if lost is not None else None
    workspace.progress.start("Fetching", total_bytes=sum(found.size for found in wanted), total_items=len(wanted))
    try:
        with open_sources(workspace) as sources:
            for stored in store_all(
                repo.store,
                sources,
                list(wanted),
                begun=begun,
                jobs=jobs,
                progress=workspace.progress,
                arriving=arriving,
                lost=gone,
            ):
                try:
                    _check(workspace, stored, wanted[stored.found])
                except SourceChangedError as error:
                    if gone is None:
                        raise
                    gone[stored.found] = error
                    continue
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
        if isinstance(failure, SourceMissingError):
            failure.hint = "it was there when it was imported; dsvc data update tells what else has gone or changed"
        raise failure
    for one, reason in (gone or {}).items():
        assert lost is not None, "they are gathered for it"
        lost[wanted[one].id] = reason
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
