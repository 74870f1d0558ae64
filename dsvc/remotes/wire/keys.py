"""Which keys the far end takes for those of blobs, so that no request leads out of its place."""

from __future__ import annotations

import os
from pathlib import Path

from dsvc.storage.backend import Backend, BadKeyError, BlobMissingError, check_key

LONGEST_KEY = 1024
_OWN_FOLDERS = ("tmp/", "cells/")  # of a folder's own making: no blobs


def check_blob_key(key: object) -> str:
    """Return `key` when a blob may have it.

    Raises:
        BadKeyError: otherwise; so no request leads out of the place, nor to its cells.
    """
    if not isinstance(key, str) or len(key) > LONGEST_KEY:
        raise BadKeyError("a key is a text of at most 1,024 characters")
    if key.startswith(_OWN_FOLDERS):
        raise BadKeyError(f"{key!r} is not a key of a blob")
    return check_key(key)


def check_prefix(prefix: str) -> str:
    """Return `prefix` when keys of blobs can begin so.

    Raises:
        BadKeyError: otherwise; so no listing leads out of the place.
    """
    folder, slash, rest = prefix.rpartition("/")
    if slash:
        check_blob_key(folder)
    if rest:
        check_blob_key(rest)
    if f"{folder}/".startswith(_OWN_FOLDERS):
        raise BadKeyError(f"no key of a blob begins with {prefix!r}")
    return prefix


def blob_size(backend: Backend, key: str) -> int:
    """Return how many bytes a blob has.

    Raises:
        BlobMissingError: when there is none.
    """
    root = getattr(backend, "root", None)
    if isinstance(root, Path):
        try:
            return os.stat(root / key).st_size
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BlobMissingError(key, str(root)) from error
    for name, size in backend.list(key):
        if name == key:
            return size
    raise BlobMissingError(key, "here")
