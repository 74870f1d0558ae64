"""Delete a fork by its address."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.places import Opener, OpenPlace, opened_place
from dsvc.config.settings import Config
from dsvc.errors import RemoteError, RequestError
from dsvc.remotes.wire.forks import Unforker
from dsvc.repo.departure import end_head, leave_family
from dsvc.repo.member import FIRST, FORKS
from dsvc.workspace import Surroundings


@dataclass(frozen=True, slots=True)
class ForkDeleted:
    """The address of what was deleted, and how many repositories go on using the packs that it shared with them."""

    address: str
    shared_with: int


def delete_fork(text: str, *, config: Config, surroundings: Surroundings, directory: Path) -> ForkDeleted:
    """Delete the fork at an address, or of a remote of that name, with the history that only it has.

    What it was forked from, and forks of it, keep all that they have. Whoever has it open is told when they publish.
    Packs that nobody else lists go with the next gc of one of the others. The place itself goes on saying that it was
    deleted, so that no push makes a new repository there without anybody noticing.

    Raises:
        RequestError: when it is no fork that shares packs. PlaceMissingError: when there is none, or it was deleted.
            RemoteDeniedError: when the account of a hub may not. BusyError: when others publish again and again.
    """
    with tempfile.TemporaryDirectory(prefix="dsvc-fork-") as staging:
        opener = Opener(config, surroundings, directory, Path(staging))
        settings = opener.settings(text)
        with opened_place(opener, settings) as there:
            shown = str(there.address)
            if there.place.publisher() is not None:
                return ForkDeleted(shown, _by_hub(there))
            if there.inside or there.member == FIRST:
                raise RequestError(
                    f"{shown} is no fork that shares another one's packs, so nothing was deleted",
                    hint="'dsvc hub forks' says who uses its packs; when nobody does, remove the folder or prefix",
                )
            pool = there.place.backend
            packs = end_head(there.repo.backend, name=shown)
            others = leave_family(pool, there.member, packs)
            for key, _ in list(pool.list(f"{FORKS}{there.member}/")):
                pool.delete(key)
            return ForkDeleted(shown, others)


def _by_hub(there: OpenPlace) -> int:
    """Let the hub delete the fork, if it agrees."""
    backend = there.place.backend
    if not isinstance(backend, Unforker):
        raise RemoteError(f"the hub at {there.address} deletes no forks", hint="its dsvc is too old: ask who runs it")
    return backend.unfork()
