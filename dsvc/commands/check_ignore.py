"""The `dsvc check-ignore` command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from dsvc.actions.check_ignore import CheckIgnoreResult, check_ignore
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import UsageError
from dsvc.workspace import Workspace


def command(
    context: Context,
    words: Annotated[Sequence[str], typer.Argument(metavar="[PATH]...", help="Paths, which need not exist.")] = (),
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the rule: file, line and pattern.")] = False,
    non_matching: Annotated[
        bool, typer.Option("-n", "--non-matching", help="With -v, show paths that no rule matches too.")
    ] = False,
    null_ended: Annotated[bool, typer.Option("-z", help="Read and write fields that end with NUL.")] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read paths from stdin.")] = False,
    no_index: Annotated[bool, typer.Option("--no-index", help="Look at the rules for tracked paths too.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Say which rule ignores a path.

    Prints those of the paths that are ignored, and exits with 0 if there are any, with 1 otherwise. With -v each line
    is the rule's file, line number and pattern, a tab, and the path; the pattern of a path that a rule takes back in
    begins with '!'. Tracked files are never ignored.
    """
    if non_matching and not verbose:
        raise UsageError("--non-matching needs --verbose")
    if quiet and (verbose or len(words) > 1 or stdin):
        raise UsageError("--quiet takes a single path and no --verbose")
    if stdin == bool(words):
        raise UsageError("paths are given as arguments or with --stdin")
    workspace = context.workspace()
    given = _from_stdin(context, null_ended=null_ended) if stdin else [os.fsencode(word) for word in words]
    results = check_ignore(workspace, _inside(context, workspace, given), tracked_too=no_index)
    any_ignored = False
    documents = []
    for written, result in zip(given, results, strict=True):
        shown = result.rule is not None if verbose else result.is_ignored()
        any_ignored = any_ignored or shown
        if json:
            documents.append({**path_json(written), "ignored": result.is_ignored(), **_rule_json(result)})
        elif not quiet and (shown or non_matching):
            _print(context, written, result, verbose=verbose, null_ended=null_ended)
    if json:
        context.out.json("dsvc.check-ignore", {"paths": documents})
    return 0 if any_ignored else 1


def _from_stdin(context: Context, *, null_ended: bool) -> list[bytes]:
    parts = context.read_input().split(b"\0" if null_ended else b"\n")
    return [part for part in parts if part]


def _inside(context: Context, workspace: Workspace, given: Sequence[bytes]) -> Iterator[bytes]:
    for written in given:
        path = workspace.repo_path(os.fsdecode(written), context.directory)
        yield path + b"/" if written.endswith(b"/") and path else path


def _print(context: Context, path: bytes, result: CheckIgnoreResult, *, verbose: bool, null_ended: bool) -> None:
    rule = result.rule
    fields = (rule.source, b"%d" % rule.line, rule.pattern) if rule is not None else (b"", b"", b"")
    if null_ended:
        context.out.raw(b"".join(field + b"\0" for field in ((*fields, path) if verbose else (path,))))
    elif verbose:
        source, line, pattern = fields
        context.out.raw(b"%s:%s:%s\t%s\n" % (quote_path(source).encode(), line, pattern, quote_path(path).encode()))
    else:
        context.out.line(quote_path(path))


def _rule_json(result: CheckIgnoreResult) -> dict[str, object]:
    rule = result.rule
    if rule is None:
        return {"rule": None}
    source = {f"source{key[4:]}": value for key, value in path_json(rule.source).items()}
    return {"rule": {**source, "line": rule.line, "pattern": rule.pattern.decode("utf-8", "replace")}}
