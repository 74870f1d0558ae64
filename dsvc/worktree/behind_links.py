"""Paths that lead through a symbolic link: what lies there is not versioned under that name."""

from __future__ import annotations

import os
from collections.abc import Callable

from dsvc.errors import RequestError


class BehindLinkError(RequestError):
    """A path goes through a symbolic link, so that it names no file of the working copy."""

    def __init__(self, path: bytes, link: bytes) -> None:
        super().__init__(
            f"{os.fsdecode(path)} lies behind the symbolic link {os.fsdecode(link)}, of which only that is versioned",
            hint="name it by the folder that it is in, where that is in the working copy",
            details={"path": os.fsdecode(path), "link": os.fsdecode(link)},
        )


def refuse_behind_link(path: bytes, place: Callable[[bytes], bytes]) -> None:
    """Refuse a path of which a folder is a symbolic link; `place` says where a path lies on disk.

    Raises:
        BehindLinkError: naming the first of them.
    """
    folders = path.split(b"/")[:-1]
    for number in range(1, len(folders) + 1):
        folder = b"/".join(folders[:number])
        if os.path.islink(place(folder)):
            raise BehindLinkError(path, folder)
