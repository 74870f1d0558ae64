"""Add, remove, rename and look at remotes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.remote_access import open_remote, settled, transfers
from dsvc.config.editing import KeyNotSetError, KeySetError, set_value, set_values, unset_value
from dsvc.config.keys import Value, join_key, split_key
from dsvc.config.settings import read_values
from dsvc.errors import RequestError
from dsvc.objects.ids import CommitId, Kind
from dsvc.refs.names import HEADS, REMOTES, SEEN, TAGS
from dsvc.refs.view import Direct, Symbolic
from dsvc.remotes.refspec import fetch_refspecs
from dsvc.remotes.settings import RemoteSettings, UnknownRemoteError, check_remote_name, read_remotes
from dsvc.workspace import Workspace

_KEPT = (REMOTES, SEEN)  # below each, and the remote's name, lies what it had when it was last seen


class RemoteExistsError(RequestError):
    """There is a remote of that name already."""


class RemoteState(NamedTuple):
    """What a remote holds: its branches and tags with their commits, and the packs and bytes stored there."""

    settings: RemoteSettings
    address: str
    default_branch: str | None
    branches: dict[str, CommitId]
    tags: tuple[str, ...]
    tracked: dict[str, str | None]
    stale: tuple[str, ...]
    packs: int
    size: int
    operations_by: str


def list_remotes(workspace: Workspace) -> list[RemoteSettings]:
    """Return the remotes in order of names."""
    return list(read_remotes(workspace.config).values())


def add_remote(
    workspace: Workspace, name: str, url: str, *, directory: Path, options: Mapping[str, Value] | None = None
) -> RemoteSettings:
    """Add a remote; a relative folder counts from `directory` and is kept as an absolute one. Nothing is connected to.

    `options` are further keys of its section, such as `encrypt`.

    Raises:
        BadRemoteNameError, BadAddressError. RemoteExistsError: when there is one of that name.
    """
    check_remote_name(name)
    taken = RemoteExistsError(f"there is already a remote {name}", hint=f"dsvc remote set-url {name} ADDRESS")
    if name in read_remotes(workspace.config):
        raise taken
    text = settled(url, directory)
    values = {_key(name, key): value for key, value in {"url": text, **(options or {})}.items()}
    try:
        set_values(_file(workspace), values, new=_key(name, "url"))
    except KeySetError as error:  # by another process, since this one read the settings
        raise taken from error
    return RemoteSettings(name, text, fetch=fetch_refspecs(name), options=options or {})


def set_url(workspace: Workspace, name: str, url: str, *, directory: Path, push: bool = False) -> RemoteSettings:
    """Give a remote another address; with `push` one that only pushes use."""
    _needed(workspace, name)
    text = settled(url, directory)
    set_value(_file(workspace), _key(name, "pushUrl" if push else "url"), value=text)
    return RemoteSettings(name, text)


def remove_remote(workspace: Workspace, name: str) -> int:
    """Remove a remote, what follows it here, and the upstream of branches that followed it; return how many refs went.

    The remote itself is not touched. Objects stay until gc.
    """
    _needed(workspace, name)
    transaction = workspace.repo.transaction()
    gone = [ref for prefix in _KEPT for ref, _ in workspace.view().items(f"{prefix}{name}/")]
    for ref in gone:
        transaction.delete(ref)
    if gone:
        workspace.publish(transaction, workspace.act("remote", f"remote: removed {name}"))
    _each_key(workspace, name, lambda path, key, _value: unset_value(path, key))
    shutil.rmtree(transfers(workspace, name), ignore_errors=True)
    for branch in _followers(workspace, name):
        for part in ("remote", "merge"):
            with contextlib.suppress(KeyNotSetError):
                unset_value(_file(workspace), join_key(("branch", branch, part)))
    return len(gone)


def rename_remote(workspace: Workspace, old: str, new: str) -> int:
    """Rename a remote, what follows it here and who follows it; return how many refs were renamed.

    Raises:
        RemoteExistsError: when there is one of the new name.
    """
    _needed(workspace, old)
    check_remote_name(new)
    if new in read_remotes(workspace.config):
        raise RemoteExistsError(f"there is already a remote {new}", hint="dsvc remote -v")
    transaction = workspace.repo.transaction()
    count = 0
    for name, ref in workspace.view().items(f"{SEEN}{old}/"):
        transaction.set(f"{SEEN}{new}/{name.removeprefix(f'{SEEN}{old}/')}", ref)
        transaction.delete(name)
    for name, ref in workspace.view().items(f"{REMOTES}{old}/"):
        renamed = f"{REMOTES}{new}/{name.removeprefix(f'{REMOTES}{old}/')}"
        if isinstance(ref, Symbolic) and ref.target.startswith(f"{REMOTES}{old}/"):
            ref = Symbolic(ref.target.replace(f"{REMOTES}{old}/", f"{REMOTES}{new}/", 1))  # noqa: PLW2901
        transaction.set(renamed, ref)
        transaction.delete(name)
        count += 1
    followers = _followers(workspace, old)

    def move(path: Path, key: str, value: object) -> None:
        if isinstance(value, tuple):
            value = tuple(str(v).replace(f"{REMOTES}{old}/", f"{REMOTES}{new}/") for v in value)
        elif isinstance(value, str) and split_key(key)[2] == "fetch":
            value = value.replace(f"{REMOTES}{old}/", f"{REMOTES}{new}/")
        set_value(path, _key(new, split_key(key)[2]), value=value)  # type: ignore[arg-type]
        unset_value(path, key)

    _each_key(workspace, old, move)
    if transfers(workspace, old).is_dir():
        shutil.rmtree(transfers(workspace, new), ignore_errors=True)
        os.replace(transfers(workspace, old), transfers(workspace, new))
    for branch in followers:
        set_value(_file(workspace), join_key(("branch", branch, "remote")), value=new)
    if transaction.changes:
        workspace.publish(transaction, workspace.act("remote", f"remote: renamed {old} to {new}"))
    return count


def show_remote(workspace: Workspace, settings: RemoteSettings) -> RemoteState:
    """Return what a remote holds; it is asked, and nothing is changed.

    Raises:
        RemoteError: when it cannot be reached.
    """
    from dsvc.remotes.refspec import mapped

    with open_remote(workspace, settings) as remote:
        view = remote.view()
        branches = {
            name.removeprefix(HEADS): CommitId(ref.id)
            for name, ref in view.items(HEADS)
            if isinstance(ref, Direct) and ref.kind == Kind.COMMIT
        }
        tracked: dict[str, str | None] = {}
        for name in branches:
            found = mapped(settings.fetch, HEADS + name)
            tracked[name] = found[0] if found is not None and workspace.view().get(found[0]) is not None else None
        live = {found[0] for name in branches if (found := mapped(settings.fetch, HEADS + name)) is not None}
        here = [n for n, r in workspace.view().items(f"{REMOTES}{settings.name}/") if isinstance(r, Direct)]
        default = remote.default_branch()
        return RemoteState(
            settings,
            remote.address,
            default.removeprefix(HEADS) if default else None,
            branches,
            tuple(name.removeprefix(TAGS) for name, _ in view.items(TAGS)),
            tracked,
            tuple(name for name in here if name not in live) if settings.name else (),
            len(remote.repo.head.packs.packs),
            sum(ref.size for ref in remote.repo.head.packs.packs),
            remote.repo.operation().user,
        )


def prune_remote(workspace: Workspace, settings: RemoteSettings, *, dry_run: bool = False) -> list[str]:
    """Drop what follows branches that are gone on the remote; return their full names."""
    stale = list(show_remote(workspace, settings).stale)
    if stale and not dry_run:
        transaction = workspace.repo.transaction()
        for name in stale:
            transaction.delete(name)
        workspace.publish(transaction, workspace.act("remote", f"remote: pruned {settings.shown}"))
    return stale


def _needed(workspace: Workspace, name: str) -> RemoteSettings:
    remotes = read_remotes(workspace.config)
    if name not in remotes:
        known = ", ".join(remotes)
        raise UnknownRemoteError(f"there is no remote {name!r}", hint=f"there are: {known}" if known else None)
    return remotes[name]


def _file(workspace: Workspace) -> Path:
    return workspace.common / "config.toml"


def _key(name: str, part: str) -> str:
    return join_key(("remote", name, part))


def _each_key(workspace: Workspace, name: str, act: Callable[[Path, str, object], None]) -> None:
    path = _file(workspace)
    for key, value in read_values(path).items() if path.is_file() else ():
        parts = split_key(key)
        if len(parts) == 3 and parts[:2] == ("remote", name):
            act(path, key, value)


def _followers(workspace: Workspace, remote: str) -> list[str]:
    found = []
    for key, value in workspace.config.section("branch").items():
        parts = split_key(f"branch.{key}")
        if len(parts) == 3 and parts[2] == "remote" and value == remote:
            found.append(parts[1])
    return found
