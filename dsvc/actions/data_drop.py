"""Take content out of this repository that others have: it is asked for first, and comes back when it is needed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dsvc.actions.changes import working_changes
from dsvc.actions.data_get import entries_at
from dsvc.actions.data_where import Answers, ask_remotes
from dsvc.actions.purge import needed_of, parts_of
from dsvc.actions.sources import open_sources
from dsvc.actions.sparse import check_out_where
from dsvc.config.editing import set_values
from dsvc.config.keys import Value, join_key
from dsvc.errors import BusyError, RequestError
from dsvc.objects.files import is_complete
from dsvc.objects.ids import FileId, ObjectId
from dsvc.objects.reference import reference_id, reference_of
from dsvc.objects.tree import Entry, EntryKind
from dsvc.remotes.settings import read_remotes
from dsvc.repo.ledgers import DROPPED, FETCHED, learned_entry, write_ledger
from dsvc.repo.removal import OperationMovedError, drop_objects
from dsvc.repo.whereabouts import find_hits
from dsvc.sources.source import SourceError
from dsvc.workspace import Workspace
from dsvc.worktree.index import Index

_ATTEMPTS = 8
_ALL = "*"  # a filter that wants every path: the repository may lack content all the same


class TooFewCopiesError(RequestError):
    """What was to be dropped is in too few other places."""


@dataclass(frozen=True, slots=True)
class DataDropResult:
    """How many files of how many bytes were dropped, and those whose files on disk hold changes and stayed."""

    files: int
    size: int
    kept: tuple[bytes, ...] = ()


def data_drop(workspace: Workspace, paths: Sequence[bytes], *, numcopies: int | None = None) -> DataDropResult:
    """Remove the content of the files at or below `paths` from here and from the disk; history stays as it is.

    Before, all remotes are asked anew, and the sources of references: each file must be in `numcopies` other places
    (data.numcopies). The repository counts as a partial clone afterwards: what was dropped is fetched when it is
    needed. Safe to call again.

    Raises:
        TooFewCopiesError: naming files of which fewer copies could be found; nothing was removed then.
        RequestError: for a path that is not there, and for files that hold changes.
    """
    store = workspace.repo.store
    least = workspace.config.get_int("data.numcopies") if numcopies is None else numcopies
    chosen = dict(entries_at(workspace, workspace.index().tree, paths))
    files = {p: e for p, e in chosen.items() if e.kind != EntryKind.REFERENCE and is_complete(store, e.id)}
    elsewhere = store.elsewhere
    references = {
        path: content
        for path, entry in chosen.items()
        if entry.kind == EntryKind.REFERENCE and elsewhere is not None and (content := elsewhere.here(entry))
    }
    if not files and not references:
        return DataDropResult(0, 0)
    _check_unchanged(workspace, paths)
    _check_copies(workspace, files, {path: chosen[path] for path in references}, least=least)
    if files:
        _become_partial(workspace)
    check_out_where(workspace, _Without(workspace.index(), files.keys() | references.keys()))
    index = workspace.index()
    kept = tuple(sorted(p for p in (*files, *references) if not index.is_absent(p)))
    going = {p: e.id for p, e in (files | references).items() if p not in kept}
    _forget_fetched(workspace, {chosen[p].id: references[p] for p in references if p in going})
    _remove(workspace, {i for p, i in going.items() if p in files}, {i for p, i in going.items() if p in references})
    sizes = {e.id: e.size for e in (*files.values(), *references.values())}
    return DataDropResult(len(going), sum(sizes[i] for i in set(going.values())), kept)


def _check_unchanged(workspace: Workspace, paths: Sequence[bytes]) -> None:
    changed = sorted(working_changes(workspace, paths=paths, include_new=False, ids=False).entries)
    if changed:
        raise RequestError(
            f"these files hold changes: {_named(changed)}", hint="dsvc commit, or dsvc restore PATH; then drop them"
        )


def _check_copies(
    workspace: Workspace, files: Mapping[bytes, Entry], references: Mapping[bytes, Entry], *, least: int
) -> None:
    answers = ask_remotes(workspace, {entry.id for entry in files.values()}) if files else Answers()
    lacking = sorted(path for path, entry in files.items() if answers.count(entry.id) < least)
    unreached = [f"{name}: {reason}" for name, reason in answers.failed.items()]
    if references and least > 0:
        with open_sources(workspace) as sources:
            for path, entry in references.items():
                before = reference_of(entry)
                try:
                    now = sources.stat(before.address)
                except SourceError as error:
                    unreached.append(error.message)
                    lacking.append(path)
                    continue
                if least > 1 or (now.size, now.etag) != (before.size, before.etag):
                    lacking.append(path)
    if lacking:
        why = f" ({'; '.join(dict.fromkeys(unreached))})" if unreached else ""
        copies = "another place has it" if least == 1 else f"{least} other places have it"
        raise TooFewCopiesError(
            f"nothing was dropped, because it cannot be seen that {copies}: {_named(sorted(lacking))}{why}",
            hint="dsvc push sends it to a remote; data.numcopies says how many copies there must be",
            details={"paths": [os.fsdecode(path) for path in lacking], "unreachable": list(answers.failed)},
        )


def _become_partial(workspace: Workspace) -> None:
    """Let every remote without a filter have one that wants everything: only then may content be absent."""
    remotes = read_remotes(workspace.config).values()
    values: dict[str, Value] = {
        join_key(("remote", settings.name, "filter")): (_ALL,)
        for settings in remotes
        if settings.name is not None and "filter" not in settings.options
    }
    if values:
        set_values(workspace.common / "config.toml", values)


def _forget_fetched(workspace: Workspace, references: Mapping[bytes, Entry]) -> None:
    if references:
        transaction, store = workspace.repo.transaction(), workspace.repo.store
        write_ledger(store, transaction, FETCHED, {reference_id(data).hex(): None for data in references})
        time = workspace.time()[0] // 1_000_000
        write_ledger(
            store, transaction, DROPPED, {e.id.hex(): learned_entry(e.id, time) for e in references.values()}
        )
        workspace.publish(transaction, workspace.act("data", "drop what was fetched of references"))


def _remove(workspace: Workspace, files: set[bytes], fetched: set[bytes]) -> None:
    """Take content out of the packs, but for what other files share, and for what history has under its own name."""
    repo = workspace.repo
    for _ in range(_ATTEMPTS):
        repo.refresh()
        own_names = find_hits(repo.store, repo.view(), fetched - files, most=1) if fetched - files else {}
        going = {FileId(ObjectId(i)) for i in (files | fetched) if i in files or not own_names.get(i)}
        if not going:
            return
        own = parts_of(repo, going)
        needed = needed_of(repo, frozenset(going), own, workspace.progress)
        try:
            drop_objects(repo, own - needed, since=repo.head.operation)
            return
        except OperationMovedError:
            continue
    raise BusyError("the repository changes too often to drop something", hint="run the same command again")


def _named(paths: Sequence[bytes]) -> str:
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(map(os.fsdecode, paths[:5])) + more


class _Without:
    """Takes in what is on disk, but for some paths."""

    def __init__(self, index: Index, paths: Collection[bytes]) -> None:
        self._index, self._paths = index, frozenset(paths)

    def includes(self, path: bytes) -> bool:
        return path not in self._paths and not self._index.is_absent(path)
