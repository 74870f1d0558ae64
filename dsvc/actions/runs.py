"""Look at recorded runs: list, find, show, comment, remove."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, NamedTuple, cast

from dsvc.actions.run_begin import journals_of, masked_act, user_of
from dsvc.errors import IntegrityError, RequestError
from dsvc.objects import codec
from dsvc.objects.codec import Value
from dsvc.objects.ids import Kind, ObjectId, RunId
from dsvc.refs.names import RUNS, WORKTREES, ran_of
from dsvc.refs.view import Direct
from dsvc.runs.index import RunIndex
from dsvc.runs.journal import running
from dsvc.runs.masking import Masker, secret_values
from dsvc.runs.names import RunKey, matches, new_key, note_ref, parse_ref, removal_ref, run_ref, short_key
from dsvc.runs.notes import Note, decode_note, encode_note, labels_after
from dsvc.runs.pins import Pin, read_pins
from dsvc.runs.record import RECORD, Run, decode_run
from dsvc.runs.summary import Summary, summarize
from dsvc.runs.values import clean_name, clean_text
from dsvc.runs.where import column, parse_condition
from dsvc.workspace import Workspace

Direction = Literal["max", "min"]
_HEX: Final = re.compile(r"[0-9a-f]{3,64}")
_NEWEST: Final = re.compile(r"@(?:~(\d{1,9}))?")
_LISTED: Final = 10


class UnknownRunError(RequestError):
    """A text that names no recorded run, or more than one."""


class RunQuery(NamedTuple):
    """Which runs in which order: `where` a condition, `sort` a column with `-` before it for the largest first."""

    where: str = ""
    sort: str = ""
    best: str = ""  # only the run in which this column is best
    lowest: bool = False  # the best value is the lowest
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run with its notes, and its inputs and outputs in full."""

    run: Run
    run_id: RunId
    labels: Mapping[str, str]
    notes: Sequence[Note] = ()
    inputs: Sequence[Pin] = field(default_factory=tuple)
    outputs: Sequence[Pin] = field(default_factory=tuple)


def open_runs(workspace: Workspace) -> RunIndex:
    """Open the index of all recorded runs, brought up to the newest view; the caller closes it."""
    return RunIndex.open(workspace.cache / "runs.sqlite", workspace.repo.store, workspace.view())


@contextmanager
def runs_if_any(workspace: Workspace) -> Iterator[RunIndex | None]:
    """Open the index of all recorded runs for a while, None where there is no run."""
    if not has_runs(workspace):
        yield None
        return
    with open_runs(workspace) as index:
        yield index


def has_runs(workspace: Workspace) -> bool:
    """Say whether there is any recorded run; costs a look at the view."""
    return next(workspace.view().items(RUNS), None) is not None


def list_runs(workspace: Workspace, query: RunQuery) -> list[Summary]:
    """Return the runs that a query asks for, those under way first, then the newest first.

    Corrections are left out unless `where` says something of the authority.

    Raises:
        BadConditionError: for a condition or column that is not understood.
    """
    condition = parse_condition(query.where) if query.where else None
    read = column(query.best or query.sort.removeprefix("-")) if query.best or query.sort else None
    with open_runs(workspace) as index:
        rows = (*running_runs(workspace), *index.summaries())
    if "authority" not in query.where:  # nothing was executed there
        rows = tuple(row for row in rows if row.authority != "correction")
    found = [row for row in rows if condition is None or condition(row)]
    if read is not None:
        descending = not query.lowest if query.best else query.sort.startswith("-")
        found = _ordered(found, read, descending=descending)
        if query.best:
            found = [row for row in found if _is_number(read(row))][:1]
    return found[: query.limit] if query.limit is not None else found


def running_runs(workspace: Workspace) -> list[Summary]:
    """Return the runs that are under way in this working copy, the newest first, with the state `running`."""
    from dataclasses import replace

    found: list[Summary] = []
    for journal in running(journals_of(workspace)):
        begin = journal.begin()
        payload = begin.get("run") if begin is not None else None
        if isinstance(payload, bytes):
            run = decode_run(payload)
            now, _ = workspace.time()
            summary = summarize(run, RunId(ObjectId(b"")))
            found.append(replace(summary, state="running", elapsed=max(now - run.start, 0)))
    return found[::-1]


def _ordered(rows: list[Summary], read: Callable[[Summary], Value], *, descending: bool) -> list[Summary]:
    """Return runs by the value of a column: numbers, then texts, then those that have none; NaN counts as none."""
    numbers = [row for row in rows if _is_number(read(row))]
    texts = [row for row in rows if isinstance(read(row), str)]
    taken = {id(row) for row in (*numbers, *texts)}
    numbers.sort(key=cast("Callable[[Summary], float]", read), reverse=descending)
    texts.sort(key=lambda row: str(read(row)), reverse=descending)
    return [*numbers, *texts, *(row for row in rows if id(row) not in taken)]


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not (isinstance(value, float) and math.isnan(value))


