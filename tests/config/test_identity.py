"""Whose name stands in a commit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import pytest

from dsvc.config.identity import Identity, find_identity, read_git_identity
from dsvc.config.settings import Config, ConfigFiles, Layer, Origin, load_config

SET = Config((Layer(Origin("user"), {"user.name": "Con Fig", "user.email": "con@example.com"}),))


def from_git() -> Mapping[str, str]:
    return {"user.name": "Git Ter", "user.email": "git@example.com"}


def never() -> Mapping[str, str]:
    raise AssertionError("git was asked although nothing was missing")


def test_the_environment_wins_then_the_settings_then_git():
    both = {"DSVC_USER_NAME": "En Viron", "DSVC_USER_EMAIL": "env@example.com"}
    assert find_identity(SET, both, git_identity=never) == Identity("En Viron", "env@example.com")
    assert find_identity(SET, {}, git_identity=never) == Identity("Con Fig", "con@example.com")
    empty = load_config(ConfigFiles())
    assert find_identity(empty, {}, git_identity=from_git) == Identity("Git Ter", "git@example.com")
    mixed = find_identity(empty, {"DSVC_USER_NAME": "En Viron"}, git_identity=from_git)
    assert str(mixed) == "En Viron <git@example.com>"
    assert find_identity(empty, {"DSVC_USER_NAME": "En Viron"}, git_identity=dict) is None


def test_what_would_break_a_commit_is_left_out():
    environment = {"DSVC_USER_NAME": "A <b>\nc", "DSVC_USER_EMAIL": "<a@example.com>"}
    assert find_identity(SET, environment, git_identity=never) == Identity("A bc", "a@example.com")
    assert find_identity(SET, {**environment, "DSVC_USER_NAME": "<>"}, git_identity=never) is None


@pytest.fixture
def environment(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        '[user]\n\tname = "Ünï Code"\n\temail = home@example.com\n'
        f'[includeIf "gitdir:{tmp_path}/work/"]\n\tpath = work.inc\n'
    )
    (home / "work.inc").write_text("[user]\n\temail = work@example.com\n")
    return {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


def test_git_is_asked_with_its_includes(tmp_path, environment):
    assert read_git_identity(environment, tmp_path) == {"user.name": "Ünï Code", "user.email": "home@example.com"}
    work = tmp_path / "work"
    subprocess.run(["git", "init", "-q", str(work)], env=environment, check=True)
    assert read_git_identity(environment, work)["user.email"] == "work@example.com"


def test_without_git_there_is_no_git_identity(tmp_path, environment):
    assert read_git_identity({**environment, "PATH": str(tmp_path)}, tmp_path) == {}
