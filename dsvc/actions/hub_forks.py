"""Who forked a repository, and deleting one of a hub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.places import Opener, opened_place
from dsvc.config.settings import Config
from dsvc.errors import NotARepositoryError, RequestError
from dsvc.hub.deleting import Deleted, delete_repository
from dsvc.hub.folder import Hub, open_hub
from dsvc.hub.forks import family_of
from dsvc.hub.located import Located, locate
from dsvc.hub.names import repository_name
from dsvc.objects.packlist import PackRef
from dsvc.refs.log import read_head
from dsvc.remotes.address import SshAddress, beside
from dsvc.remotes.wire.forks import Forker
from dsvc.repo.family import Family, read_family
from dsvc.repo.member import member_of
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend
from dsvc.workspace import Surroundings


@dataclass(frozen=True, slots=True)
class ForkListed:
    """A repository of a family: its name or address, its parent's, and the bytes that it lists and lists alone.

    The numbers are None where the place does not say. `orphaned`: its parent was deleted.
    """

    name: str
    parent: str | None
    orphaned: bool = False
    size: int | None = None
    own: int | None = None


@dataclass(frozen=True, slots=True)
class ForksListed:
    """A family, of which `asked` is the one whose family it is; `size` are the bytes of its pool (None: unknown)."""

    asked: str
    repositories: tuple[ForkListed, ...]
    size: int | None = None


def hub_forks(path: Path, repository: str) -> ForksListed:
    """Return who shares packs with a repository of a hub, by name; itself among them.

    Raises:
        RequestError: when there is no such repository.
    """
    hub = open_hub(path)
    located = _located(hub, path, repository)
    family = family_of(hub, located)
    with closing(LocalBackend(located.pool)) as pool:
        lists = {one.name: _packs(pool, one.member) for one in family}
    rows = [
        ForkListed(one.name, one.parent, one.orphaned, *_sizes(lists, one.name)) for one in family
    ]
    return ForksListed(located.name, tuple(rows), _size(lists.values()))


def place_forks(text: str, *, config: Config, surroundings: Surroundings, directory: Path) -> ForksListed:
    """Return who shares packs with the repository at an address; on a hub, as far as the account may know of it.

    Raises:
        PlaceMissingError: when there is none. RemoteError: when it cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="dsvc-forks-") as staging:
        opener = Opener(config, surroundings, directory, Path(staging))
        with opened_place(opener, opener.settings(text)) as there:
            backend = there.place.backend
            if isinstance(backend, Forker) and there.place.publisher() is not None:
                assert isinstance(there.address, SshAddress)
                rows = [ForkListed(one.name, one.parent) for one in backend.forks()]
                return ForksListed(there.address.path.strip("/"), tuple(rows))
            family = read_family(backend) or Family()
            ready = {member.id: member for member in family.members.values() if member.ready}
            names = {i: str(beside(there.at, member.place)) for i, member in ready.items()}
            lists = {names[i]: _packs(backend, i) for i in ready}
            listed = [
                ForkListed(
                    names[i],
                    names.get(member.parent) if member.parent is not None else None,
                    member.parent is not None and member.parent not in ready,
                    *_sizes(lists, names[i]),
                )
                for i, member in ready.items()
            ]
            listed.sort(key=lambda one: one.name)
            return ForksListed(names[there.member], tuple(listed), _size(lists.values()))


def delete_from_hub(path: Path, repository: str, *, time: int, zone: int) -> Deleted:
    """Delete a repository of a hub; see `delete_repository`.

    Raises:
        RequestError: when there is no such repository.
    """
    hub = open_hub(path)
    return delete_repository(hub, _located(hub, path, repository), time=time, zone=zone)


def _located(hub: Hub, path: Path, repository: str) -> Located:
    name = repository_name(repository)
    try:
        return locate(hub.repos, name)
    except NotARepositoryError as error:
        raise RequestError(f"this hub has no repository {name}", hint=f"dsvc hub repos {path}") from error


def _packs(pool: Backend, member: str) -> dict[bytes, PackRef]:
    head = read_head(member_of(pool, member))
    return {ref.id: ref for ref in head.packs.packs} if head is not None else {}


def _sizes(lists: dict[str, dict[bytes, PackRef]], name: str) -> tuple[int, int]:
    """Return the bytes that one of a family lists, and those that it alone lists."""
    others = {pack_id for other, packs in lists.items() if other != name for pack_id in packs}
    mine = lists[name]
    return sum(ref.size for ref in mine.values()), sum(ref.size for i, ref in mine.items() if i not in others)


def _size(lists: Iterable[dict[bytes, PackRef]]) -> int:
    return sum(ref.size for ref in {i: ref for packs in lists for i, ref in packs.items()}.values())


