"""The `dsvc deploy` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from dsvc.actions.build import BuildOptions
from dsvc.commands.build import Base, EnvironmentOf, FindLinks
from dsvc.commands.context import Context
from dsvc.commands.deploy_canary import (
    During,
    Gates,
    Least,
    Prometheus,
    Share,
    canary_options,
    print_canary,
    promote,
)
from dsvc.commands.deploy_text import (
    deployed_json,
    deployment_json,
    print_deployed,
    print_deployments,
    print_status,
    status_json,
    without_repeats,
)
from dsvc.commands.model import Spec
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_text import visible
from dsvc.environments.restoring import Sources
from dsvc.errors import UsageError

Texts = Sequence[str]
To = Literal["manifest", "k8s", "compose", "systemd", "kserve", "docker"]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A deployment.")]
Wait = Annotated[bool, typer.Option("--wait", help="End when it is ready; exit code 14 if it is not in --timeout.")]
Timeout = Annotated[
    int, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long --wait waits; 300 if not said.")
]


def command(context: Context, *, json: Json = False) -> None:
    """Bring models to places that serve them, and know what is where.

    `dsvc deploy MODEL --to PLACE` deploys, and `dsvc deploy apply --help` has its options; without arguments this is
    `dsvc deploy list`.
    """
    _list(context, json=json)


def apply(
    context: Context,
    model: Spec,
    *,
    to: Annotated[
        To | None,
        typer.Option(
            "--to", metavar="PLACE", help="manifest, compose, systemd (files), docker, k8s or kserve; else as before."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What the deployment is called; else as the model.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="DIR", help="Where files are written; else deploy/NAME.")
    ] = None,
    manifest: Annotated[
        str | None, typer.Option("--manifest", metavar="DIR", help="Write manifests there: --to manifest --output DIR.")
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option("--registry", metavar="REGISTRY", help="Push the image there (build.registry); '' for nowhere."),
    ] = None,
    replicas: Annotated[
        str | None, typer.Option("--replicas", metavar="N[-MOST]", help="How many servers; MOST under load.")
    ] = None,
    env: Annotated[
        Texts,
        typer.Option("--env", metavar="NAME[=VALUE]", help="A variable; without a value it is kept where it runs."),
    ] = (),
    without: Annotated[
        Texts, typer.Option("--unset-env", metavar="NAME", help="Take a variable away that it had before.")
    ] = (),
    cpu: Annotated[str | None, typer.Option("--cpu", metavar="CORES", help="CPU of each, such as 2 or 500m.")] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="BYTES", help="Memory of each, such as 512Mi.")
    ] = None,
    gpu: Annotated[int | None, typer.Option("--gpu", metavar="N", min=0, help="GPUs of each.")] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="The name, or address, under which it is reached.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=1, max=65535, help="The port on the machine: docker, compose, systemd."
        ),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="The namespace of Kubernetes.")
    ] = None,
    log_predictions: Annotated[
        float | None,
        typer.Option(
            "--log-predictions", metavar="SHARE", help="Keep this share of requests: docker, compose, systemd; 0: none."
        ),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Begin with nothing that it had before.")] = False,
    base: Base = None,
    environment: EnvironmentOf = None,
    find_links: FindLinks = (),
    no_index: Annotated[bool, typer.Option("--no-index", help="Install packages from --find-links alone.")] = False,
    canary: Share = None,
    gate: Gates = (),
    during: During = 60,
    min_requests: Least = 100,
    prometheus: Prometheus = "",
    wait: Wait = False,
    timeout: Timeout = 300,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Print what would be written or applied, and do nothing.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Build the image of a version of a model and bring it to a place.

    What is not said stays as it was in the deployment of this name. A command that was broken off is completed by the
    same one again, and one that changes nothing records nothing. Which version is where stands in the ref
    deployments/NAME, which is pushed and fetched like models.

    With --canary the version is served beside the one that is deployed, as NAME-canary, and with --gate it is then
    decided: it takes the other's place, or is taken away again with the exit code 1.
    """
    from dsvc.actions.deploy import DeployOptions, deploy
    from dsvc.actions.deploy_canary import deploy_canary

    at_least, most = _replicas(replicas)
    if manifest is not None:
        if to not in (None, "manifest", "k8s") or output is not None:
            raise UsageError("--manifest DIR says where and how by itself", hint="leave --to and --output out")
        to, output = "manifest", manifest
    options = DeployOptions(
        _build_options(context, base, environment, find_links, no_index=no_index),
        target=to, name=name, place=output, registry=registry, replicas=at_least, most=most,
        env=dict(map(_variable, env)), without=without, cpu=cpu, memory=memory, gpu=gpu, host=host, port=port,
        namespace=namespace, log_predictions=log_predictions, reset=reset, wait=timeout if wait else None,
        dry_run=dry_run,
    )  # fmt: skip
    beside = canary_options(canary, gate, during, min_requests, prometheus, wait=timeout if wait else None)
    if beside is not None:
        tried = deploy_canary(context.workspace(), model, options, beside, tell=context.out.note)
        print_canary(context, tried, "apply", json=json)
        return
    done = deploy(context.workspace(), model, options, tell=context.out.note)
    for left in done.built.left_out if done.built is not None else ():
        context.out.warn(f"{visible(left.name)} is not in the image: {left.reason}")
    if json:
        context.out.json("dsvc.deploy.apply", deployed_json(done))
    else:
        print_deployed(context, done)


