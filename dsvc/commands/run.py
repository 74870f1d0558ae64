"""The `dsvc run` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from dsvc.actions.run import RunRequest, RunResult, Screen, run
from dsvc.actions.run_after import AFTER, StepResult, run_steps
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_text import ended_text, os_text, run_json
from dsvc.errors import BusyError, CommandNotFoundError, DsvcError, NotExecutableError, NotStartedError, UsageError
from dsvc.pipelines.after import FILE, Step, read_steps
from dsvc.runs.names import short_key
from dsvc.runs.params import parse_assignment
from dsvc.workspace import Workspace

PASS_ON = ("run",)
USAGE_EXIT = NotStartedError.exit_code  # 2 may be what the command says
Texts = Sequence[str]


def command(
    context: Context,
    words: Annotated[Texts, typer.Argument(metavar="[--] COMMAND...", help="The command and its arguments.")] = (),
    *,
    inputs: Annotated[Texts, typer.Option("-i", "--input", metavar="PATH", help="It reads this file or folder.")] = (),
    outputs: Annotated[
        Texts, typer.Option("-o", "--output", metavar="PATH", help="It writes this file or folder.")
    ] = (),
    params: Annotated[Texts, typer.Option("-p", "--param", metavar="NAME=VALUE", help="A parameter.")] = (),
    labels: Annotated[Texts, typer.Option("-l", "--label", metavar="LABEL[=TEXT]", help="A label.")] = (),
    message: Annotated[
        Texts, typer.Option("-m", "--message", metavar="TEXT", help="What the run is for; repeat for paragraphs.")
    ] = (),
    env: Annotated[Texts, typer.Option("--env", metavar="NAME", help="Record this variable too.")] = (),
    trace: Annotated[
        Literal["auto", "python", "strace", "none"],
        typer.Option("--trace", metavar="HOW", help="How to observe files: auto, python, strace or none."),
    ] = "auto",
    metrics: Annotated[Texts, typer.Option("--metrics", metavar="FILE", help="Its values become metrics.")] = (),
    declared_outputs: Annotated[
        bool, typer.Option("--declared-outputs", help="Count no other changes as outputs: others work here, too.")
    ] = False,
    container: Annotated[
        str, typer.Option("--container", metavar="IMAGE", help="Run it in a container, by docker or podman.")
    ] = "",
    after: Annotated[bool, typer.Option("--after", help="Then run the steps of .dotscience.yml.")] = False,
    commit: Annotated[bool, typer.Option("--commit", help="Commit afterwards, if the command succeeded.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take large new files and what looks like keys too.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Run a command and record what it read, wrote and measured.

    Its output is passed on as it comes and kept, and its exit code is the one of dsvc: 128 + n where signal n ended it,
    127 for a command that does not exist, 126 for one that cannot be executed, 125 where dsvc failed before it began.
    The state of the working copy is kept as it was when it began, committed or not. With --json its output goes to
    stderr. Where COMMAND is NOTEBOOK.ipynb it is executed with the parameters that are given, in its own folder, and
    kept with its outputs; OUT.ipynb behind it is a file for them. With --container it runs in a container of IMAGE, in
    which the working copy lies at the same path, as the user who calls; without COMMAND the program of the image. The
    exit code is 1 when only a step of .dotscience.yml fails.
    """
    if not words and not container:
        raise UsageError("which command?", hint="dsvc run -- python train.py")
    request = RunRequest(
        words=words,
        inputs=inputs,
        outputs=outputs,
        params=dict(map(parse_assignment, params)),
        labels=dict(map(_label, labels)),
        description="\n\n".join(message),
        variables=env,
        trace=trace,
        confirmed=yes,
        metrics=metrics,
        declared_outputs=declared_outputs,
        container=container,
    )
    try:
        workspace = context.workspace()
        steps = _steps(context, workspace, wanted=after, quiet=quiet)
        context.out.flush()
        screen = _screen(context, json=json)
        result = run(workspace, request, screen, directory=context.directory, environment=context.environment)
    except (NotExecutableError, CommandNotFoundError):
        raise
    except DsvcError as error:
        raise NotStartedError(error.message, hint=error.hint, details=error.details) from error
    except OSError as error:
        raise NotStartedError(f"the run cannot be recorded: {os_text(error)}") from error
    for text in result.warnings:
        context.out.warn(text)
    _tell(context, result, quiet=quiet, json=json)
    code = result.ending.shell_code
    if steps and not _follow(context, steps, result, quiet=quiet, json=json):
        code = code or 1
    if commit and code == 0 and result.published is not None:
        _commit(context, result)
    return code


