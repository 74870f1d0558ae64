"""Commits that were left out on purpose: the ref `cut/commits` names them, and whoever walks through history stops.

It belongs to one repository alone. A fetch adds to it what it leaves out and takes from it what it brings; no undo
changes it, since what is absent does not come back by that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import cast

from dsvc.errors import DsvcError, RequestError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, CommitId, Kind, ObjectId
from dsvc.objects.store import ObjectStore
from dsvc.objects.values import Commit
from dsvc.refs.names import CUT
from dsvc.refs.view import Direct, View

DEEPEN = "'dsvc fetch --deepen N' brings N more commits, 'dsvc fetch --unshallow' all of them"


class CutError(RequestError):
    """A commit is needed that was left out of this shallow clone."""

    def __init__(self, commit_id: bytes) -> None:
        super().__init__(
            f"commit {commit_id.hex()} was left out of this clone, which is shallow",
            hint=DEEPEN,
            details={"id": commit_id.hex()},
        )


def read_cut(store: ObjectStore, view: View) -> frozenset[CommitId]:
    """Return the commits that are absent on purpose.

    Raises:
        IntegrityError: when the note on them cannot be read.
    """
    ref = view.get(CUT)
    return frozenset() if not isinstance(ref, Direct) else decode_cut(store.get(ref.id, Kind.STATE))


def decode_cut(payload: bytes) -> frozenset[CommitId]:
    """Return what a note says; nothing for a state of another sort.

    Raises:
        BadEncodingError: when it is not of its form.
    """
    fields = codec.decode(payload)
    if not isinstance(fields, dict) or fields.get("what") != "cut":
        return frozenset()
    commits = fields.get("commits")
    if not isinstance(commits, tuple) or not all(isinstance(i, bytes) and len(i) == ID_LENGTH for i in commits):
        raise BadEncodingError("the note on commits that were left out is not of its form")
    return frozenset(CommitId(ObjectId(i)) for i in cast("tuple[bytes, ...]", commits))


def put_cut(store: ObjectStore, commits: Collection[CommitId]) -> Direct | None:
    """Store a note on these commits and return the value of the ref; None where there is none to note."""
    if not commits:
        return None
    payload = codec.encode({"what": "cut", "commits": sorted(commits)})
    return Direct(Kind.STATE, store.put(Kind.STATE, payload))


def without_parents(commit: Commit, cut: Collection[CommitId]) -> Commit:
    """Return a commit without those of its parents that are cut."""
    if any(parent in cut for parent in commit.parents):
        return replace(commit, parents=tuple(parent for parent in commit.parents if parent not in cut))
    return commit


def left_out(store: ObjectStore, view: View) -> frozenset[bytes]:
    """Return the commits behind which nothing is looked for: those that are cut and that no ref names either."""
    cut = read_cut(store, view)
    return frozenset(cut - {ref.id for _, ref in view.tips()}) if cut else frozenset()


def explain_cut(cut: Collection[bytes], missing: bytes) -> DsvcError | None:
    """Return what to raise for an object that is not there, if it was left out on purpose."""
    return CutError(missing) if missing in cut else None
