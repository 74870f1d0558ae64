"""Names, tables, colours and JSON as they reach people and programs."""

from __future__ import annotations

import io
import json

import pytest

from dsvc.commands.output import Output
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.wrapping import wrapped


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"a/b c.txt", "a/b c.txt"),
        ("größe/数据.csv".encode(), "größe/数据.csv"),
        (b"line\nend", r'"line\nend"'),
        (b'say "hi"', r'"say \"hi\""'),
        (b"back\\slash", r'"back\\slash"'),
        (b"caf\xe9", r'"caf\351"'),
        (b"\x1b[31mred", r'"\033[31mred"'),
        ("a\u202ecod.exe".encode(), r'"a\342\200\256cod.exe"'),
        (b"", ""),
    ],
)
def test_quote_path(name, text):
    assert quote_path(name) == text


def test_path_json():
    assert path_json("größe".encode()) == {"path": "größe"}
    assert path_json(b"caf\xe9") == {"path": "caf\ufffd", "path_b64": "Y2Fm6Q=="}


def output(*, terminal: bool = False) -> tuple[Output, io.BytesIO, io.BytesIO]:
    out, err = io.BytesIO(), io.BytesIO()
    return Output(out, err, terminal=terminal, err_terminal=terminal), out, err


def test_table():
    printer, out, _ = output()
    printer.table([["main", "1", "größe"], ["x", "120", "数"], ["only"]], header=["NAME", "N", "TEXT"], right=[1])
    assert out.getvalue().decode() == "NAME    N  TEXT\nmain    1  größe\nx     120  数\nonly\n"


def test_colours_do_not_widen_columns():
    printer, out, _ = output(terminal=True)
    printer.table([[printer.paint("ab", "red"), "c"], ["abc", "d"]])
    assert out.getvalue().decode() == "\x1b[31mab\x1b[m   c\nabc  d\n"


def test_json_documents_say_what_they_are():
    printer, out, _ = output()
    printer.json("dsvc.sample", {"größe": 1})
    printer.json_line("dsvc.sample", {"name": "\udcff"}, version=2)
    whole, line = out.getvalue().decode("utf-8").rsplit("}\n{", 1)
    assert list(json.loads(whole + "}")) == ["schema", "version", "größe"]
    assert "größe" in whole
    assert json.loads("{" + line)["version"] == 2


def test_names_that_are_not_utf8_keep_their_bytes_in_json():
    printer, out, _ = output()
    printer.json("dsvc.sample", {"paths": ["a", "b\udcff"], "rows": [{"path": "c\udcfe"}], "text": "plain"})
    document = json.loads(out.getvalue().decode("utf-8"))
    assert document["paths"] == ["a", "b\ufffd"]
    assert document["paths_b64"] == ["YQ==", "Yv8="]
    assert document["rows"] == [{"path": "c\ufffd", "path_b64": "Y/4="}]
    assert "text_b64" not in document


def test_names_in_messages_do_not_steer_the_terminal():
    printer, _, err = output()
    printer.warn("cannot read a\x1b]0;title\x07\r\u202e b\udcff", hint="rm a\x1b[2J")
    printer.note(f"{printer.paint('+', 'green')} a\x1b[2J\x9b")
    assert err.getvalue().decode() == (
        "warning: cannot read a\\033]0;title\\007\\015\\342\\200\\256 b\\377\n"
        "hint: rm a\\033[2J\n"
        "+ a\\033[2J\\302\\233\n"
    )


def test_colours_stay_in_notes():
    printer, _, err = output(terminal=True)
    printer.note(f"{printer.paint_error('+', 'green')} done")
    assert err.getvalue() == b"\x1b[32m+\x1b[m done\n"


def test_a_name_that_is_not_utf8_leaves_as_its_bytes():
    printer, out, _ = output()
    printer.line("caf\udce9")
    printer.raw(b"\xff\n")
    assert out.getvalue() == b"caf\xe9\n\xff\n"


def test_warnings_and_notes():
    printer, out, err = output()
    printer.note("done")
    printer.quiet = True
    printer.note("not said")
    printer.warn("careful", hint="look")
    assert out.getvalue() == b""
    assert err.getvalue().decode() == "done\nwarning: careful\nhint: look\n"


@pytest.mark.parametrize(
    ("words", "environment", "colored"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        ([], {"TERM": "dumb"}, False),
        (["--color", "never"], {}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["-c", "color.ui=never"], {}, False),
    ],
)
def test_when_a_terminal_sees_colours(cli, words, environment, colored):
    cli.terminal = True
    cli.environment.update(environment)
    assert cli(*words, "config", "no.key").err.startswith("\x1b[31;1mdsvc:\x1b[m " if colored else "dsvc: ")


def test_no_colours_without_a_terminal(cli):
    assert "\x1b" not in cli("nothing").err
    assert "\x1b" in cli("--color", "always", "nothing").err


def test_messages_break_between_words_and_keep_commands_whole():
    text = "edit and 'dsvc resolve PATH', then 'dsvc merge --continue'; 'dsvc merge --abort' takes it back"
    assert wrapped(text, indent=6, width=60).split("\n") == [
        "edit and 'dsvc resolve PATH', then",
        "      'dsvc merge --continue'; 'dsvc merge --abort' takes it",
        "      back",
    ]
    assert wrapped("short", indent=6, width=60) == "short"
    assert wrapped(text, indent=6, width=0) == text  # a terminal that does not know
    assert wrapped("x" * 100 + " y", indent=6, width=60) == "x" * 100 + "\n      y"
    assert wrapped("two\n  lines " + "z " * 60, indent=6, width=20) == "two\n  lines " + "z " * 60
