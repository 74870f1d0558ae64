"""From an exception to what people read and the exit code that scripts test."""

from __future__ import annotations

import difflib
import errno
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

import typer

from dsvc.commands.exit_codes import BUG, CANNOT, INTERRUPTED, USAGE
from dsvc.commands.git_words import option_hint, subverb_hint
from dsvc.commands.path_text import plain_text, quote_path
from dsvc.errors import DsvcError
from dsvc.version import __version__

_MACHINE: Final = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission denied",
    errno.EPERM: "the operation is not permitted",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk failed to read or write",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open on this machine",
    errno.EFBIG: "the file would be larger than the file system allows",
    errno.ENAMETOOLONG: "the name is too long for the file system",
}
_MACHINE_HINTS: Final = {
    errno.ENOSPC: "free some space and run the command again; nothing that was stored is lost",
    errno.EDQUOT: "free some space and run the command again; nothing that was stored is lost",
    errno.EACCES: "check the owner and the mode of the file and of its folder",
    errno.EPERM: "check the owner and the mode of the file and of its folder",
    errno.EROFS: "mount it for writing, or work on a copy",
    errno.EMFILE: "raise the limit with 'ulimit -n 4096'",
}


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """What is said of an error; `kind` is a word for scripts, `bug` asks for the traceback to be kept."""

    kind: str
    message: str
    exit_code: int
    hint: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    bug: bool = False

    def payload(self) -> dict[str, Any]:
        """The fields of the JSON document `dsvc.error`."""
        return {
            "kind": self.kind,
            "message": plain_text(self.message),
            "hint": plain_text(self.hint) if self.hint is not None else None,
            "exit_code": self.exit_code,
            "details": self.details,
        }


def explain_error(error: BaseException) -> ErrorReport:
    """What to say of `error`; anything that is not foreseen is a bug of dsvc."""
    if isinstance(error, DsvcError):
        kind = type(error).__name__.removesuffix("Error")
        return ErrorReport(kind, error.message, error.exit_code, hint=error.hint, details=error.details)
    if isinstance(error, _usage_family()):
        return _usage_report(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return ErrorReport("Interrupted", "interrupted", INTERRUPTED)
    if isinstance(error, MemoryError):
        return ErrorReport("Memory", "there is not enough memory", CANNOT, hint="close other programs and try again")
    if isinstance(error, OSError) and error.errno in _MACHINE:
        message = _MACHINE[error.errno]
        names = [quote_path(os.fsencode(name)) for name in (error.filename, error.filename2) if _is_path(name)]
        if names:
            message += ": " + ", ".join(names)
        return ErrorReport("Machine", message, CANNOT, hint=_MACHINE_HINTS.get(error.errno))
    if isinstance(error, ImportError) and _is_of_python(error):
        message = f"this Python lacks a part of its standard library, {error.name} ({error})"
        hint = f"install what it needs, or use another Python than {sys.executable}"
        return ErrorReport("Machine", message, CANNOT, hint=hint)
    message = f"this is a bug in dsvc, please report it at the project's issue tracker ({_in_short(error)})"
    return ErrorReport("Bug", message, BUG, bug=True)


def _is_of_python(error: ImportError) -> bool:
    """Whether a module of the standard library is not there, or its shared library does not load.

    A name that such a module does not have is a bug; then the path is that of Python code.
    """
    absent = isinstance(error, ModuleNotFoundError) or (error.path or "").endswith(tuple(EXTENSION_SUFFIXES))
    return absent and error.name in sys.stdlib_module_names


def keep_traceback(error: BaseException, arguments: Sequence[str], *, folder: Path | None) -> Path | None:
    """Write the traceback of `error` into a new file in `folder`, else among temporary files; None if neither can."""
    text = "\n".join(
        [
            f"dsvc {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"command: {['dsvc', *arguments]!r}",
            "",
            *traceback.format_exception(error),
        ]
    )
    name = f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for place in (folder, Path(tempfile.gettempdir())):
        if place is None:
            continue
        path = place / (name if place is folder else f"dsvc-{name}")
        try:
            with open(path, "x", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            return path
        except OSError:
            continue
    return None


def _usage_family() -> type[Exception]:
    """The class of all errors that typer raises for a wrong command line; typer does not export its name."""
    family = typer.BadParameter.__base__
    return family if family is not None and issubclass(family, Exception) else typer.BadParameter


def _usage_report(error: Any) -> ErrorReport:
    message = error.format_message().strip().rstrip(".")
    hint = None
    ctx = getattr(error, "ctx", None)
    possible = sorted(getattr(error, "possibilities", None) or ())
    if possible:
        message = message.partition(" (")[0]
        close = _alike(getattr(error, "option_name", ""), possible, ctx)
        hint = f"did you mean {' or '.join(close)}?" if close else None
    unknown = re.match("No such command '([^']+)'", message)
    if unknown and ctx is not None:
        close = difflib.get_close_matches(unknown[1], getattr(ctx.command, "commands", ()), n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(sorted(close))}?" if close else None
    path: list[str] = []
    while ctx is not None:
        path.insert(0, ctx.info_name or "dsvc")
        ctx = ctx.parent
    hint = _git_hint(" ".join(path[1:]), error, message) or hint or f"see '{' '.join(path or ['dsvc'])} --help'"
    return ErrorReport("Usage", message[:1].lower() + message[1:], USAGE, hint=hint)


def _alike(typed: str, possible: Sequence[str], ctx: Any) -> list[str]:
    """Those of the options that look like what was typed, dashes aside, and that the help page shows."""
    params = ctx.command.params if ctx is not None else ()
    hidden = {name for param in params if getattr(param, "hidden", False) for name in param.opts}
    words = {name.lstrip("-"): name for name in possible if name not in hidden}
    return sorted(words[word] for word in difflib.get_close_matches(typed.lstrip("-"), words, n=3, cutoff=0.6))


def _git_hint(verb: str, error: Any, message: str) -> str | None:
    """Say what is done in place of something that git has and `verb` has not."""
    unknown = re.match("No such command '([^']+)'", message)
    if unknown:
        return subverb_hint(verb, unknown[1])
    return option_hint(verb, getattr(error, "option_name", "")) if message.startswith("No such option") else None


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes)


def _in_short(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" in {os.path.basename(frame[0].filename)}:{frame[0].lineno}" if frame else ""
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}{': ' + text if text else ''}{place}"


def debugging_lines(error: BaseException) -> list[str]:
    """The traceback of `error` for `--debug`."""
    return "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
