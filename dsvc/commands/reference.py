"""Prints docs/cli.md: `python -m dsvc.commands.reference > docs/cli.md`; with `settings` a table for settings.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from dsvc.commands.application import build_application
from dsvc.commands.help_page import usage
from dsvc.commands.registry import present_verbs
from dsvc.config.keys import default_text, known_keys


def reference() -> str:
    """The page of all commands that are there, made from the same texts as `--help`."""
    root = build_application()
    ctx = root.make_context("dsvc", [], resilient_parsing=True)
    lines = [
        "# Commands",
        "",
        "This page is made from `--help` by `python -m dsvc.commands.reference > docs/cli.md`.",
        "",
        "```text",
        root.get_help(ctx),
        "```",
    ]
    section = ""
    for verb in present_verbs():
        if verb.section != section:
            section = verb.section
            lines += ["", f"## {section}"]
        lines += _pages(verb.name, root.get_command(ctx, verb.name), ctx, depth=3)
    return "\n".join(lines) + "\n"


def _pages(name: str, command: Any, parent: Any, *, depth: int) -> Iterator[str]:
    ctx = command.make_context(name, [], parent=parent, resilient_parsing=True)
    words = usage(command, ctx).partition(" [OPTIONS]")[0]
    yield from ("", f"{'#' * depth} {words}", "", "```text", command.get_help(ctx), "```")
    for subname, subcommand in getattr(command, "commands", {}).items():
        yield from _pages(subname, subcommand, ctx, depth=depth + 1)


def settings_table() -> str:
    """The rows of all settings that dsvc reads, as they stand in docs/settings.md."""
    rows = ["| key | default | what it is |", "| --- | --- | --- |"]
    for key in known_keys():
        default = f"`{default_text(key)}`" if key.default is not None else ""
        choices = f" One of {', '.join(f'`{choice}`' for choice in key.choices)}." if key.choices else ""
        rows.append(f"| `{key.name}` | {default} | {key.help}{choices} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_table() if sys.argv[1:] == ["settings"] else reference())
