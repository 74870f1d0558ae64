"""What is done without the parser is what the parser would have had done."""

from __future__ import annotations

import itertools
import os

import pytest

from dsvc.commands.short_way import short_way
from tests.commands.conftest import CommandLine

FLAGS = ("--short", "-s", "--branch", "-b", "--porcelain", "-z", "--json")


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    cli.ok("init", "-q")
    for name in ("changed", "gone", "kept"):
        (cli.directory / name).write_text("one\n")
    cli.ok("commit", "-q", "-m", "first")
    (cli.directory / "changed").write_text("longer\n")
    (cli.directory / "gone").unlink()
    (cli.directory / "new\tname").write_text("")
    os.mkfifo(cli.directory / "pipe")
    return cli


@pytest.mark.parametrize("words", [(), *[(flag,) for flag in FLAGS], *itertools.combinations(FLAGS, 2)])
def test_status_says_the_same_on_both_ways(project: CommandLine, words: tuple[str, ...]) -> None:
    assert short_way(["status", *words], {}) is not None
    assert short_way(["-C", ".", "status", *words], {}) is None
    short, parsed = project("status", *words), project("-C", ".", "status", *words)
    assert (short.code, short.out, short.err) == (parsed.code, parsed.out, parsed.err)
    assert short.code == 0
    assert short.out


def test_so_do_the_version_and_errors(cli: CommandLine) -> None:
    for words in (["--version"], ["-V"]):
        assert cli.ok(*words).out == cli.ok("-C", ".", *words).out
    for words in (["status"], ["status", "--json"]):  # there is no repository
        short, parsed = cli(*words), cli("-C", ".", *words)
        assert (short.code, short.out, short.err) == (parsed.code, parsed.out, parsed.err)
        assert short.code == 10


@pytest.mark.parametrize("line", ["", "status -x", "status kept", "status -- kept", "status -h", "--version -V"])
def test_what_it_does_not_know_is_left_to_the_parser(line: str) -> None:
    assert short_way(line.split(), {}) is None


def test_a_shell_that_asks_for_completions_is_answered(project: CommandLine) -> None:
    assert short_way(["status"], {"_DSVC_COMPLETE": "complete_bash"}) is None