def _steps(context: Context, workspace: Workspace, *, wanted: bool, quiet: bool) -> list[Step]:
    """Return the steps that follow the run, if that is wanted; raises BadStepsError."""
    if AFTER in context.environment or not (workspace.root / FILE).is_file():
        return []
    if wanted or workspace.config.get_bool("run.after"):
        return read_steps(workspace.root)
    if not quiet:
        context.out.note(f"{FILE} is there: --after, or 'dsvc config run.after true', lets its steps follow")
    return []


def _follow(context: Context, steps: Sequence[Step], result: RunResult, *, quiet: bool, json: bool) -> bool:
    """Run the steps that follow, and say whether none of them failed."""
    import sys

    def tell(done: StepResult) -> None:
        if done.what == "no engine":
            text = f"step {done.name} needs a container engine, and none answers"
            context.out.warn(text, hint="start docker or podman")
        elif done.outside:
            context.out.warn(f"step {done.name} ran without the container {done.outside}: no engine answers")
        if done.what == "failed":
            context.out.warn(f"step {done.name} failed with exit code {done.exit_code}")
        elif not quiet:
            context.out.note(f"step {done.name}: {done.what}")

    workspace = context.workspace()
    output = sys.stderr.fileno() if json else None
    done = run_steps(workspace, steps, result, environment=context.environment, tell=tell, output=output)
    return all(step.what in ("ran", "skipped") for step in done)


def _screen(context: Context, *, json: bool) -> Screen:
    def show(data: bytes) -> None:
        context.out.raw(data)
        context.out.flush()

    if json:
        return Screen(context.out.raw_error, context.out.raw_error)
    return Screen(
        show,
        context.out.raw_error,
        1 if context.out.terminal else None,
        2 if context.out.err_terminal else None,
    )


def _label(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name:
        raise UsageError(f"{text!r} is no label: it has no name", hint="-l baseline, or -l kind=baseline")
    return name, value


def _tell(context: Context, result: RunResult, *, quiet: bool, json: bool) -> None:
    if result.published is None:
        assert result.problem is not None
        why = result.problem.message if isinstance(result.problem, DsvcError) else os_text(result.problem)
        context.out.warn(f"the run is not recorded yet: {why}", hint="dsvc runs makes the record when that is mended")
        return
    if json:
        context.out.json("dsvc.run", run_json(result.published.run, result.published.run_id))
    elif not quiet:
        context.out.note(ended_text(result.published.run))


def _commit(context: Context, result: RunResult) -> None:
    from dsvc.actions.commit import NothingToCommitError, commit

    assert result.published is not None
    made = result.published.run
    text = made.description or f"run {short_key(made.key)}"
    try:
        done = commit(context.workspace(), text, confirmed=True)
    except NothingToCommitError:
        context.out.note("nothing to commit: the run changed nothing")
    except DsvcError as error:
        hint = "dsvc commit" if isinstance(error, BusyError) else error.hint  # the run need not be repeated for it
        context.out.warn(f"the run is recorded, and its changes are not committed: {error.message}", hint=hint)
    else:
        context.out.note(f"committed as {done.commit_id.hex()[:10]}")
