"""What every place to which models are deployed can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Literal, Protocol

from dsvc.deployments.deployment import Deployment
from dsvc.errors import BusyError, RemoteError, RequestError

State = Literal["ready", "waiting", "failed", "gone", "written", "changed"]


class NeverReadyError(RemoteError):
    """A deployment that was not ready in the time that it was given."""


class PlaceError(RemoteError):
    """A container engine or a cluster refused, failed or could not be reached."""


class InTheWayError(RequestError):
    """Something stands where a deployment would be, and it is another's."""


class BroughtAtOnceError(BusyError):
    """Another process brought a deployment of the same name to the same place at the same time."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"another process is bringing {name} to this place at the same time; what this one began was taken back",
            hint="run the same command again when it is done; --name NAME gives a deployment of its own",
            details={"name": name},
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """What was written or changed at a place, what was removed, and the command that comes next, or what stays."""

    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How a deployment is: a word, how many replicas are ready of how many, addresses, and sentences about it.

    `digest` is the digest of the image that runs, by the place's own word; empty where it cannot tell, or several run.
    """

    state: State
    ready: int = 0
    wanted: int = 0
    addresses: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """What is brought to a place: its files, and the image.

    `config` is the digest of the image's config, which engines call its id. `archive` writes the image as an archive
    that engines load, `unpack` its files into a folder.
    """

    files: Mapping[str, str]
    config: str
    archive: Callable[[IO[bytes]], None]
    unpack: Callable[[str], None]


class Place(Protocol):
    """A place. Each call may be repeated; what is there already as it should be is left alone."""

    @property
    def starts(self) -> bool:
        """Whether it runs what is brought to it, so that one can wait for it."""

    def apply(self, made: Deployment, package: Package, before: Deployment | None) -> Applied:
        """Bring a deployment there; `before` is what stood there under its name.

        Raises:
            PlaceError. InTheWayError. RequestError: when something cannot be written. BroughtAtOnceError.
        """

    def status(self, made: Deployment) -> Status:
        """Return how a deployment is now; raises PlaceError."""

    def logs(self, made: Deployment, lines: int) -> Iterator[str]:
        """Yield the last lines that its servers wrote; raises PlaceError."""

    def logs_elsewhere(self, made: Deployment) -> str:
        """Return the command that shows them where only others know them, else an empty text."""

    def metrics(self, made: Deployment) -> Iterator[str]:
        """Yield what each of its servers says at /metrics; raises PlaceError, RequestError where nobody can ask."""

    def remove(self, made: Deployment) -> Applied:
        """Take it away; raises PlaceError."""
