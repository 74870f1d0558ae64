"""Write the files of a commit somewhere: into a folder, or into an archive that is the same every time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from dsvc.actions.archive import ArchiveWriter, open_archive
from dsvc.actions.export_dataset import files_of_snapshot, snapshot_here
from dsvc.actions.ls import NoSuchPathError
from dsvc.actions.revision import revision_context
from dsvc.errors import RequestError, UsageError
from dsvc.history.revisions import RevisionContext, UnknownRevisionError, resolve_commit, resolve_tree
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import Kind, TreeId
from dsvc.objects.snapshot import decode_snapshot
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.progress import Progress
from dsvc.repo.fetched import each_with_content
from dsvc.repo.tombstones import PurgedError, purged_files, tombstone_of
from dsvc.workspace import Workspace
from dsvc.worktree.index import join
from dsvc.worktree.names import fold, tells_names_apart

Add = Callable[[bytes, Entry, Iterator[bytes] | None], None]
Format = Literal["dir", "tar", "tar.gz", "zip"]
_ENDINGS: tuple[tuple[str, Format], ...] = (
    (".tar.gz", "tar.gz"), (".tgz", "tar.gz"), (".tar", "tar"), (".zip", "zip"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The tree that was written, in which format, how many files of how many bytes, and paths that have no content."""

    tree_id: TreeId
    format: Format
    files: int
    size: int
    left_out: tuple[bytes, ...]


class InTheWayError(RequestError):
    """Something stands where an export would write."""


def format_of(destination: str) -> Format:
    """Return the format that the ending of a name tells: a folder for any that is no archive's."""
    return next((form for ending, form in _ENDINGS if destination.lower().endswith(ending)), "dir")


def export(
    workspace: Workspace,
    revision: str,
    destination: Path | BinaryIO,
    *,
    form: Format,
    paths: Sequence[bytes] = (),
    prefix: bytes = b"",
    force: bool = False,
    context: RevisionContext | None = None,
) -> ExportResult:
    """Write the files of a revision to a folder or archive; contents are compared with their ids on the way.

    An archive takes all times from the commit and no owners, so that it has the same bytes every time; it gets its
    name when it is complete. A folder must be empty or new, unless `force` is set: then files of the same names are
    replaced and others stay. `prefix` is put before all paths. Memory does not grow with sizes.

    What is kept by reference is fetched. Files whose content was purged are left out, as a checkout does, and named in
    `workspace.left_out`. A dataset whose files were not indexed is read from a clone of its snapshot
    where a pool here has that; its files are compared with nothing.

    Raises:
        UnknownRevisionError, NoSuchPathError, PurgedError, InTheWayError: before anything is written.
        IntegrityError: when stored bytes are damaged; what was written so far of a folder stays.
    """
    context = context or revision_context(workspace)
    tree_id = resolve_tree(context, revision)
    store = workspace.repo.store
    for path in paths:
        entry = trees.lookup(store, tree_id, path)
        if entry is None:
            raise NoSuchPathError(path, revision)
        note = tombstone_of(workspace.repo, entry.id)
        if note is not None and not store.has_file(entry.id):
            raise PurgedError(note)
    purged: dict[bytes, bytes] = {}
    leaves = each_with_content(store, _there(workspace, _changed(store, tree_id, paths), purged))

    def write(add: Add) -> ExportResult:
        with closing(_told(workspace, leaves)) as told:  # and what it mounted goes, however this ends
            files, size, left_out = _write(told, add, progress=watch)
        workspace.left_out = purged
        return ExportResult(tree_id, form, files, size, (*left_out, *purged))

    watch = workspace.progress
    watch.start("Exporting files", total_bytes=None if paths else trees.tree_entry(store, tree_id).size)
    try:
        if form == "dir":
            if not isinstance(destination, Path):
                raise UsageError("a folder cannot be written to stdout", hint="dsvc export --format tar REV -")
            return write(FolderWriter(_prepared(destination, prefix, force=force), store, watch).add)
        time = _time(context, revision)
        if not isinstance(destination, Path):
            with open_archive(destination, form, time=time) as archive:
                return write(_adder(archive, prefix, store, watch))
        return _archive_file(
            destination, form, time=time, force=force, fill=lambda archive: write(_adder(archive, prefix, store, watch))
        )
    finally:
        watch.finish()


