"""Run a command and record the run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from dsvc.actions.run_begin import ActiveRun, Beginning, begin_run, journals_of
from dsvc.actions.run_blocks import dotscience_variables, take_blocks
from dsvc.actions.run_container import container_words
from dsvc.actions.run_finish import Published, finish_run
from dsvc.actions.run_metrics import take_metrics
from dsvc.actions.run_notebook import find_notebook, take_notebook
from dsvc.errors import DsvcError
from dsvc.objects.codec import Value
from dsvc.runs import hook
from dsvc.runs.container import find_container
from dsvc.runs.logs import LogFile
from dsvc.runs.machine import GraphicsWatch
from dsvc.runs.masking import Masker, secret_values
from dsvc.runs.names import KEY_LENGTH, RunKey
from dsvc.runs.notebook import is_notebook
from dsvc.runs.params import BadParamsError, find_params_file, overridden, params_of_words, read_params_file
from dsvc.runs.process import Command, Ending, Sink, Stream, find_program
from dsvc.runs.secret_words import SecretWords
from dsvc.runs.strace import TRACE, find_strace, traced_words, wait_for_trace
from dsvc.workspace import Workspace

Trace = Literal["auto", "python", "strace", "none"]
RUN, ROOTS = "DSVC_RUN", "DSVC_RUN_ROOTS"  # variables: the journal of the run around a process, what is observed


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run and what is said of it. Inputs and outputs are paths as `directory` sees them."""

    words: Sequence[str]
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    params: Mapping[str, Value] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    variables: Sequence[str] = ()
    trace: Trace = "auto"
    confirmed: bool = False
    metrics: Sequence[str] = ()  # files of which the values become metrics
    declared_outputs: bool = False  # what else changes in the working copy is somebody else's
    container: str = ""  # an image to run it in


class Screen(NamedTuple):
    """Where the output of the command is shown; `out_terminal` and `err_terminal` are descriptors of terminals."""

    out: Sink
    err: Sink
    out_terminal: int | None = None
    err_terminal: int | None = None


class RunResult(NamedTuple):
    """How the command ended, and its record; `published` is None with the `problem` that kept it from being made."""

    ending: Ending
    published: Published | None
    warnings: tuple[str, ...] = ()
    problem: DsvcError | OSError | None = None


def run(
    workspace: Workspace, request: RunRequest, screen: Screen, *, directory: Path, environment: Mapping[str, str]
) -> RunResult:
    """Run a command in `directory` and record it, whatever comes of it; a notebook as first word is executed.

    Once it has started nothing is raised for what goes wrong here: a record that cannot be made now is made by a later
    command from what was written down.

    Raises:
        CommandNotFoundError, NotExecutableError, NoNotebooksError, NoEngineError: for what cannot be run; no record
            is made then.
        DsvcError, OSError: when the run cannot begin; see `begin_run`.
    """
    notebook = None
    if is_notebook(request.words) and not request.container:
        notebook = find_notebook(request.words, request.params, directory=directory, environment=environment)
    container = find_container(request.container, environment) if request.container else None
    if container is not None:
        program = container.engine
    else:
        program = find_program(request.words[0], environment) if notebook is None else notebook.program
    warnings: list[str] = []
    params, source = _params(workspace, request, directory, warnings)
    if notebook is not None:
        params |= notebook.params
    masker = Masker(secret_values(environment, request.words, params))
    traces = request.trace == "strace" and container is None
    if request.trace == "strace" and not traces:
        warnings.append("strace does not see into a container: what Python opens there is observed")
    observes = request.trace != "none" and not traces
    strace = find_strace(environment) if traces else None
    inputs = [absolute_path(directory, path) for path in request.inputs]
    outputs = [absolute_path(directory, path) for path in request.outputs]
    measured = _metrics_files(workspace, request, directory)
    active = begin_run(
        workspace,
        Beginning(
            command=request.words if notebook is None else notebook.words,
            directory=workspace.repo_path(directory, directory),
            description=request.description,
            params=params,
            labels=request.labels,
            inputs=inputs,
            outputs=outputs,
            variables={name: environment[name] for name in request.variables if name in environment},
            parent=run_around(workspace, environment),
            program=program,
            confirmed=request.confirmed,
            declared_outputs=request.declared_outputs,
            observation=({"params": source} if source else {}) | _metrics_named(workspace, measured),
            locks=container is None,
        ),
        masker=masker,
        environment=environment,
    )
    variables = run_variables(
        workspace, active, environment, observes=observes, outside=_outside(workspace, [*inputs, *outputs])
    )
    began = time.time_ns()
    try:
        words = request.words if notebook is None else notebook.order(active)
        if container is not None:
            words = container_words(
                workspace,
                active,
                container,
                words,
                directory=directory,
                variables=variables,
                names=request.variables,
                inputs=inputs,
                observes=observes,
            )
        ending = _execute(
            active,
            program,
            words,
            screen=screen,
            variables=variables,
            masker=masker,
            strace=strace,
            measures=container is None,  # otherwise it is the engine's program that is measured
        )
    except BaseException:
        active.journal.remove()
        raise
    if notebook is not None:
        warnings += take_notebook(active.journal.path, masker, path=notebook.call.path, failed=ending.shell_code != 0)
    warnings += take_blocks(workspace, active.journal, active.run, variables)
    warnings += take_metrics(active.journal, measured, began=began)
    try:
        published = finish_run(workspace, active.journal, active.index)
    except (DsvcError, OSError) as error:
        active.journal.release()
        return RunResult(ending, None, tuple(warnings), error)
    return RunResult(ending, published[0], tuple(warnings))


def _execute(
    active: ActiveRun,
    program: str,
    words: Sequence[str],
    *,
    screen: Screen,
    variables: Mapping[str, str],
    masker: Masker,
    strace: str | None = None,
    measures: bool = True,
) -> Ending:
    journal = active.journal
    logs = [LogFile(journal.path / name, masker.secrets) for name in ("stdout", "stderr")]
    graphics = GraphicsWatch(variables.get("PATH"))
    trace = journal.path / TRACE
    if strace is not None:
        words, program = traced_words(strace, program, words, trace), strace
    pids: list[int] = []
    began = time.monotonic_ns()
    try:
        command = Command(
            program,
            words,
            variables,
            Stream(logs[0].write, screen.out, screen.out_terminal),
            Stream(logs[1].write, screen.err, screen.err_terminal),
            every=graphics.look if graphics.is_there else None,
        )
        ending = command.run(pids.append)
    finally:
        for log in logs:
            log.close()
    if graphics.is_there:
        graphics.look()
    observation: dict[str, Value] = {}
    if strace is not None and not wait_for_trace(trace, pids[0]):
        observation["trace_cut"] = True
    dropped = sum(log.dropped for log in logs)
    if dropped:
        observation["log_bytes_dropped"] = dropped
    if ending.left_running:
        observation["left_running"] = True
    with suppress(OSError):  # without it the run is one whose end nobody knows
        facts = ending_facts(ending, began, graphics.peak, observation)
        if not measures:
            del facts["resources"]
        journal.write_end(facts)
    return ending


def ending_facts(
    ending: Ending | None, began: int, graphics: Mapping[str, int], observation: Mapping[str, Value]
) -> dict[str, object]:
    """Return what the journal says of the end of a run that began at `began` of the steady clock (nanoseconds)."""
    now, steady = time.time_ns(), time.monotonic_ns()
    facts: dict[str, object] = {
        "elapsed": (steady - began) // 1000,
        "clocks": (now, steady),
        "observation": observation,
    }
    if ending is not None:
        resources: dict[str, Value] = {
            "cpu_user": ending.cpu_user,
            "cpu_system": ending.cpu_system,
            "peak_memory" if ending.peak_memory > ending.least else "peak_memory_below": ending.peak_memory,
        }
        if graphics:
            resources["graphics"] = dict(graphics)
        facts["resources"] = resources
        facts |= {"exit_code": ending.exit_code} if ending.signal is None else {"signal": ending.signal}
    return facts


def run_variables(
    workspace: Workspace,
    active: ActiveRun,
    environment: Mapping[str, str],
    *,
    observes: bool,
    outside: Sequence[bytes] = (),
) -> dict[str, str]:
    """Return the environment of a run's processes: with its journal, and what lets Python interpreters be observed."""
    root = os.path.realpath(workspace.root)
    variables = {**environment, **dotscience_variables(workspace, environment)}
    variables[RUN] = os.path.realpath(active.journal.path)
    variables[ROOTS] = os.pathsep.join([root, *map(os.fsdecode, outside)])
    if observes:
        here = str(Path(hook.__file__).parent)
        before = environment.get("PYTHONPATH", "")
        others = [entry for entry in before.split(os.pathsep) if entry and entry != here]
        variables["PYTHONPATH"] = os.pathsep.join([here, *others])
    return variables


def run_around(workspace: Workspace, environment: Mapping[str, str]) -> RunKey | None:
    """Return the key of the run around this process, None where there is none in this working copy."""
    path = environment.get(RUN)
    if not path or os.path.dirname(path) != os.path.realpath(journals_of(workspace)):
        return None
    try:
        key = bytes.fromhex(os.path.basename(path))
    except ValueError:
        return None
    return RunKey(key) if len(key) == KEY_LENGTH and os.path.isdir(path) else None


def _params(
    workspace: Workspace, request: RunRequest, directory: Path, warnings: list[str]
) -> tuple[dict[str, Value], str]:
    """Return the parameters of a run, and the name of the file from which some of them come."""
    params: dict[str, Value] = {}
    source = ""
    file = find_params_file([directory, workspace.root])
    if file is not None:
        try:
            params |= read_params_file(file)
            source = file.name
        except BadParamsError as error:
            warnings.append(error.message)
    shown = list(SecretWords().items(request.words))  # a credential becomes no parameter: `curl --user ada:...`
    return overridden(overridden(params, params_of_words(shown)), request.params), source


def _outside(workspace: Workspace, paths: Sequence[bytes]) -> list[bytes]:
    """Return those of the declared paths that lie outside of the working copy, which are observed too."""
    root = os.path.realpath(workspace.root_bytes) + b"/"
    return [path for path in paths if not path.startswith(root)]


def _metrics_files(workspace: Workspace, request: RunRequest, directory: Path) -> list[Path]:
    """Return the files from which metrics are to come: those that are asked for, then those of the settings."""
    named = [directory / path for path in request.metrics]
    named += [workspace.root / path for path in workspace.config.get_list("run.metrics")]
    return [Path(path) for path in dict.fromkeys(map(os.path.normpath, named))]


def _metrics_named(workspace: Workspace, files: Sequence[Path]) -> dict[str, Value]:
    """Return what a record says of the files from which metrics are to come: a repetition takes them from there too."""
    found = []
    for path in files:
        with suppress(DsvcError, UnicodeError):  # one outside of the working copy
            found.append(workspace.repo_path(path.name, path.parent).decode())
    return {"metrics": tuple(found)} if found else {}


def absolute_path(directory: Path | str, path: str | bytes) -> bytes:
    """Return a path as the file system spells it, without dots; links on the way stay what they are."""
    return os.path.normpath(os.path.join(os.fsencode(os.path.realpath(directory)), os.fsencode(path)))
