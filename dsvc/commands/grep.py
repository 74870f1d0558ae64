"""The `dsvc grep` command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.grep import GrepQuery, GrepResult, Match, grep
from dsvc.actions.revision import revision_context
from dsvc.commands.arguments import revisions_and_paths
from dsvc.commands.context import Context
from dsvc.commands.entry_text import human_size, seen_from
from dsvc.commands.json_stream import stream_json
from dsvc.commands.options import Json
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import UsageError


def command(
    context: Context,
    words: Annotated[
        Sequence[str], typer.Argument(metavar="[PATTERN] [REV]... [PATH]...", help="What to look for, and where.")
    ] = (),
    *,
    patterns: Annotated[Sequence[str], typer.Option("-e", metavar="PATTERN", help="A pattern; repeatable.")] = (),
    numbers: Annotated[bool, typer.Option("-n", "--line-number", help="Show the numbers of lines.")] = False,
    ignore_case: Annotated[bool, typer.Option("-i", "--ignore-case", help="Let case not count.")] = False,
    names: Annotated[bool, typer.Option("-l", "--files-with-matches", help="Show only names of files.")] = False,
    words_only: Annotated[bool, typer.Option("-w", "--word-regexp", help="Match whole words.")] = False,
    count: Annotated[bool, typer.Option("-c", "--count", help="Show how many lines of a file match.")] = False,
    fixed: Annotated[bool, typer.Option("-F", "--fixed-strings", help="Patterns are plain text.")] = False,
    extended: Annotated[bool, typer.Option("-E", "-P", "--extended-regexp", help="Accepted.")] = False,
    invert: Annotated[bool, typer.Option("-v", "--invert-match", help="Show lines that do not match.")] = False,
    only: Annotated[bool, typer.Option("-o", "--only-matching", help="Show only what matched.")] = False,
    no_names: Annotated[bool, typer.Option("-h", help="Leave out the names of files.")] = False,
    null_ended: Annotated[bool, typer.Option("-z", "--null", help="End names with NUL and do not quote them.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing; only the exit code tells.")] = False,
    json: Json = False,
) -> int:
    """Search the text of files.

    Looks in the versioned files of the working copy, or in those of the commits given. Patterns are regular expressions
    as Python writes them. Binary files are left out. Exits with 1 where nothing matches.
    """
    del extended
    if not patterns:
        if not words:
            raise UsageError("a pattern is missing", hint="dsvc grep PATTERN")
        patterns, words = words[:1], words[1:]
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    revs, paths = revisions_and_paths(context, workspace, words, revisions=revisions)
    query = GrepQuery(tuple(patterns), fixed=fixed, ignore_case=ignore_case, words=words_only, invert=invert)
    here = revisions.directory
    if not paths and here:
        paths = (here,)
    results = _warned(context, grep(workspace, query, revisions=revs, paths=paths, context=revisions))
    if quiet:
        return 0 if next(iter(results), None) is not None else 1
    if json:
        counted = [0]
        items = (_described(result, counted) for result in results)
        stream_json(context.out, "dsvc.grep", {}, key="files", items=items)
        return 0 if counted[0] else 1
    any_found = False
    with context.paged():
        for result in results:
            any_found = True
            prefix = "" if no_names else _name(context, result, here, null_ended=null_ended)
            if names:
                context.out.text(_name(context, result, here, null_ended=null_ended) + ("\0" if null_ended else "\n"))
            elif count:
                context.out.line(f"{prefix}{_colon(prefix, null_ended)}{len(result.matches)}")
            else:
                for match in result.matches:
                    _print(context, prefix, match, numbers=numbers, only=only, null_ended=null_ended)
    return 0 if any_found else 1


def _warned(context: Context, results: Iterable[GrepResult]) -> Iterable[GrepResult]:
    """The results with matches; of files that were too large to be searched it is told."""
    for result in results:
        if result.skipped:
            context.out.warn(f"{quote_path(result.path)} was not searched: it has {human_size(result.size)}")
        else:
            yield result


def _name(context: Context, result: GrepResult, here: bytes, *, null_ended: bool) -> str:
    path = seen_from(result.path, here) if result.revision is None else result.path
    name = path.decode("utf-8", "surrogateescape") if null_ended else quote_path(path)
    revision = f"{result.revision}:" if result.revision is not None else ""
    return context.out.paint(revision + name, "magenta")


def _colon(prefix: str, null_ended: bool) -> str:
    return "" if not prefix else "\0" if null_ended else ":"


def _print(context: Context, prefix: str, match: Match, *, numbers: bool, only: bool, null_ended: bool) -> None:
    out = context.out
    start = prefix + _colon(prefix, null_ended)
    if numbers:
        start += out.paint(str(match.number), "green") + ":"
    head = start.encode("utf-8", "surrogateescape")
    if only:
        for begin, end in match.spans:
            out.raw(head + _painted(context, match.line[begin:end]) + b"\n")
        return
    pieces, at = [], 0
    for begin, end in match.spans:
        pieces += [match.line[at:begin], _painted(context, match.line[begin:end])]
        at = end
    out.raw(head + b"".join(pieces) + match.line[at:] + b"\n")


def _painted(context: Context, text: bytes) -> bytes:
    start, _, end = context.out.paint("\0", "red", "bold").partition("\0")
    return start.encode() + text + end.encode() if text else b""


def _described(result: GrepResult, counted: list[int]) -> dict[str, Any]:
    counted[0] += 1
    matches = [
        {"line": match.number, "text": match.line.decode("utf-8", "replace"), "spans": [list(s) for s in match.spans]}
        for match in result.matches
    ]
    return {**path_json(result.path), "revision": result.revision, "matches": matches}
