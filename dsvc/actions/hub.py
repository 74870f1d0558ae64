"""Serve a folder to one near end, which sits at the other end of a stream."""

from __future__ import annotations

import os
from pathlib import Path

from dsvc.errors import RequestError
from dsvc.remotes.wire.errors import RemoteAbsentError, RemoteDeniedError
from dsvc.remotes.wire.frames import Stream
from dsvc.remotes.wire.server import serve
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend

_OWN = {"cells", "packs", "lists", "tmp"}


def serve_folder(path: Path, stream: Stream, *, now: int, below: Path | None = None, read_only: bool = False) -> None:
    """Answer the requests of one near end for the repository at `path` until it leaves.

    `path` is a folder of packs and cells, or a working copy with one. Only a folder in `below`, where that is given,
    is served. What earlier uploads left in the temporary folder goes when it is old (`now` is in microseconds).

    Raises:
        RemoteError: the near end, which is told too, asks for what is not there or breaks the rules.
    """

    def open_backend(create: bool) -> tuple[Backend, Path]:  # noqa: FBT001
        folder = find_store(path, below=below, create=create)
        backend = LocalBackend(folder)
        if read_only:
            return backend, folder
        if os.listdir(backend.staging()):
            from dsvc.repo.leftovers import remove_stale_files, temporary_folders

            remove_stale_files(temporary_folders(backend), now=now, at_once=False, dry_run=False)
        return backend, backend.staging()

    serve(open_backend, stream, read_only=read_only)


def find_store(path: Path, *, below: Path | None = None, create: bool = False) -> Path:
    """Return the folder of packs and cells that `path` stands for; `create` makes it and the folders above it.

    Raises:
        RemoteAbsentError: where there is none. RemoteDeniedError: for one outside `below`.
    """
    folder = Path(os.path.realpath(path))
    if below is not None and not folder.is_relative_to(os.path.realpath(below)):
        raise RemoteDeniedError(f"{path} lies outside the folder that is served", hint="check the remote's address")
    if (folder / ".dsvc").is_dir():
        from dsvc.workspace import PRIVATE, common_folder, store_folder

        store = Path(os.path.realpath(store_folder(common_folder(folder / PRIVATE))))
        if below is not None and not store.is_relative_to(os.path.realpath(below)):
            raise RemoteDeniedError(f"{path} keeps its objects outside the folder that is served")
        return store
    if not folder.exists():
        if not create:
            raise RemoteAbsentError(f"there is no folder {path}", hint="check the remote's address")
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise RemoteAbsentError(f"{path} is no folder", hint="check the remote's address")
    names = set(os.listdir(folder))
    if names and not names & _OWN:
        raise RemoteAbsentError(f"{path} holds other things than a repository", hint="choose an empty or new folder")
    return folder


def far_path(text: str, *, home: Path | None, below: Path | None) -> Path:
    """Return the path that a near end means: `~/...` counts from the home folder, a relative one from `below`.

    Raises:
        RequestError: for another user's home.
    """
    if text == "~" or text.startswith("~/"):
        if home is None:
            raise RequestError("there is no home folder here", hint="write the whole path")
        return home / text[2:]
    if text.startswith("~"):
        raise RequestError(f"{text}: only '~/' stands for a home folder", hint="write the whole path")
    return Path(text) if below is None else below / text
