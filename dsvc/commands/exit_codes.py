"""Exit codes that stand for no family of errors, and what every code means."""

from __future__ import annotations

from typing import Final

from dsvc import errors

OK: Final = 0
USAGE: Final = errors.UsageError.exit_code
CANNOT: Final = errors.RequestError.exit_code
BUG: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


def exit_code_meanings() -> dict[int, str]:
    """Every exit code of dsvc with one sentence; those of `dsvc.errors` take it from the class."""
    meanings = {
        OK: "The command did what it was asked to.",
        BUG: "A bug in dsvc. The message names the file that holds the details.",
        INTERRUPTED: "Interrupted from the keyboard (Ctrl-C).",
        BROKEN_PIPE: "The reader of the output left early, as `head` does; nothing is wrong.",
    }
    for family in errors.DsvcError.__subclasses__():
        if family.__module__ == errors.__name__:
            meanings[family.exit_code] = (family.__doc__ or "").strip().partition("\n")[0]
    return dict(sorted(meanings.items()))
