"""List what a remote has, without fetching it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from dsvc.actions.init import init_repository
from dsvc.actions.remote_access import OpenRemote, open_remote, settled, steadily
from dsvc.config.settings import Config
from dsvc.objects.ids import Kind, ObjectId
from dsvc.refs.names import HEADS, SHARED, TAGS
from dsvc.refs.view import Direct
from dsvc.remotes.settings import RemoteSettings, read_kinds
from dsvc.workspace import Surroundings, Workspace


@dataclass(frozen=True, slots=True)
class RemoteRef:
    """A ref of a remote: its full name, or HEAD, and what it points to; `symbolic` is the branch HEAD stands for."""

    name: str
    kind: Kind
    id: ObjectId
    symbolic: str | None = None


def ls_remote(
    workspace: Workspace,
    settings: RemoteSettings,
    patterns: Sequence[str] = (),
    *,
    branches: bool = False,
    tags: bool = False,
) -> list[RemoteRef]:
    """Return a remote's HEAD and shared refs in order of names; of these its `branches` or `tags` alone, or both.

    A pattern is a name, or the end of one behind a slash, with the wildcards of file names.

    Raises:
        RemoteError: when it cannot be reached.
    """
    prefixes = [prefix for prefix, wanted in ((HEADS, branches), (TAGS, tags)) if wanted]
    with open_remote(workspace, settings) as remote:
        found = steadily(workspace, remote, lambda: _refs(remote, prefixes))
    return [ref for ref in found if not patterns or any(_matches(ref.name, pattern) for pattern in patterns)]


def ls_remote_at(
    address: str,
    patterns: Sequence[str] = (),
    *,
    config: Config,
    surroundings: Surroundings,
    directory: Path,
    branches: bool = False,
    tags: bool = False,
) -> tuple[RemoteSettings, list[RemoteRef]]:
    """Do what `ls_remote` does where there is no repository here; relative addresses are from `directory`.

    Raises:
        RemoteError: when it cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="dsvc-ls-remote-") as folder:
        init_repository(Path(folder), surroundings=surroundings)
        workspace = Workspace.open(Path(folder), config=config, surroundings=surroundings)
        try:
            settings = RemoteSettings(None, settled(address, directory), by_kind=read_kinds(config))
            return settings, ls_remote(workspace, settings, patterns, branches=branches, tags=tags)
        finally:
            workspace.close()


def _refs(remote: OpenRemote, prefixes: Sequence[str]) -> list[RemoteRef]:
    view, found = remote.view(), []
    default = remote.default_branch()
    head = view.resolve(default)[1] if default is not None and not prefixes else None
    if head is not None:
        found.append(RemoteRef("HEAD", head.kind, head.id, default))
    for prefix in prefixes or SHARED:
        found += [RemoteRef(name, r.kind, r.id) for name, r in view.items(prefix) if isinstance(r, Direct)]
    return found


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.removeprefix("refs/")) or fnmatchcase(name, f"*/{pattern}")
