"""Show a commit as a folder that is read from the store, through FUSE; nothing is checked out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsvc.actions.mounted_tree import MountedTree
from dsvc.actions.revision import revision_context
from dsvc.actions.tree_files import TreeFiles
from dsvc.errors import DsvcError, RequestError
from dsvc.history.revisions import RevisionContext, resolve, resolve_tree
from dsvc.objects.ids import CommitId, Kind, content_id
from dsvc.objects.random_access import ContentReader
from dsvc.workspace import Workspace

KIND = "dsvc"  # the mount's type is fuse.dsvc
_TABLE = Path("/proc/self/mountinfo")
_ESCAPES = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))


class CannotMountError(RequestError):
    """A folder cannot be a mount here."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted commit: where, the beginning of its tree's id, and whether the process that served it is gone."""

    path: Path
    tree: str
    stale: bool = False


def mount(
    workspace: Workspace,
    revision: str,
    folder: Path,
    *,
    ready: Callable[[Mount], None],
    failed: Callable[[DsvcError], None],
    context: RevisionContext | None = None,
) -> None:
    """Mount the files of a revision on an empty folder, and serve them until the mount is ended or a signal comes.

    `ready` is called when it is there, `failed` for each content that cannot be read: whoever read it gets an
    input/output error. In a partial clone content is fetched as it is read.

    Raises:
        UnknownRevisionError: where there is no such revision. CannotMountError: where FUSE is missing or refuses.
    """
    context = context or revision_context(workspace)
    tree_id = resolve_tree(context, revision)
    resolved = resolve(context, revision)
    kind, object_id = workspace.repo.peel(resolved.kind, resolved.id)
    time = workspace.repo.commit(CommitId(object_id)).committer.time if kind == Kind.COMMIT else 0
    place = _checked(workspace, folder)
    fuse = _load()
    reader = ContentReader(workspace.repo.store)
    made = Mount(place, tree_id.hex()[:16])
    tree = MountedTree(
        TreeFiles(workspace.repo.store, tree_id, reader), time=time, ready=lambda: ready(made), failed=failed
    )
    try:
        fuse.FUSE(
            tree,
            os.fspath(place),
            foreground=True,
            ro=True,
            fsname=f"{KIND}:{made.tree}:{_mark_of(workspace)}",
            subtype=KIND,
            kernel_cache=True,
            entry_timeout=3600,
            attr_timeout=3600,
        )
    except RuntimeError as error:
        raise CannotMountError(
            f"{place} cannot be mounted: FUSE refused (code {error})", hint="see what it said above"
        ) from error
    finally:
        reader.close()


def mounts(workspace: Workspace) -> list[Mount]:
    """Return the mounts of commits of this repository; always none where the system has no table of mounts."""
    return [found for found, mark in _table() if mark == _mark_of(workspace)]


def unmount(folder: Path) -> Mount:
    """End a mount; one whose process is gone, too.

    Raises:
        CannotMountError: when it is none of dsvc's, or something in it is in use.
    """
    place = Path(os.path.abspath(folder))
    found = next((made for made, _ in _table() if made.path == place), None)
    if found is None and _TABLE.exists():
        raise CannotMountError(f"{folder} is no mounted commit", hint="dsvc mount lists those of this repository")
    found = found or Mount(place, "")
    program = shutil.which("fusermount3") or shutil.which("fusermount")
    command = [program, "-u", os.fspath(place)] if program else ["umount", os.fspath(place)]
    if program and found.stale:
        command.insert(2, "-z")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotMountError(
            f"{folder} cannot be unmounted: {done.stderr.strip()}", hint="close what reads from it, and try again"
        )
    return found


def _checked(workspace: Workspace, folder: Path) -> Path:
    """Return where to mount."""
    place = Path(os.path.abspath(folder))
    if any(made.path == place and made.stale for made, _ in _table()):
        raise CannotMountError(
            f"{folder} is still a mount, and the process that served it is gone", hint=f"dsvc umount {folder}"
        )
    if not place.is_dir():
        raise CannotMountError(f"{folder} is no folder", hint=f"mkdir {folder}")
    if os.path.ismount(place):
        raise CannotMountError(f"{folder} is a mount already", hint=f"dsvc umount {folder}, or take another folder")
    if any(place.iterdir()):
        raise CannotMountError(f"{folder} is not empty", hint="take an empty folder")
    real, root = Path(os.path.realpath(place)), Path(os.path.realpath(workspace.root))
    if root in (real, *real.parents):
        inside = os.fsencode(real.relative_to(root))
        parts = inside.split(b"/")
        above = [b"/".join(parts[: n + 1]) for n in range(len(parts))]
        rules = workspace.ignore_rules()
        if real == root or not any(rules.ignored(path, is_directory=True) for path in above):
            raise CannotMountError(
                f"{folder} lies in the working copy, where its files would be taken for new ones",
                hint="take a folder elsewhere, or one that .dsvcignore names",
            )
    if sys.platform.startswith("linux") and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise CannotMountError("/dev/fuse is missing or may not be used here", hint="dsvc export writes the files out")
    return place


def _load() -> Any:
    """Return the module mfusepy."""
    try:
        import mfusepy
    except ImportError as error:
        raise CannotMountError("to mount needs the package mfusepy", hint="pip install 'dsvc[mount]'") from error
    except (OSError, AttributeError) as error:
        raise CannotMountError(
            f"to mount needs the library of FUSE: {error}", hint="install fuse3 (Debian, Fedora) or macFUSE"
        ) from error
    return mfusepy


def _mark_of(workspace: Workspace) -> str:
    """Return what tells the mounts of this repository from others."""
    return content_id(os.fsencode(os.path.realpath(workspace.common))).hex()[:16]


def _table() -> list[tuple[Mount, str]]:
    """Return the mounts of dsvc, each with the mark of its repository."""
    try:
        lines = _TABLE.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    found: list[tuple[Mount, str]] = []
    for line in lines:
        left, _, right = line.partition(" - ")
        kind, source = right.split(" ")[:2]
        if kind != f"fuse.{KIND}":
            continue
        place = left.split(" ")[4]
        for escape, character in _ESCAPES:
            place = place.replace(escape, character)
        _, _, rest = source.partition(":")
        tree, _, mark = rest.partition(":")
        found.append((Mount(Path(place), tree, stale=_is_stale(place)), mark))
    return found


def _is_stale(place: str) -> bool:
    try:
        os.stat(place)
    except OSError:  # ENOTCONN: nobody answers any more
        return True
    return False
