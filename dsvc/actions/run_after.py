"""Do what shall follow a run: the steps of `.dotscience.yml`, each of them a run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dsvc.actions.run import RunResult
from dsvc.pipelines.after import Status, Step
from dsvc.runs.container import find_engine
from dsvc.workspace import Workspace

AFTER: Final = "DSVC_AFTER"  # variable: the key of the run that a step follows
LABEL: Final = "after"  # of the run of a step: that key
_TERMINATED = {"SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"}


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of a step; `outside` says that it ran without the container that it names."""

    name: str
    what: Literal["ran", "failed", "skipped", "no engine"]
    exit_code: int | None = None
    outside: str = ""


def status_of(result: RunResult) -> Status:
    """Return how a run ended, in the words of Dotscience."""
    import signal

    number = result.ending.signal
    if number is not None and signal.Signals(number).name in _TERMINATED:
        return "terminated"
    return "ok" if result.ending.shell_code == 0 else "error"


def run_steps(
    workspace: Workspace,
    steps: Sequence[Step],
    result: RunResult,
    *,
    environment: Mapping[str, str],
    tell: Callable[[StepResult], None],
    output: int | None = None,
) -> list[StepResult]:
    """Run the steps that want to follow a run, one after the other in the root of the working copy.

    After a step that fails the rest takes place as after a run that failed. A step without commands needs a container
    engine; one with commands does without, where none answers. What they print goes to the descriptor `output`, or
    where this process prints.
    """
    status = status_of(result)
    found: list[StepResult] = []
    engine = find_engine(environment) if any(step.image for step in steps) else None
    key = result.published.run.key.hex() if result.published is not None else ""
    for step in steps:
        if not step.wants(status):
            done = StepResult(step.name, "skipped")
        elif not step.commands and step.plugin is None and engine is None:
            done = StepResult(step.name, "no engine")
        else:
            said = _variables(workspace, step, key, status)
            words = _words(step, key, list(said) if engine is not None else [])
            variables = {**environment, **said}
            code = subprocess.run(
                words, cwd=workspace.root, env=variables, stdin=subprocess.DEVNULL, stdout=output, check=False
            ).returncode
            outside = step.image if engine is None and step.plugin is None else ""
            done = StepResult(step.name, "failed" if code else "ran", code, outside)
            if code and status == "ok":
                status = "error"
        found.append(done)
        tell(done)
    return found


def _words(step: Step, key: str, passed: Sequence[str]) -> list[str]:
    words = [sys.executable, "-m", "dsvc", "run", "--quiet", "--yes", f"--label=stage={step.name}"]
    words += [f"--label={LABEL}={key}"] if key else []
    if step.plugin is not None:
        return [*words, "--trace=none", "--", sys.executable, "-m", "dsvc.delivery.plugins", step.plugin]
    if step.image and passed:
        words += [f"--container={step.image}", *(f"--env={name}" for name in passed)]
    return [*words, "--", *(["sh", "-e", "-c", step.script] if step.commands else [])]


def _variables(workspace: Workspace, step: Step, key: str, status: Status) -> dict[str, str]:
    """Return the variables of a step: what Dotscience's plugins read, its own, and its settings."""
    project = os.path.basename(os.path.realpath(workspace.root))
    return {
        "DOTSCIENCE_TASK_ID": key,
        "PLUGIN_TASK_ID": key,
        "PLUGIN_PROJECT": project,
        "PLUGIN_STATUS": status,
        AFTER: key,
        **step.environment,
        **step.settings,
    }
