"""Bring the outputs of a pipeline up to date: run what is out of date, restore what was made before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Literal

from dsvc.actions.data_get import absent_at, bring_absent
from dsvc.actions.restore import restore
from dsvc.actions.run_begin import start_index
from dsvc.actions.run_environment import lock_environment
from dsvc.actions.runs import get_run, open_runs
from dsvc.environments.encoding import decode_environment, packages_key
from dsvc.errors import DsvcError, RequestError
from dsvc.objects import codec, trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import EnvironmentId, Kind, content_id
from dsvc.objects.tree import Entry
from dsvc.pipelines.order import needs, wanted
from dsvc.pipelines.stages import BadPipelineError, Stage, read_stages
from dsvc.runs.names import RunKey
from dsvc.runs.params import find_params_file, read_params_file
from dsvc.workspace import Workspace
from dsvc.worktree.ignore import IgnoreRules
from dsvc.worktree.record import Recorder

STAGE, STAGE_KEY = "stage", "stage-key"  # labels of the run of a stage
_FORM = 1  # of the key: another one makes all stages run again

What = Literal["unchanged", "restored", "ran", "failed", "blocked", "would run", "would restore"]


class DepMissingError(RequestError):
    """A stage reads a file that is not there and that no stage makes."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """What became of a stage: which run made its outputs, how the command ended, and how long it took (seconds).

    `missing` are the outputs that are not there after its command.
    """

    name: str
    what: What
    run: RunKey | None = None
    exit_code: int | None = None
    seconds: float = 0.0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repro:
    """How to bring a pipeline up to date: `jobs` stages at a time; `force` runs all; `dry_run` only tells."""

    names: Sequence[str] = ()
    jobs: int = 1
    force: bool = False
    dry_run: bool = False


def repro(
    workspace: Workspace,
    request: Repro,
    *,
    environment: Mapping[str, str],
    tell: Callable[[StageResult], None],
    output: int | None = None,
) -> list[StageResult]:
    """Bring the stages of `dsvc.toml` up to date; return what became of each, in the order in which they ended.

    A stage is known by its command, the content of what it reads, its parameters, and the interpreter and packages it
    runs with. Where a run of the same was recorded, on whatever branch or clone, its outputs are taken from the store.
    In a partial clone what a stage reads is fetched when it has to run.
    A stage fails by the exit code of its command, or when an output is not there afterwards; it keeps those that need
    it from running, and the others go on. What the commands print goes to the
    descriptor `output`, or where this process prints.

    Raises:
        BadPipelineError, DepMissingError: before anything runs. What `restore` raises, but for content that is not
        stored: then the stage runs.
    """
    stages = {stage.name: stage for stage in read_stages(workspace.root)}
    graph = needs(list(stages.values()))
    chosen = wanted(request.names, graph)
    made = {path for stage in stages.values() for path in stage.written}
    for name in chosen:
        _check(workspace, stages[name], made)
    order = TopologicalSorter({name: graph[name] & chosen for name in stages if name in chosen})
    order.prepare()
    results: list[StageResult] = []
    state = _State(workspace, environment)
    bad: set[str] = set()
    unknown: set[str] = set()  # stages of which it is not known what they will write

    def note(result: StageResult) -> None:
        results.append(result)
        if result.what in ("failed", "blocked"):
            bad.add(result.name)
        elif result.what.startswith("would"):
            unknown.add(result.name)
        tell(result)
        order.done(result.name)

    with ThreadPoolExecutor(max(1, request.jobs), thread_name_prefix="dsvc-stage") as pool:
        running: dict[Future[tuple[int, float]], tuple[Stage, str]] = {}
        ready: list[str] = []
        while order.is_active():
            ready += order.get_ready()
            while ready and len(running) < max(1, request.jobs):
                stage = stages[ready.pop(0)]
                if graph[stage.name] & bad:
                    note(StageResult(stage.name, "blocked"))
                    ready += order.get_ready()
                    continue
                if graph[stage.name] & unknown:
                    note(StageResult(stage.name, "would run"))
                    ready += order.get_ready()
                    continue
                key = state.key(stage)
                result = None if request.force else _from_before(workspace, state, stage, key, dry_run=request.dry_run)
                if result is None and request.dry_run:
                    result = StageResult(stage.name, "would run")
                if result is not None:
                    note(result)
                    ready += order.get_ready()
                    continue
                absent = absent_at(workspace, [os.fsencode(path) for path in stage.deps])
                if absent and running:  # whose files are compared before and after
                    ready.insert(0, stage.name)
                    break
                if absent:
                    bring_absent(workspace, absent)
                words = _words(workspace, stage, key, state.params(stage), alone=request.jobs <= 1)
                running[pool.submit(_execute, workspace, words, stage, environment, output)] = stage, key
            if not running:
                continue
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                stage, key = running.pop(future)
                code, seconds = future.result()
                workspace.repo.refresh()
                run = _made(workspace, key)
                missing = () if code else _missing(workspace, stage)
                note(StageResult(stage.name, "failed" if code or missing else "ran", run, code, seconds, missing))
    return results


def _missing(workspace: Workspace, stage: Stage) -> tuple[str, ...]:
    """Return the outputs of a stage that are not there."""
    return tuple(path for path in stage.written if not os.path.lexists(workspace.place(os.fsencode(path))))


def _check(workspace: Workspace, stage: Stage, made: Iterable[str]) -> None:
    for dep in stage.deps:
        if any(dep == path or dep.startswith(f"{path}/") or path.startswith(f"{dep}/") for path in made):
            continue
        name = os.fsencode(dep)
        if not os.path.lexists(workspace.place(name)) and not absent_at(workspace, [name]):
            raise DepMissingError(
                f"stage {stage.name} reads {dep}, which is not there and which no stage writes",
                hint="dsvc status shows what there is; a path is relative to the root of the working copy",
            )


class _State:
    """The working copy as stages meet it."""

    def __init__(self, workspace: Workspace, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environment = environment
        self._packages: bytes | None = None
        self._locked = False

    def entries(self, paths: Sequence[str]) -> dict[str, Entry | None]:
        """Return what stands at these paths, None where nothing does; ignored files count where they are named."""
        workspace, names = self._workspace, [os.fsencode(path) for path in paths]
        tree = self._recorded(names, workspace.ignore_rules()) if names else None
        found: dict[str, Entry | None] = {}
        for path, name in zip(paths, names, strict=True):
            found[path] = trees.lookup(workspace.repo.store, tree, name) if tree is not None else None
            if found[path] is None and os.path.lexists(workspace.place(name)):
                loose = self._recorded([name], IgnoreRules.nothing(workspace.root_bytes))
                found[path] = trees.lookup(workspace.repo.store, loose, name)
        workspace.repo.store.abandon()  # the run stores it
        return found

    def _recorded(self, names: Sequence[bytes], rules: IgnoreRules) -> bytes:
        workspace = self._workspace
        recorder = Recorder(
            workspace.repo.store,
            workspace.root_bytes,
            start_index(workspace),
            rules,
            stamp=workspace.clock(),
            paths=names,
        )
        return recorder.run().tree

    def params(self, stage: Stage) -> dict[str, Value]:
        """Return the values of a stage's parameters; raises BadPipelineError for one that is not there."""
        found: dict[str, Value] = {}
        files: dict[str, dict[str, Value]] = {}
        for file, name in stage.params:
            if file not in files:
                path = self._workspace.root / file if file else find_params_file([self._workspace.root])
                if path is None or not path.is_file():
                    raise BadPipelineError(f"stage {stage.name}: there is no {file or 'params.yaml'} for {name}")
                files[file] = read_params_file(path)
            value: Value = files[file]
            for part in name.split("."):
                if not isinstance(value, dict) or part not in value:
                    raise BadPipelineError(f"stage {stage.name}: {file or 'the file of parameters'} has no {name}")
                value = value[part]
            found[name] = value
        return found

    def key(self, stage: Stage) -> str:
        """Return what a run of this stage would be known by, 64 hexadecimal digits."""
        deps = self.entries(stage.deps)
        said = {
            "form": _FORM,
            "cmd": stage.cmd,
            "wdir": stage.wdir,
            "deps": [(path, None if e is None else (int(e.kind), bytes(e.id))) for path, e in sorted(deps.items())],
            "outs": sorted(stage.written),
            "params": self.params(stage),
            "packages": self._packages_now(),
        }
        return content_id(codec.encode(said)).hex()

    def _packages_now(self) -> bytes | None:
        if not self._locked:
            self._locked = True
            workspace = self._workspace
            shell = shutil.which("sh", path=self._environment.get("PATH", os.defpath)) or "/bin/sh"
            found: EnvironmentId | None = lock_environment(workspace, program=shell, environment=self._environment)
            if found is not None:
                environment = decode_environment(workspace.repo.store.get(found, Kind.ENVIRONMENT))
                self._packages = bytes(packages_key(environment))
            workspace.repo.store.abandon()
        return self._packages


