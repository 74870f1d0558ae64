"""The `dsvc lineage` command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import typer

from dsvc.actions.lineage import lineage
from dsvc.actions.lineage_graph import Lineage
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.errors import DsvcError, UsageError
from dsvc.workspace import Workspace

Texts = Sequence[str]
Form = Literal["tree", "dot", "mermaid", "json", "html"]


def command(
    context: Context,
    words: Annotated[
        Texts, typer.Argument(metavar="PATH|MODEL|RUN|REV", help="A file, PATH@ID, REV:PATH, a model, run or commit.")
    ] = (),
    *,
    up: Annotated[bool, typer.Option("--up", help="Where it came from; the default.")] = False,
    down: Annotated[bool, typer.Option("--down", help="What came of it.")] = False,
    form: Annotated[
        Form, typer.Option("--format", metavar="FORM", help="tree, dot, mermaid, json or html (one file).")
    ] = "tree",
    json: Json = False,
) -> None:
    """Show where files, runs and commits came from, or what came of them.

    Files are known by the ids of their content, so this holds across branches, clones and forks. Each step is proved
    (hashes match what was observed), claimed (declared only, or changed meanwhile), or missing. Without an argument it
    is the lineage of HEAD.
    """
    if up and down:
        raise UsageError("--up and --down exclude each other")
    workspace = context.workspace()
    names, paths = targets_of(context, workspace, words or ("HEAD",))
    graph = lineage(workspace, names, direction="down" if down else "up", paths=paths)
    print_lineage(context, graph, "json" if json else form)


def targets_of(
    context: Context, workspace: Workspace, words: Sequence[str]
) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Tell files from runs and revisions: what exists is a file, and so is all that comes after `--`."""
    before, after = context.split_dashes(words)
    names: list[str] = []
    paths = [workspace.repo_path(word, context.directory) for word in after or ()]
    for word in before:
        if os.path.lexists(os.path.join(context.directory, word)) or _was_here(context, workspace, word):
            paths.append(workspace.repo_path(word, context.directory))
        else:
            names.append(word)
    return tuple(names), tuple(paths)


def _was_here(context: Context, workspace: Workspace, word: str) -> bool:
    """Whether a word names a file of HEAD, or one that a run wrote, and that is not there now."""
    from dsvc.actions.runs import open_runs
    from dsvc.objects.trees import lookup

    try:
        path = workspace.repo_path(word, context.directory)
        if lookup(workspace.repo.store, workspace.head_tree(), path) is not None:
            return True
        with open_runs(workspace) as index:
            return bool(index.written(path))
    except DsvcError:
        return False


def print_lineage(context: Context, graph: Lineage, form: Form) -> None:
    """Print a lineage in one of the forms."""
    headline = context.config().get_str("run.headline")
    if form == "json":
        from dsvc.commands.lineage_json import lineage_json

        context.out.json("dsvc.lineage", lineage_json(graph))
    elif form == "html":
        from dsvc.commands.lineage_html import lineage_html

        context.out.text(lineage_html(graph, headline=headline))
    elif form in ("dot", "mermaid"):
        from dsvc.commands.lineage_diagram import dot, mermaid

        context.out.text((dot if form == "dot" else mermaid)(graph, headline=headline))
    else:
        from dsvc.commands.graph_text import takes_boxes
        from dsvc.commands.lineage_tree import TreeWriter

        boxes = takes_boxes(context.environment.items(), terminal=True)
        with context.paged():
            TreeWriter(context.out, width=columns(context), boxes=boxes, headline=headline).write(graph)


_UNCUT: Final = 1 << 16


def columns(context: Context) -> int:
    """How wide the terminal is; where there is none, so wide that nothing is cut from what a file or program gets."""
    if context.out.terminal:
        try:
            return max(os.get_terminal_size(1).columns, 40)
        except OSError:
            return 80
    return _UNCUT
