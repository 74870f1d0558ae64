"""Words that are no verb: aliases from the settings, and programs `dsvc-NAME` on PATH."""

from __future__ import annotations

import difflib
import os
import shlex
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsvc.commands.git_words import VERBS
from dsvc.config.settings import Config
from dsvc.config.values import as_text
from dsvc.errors import RequestError, UsageError


class UnknownVerbError(UsageError):
    """The first word is no verb, no alias and no program."""


class BadAliasError(RequestError):
    """An alias cannot be expanded."""


class ProgramError(RequestError):
    """A program on PATH cannot be run."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What an alias stands for: the words of a dsvc command, or a line for the shell."""

    words: tuple[str, ...] = ()
    shell: str | None = None


def expand_alias(name: str, config: Config) -> Expansion | None:
    """What the alias `name` stands for, or None where there is no such alias.

    Raises BadAliasError for one that is empty, has an open quote, or begins with an option.
    """
    value = config.section("alias").get(name)
    if value is None:
        return None
    text = as_text(value).strip()
    if text.startswith("!"):
        return Expansion(shell=text[1:])
    try:
        words = tuple(shlex.split(text)) if not isinstance(value, tuple) else value
    except ValueError as error:
        raise BadAliasError(f"alias.{name} cannot be read: {error}", hint=f"dsvc config alias.{name} VALUE") from error
    if not words or words[0].startswith("-"):
        raise BadAliasError(
            f"alias.{name} does not begin with a command: {text!r}", hint=f"dsvc config alias.{name} 'COMMAND ...'"
        )
    return Expansion(words=words)


def find_program(name: str, environment: Mapping[str, str]) -> str | None:
    """The path of the program `dsvc-NAME`, or None."""
    if os.sep in name or name.startswith("-"):
        return None
    return shutil.which(f"dsvc-{name}", path=environment.get("PATH", ""))


def run_program(command: Sequence[str], environment: Mapping[str, str], *, directory: Path) -> int:
    """Run `command` on this process's streams and return its exit code; 128 + n where signal n ended it.

    Raises ProgramError for one that cannot be run.
    """
    try:
        code = subprocess.run(list(command), cwd=directory, env=dict(environment), check=False).returncode
    except OSError as error:
        why = "its interpreter is missing" if isinstance(error, FileNotFoundError) else error.strerror
        hint = f"its first line names what runs it, such as #!/bin/sh: head -n 1 {shlex.quote(command[0])}"
        raise ProgramError(f"{command[0]} cannot be run: {why}", hint=hint) from error
    return 128 - code if code < 0 else code


def shell_command(line: str, name: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """The command that runs the shell line of the alias `name` with `arguments` behind it."""
    return ("/bin/sh", "-c", f'{line} "$@"' if arguments else line, name, *arguments)


def unknown_verb(name: str, known: Collection[str]) -> UnknownVerbError:
    """The error that says `name` is no command, and what to use for it or which of `known` look like it."""
    if name in VERBS:
        return UnknownVerbError(f"'{name}' is not a dsvc command", hint=VERBS[name], details={"similar": []})
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    message = f"'{name}' is not a dsvc command"
    if close:
        message += ". Did you mean " + " or ".join(f"'{other}'" for other in close) + "?"
    return UnknownVerbError(message, hint="'dsvc --help' lists the commands", details={"similar": close})