def find_run(workspace: Workspace, text: str) -> RunKey:
    """Return the key of the run that a text names: digits of its key or id, `@` the newest, `@~2` the second before it.

    Runs inside others are not counted there.

    Raises:
        UnknownRunError: when there is none or more than one.
    """
    digits = text.lower().removeprefix(RUNS)
    newest = _NEWEST.fullmatch(text)
    if newest is None and not _HEX.fullmatch(digits):
        raise UnknownRunError(f"{text!r} names no run", hint="dsvc runs lists them; @ is the newest one")
    if len(digits) == 32 and workspace.view().get(run_ref(RunKey(bytes.fromhex(digits)))) is not None:
        return RunKey(bytes.fromhex(digits))
    with open_runs(workspace) as index:
        if newest is not None:
            outer, back = index.outer_keys(), int(newest[1] or 0)
            if back >= len(outer):
                many = "there is 1" if len(outer) == 1 else f"there are {len(outer)}"
                said = f"{text!r} names no run: {many}, those inside others not counted"
                raise UnknownRunError(said, hint="dsvc runs; the first digits of a run name it, too")
            return outer[-1 - back]
        found = [key for key in index.keys() if matches(key, digits)]  # noqa: SIM118 - it is no map
        if not found:
            found = [row.key for row in index.summaries() if row.run_id.hex().startswith(digits)]
    if not found:
        raise UnknownRunError(f"no run begins with {text!r}", hint="dsvc runs lists them; @ is the newest one")
    if len(found) > 1:
        listed = ", ".join(short_key(key) for key in islice(found, _LISTED))
        rest = ", ..." if len(found) > _LISTED else ""
        raise UnknownRunError(f"{text!r} could be any of {listed}{rest}", hint="write more digits")
    return found[0]


def get_run(workspace: Workspace, key: RunKey) -> tuple[Run, RunId]:
    """Return a record and its id.

    Raises:
        UnknownRunError: when there is none, or it was removed. IntegrityError: when it is damaged.
    """
    view = workspace.view()
    ref = view.get(run_ref(key))
    if not isinstance(ref, Direct) or ref.kind != Kind.RUN or view.get(removal_ref(key)) is not None:
        raise UnknownRunError(f"there is no run {short_key(key)}", hint="dsvc runs")
    return decode_run(workspace.repo.store.get(ref.id, Kind.RUN)), RunId(ref.id)


def run_of(workspace: Workspace, run_id: RunId) -> Run | None:
    """Return the record that a commit names, None where it is not here any more, or is damaged."""
    try:
        return decode_run(workspace.repo.store.get(run_id, Kind.RUN))
    except IntegrityError:
        return None


def show_run(workspace: Workspace, key: RunKey, *, most: int | None = None) -> FoundRun:
    """Return a run with its notes and at most so many of its inputs and of its outputs.

    Raises what `get_run` raises.
    """
    run, run_id = get_run(workspace, key)
    store = workspace.repo.store
    with open_runs(workspace) as index:
        notes = index.notes(key)
    return FoundRun(
        run,
        run_id,
        labels_after(run.labels, notes),
        notes,
        tuple(islice(read_pins(store, run.inputs), most)),
        tuple(islice(read_pins(store, run.outputs), most)),
    )


def read_run(workspace: Workspace, object_id: ObjectId) -> FoundRun | Note:
    """Return what an object of the kind of runs is: a run with its notes, or a note.

    Raises:
        IntegrityError: when it is neither.
    """
    payload = workspace.repo.store.get(object_id, Kind.RUN)
    fields = codec.decode(payload)
    if not isinstance(fields, dict) or fields.get("what") != RECORD:
        return decode_note(payload)
    run = decode_run(payload)
    try:
        found = show_run(workspace, run.key)
    except UnknownRunError:
        return FoundRun(run, RunId(object_id), run.labels)
    return found if found.run_id == object_id else FoundRun(run, RunId(object_id), run.labels)


def add_note(
    workspace: Workspace, key: RunKey, *, text: str = "", labels: Mapping[str, str | None] | None = None
) -> Note:
    """Add a comment, or labels (None takes one away), to a run and publish it; return the note.

    Credentials are masked, as in records.

    Raises:
        UnknownRunError: when there is no such run.
    """
    get_run(workspace, key)
    masker = Masker(secret_values(workspace.surroundings.environment))
    given = {clean_name(name): v if v is None else masker.text(clean_text(v)) for name, v in (labels or {}).items()}
    time, zone = workspace.time()
    note = Note(
        what="labels" if labels else "comment",
        run=key,
        user=user_of(workspace),
        time=time,
        zone=zone,
        text=masker.text(clean_text(text)),
        labels=given,
    )
    transaction = workspace.repo.transaction()
    target = workspace.repo.store.put(Kind.RUN, encode_note(note))
    transaction.set(note_ref(key, new_key(time)), Direct(Kind.RUN, target))
    workspace.publish(transaction, masked_act(workspace.act("runs", f"runs {note.what}: {short_key(key)}"), masker))
    return note


def remove_runs(workspace: Workspace, keys: Sequence[RunKey], *, reason: str = "") -> None:
    """Remove runs for good: their records go, and a note that wins over them wherever it is fetched stays.

    The content goes with the next gc, as far as nothing else needs it.

    Raises:
        UnknownRunError: when one of them is not there; none is removed then.
    """
    for key in keys:
        get_run(workspace, key)
    time, zone = workspace.time()
    transaction = workspace.repo.transaction()
    view = workspace.view()
    masker = Masker(secret_values(workspace.surroundings.environment))
    for key in dict.fromkeys(keys):
        note = Note("removal", key, user_of(workspace), time, zone, masker.text(clean_text(reason)))
        target = workspace.repo.store.put(Kind.RUN, encode_note(note))
        for name, _ in [*view.items(run_ref(key))]:
            parsed = parse_ref(name)
            if parsed is not None and parsed.key == key:
                transaction.delete(name)
        transaction.set(removal_ref(key), Direct(Kind.RUN, target))
    # What the last run left is kept so that the next one need not read it again; it would hold what goes now.
    for name in [name for name, _ in view.items(WORKTREES) if name == ran_of(name.split("/")[1])]:
        transaction.delete(name)
    named = ", ".join(short_key(key) for key in keys[:5]) + (" …" if len(keys) > 5 else "")
    workspace.publish(transaction, masked_act(workspace.act("runs", f"runs rm: {named}"), masker))
