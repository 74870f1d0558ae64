"""What a verb learns of the process around it."""

from __future__ import annotations

import io
import os
from datetime import datetime, timedelta, timezone

import pytest

from dsvc.commands.context import Context, private_folder
from dsvc.commands.editor import EditorError
from dsvc.commands.output import Output
from dsvc.config.identity import Identity, MissingIdentityError
from dsvc.errors import UsageError
from dsvc.progress import Silent


class Keyboard(io.BytesIO):
    def isatty(self) -> bool:
        return True


def make(
    environment: dict[str, str], *, typed: bytes | None = None, terminal: bool = True
) -> tuple[Context, io.BytesIO]:
    err = io.BytesIO()
    out = Output(io.BytesIO(), err, terminal=terminal, err_terminal=terminal)
    stdin = io.BytesIO() if typed is None else Keyboard(typed)
    moment = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=1)))
    context = Context(
        {"PATH": os.environ["PATH"], **environment}, out, stdin=stdin, err_terminal=terminal, local_now=lambda: moment
    )
    return context, err


def test_the_time():
    assert make({})[0].now().isoformat() == "2026-01-31T12:00:00+01:00"
    fixed = make({"DSVC_DATE": "2020-02-03T04:05:06Z"})[0].now()
    assert fixed.isoformat() == "2020-02-03T04:05:06+00:00"
    for wrong in ("yesterday", "2020-02-03T04:05:06"):
        with pytest.raises(UsageError, match="not a time with a zone"):
            make({"DSVC_DATE": wrong})[0].now()


@pytest.mark.parametrize(
    ("typed", "answer"), [(b"y\n", True), (b"YES\n", True), (b"\n", False), (b"", False), (b"no\n", False)]
)
def test_a_question(typed, answer):
    context, err = make({}, typed=typed)
    assert context.ask("Go on?") is answer
    assert err.getvalue() == b"Go on? [y/N] "


def test_nobody_to_ask():
    assert make({})[0].ask("Go on?") is False
    assert make({}, typed=b"y\n", terminal=False)[0].ask("Go on?") is False


def test_the_editor():
    context, _ = make({"DSVC_EDITOR": "sed -i s/one/two/", "EDITOR": "false"})
    assert context.edit("one\n") == "two\n"
    assert make({"EDITOR": "true", "VISUAL": "false"})[0].edit("kept ü\n") == "kept ü\n"
    with pytest.raises(EditorError, match="ended with exit code 1"):
        make({"VISUAL": "false", "TERM": "xterm"})[0].edit("x")
    with pytest.raises(EditorError, match="no editor is configured"):
        make({})[0].edit("x")


def test_the_author(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nobody = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    with pytest.raises(MissingIdentityError) as caught:
        make(nobody)[0].identity()
    assert caught.value.hint.startswith('dsvc config --user user.name "Your Name"')
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n")
    assert make(nobody)[0].identity() == Identity("Ada", "ada@example.com")


def test_progress_only_where_somebody_looks():
    assert isinstance(make({}, terminal=False)[0].progress, Silent)
    assert isinstance(make({"TERM": "dumb"})[0].progress, Silent)
    context, _ = make({})
    assert not isinstance(context.progress, Silent)
    context.out.quiet = True
    assert isinstance(context.progress, Silent)


def test_the_private_folder_is_looked_for_upwards(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert private_folder(deep) is None
    (tmp_path / ".dsvc").mkdir()
    assert private_folder(deep) == tmp_path / ".dsvc"
