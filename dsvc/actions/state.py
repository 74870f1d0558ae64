"""What a worktree is in the middle of: a merge, a cherry-pick, a rebase. docs/formats/state.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from dsvc.errors import ConflictError, IntegrityError, RequestError
from dsvc.objects import codec
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind
from dsvc.refs.names import state_of
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace


class Conflict(NamedTuple):
    """A path that is not settled, with its three sides (None: not there), kept until it is.

    `kind` is the merge's word for it ("content", "modify/delete" …). `files` are the paths in the working copy that
    hold the sides or the marked text.
    """

    path: bytes
    kind: str
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    files: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class WorktreeState:
    """What is under way. `verb` says what: merge, cherry-pick, revert, rebase, stash.

    `heads` are the commits being brought in, `message` the prepared text, `original` the commit to go back to on abort,
    `merged` the tree to which the working copy was brought, `stash` the changes that were stashed before, `todo` what
    a rebase or a row of picks has still to do, `aside` the paths that were changed before it began and go into none of
    its commits, those of empty folders with a slash at the end, `touched` all paths that are or were in conflict,
    `extra` whatever else the verb needs to go on.
    """

    verb: str
    heads: tuple[CommitId, ...] = ()
    message: str = ""
    original: CommitId | None = None
    merged: TreeId | None = None
    stash: CommitId | None = None
    conflicts: tuple[Conflict, ...] = ()
    todo: tuple[CommitId, ...] = ()
    aside: tuple[bytes, ...] = ()
    touched: tuple[bytes, ...] = ()
    extra: Mapping[str, Value] = field(default_factory=dict)

    @property
    def files_aside(self) -> tuple[bytes, ...]:
        """The paths of `aside` that go into no commit; a commit keeps empty folders as the merge left them."""
        return tuple(path for path in self.aside if not path.endswith(b"/"))

    @property
    def folders_aside(self) -> tuple[bytes, ...]:
        """The paths of `aside` that were empty folders, without the slash."""
        return tuple(path[:-1] for path in self.aside if path.endswith(b"/"))


_STORED = (*FILE_KINDS, EntryKind.SYMLINK)
KEEPS_AUTHOR = ("cherry-pick", "rebase")  # verbs whose commits keep the author of `heads[0]`


class OperationUnderWayError(RequestError):
    """Something must be finished or taken back first."""

    def __init__(self, state: WorktreeState) -> None:
        on = way_on(state.verb)
        finish = f"finish it with '{on}'" if on else "settle it with 'dsvc resolve'"
        super().__init__(
            f"a {state.verb} is under way", hint=f"{finish} or take it back with 'dsvc {state.verb} --abort'"
        )
        self.state = state


def way_on(verb: str) -> str | None:
    """Return the command that goes on once nothing is in conflict, or None where resolving is all there is to do."""
    return None if verb == "stash" else f"dsvc {verb} --continue"


class NothingUnderWayError(RequestError):
    """There is nothing to continue, skip or abort."""

    def __init__(self, verb: str, found: WorktreeState | None) -> None:
        other = f", but a {found.verb} is" if found is not None else ""
        super().__init__(
            f"no {verb} is under way{other}",
            hint=f"dsvc {found.verb} --abort" if found is not None else "dsvc status",
        )


class UnresolvedError(ConflictError):
    """Paths are still in conflict."""

    def __init__(self, state: WorktreeState) -> None:
        paths = [c.path.decode("utf-8", "surrogateescape") for c in state.conflicts]
        shown = "".join(f"\n  {p}" for p in paths[:10]) + (f"\n  and {len(paths) - 10} more" if len(paths) > 10 else "")
        super().__init__(
            f"these paths are in conflict:{shown}",
            hint="edit them, then say 'dsvc resolve PATH', or take a side with 'dsvc resolve --ours|--theirs PATH'",
            details={"paths": paths},
        )


def read_state(workspace: Workspace) -> WorktreeState | None:
    """Return what this worktree is in the middle of, or None."""
    ref = workspace.view().get(state_of(workspace.worktree_id))
    if not isinstance(ref, Direct):
        return None
    return decode_state(workspace.repo.store.get(ref.id, Kind.STATE))


def require_no_state(workspace: Workspace) -> None:
    """Refuse to go on while something is under way.

    Raises:
        OperationUnderWayError: saying what.
    """
    state = read_state(workspace)
    if state is not None:
        raise OperationUnderWayError(state)


def require_state(workspace: Workspace, *verbs: str) -> WorktreeState:
    """Return what is under way when it is one of these verbs.

    Raises:
        NothingUnderWayError: otherwise.
    """
    state = read_state(workspace)
    if state is None or state.verb not in verbs:
        raise NothingUnderWayError(verbs[0], state)
    return state


def after_commit(state: WorktreeState) -> WorktreeState | None:
    """Return what is under way once the working copy was committed."""
    if state.verb == "rebase" or state.todo:
        return replace(state, heads=(), conflicts=(), message="", merged=None, touched=())
    return None


def set_state(workspace: Workspace, transaction: Transaction, state: WorktreeState | None) -> None:
    """Let the worktree be in the middle of something, or of nothing any more, once `transaction` is published."""
    name = state_of(workspace.worktree_id)
    if state is None:
        transaction.delete(name)
    else:
        state_id = workspace.repo.store.put(Kind.STATE, encode_state(state))
        transaction.set(name, Direct(Kind.STATE, ObjectId(state_id)))


def in_conflict(state: WorktreeState, conflicts: tuple[Conflict, ...]) -> WorktreeState:
    """Return the state with these conflicts."""
    touched = {path for conflict in conflicts for path in (conflict.path, *conflict.files)}
    return replace(state, conflicts=conflicts, touched=tuple(sorted(touched)))


def settle(state: WorktreeState, paths: set[bytes]) -> WorktreeState:
    """Return the state without the conflicts at these paths."""
    return replace(state, conflicts=tuple(c for c in state.conflicts if c.path not in paths))


def encode_state(state: WorktreeState) -> bytes:
    """Return the canonical bytes of a state; `refs` lists what it must keep from being collected."""
    refs: list[list[object]] = [[int(Kind.COMMIT), c] for c in (*state.heads, *state.todo)]
    if state.original is not None:
        refs.append([int(Kind.COMMIT), state.original])
    if state.merged is not None:
        refs.append([int(Kind.TREE), state.merged])
    if state.stash is not None:
        refs.append([int(Kind.COMMIT), state.stash])
    for conflict in state.conflicts:
        sides = (conflict.base, conflict.ours, conflict.theirs)
        refs += [[_content_kind(e), e.id] for e in sides if e is not None and e.kind in _STORED]
    return codec.encode(
        {
            "verb": state.verb,
            "heads": state.heads,
            "message": state.message,
            "original": state.original,
            "merged": state.merged,
            "stash": state.stash,
            "conflicts": [[c.path, c.kind, c.base, c.ours, c.theirs, c.files] for c in state.conflicts],
            "todo": state.todo,
            "aside": state.aside,
            "touched": state.touched,
            "extra": state.extra,
            "refs": refs,
        }
    )


def _content_kind(entry: Entry) -> int:
    return int(Kind.CHUNK if entry.size <= SMALL_LIMIT else Kind.FILE_MAP)


def decode_state(payload: bytes) -> WorktreeState:
    """Return the state that `payload` encodes.

    Raises:
        IntegrityError: when it is none.
    """
    fields = cast("dict[str, object]", codec.decode(payload))
    try:
        return WorktreeState(
            verb=cast("str", fields["verb"]),
            heads=cast("tuple[CommitId, ...]", fields["heads"]),
            message=cast("str", fields["message"]),
            original=cast("CommitId | None", fields["original"]),
            merged=cast("TreeId | None", fields["merged"]),
            stash=cast("CommitId | None", fields["stash"]),
            conflicts=tuple(
                Conflict(path, kind, _entry(base), _entry(ours), _entry(theirs), files)
                for path, kind, base, ours, theirs, files in cast("tuple[_Row, ...]", fields["conflicts"])
            ),
            todo=cast("tuple[CommitId, ...]", fields["todo"]),
            aside=cast("tuple[bytes, ...]", fields["aside"]),
            touched=cast("tuple[bytes, ...]", fields["touched"]),
            extra=cast("Mapping[str, Value]", fields["extra"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("a worktree's state is not of its form", hint="dsvc op log") from error


_Row = tuple[bytes, str, object, object, object, tuple[bytes, ...]]


def _entry(value: object) -> Entry | None:
    return None if value is None else Entry._make(cast("tuple[int, bytes, int]", value))
