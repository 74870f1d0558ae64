"""Take what a model was asked, and what it answered, into a branch from which it can be merged into training data."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dsvc.actions.deploy_place import open_place
from dsvc.actions.deployments import find_model_to_serve, list_deployments
from dsvc.actions.refs import check_free, worktrees_on
from dsvc.actions.signing import find_signer
from dsvc.deployments.deployment import Deployment
from dsvc.deployments.feedback import NAME, keeps_feedback
from dsvc.deployments.place import PlaceError
from dsvc.errors import RequestError
from dsvc.history.revisions import UnknownRevisionError, resolve_commit
from dsvc.models.names import check_model_name
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry
from dsvc.objects.values import Commit
from dsvc.progress import Silent
from dsvc.refs.names import HEADS, REMOTES, check_short_name
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace
from dsvc.worktree.index import signature
from dsvc.worktree.storing import store_file

if TYPE_CHECKING:
    from dsvc.deployments.docker_place import EnginePlace

FOLDER = "feedback"  # of branches, and of the files in them


class MissingParquetError(RequestError):
    """Nothing here writes Parquet."""


class CheckedOutError(RequestError):
    """The branch is checked out, so that its files would have to change."""


@dataclass(frozen=True, slots=True)
class CollectResult:
    """The branch and its commit (None: there is none yet), what was taken into it now, and what was passed over.

    `files`, `rows` and `size` (bytes) count what is new; `strange` are files in the folders that are of nothing known
    or of other models. `unasked` are deployments whose place could not be asked, each with the reason.
    """

    branch: str
    commit_id: CommitId | None
    files: int = 0
    rows: int = 0
    size: int = 0
    strange: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


def spool(workspace: Workspace, name: str) -> Path:
    """Return the folder in which a server that runs here leaves its files until they are collected."""
    return workspace.common / FOLDER / check_model_name(name)


def collect_all(workspace: Workspace, name: str) -> CollectResult:
    """Commit what servers left here and in the volumes of the model's deployments at an engine, and remove it there.

    Raises what `collect` raises, and UnknownModelError for a name under which nothing is or was served. An engine that
    cannot be asked stands in the way of nothing else.
    """
    found, asked = collect(workspace, name), list(_with_volumes(workspace, name))
    if found == CollectResult(found.branch, None) and not asked and not spool(workspace, name).exists():
        instead = lambda made: f"dsvc monitor collect {made.spec.env.get(NAME) or made.model}"  # noqa: E731
        find_model_to_serve(workspace, name, instead)
    for one in asked:
        workspace.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=workspace.scratch) as folder:
            try:
                place = cast("EnginePlace", open_place(workspace, one.target))
                names = place.fetch_feedback(one, Path(folder))
            except (PlaceError, RequestError) as error:
                found = replace(found, unasked=(*found.unasked, f"{one.name}: {error.message}"))
                continue
            if not names:
                continue
            done = collect(workspace, name, [Path(folder)])
            strange = {Path(path).name for path in done.strange}
            place.remove_feedback(one, [each for each in names if each not in strange])
        found = replace(
            done, files=found.files + done.files, rows=found.rows + done.rows, size=found.size + done.size,
            strange=(*found.strange, *done.strange), unasked=found.unasked,
        )  # fmt: skip
    return found


def _with_volumes(workspace: Workspace, name: str) -> Iterator[Deployment]:
    for each in list_deployments(workspace):
        one = each.deployment
        served_as = one.spec.env.get(NAME) or one.model
        if one.target == "docker" and served_as == name and not one.canary_of and keeps_feedback(one):
            yield one


def collect(workspace: Workspace, name: str, folders: Sequence[Path] = (), *, remove: bool = False) -> CollectResult:
    """Commit the files of a model's servers on the branch `feedback/NAME`, in the folder of that name.

    Without `folders` they are those that servers left here, and are removed when the branch has them; those in
    `folders` with `remove` only. What servers that were killed left behind is finished first. The branch begins at the
    commit that the model came from, or at HEAD, so that `merge` brings the files alone. Files that it has are not taken
    twice: safe to call again, at any time.

    Raises:
        CheckedOutError: when a worktree stands on the branch. MissingParquetError. RequestError: for a folder that is
            none, and where there is no commit yet.
    """
    check_model_name(name)
    try:
        import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore] # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingParquetError("Parquet needs pyarrow", hint="pip install 'dsvc[parquet]'") from error
    branch = check_short_name(f"{FOLDER}/{name}", HEADS)
    view = workspace.view()
    head = view.commit(branch)
    if head is None:
        check_free(view, branch)
    own = not folders
    found, strange = _files(name, [spool(workspace, name)] if own else folders, missing_ok=own)
    if not found:
        return CollectResult(branch, head, strange=strange)
    if worktrees_on(view, branch):
        raise CheckedOutError(
            f"{FOLDER}/{name} is checked out, and its files are not changed under your hands",
            hint="dsvc switch to another branch, and collect again",
        )
    base = head if head is not None else _beginning(workspace, name, [commit for _, commit in found])
    tree, environment = workspace.repo.commit(base).tree, workspace.repo.commit(base).environment
    store, changes, rows, size = workspace.repo.store, dict[bytes, Entry | None](), 0, 0
    for path, _ in found:
        place = os.fsencode(f"{FOLDER}/{name}/{path.name}")
        there = trees.lookup(store, tree, place)
        entry, _ = store_file(store, os.fsencode(path), signature(os.stat(path)), progress=Silent())
        if there is None or there.id != entry.id:
            changes[place] = entry
            rows, size = rows + _rows(path), size + path.stat().st_size
    commit_id = head
    if changes:
        person = workspace.person()
        made = TreeId(ObjectId(trees.edit_tree(store, tree, changes).id))
        count = "one file" if len(changes) == 1 else f"{len(changes)} files"
        message = f"What {name} was asked, and what it answered: {rows} rows in {count}\n"
        # The code is that of the base, and so is what it runs with.
        commit = Commit(made, (base,), person, person, message, environment=environment)
        signer = find_signer(workspace, None)
        commit_id = workspace.repo.put_commit(commit if signer is None else signer.commit(commit))
        transaction = workspace.repo.transaction()
        transaction.set(branch, Direct(Kind.COMMIT, ObjectId(commit_id)))
        workspace.publish(transaction, workspace.act("monitor collect", f"monitor collect: {name}, {rows} rows"))
    if own or remove:
        for path, _ in found:
            path.unlink(missing_ok=True)
    return CollectResult(branch, commit_id, len(changes), rows, size, strange)


def _files(name: str, folders: Sequence[Path], *, missing_ok: bool) -> tuple[list[tuple[Path, str]], tuple[str, ...]]:
    """Return finished Parquet files of a model with the commits that it came from, and what else there is."""
    from dsvc.serving.journal import facts_of, take_up, to_parquet

    found: list[tuple[Path, str]] = []
    strange: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            if missing_ok:
                continue
            raise RequestError(f"{folder} is no folder", hint="name the one that --log-dir named")
        take_up(folder)
        for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.parquet")]):
            facts = facts_of(path) if path.exists() else None
            if facts is None or facts.get("model") != name:
                strange += [str(path)] if path.exists() else []
                continue
            if path.suffix == ".jsonl":
                made = to_parquet(path)
                path.unlink()
                if made is None:
                    continue
                path = made  # noqa: PLW2901
            if path not in {each for each, _ in found}:
                found.append((path, facts.get("commit", "")))
    return found, tuple(strange)


def _beginning(workspace: Workspace, name: str, commits: Sequence[str]) -> CommitId:
    """Return where the branch begins: at a remote's, at the commit of the model, or at HEAD."""
    from dsvc.actions.revision import revision_context

    view = workspace.view()
    for full, ref in view.items(REMOTES):
        if full.split("/", 2)[2:] == [f"{FOLDER}/{name}"] and isinstance(ref, Direct):
            return CommitId(ref.id)
    for commit in commits:
        try:
            if commit:
                return resolve_commit(revision_context(workspace), commit)
        except UnknownRevisionError:
            continue
    head = workspace.head().commit_id
    if head is None:
        raise RequestError("there is no commit yet on which the branch could stand", hint="dsvc commit")
    return head


def _rows(path: Path) -> int:
    from pyarrow import parquet

    return int(parquet.read_metadata(path).num_rows)
