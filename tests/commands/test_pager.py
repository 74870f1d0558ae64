"""Long output goes through the pager on a terminal, and nowhere else."""

from __future__ import annotations

import io
import os

import pytest

from dsvc.commands.context import Context
from dsvc.commands.output import Output
from dsvc.commands.pager import pager_command
from dsvc.config.settings import ConfigFiles, load_config


def make(environment: dict[str, str], *, terminal: bool) -> tuple[Context, io.BytesIO]:
    out = io.BytesIO()
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    printer = Output(out, io.BytesIO(), terminal=terminal, err_terminal=terminal)
    return Context(environment, printer, stdin=io.BytesIO()), out


def test_the_pager_gets_the_results(tmp_path):
    context, out = make({"DSVC_PAGER": f"sed s/^/paged:/ > {tmp_path}/seen"}, terminal=True)
    context.out.line("before")
    with context.paged():
        context.out.line("one")
        context.out.raw(b"two\n")
    context.out.line("after")
    assert (tmp_path / "seen").read_text() == "paged:one\npaged:two\n"
    assert out.getvalue() == b"before\nafter\n"


def test_a_pager_that_is_left_early_ends_the_block_quietly(tmp_path):
    context, out = make({"DSVC_PAGER": "true"}, terminal=True)
    with context.paged():
        for _ in range(100_000):
            context.out.line("many lines")
    context.out.line("after")
    assert out.getvalue() == b"after\n"


@pytest.mark.parametrize("environment", [{"DSVC_PAGER": "cat"}, {"DSVC_PAGER": ""}, {"DSVC_PAGER": "no-such-pager-9"}])
def test_no_pager(environment):
    context, out = make(environment, terminal=True)
    with context.paged():
        context.out.line("one")
    assert out.getvalue() == b"one\n"


def test_no_pager_without_a_terminal_or_when_refused(tmp_path):
    environment = {"DSVC_PAGER": f"cat > {tmp_path}/seen"}
    context, out = make(environment, terminal=False)
    with context.paged():
        context.out.line("one")
    assert out.getvalue() == b"one\n"
    context, out = make(environment, terminal=True)
    context.set_global_options((), color=None, no_pager=True, debug=False)
    with context.paged():
        context.out.line("one")
    assert out.getvalue() == b"one\n"
    assert not (tmp_path / "seen").exists()


def test_which_pager():
    empty = load_config(ConfigFiles())
    configured = load_config(ConfigFiles(), ["core.pager=most"])
    everything = {"DSVC_PAGER": "one", "PAGER": "three"}
    assert pager_command(configured, everything) == "one"
    assert pager_command(configured, {"PAGER": "three"}) == "most"
    assert pager_command(empty, {"PAGER": "three"}) == "three"
    assert pager_command(empty, {}) == "less -FRX"
    assert pager_command(load_config(ConfigFiles(), ["core.pager="]), {"PAGER": "three"}) is None


def test_a_pager_of_ones_own_shows_colours_as_under_git(tmp_path):
    context, _ = make({"PAGER": f"env > {tmp_path}/seen"}, terminal=True)
    with context.paged():
        context.out.line("one")
    assert "LESS=FRX" in (tmp_path / "seen").read_text().splitlines()
    context, _ = make({"PAGER": f"env > {tmp_path}/seen", "LESS": "-S"}, terminal=True)
    with context.paged():
        context.out.line("one")
    assert "LESS=-S" in (tmp_path / "seen").read_text().splitlines()


def test_no_pager_on_a_terminal_that_cannot_move_its_cursor(tmp_path):
    context, out = make({"DSVC_PAGER": f"cat > {tmp_path}/seen", "TERM": "dumb"}, terminal=True)
    with context.paged():
        context.out.line("one")
    assert out.getvalue() == b"one\n"
