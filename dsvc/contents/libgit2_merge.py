"""The one call of libgit2 that merges three texts, reached through the C layer of pygit2.

pygit2's own method takes no style, so this module fills the C structures itself. The texts
lie in an object database in memory: nothing is written to disk. Import this module where a merge happens: it
imports pygit2, which takes longer than the start of a short command may.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

import pygit2
from pygit2.ffi import C, ffi

from dsvc.contents.text_merge import TextMergeFailedError

STYLE_MERGE = 1
STYLE_DIFF3 = 2
STYLE_ZDIFF3 = 256
SIMPLIFY_ALNUM = 4
FAVOR_NONE = 0
FAVOR_OURS = 1
FAVOR_THEIRS = 2
FAVOR_UNION = 3

_OPTIONS_VERSION = 1
_REGULAR_FILE = 0o100644


class _BlobsInMemory(pygit2.OdbBackend):
    """The three texts of one merge, by their git blob id."""

    def __init__(self, blobs: dict[bytes, bytes]) -> None:
        super().__init__()
        self._blobs = blobs

    def read_cb(self, oid: pygit2.Oid) -> tuple[int, bytes]:
        return pygit2.GIT_OBJECT_BLOB, self._blobs[oid.raw]

    def exists_cb(self, oid: pygit2.Oid) -> bool:
        return oid.raw in self._blobs

    def refresh_cb(self) -> None:
        pass


def merge_blobs(
    base: bytes, ours: bytes, theirs: bytes, *, flags: int, favor: int, marker_size: int
) -> tuple[bytes, bool]:
    """Merge three texts and return the result and whether it is free of conflicts.

    Conflict markers are `marker_size` (1 to 65535) characters long; what stands after them has no meaning.
    Raises TextMergeFailedError.
    """
    ids = [_git_blob_id(content) for content in (base, ours, theirs)]
    repository: Any = pygit2.Repository()
    database = pygit2.Odb()
    database.add_backend(_BlobsInMemory(dict(zip(ids, (base, ours, theirs), strict=True))), 1)
    repository.set_odb(database)

    name = ffi.new("char[]", b"text")
    entries = [_index_entry(blob_id, name) for blob_id in ids]
    options = ffi.new("git_merge_file_options *")
    options.version = _OPTIONS_VERSION
    options.favor = favor
    options.flags = flags
    options.marker_size = marker_size
    result = ffi.new("git_merge_file_result *")
    code = C.git_merge_file_from_index(result, repository._repo, *entries, options)
    if code != 0:
        raise TextMergeFailedError(f"libgit2 could not merge the texts (code {code})")
    try:
        content = cast(bytes, ffi.buffer(result.ptr, result.len)[:]) if result.len else b""
        return content, bool(result.automergeable)
    finally:
        C.git_merge_file_result_free(result)


def _git_blob_id(content: bytes) -> bytes:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).digest()


def _index_entry(blob_id: bytes, name: Any) -> Any:
    entry = ffi.new("git_index_entry *")
    ffi.buffer(ffi.addressof(entry, "id"))[:20] = blob_id
    entry.mode = _REGULAR_FILE
    entry.path = name
    return entry
