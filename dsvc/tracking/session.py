"""The runs of this process: which is under way, and their way to a record. There is one session in a process."""

from __future__ import annotations

import atexit
import os
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dsvc.runs.journal import journal_around
from dsvc.runs.names import RunKey
from dsvc.runs.values import clean_name, clean_text, storable
from dsvc.tracking.run import Run, error_text

if TYPE_CHECKING:
    from dsvc.actions.run_begin import ActiveRun
    from dsvc.runs.machine import GraphicsWatch
    from dsvc.workspace import Workspace
    from dsvc.worktree.record import Recorded

_PUBLISHED_EVERY = 2.0  # seconds: runs that end in quick succession are published together
_TOGETHER = 200  # runs that wait at most


class _Recording:
    """What this process knows of a run that it records by itself."""

    def __init__(self, active: ActiveRun, graphics: GraphicsWatch) -> None:
        self.active = active
        self.graphics = graphics
        self.began = time.monotonic_ns()
        self.usage = resource.getrusage(resource.RUSAGE_SELF)


class Session:
    """Begins, nests and ends the runs of one process."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._pid = os.getpid()
        self._stack: list[Run] = []
        self._recordings: dict[RunKey, _Recording] = {}
        self._waiting: list[tuple[_Recording, Recorded]] = []
        self._workspace: Workspace | None = None
        self._joined = False
        self._published_at = 0.0
        self._hooked = False

    def active(self) -> Run | None:
        """Return the innermost run under way."""
        return self._stack[-1] if self._stack else None

    def active_or_new(self) -> Run:
        """Return the innermost run under way; begin one where there is none."""
        return self.active() or self.start()

    def start(
        self,
        name: str = "",
        *,
        params: Mapping[str, object] | None = None,
        labels: Mapping[str, str] | Sequence[str] = (),
        description: str = "",
        inputs: Sequence[str] = (),
    ) -> Run:
        """Begin a run, inside the one that is under way if there is one.

        The first one of a process that `dsvc run` started joins the run that is recorded there.

        Raises:
            NotARepositoryError: where the current folder is in no repository. DsvcError, OSError: see `begin_run`.
        """
        self._watch_exit()
        given = labels if isinstance(labels, Mapping) else dict.fromkeys(labels, "")
        around = journal_around(self._environment)
        if around is not None and not self._joined:
            self._joined = True
            run = Run(RunKey(bytes.fromhex(around.name)), around, close=self._left)
            if name:
                run.name(name)
            if description:
                run.description(description)
            run.params(dict(params or {}))
            for label, text in given.items():
                run.label(label, text)
            for path in inputs:
                run.input(path)
        else:
            try:
                run = self._begin(name, dict(params or {}), dict(given), description, inputs, around=around)
            except OSError as error:
                text = f"the run cannot be recorded: {error.strerror or error}"
                raise OSError(error.errno, text, error.filename) from error
        self._stack.append(run)
        return run

    def _begin(
        self,
        name: str,
        params: dict[str, object],
        labels: dict[str, str],
        description: str,
        inputs: Sequence[str],
        *,
        around: Path | None,
    ) -> Run:
        from dsvc.actions.run import absolute_path
        from dsvc.actions.run_begin import Beginning, begin_run
        from dsvc.runs.machine import GraphicsWatch
        from dsvc.runs.masking import Masker, secret_values
        from dsvc.tracking.opening import current_folder, open_workspace

        words = tuple(clean_text(word) for word in getattr(sys, "orig_argv", sys.argv))
        folder = current_folder()
        if self._workspace is None:
            self._workspace = open_workspace(folder, self._environment, words)
        else:
            self._workspace.repo.refresh()
        workspace = self._workspace
        parent = self._stack[-1].key if self._stack else RunKey(bytes.fromhex(around.name)) if around else None
        values = {clean_name(str(key)): storable(value) for key, value in params.items()}
        self._observe(None)  # not what is read here
        active = begin_run(
            workspace,
            Beginning(
                command=words,
                directory=_below(workspace.root, folder),
                name=name or _notebook(self._environment),
                description=description,
                params=values,
                labels=labels,
                inputs=[absolute_path(folder, path) for path in inputs],
                parent=parent,
                program=sys.executable,
                confirmed=True,
            ),
            masker=Masker(secret_values(self._environment)),
            environment=self._environment,
            stored={after.tree for _, after in self._waiting},
        )
        graphics = GraphicsWatch(self._environment.get("PATH"))
        graphics.follow()
        self._recordings[active.run.key] = _Recording(active, graphics)
        if around is None:
            _note_loaded(active.journal.path, os.path.realpath(workspace.root))
        self._observe(active.journal.path if around is None else around)
        return Run(active.run.key, active.journal.path, close=self._end)

    def _observe(self, folder: Path | None) -> None:
        """Let what this interpreter opens be noted in this journal, or nowhere."""
        loaded = sys.modules.get("dsvc_observer") or sys.modules.get("dsvc.runs.hook.dsvc_observer")
        switches: list[Callable[[str | None], None]] = getattr(loaded, "switches", [])
        if switches:
            switches[0](None if folder is None else os.fspath(folder))
        elif folder is not None and self._workspace is not None:
            from dsvc.runs.hook.dsvc_observer import observe

            observe(os.fspath(folder), [os.path.realpath(self._workspace.root)])

    def _observe_innermost(self) -> None:
        """Let what is opened be noted for the innermost run that is under way."""
        around = journal_around(self._environment)
        inner = self._recordings.get(self._stack[-1].key) if self._stack else None
        self._observe(around if around is not None else inner.active.journal.path if inner is not None else None)

    def _left(self, run: Run) -> None:
        """Leave a run that `dsvc run` records: it goes on there."""
        if run in self._stack:
            self._stack.remove(run)

    def _end(self, run: Run) -> None:
        """End a run that this process records, with those inside it that are still under way."""
        if os.getpid() != self._pid:
            return  # a process that was forked: the run is that of the other one
        while run in self._stack:
            inner = self._stack[-1]
            if inner is not run:
                inner.end()
                continue
            self._stack.pop()
        recording = self._recordings.pop(run.key, None)
        if recording is None or self._workspace is None:
            return
        self._observe(None)
        self._finish(self._workspace, recording)
        self._observe_innermost()

    def _finish(self, workspace: Workspace, recording: _Recording) -> None:
        from dsvc.actions.run import ending_facts
        from dsvc.actions.run_begin import record_state
        from dsvc.errors import DsvcError

        journal, graphics = recording.active.journal, recording.graphics
        try:
            graphics.look()  # also after less than a second
            graphics.leave()
            facts = ending_facts(None, recording.began, {}, {})
            facts["resources"] = _used(recording.usage) | ({"graphics": graphics.peak} if graphics.peak else {})
            journal.write_end(facts)
            if journal_around(self._environment) is not None:
                journal.release()  # `dsvc run` makes the record, together with its own
                return
            after = record_state(workspace, recording.active.index, confirmed=True)
            workspace.repo.store.flush()  # the next run may begin from it
            self._waiting.append((recording, after))
            waited = time.monotonic() - self._published_at
            if not self._stack and (len(self._waiting) >= _TOGETHER or waited > _PUBLISHED_EVERY):
                self.publish()
        except (DsvcError, OSError, RuntimeError) as error:
            journal.release()
            text = f"the run is not recorded yet: {error}; 'dsvc runs' tries again"
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    def publish(self) -> None:
        """Publish the records of runs that have ended and wait.

        Raises:
            DsvcError, OSError: when that cannot be done now; a later command does it.
        """
        from dsvc.actions.run_finish import publish_runs

        waiting, self._waiting = self._waiting, []
        if not waiting or self._workspace is None:
            return
        try:
            publish_runs(self._workspace, [(recording.active.journal, after) for recording, after in waiting])
        finally:
            for recording, _ in waiting:
                recording.active.journal.release()
            self._published_at = time.monotonic()

    def _watch_exit(self) -> None:
        if self._hooked:
            return
        self._hooked = True
        # Before threads are shut down: the store needs some, and at the time of atexit none can be started.
        register = getattr(threading, "_register_atexit", atexit.register)
        import concurrent.futures.thread  # noqa: F401 - it ends its threads at the same time, after what comes now

        register(self._leave)
        os.register_at_fork(after_in_child=self._forked)
        before = sys.excepthook

        def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if os.getpid() == self._pid:
                for run in self._stack:
                    if not run.error_text and not issubclass(kind, SystemExit):
                        run.error(error_text(error))
            before(kind, error, trace)

        sys.excepthook = note

    def _forked(self) -> None:
        """Let go, in a process that was forked, of what says that the runs are still under way."""
        for recording in self._recordings.values():
            recording.active.journal.release()

    def _leave(self) -> None:
        """End what is under way when the process ends, and publish what waits."""
        from dsvc.errors import DsvcError

        if os.getpid() != self._pid:
            return
        while self._stack:
            run = self._stack[-1]
            run.end()
            run.is_late = True
        try:
            self._observe(None)
            self.publish()
        except (DsvcError, OSError, RuntimeError) as error:
            print(f"dsvc: the run is not recorded yet: {error}; 'dsvc runs' tries again", file=sys.stderr)  # noqa: T201
        if self._workspace is not None:
            self._workspace.close()
            self._workspace = None


def _note_loaded(journal: Path, root: str) -> None:
    """Note the code of this program that was read before anybody observed it: its script, and modules beside it."""
    prefixes = {os.path.join(os.path.realpath(p), "") for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    files = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    paths = {os.path.realpath(file) for file in files if isinstance(file, str)}
    own = [path for path in paths if path.startswith(os.path.join(root, "")) and not path.startswith((*prefixes,))]
    with suppress(OSError):
        (journal / "opens-loaded").write_bytes(b"".join(os.fsencode(path) + b"\0" for path in own))


def _notebook(environment: Mapping[str, str]) -> str:
    """Return the name of the notebook whose kernel this is; Jupyter Server 2 tells its kernels."""
    path = environment.get("JPY_SESSION_NAME", "") if "ipykernel" in sys.modules else ""
    return clean_text(os.path.basename(path))


def _below(root: Path, folder: Path) -> bytes:
    relative = os.path.relpath(os.path.realpath(folder), os.path.realpath(root))
    return b"" if relative == "." or relative.startswith("..") else os.fsencode(relative)


def _used(before: resource.struct_rusage) -> dict[str, Any]:
    now = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_user": int((now.ru_utime - before.ru_utime) * 1e6),
        "cpu_system": int((now.ru_stime - before.ru_stime) * 1e6),
        "peak_memory": now.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }

