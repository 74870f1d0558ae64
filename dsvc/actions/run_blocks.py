"""Take up the runs that a command printed in the form of Dotscience's library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from dsvc.actions.run_begin import journals_of
from dsvc.errors import DsvcError
from dsvc.objects.codec import Value
from dsvc.runs import events
from dsvc.runs.dotscience import Block, find_blocks
from dsvc.runs.journal import EventLog, Journal, create_journal, read_events
from dsvc.runs.names import RunKey, new_key
from dsvc.runs.record import Run, encode_run
from dsvc.workspace import Workspace

ROOT, WORKLOAD = "DOTSCIENCE_PROJECT_DOT_ROOT", "DOTSCIENCE_WORKLOAD_TYPE"
META = "dotscience"  # name of the metadata that says which blocks a run stands for
_TOLD = 3  # reasons


def dotscience_variables(workspace: Workspace, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Dotscience's library looks at, as far as nobody has set them."""
    wanted = {ROOT: os.path.realpath(workspace.root), WORKLOAD: "command"}
    return {name: value for name, value in wanted.items() if name not in environment}


def take_blocks(workspace: Workspace, outer: Journal, run: Run, variables: Mapping[str, str]) -> list[str]:
    """Add what a command printed to its run, or where it printed several runs make one inside it of each.

    Runs that were recorded already, because the program used dsvc's own form of the library, are left alone.
    Return what is to be told. It is safe to call it again.
    """
    path = outer.path / "stdout"
    printed: dict[str, list[Block]] = {}
    blocks: list[Block] = []
    problems: list[str] = []
    try:
        for found in find_blocks(path) if path.exists() else ():
            if isinstance(found, Block):
                _keep(printed.setdefault(found.id, []), found)
            else:
                problems.append(str(found))
        for known in _recorded(workspace) if printed else ():
            printed.pop(known, None)
        blocks = [block for same in printed.values() for block in same]
        root = variables.get(ROOT) or os.path.realpath(workspace.root)
        if len(blocks) == 1:
            _write(EventLog(outer.path), blocks[0], root, _folder(workspace, run))
        else:
            for number, block in enumerate(blocks):
                _make_inner(workspace, outer, run, block=block, root=root, number=number)
    except (OSError, DsvcError) as error:
        problems.append(str(error))
    return _told(problems) + _told_twice(printed)


def _keep(same: list[Block], found: Block) -> None:
    """Add a block to those with its id, in place of the last one if it says all of that, and perhaps more."""
    if same and same[-1].is_part_of(found):
        same.pop()
    same.append(found)


def _told_twice(printed: Mapping[str, Sequence[Block]]) -> list[str]:
    several = [(name, len(same)) for name, same in printed.items() if len(same) > 1]
    if not several:
        return []
    name, many = several[0]
    more = f" and {len(several) - 1} more" if len(several) > 1 else ""
    return [f"block {name}{more} was printed {many} times, each time with something else: each makes a run of its own"]


def _told(problems: Sequence[str]) -> list[str]:
    if not problems:
        return []
    more = f" and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
    return [f"not every run that was printed could be read: {'; '.join(problems[:_TOLD])}{more}"]


def _recorded(workspace: Workspace) -> list[str]:
    """Return the ids of the blocks for which programs under way, or runs that wait, have recorded runs themselves."""
    found: list[str] = []
    folder = journals_of(workspace)
    for name in sorted(os.listdir(folder)):
        with suppress(OSError):
            for event in read_events(folder / name):
                match event:
                    case (events.META, str(what), dict(said)) if what == META:
                        ids = said.get("blocks")
                        found += [str(one) for one in ids] if isinstance(ids, tuple) else []
                    case _:
                        pass
    return found


def _make_inner(
    workspace: Workspace, around: Journal, outer: Run, *, block: Block, root: str, number: int
) -> None:
    """Make the journal of a run inside another one; it is published together with that."""
    now = workspace.time()[0]
    start = min(max(block.start if block.start is not None else outer.start, outer.start), now)
    end = min(max(block.end if block.end is not None else now, start), now)
    run = Run(
        key=RunKey(new_key(start + 1000 * (number + 1))),  # in the order in which they were printed
        authority="workload",
        start=start,
        zone=outer.zone,
        user=outer.user,
        command=outer.command,
        directory=outer.directory,
        source=outer.source,
        base=outer.base,
        environment=outer.environment,
        parent=outer.key,
        machine=outer.machine,
    )
    journal = create_journal(journals_of(workspace), run.key)
    try:
        clocks = (time.time_ns(), time.monotonic_ns())
        begin = around.begin() or {}
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "stamp": begin.get("stamp"), "clocks": clocks}
        journal.write_begin({**facts, "run": encode_run(run), "inputs": [], "outputs": []})
        log = EventLog(journal.path)
        _write(log, block, root, _folder(workspace, outer))
        log.close()
        journal.write_end({"elapsed": end - start, "clocks": clocks, "observation": {}})
    except BaseException:
        journal.remove()
        raise
    journal.release()


def _folder(workspace: Workspace, run: Run) -> bytes:
    """Return where a run takes place."""
    return os.path.join(os.path.realpath(workspace.root_bytes), run.directory)


def _write(log: EventLog, block: Block, root: str, folder: bytes) -> None:
    """Say what a block says in events; models lie at paths that `folder` sees."""
    for name, value in block.params.items():
        log.append((events.PARAM, name, value))
    for name, value in block.metrics.items():
        log.append((events.METRIC, name, value))
    for name, text in block.labels.items():
        log.append((events.LABEL, name, text))
    for path in block.inputs:
        log.append((events.INPUT, _absolute(root, path), b""))
    for path in block.outputs:
        log.append((events.OUTPUT, _absolute(root, path)))
    if block.description:
        log.append((events.DESCRIPTION, block.description))
    if block.error:
        log.append((events.ERROR, block.error))
    said: dict[str, Value] = {"blocks": (block.id,)}
    if block.workload:
        said["workload"] = block.workload
    log.append((events.META, META, said))
    if block.models:
        models: dict[str, Value] = {}
        for name, facts in block.models.items():
            place = os.path.relpath(_absolute(root, str(facts["path"])), folder)
            models[name] = {**facts, "path": os.fsdecode(place)}
        log.append((events.META, "models", models))


def _absolute(root: str, path: str) -> bytes:
    return os.path.normpath(os.path.join(os.fsencode(root), os.fsencode(path)))
