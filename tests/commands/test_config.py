"""`dsvc config` as people type it."""

from __future__ import annotations

import stat

import pytest


@pytest.fixture
def repo(cli):
    (cli.directory / ".dsvc").mkdir()
    return cli.directory


def test_set_show_and_unset(cli, repo):
    assert cli.ok("config", "user.name", "Ada Lovelace").out == ""
    assert cli.ok("config", "user.name").out == "Ada Lovelace\n"
    assert (repo / ".dsvc/config.toml").read_text() == '[user]\nname = "Ada Lovelace"\n'
    cli.ok("config", "--unset", "user.name")
    assert (repo / ".dsvc/config.toml").read_text() == ""
    missing = cli("config", "user.name")
    assert (missing.code, missing.out) == (1, "")
    assert missing.err == "dsvc: user.name is not set\nhint: 'dsvc config --list' shows what is set\n"


def test_layers_and_origins(cli, repo):
    cli.ok("config", "--user", "diff.context", "1")
    cli.ok("config", "--repo", "diff.context", "2")
    cli.ok("config", "--worktree", "diff.context", "4")
    home = cli.environment["HOME"]
    assert cli.ok("config", "diff.context").out == "4\n"
    assert cli.ok("config", "--repo", "diff.context").out == "2\n"
    assert cli.ok("-c", "diff.context=9", "config", "--list", "--show-origin").out == (
        f"file:{home}/.config/dsvc/config.toml\tdiff.context=1\n"
        f"file:{repo}/.dsvc/config.toml\tdiff.context=2\n"
        f"file:{repo}/.dsvc/worktree.toml\tdiff.context=4\n"
        "command:\tdiff.context=9\n"
    )
    assert cli.ok("config", "--show-origin", "gc.graceDays").out == "default:\t30\n"


def test_xdg_folder(cli, tmp_path):
    cli.environment["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    cli.ok("config", "--user", "a.b", "c")
    assert (tmp_path / "xdg/dsvc/config.toml").read_text() == '[a]\nb = "c"\n'


def test_json(cli, repo):
    cli.ok("config", "commit.confirm", "2GiB")
    assert cli.ok("config", "--json", "commit.confirm").json == {
        "schema": "dsvc.config.value",
        "version": 1,
        "key": "commit.confirm",
        "value": 2 << 30,
        "scope": "repo",
        "file": f"{repo}/.dsvc/config.toml",
    }
    assert cli.ok("config", "--json", "--list").json == {
        "schema": "dsvc.config",
        "version": 1,
        "entries": [
            {"key": "commit.confirm", "value": "2GiB", "scope": "repo", "file": f"{repo}/.dsvc/config.toml"},
        ],
    }


def test_values_are_checked_when_they_are_set(cli, repo):
    answer = cli("config", "gc.graceDays", "soon")
    assert answer.code == 3
    assert answer.err == (
        "dsvc: gc.graceDays must be a whole number, not 'soon' (command line)\n"
        "hint: set it with 'dsvc config gc.graceDays VALUE'\n"
    )
    assert "must be one of merge, diff3, zdiff3, not 'x'" in cli("config", "merge.conflictStyle", "x").err
    assert not (repo / ".dsvc/config.toml").exists()


def test_a_key_that_looks_misspelt_is_set_with_a_warning(cli, repo):
    answer = cli.ok("config", "merge.conflictstyle", "diff3")
    assert answer.err == (
        "warning: dsvc does not know the key merge.conflictstyle\nhint: did you mean merge.conflictStyle?\n"
    )
    assert cli.ok("config", "alias.user", "status").err == ""
    assert cli.ok("config", "mytool.level", "3").err == ""
    assert cli("config", "nodots").code == 2


def test_outside_a_repository(cli):
    answer = cli("config", "user.name", "Ada")
    assert answer.code == 10
    assert answer.err.endswith("hint: '--user' sets it for all repositories; 'dsvc init' makes one here\n")
    assert cli.ok("config", "diff.context").out == "3\n"


def test_a_damaged_file_is_named_with_the_place_and_can_be_edited(cli, repo, tmp_path):
    path = repo / ".dsvc/config.toml"
    path.write_text('[user]\nname = "Ada\n')
    answer = cli("config", "user.name")
    assert answer.code == 3
    assert answer.err.splitlines()[0].startswith(f"dsvc: {path} is not valid TOML: ")
    assert "(at line 2, column 12)" in answer.err
    assert answer.err.splitlines()[1] == "hint: mend it with 'dsvc config --edit'"
    assert cli("config", "diff.context", "4").code == 3
    assert path.read_text() == '[user]\nname = "Ada\n'
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/"Ada/"Ada"/\' "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    cli.environment["DSVC_EDITOR"] = str(editor)
    assert cli.ok("config", "--edit").err == ""
    assert cli.ok("config", "user.name").out == "Ada\n"


def test_a_slip_in_the_editor_is_told_at_once(cli, repo):
    cli.environment["DSVC_EDITOR"] = "echo [broken >"
    answer = cli("config", "--edit")
    assert answer.code == 3
    assert "is not valid TOML" in answer.err
    cli.environment["DSVC_EDITOR"] = "false"
    assert cli("config", "--edit").err.startswith("dsvc: the editor 'false' ended with exit code 1\n")


def test_options_that_exclude_each_other(cli, repo):
    for words in (
        ["--list", "--unset"],
        ["--user", "--repo", "a.b"],
        ["--list", "a.b"],
        ["--unset", "a.b", "c"],
        ["--edit", "a.b"],
        [],
    ):
        assert cli("config", *words).code == 2


def test_no_permission(cli, repo):
    import os

    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (repo / ".dsvc").chmod(0o555)
    answer = cli("config", "a.b", "c")
    assert answer.code == 3
    assert answer.err.startswith("dsvc: permission denied: ")


def test_the_keys_that_can_be_set_are_listed(cli, repo):
    lines = cli.ok("config", "--keys").out.splitlines()
    assert any(line.startswith("commit.confirm ") and " 1GiB " in line for line in lines)
    assert any("One of default, iso, " in line for line in lines if line.startswith("log.date "))
    keys = {key["key"]: key for key in cli.ok("config", "--keys", "--json").json["keys"]}
    assert keys["git.lfsThreshold"]["default"] == 10 << 20
    assert keys["core.pager"]["default"] is None
    assert len(keys) == len(lines)
    assert cli("config", "--keys", "user.name").code == 2
