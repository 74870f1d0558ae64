"""Find the commit that brought a change, by halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from dsvc.actions.checkout import checkout
from dsvc.actions.halving import halve
from dsvc.actions.revision import revision_context
from dsvc.actions.state import require_no_state
from dsvc.errors import IntegrityError, RequestError
from dsvc.history.mergebase import only_in
from dsvc.history.revisions import resolve_commit
from dsvc.objects import codec
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import HEADS, bisect_of, head_of
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, Symbolic
from dsvc.workspace import Workspace

Mark = Literal["good", "bad", "skip"]
BisectKind = Literal["waiting", "testing", "found", "undecided", "ended"]
_SKIP, _STOP = 125, 128


class NoBisectionError(RequestError):
    """No bisection is under way."""


class BadMarkError(RequestError):
    """The commits marked good and bad leave nothing between them."""


@dataclass(frozen=True, slots=True)
class Bisection:
    """What is known so far: commits marked, where HEAD stood (a branch, or a commit alone), and the steps in words."""

    bad: CommitId | None = None
    good: tuple[CommitId, ...] = ()
    skipped: tuple[CommitId, ...] = ()
    branch: str = ""
    start: CommitId | None = None
    steps: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class BisectResult:
    """Where a bisection stands.

    `commit_id` is the one to test now ("testing") or the first bad one ("found"); `left` are the commits that could be
    the first bad one, `candidates` those among them that remain when all others were skipped ("undecided").
    """

    kind: BisectKind
    commit_id: CommitId | None = None
    left: int = 0
    candidates: tuple[CommitId, ...] = ()


def bisect_start(workspace: Workspace, *, bad: str | None = None, good: Sequence[str] = ()) -> BisectResult:
    """Begin, or begin anew; with a bad and a good commit the working copy goes to the first one to test.

    Raises:
        OperationUnderWayError: in the middle of a merge. UnknownRevisionError: for a revision that names no commit.
        InTheWayError: naming changed files that would be overwritten; nothing is changed then.
    """
    require_no_state(workspace)
    known = read_bisection(workspace)
    head = workspace.head()
    if known is None:
        known = Bisection(branch=head.branch or "", start=head.commit_id)
    fresh = Bisection(branch=known.branch, start=known.start, steps=("start",))
    context = revision_context(workspace)
    if bad is not None:
        fresh = _marked(workspace, fresh, "bad", [resolve_commit(context, bad)])
    if good:
        fresh = _marked(workspace, fresh, "good", [resolve_commit(context, word) for word in good])
    return _go_on(workspace, fresh, "start")


def bisect_mark(workspace: Workspace, mark: Mark, revisions: Sequence[str] = ()) -> BisectResult:
    """Say of commits (HEAD's if none are given) whether they are good, bad or not to be tested, and go on.

    Raises:
        NoBisectionError: when none is under way. BadMarkError: when the marks contradict each other.
    """
    known = require_bisection(workspace)
    context = revision_context(workspace)
    commits = [resolve_commit(context, word) for word in revisions or ("HEAD",)]
    return _go_on(workspace, _marked(workspace, known, mark, commits), mark)


def bisect_reset(workspace: Workspace) -> BisectResult:
    """End the bisection and go back to where HEAD stood when it began; raises NoBisectionError."""
    known = require_bisection(workspace)
    transaction = workspace.transaction()
    transaction.delete(bisect_of(workspace.worktree_id))
    goal = known.start
    if known.branch:
        transaction.set(head_of(workspace.worktree_id), Symbolic(known.branch))
        goal = transaction.view.commit(known.branch)
    elif goal is not None:
        transaction.set(head_of(workspace.worktree_id), Direct(Kind.COMMIT, ObjectId(goal)))
    _move(workspace, transaction, goal, "bisect: reset")
    return BisectResult("ended", goal)


def bisect_run(
    workspace: Workspace, test: Callable[[CommitId], int], *, tell: Callable[[BisectResult], None]
) -> BisectResult:
    """Let `test` decide, with the exit codes of git: 0 good, 125 skip, 1 to 127 bad; others end it.

    `tell` hears of every step. Raises NoBisectionError, and RequestError where the test cannot decide.
    """
    known = require_bisection(workspace)
    if known.bad is None or not known.good:
        raise RequestError(
            "a bad and a good commit are needed before a program can test", hint="dsvc bisect start BAD GOOD"
        )
    result = _go_on(workspace, known, "run")
    while result.kind == "testing" and result.commit_id is not None:
        tell(result)
        code = test(result.commit_id)
        if code < 0 or code >= _STOP:
            raise RequestError(
                f"the program ended with code {code} at {result.commit_id.hex()[:10]}, which decides nothing",
                hint="0 means good, 1 to 127 bad, 125 that it cannot be tested",
            )
        result = bisect_mark(workspace, "good" if code == 0 else "skip" if code == _SKIP else "bad")
    return result


def require_bisection(workspace: Workspace) -> Bisection:
    """Return the bisection under way.

    Raises:
        NoBisectionError: when there is none.
    """
    known = read_bisection(workspace)
    if known is None:
        raise NoBisectionError("no bisection is under way", hint="dsvc bisect start BAD GOOD")
    return known


def read_bisection(workspace: Workspace) -> Bisection | None:
    """Return the bisection under way, or None."""
    ref = workspace.view().get(bisect_of(workspace.worktree_id))
    if not isinstance(ref, Direct):
        return None
    fields = cast("dict[str, object]", codec.decode(workspace.repo.store.get(ref.id, Kind.STATE)))
    try:
        return Bisection(
            cast("CommitId | None", fields["bad"]),
            cast("tuple[CommitId, ...]", fields["good"]),
            cast("tuple[CommitId, ...]", fields["skipped"]),
            cast("str", fields["branch"]),
            cast("CommitId | None", fields["start"]),
            cast("tuple[str, ...]", fields["steps"]),
        )
    except KeyError as error:
        raise IntegrityError("the state of a bisection is not of its form", hint="dsvc op log") from error


def _keep(workspace: Workspace, transaction: Transaction, known: Bisection) -> None:
    commits = [c for c in (known.bad, *known.good, *known.skipped, known.start) if c is not None]
    payload = codec.encode(
        {
            "bad": known.bad,
            "good": known.good,
            "skipped": known.skipped,
            "branch": known.branch,
            "start": known.start,
            "steps": known.steps,
            "refs": [[int(Kind.COMMIT), commit_id] for commit_id in commits],
        }
    )
    state_id = workspace.repo.store.put(Kind.STATE, payload)
    transaction.set(bisect_of(workspace.worktree_id), Direct(Kind.STATE, state_id))


def _marked(workspace: Workspace, known: Bisection, mark: Mark, commits: Sequence[CommitId]) -> Bisection:
    for commit_id in commits:
        subject = workspace.repo.commit(commit_id).message.partition("\n")[0]
        known = replace(known, steps=(*known.steps, f"{mark} {commit_id.hex()} {subject}"))
        if mark == "bad":
            known = replace(known, bad=commit_id)
        elif mark == "good":
            known = replace(known, good=(*known.good, commit_id))
        else:
            known = replace(known, skipped=(*known.skipped, commit_id))
    return known


def _go_on(workspace: Workspace, known: Bisection, what: str) -> BisectResult:
    """Keep what is known, and go to the next commit to test."""
    transaction = workspace.transaction()
    if known.bad is None or not known.good:
        _keep(workspace, transaction, known)
        workspace.publish(transaction, workspace.act("bisect", f"bisect: {what}"))
        return BisectResult("waiting")
    ancestry = revision_context(workspace).ancestry()
    candidates = only_in(ancestry, known.bad, known.good)
    if not candidates:
        raise BadMarkError(
            f"the bad commit {known.bad.hex()[:10]} is contained in a good one, so none between them is the first",
            hint="dsvc bisect log shows the marks, dsvc bisect start begins anew",
        )
    chosen = halve(ancestry, candidates, skipped=frozenset(known.skipped))
    if chosen is None:
        found = len(candidates) == 1
        step = f"first bad commit: {known.bad.hex()}" if found else "undecided: what is left was skipped"
        _keep(workspace, transaction, replace(known, steps=(*known.steps, step)))
        workspace.publish(transaction, workspace.act("bisect", f"bisect: {what}, {step}"))
        return BisectResult("found" if found else "undecided", known.bad, len(candidates), tuple(candidates))
    _keep(workspace, transaction, known)
    transaction.set(head_of(workspace.worktree_id), Direct(Kind.COMMIT, ObjectId(chosen)))
    _move(workspace, transaction, chosen, f"bisect: {what}, testing {chosen.hex()[:10]}")
    return BisectResult("testing", chosen, len(candidates))


def _move(workspace: Workspace, transaction: Transaction, commit_id: CommitId | None, description: str) -> None:
    base = workspace.head_tree()
    goal = workspace.tree_of(commit_id) if commit_id is not None else base
    checkout(workspace, base, goal, transaction=transaction, verb="bisect", description=description)


def started_on(known: Bisection) -> str:
    """Return in words where HEAD stood when a bisection began."""
    return known.branch.removeprefix(HEADS) or (known.start.hex()[:10] if known.start else "nothing")
