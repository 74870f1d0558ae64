"""Repeat a run in a clean folder, and compare what came of it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dsvc.actions.lineage_target import FileTarget, RunTarget, find_targets
from dsvc.actions.rerun_compare import MetricCheck, OutputCheck, Verdict, compare_metrics, compare_outputs, ignoring
from dsvc.actions.rerun_environment import EnvironmentUsed, Where, find_environment_for
from dsvc.actions.rerun_folder import InputsGoneError, clean_folder
from dsvc.actions.run import RunRequest, Screen, run
from dsvc.actions.run_standing import Standing
from dsvc.actions.runs import get_run, open_runs
from dsvc.errors import RequestError
from dsvc.objects.codec import Value
from dsvc.objects.ids import RunId
from dsvc.refs.names import RUNS
from dsvc.runs.container import META
from dsvc.runs.index import RunIndex
from dsvc.runs.names import RERUN_OF, RunKey, short_key
from dsvc.runs.notebook import is_notebook
from dsvc.runs.pins import Pin, Seen, read_pins
from dsvc.runs.record import Run
from dsvc.runs.secret_words import MASK
from dsvc.runs.summary import summarize
from dsvc.workspace import Workspace

Outcome = Literal["identical", "close", "different"]


class NotRepeatableError(RequestError):
    """A run cannot be executed again."""


@dataclass(frozen=True, slots=True)
class RerunRequest:
    """How to repeat a run.

    `tolerance` is how far numbers may differ, as a part of the larger one. `ignore` are patterns of paths and of
    `metrics.NAME` that are not compared. With `check` nothing stays of it, neither a record nor the folder; otherwise
    `keep` is where the folder stays. `anyway` repeats also without inputs that cannot be had, and where files outside
    of the working copy would be written.
    """

    tolerance: float = 1e-6
    ignore: Sequence[str] = ()
    check: bool = False
    keep: Path | None = None
    where: Where = "auto"
    installer: Literal["pip", "uv"] = "pip"
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class RerunResult:
    """What was repeated, the repetition (`kept` says whether its record is), and how they differ."""

    old: Run
    new: Run
    kept: bool
    environment: EnvironmentUsed
    outputs: tuple[OutputCheck, ...]
    metrics: tuple[MetricCheck, ...]
    lacking: tuple[bytes, ...] = ()
    same_end: bool = True

    @property
    def outcome(self) -> Outcome:
        """What the worst of all comparisons says."""
        verdicts: set[Verdict] = {check.verdict for check in self.outputs} | {check.verdict for check in self.metrics}
        if not self.same_end or verdicts & {"different", "missing", "new"}:
            return "different"
        return "close" if "close" in verdicts else "identical"


def rerun(
    workspace: Workspace,
    name: str | bytes,
    request: RerunRequest,
    screen: Screen,
    *,
    tell: Callable[[str], None] = lambda _text: None,
) -> RerunResult:
    """Repeat the run that is named, or that wrote the file at a path (as bytes), and compare what came of it.

    It takes place in a folder of its own, with the source, the inputs and the environment of the run; the working copy
    is not touched. Of a run inside others the outermost one is repeated.

    Raises:
        UnknownTargetError, UnknownRunError: when there is none. NotRepeatableError: without a command, or when words
            of it were masked. InputsGoneError: when inputs cannot be had. RestoreError: when the environment cannot.
        CommandNotFoundError, NotExecutableError, and what `run` raises before the command starts.
    """
    with open_runs(workspace) as index:
        key = _outermost(workspace, _run_of(workspace, index, name))
    old, _ = get_run(workspace, key)
    _check(old, request)
    variables = {**workspace.surroundings.environment, **_plain(old.variables)}
    used = find_environment_for(workspace, old, variables, where=request.where, installer=request.installer, tell=tell)
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="dsvc-rerun-"))) / workspace.root.name
    try:
        with clean_folder(workspace, old, request.keep or folder, keep=request.keep is not None) as clean:
            if clean.lacking and not request.anyway:
                raise _gone(clean.lacking)
            made = clean.workspace
            directory = Path(os.fsdecode(os.path.join(made.root_bytes, old.directory)))
            directory.mkdir(parents=True, exist_ok=True)
            asked = _request(workspace, old, made, used)
            with chdir(directory):  # a command starts in the current folder of this process
                there = {**used.variables, "PWD": os.fspath(directory)}
                done = run(made, asked, screen, directory=directory, environment=there)
            if done.published is None:
                problem = done.problem
                raise problem if problem is not None else NotRepeatableError("the repetition was not recorded")
            new = done.published.run
            result = _compared(workspace, (old, new), request, used=used, lacking=clean.lacking)
            if request.check:
                _forget(made, new.key)
            return result
    finally:
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def _run_of(workspace: Workspace, index: RunIndex, name: str | bytes) -> RunKey:
    targets = find_targets(workspace, index, (), paths=[name]) if isinstance(name, bytes) else find_targets(
        workspace, index, [name]
    )  # fmt: skip
    for target in targets:
        if isinstance(target, RunTarget):
            return target.key
        if isinstance(target, FileTarget):
            met = [m for m in index.meetings([target.id], outputs=True).get(target.id, ()) if _counts(index, m.key)]
            standing = Standing(workspace.repo.store, index, workspace.head_tree())
            best = index.origin(met, target.path, standing.strangers({m.key for m in met}))
            if best is not None:
                return best.key
    shown = name if isinstance(name, str) else os.fsdecode(name)
    raise NotRepeatableError(f"no run wrote {shown} as it is now", hint=f"dsvc lineage {shown} shows what is known")


def _counts(index: RunIndex, key: RunKey) -> bool:
    row = index.summary(key)
    return row is not None and row.authority == "workload"


def _outermost(workspace: Workspace, key: RunKey) -> RunKey:
    seen: set[RunKey] = set()
    while key not in seen:
        seen.add(key)
        parent = get_run(workspace, key)[0].parent
        if parent is None:
            break
        key = parent
    return key


def _check(old: Run, request: RerunRequest) -> None:
    name = short_key(old.key)
    if old.authority != "workload" or not old.command:
        raise NotRepeatableError(
            f"run {name} has no command that could be repeated", hint="a program run by 'dsvc run' has one"
        )
    if any(MASK in (word if isinstance(word, str) else word.decode("utf-8", "replace")) for word in old.command):
        raise NotRepeatableError(
            f"the command of run {name} held a credential, which was not recorded",
            hint="let the program take it from a variable of the environment",
        )
    outside = [pin for pin in old.outputs.rows if pin.is_outside]
    if outside and not request.anyway:
        raise NotRepeatableError(
            f"run {name} wrote {os.fsdecode(outside[0].path)}, outside of its working copy, and would overwrite it",
            hint="--anyway lets it",
        )


def _gone(lacking: Sequence[bytes]) -> InputsGoneError:
    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    return InputsGoneError(
        f"the input {os.fsdecode(lacking[0])}{more} is not to be had any more as the run read it",
        hint="--anyway repeats it without; 'dsvc run -i PATH' stores inputs that are ignored",
        details={"inputs": [path.decode("utf-8", "replace") for path in lacking]},
    )


def _plain(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in variables.items() if MASK not in text}


_PYTHON: Final = re.compile(r"(python|pypy)[\d.]*")


def _request(workspace: Workspace, old: Run, made: Workspace, used: EnvironmentUsed) -> RunRequest:
    words = [os.fsdecode(word) if isinstance(word, bytes) else word for word in old.command]
    here, there = os.path.realpath(workspace.root) + os.sep, os.path.realpath(made.root) + os.sep
    words = [word.replace(here, there, 1) if word.startswith(here) else word for word in words]
    words[0] = _program(words[0], old, workspace=workspace, made=made, used=used)
    return RunRequest(
        words=words,
        inputs=_declared(workspace, old, outputs=False, made=made),
        outputs=_declared(workspace, old, outputs=True, made=made),
        params={} if is_notebook(words) else old.params,  # those of a notebook stand in its command
        labels={**{name: text for name, text in old.labels.items() if name != RERUN_OF}, RERUN_OF: old.key.hex()},
        description=old.description,
        variables=tuple(old.variables),
        trace="strace" if old.observation.get("reads") == "strace" else "auto",
        confirmed=True,
        metrics=_metrics_named(old, made),
        container=_image(old),
    )


def _metrics_named(old: Run, made: Workspace) -> list[str]:
    named = old.observation.get("metrics")
    texts = [text for text in named if isinstance(text, str)] if isinstance(named, tuple) else []
    return [os.path.join(made.root, os.path.normpath(text)) for text in texts if not {"", ".."} & set(text.split("/"))]


def _image(old: Run) -> str:
    """Return the image in which a run took place: by its digest, which a registry knows, or by its id."""
    match old.metadata.get(META):
        case {"digests": (str(digest), *_)}:
            return digest
        case {"id": str(image)}:
            return image
        case _:
            return ""


def _program(word: str, old: Run, *, workspace: Workspace, made: Workspace, used: EnvironmentUsed) -> str:
    """Return the program of a repetition: the restored interpreter, or one that only the working copy has."""
    if used.python is not None and "/" in word and _PYTHON.fullmatch(os.path.basename(word)):
        return os.fspath(used.python)
    if "/" not in word:
        return word
    recorded = old.command[0]
    given = os.fsdecode(recorded) if isinstance(recorded, bytes) else recorded
    folder = os.path.join(made.root, os.fsdecode(old.directory))
    if not os.path.exists(os.path.join(folder, word)):  # such as .venv/bin/python
        original = os.path.normpath(os.path.join(workspace.root, os.fsdecode(old.directory), given))
        if os.path.exists(original):
            return original
    return os.path.join(folder, word) if not os.path.isabs(word) else word


def _declared(workspace: Workspace, old: Run, *, outputs: bool, made: Workspace) -> list[str]:
    pins = read_pins(workspace.repo.store, old.outputs if outputs else old.inputs)
    paths = [os.path.join(made.root_bytes, pin.path) for pin in pins if Seen.DECLARED in pin.seen]
    return [os.fsdecode(path) for path in paths if outputs or os.path.lexists(path)]


def _compared(
    workspace: Workspace,
    runs: tuple[Run, Run],
    request: RerunRequest,
    *,
    used: EnvironmentUsed,
    lacking: tuple[bytes, ...],
) -> RerunResult:
    old, new = runs
    store, ignore = workspace.repo.store, ignoring(request.ignore)
    outputs = compare_outputs(
        store,
        _pins(workspace, old),
        _pins(workspace, new),
        tolerance=request.tolerance,
        ignore=ignore,
    )
    metrics = compare_metrics(
        _metrics(workspace, old), _metrics(workspace, new), tolerance=request.tolerance, ignore=ignore
    )
    ends = [(one.state, one.exit_code, one.signal) for one in (old, new)]
    return RerunResult(
        old, new, not request.check, used, tuple(outputs), tuple(metrics), lacking, ends[0] == ends[1]
    )


def _pins(workspace: Workspace, run: Run) -> list[Pin]:
    return list(read_pins(workspace.repo.store, run.outputs))


def _metrics(workspace: Workspace, run: Run) -> dict[str, Value]:
    """Return the metrics of a run and of those inside it, whose names come before theirs."""
    found = dict(summarize(run, RunId(run.source)).metrics) if run.source is not None else dict(run.metrics)
    with open_runs(workspace) as index:
        for number, key in enumerate(index.inside(run.key), 1):
            row = index.summary(key)
            if row is not None:
                found |= {f"{number}:{row.name}.{name}": value for name, value in row.metrics.items()}
    return found


def _forget(made: Workspace, key: RunKey) -> None:
    """Take back the record of a repetition, and of the runs inside it, that nobody has seen."""
    with open_runs(made) as index:
        keys = [key, *index.inside(key)]
    transaction = made.repo.transaction()
    for one in keys:
        if transaction.get(f"{RUNS}{one.hex()}") is not None:
            transaction.delete(f"{RUNS}{one.hex()}")
    made.publish(transaction, made.act("rerun", f"rerun: the check of {short_key(key)} is not kept"))
