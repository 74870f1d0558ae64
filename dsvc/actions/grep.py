"""Search the text of files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from dsvc.actions.revision import revision_context
from dsvc.contents.kinds import BINARY_HEAD, is_binary
from dsvc.errors import UsageError
from dsvc.history.revisions import RevisionContext, resolve_tree
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import FILE_KINDS, Entry
from dsvc.repo.tombstones import tombstone_of
from dsvc.workspace import Workspace

SIZE_LIMIT = 64 << 20
"""Bytes above which a file is not searched: it is held in memory, and hardly a text that somebody reads."""

_TOGETHER = 500  # files that are fetched at once


@dataclass(frozen=True, slots=True)
class GrepQuery:
    """What to look for: a line matches when one of the patterns is found in it."""

    patterns: tuple[str, ...]
    fixed: bool = False
    ignore_case: bool = False
    words: bool = False
    invert: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A line: its number from 1, its bytes without the line end, and where the matches are in it (start, end)."""

    number: int
    line: bytes
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class GrepResult:
    """A file that was searched and has matches, or one that is too large to be searched (`skipped`)."""

    revision: str | None
    path: bytes
    matches: tuple[Match, ...]
    skipped: bool = False
    size: int = 0


def compile_query(query: GrepQuery) -> re.Pattern[bytes]:
    """Return the pattern of a query for one line.

    Raises:
        UsageError: when a pattern is not valid.
    """
    parts: list[bytes] = []
    for text in query.patterns:
        raw = text.encode("utf-8", "surrogateescape")
        part = re.escape(raw) if query.fixed else raw
        try:
            re.compile(part)
        except re.error as error:
            raise UsageError(f"{text!r} is not a valid pattern: {error}", hint="-F takes it as plain text") from error
        parts.append(b"(?:%s)" % part)
    whole = b"|".join(parts)
    if query.words:
        whole = rb"(?<!\w)(?:%s)(?!\w)" % whole
    return re.compile(whole, (re.IGNORECASE if query.ignore_case else 0) | re.MULTILINE)


def grep(
    workspace: Workspace,
    query: GrepQuery,
    *,
    revisions: Sequence[str] = (),
    paths: Sequence[bytes] = (),
    context: RevisionContext | None = None,
) -> Iterator[GrepResult]:
    """Yield the text files that have matching lines: versioned files of the working copy, or those of revisions.

    Binary files and purged ones are left out; files above 64 MiB come as skipped. One file at a time is held in memory.

    Raises:
        UsageError: for a pattern that is not valid. UnknownRevisionError: for a revision that does not exist.
    """
    pattern = compile_query(query)
    if not revisions:
        return _search_working_copy(workspace, pattern, query, paths)
    context = context or revision_context(workspace)
    wanted = [(name, resolve_tree(context, name)) for name in revisions]
    return _search_revisions(workspace, pattern, query, wanted, paths)


def _search_revisions(
    workspace: Workspace,
    pattern: re.Pattern[bytes],
    query: GrepQuery,
    revisions: Sequence[tuple[str, TreeId]],
    paths: Sequence[bytes],
) -> Iterator[GrepResult]:
    store = workspace.repo.store
    for name, tree_id in revisions:
        for path, entry in _ahead(store, diff_trees(store, None, tree_id, paths=paths)):
            try:
                found = _search_stored(workspace.repo.store, entry, pattern, query)
            except ObjectMissingError as error:
                if tombstone_of(workspace.repo, error.id) is None:
                    raise
                continue
            if found == "large":
                yield GrepResult(name, path, (), skipped=True, size=entry.size)
            elif found:
                yield GrepResult(name, path, found)


def _ahead(store: ObjectStore, changes: Iterable[Change]) -> Iterator[tuple[bytes, Entry]]:
    """Yield the files of a tree; in a partial clone some hundred that are not here are fetched at once."""
    files = ((c.path, c.new) for c in changes if c.new is not None and c.new.kind in FILE_KINDS and c.new.size)
    while batch := list(islice(files, _TOGETHER)):
        store.complete(entry.id for _, entry in batch if entry.size <= SIZE_LIMIT)
        yield from batch


def _search_stored(
    store: ObjectStore, entry: Entry, pattern: re.Pattern[bytes], query: GrepQuery
) -> tuple[Match, ...] | Literal["large"]:
    if entry.size > SIZE_LIMIT:
        return () if is_binary(next(store.file_chunks(entry.id), b"")[:BINARY_HEAD]) else "large"
    content = store.read_file(entry.id)
    return () if is_binary(content[:BINARY_HEAD]) else find_matches(content, pattern, invert=query.invert)


def _search_working_copy(
    workspace: Workspace, pattern: re.Pattern[bytes], query: GrepQuery, paths: Sequence[bytes]
) -> Iterator[GrepResult]:
    index = workspace.index()
    root = workspace.root_bytes
    for change in diff_trees(workspace.repo.store, None, index.tree, paths=paths):
        if change.new is None or change.new.kind not in FILE_KINDS:
            continue
        found = _read_text(os.path.join(root, index.names.on_disk(change.path)))
        if found == "large":
            yield GrepResult(None, change.path, (), skipped=True, size=change.new.size)
        elif found is not None:
            matches = find_matches(found, pattern, invert=query.invert)
            if matches:
                yield GrepResult(None, change.path, matches)


def _read_text(path: bytes) -> bytes | Literal["large"] | None:
    """Return the content of a text file; None for what is binary, empty, gone, unreadable or no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        head = file.read(BINARY_HEAD)
        if not head or is_binary(head):
            return None
        return "large" if status.st_size > SIZE_LIMIT else head + file.readall()


def find_matches(content: bytes, pattern: re.Pattern[bytes], *, invert: bool = False) -> tuple[Match, ...]:
    """Return the lines of a text in which a pattern is found, with `invert` the others."""
    # Most files have no match, and one search over all of it is much faster than one a line.
    if not invert and pattern.search(content.replace(b"\r\n", b"\n")) is None:
        return ()
    found: list[Match] = []
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        text = line.removesuffix(b"\r")
        spans = tuple(match.span() for match in pattern.finditer(text))
        if bool(spans) != invert:
            found.append(Match(number, line, () if invert else spans))
    return tuple(found)
