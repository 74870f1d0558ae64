"""Whose word there is for the files of a model: a signed commit that holds them, or a signed tag of the run that did.

A run is signed by a tag: the record of a run has its bytes, and its id, from the moment it ended. What is signed is the
tag, which names the record by its id, and the record names every file that the run wrote by its content.
"""

from __future__ import annotations

import os

from dsvc.actions.model import FoundVersion
from dsvc.actions.model_get import model_files
from dsvc.actions.verify import Verifier
from dsvc.errors import IntegrityError
from dsvc.models.version import ModelVersion
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, TagId
from dsvc.objects.tree import EntryKind
from dsvc.objects.values import Tag
from dsvc.refs.names import TAGS
from dsvc.refs.view import Direct
from dsvc.runs.pins import PinState, read_pins
from dsvc.runs.record import Run, decode_run
from dsvc.serving.loading import code_in
from dsvc.workspace import Workspace


def trust_in(workspace: Workspace, found: FoundVersion) -> dict[str, str | None] | None:
    """Return who vouches for exactly these files, None where nobody does whom `sign.allowedSigners` names.

    `commit` is that of the version or the one that is checked out; else there are `run` and `tag`.

    Raises:
        SigningProgramError, BadSignersFileError: when a signature cannot be checked.
    """
    verifier = Verifier(workspace, thorough=True)
    return _by_commit(workspace, found.version, verifier) or _by_run(workspace, found, verifier)


def unsigned_code(workspace: Workspace, found: FoundVersion) -> str:
    """Return what of a model runs code when it is loaded, for which nobody vouches; an empty text if there is nothing.

    Raises:
        SigningProgramError, BadSignersFileError: when a signature cannot be checked.
    """
    files = [os.fsdecode(path) for path, entry in model_files(workspace, found) if entry.kind != EntryKind.TREE]
    code = code_in(files, found.version.framework.lower())
    return code if code and trust_in(workspace, found) is None else ""


def _by_commit(workspace: Workspace, version: ModelVersion, verifier: Verifier) -> dict[str, str | None] | None:
    store = workspace.repo.store
    for commit_id in dict.fromkeys(filter(None, (version.commit, workspace.head().commit_id))):
        if not store.has(commit_id, Kind.COMMIT):
            continue
        commit = workspace.repo.commit(CommitId(commit_id))
        if trees.lookup(store, commit.tree, version.path) != version.entry:
            continue
        verdict = verifier.commit(commit)
        if verdict.good:
            return {"commit": commit_id.hex(), "principal": verdict.principal, "fingerprint": verdict.fingerprint}
    return None


def _by_run(workspace: Workspace, found: FoundVersion, verifier: Verifier) -> dict[str, str | None] | None:
    version, store = found.version, workspace.repo.store
    if version.run is None or version.run_id is None or not store.has(version.run_id, Kind.RUN):
        return None
    tags = [tag for tag in _tags(workspace) if (tag.target_kind, tag.target) == (Kind.RUN, version.run_id)]
    if not tags or not _wrote(workspace, decode_run(store.get(version.run_id, Kind.RUN)), found):
        return None
    for tag in tags:
        verdict = verifier.tag(tag)
        if verdict.good:
            return {
                "commit": None, "run": version.run.hex(), "tag": tag.name, "principal": verdict.principal,
                "fingerprint": verdict.fingerprint,
            }  # fmt: skip
    return None


def _tags(workspace: Workspace) -> list[Tag]:
    found = []
    for _, ref in workspace.view().items(TAGS):
        if isinstance(ref, Direct) and ref.kind == Kind.TAG:
            try:
                found.append(workspace.repo.tag(TagId(ref.id)))
            except IntegrityError:  # it is not here
                continue
    return found


def _wrote(workspace: Workspace, run: Run, found: FoundVersion) -> bool:
    """Say whether a run wrote each file of a version, and just so."""
    store, version = workspace.repo.store, found.version
    wrote = {(pin.path, pin.id) for pin in read_pins(store, run.outputs) if pin.state == PinState.PINNED}
    if (version.path, version.entry.id) in wrote:
        return True
    whole = version.entry.kind == EntryKind.TREE
    return all(
        (version.path + b"/" + path if whole else version.path, entry.id) in wrote
        for path, entry in model_files(workspace, found)
        if entry.kind != EntryKind.TREE
    )
