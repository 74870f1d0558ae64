"""Show what a delivery did: its steps, and what each of them printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.ci_run import COMMIT, DELIVERY, REF, STEP, deliveries
from dsvc.actions.revision import revision_context
from dsvc.actions.runs import show_run
from dsvc.errors import RequestError
from dsvc.history.revisions import AmbiguousRevisionError, UnknownRevisionError, resolve_commit
from dsvc.runs.names import matches
from dsvc.runs.summary import Summary
from dsvc.workspace import Workspace

_TAIL = 1 << 20  # bytes at the end of a log that are looked at


class NoDeliveryError(RequestError):
    """A text that names no step that ran."""


@dataclass(frozen=True, slots=True)
class ShownStep:
    """The last run of a step, and the last lines that it printed to stdout and to stderr."""

    name: str
    run: Summary
    out: tuple[str, ...]
    err: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownDelivery:
    """What followed an event: its kind, what it happened to, the commit in hex, and the steps in their order."""

    event: str
    ref: str
    commit: str
    steps: tuple[ShownStep, ...]


def ci_show(workspace: Workspace, name: str = "", *, lines: int = 20, only: Sequence[str] = ()) -> ShownDelivery:
    """Return the newest delivery, or the newest of which a step has the run `name`, or which was of the commit `name`.

    Of a step that ran several times, as with `--continue`, the last time counts. With `only` these steps are shown.

    Raises:
        NoDeliveryError: when there is none.
    """
    rows = deliveries(workspace)
    chosen = _chosen(workspace, rows, name)
    same = [row for row in rows if _event(row) == _event(chosen)]
    latest: dict[str, Summary] = {}
    for row in same:  # the newest first
        latest.setdefault(row.labels.get(STEP, ""), row)
    unknown = set(only) - latest.keys()
    if unknown:
        there = ", ".join(sorted(latest))
        raise NoDeliveryError(f"no step {sorted(unknown)[0]} ran there", hint=f"there ran: {there}")
    wanted = sorted((row for step, row in latest.items() if not only or step in only), key=lambda row: row.key)
    event, ref, commit = _event(chosen)
    return ShownDelivery(event, ref, commit, tuple(_step(workspace, row, lines) for row in wanted))


def _step(workspace: Workspace, row: Summary, lines: int) -> ShownStep:
    out, err = (_said(workspace, row, stream, lines) for stream in ("stdout", "stderr"))
    return ShownStep(row.labels.get(STEP, ""), row, out, err)


def _event(row: Summary) -> tuple[str, str, str]:
    return row.labels[DELIVERY], row.labels.get(REF, ""), row.labels.get(COMMIT) or ""


def _chosen(workspace: Workspace, rows: Sequence[Summary], name: str) -> Summary:
    if not rows:
        raise NoDeliveryError("no step of a delivery ran yet", hint="dsvc ci run")
    if not name:
        return rows[0]
    for row in rows:
        if len(name) > 3 and matches(row.key, name.lower()):
            return row
    try:
        commit = resolve_commit(revision_context(workspace), name).hex()
    except (UnknownRevisionError, AmbiguousRevisionError) as error:
        raise NoDeliveryError(f"{name!r} names neither a step's run nor a commit", hint="dsvc ci list") from error
    for row in rows:
        if row.labels.get(COMMIT) == commit:
            return row
    raise NoDeliveryError(f"no step ran for commit {commit[:10]}", hint="dsvc ci list")


def _said(workspace: Workspace, row: Summary, stream: str, lines: int) -> tuple[str, ...]:
    stored = show_run(workspace, row.key, most=0).run.logs.get(stream)
    if stored is None:
        return ()
    tail = b""
    for piece in workspace.repo.store.file_chunks(stored.id, start=max(stored.size - _TAIL, 0)):
        tail += piece
    return tuple(tail.decode("utf-8", "replace").splitlines()[-lines:])
