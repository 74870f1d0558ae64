"""Where the program starts: runs one command line and turns every ending into an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

from dsvc.commands.context import Context, private_folder
from dsvc.commands.exit_codes import BROKEN_PIPE, OK, USAGE
from dsvc.commands.interpreter import FRAMES
from dsvc.commands.output import ByteStream, Output
from dsvc.commands.short_way import short_way
from dsvc.errors import DsvcError, RequestError


def main() -> int:
    """Run the command line of this process and return its exit code."""
    # Not sys.stdout.buffer: with PYTHONUNBUFFERED that has no buffer, and may write less than it is given.
    with _stream(0, "rb") as stdin, _stream(1, "wb") as stdout, _stream(2, "wb") as stderr:
        return run(sys.argv[1:], os.environ, stdin=stdin, stdout=stdout, stderr=stderr)


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
    sys.setrecursionlimit(max(sys.getrecursionlimit(), FRAMES))
    out = Output(stdout, stderr, terminal=stdout.isatty(), err_terminal=stderr.isatty())
    out.as_json = "--json" in _before_dashes(arguments)
    context = Context(environment, out, stdin=stdin, err_terminal=stderr.isatty())
    context.command_line = ("dsvc", *arguments)
    try:
        code = _invoke(arguments, context, directory=directory)
        out.flush()
        context.finish()
    except BrokenPipeError:  # whoever read the results has left, as `head` does
        code = BROKEN_PIPE
        _let_go(stdout)
    except OSError as error:
        code = _report(error, arguments, context)
        _let_go(stdout)
    return code


def report_failure(error: BaseException) -> int:
    """Say on stderr what went wrong outside of `run`, and return the exit code for it."""
    with _stream(0, "rb") as stdin, _stream(1, "wb") as stdout, _stream(2, "wb") as stderr:
        context = Context(os.environ, Output(stdout, stderr, terminal=False, err_terminal=False), stdin=stdin)
        return _report(error, sys.argv[1:], context)


def _invoke(arguments: Sequence[str], context: Context, *, directory: Path | None) -> int:
    try:
        with _inside(directory):
            return _dispatch(arguments, context)
    except DsvcError as error:
        return _report(error, arguments, context)


def _dispatch(arguments: Sequence[str], context: Context) -> int:
    try:
        do = short_way(arguments, context.environment)
        if do is None:
            return _parse(arguments, context)
        do(context)
        return OK
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
        return _report(error, arguments, context)


def _parse(arguments: Sequence[str], context: Context) -> int:
    import typer

    from dsvc.commands.application import build_application

    try:
        root = build_application()
        if "_DSVC_COMPLETE" in context.environment:
            return _answer_shell(root, arguments, context)
        with root.make_context("dsvc", list(arguments), obj=context) as ctx:
            code = root.invoke(ctx)
            return code if isinstance(code, int) else OK
    except typer.Exit as leaving:
        return leaving.exit_code


@contextlib.contextmanager
def _inside(directory: Path | None) -> Iterator[None]:
    """Go to `directory` and come back to where the process was, wherever the command went meanwhile."""
    try:
        before = os.getcwd()
    except FileNotFoundError as error:
        raise RequestError("the current folder does not exist any more", hint="go to another with 'cd'") from error
    try:
        if directory is not None:
            os.chdir(directory)
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):  # the command may have removed it
            os.chdir(before)


def _answer_shell(root: Any, arguments: Sequence[str], context: Context) -> int:
    from dsvc.commands.completion import complete
    from dsvc.commands.registry import present_verbs

    def names_of(prefixes: Sequence[str]) -> Sequence[str]:
        from dsvc.actions.known_names import known_names

        try:
            return known_names(context.directory, prefixes)
        except (DsvcError, OSError):  # whoever types the command to its end is told
            return ()

    for word, text in complete(root, arguments, verbs=present_verbs(), names_of=names_of):
        context.out.line(f"{word}\t{text}")
    return OK


def _report(error: BaseException, arguments: Sequence[str], context: Context) -> int:
    from dataclasses import replace

    from dsvc.commands.errors_report import debugging_lines, explain_error, keep_traceback

    error = context.explained(error)
    report = explain_error(error)
    if report.exit_code == USAGE and context.usage_exit is not None:
        report = replace(report, exit_code=context.usage_exit)
    if isinstance(error, KeyboardInterrupt):
        report = replace(report, hint=context.after_interrupt())
    out = context.out
    try:
        out.flush()
    except OSError:
        _let_go(out.redirect(io.BytesIO()))
    with contextlib.suppress(OSError):
        if context.debug:
            for line in debugging_lines(error):
                out.error_line(line)
        if out.as_json:
            out.error_json("dsvc.error", report.payload())
        else:
            out.labelled("dsvc:", report.message, "red", "bold")
            if report.hint is not None:
                out.labelled("hint:", report.hint, "cyan")
        if report.bug and not context.debug:
            kept = keep_traceback(error, arguments, folder=private_folder(context.directory))
            if kept is not None and not out.as_json:
                out.labelled("hint:", f"the details are in {kept}", "cyan")
    return report.exit_code


def _stream(descriptor: int, mode: Literal["rb", "wb"]) -> BinaryIO:
    try:
        return open(descriptor, mode, closefd=False)
    except OSError:  # started with the stream closed
        return open(os.devnull, mode)


def _let_go(stream: ByteStream) -> None:
    """Point `stream` at nothing, so that what it holds back cannot fail again when it is closed."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        if isinstance(stream, io.IOBase):
            os.dup2(nothing, stream.fileno())
        os.close(nothing)


def _before_dashes(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