def _list(
    context: Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show what was deployed under this name, newest first.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """List what is deployed now, or what a deployment was before."""
    from dsvc.actions.deployments import find_deployment, history_of, list_deployments

    workspace = context.workspace()
    if name is None:
        found = list_deployments(workspace)
    else:
        found = list(history_of(workspace, find_deployment(workspace, name)))
    if json:
        context.out.json("dsvc.deploy.list", {"deployments": [deployment_json(each) for each in found]})
    else:
        with context.paged():
            print_deployments(context, found)


def status(context: Context, name: Name, *, json: Json = False) -> int | None:
    """Ask the place of a deployment how it is.

    The exit code is 1 when it is not as it should be: servers that are not ready, files that were changed.
    """
    from dsvc.actions.deploy_manage import deploy_status

    found = deploy_status(context.workspace(), name)
    if json:
        context.out.json("dsvc.deploy.status", status_json(found))
    else:
        print_status(context, found)
    return None if found.status.state in ("ready", "written") else 1


def logs(
    context: Context,
    name: Name,
    *,
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=1, help="How many lines of each.")] = 100,
    json: Json = False,
) -> int | None:
    """Print the last lines that the servers of a deployment wrote.

    What was deployed as files is run by others: the command that shows their logs is told, and the exit code is 1.
    """
    from dsvc.actions.deploy_manage import deploy_logs

    found, elsewhere = deploy_logs(context.workspace(), name, lines=lines)
    if json:
        context.out.json("dsvc.deploy.logs", {"name": name, "lines": found, "elsewhere": elsewhere or None})
    else:
        for line in found:
            context.out.line(visible(line))
        if elsewhere:
            context.out.note(f"{name} is deployed as files; this shows the logs: {elsewhere}")
    return 1 if elsewhere else None


def rollback(
    context: Context,
    name: Name,
    *,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", min=1, help="A number that 'dsvc deploy list NAME' shows.")
    ] = None,
    base: Base = None,
    environment: EnvironmentOf = None,
    wait: Wait = False,
    timeout: Timeout = 300,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Deploy again what was deployed before: the version, its image, the settings and the place.

    Without --base the image is the one that was deployed then, as long as it is here or at its registry.

    Again, it goes one further back. What was deployed last stays in the list.
    """
    from dsvc.actions.deploy import rollback as back

    options = _build_options(context, base, environment, (), no_index=False)
    done = back(
        context.workspace(), name, options, to=to, wait=timeout if wait else None, tell=context.out.note
    )
    if json:
        context.out.json("dsvc.deploy.rollback", deployed_json(done))
    else:
        print_deployed(context, done)


def rm(
    context: Context,
    name: Name,
    *,
    forget: Annotated[bool, typer.Option("--forget", help="Remove the record alone; the place is not asked.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Take a deployment away from its place, and out of the list.

    Files that somebody changed stay. 'dsvc undo' brings the record back, and a deploy what was there.
    """
    from dsvc.actions.deploy_manage import remove_deployment

    found, done = remove_deployment(context.workspace(), name, forget=forget)
    if json:
        context.out.json("dsvc.deploy.rm", {"name": found.deployment.name, "removed": list(done.removed)})
    else:
        context.out.note(f"{found.deployment.name} is not deployed any more")
        if done.next:
            context.out.note(done.next)


def diff(
    context: Context,
    name: Name,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="What would take its place; else what stands there.")
    ] = None,
    *,
    base: Base = None,
    environment: EnvironmentOf = None,
    json: Json = False,
) -> int | None:
    """Compare a deployment with what a version of a model would make of it, or with the files that are there.

    The exit code is 1 where there are differences.
    """
    from dsvc.actions.deploy import DeployOptions
    from dsvc.actions.deploy_manage import deploy_diff

    options = DeployOptions(
        _build_options(context, base, environment, (), no_index=False), name=name.removeprefix("deployments/"),
        dry_run=True,
    )  # fmt: skip
    found = deploy_diff(context.workspace(), name, model, options, tell=context.out.note)
    if json:
        facts = [{"what": what, "old": old, "new": new} for what, old, new in found.facts]
        context.out.json("dsvc.deploy.diff", {"name": name, "facts": facts, "lines": list(found.lines)})
        return 1 if found.differs else None
    for what, old, new in found.facts:
        context.out.line(f"{what}: {visible(old) or 'none'} -> {visible(new) or 'none'}")
    lines, alike = without_repeats(found.lines)
    for line in lines:
        color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        context.out.line(context.out.paint(visible(line), color) if color else visible(line))
    if alike:
        context.out.line(f"the same lines change in {', '.join(map(visible, alike))}")
    return 1 if found.differs else None


def _build_options(
    context: Context, base: str | None, environment: str | None, find_links: Texts, *, no_index: bool
) -> BuildOptions:
    sources = Sources(tuple(str(context.directory / each) for each in find_links), no_index)
    return BuildOptions(context.directory, base, environment, sources)


def _replicas(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    least, dash, most = text.partition("-")
    if not least.isdecimal() or (dash and not most.isdecimal()):
        raise UsageError(f"--replicas {text} is no number", hint="--replicas 3, or 2-5 for as many as are needed")
    return int(least), int(most) if dash else None


def _variable(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name.replace("_", "a").isalnum() or name[0].isdigit() or not name.isascii():
        raise UsageError(f"--env {text} names no variable", hint="--env NAME=VALUE, or NAME for one that is kept there")
    return name, value if equals else None


DEFAULT = "apply"
SUBCOMMANDS = {
    "apply": apply, "list": _list, "status": status, "logs": logs, "promote": promote, "rollback": rollback,
    "rm": rm, "diff": diff,
}  # fmt: skip
