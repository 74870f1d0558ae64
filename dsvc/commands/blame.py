"""The `dsvc blame` command."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.blame import BlamedLine, blame
from dsvc.actions.revision import revision_context
from dsvc.commands.commit_format import CommitStyle
from dsvc.commands.context import Context
from dsvc.commands.json_stream import stream_json
from dsvc.commands.log_options import Date, chosen_style
from dsvc.commands.options import Json
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.ref_text import SHORT, subject
from dsvc.commands.width import display_width
from dsvc.errors import UsageError

_RANGE = re.compile(r"(\d*)(?:,(\+|-)?(\d*))?")


def command(
    context: Context,
    words: Annotated[Sequence[str], typer.Argument(metavar="[REV] FILE", help="A commit, and a file of it.")],
    *,
    lines: Annotated[
        Sequence[str], typer.Option("-L", metavar="A,B", help="Only lines A to B; A,+N: N lines from A.")
    ] = (),
    emails: Annotated[bool, typer.Option("-e", "--show-email", help="Show addresses in place of names.")] = False,
    suppress: Annotated[bool, typer.Option("-s", help="Show neither name nor date.")] = False,
    whole_ids: Annotated[bool, typer.Option("-l", help="Show whole ids.")] = False,
    names: Annotated[bool, typer.Option("-f", "--show-name", help="Show the file's name in that commit.")] = False,
    date: Date = None,
    json: Json = False,
) -> None:
    """Show which commit last changed each line.

    Lines are followed through renames. Without REV lines of the working copy are shown; those that are not committed
    have an id of zeros. A ^ before an id marks the lines of a first commit.
    """
    before, after = context.split_dashes(words)
    words = [*before, *(after or ())]
    if not 1 <= len(words) <= 2:
        raise UsageError("blame takes one file", hint="dsvc blame [REV] FILE")
    workspace = context.workspace()
    if len(words) == 2 and after is None and os.path.lexists(words[0]) and not os.path.lexists(words[1]):
        words = [words[1], words[0]]  # `blame FILE REV`, as git takes it too
    path = workspace.repo_path(words[-1], context.directory)
    revisions = revision_context(workspace, directory=context.directory)
    found = blame(workspace, path, revision=words[0] if len(words) == 2 else None, context=revisions)
    if lines:
        wanted: set[int] = set()
        for text in lines:
            wanted.update(_range(text, len(found)))
        found = [line for line in found if line.number in wanted]
    if json:
        stream_json(context.out, "dsvc.blame", path_json(path), key="lines", items=map(_described, found))
        return
    style = chosen_style(context, date if date is not None else "iso", short=not whole_ids)
    renamed = names or any(line.path != path for line in found)
    with context.paged():
        _print(context, found, style, emails=emails, suppress=suppress, names=renamed)


def _range(text: str, count: int) -> range:
    found = _RANGE.fullmatch(text)
    if found is None or not text.strip(","):
        raise UsageError(f"-L {text!r} is no range of lines", hint="such as -L 10,20 or -L 10,+5")
    first = int(found[1]) if found[1] else 1
    last = int(found[3]) if found[3] else count
    if found[2] == "+":
        last = first + last - 1
    elif found[2] == "-":
        first, last = max(first - last + 1, 1), first
    if not 1 <= first <= count:
        raise UsageError(f"-L {text!r}: the file has {count} line{'s' if count != 1 else ''}")
    return range(min(first, last), max(first, last) + 1)


def _print(
    context: Context,
    lines: Sequence[BlamedLine],
    style: CommitStyle,
    *,
    emails: bool,
    suppress: bool,
    names: bool,
) -> None:
    people = [_person(line, emails=emails) for line in lines]
    paths = [quote_path(line.path) for line in lines]
    dates = [style.date_text(line.commit.author) if line.commit else "not committed" for line in lines]
    width = max(map(display_width, people), default=0)
    path_width = max(map(display_width, paths), default=0)
    date_width = max(map(len, dates), default=0)
    number_width = len(str(lines[-1].number)) if lines else 1
    id_width = 64 if style.whole_ids else SHORT
    last: object = ()
    for line, person, path, when in zip(lines, people, paths, dates, strict=True):
        digits = line.commit_id.hex() if line.commit_id is not None else "0" * 64
        shown = ("^" + digits[: id_width - 1]) if line.boundary else digits[:id_width]
        color = "dim" if line.commit_id == last else "yellow"
        last = line.commit_id
        text = context.out.paint(shown, color)
        if names:
            text += f" {path}{' ' * (path_width - display_width(path))}"
        number = f"{line.number:>{number_width}}"
        if suppress:
            text += f" {number}) "
        else:
            text += f" ({person}{' ' * (width - display_width(person))} {when:<{date_width}} {number}) "
        context.out.raw(text.encode("utf-8", "surrogateescape") + line.text + b"\n")


def _person(line: BlamedLine, *, emails: bool) -> str:
    if line.commit is None:
        return "Not Committed Yet"
    return f"<{line.commit.author.email}>" if emails else line.commit.author.name


def _described(line: BlamedLine) -> dict[str, object]:
    from dsvc.commands.commit_text import person_json

    commit = line.commit
    return {
        "line": line.number,
        "text": line.text.decode("utf-8", "replace"),
        "commit": line.commit_id.hex() if line.commit_id is not None else None,
        **path_json(line.path),
        "original_line": line.origin,
        "author": person_json(commit.author) if commit is not None else None,
        "subject": subject(commit.message) if commit is not None else None,
    }
