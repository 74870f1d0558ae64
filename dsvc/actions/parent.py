"""The remote `upstream`: what the remote of a clone was forked from."""

from __future__ import annotations

from dsvc.actions.remote_access import choose_remote, open_remote
from dsvc.config.editing import set_value
from dsvc.config.keys import join_key
from dsvc.errors import RequestError
from dsvc.remotes.address import parse_address, same_place
from dsvc.remotes.refspec import fetch_refspecs
from dsvc.remotes.settings import RemoteSettings, read_kinds, read_remotes
from dsvc.workspace import Workspace

UPSTREAM = "upstream"


def follow_parent(workspace: Workspace, settings: RemoteSettings, url: str) -> RemoteSettings:
    """Make the parent of a remote the remote `upstream`; of one place with it, it has the same options."""
    here, there = (parse_address(text, directory=workspace.root) for text in (settings.url, url))
    options = dict(settings.options) if same_place(here, there) else {}
    path = workspace.common / "config.toml"
    for key, value in {"url": url, **options}.items():
        set_value(path, join_key(("remote", UPSTREAM, key)), value=value)
    return RemoteSettings(UPSTREAM, url, fetch=fetch_refspecs(UPSTREAM), options=options, by_kind=settings.by_kind)


def find_parent(workspace: Workspace) -> RemoteSettings:
    """Return the remote `upstream`; where there is none, make it what the current branch's remote was forked from.

    Of a fork on this machine it is the repository that was forked.

    Raises:
        RequestError: when nothing is recorded. RemoteError: when the remote cannot be reached.
    """
    found = read_remotes(workspace.config).get(UPSTREAM)
    if found is not None:
        return found
    here = workspace.config.get_str("fork.parent")
    if here:
        return follow_parent(workspace, RemoteSettings(None, here, by_kind=read_kinds(workspace.config)), here)
    settings = choose_remote(workspace, None)
    with open_remote(workspace, settings) as remote:
        url = remote.parent()
    if url is None:
        raise RequestError(
            f"{settings.shown} is no fork, and no remote is called {UPSTREAM}",
            hint=f"dsvc remote add {UPSTREAM} ADDRESS",
        )
    return follow_parent(workspace, settings, url)
