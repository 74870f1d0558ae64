"""Watch notebooks: what their cells printed is recorded as a run each time one of them is saved.

Which outputs were seen is kept in `watched` in the working copy's private folder, a JSON map of paths to the hashes of
cells and the time of the last save; it may be deleted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsvc.actions.run import ending_facts
from dsvc.actions.run_begin import ActiveRun, Beginning, begin_run
from dsvc.actions.run_blocks import take_blocks
from dsvc.actions.run_finish import Published, finish_run
from dsvc.actions.run_notebook import take_notebook
from dsvc.actions.runs import open_runs, running_runs
from dsvc.atomic import write_file
from dsvc.errors import DsvcError, RequestError
from dsvc.objects.ids import content_id
from dsvc.runs.masking import Masker, secret_values
from dsvc.runs.notebook import (
    LOG,
    SUFFIX,
    BadNotebookError,
    defaults,
    has_failed,
    language,
    printed,
    read_notebook,
    text_of,
)
from dsvc.workspace import Workspace

_QUOTED = re.compile(r"""(['"])([^'"\n\0]{1,300})\1""")
_KERNEL = "ipykernel"  # in the command of a run that a kernel records by itself
_SETTLED = 50_000_000  # nanoseconds for which a file shall be as it is: some programs save in pieces


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a notebook: hashes of the cells whose output was seen, and the time of its last save (ns)."""

    cells: frozenset[str]
    saved: int | None


_NEVER = Seen(frozenset(), None)


@dataclass(frozen=True, slots=True)
class Saved:
    """What was recorded because a notebook was saved: its path, how many cells were executed, the runs.

    `problem` says why nothing was recorded.
    """

    path: bytes
    cells: int
    published: tuple[Published, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class Watch:
    """Looks at the notebooks of a working copy, or at those that are named, whenever `look` is called."""

    workspace: Workspace
    paths: Sequence[bytes] = ()
    _seen: dict[bytes, Seen] = field(default_factory=dict)
    _stats: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    def begin(self, *, fresh: bool) -> int:
        """Take up what an earlier watch has seen, and return how many notebooks there are.

        What is there counts as seen where no earlier watch knew the notebook, but not with `fresh`.

        Raises:
            RequestError: for a path that is no notebook.
        """
        for path in self.paths:
            if not path.endswith(SUFFIX.encode()):
                raise RequestError(f"{os.fsdecode(path)} is no notebook", hint=f"dsvc watch NAME{SUFFIX}")
        self._seen = _read_seen(self.workspace)
        known = frozenset(self._seen)
        found = list(self._notebooks())
        for path in found:
            if path not in self._seen and not fresh:
                with suppress(BadNotebookError, OSError):
                    place = self.workspace.place(path)
                    document = read_notebook(Path(os.fsdecode(place)))
                    self._seen[path] = Seen(frozenset(_executed(document)), os.stat(place).st_mtime_ns)
        with _alone(self.workspace):
            _write_seen(self.workspace, {path: seen for path, seen in self._seen.items() if path not in known})
        return len(found)

    def look(self, *, patient: bool = True) -> Iterator[Saved]:
        """Record what was executed in the notebooks that were saved since the last look.

        A file that changed this very moment is left to the next look, but not without being `patient`.
        """
        for path in self._notebooks():
            place = self.workspace.place(path)
            try:
                stat = os.stat(place)
            except OSError:
                continue
            sign = (stat.st_mtime_ns, stat.st_size)
            settling = patient and 0 <= time.time_ns() - stat.st_mtime_ns < _SETTLED
            if settling or self._stats.get(path) == sign:
                continue
            self._stats[path] = sign
            with _alone(self.workspace):  # somebody else may watch the same notebook
                saved = self._take(path, Path(os.fsdecode(place)))
            if saved is not None:
                yield saved

    def _take(self, path: bytes, place: Path) -> Saved | None:
        """Record what was executed in a notebook since somebody looked last; None where that is nothing."""
        try:
            saved_at = os.stat(place).st_mtime_ns
            document = read_notebook(place)
        except FileNotFoundError:
            return None
        except BadNotebookError as error:
            return Saved(path, 0, problem=error.message)
        before = self._seen[path] = _read_seen(self.workspace).get(path, self._seen.get(path, _NEVER))
        cells = _executed(document)
        fresh = {sign: cell for sign, cell in cells.items() if sign not in before.cells}
        if not fresh:
            return None
        try:
            saved = self._record(path, document, list(fresh.values()), before.saved)
        except (DsvcError, OSError) as error:
            del self._stats[path]  # the next look tries again
            return Saved(path, len(fresh), problem=str(error))
        self._seen[path] = Seen(frozenset(cells), saved_at)
        _write_seen(self.workspace, {path: self._seen[path]})
        return saved

    def _notebooks(self) -> Iterator[bytes]:
        """Yield the paths of notebooks that are not ignored."""
        if self.paths:
            yield from self.paths
            return
        root, rules = self.workspace.root_bytes, self.workspace.ignore_rules()
        for folder, names, files in os.walk(root):
            below = os.path.relpath(folder, root)
            prefix = b"" if below == b"." else below + b"/"
            names[:] = sorted(
                name
                for name in names
                if name not in (b".dsvc", b".git", b".ipynb_checkpoints")
                and not rules.ignored(prefix + name, is_directory=True)
            )
            for name in sorted(files):
                if name.endswith(SUFFIX.encode()) and not rules.ignored(prefix + name, is_directory=False):
                    yield prefix + name

    def _record(
        self, path: bytes, document: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], since: int | None
    ) -> Saved:
        """Record a run of the cells that were executed, unless the kernel or `dsvc run` has recorded it by itself.

        Raises what `begin_run` and `finish_run` raise.
        """
        workspace = self.workspace
        workspace.repo.refresh()
        if (since is not None and _kernel_records(workspace, since)) or _is_output(workspace, path):
            return Saved(path, len(cells))
        environment = workspace.surroundings.environment
        masker = Masker(secret_values(environment))
        name = os.fsdecode(path)
        folder = os.path.dirname(path)
        active = begin_run(
            workspace,
            Beginning(
                name=name,
                authority="derived",
                directory=folder,
                params=defaults(document) if language(document) == "python" else {},
                inputs=[workspace.place(path)],
                confirmed=True,
                declared_outputs=True,
                locks=False,  # what the kernel runs in is not known
            ),
            masker=masker,
            environment=environment,
        )
        try:
            warnings = self._tell(active, document, cells, masker=masker, path=name)
            _claim_files(workspace, active, cells, folder, since)
            active.journal.write_end(ending_facts(None, time.monotonic_ns(), {}, {}))
            return Saved(
                path, len(cells), finish_run(workspace, active.journal, active.index), tuple(warnings)
            )
        except BaseException:
            active.journal.remove()
            raise

    def _tell(
        self,
        active: ActiveRun,
        document: Mapping[str, Any],
        cells: Sequence[Mapping[str, Any]],
        *,
        masker: Masker,
        path: str,
    ) -> list[str]:
        """Write into the journal what the cells printed, and the notebook; return what is to be told."""
        text = "".join(text for cell in cells for text in printed(cell))
        write_file(active.journal.path / "stdout", masker.text(text).encode("utf-8", "replace"), durable=False)
        write_file(active.journal.path / LOG, json.dumps(document, indent=1).encode() + b"\n", durable=False)
        warnings = take_notebook(active.journal.path, masker, path=path, failed=any(map(has_failed, cells)))
        environment = self.workspace.surroundings.environment
        return warnings + take_blocks(self.workspace, active.journal, active.run, environment)


def _executed(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the cells that were executed, by a hash of their text, number and outputs."""
    found: dict[str, Mapping[str, Any]] = {}
    for cell in document["cells"]:
        if cell.get("cell_type") == "code" and isinstance(cell.get("execution_count"), int):
            metadata = cell.get("metadata")
            timing = metadata.get("execution") if isinstance(metadata, dict) else None
            facts = [text_of(cell.get("source")), cell["execution_count"], cell.get("outputs"), timing]
            found[content_id(json.dumps(facts, sort_keys=True).encode()).hex()] = cell
    return found


def _kernel_records(workspace: Workspace, since: int) -> bool:
    """Say whether a kernel that uses `import dsvc` has recorded a run since a moment (ns since 1970)."""
    with open_runs(workspace) as index:
        for row in (*running_runs(workspace), *index.summaries()):
            if row.start >= since // 1000 and _KERNEL in row.command:
                return True
    return False


def _is_output(workspace: Workspace, path: bytes) -> bool:
    """Say whether a recorded run wrote a notebook as it is now: `dsvc run A.ipynb B.ipynb` does."""
    found = content_id(Path(os.fsdecode(workspace.place(path))).read_bytes())
    with open_runs(workspace) as index:
        return any(met.path == path for met in index.meetings([found], outputs=True).get(found, ()))


def _claim_files(
    workspace: Workspace, active: ActiveRun, cells: Sequence[Mapping[str, Any]], folder: bytes, since: int | None
) -> None:
    """Say that the files which the cells name were read, or written where they are newer than the last save."""
    from dsvc.runs import events
    from dsvc.runs.journal import EventLog

    if since is None:  # nobody knows which of them are older than the cells
        return
    root = os.path.realpath(workspace.root_bytes)
    names = {found[2] for cell in cells for found in _QUOTED.finditer(text_of(cell.get("source")))}
    log = EventLog(active.journal.path)
    try:
        for name in sorted(names):
            try:
                place = os.path.normpath(os.path.join(root, folder, os.fsencode(name)))
                stat = os.stat(place)
            except (OSError, ValueError):
                continue
            inside = place.startswith(root + b"/") and not place.startswith(root + b"/.dsvc/")
            if not inside or not os.path.isfile(place) or place.endswith(SUFFIX.encode()):
                continue
            log.append((events.OUTPUT, place) if stat.st_mtime_ns > since else (events.INPUT, place, b""))
    finally:
        log.close()


def _place_of_seen(workspace: Workspace) -> Path:
    return workspace.local / "watched"


def _read_seen(workspace: Workspace) -> dict[bytes, Seen]:
    try:
        found = json.loads(_place_of_seen(workspace).read_bytes())
        return {os.fsencode(path): Seen(frozenset(cells), int(saved)) for path, (cells, saved) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_seen(workspace: Workspace, seen: Mapping[bytes, Seen]) -> None:
    """Add what was seen of these notebooks to what is written down; the caller is `_alone`."""
    known = {**_read_seen(workspace), **seen}
    found = {os.fsdecode(path): [sorted(one.cells), one.saved] for path, one in sorted(known.items())}
    write_file(_place_of_seen(workspace), json.dumps(found).encode(), durable=False)


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """Keep others that watch this working copy waiting, so that nothing is recorded twice or forgotten."""
    with open(workspace.local / "watched.lock", "ab") as lock:
        with suppress(OSError):  # where the disk knows no locks, only one should watch
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
