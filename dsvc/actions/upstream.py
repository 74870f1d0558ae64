"""Which branch of a remote a branch follows: `branch.NAME.remote` and `branch.NAME.merge` in the configuration."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from dsvc.config.editing import KeyNotSetError, set_values, unset_value
from dsvc.config.keys import join_key
from dsvc.config.settings import Config
from dsvc.errors import RequestError
from dsvc.history.revisionnames import find_ref
from dsvc.refs.names import HEADS, REMOTES
from dsvc.remotes.refspec import Refspec, mapped
from dsvc.remotes.settings import read_remotes
from dsvc.workspace import Workspace


class Upstream(NamedTuple):
    """The remote's name, the branch there by its full name, and the ref that follows it here (None: nothing does)."""

    remote: str
    branch: str
    tracking: str | None


def read_upstream(workspace: Workspace, branch: str) -> Upstream | None:
    """Return what a branch (full name) follows, or None."""
    return upstream_of(workspace.config, branch)


def upstream_of(config: Config, branch: str) -> Upstream | None:
    """Return what a branch (full name) follows by this configuration, or None."""
    short = branch.removeprefix(HEADS)
    remote = config.get_str(join_key(("branch", short, "remote")))
    merge = config.get_str(join_key(("branch", short, "merge")))
    if not remote or not merge:
        return None
    full = merge.removeprefix("refs/")
    full = full if full.startswith(HEADS) else HEADS + full
    settings = read_remotes(config).get(remote)
    found = mapped(settings.fetch, full) if settings is not None else None
    tracking = found[0] if found is not None and found[0].startswith(REMOTES) else None
    return Upstream(remote, full, tracking)


def set_upstream(workspace: Workspace, branch: str, *, remote: str, branch_there: str = "") -> None:
    """Let a branch (full name) follow a branch of a remote; written into the repository's configuration."""
    short = branch.removeprefix(HEADS)
    path = workspace.common / "config.toml"
    there = (branch_there or branch).removeprefix(HEADS)
    # in one change: of two pushes that set it at once, one must not leave its remote with the other's branch
    set_values(path, {join_key(("branch", short, "remote")): remote, join_key(("branch", short, "merge")): there})


def tracked_by(config: Config, name: str) -> tuple[str, str] | None:
    """Return (remote, full name of the branch there) that a ref under `remotes/` follows, or None."""
    for remote, settings in read_remotes(config).items():
        for spec in settings.fetch:
            there = Refspec(spec.target, spec.source).maps(name)
            if there is not None and there.startswith(HEADS):
                return remote, there
    return None


def unset_upstream(workspace: Workspace, branch: str) -> bool:
    """Let a branch (full name) follow nothing; return whether it did."""
    path = workspace.common / "config.toml"
    removed = False
    for key in ("remote", "merge"):
        with contextlib.suppress(KeyNotSetError):
            unset_value(path, join_key(("branch", branch.removeprefix(HEADS), key)))
            removed = True
    return removed


def change_upstream(workspace: Workspace, name: str | None, upstream: str | None) -> tuple[str, str | None]:
    """Let a branch (None: the current one) follow `REMOTE/BRANCH`, or nothing; return both.

    Raises:
        RequestError: when there is no such branch here or there.
    """
    branch = f"{HEADS}{name}" if name is not None else workspace.head().branch
    if branch is None or workspace.view().get(branch) is None:
        raise RequestError(f"there is no branch {name or 'HEAD stands on'}", hint="dsvc branch")
    if upstream is None:
        unset_upstream(workspace, branch)
        return branch, None
    ref = find_ref(workspace.view(), upstream, workspace.worktree_id)
    found = tracked_by(workspace.config, ref) if ref is not None else None
    if found is None:
        raise RequestError(f"{upstream} is no branch of a remote", hint="dsvc branch -r lists them; dsvc fetch")
    set_upstream(workspace, branch, remote=found[0], branch_there=found[1])
    return branch, f"{found[0]}/{found[1].removeprefix(HEADS)}"
