"""Commands that tend a repository also in a folder that has no working copy, as a hub's have none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dsvc.commands.context import Context
from dsvc.repo.repository import Repository


@contextmanager
def repository_here(context: Context) -> Iterator[Repository | None]:
    """Open the repository of which the current folder is the place; None where it is none, and is a working copy's."""
    from dsvc.actions.places import Opener, is_bare, opened_place

    if not is_bare(context.directory):
        yield None
        return
    opener = Opener(context.config(), context.surroundings(), context.directory, context.directory / "tmp")
    with opened_place(opener, opener.settings(".")) as there:
        yield there.repo
