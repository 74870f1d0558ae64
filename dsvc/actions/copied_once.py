"""Say once that large files are stored a second time, where that need not be or cannot be helped."""

from __future__ import annotations

import contextlib
from typing import Literal

from dsvc.objects.wholes import LARGE
from dsvc.storage.cloning import can_clone
from dsvc.workspace import Workspace

Copies = Literal["disk", "format", "link"]
_TOLD = "told-copies"  # in .dsvc/cache


def copies_to_tell(workspace: Workspace, stored: int) -> Copies | None:
    """Say why large files are copied into the store, when `stored` bytes were just taken in and it was never said.

    disk: it cannot clone files. format: the disk can, and the repository was made without that. link: `store.link` asks
    for hard links, which the repository was made without. None where nothing is copied, where copies are what was
    chosen (`store.link`), and from the second time on.
    """
    told = workspace.common / "cache" / _TOLD
    wholes = workspace.repo.store.wholes
    link = workspace.config.get_str("store.link")
    if stored < LARGE or wholes == "hardlink" or link == "copy" or told.exists():
        return None
    cloning = can_clone(workspace.repo.store.staging())
    if cloning and wholes is not None:
        return None
    with contextlib.suppress(OSError):
        told.parent.mkdir(exist_ok=True)
        told.touch()
    return "link" if link == "hardlink" else "format" if cloning else "disk"