def _runs_with(workspace: Workspace, key: str) -> Iterator[RunKey]:
    """Yield the runs of a stage that ended well under this key, the newest first."""
    with open_runs(workspace) as index:
        rows = [row.key for row in index.summaries() if row.labels.get(STAGE_KEY) == key and row.state == "done"]
    yield from sorted(rows, reverse=True)


def _made(workspace: Workspace, key: str) -> RunKey | None:
    return next(_runs_with(workspace, key), None)


def _from_before(
    workspace: Workspace, state: _State, stage: Stage, key: str, *, dry_run: bool
) -> StageResult | None:
    """Return that the outputs are what a run wrote, or restore them from the store; None: the stage has to run."""
    for run_key in _runs_with(workspace, key):
        run, _ = get_run(workspace, run_key)
        tree = run.outputs.tree
        if stage.written and tree is None:
            continue
        store = workspace.repo.store
        before = {p: trees.lookup(store, tree, os.fsencode(p)) if tree else None for p in stage.written}
        if any(entry is None for entry in before.values()):
            continue
        now = state.entries(stage.written)
        changed = [path for path in stage.written if now[path] != before[path]]
        if not changed:
            return StageResult(stage.name, "unchanged", run_key)
        if dry_run:
            return StageResult(stage.name, "would restore", run_key)
        assert tree is not None
        try:
            restore(workspace, [os.fsencode(path) for path in changed], source=tree.hex())
        except DsvcError:
            continue  # its content is not here any more
        return StageResult(stage.name, "restored", run_key)
    return None


