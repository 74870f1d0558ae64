"""Make the records of runs from their journals and publish them: when they end, or when their process was lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.run_begin import journals_of, ran_path, record_state, run_act
from dsvc.actions.run_pins import Evidence, find_pins
from dsvc.errors import DsvcError, RequestError
from dsvc.objects.codec import UnsupportedValueError, Value
from dsvc.objects.ids import EnvironmentId, Kind, ObjectId, RunId
from dsvc.objects.reliance import CollectedError
from dsvc.refs.moved import RefMovedError
from dsvc.refs.names import ran_of, running_of
from dsvc.refs.view import Direct
from dsvc.runs.events import gather_events
from dsvc.runs.journal import Journal, take_over
from dsvc.runs.masking import FormsReader, Masker, secret_values
from dsvc.runs.names import RunKey, run_ref
from dsvc.runs.observation import observation
from dsvc.runs.opens import Opened, read_opens
from dsvc.runs.pins import Seen, StoredFile
from dsvc.runs.record import Run, decode_run, encode_run
from dsvc.runs.strace import TRACE, read_trace
from dsvc.runs.tensorboard import is_event_file, write_scalars
from dsvc.runs.values import clean_text
from dsvc.workspace import Workspace
from dsvc.worktree.index import Index, write_index
from dsvc.worktree.record import Recorded

BATCH = 500  # runs that one operation publishes
_LOGS = ("stdout", "stderr", "notebook")
_CLOCK_SLACK = 1_000_000_000  # nanoseconds by which two clocks may drift apart while a run goes on


class Published(NamedTuple):
    """A record that was published."""

    run_id: RunId
    run: Run


def finish_run(workspace: Workspace, journal: Journal, index: Index) -> tuple[Published, ...]:
    """Compare the working copy with how it was when a run began, and publish its record and those of runs inside it.

    `index` is what the files were like at the begin. The journals are removed.

    Raises:
        UnreadableError, UnstableFileError: naming a file of the working copy. OSError: when the disk refuses.
        The journal is as it was then, and a later command makes the record.
    """
    inner = _runs_inside(workspace, journal)
    try:
        for attempt in count():
            try:
                after = record_state(workspace, index, confirmed=True)
                return publish_runs(workspace, [(journal, after), *((other, None) for other in inner)])
            except CollectedError:
                workspace.repo.refresh()
                if attempt == 2:
                    raise
    finally:
        for other in inner:
            other.release()
    raise AssertionError


def take_up(workspace: Workspace, *, own: frozenset[bytes] = frozenset()) -> tuple[Published, ...]:
    """Publish the records of runs that nobody holds any more: those that ended, and those whose process was lost.

    Runs with one of the `own` keys are left alone. Called by each command, so it is cheap where there is none.
    """
    folder = journals_of(workspace)
    if not folder.is_dir():
        return ()
    published: list[Published] = []
    batch: list[tuple[Journal, Recorded | None]] = []
    held = list(take_over(folder, own=own))
    known = frozenset(bytes(journal.key) for journal in held)
    try:
        for journal in held:
            if workspace.view().get(run_ref(journal.key)) is not None or journal.begin() is None:
                journal.remove()  # killed after it was published, or before it began
                continue
            _take_what_it_left(workspace, journal)
            batch.append((journal, None))
            if len(batch) == BATCH:
                published += _publish_each(workspace, batch)
                batch = []
        published += _publish_each(workspace, batch)
        if made := [journal for journal in take_over(folder, own=own | known) if journal.begin() is not None]:
            held += made  # runs inside others, which they had printed
            published += _publish_each(workspace, [(journal, None) for journal in made])
    finally:
        for journal in held:
            journal.release()
    return tuple(published)


def _take_what_it_left(workspace: Workspace, journal: Journal) -> None:
    """Do for a run what the process that recorded it did not come to: read what it printed, and its notebook."""
    if not (journal.path / "stdout").exists():
        return
    from dsvc.actions.run_blocks import take_blocks
    from dsvc.actions.run_notebook import take_notebook

    environment = workspace.surroundings.environment
    order, begin = journal.path / "order", journal.begin()
    payload = begin.get("run") if begin is not None else None
    if order.exists():
        import json

        with suppress(OSError, ValueError, KeyError, TypeError):
            path = os.path.relpath(json.loads(order.read_bytes())["notebook"], workspace.root)
            take_notebook(journal.path, Masker(secret_values(environment)), path=path, failed=True)
    with suppress(DsvcError):
        if isinstance(payload, bytes):
            take_blocks(workspace, journal, decode_run(payload), environment)


def _publish_each(workspace: Workspace, batch: Sequence[tuple[Journal, Recorded | None]]) -> tuple[Published, ...]:
    """Publish runs together, or if that fails one by one, so that a damaged journal is not in the way of others."""
    try:
        return publish_runs(workspace, batch)
    except DsvcError:
        if len(batch) < 2:
            raise
    published: list[Published] = []
    problem: DsvcError | None = None
    for one in batch:
        try:
            published += publish_runs(workspace, [one])
        except DsvcError as error:
            problem = error
    if problem is not None and not published:
        raise problem
    return tuple(published)


def publish_runs(
    workspace: Workspace, journals: Sequence[tuple[Journal, Recorded | None]]
) -> tuple[Published, ...]:
    """Publish the records of these runs in one operation and remove their journals.

    With each comes the working copy as it left it, where that is known; the last of them is where the next run begins.
    """
    if not journals:
        return ()
    store = workspace.repo.store
    surroundings = workspace.surroundings  # its words are those of the program: what it says may repeat them
    masker = Masker(secret_values(surroundings.environment, surroundings.command))
    published: list[Published] = []
    try:
        for journal, after in journals:
            run = _assembled(workspace, journal, after, masker)
            published.append(Published(RunId(store.put(Kind.RUN, encode_run(run))), run))
        left = next((after for _, after in reversed(journals) if after is not None), None)
        try:
            _move_refs(workspace, published, left, masker)
        except RefMovedError:  # another run has ended here at the same moment, and has kept its state
            workspace.repo.refresh()
            _move_refs(workspace, published, None, masker)
    except BaseException:
        store.abandon()
        raise
    for journal, _ in journals:
        journal.remove()
    with suppress(OSError):
        ref = workspace.view().get(ran_of(workspace.worktree_id))
        if left is not None and ref == Direct(Kind.TREE, ObjectId(left.tree)):
            write_index(ran_path(workspace), left.index)
    return tuple(published)


def _move_refs(workspace: Workspace, published: Sequence[Published], left: Recorded | None, masker: Masker) -> None:
    """Publish records, and the state in which a run left the working copy, for the next run to begin from."""
    transaction = workspace.repo.transaction()
    for each in published:
        transaction.set(run_ref(each.run.key), Direct(Kind.RUN, ObjectId(each.run_id)))
        name = running_of(workspace.worktree_id, each.run.key.hex())
        for ref in (name, f"{name}/environment"):
            if transaction.get(ref) is not None:
                transaction.delete(ref)
    if left is not None and not left.index.may_lack:
        name = ran_of(workspace.worktree_id)
        if left.tree not in (workspace.head_tree(), workspace.kept_tree()):
            transaction.set(name, Direct(Kind.TREE, ObjectId(left.tree)))
        elif transaction.get(name) is not None:
            transaction.delete(name)
    act = run_act(workspace, published[0].run, masker)
    if len(published) > 1:
        act = replace(act, description=f"{act.description} and {len(published) - 1} more")
    workspace.publish(transaction, act)


def _runs_inside(workspace: Workspace, journal: Journal) -> list[Journal]:
    """Return the journals of runs that were made inside this one and that nobody holds any more."""
    found = []
    for other in take_over(journals_of(workspace)):
        if _parent_of(other) == journal.key:
            found.append(other)
        else:
            other.release()
    return found


def _parent_of(journal: Journal) -> RunKey | None:
    begin = journal.begin()
    if begin is None or not isinstance(begin.get("run"), bytes):
        return None
    with suppress(DsvcError):
        return decode_run(begin["run"]).parent  # type: ignore[arg-type]
    return None


def _assembled(workspace: Workspace, journal: Journal, after: Recorded | None, masker: Masker) -> Run:
    """Return the record of a run from all that lies in its journal; content is stored, nothing published."""
    begin, end = journal.begin(), journal.end()
    payload = begin.get("run") if begin is not None else None
    if begin is None or not isinstance(payload, bytes):
        raise RequestError(f"the journal {journal.path} of a run cannot be read", hint=f"remove {journal.path}")
    run = decode_run(payload)
    store = workspace.repo.store
    declared, produced = _declared(begin), _paths(begin.get("outputs"))
    if begin.get("declared_outputs"):
        after = None  # others change files at the same time
    how, opened = _observed(workspace, run, journal.path, [*declared, *produced])
    with suppress(OSError):
        boards = [Path(os.fsdecode(path)) for path in opened.written if is_event_file(path)]
        write_scalars(journal.path, boards, began=_began(begin))
    gathered = gather_events(journal.path, store, mask=masker.text)
    opened.are_declared([*declared, *produced, *gathered.inputs, *gathered.outputs])
    last = _last_sign(journal.path)
    clock = _is_steady(begin, end)
    source = run.source if run.source is not None and store.has(run.source, Kind.TREE) else None
    inputs, outputs = find_pins(
        workspace,
        Evidence(
            before=source,
            after=after.tree if after is not None else None,
            index=after.index if after is not None else None,
            opened=opened,
            how=how,
            inputs={**declared, **gathered.inputs},
            outputs=dict.fromkeys([*produced, *gathered.outputs]),
            stamp=_integer(begin.get("stamp")) if clock else None,
            last=last + _CLOCK_SLACK if clock else None,
        ),
    )
    facts = end or {"elapsed": max(last - _began(begin), 0) // 1000}
    made = replace(
        run,
        source=source,
        environment=_if_there(workspace, run),
        name=masker.text(gathered.name) or run.name,
        description=masker.text(gathered.description) or run.description,
        params={**run.params, **{name: masker.value(name, v) for name, v in gathered.params.items()}},
        metrics={name: masker.value(name, value) for name, value in gathered.metrics.items()},
        labels={**run.labels, **{name: masker.text(text) for name, text in gathered.labels.items()}},
        series=gathered.series,
        series_file=gathered.series_file,
        inputs=inputs,
        outputs=outputs,
        logs=_stored_logs(workspace, journal.path),
        end=run.start + (_integer(facts.get("elapsed")) or 0),
        exit_code=_integer(facts.get("exit_code")),
        signal=_integer(facts.get("signal")),
        lost=end is None,
        error=masker.text(clean_text(gathered.error)),
        resources=_map(facts.get("resources")),
        observation=observation(
            {**run.observation, **_map(facts.get("observation"))},
            opened,
            how,
            compared=after is not None,
            refused=gathered.refused,
            had_company=journal.had_company,
        ),
        metadata={**run.metadata, **{name: masker.value(name, v) for name, v in gathered.metadata.items()}},
    )
    return _fitting(made)


def _observed(workspace: Workspace, run: Run, path: Path, declared: Iterable[bytes]) -> tuple[Seen, Opened]:
    """Return which files were opened, and how that was seen."""
    root = os.path.realpath(workspace.root_bytes)
    outside = [given for given in declared if not given.startswith(root + b"/")]
    if not (path / TRACE).exists():
        return Seen.PYTHON, read_opens(path, [root, *outside])
    directory = os.path.join(root, run.directory) if run.directory else root
    return Seen.TRACED, read_trace(path / TRACE, directory=directory, roots=[root, *outside])


def _fitting(run: Run) -> Run:
    """Return the record, or if it is too large for one object a smaller one that says what was left out."""
    try:
        encode_run(run)
        return run
    except UnsupportedValueError:
        pass
    left_out: list[str] = []
    for field in ("metadata", "params", "metrics", "series", "labels", "variables", "command"):
        left_out.append(field)
        run = replace(run, **{field: () if field in ("command", "series") else {}})  # type: ignore[arg-type]
        run = replace(run, observation={**run.observation, "left_out": tuple(left_out)})
        try:
            encode_run(run)
            return run
        except UnsupportedValueError:
            continue
    return run


def _stored_logs(workspace: Workspace, path: Path) -> dict[str, StoredFile]:
    found = {}
    for name in _LOGS:
        with suppress(FileNotFoundError), open(path / name, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size:
                read = file.read if name == "notebook" else FormsReader(file.read).read
                found[name] = StoredFile(*workspace.repo.store.put_stream(read))
    return found


def _if_there(workspace: Workspace, run: Run) -> EnvironmentId | None:
    if run.environment is None or not workspace.repo.store.has(run.environment, Kind.ENVIRONMENT):
        return None
    return run.environment


def _is_steady(begin: dict[str, Value], end: dict[str, Value] | None) -> bool:
    """Say whether nobody set the clock between begin and end, or now."""
    now: Value = (time.time_ns(), time.monotonic_ns()) if end is None else end.get("clocks")
    match begin.get("clocks"), now:
        case (int(real), int(steady)), (int(real_then), int(steady_then)):
            return steady_then >= steady and abs((real_then - real) - (steady_then - steady)) < _CLOCK_SLACK
    return False


def _began(begin: dict[str, Value]) -> int:
    """Return when a run began by the clock of the machine, nanoseconds since 1970."""
    match begin.get("clocks"):
        case (int(real), int()):
            return real
    return 0


def _last_sign(path: Path) -> int:
    """Return when a run last wrote anything, nanoseconds since 1970."""
    found = 0
    for entry in os.scandir(path):
        if entry.name != "lock":
            found = max(found, entry.stat().st_mtime_ns)
    return found


def _declared(begin: dict[str, Value]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    rows = begin.get("inputs")
    for row in rows if isinstance(rows, tuple) else ():
        match row:
            case (bytes(path), bytes(sig)):
                found[path] = sig
    return found


def _paths(value: Value) -> list[bytes]:
    return [path for path in value if isinstance(path, bytes)] if isinstance(value, tuple) else []


def _integer(value: Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _map(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}

