"""The `dsvc ci` commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dsvc.commands.ci_show import show
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.delivery.steps import EventKind
from dsvc.errors import UsageError

if TYPE_CHECKING:
    from dsvc.actions.ci_run import StepResult

Texts = Sequence[str]
Where = Literal["github", "gitlab", "circleci", "hub"]
Branch = Annotated[Texts, typer.Option("--branch", metavar="PATTERN", help="Branches that count; the default one.")]
_SAID = {
    "ran": "done",
    "failed": "failed",
    "timed out": "took too long and was ended",
    "skipped": "skipped",
    "done before": "was done before",
    "no engine": "cannot run: no container engine answers, and it has no commands",
}


def run(
    context: Context,
    kind: Annotated[EventKind | None, typer.Argument(metavar="[EVENT]", help="commit, merge, tag or promote.")] = None,
    *,
    ref: Annotated[str, typer.Option("--ref", metavar="NAME", help="The branch, tag or MODEL@STAGE it is about.")] = "",
    step: Annotated[Texts, typer.Option("--step", metavar="NAME", help="Only this step; may be repeated.")] = (),
    go_on: Annotated[bool, typer.Option("--continue", help="Leave out steps that were done for this commit.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Run the steps that follow an event: [delivery] of dsvc.toml, and .dotscience.yml.

    They run in the working copy, which should be at the commit that is delivered. Each is recorded as a run, with what
    it printed; 'dsvc ci list' lists them. Without EVENT it is a commit, or a merge where HEAD is one. If a step fails
    the exit code is 1.
    """
    from dsvc.actions.ci_run import ci_run
    from dsvc.delivery.steps import Event

    workspace = context.workspace()

    def tell(result: StepResult) -> None:
        if json or quiet:
            return
        context.out.note(f"{result.name}: {_SAID[result.what]}{_code(result)}")
        if result.outside:
            context.out.warn(f"{result.name} ran outside of {result.outside}: no container engine answers")
        for name in result.unmasked:
            context.out.warn(f"{name} is too short to be masked: what {result.name} prints of it is kept as it is")

    found = ci_run(
        workspace,
        Event(kind, ref or _usual_ref(context, kind)) if kind is not None else None,
        tell=tell,
        output=sys.stderr.fileno() if json else None,
        only=step,
        go_on=go_on,
    )
    failed = found.failed()
    if json:
        context.out.json("dsvc.ci.run", {
            "event": found.event.kind,
            "ref": found.event.ref,
            "commit": found.commit.hex(),
            "steps": [_step_json(one) for one in found.steps],
        })  # fmt: skip
    elif not found.steps and not quiet:
        context.out.note(f"no step follows a {found.event.kind} on {found.event.ref}")
    return 1 if failed else None


def list_(
    context: Context,
    *,
    count: Annotated[int | None, typer.Option("-n", "--max-count", metavar="N", min=1, help="Show N steps.")] = None,
    json: Json = False,
) -> None:
    """List the steps that ran, the newest first; 'dsvc ci show' shows them with what they printed."""
    from dsvc.actions.ci_run import COMMIT, DELIVERY, REF, STEP, deliveries
    from dsvc.commands.ref_text import SHORT
    from dsvc.commands.run_text import duration_text
    from dsvc.runs.names import short_key

    rows = deliveries(context.workspace(), limit=count)
    if json:
        context.out.json("dsvc.ci.list", {"steps": [
            {
                "run": row.key.hex(), "step": row.labels.get(STEP, ""), "event": row.labels[DELIVERY],
                "ref": row.labels.get(REF, ""), "commit": row.labels.get(COMMIT), "state": row.state,
                "exit_code": row.exit_code, "start": row.start / 1_000_000, "elapsed": row.elapsed / 1_000_000,
            }
            for row in rows
        ]})  # fmt: skip
        return
    cells = [
        [
            short_key(row.key), row.labels.get(STEP, ""), row.labels[DELIVERY], row.labels.get(REF, ""),
            (row.labels.get(COMMIT) or "")[:SHORT], row.state, duration_text(row.elapsed),
        ]
        for row in rows
    ]  # fmt: skip
    if cells:
        context.out.table(cells, header=["RUN", "STEP", "EVENT", "ON", "COMMIT", "STATE", "ELAPSED"], right=(6,))


