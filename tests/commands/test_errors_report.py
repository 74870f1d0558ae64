"""Each exception becomes one sentence, a hint and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from dsvc.commands.context import Context
from dsvc.commands.errors_report import explain_error, keep_traceback
from dsvc.commands.exit_codes import exit_code_meanings
from dsvc.errors import BusyError


def test_errors_of_dsvc_keep_their_words():
    report = explain_error(BusyError("the branch moved", hint="dsvc log", details={"branch": "main"}))
    assert (report.message, report.hint, report.exit_code) == ("the branch moved", "dsvc log", 11)
    assert report.payload()["details"] == {"branch": "main"}
    assert report.kind == "Busy"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r'no space is left on the disk: "a/\"b\""'),
        (errno.EACCES, r'permission denied: "a/\"b\""'),
        (errno.EROFS, r'the file system is read-only: "a/\"b\""'),
    ],
)
def test_what_the_machine_refuses(number, message):
    report = explain_error(OSError(number, os.strerror(number), 'a/"b"'))
    assert (report.message, report.exit_code) == (message, 3)
    assert report.hint


def test_other_endings():
    assert explain_error(KeyboardInterrupt()).exit_code == 130
    assert explain_error(MemoryError()).exit_code == 3
    bug = explain_error(ZeroDivisionError("by zero"))
    assert (bug.exit_code, bug.bug) == (70, True)
    assert bug.message.startswith("this is a bug in dsvc, please report it at ")


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named '_sqlite3'", name="_sqlite3"),
        ImportError("libsqlite3.so.0: cannot open", name="_sqlite3", path=f"/lib/_sqlite3{EXTENSION_SUFFIXES[0]}"),
    ],
)
def test_a_python_without_a_part_is_no_bug_of_dsvc(error):
    report = explain_error(error)
    assert (report.exit_code, report.bug) == (3, False)
    assert report.message == f"this Python lacks a part of its standard library, _sqlite3 ({error})"
    assert sys.executable in (report.hint or "")


def test_a_name_that_a_module_lacks_is_a_bug():
    assert explain_error(ImportError("cannot import name 'x'", name="json", path="/lib/json/__init__.py")).bug
    assert explain_error(ModuleNotFoundError("No module named 'dsvc.x'", name="dsvc.x")).bug


@pytest.fixture
def broken(monkeypatch):
    def fail(_context: Context) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Context, "config", fail)


def test_a_bug_leaves_its_details_in_the_repository(cli, broken):
    (cli.directory / ".dsvc").mkdir()
    cli.environment["NO_COLOR"] = "1"
    answer = cli("config", "a.b")
    assert answer.code == 70
    first, second = answer.err.splitlines()
    assert first.startswith("dsvc: this is a bug in dsvc, please report it at ")
    assert "(ZeroDivisionError: by zero in test_errors_report.py:" in first
    path = Path(second.removeprefix("hint: the details are in "))
    assert path.parent == cli.directory / ".dsvc"
    assert "command: ['dsvc', 'config', 'a.b']" in path.read_text()
    assert "Traceback (most recent call last)" in path.read_text()


def test_debug_shows_the_traceback(cli, broken):
    (cli.directory / ".dsvc").mkdir()
    cli.environment["NO_COLOR"] = "1"
    answer = cli("--debug", "config", "a.b")
    assert answer.code == 70
    assert answer.err.startswith("Traceback (most recent call last)")
    assert list((cli.directory / ".dsvc").iterdir()) == []


def test_without_a_repository_the_details_go_to_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = keep_traceback(ValueError("x"), ["log"], folder=None)
    assert path is not None
    assert path.parent == tmp_path
    assert keep_traceback(ValueError("x"), ["log"], folder=tmp_path / "missing") is not None or path.exists()


def test_the_page_of_exit_codes_is_complete():
    page = (Path(__file__).parents[2] / "docs" / "exit-codes.md").read_text()
    rows = dict(
        line.strip("| \n").split(" | ", 1) for line in page.splitlines() if line.startswith("| ") and "---" not in line
    )
    rows.pop("code")
    assert rows == {str(code): text for code, text in exit_code_meanings().items()}


def test_the_codes_are_those_scripts_were_promised():
    assert set(exit_code_meanings()) == {0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 70, 125, 126, 127, 130, 141}