def write_folder(
    workspace: Workspace, leaves: Iterable[tuple[bytes, Entry]], destination: Path, *, force: bool = False
) -> tuple[int, int]:
    """Write stored files below a folder that is empty or new; return their number and their bytes.

    Raises what `export` raises for a folder.
    """
    watch = workspace.progress
    watch.start("Writing files")
    try:
        add = FolderWriter(_prepared(destination, b"", force=force), workspace.repo.store, watch).add
        stored = each_with_content(workspace.repo.store, leaves)
        files, size, _ = _write(((path, entry, None) for path, entry in stored), add, progress=watch)
    finally:
        watch.finish()
    return files, size


def _there(
    workspace: Workspace, leaves: Iterable[tuple[bytes, Entry]], purged: dict[bytes, bytes]
) -> Iterator[tuple[bytes, Entry]]:
    """Yield the files but those whose content was purged: these are noted, path -> file id."""
    erased = purged_files(workspace.repo)
    for path, entry in leaves:
        if entry.id in erased and entry.kind in CONTENT_KINDS and not workspace.repo.store.has_file(entry.id):
            purged[path] = entry.id
        else:
            yield path, entry


def _changed(store: ObjectStore, tree_id: TreeId, paths: Sequence[bytes]) -> Iterator[tuple[bytes, Entry]]:
    for change in diff_trees(store, None, tree_id, paths=paths):
        if change.new is not None and change.new.kind == EntryKind.SNAPSHOT:
            yield from _of_dataset(store, change.path, change.new)
        elif change.new is not None:
            yield change.path, change.new


def _of_dataset(store: ObjectStore, path: bytes, entry: Entry) -> Iterator[tuple[bytes, Entry]]:
    """Yield the files of a dataset that was indexed, else its entry."""
    tree = decode_snapshot(store.get(entry.id, Kind.SNAPSHOT)).tree
    if tree is None:
        yield path, entry
        return
    for change in diff_trees(store, None, tree):
        if change.new is not None:
            yield path + b"/" + change.path, change.new


def _told(
    workspace: Workspace, leaves: Iterable[tuple[bytes, Entry]]
) -> Generator[tuple[bytes, Entry, Iterator[bytes] | None]]:
    """Yield the files, those of a dataset with their content, where a pool of this machine has it."""
    for path, entry in leaves:
        kept = snapshot_here(workspace, path, entry) if entry.kind == EntryKind.SNAPSHOT else None
        if kept is None:
            yield path, entry, None
        else:
            yield from files_of_snapshot(workspace, path, kept)


def _write(
    leaves: Iterable[tuple[bytes, Entry, Iterator[bytes] | None]],
    add: Add,
    *,
    progress: Progress,
) -> tuple[int, int, tuple[bytes, ...]]:
    """Add all leaves; return how many files of how many bytes, and the paths that have no content."""
    files = size = 0
    left_out: list[bytes] = []
    for path, entry, content in leaves:
        if entry.kind in {EntryKind.REFERENCE, EntryKind.SNAPSHOT, EntryKind.GITLINK}:
            left_out.append(path)
            continue
        add(path, entry, content)
        if entry.kind != EntryKind.TREE:
            files += 1
            size += entry.size
            progress.advance(items=1)
    return files, size, tuple(left_out)


def _time(context: RevisionContext, revision: str) -> int:
    """Return the time of the commit in seconds; a tree that no commit is named for has none: 1980, as zip begins."""
    try:
        return context.get_commit(resolve_commit(context, revision.partition(":")[0])).committer.time // 1_000_000
    except UnknownRevisionError:
        return 315_532_800


def _content(
    store: ObjectStore, entry: Entry, progress: Progress, given: Iterator[bytes] | None = None
) -> Iterator[bytes]:
    for piece in given if given is not None else store.file_chunks(entry.id):
        yield piece
        progress.advance(size=len(piece))


def _adder(
    archive: ArchiveWriter, prefix: bytes, store: ObjectStore, progress: Progress
) -> Add:
    def add(path: bytes, entry: Entry, given: Iterator[bytes] | None = None) -> None:
        content = _content(store, entry, progress, given) if entry.kind != EntryKind.TREE else iter(())
        archive.add(prefix + path, entry, content)

    return add


