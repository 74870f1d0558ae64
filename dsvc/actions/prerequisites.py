"""The commits that a bundle builds on must be here before something is taken from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsvc.errors import RequestError
from dsvc.objects.ids import Kind
from dsvc.remotes.bundle_file import Prerequisite, prerequisites_of
from dsvc.storage.backend import Backend
from dsvc.workspace import Workspace

_NAMED = 5


class MissingPrerequisitesError(RequestError):
    """A bundle builds on commits that are not here."""

    def __init__(self, name: str, missing: Sequence[Prerequisite]) -> None:
        named = ", ".join(f"{p.id.hex()[:10]}{f' ({p.subject})' if p.subject else ''}" for p in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        super().__init__(
            f"{name} builds on commits that are not here: {named}{more}",
            hint="take the bundle before it first, or let one be made that leaves nothing out",
            details={"commits": [p.id.hex() for p in missing]},
        )


def missing_prerequisites(workspace: Workspace, wanted: Iterable[Prerequisite]) -> list[Prerequisite]:
    """Return those commits that are not here."""
    return [p for p in wanted if not workspace.repo.store.has(p.id, Kind.COMMIT)]


def require_prerequisites(workspace: Workspace, place: Backend, *, name: str) -> None:
    """Refuse to take from a place that builds on what is not here; only a bundle does.

    Raises:
        MissingPrerequisitesError: naming the commits.
    """
    missing = missing_prerequisites(workspace, prerequisites_of(place))
    if missing:
        raise MissingPrerequisitesError(name, missing)
