"""Files that differ between two sides: what happened to each, and their contents."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Literal, NamedTuple

from dsvc.contents.attributes import NO_ATTRIBUTES, Attributes
from dsvc.contents.kinds import BINARY_HEAD, is_binary
from dsvc.contents.likeness import similar_files
from dsvc.contents.text_diff import TextDiff, line_counts, unified
from dsvc.errors import DsvcError, RequestError
from dsvc.history.renames import MINIMUM, RenameLimit, detect
from dsvc.history.treediff import Change
from dsvc.objects.files import is_small
from dsvc.objects.ids import ObjectId
from dsvc.objects.reference import reference_of
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, FILE_KINDS, Entry, EntryKind
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import PurgedError, explain_missing
from dsvc.storage.snapshots import FileChange
from dsvc.workspace import Workspace
from dsvc.worktree.index import Index

TEXT_LIMIT = 8 << 20
"""Bytes above which a text is compared line by line only when that is asked for: it takes much and tells little."""

Status = Literal["A", "D", "M", "T", "R"]


class FileDiff(NamedTuple):
    """A path at which two sides differ.

    `status` is git's letter: added, deleted, modified, type changed, renamed. `old_path` and `path` are equal but for
    renames, whose `score` says how alike the contents are, in percent. `files` are those that differ in a dataset, by
    their paths in it, where its provider can tell.
    """

    status: Status
    old_path: bytes
    path: bytes
    old: Entry | None
    new: Entry | None
    score: int | None = None
    files: tuple[FileChange, ...] | None = None

    def same_content(self) -> bool:
        """Say whether only the path or the mode differs."""
        return self.old is not None and self.new is not None and self.old.id == self.new.id


class Sides(NamedTuple):
    """Where contents are read from: the store, and for a new side that lies in the working copy what gives the place
    of a path on disk (None: it is left out there). `explain` says of an object that is not there whether it was erased
    on purpose; `attributes` how files are compared.
    """

    store: ObjectStore
    place: Callable[[bytes], bytes | None] | None = None
    explain: Callable[[ObjectMissingError], DsvcError] | None = None
    attributes: Attributes = NO_ATTRIBUTES

    @classmethod
    def of(
        cls,
        repo: Repository,
        place: Callable[[bytes], bytes | None] | None = None,
        *,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> Sides:
        """Return the sides whose contents a repository keeps, or knows to be purged."""
        return cls(repo.store, place, partial(explain_missing, repo), attributes)

    @classmethod
    def on_disk(cls, workspace: Workspace, index: Index, *, attributes: Attributes = NO_ATTRIBUTES) -> Sides:
        """Return the sides of which the new one is the working copy; what that leaves out is read from the store."""

        def place(path: bytes) -> bytes | None:
            full = workspace.place(path)
            return None if index.is_absent(path) and not os.path.lexists(full) else full

        return cls.of(workspace.repo, place, attributes=attributes)

    def purged(self, error: ObjectMissingError) -> str:
        """Return who erased what is missing, when and why, as a sentence; raises the error where nobody did."""
        found = self.explain(error) if self.explain is not None else error
        if isinstance(found, PurgedError):
            return found.message
        raise error

    def ahead(self, files: Iterable[FileDiff]) -> None:
        """In a partial clone fetch at once what is read to compare these files, elsewhere do nothing.

        Raises:
            What `ObjectStore.complete` raises.
        """
        entries = (
            entry
            for file in files
            if not file.same_content()
            for entry in (file.old, file.new if self.place is None or self.place(file.path) is None else None)
        )
        self.store.complete(e.id for e in entries if e is not None and e.kind in CONTENT_KINDS and e.size <= TEXT_LIMIT)

    def old_or_none(self, path: bytes, entry: Entry) -> bytes | None:
        """Return an old content whole, None where it was erased on purpose."""
        try:
            return self.read_old(path, entry)
        except ObjectMissingError as error:
            self.purged(error)
            return None

    def new_or_none(self, path: bytes, entry: Entry) -> bytes | None:
        """Return a new content whole, None where it was erased on purpose."""
        try:
            return self.read_new(path, entry)
        except ObjectMissingError as error:
            self.purged(error)
            return None

    def read_old(self, path: bytes, entry: Entry) -> bytes:
        """Return an old content whole."""
        del path
        stand_in = _stand_in(entry)
        return stand_in if stand_in is not None else self.store.read_file(entry.id)

    def read_new(self, path: bytes, entry: Entry) -> bytes:
        """Return a new content whole."""
        stand_in = _stand_in(entry)
        if stand_in is not None:
            return stand_in
        return b"".join(self.new_chunks(path, entry))

    def old_chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield the pieces of the old content of a file."""
        return self.store.file_chunks(entry.id)

    def new_chunks(self, path: bytes, entry: Entry) -> Iterator[bytes]:
        """Yield the pieces of the new content of a file."""
        place = self.new_place(path, entry)
        return self.store.file_chunks(entry.id) if place is None else _from_disk(place, 1 << 20)

    def new_place(self, path: bytes, entry: Entry) -> bytes | None:
        """Return where a new content lies on disk, None where it is read from the store."""
        return None if self.place is None or self.store.has_file(entry.id) else self.place(path)

    def old_head(self, entry: Entry) -> bytes:
        """Return the first bytes of an old content: what tells binary files."""
        stand_in = _stand_in(entry)
        return stand_in if stand_in is not None else next(self.store.file_chunks(entry.id), b"")[:BINARY_HEAD]

    def new_head(self, path: bytes, entry: Entry) -> bytes:
        """Return the first bytes of a new content."""
        stand_in = _stand_in(entry)
        if stand_in is not None:
            return stand_in
        place = self.new_place(path, entry)
        return self.old_head(entry) if place is None else next(_from_disk(place, BINARY_HEAD), b"")


