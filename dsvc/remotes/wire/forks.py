"""What a near end asks of a hub beside pushes: to fork what it looks at, and who else did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from dsvc.remotes.wire.frames import ProtocolError, field

FEATURE = "fork"
DELETING = "unfork"


class HubFork(NamedTuple):
    """A fork that a hub made: its name there, and the packs that it has from its parent."""

    name: str
    packs: int
    size: int


class Relative(NamedTuple):
    """A repository of a family: its name, and that of its parent (None: it has none, or not for who asks)."""

    name: str
    parent: str | None


@runtime_checkable
class Forker(Protocol):
    """A place that makes forks itself, when it is asked to and agrees."""

    def fork(self, target: str) -> HubFork:
        """Make the repository `target` there a fork of this one.

        Raises:
            RemoteDeniedError: when the account may not. RemoteError: when there is one already.
        """

    def forks(self) -> Sequence[Relative]:
        """Return the family of this repository, as far as the account may know of it; this one is among them."""


@runtime_checkable
class Unforker(Protocol):
    """A place that deletes a fork itself, when it is asked to and agrees."""

    def unfork(self) -> int:
        """Delete this repository, which is a fork; return how many others go on using the packs that it shared.

        Raises:
            RemoteDeniedError: when it is no fork, or the account may not.
        """


def encode_fork(fork: HubFork) -> dict[str, Any]:
    """Return the fields of the answer to `fork`."""
    return {"name": fork.name, "packs": fork.packs, "size": fork.size}


def decode_fork(fields: dict[str, Any]) -> HubFork:
    """Return what the answer to `fork` says."""
    return HubFork(field(fields, "name", str), field(fields, "packs", int), field(fields, "size", int))


def encode_relatives(relatives: Sequence[Relative]) -> dict[str, Any]:
    """Return the fields of the answer to `forks`."""
    return {"family": [[one.name, one.parent] for one in relatives]}


def decode_relatives(fields: dict[str, Any]) -> list[Relative]:
    """Return what the answer to `forks` says.

    Raises:
        ProtocolError: when it is not of its form.
    """
    found = []
    for row in field(fields, "family", list):
        match row:
            case [str(name), str() | None as parent]:
                found.append(Relative(name, parent))
            case _:
                raise ProtocolError("the other end sends a family that cannot be read")
    return found
