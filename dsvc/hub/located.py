"""Where the packs of a hub's repository lie: in its own folder, or as those of a fork in that of its family."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsvc.errors import IntegrityError, NotARepositoryError
from dsvc.hub.names import is_repository, repository_folder, repository_names
from dsvc.refs.log import CELL as HEAD
from dsvc.refs.log import DELETED
from dsvc.repo.family import find_member
from dsvc.repo.format import read_format
from dsvc.repo.member import FIRST, HERE, MemberBackend, member_of
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend


@dataclass(frozen=True, slots=True)
class Located:
    """A repository: its own folder, that of the pool (often the same), and which member of the pool it is."""

    name: str
    folder: Path
    pool: Path
    member: str

    def seen(self, pool: Backend) -> Backend:
        """Return what the repository sees of its pool, which `pool` opens."""
        return member_of(pool, self.member)

    def path(self, key: str) -> Path:
        """Return the file of a blob."""
        seen = self.seen(LocalBackend(self.pool))
        return self.pool / (seen.key(key) if isinstance(seen, MemberBackend) else key)


def locate(repos: Path, name: str) -> Located:
    """Return where a repository is.

    Raises:
        BadRepositoryNameError: for a name that leads elsewhere. NotARepositoryError: when there is none of that name:
            it was never made, is being made, or was deleted.
    """
    folder = repository_folder(repos, name)
    if not is_repository(folder):
        raise NotARepositoryError(f"there is no repository {name}", hint="dsvc hub repos DIR")
    with contextlib.closing(LocalBackend(folder)) as backend:
        record = read_format(backend)
        if record is None or record.pointer is None:
            if backend.read_cell(HEAD) != DELETED:
                return Located(name, folder, folder, FIRST)
            return Located(name, folder, folder, find_member(backend, HERE))  # of a later one of that name
    pool = Path(os.path.normpath(folder / record.pointer.pool))
    root = os.path.realpath(repos)
    if os.path.realpath(pool) != str(pool) or pool == Path(root) or not pool.is_relative_to(root):
        raise IntegrityError(f"the fork {name} has its packs outside of the hub", hint="restore its cell 'format'")
    with contextlib.closing(LocalBackend(pool)) as backend:
        return Located(name, folder, pool, find_member(backend, record.pointer.name))


def name_of(repos: Path, pool: Path, place: str) -> str:
    """Return the name of the repository that the family of the pool in `pool` has at a place."""
    return os.path.relpath(os.path.normpath(pool / place), os.path.realpath(repos))


def located_repositories(repos: Path) -> Iterator[Located]:
    """Yield where the repositories of a hub are, in order of names."""
    for name in repository_names(repos):
        with contextlib.suppress(NotARepositoryError):
            yield locate(repos, name)


@contextlib.contextmanager
def opened(located: Located) -> Iterator[Repository]:
    """Open a repository of the hub, and close it at the end.

    Raises:
        NotARepositoryError, IntegrityError: when that cannot be done.
    """
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        yield Repository.open(located.seen(pool), pool.staging, far=True)