def _stand_in(entry: Entry) -> bytes | None:
    """Return the text that stands for what has no content here, None for what has one."""
    if entry.kind in CONTENT_KINDS:
        return None
    if entry.kind == EntryKind.GITLINK:
        return b"Subproject commit %s\n" % entry.id.hex().encode()
    if entry.kind == EntryKind.TREE:
        return b""
    if entry.kind == EntryKind.REFERENCE:
        address, size, etag, version = reference_of(entry)
        said = f"Reference {address}\nsize {size}\netag {etag}\n" + (f"version {version}\n" if version else "")
        return said.encode("utf-8", "replace")
    if entry.kind == EntryKind.SNAPSHOT and not any(entry.id):
        return b"snapshot that is not taken yet\n"
    return b"%s %s\n" % (EntryKind(entry.kind).name.lower().encode(), entry.id.hex().encode())


def _from_disk(path: bytes, size: int) -> Iterator[bytes]:
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            yield os.readlink(path)
            return
        with open(path, "rb") as file:
            while data := file.read(size):
                yield data
    except OSError as error:
        message = f"{os.fsdecode(path)} cannot be read any more: {error.strerror}"
        raise RequestError(message, hint="run the same command again") from error


def paired(
    changes: Iterable[Change], sides: Sides, *, minimum: int | None = MINIMUM
) -> tuple[list[FileDiff], RenameLimit | None]:
    """Return changes as differences of files, renames found, in order of paths.

    `minimum` is how alike, in percent, a renamed file must be; None finds no renames.
    """
    changes = list(changes)
    limit: RenameLimit | None = None
    found: list[FileDiff] = []
    if minimum is not None and _may_hold_renames(changes):
        parts = sides.store if sides.place is None else None
        complete = sides.store.complete if sides.place is None else None
        similar = similar_files(sides.read_old, sides.read_new, complete=complete)
        renames = detect(changes, similar=similar, parts=parts, minimum=minimum, empty_files=False)
        limit, changes = renames.limit, list(renames.others)
        found += [FileDiff("R", r.old_path, r.new_path, r.old, r.new, r.score) for r in renames.renames]
    found += [FileDiff(_status(c), c.path, c.path, c.old, c.new) for c in changes]
    found.sort(key=lambda file: file.path)
    return found, limit


def _may_hold_renames(changes: Iterable[Change]) -> bool:
    gone = fresh = False
    for change in changes:
        gone = gone or change.new is None
        fresh = fresh or change.old is None
    return gone and fresh