def _archive_file(
    destination: Path, form: Format, *, time: int, force: bool, fill: Callable[[ArchiveWriter], ExportResult]
) -> ExportResult:
    if destination.exists() and not force:
        raise InTheWayError(f"{destination} exists", hint="--force replaces it")
    part = destination.with_name(f".{destination.name}.part")
    try:
        with open(part, "wb") as file:
            with open_archive(file, form, time=time) as archive:
                result = fill(archive)
            file.flush()
            os.fsync(file.fileno())
        part.replace(destination)
        return result
    except OSError as error:
        raise RequestError(f"{destination} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def _prepared(destination: Path, prefix: bytes, *, force: bool) -> bytes:
    """Make the folder to write to; it must be empty unless `force` is set."""
    try:
        destination.mkdir(parents=True, exist_ok=True)
        occupied = next(os.scandir(destination), None) is not None
    except OSError as error:
        raise InTheWayError(f"{destination} cannot be used as a folder: {error.strerror}") from error
    if occupied and not force:
        raise InTheWayError(
            f"{destination} is not empty", hint="--force writes into it and replaces files of the same names"
        )
    root, below = os.fsencode(destination.resolve()), prefix.strip(b"/")
    if b".." in below.split(b"/"):
        raise UsageError("--prefix may not lead out of the folder")
    return join(root, below) if below else root


class FolderWriter:
    """Writes files below a folder. A link or file that stands where a folder is needed is never followed.

    On a disk that does not tell two of their names apart the second is refused.
    """

    def __init__(self, root: bytes, store: ObjectStore, progress: Progress) -> None:
        self._root = root
        self._store = store
        self._progress = progress
        self._made: set[bytes] = {b""}
        os.makedirs(root, exist_ok=True)
        self._written: set[str] | None = None if tells_names_apart(Path(os.fsdecode(root))) else set()

    def add(self, path: bytes, entry: Entry, given: Iterator[bytes] | None = None) -> None:
        """Write one file, link or empty folder: with the content that is `given`, or else what is stored."""
        full = join(self._root, path)
        if entry.kind == EntryKind.TREE:
            self._make(path)
            return
        self._make(path.rpartition(b"/")[0])
        self._refuse_twin(path)
        try:
            _clear(full)
            if entry.kind == EntryKind.SYMLINK:
                os.symlink(b"".join(_content(self._store, entry, self._progress, given)), full)
                return
            mode = 0o777 if entry.kind == EntryKind.EXECUTABLE else 0o666
            descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            with open(descriptor, "wb") as file:
                for chunk in _content(self._store, entry, self._progress, given):
                    file.write(chunk)
        except OSError as error:
            raise RequestError(f"{os.fsdecode(full)} cannot be written: {error.strerror}") from error

    def place(self, path: bytes) -> bytes:
        """Make the folder of a file, and return where the file lies."""
        self._make(path.rpartition(b"/")[0])
        return join(self._root, path)

    def _make(self, directory: bytes) -> None:
        if directory in self._made:
            return
        self._make(directory.rpartition(b"/")[0])
        self._refuse_twin(directory)
        full = join(self._root, directory)
        try:
            if not stat.S_ISDIR(os.lstat(full).st_mode):
                os.unlink(full)
                os.mkdir(full)
        except FileNotFoundError:
            os.mkdir(full)
        self._made.add(directory)

    def _refuse_twin(self, path: bytes) -> None:
        """Refuse a path that this disk takes for one that was written.

        Raises:
            InTheWayError: naming both; the other one is as it was written.
        """
        if self._written is None:
            return
        folded = fold(path)
        if folded in self._written:
            directory, _, name = path.rpartition(b"/")
            twins = [n for n in os.listdir(join(self._root, directory)) if fold(n) == fold(name)]
            other = os.fsdecode(join(directory, twins[0]) if twins else path)
            raise InTheWayError(
                f"this disk does not tell these names apart, so one would overwrite the other:\n"
                f"  {other} and {os.fsdecode(path)}",
                hint="export to another disk, or into an archive, as with --format tar; or name the PATHs to write",
            )
        self._written.add(folded)


def _clear(path: bytes) -> None:
    """Remove the file or link at a path; a folder with something in it stays and is an error."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        os.rmdir(path)
    else:
        os.unlink(path)