def init(
    context: Context,
    where: Annotated[Where, typer.Argument(metavar="WHERE", help="github, gitlab, circleci or hub.")],
    folder: Annotated[str, typer.Argument(metavar="[DIR]", help="The folder of the hub.")] = "",
    *,
    gate: Annotated[Texts, typer.Option("--gate", metavar="CONDITION", help="What a report must hold.")] = (),
    deploy: Annotated[Texts, typer.Option("--deploy", metavar="COMMAND", help="Run this after a merge.")] = (),
    branch: Branch = (),
    python: Annotated[str, typer.Option("--python", metavar="VERSION", help="The Python to run with.")] = "3.12",
    extra: Annotated[Texts, typer.Option("--extra", metavar="NAME", help="An extra of dsvc that is needed: s3.")] = (),
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace files that say something else.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the pipeline of another service, or let a hub deliver what is pushed to it.

    The pipeline installs dsvc, clones the metadata from $DSVC_REMOTE, makes with 'dsvc repro' what is out of date, says
    with 'dsvc report' what has changed, ends where a gate fails, and after a merge runs 'dsvc ci run merge' and what
    --deploy names. With 'hub DIR' the hub's hook runs the steps of [delivery] on the hub's own machine: whoever may
    push to its default branch then says what runs there.
    """
    from dsvc.actions.ci_init import ci_init, ci_init_hub
    from dsvc.delivery.services import Wanted

    if where == "hub":
        if not folder or gate or deploy:
            raise UsageError("a hub takes its folder, and --branch", hint="dsvc ci init hub /srv/hub")
        found = ci_init_hub(context.directory / folder, branches=branch, force=force)
    else:
        if folder or len(branch) > 1:
            raise UsageError(f"{where} takes no folder, and one branch", hint=f"dsvc ci init {where}")
        wanted = Wanted(gate, deploy, branch[0] if branch else "main", python, extra)
        found = ci_init(context.workspace().root, where, wanted, force=force)
    if json:
        context.out.json("dsvc.ci.init", {
            "written": [str(path) for path in found.written], "same": [str(path) for path in found.same],
        })  # fmt: skip
    elif not quiet:
        for path in found.written:
            context.out.line(str(path))
        for path in found.same:
            context.out.note(f"{path} is so already")


def hook(
    context: Context,
    *,
    branch: Branch = (),
    wait: Annotated[bool, typer.Option("--wait", help="Let the push wait until all is done.")] = False,
    json: Json = False,
) -> int | None:
    """Deliver what a push brought: what a hub's hook post-receive runs ('dsvc ci init hub').

    It reads lines OLD NEW REF, clones the repository in the folder where it runs, metadata first, and runs the steps
    of each event in the clone. Without --wait that goes on behind the push, with a log in the hub's folder.
    """
    from dsvc.actions.ci_hook import LOGS, begin_behind, deliver_pushed, read_pushed

    environment = context.surroundings().environment
    pushed = read_pushed(context.read_input().decode(errors="replace").splitlines())
    folder = Path(context.directory)
    if wait:
        found = deliver_pushed(pushed, folder=folder, environment=environment, branches=branch)
    else:
        hub = Path(environment.get("DSVC_HUB") or folder)
        name = environment.get("DSVC_REPO", folder.name).replace("/", "-")
        stamp = f"{context.now().astimezone(UTC):%Y%m%dT%H%M%S.%f}"  # a file for each push
        words = [f"--branch={pattern}" for pattern in branch]
        found = begin_behind(pushed, words, folder=folder, log=hub / LOGS / f"{name}-{stamp}.log")
    if json:
        context.out.json("dsvc.ci.hook", {
            "events": [
                {
                    "event": one.event.kind, "ref": one.event.ref, "exit_code": one.exit_code,
                    "steps": [{"name": name, "result": result} for name, result in one.steps],
                    "error": one.error or None,
                }
                for one in found.events
            ],
            "log": str(found.log) if found.log is not None else None,
        })  # fmt: skip
        return 1 if any(one.exit_code for one in found.events) else None
    for one in found.events:
        said = ", ".join(f"{name}: {result}" for name, result in one.steps)
        context.out.line(f"{one.event.kind} {one.event.ref}: {said or one.error or 'no step follows'}")
    if found.log is not None:
        context.out.line(f"delivery has begun; its log is {found.log.name}")
    return 1 if any(one.exit_code for one in found.events) else None


def _usual_ref(context: Context, kind: EventKind) -> str:
    if kind in ("tag", "promote"):
        raise UsageError("which one?", hint=f"dsvc ci run {kind} --ref {'TAG' if kind == 'tag' else 'MODEL@STAGE'}")
    from dsvc.refs.names import HEADS

    return (context.workspace().head().branch or "HEAD").removeprefix(HEADS)


def _code(result: StepResult) -> str:
    return f" with code {result.exit_code}" if result.what == "failed" else ""


def _step_json(result: StepResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "result": result.what,
        "exit_code": result.exit_code,
        "outside": result.outside or None,
    }


SUBCOMMANDS = {"run": run, "list": list_, "show": show, "init": init, "hook": hook}
