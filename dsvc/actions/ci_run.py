"""Do what shall follow a change: the steps of `[delivery]` and those of `.dotscience.yml`, each of them a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from dsvc.actions.runs import RunQuery, list_runs
from dsvc.delivery.steps import DeliveryStep, Event, read_delivery
from dsvc.errors import RequestError
from dsvc.objects.ids import CommitId
from dsvc.pipelines.after import read_steps
from dsvc.refs.names import HEADS
from dsvc.runs.container import find_engine
from dsvc.runs.masking import SECRETS
from dsvc.runs.secret_words import SHORTEST
from dsvc.runs.summary import Summary
from dsvc.workspace import Workspace

DELIVERY: Final = "delivery"  # label of a step's run: the kind of the event
STEP: Final = "stage"  # label: the name of the step
COMMIT: Final = "commit"  # label: the commit that is delivered
REF: Final = "ref"  # label: what the event happened to
_GRACE = 10.0  # seconds between asking a step to end and ending it
Status = Literal["ok", "error"]


class StepResult(NamedTuple):
    """What became of a step; `outside` names the image of a container that it ran without.

    `unmasked` are its secrets that are too short to be masked in what is kept of it.
    """

    name: str
    what: Literal["ran", "failed", "timed out", "skipped", "done before", "no engine"]
    exit_code: int | None = None
    outside: str = ""
    unmasked: tuple[str, ...] = ()


class DeliveryResult(NamedTuple):
    """What was delivered, and what became of its steps in their order."""

    event: Event
    commit: CommitId
    steps: tuple[StepResult, ...]

    def failed(self) -> list[str]:
        """Return the names of the steps that failed."""
        return [step.name for step in self.steps if step.what in ("failed", "timed out", "no engine")]


def ci_run(
    workspace: Workspace,
    event: Event | None = None,
    *,
    tell: Callable[[StepResult], None] = lambda _: None,
    output: int | None = None,
    only: Sequence[str] = (),
    go_on: bool = False,
) -> DeliveryResult:
    """Run the steps of an event one after the other in the working copy, which shall be at its commit.

    Without an event it is a commit on the current branch, or a merge where HEAD is one. After a step that fails only
    those come that follow failures or everything. With `only` the steps of these names run; with `go_on` those are
    left out that were done for the same event and commit, but never those that follow failures. What steps print goes
    to the descriptor `output`.

    Raises:
        BadDeliveryError, BadStepsError: when steps are not of the form. RequestError: for a secret that is not set, an
            unknown step, or where there is no commit.
    """
    head = workspace.head()
    if head.commit_id is None:
        raise RequestError("there is no commit yet that could be delivered", hint="dsvc commit -m MESSAGE")
    if event is None:
        merged = len(workspace.repo.commit(head.commit_id).parents) > 1
        event = Event("merge" if merged else "commit", (head.branch or "HEAD").removeprefix(HEADS))
    environment = workspace.surroundings.environment
    every = [*read_delivery(workspace.root), *_of_dotscience(workspace)]
    unknown = set(only) - {step.name for step in every}
    if unknown:
        names = ", ".join(step.name for step in every) or "none"
        raise RequestError(f"there is no step {sorted(unknown)[0]}", hint=f"there are: {names}")
    steps = [step for step in every if step.follows(event) and (not only or step.name in only)]
    for step in steps:
        for name in step.secrets:
            if not environment.get(name):
                raise RequestError(f"step {step.name} needs the secret {name}", hint=f"set the variable {name}")
    done = set(_done(workspace, event, head.commit_id)) if go_on else set()
    engine = find_engine(environment) is not None if any(step.image for step in steps) else False
    found: list[StepResult] = []
    status: Status = "ok"
    for step in steps:
        if not step.wants(failed=status == "error"):
            result = StepResult(step.name, "skipped")
        elif step.name in done and step.policy != "on_failure":  # each failure is told
            result = StepResult(step.name, "done before")
        else:
            result = _one(workspace, step, event, head.commit_id, status=status, engine=engine, output=output)
            result = result._replace(unmasked=tuple(n for n in step.secrets if len(environment[n]) < SHORTEST))
        found.append(result)
        tell(result)
        if result.what in ("failed", "timed out", "no engine"):
            status = "error"
    return DeliveryResult(event, head.commit_id, tuple(found))


def deliveries(workspace: Workspace, *, limit: int | None = None) -> list[Summary]:
    """Return the runs of steps that followed changes, the newest first."""
    return list_runs(workspace, RunQuery(f"labels.{DELIVERY}", limit=limit))


def _of_dotscience(workspace: Workspace) -> Iterator[DeliveryStep]:
    """Yield the steps of `.dotscience.yml`; the images of its two plugins need not be there any more."""
    for step in read_steps(workspace.root):
        yield DeliveryStep(
            step.name,
            commands=step.commands,
            image="" if step.plugin else step.image,
            policy=step.policy,
            uses=step.plugin,
            settings=step.settings,
            environment=step.environment,
        )


def _done(workspace: Workspace, event: Event, commit: CommitId) -> Iterator[str]:
    wanted = {DELIVERY: event.kind, REF: event.ref, COMMIT: commit.hex()}
    for run in deliveries(workspace):
        if run.state == "done" and all(run.labels.get(name) == value for name, value in wanted.items()):
            yield run.labels.get(STEP, "")


def _one(
    workspace: Workspace,
    step: DeliveryStep,
    event: Event,
    commit: CommitId,
    *,
    status: Status,
    engine: bool,
    output: int | None,
) -> StepResult:
    if step.image and not step.commands and not engine:
        return StepResult(step.name, "no engine")
    said = _variables(workspace, step, event, commit, status)
    words = _words(step, event, commit, [name for name in said if name != "PATH"] if step.image and engine else [])
    code = _ended(words, workspace, {**workspace.surroundings.environment, **said}, step.timeout, output)
    if code is None:
        return StepResult(step.name, "timed out")
    outside = step.image if step.image and not engine else ""
    return StepResult(step.name, "failed" if code else "ran", code, outside)


def _words(step: DeliveryStep, event: Event, commit: CommitId, passed: Sequence[str]) -> list[str]:
    labels = {STEP: step.name, DELIVERY: event.kind, REF: event.ref, COMMIT: commit.hex()}
    words = [sys.executable, "-m", "dsvc", "run", "--quiet", "--yes"]
    words += [f"--label={name}={value}" for name, value in labels.items()]
    if passed:
        words += [f"--container={step.image}", *(f"--env={name}" for name in (*passed, *step.secrets))]
    if step.uses is not None:
        return [*words, "--trace=none", "--", sys.executable, "-m", "dsvc.delivery.plugins", step.uses]
    return [*words, "--", *(["sh", "-e", "-c", "\n".join(step.commands)] if step.commands else [])]


def _variables(
    workspace: Workspace, step: DeliveryStep, event: Event, commit: CommitId, status: Status
) -> dict[str, str]:
    """Return the variables of a step: what happened, what Dotscience's plugins read, its own, and its settings."""
    environment = workspace.surroundings.environment
    path = environment.get("PATH", os.defpath)
    secrets = filter(None, (*environment.get(SECRETS, "").split(","), *step.secrets))
    return {
        "DSVC_EVENT": event.kind,
        "DSVC_REF": event.ref,
        "DSVC_COMMIT": commit.hex(),
        "DSVC_STATUS": status,
        SECRETS: ",".join(dict.fromkeys(secrets)),
        "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{path}",  # so that a step can call dsvc
        "PLUGIN_PROJECT": os.path.basename(os.path.realpath(workspace.root)),
        "PLUGIN_STATUS": status,
        "PLUGIN_TASK_ID": commit.hex(),
        **step.environment,
        **step.settings,
    }


def _ended(
    words: Sequence[str], workspace: Workspace, variables: Mapping[str, str], seconds: float, output: int | None
) -> int | None:
    """Run a command and return its code, None where its time was over and it was ended."""
    with subprocess.Popen(
        words, cwd=workspace.root, env=dict(variables), stdin=subprocess.DEVNULL, stdout=output
    ) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # dsvc run passes it on, and keeps the run
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
            return None
