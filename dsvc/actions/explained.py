"""The runs that a new commit names, and the correction that stands for what no run explains, however it is made."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from dsvc.errors import DsvcError
from dsvc.objects.ids import CommitId, Kind, ObjectId, RunId, TreeId
from dsvc.refs.names import RUNS
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.actions.corrections import Correction


class Explained(NamedTuple):
    """The runs that wrote what a commit brings, the correction among them if there is one."""

    runs: tuple[RunId, ...] = ()
    correction: Correction | None = None


def explained(workspace: Workspace, tree: TreeId, parents: Sequence[CommitId], message: str) -> Explained:
    """Return the recorded runs that wrote what differs from all of the parents, and a correction for the rest.

    Only what a run should explain is corrected. The correction is stored, and `keep_correction` gives it its ref. None
    where runs cannot be looked up: a commit does not fail for that.
    """
    if next(workspace.view().items(RUNS), None) is None and not workspace.config.get_list("provenance.outputs"):
        return Explained()
    from dsvc.actions.corrections import put_correction
    from dsvc.actions.run_claims import claims

    with suppress(DsvcError, OSError):
        found = claims(workspace, tree, parents)
        if not found.unclaimed:
            return Explained(found.runs)
        subject = message.partition("\n")[0]
        correction = put_correction(workspace, found.unclaimed, parents=parents, description=subject)
        return Explained((*found.runs, correction.run_id), correction)
    return Explained()


def keep_correction(transaction: Transaction, correction: Correction | None) -> None:
    """Give a correction its ref, in the operation that moves to its commit."""
    if correction is not None:
        transaction.set(f"{RUNS}{correction.key.hex()}", Direct(Kind.RUN, ObjectId(correction.run_id)))


def correction_note(correction: Correction) -> str:
    """Return what people are told of a correction."""
    from dsvc.runs.names import short_key

    count = len(correction.paths)
    files = "1 file" if count == 1 else f"{count:,} files"
    return f"no run explains {files} that runs write: recorded as the correction {short_key(correction.key)}"
