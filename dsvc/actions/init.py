"""Make a repository in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dsvc.errors import RequestError
from dsvc.progress import Progress
from dsvc.refs.names import HEADS, check_short_name, head_of
from dsvc.refs.transaction import Act
from dsvc.refs.view import Ref, Symbolic
from dsvc.repo.format import PARTED, lost_record, raise_format, read_format, write_format
from dsvc.repo.repository import Repository
from dsvc.storage.cloning import can_clone
from dsvc.storage.local import LocalBackend
from dsvc.workspace import MAIN, PRIVATE, Surroundings, common_folder, store_folder
from dsvc.worktree.default_ignore import DEFAULT_IGNORE
from dsvc.worktree.places import make_private, make_root


class InitResult(NamedTuple):
    """The private folder that was made, the first branch, and whether a repository was there already.

    `whole_files` says whether the repository may keep large files whole.
    """

    private: Path
    branch: str
    existed: bool
    wrote_ignore: bool
    whole_files: bool = False


def init_repository(
    folder: Path,
    *,
    branch: str = MAIN,
    surroundings: Surroundings,
    whole_files: bool = False,
    progress: Progress | None = None,
) -> InitResult:
    """Make a repository in `folder`, which is made too where it is missing; safe to call again.

    A new one on a disk that clones files may keep large files whole; `whole_files` lets any, also one that exists:
    versions of dsvc that do not know how refuse it from then on.

    Writes a default `.dsvcignore` where there is none, and a record of the format where that is lost.

    Raises:
        BadRefNameError: for a branch that may not be named so. RequestError: where the folder cannot be used.
    """
    del progress
    name = check_short_name(branch, HEADS)
    private = folder / PRIVATE
    make_root(folder)
    if private.exists() and not private.is_dir():
        raise RequestError(f"{private} is in the way: it is not a folder")
    store = store_folder(common_folder(private))
    existed = (store / "cells" / "head").is_dir()
    store.mkdir(parents=True, exist_ok=True)
    make_private(private, "worktree", "cache")
    backend = LocalBackend(store)
    parted = whole_files or (not existed and can_clone(store))
    if not existed:
        now = surroundings.now()
        offset = now.utcoffset()
        act = Act(
            verb="init",
            description=f"init {name.removeprefix(HEADS)}",
            user=surroundings.user,
            host=_host(),
            worktree=MAIN,
            time=int(now.timestamp() * 1_000_000),
            zone=int(offset.total_seconds()) // 60 if offset is not None else 0,
            command=surroundings.command,
        )
        refs: dict[str, Ref] = {head_of(MAIN): Symbolic(name)}
        Repository.create(backend, backend.staging, act=act, refs=refs, parted=parted).close()
    else:
        if read_format(backend) is None:
            write_format(backend, lost_record(parted=any(path.is_dir() for path in (store / "packs").glob("*"))))
        if parted:
            raise_format(backend, PARTED, reading=True)
    record = read_format(backend)
    ignore = folder / ".dsvcignore"
    wrote = not existed and not ignore.exists()
    if wrote:
        ignore.write_text(DEFAULT_IGNORE, encoding="utf-8")
    return InitResult(private, name.removeprefix(HEADS), existed, wrote, record is not None and PARTED in record.write)


def _host() -> str:
    import socket

    return socket.gethostname()