def _status(change: Change) -> Status:
    if change.old is None:
        return "A"
    if change.new is None:
        return "D"
    same = change.old.kind == change.new.kind or {change.old.kind, change.new.kind} <= FILE_KINDS  # the executable bit
    return "M" if same else "T"


class Compared(NamedTuple):
    """How two contents differ: line by line where both are text of a size that allows it.

    `binary`, `skipped` (a text larger than the limit) and `purged` (a sentence on a content that was erased on purpose)
    leave `text` empty.
    """

    text: TextDiff | None
    binary: bool = False
    skipped: bool = False
    purged: str | None = None


class Counts(NamedTuple):
    """How many lines a difference adds and removes; None where they are not counted, `purged` where they cannot be."""

    added: int | None
    removed: int | None
    purged: bool = False


def compare(
    file: FileDiff, sides: Sides, *, context: int = 3, ignore_whitespace: bool = False, limit: int | None = TEXT_LIMIT
) -> Compared:
    """Compare the contents of a file line by line; reads nothing whole that is binary or larger than `limit`."""
    obstacle = _obstacle(file, sides, limit)
    if obstacle is not None:
        return obstacle
    old = sides.read_old(file.old_path, file.old) if file.old is not None else None
    new = sides.read_new(file.path, file.new) if file.new is not None else None
    text = unified(
        old, new, old_name=file.old_path, new_name=file.path, context=context, ignore_whitespace=ignore_whitespace
    )
    return Compared(text)


def count_lines(
    file: FileDiff, sides: Sides, *, ignore_whitespace: bool = False, limit: int | None = TEXT_LIMIT
) -> Counts:
    """Return how many lines a difference adds and removes."""
    if file.same_content():
        return Counts(0, 0)
    obstacle = _obstacle(file, sides, limit)
    if obstacle is not None:
        return Counts(None, None, purged=obstacle.purged is not None)
    old = sides.read_old(file.old_path, file.old) if file.old is not None else None
    new = sides.read_new(file.path, file.new) if file.new is not None else None
    return Counts(*line_counts(old, new, ignore_whitespace=ignore_whitespace))


def _obstacle(file: FileDiff, sides: Sides, limit: int | None) -> Compared | None:
    if file.same_content():
        return Compared(None)
    try:
        if (file.old is not None and is_binary(sides.old_head(file.old))) or (
            file.new is not None and is_binary(sides.new_head(file.path, file.new))
        ):
            return Compared(None, binary=True)
    except ObjectMissingError as error:
        return Compared(None, purged=sides.purged(error))
    if limit is not None and max(file.old.size if file.old else 0, file.new.size if file.new else 0) > limit:
        return Compared(None, skipped=True)
    return None


def new_bytes(file: FileDiff, sides: Sides) -> int | None:
    """Return how many bytes of the new content lie in chunks that the old one has not; None where that is not known."""
    if file.new is None or file.new.kind not in FILE_KINDS:
        return None
    if file.old is not None and file.old.id == file.new.id:
        return 0
    if is_small(file.new.size) or file.old is None or file.old.kind not in FILE_KINDS or is_small(file.old.size):
        return file.new.size if file.old is not None else None
    if not sides.store.has_file(file.new.id) or not sides.store.has_file(file.old.id):
        return None
    known: set[ObjectId] = {ObjectId(part.id) for _, part in sides.store.file_parts(file.old.id)}
    return sum(part.length for _, part in sides.store.file_parts(file.new.id) if part.id not in known)


StatusFilter = Callable[[FileDiff], bool]


def status_filter(letters: str) -> StatusFilter:
    """Return the test of `--diff-filter`: capital letters choose, small ones leave out.

    Raises:
        RequestError: for a letter that is none of git's.
    """
    wanted = {letter for letter in letters if letter.isupper()}
    unwanted = {letter.upper() for letter in letters if letter.islower()}
    if not letters or (wanted | unwanted) - set("ADMTRCUXB"):
        raise RequestError(f"--diff-filter {letters!r} is not made of the letters A, D, M, T and R")
    return lambda file: (not wanted or file.status in wanted) and file.status not in unwanted
