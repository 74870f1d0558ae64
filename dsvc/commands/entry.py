"""Where the program starts: runs one command line and turns every ending into an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import typer

from dsvc.commands.application import build_application
from dsvc.commands.context import Context, private_folder
from dsvc.commands.errors_report import BROKEN_PIPE, OK, debugging_lines, explain_error, keep_traceback
from dsvc.commands.output import Output


def main() -> None:
    """Run the command line of this process and leave it with the command's exit code."""
    code = run(sys.argv[1:], os.environ, stdin=sys.stdin.buffer, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
    sys.exit(code)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: BinaryIO,
    stdout: BinaryIO,
    stderr: BinaryIO,
    directory: Path | None = None,
) -> int:
    """Run `dsvc ARGUMENTS` in `directory` (None: where the process is) and return its exit code.

    Nothing is raised and the process stays where it was; `-C` and `directory` change its folder meanwhile.
    """
    out = Output(stdout, stderr, terminal=stdout.isatty(), err_terminal=stderr.isatty())
    out.as_json = "--json" in _before_dashes(arguments)
    context = Context(environment, out, stdin=stdin, err_terminal=stderr.isatty())
    try:
        with contextlib.chdir(directory if directory is not None else "."):
            code = _invoke(arguments, context)
        out.flush()
    except BrokenPipeError:
        # Whoever read stdout has left. What is still held back must not fail again at the end of the process.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        return BROKEN_PIPE
    return code


def _invoke(arguments: Sequence[str], context: Context) -> int:
    try:
        root = build_application()
        if "_DSVC_COMPLETE" in context.environment:
            from dsvc.commands.completion import complete

            return complete(root, context.environment["_DSVC_COMPLETE"])
        with root.make_context("dsvc", list(arguments), obj=context) as ctx:
            code = root.invoke(ctx)
            return code if isinstance(code, int) else OK
    except typer.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt, MemoryError) as error:  # noqa: BLE001
        return _report(error, arguments, context)


def _report(error: BaseException, arguments: Sequence[str], context: Context) -> int:
    report = explain_error(error)
    out = context.out
    with contextlib.suppress(OSError):
        if context.debug:
            for line in debugging_lines(error):
                out.error_line(line)
        if out.as_json:
            out.error_json("dsvc.error", report.payload())
        else:
            out.error_line(f"{out.paint_error('dsvc:', 'red', 'bold')} {report.message}")
            if report.hint is not None:
                out.error_line(f"{out.paint_error('hint:', 'cyan')} {report.hint}")
        if report.bug and not context.debug:
            kept = keep_traceback(error, arguments, folder=private_folder(context.directory))
            if kept is not None and not out.as_json:
                out.error_line(f"{out.paint_error('hint:', 'cyan')} the details are in {kept}")
    return report.exit_code


def _before_dashes(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