def _words(
    workspace: Workspace, stage: Stage, key: str, params: Mapping[str, Value], *, alone: bool
) -> list[str]:
    """Return the command that runs and records a stage."""
    root = str(workspace.root)
    words = [sys.executable, "-m", "dsvc", "run", "--quiet", "--yes"]
    words += [] if alone else ["--declared-outputs"]
    words += [f"--label={STAGE}={stage.name}", f"--label={STAGE_KEY}={key}"]
    words += [f"--message={stage.desc}"] if stage.desc else []
    words += [f"--input={os.path.join(root, path)}" for path in stage.deps]
    words += [f"--output={os.path.join(root, path)}" for path in stage.written]
    words += [f"--metrics={os.path.join(root, path)}" for path in stage.metrics]
    words += [f"--param={name}={json.dumps(value)}" for name, value in params.items()]
    return [*words, "--", "sh", "-c", stage.cmd]


def _execute(
    workspace: Workspace, words: Sequence[str], stage: Stage, environment: Mapping[str, str], output: int | None
) -> tuple[int, float]:
    began = time.monotonic()
    folder = os.path.join(workspace.root, stage.wdir)
    for path in stage.written:
        os.makedirs(os.path.dirname(os.path.join(workspace.root, path)), exist_ok=True)
    done = subprocess.run(
        words, cwd=folder, env=dict(environment), stdout=output, stdin=subprocess.DEVNULL, check=False
    )
    return done.returncode, time.monotonic() - began
