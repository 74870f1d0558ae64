"""The text of `--help`, from what the commands declare; the reference in the documentation uses it too.

typer's own pages need rich, which costs more to import than most commands take to run.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from dsvc.commands.coercion import choices_of
from dsvc.commands.registry import Verb

_WIDTH: Final = 80
_NARROWEST: Final = 40
_COLUMN: Final = 28

Row = tuple[str, str]


def root_page(command: Any, ctx: Any, *, verbs: Sequence[Verb]) -> str:
    """The page of `dsvc --help`: usage, verbs by section, global options."""
    width = _width(ctx)
    lines = ["Usage: dsvc [OPTIONS] COMMAND [ARGUMENTS]", "", *_paragraphs(command.help, width)]
    for section in dict.fromkeys(verb.section for verb in verbs):
        rows = [(verb.name, verb.help) for verb in verbs if verb.section == section]
        lines += ["", f"{section}:", *_rows(rows, width, column=16)]
    lines += ["", "Options:", *_rows(option_rows(command, ctx), width)]
    more = "'dsvc COMMAND --help' explains a command. A program dsvc-NAME on PATH is the command NAME."
    lines += ["", *([more] if width == _WIDTH else _paragraphs(more, width))]
    return "\n".join(lines)


def verb_page(command: Any, ctx: Any) -> str:
    """The page of a verb: usage, its text, arguments, options."""
    width = _width(ctx)
    lines = [f"Usage: {usage(command, ctx)}", "", *_paragraphs(command.help, width)]
    arguments = [
        (argument_name(param), param.help)
        for param in command.params
        if param.param_type_name == "argument" and param.help and not param.hidden
    ]
    if arguments:
        lines += ["", "Arguments:", *_rows(arguments, width)]
    lines += ["", "Options:", *_rows(option_rows(command, ctx), width)]
    return "\n".join(lines)


def group_page(command: Any, ctx: Any) -> str:
    """The page of a verb that has subcommands."""
    rows = [(name, _first_line(sub.help)) for name, sub in command.commands.items() if not sub.hidden]
    width = _width(ctx)
    lines = [f"Usage: {usage(command, ctx)}", "", *_paragraphs(command.help, width)]
    lines += ["", "Commands:", *_rows(rows, width, column=16)]
    lines += ["", "Options:", *_rows(option_rows(command, ctx), width)]
    return "\n".join(lines)


def usage(command: Any, ctx: Any) -> str:
    """The command line in one line: `dsvc log [OPTIONS] [REV]...`."""
    names: list[str] = []
    node = ctx
    while node is not None:
        names.insert(0, node.info_name)
        node = node.parent
    pieces = [*names, "[OPTIONS]"]
    pieces += [argument_name(param) for param in command.params if param.param_type_name == "argument"]
    if hasattr(command, "commands"):
        pieces.append("COMMAND" if getattr(command.callback, "__name__", "") == "no_subcommand" else "[COMMAND]")
    return " ".join(pieces)


def option_rows(command: Any, ctx: Any) -> list[Row]:
    """The options that are not hidden: how they are written, and what they do."""
    rows = []
    for param in command.get_params(ctx):
        if param.param_type_name != "option" or param.hidden:
            continue
        names = ", ".join(sorted([*param.opts, *param.secondary_opts], key=lambda name: (len(name) > 2, name)))
        if not param.is_flag and not param.count:
            names += " " + _metavar(param)
        text = param.help or ""
        if isinstance(param.default, str | int) and not isinstance(param.default, bool) and param.default != "":
            text += f" [default: {param.default}]"
        rows.append((names, text))
    return rows


def argument_name(param: Any) -> str:
    """How an argument stands in the usage line."""
    if param.metavar is not None:
        return str(param.metavar)
    name: str = param.name.upper()
    if not param.required:
        name = f"[{name}]"
    return name + ("..." if param.nargs != 1 else "")


def _metavar(param: Any) -> str:
    if param.metavar is not None:
        return str(param.metavar)
    choices = choices_of(param)
    if choices:
        return "|".join(choices)
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", str)
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    for kind, letters in ((int, "N"), (float, "X"), (Path, "PATH")):
        if annotation is kind:
            return letters
    return "TEXT"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].rstrip(".")


def _width(ctx: Any) -> int:
    """The columns that a page may take: those of the terminal it goes to, where these are few."""
    out = getattr(ctx.find_root().obj, "out", None)
    if out is None or not out.terminal:
        return _WIDTH
    return max(_NARROWEST, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))


def _paragraphs(text: str | None, width: int) -> list[str]:
    """The paragraphs of a docstring, filled; one that is indented stays as it is."""
    lines: list[str] = []
    for paragraph in (text or "").strip().split("\n\n"):
        if lines:
            lines.append("")
        if paragraph.startswith((" ", "\b")):
            lines += paragraph.replace("\b\n", "").splitlines()
        else:
            lines += textwrap.wrap(" ".join(paragraph.split()), width, break_on_hyphens=False)
    return lines


def _rows(rows: Iterable[Row], width: int, *, column: int = _COLUMN) -> list[str]:
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, width - column, break_on_hyphens=False) or [""]
        if len(name) > column - 4:
            lines.append(f"  {name}")
        else:
            lines.append(f"  {name:<{column - 2}}{wrapped.pop(0)}".rstrip())
        lines += [" " * column + line for line in wrapped if line]
    return lines
