"""The one function of libgit2 that merges three texts in memory, called in the library that pygit2 loads.

pygit2 itself offers only a merge of blobs in a repository, with neither style nor favor. libgit2's
`git_merge_file` takes plain buffers, so it is called through ctypes; its structures are part of libgit2's
stable interface (merge.h, version 1 of each).
"""

from __future__ import annotations

import ctypes
from typing import Any

from dsvc.errors import RequestError

STYLE_MERGE = 1
STYLE_DIFF3 = 2
STYLE_ZDIFF3 = 256
SIMPLIFY_ALNUM = 4
FAVOR_NONE = 0
FAVOR_OURS = 1
FAVOR_THEIRS = 2
FAVOR_UNION = 3

_VERSION = 1


class TextMergeFailedError(RequestError):
    """Three texts cannot be merged by lines; the caller may keep both sides as it does for binary files."""


class _Input(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint),
        ("content", ctypes.c_char_p),
        ("size", ctypes.c_size_t),
        ("path", ctypes.c_char_p),
        ("mode", ctypes.c_uint),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint),
        ("ancestor_label", ctypes.c_char_p),
        ("our_label", ctypes.c_char_p),
        ("their_label", ctypes.c_char_p),
        ("favor", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("marker_size", ctypes.c_ushort),
    )


class _Result(ctypes.Structure):
    _fields_ = (
        ("automergeable", ctypes.c_uint),
        ("path", ctypes.c_char_p),
        ("mode", ctypes.c_uint),
        ("content", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
    )


def merge_buffers(
    base: bytes, ours: bytes, theirs: bytes, *, flags: int, favor: int, marker_size: int
) -> tuple[bytes, bool]:
    """Merge three texts and return the result and whether it is free of conflicts.

    Conflict markers are `marker_size` (1 to 65535) characters long; what stands after them has no meaning.
    Other threads go on meanwhile. Raises TextMergeFailedError.
    """
    library = _library()
    options = _Options(version=_VERSION, favor=favor, flags=flags, marker_size=marker_size)
    sides = [_Input(version=_VERSION, content=text, size=len(text)) for text in (base, ours, theirs)]
    result = _Result()
    code = library.git_merge_file(ctypes.byref(result), *map(ctypes.byref, sides), ctypes.byref(options))
    if code != 0:
        raise TextMergeFailedError(f"libgit2 could not merge the texts (code {code})")
    try:
        content = ctypes.string_at(result.content, result.size) if result.size else b""
        return content, bool(result.automergeable)
    finally:
        library.git_merge_file_result_free(ctypes.byref(result))


def _library() -> Any:
    from pygit2 import _libgit2 as binding  # the import loads libgit2 and prepares it for use

    # A name is looked up in the libraries that the named one is linked with as well: libgit2 among them.
    library = ctypes.CDLL(binding.__file__)
    if not hasattr(library, "git_merge_file"):
        raise TextMergeFailedError(
            "this build of pygit2 hides the merge function of libgit2", hint="install pygit2 from a wheel"
        )
    return library
