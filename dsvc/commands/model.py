"""The `dsvc model` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dsvc.commands.context import Context
from dsvc.commands.model_text import (
    model_json,
    print_models,
    print_version,
    version_json,
)
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError
from dsvc.runs.params import parse_assignment

if TYPE_CHECKING:
    from dsvc.objects.codec import Value

Texts = Sequence[str]
Spec = Annotated[str, typer.Argument(metavar="NAME[@VERSION|@STAGE]", help="A model; the newest version if no other.")]
Stage = Annotated[str, typer.Argument(metavar="STAGE", help="A word such as prod or staging.")]


def command(context: Context, *, json: Json = False) -> None:
    """Keep models by name: versions, and stages that point to them.

    Without a subcommand this is `dsvc model list`.
    """
    _list(context, json=json)


def _list(
    context: Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show all versions of this model.")] = None,
    *,
    json: Json = False,
) -> None:
    """List models: the newest version of each, and those that a stage points to."""
    from dsvc.actions.model import list_models

    found = list_models(context.workspace(), name)
    if json:
        context.out.json("dsvc.model", {"models": [model_json(each) for each in found]})
    else:
        with context.paged():
            print_models(context, found)


def add(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the model is called.")],
    path: Annotated[str | None, typer.Argument(metavar="[PATH]", help="Its file or folder.")] = None,
    *,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Take what this run wrote.")] = None,
    framework: Annotated[str, typer.Option("--framework", metavar="NAME", help="sklearn, torch, onnx, ...")] = "",
    message: Annotated[str, typer.Option("-m", "--message", metavar="TEXT", help="What is new in this version.")] = "",
    metric: Annotated[Texts, typer.Option("--metric", metavar="NAME=VALUE", help="A metric beside the run's.")] = (),
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="TABLE", help="What it was trained on, in CSV or Parquet.")
    ] = None,
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="Of that table: what is to answer.")] = "",
    header: Annotated[bool, typer.Option("--header/--no-header", help="Whether that table names its columns.")] = True,
    stage: Annotated[str | None, typer.Option("--stage", metavar="STAGE", help="Let this stage point to it.")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make the next version of a model.

    With PATH it is that file or folder as it stands in the working copy; the run that wrote it is found by its content.
    Without PATH it is what the newest run that named such a model said it is, or the one of --run. Metrics, parameters,
    environment and framework come from the run. The files are kept for as long as the version is there, whatever
    becomes of branches.

    With --profile the columns of a table are described in the version: a server compares what it is asked with them.
    Without it that is what run.profile(table) said in the run. Files that the newest version has already are the next
    version only with another profile.
    """
    from dsvc.actions.model_add import ModelFacts, model_add

    workspace = context.workspace()
    place = None if path is None else workspace.repo_path(path, context.directory)
    about = {} if profile is None else {"profile": _profiled(context, profile, target, header=header)}
    facts = ModelFacts(framework, message, dict(map(parse_assignment, metric)), about)
    found, is_new = model_add(workspace, name, place, run=run, facts=facts, stage=stage)
    if json:
        context.out.json("dsvc.model.add", {**version_json(found), "is_new": is_new})
    elif not quiet:
        what = f"{found.version.name} {found.version.version}"
        context.out.note(what if is_new else f"these files of this run are {what} already")


def _profiled(context: Context, table: str, target: str, *, header: bool) -> Value:
    from dsvc.actions.profile import profile
    from dsvc.monitoring.profile import profile_fields

    return cast("Value", profile_fields(profile(context.directory / table, target=target, header=header)))


def show(context: Context, name: Spec, *, json: Json = False) -> None:
    """Show what is known of a version: files, run, training data, environment, metrics."""
    from dsvc.actions.model import find_model

    workspace = context.workspace()
    found = find_model(workspace, name)
    if json:
        context.out.json("dsvc.model.show", version_json(found))
    else:
        with context.paged():
            print_version(context, workspace, found)


def promote(context: Context, name: Spec, stage: Stage, *, quiet: Quiet = False, json: Json = False) -> None:
    """Let a stage point to a version, in place of the one that it points to.

    NAME@STAGE then stands for that version, in every clone once it is pushed. 'dsvc undo' takes it back.
    """
    _move(context, name, stage, keep=False, quiet=quiet, json=json)


def tag(context: Context, name: Spec, stage: Stage, *, quiet: Quiet = False, json: Json = False) -> None:
    """Give a version a name that stays: it is not taken from another version."""
    _move(context, name, stage, keep=True, quiet=quiet, json=json)


def _move(context: Context, name: str, stage: str, *, keep: bool, quiet: bool, json: bool) -> None:
    from dsvc.actions.model import promote as move

    done = move(context.workspace(), name, stage, keep=keep)
    if json:
        fields = {"name": done.name, "stage": done.stage, "before": done.before, "after": done.after}
        context.out.json("dsvc.model.tag" if keep else "dsvc.model.promote", fields)
    elif not quiet:
        was = f", was {done.before}" if done.before not in (None, done.after) else ""
        context.out.note(f"{done.name}@{done.stage} is version {done.after}{was}")


def get(
    context: Context,
    name: Spec,
    destination: Annotated[str, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    *,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace files of the same names there.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the files of a version into a folder."""
    from dsvc.actions.model_get import model_get

    found, files, size = model_get(context.workspace(), name, context.directory / destination, force=force)
    if json:
        context.out.json("dsvc.model.get", {**version_json(found), "files": files, "bytes": size})
    elif not quiet:
        context.out.note(f"{found.version.name} {found.version.version} is in {destination}")


def rm(
    context: Context,
    names: Annotated[Texts, typer.Argument(metavar="NAME[@VERSION|@STAGE]...", help="What to remove.")] = (),
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove a stage, a version with its stages, or a whole model.

    What only it needs goes with the next gc. 'dsvc undo' brings it back.
    """
    from dsvc.actions.model import remove_models

    if not names:
        raise UsageError("which model?", hint="dsvc model rm NAME@VERSION")
    gone = remove_models(context.workspace(), names)
    if json:
        context.out.json("dsvc.model.rm", {"removed": gone})
    elif not quiet:
        context.out.note(f"removed {', '.join(names)}")


SUBCOMMANDS = {"list": _list, "add": add, "show": show, "promote": promote, "tag": tag, "get": get, "rm": rm}
