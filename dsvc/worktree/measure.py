"""How much there is to store, for those who watch: counted beside the work, from directory listings alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from dsvc.worktree.ignore import DirectoryRules
from dsvc.worktree.index import join

_CONTROL = frozenset({b".dsvc", b".git"})

Count = tuple[int, int]
"""Files and links, and their bytes."""


def measure_folder(
    place: bytes, path: bytes, rules: DirectoryRules, wanted: Callable[[bytes], bool] | None = None
) -> Count:
    """Count what a commit takes below the folder `path`, which lies on disk at `place`.

    Names stream from the listing, so that a folder of a million files takes no memory. What cannot be read is left
    out: whoever stores it says so.
    """
    items = size = 0
    with suppress(OSError), os.scandir(place) as listing:
        for found in listing:
            name = found.name
            file_path = join(path, name)
            if name in _CONTROL or (wanted is not None and not wanted(file_path)):
                continue
            is_directory = found.is_dir(follow_symlinks=False)
            if rules.ignored(name, is_directory=is_directory):
                continue
            if is_directory:
                if not os.path.lexists(found.path + b"/.dsvc"):
                    more, bytes_below = measure_folder(found.path, file_path, rules.enter(name), wanted)
                    items, size = items + more, size + bytes_below
            elif found.is_symlink():
                items += 1
            elif found.is_file(follow_symlinks=False):
                items += 1
                size += found.stat(follow_symlinks=False).st_size
    return items, size
