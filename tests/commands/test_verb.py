"""What the author of a verb can rely on: parameters, groups, `--`, exit codes."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json, Message, NoStaging, Paths, Quiet
from dsvc.commands.output import Output
from dsvc.commands.registry import Verb
from dsvc.commands.verb import build_command
from dsvc.errors import UsageError


def sample(
    context: Context,
    revision: Annotated[str, typer.Argument(metavar="REV")],
    paths: Paths = (),
    *,
    everything: Annotated[bool, typer.Option("-a", "--all")] = False,
    message: Message = (),
    count: Annotated[int | None, typer.Option("-n", "--max-count", min=0)] = None,
    style: Annotated[Literal["merge", "diff3"], typer.Option("--style", help="The style.")] = "merge",
    folder: Annotated[Path | None, typer.Option("--folder")] = None,
    ratio: Annotated[float, typer.Option("--ratio")] = 0.5,
    staged: NoStaging = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Show what the words became.

    A second paragraph.
    """
    context.out.note("a note")
    values = (revision, paths, everything, message, count, style, folder, ratio, context.split_dashes(paths))
    context.out.line(repr(values))
    return len(paths)


def show(context: Context, name: Annotated[str, typer.Argument()] = "none") -> None:
    """Show one."""
    context.out.line(f"shown {name}")


def put(context: Context, *, message: Annotated[str, typer.Option("-m")] = "-", json: Json = False) -> None:
    """Put changes aside."""
    context.out.line(f"put {message}")


def call(words: Sequence[str], **members: Any) -> tuple[Any, str, str]:
    module = ModuleType("sample")
    for name, value in members.items():
        setattr(module, name, value)
    command = build_command(Verb("sample", "Work on files", "Do something"), module)
    out, err = io.BytesIO(), io.BytesIO()
    context = Context({}, Output(out, err, terminal=False, err_terminal=False), stdin=io.BytesIO())
    try:
        with command.make_context("sample", list(words), obj=context, help_option_names=["-h", "--help"]) as ctx:
            code = command.invoke(ctx)
    except typer.Exit as leaving:
        code = leaving.exit_code
    return code, out.getvalue().decode("utf-8", "surrogateescape"), err.getvalue().decode()


def values(*words: str) -> Any:
    return eval(call(words, command=sample)[1], {"PosixPath": Path})


def test_defaults():
    assert values("HEAD") == ("HEAD", (), False, (), None, "merge", None, 0.5, ((), None))


def test_every_type():
    words = "HEAD p q --all -m one -m two -n 3 --style diff3 --folder x/y --ratio 2"
    wanted = ("HEAD", ("p", "q"), True, ("one", "two"), 3, "diff3", Path("x/y"), 2.0, (("p", "q"), None))
    assert values(*words.split()) == wanted


def test_flags_bundle_and_stand_anywhere():
    assert values("HEAD", "p", "-am", "text")[:4] == ("HEAD", ("p",), True, ("text",))
    assert values("-amtext", "HEAD")[3] == ("text",)


def test_a_number_is_the_count():
    assert values("HEAD", "-20")[4] == 20
    assert values("HEAD", "--", "-20")[1] == ("-20",)


def test_dashes_end_the_options_and_are_remembered():
    assert values("HEAD", "p", "--", "--all")[8] == (("p",), ("--all",))
    assert values("HEAD", "--", "-a", "q")[8] == ((), ("-a", "q"))
    assert values("HEAD", "p", "--")[8] == (("p",), ())


def test_names_that_are_not_utf8_arrive_whole():
    name = os.fsdecode(b"caf\xe9")
    assert os.fsencode(values("HEAD", name)[1][0]) == b"caf\xe9"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("HEAD -n x", "'x' is not a whole number."),
        ("HEAD -n -1", "-1 is less than 0."),
        ("HEAD --style zdiff3", "'zdiff3' is not one of merge, diff3."),
        ("HEAD --ratio x", "'x' is not a number."),
    ],
)
def test_words_that_do_not_fit(words, message):
    with pytest.raises(typer.BadParameter) as caught:
        call(words.split(), command=sample)
    assert caught.value.message == message


def test_staging_is_explained():
    with pytest.raises(UsageError, match="there is no staging area"):
        call(["HEAD", "--cached"], command=sample)


def test_the_exit_code_is_what_the_verb_returns():
    assert call(["HEAD", "p", "q"], command=sample)[0] == 2


def test_quiet_silences_notes_only():
    code, out, err = call(["HEAD"], command=sample)
    assert (code, err) == (0, "a note\n")
    code, quiet_out, err = call(["HEAD", "-q"], command=sample)
    assert (code, quiet_out, err) == (0, out, "")


def test_help_page():
    assert call(["--help"], command=sample)[1] == (
        """\
Usage: sample [OPTIONS] REV [PATH]...

Show what the words became.

A second paragraph.

Arguments:
  [PATH]...                 Only these files and folders.

Options:
  -a, --all
  -m, --message TEXT        The message; each further one is a paragraph.
  -n, --max-count N
  --style merge|diff3       The style. [default: merge]
  --folder PATH
  --ratio X
  -q, --quiet               Print only results, warnings and errors.
  --json                    Print one JSON document instead of text.
  -h, --help                Show this page.
"""
    )


def test_group():
    members = {"SUBCOMMANDS": {"show": show, "list": sample}}
    assert call(["show", "x"], **members)[1] == "shown x\n"
    with pytest.raises(UsageError, match="a subcommand is missing") as caught:
        call([], **members)
    assert caught.value.hint == "dsvc sample show|list"
    assert call(["--help"], **members)[1] == (
        """\
Usage: sample [OPTIONS] COMMAND

Do something.

Commands:
  show          Show one
  list          Show what the words became

Options:
  -h, --help                Show this page.
"""
    )


def test_group_with_a_bare_form():
    members = {"command": put, "SUBCOMMANDS": {"show": show}}
    assert call([], **members)[1] == "put -\n"
    assert call(["-m", "text"], **members)[1] == "put text\n"
    assert call(["show"], **members)[1] == "shown none\n"
    assert call(["--help"], **members)[1].startswith("Usage: sample [OPTIONS] [COMMAND]\n\nPut changes aside.\n")
