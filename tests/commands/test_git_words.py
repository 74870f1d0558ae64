"""What fingers that know git type: it does the same here, or the hint says what does."""

from __future__ import annotations

import pytest

from dsvc.commands.git_words import VERBS
from dsvc.commands.registry import all_verbs
from tests.commands.conftest import CommandLine


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("rebase -i HEAD~2", "dsvc commit --amend"),
        ("commit --fixup HEAD", "dsvc reset REV"),
        ("commit -p", "name the PATHs"),
        ("stash push --patch", "name the PATHs"),
        ("stash save wip", "dsvc stash -m MESSAGE"),
        ("remote rm origin", "dsvc remote remove NAME"),
        ("merge -s ours side", "dsvc merge -X ours"),
        ("checkout --ours a", "dsvc resolve --ours PATH"),
        ("log -g", "dsvc reflog"),
        ("diff --color=always", "dsvc --color always ..."),
        ("init --bare", "dsvc push"),
        ("format-patch -1", "dsvc show REV > FILE"),
        ("switch --merge main", "dsvc stash"),
        ("gc --auto", "commits keep the store in order"),
    ],
)
def test_what_only_git_has_names_what_does_it_here(cli: CommandLine, words: str, hint: str) -> None:
    cli.ok("init")
    answer = cli(*words.split())
    assert answer.code == 2
    assert hint in answer.err.splitlines()[1]


@pytest.mark.parametrize("option", ["--cached", "--staged"])
@pytest.mark.parametrize("verb", ["add", "commit", "diff", "grep", "ls", "reset", "restore", "rm", "stash", "status"])
def test_what_speaks_of_a_staging_area_is_told_that_there_is_none(cli: CommandLine, verb: str, option: str) -> None:
    cli.ok("init")
    answer = cli(verb, option)
    assert answer.code == 2
    assert "there is no staging area" in answer.err
    assert "leave" in answer.err.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("commit --amned", "did you mean --amend?"),
        ("commit --mesage text", "did you mean --message?"),
        ("status --long", "see 'dsvc status --help'"),
        ("op lgo", "did you mean log?"),
        ("worktree lst", "did you mean list?"),
        ("stash zzz", "see 'dsvc stash --help'"),
    ],
)
def test_a_misspelled_word_is_answered_with_those_that_look_like_it(cli: CommandLine, words: str, hint: str) -> None:
    cli.ok("init")
    answer = cli(*words.split())
    assert answer.code == 2
    assert answer.err.splitlines()[1] == f"hint: {hint}"


def test_options_before_the_verb_get_no_hint_that_is_meant_for_a_verb(cli: CommandLine) -> None:
    assert cli("-p", "log").err.splitlines()[1] == "hint: see 'dsvc --help'"


def test_no_word_of_git_that_dsvc_has_is_said_to_be_missing() -> None:
    assert not set(VERBS) & {verb.name for verb in all_verbs()}


def test_a_branch_that_is_moved_is_not_called_new(cli: CommandLine) -> None:
    cli.ok("init")
    cli.ok("commit", "--allow-empty", "-m", "one")
    old = cli.ok("rev-parse", "--short", "HEAD").out.strip()
    cli.ok("branch", "side")
    cli.ok("commit", "--allow-empty", "-m", "two")
    new = cli.ok("rev-parse", "--short", "HEAD").out.strip()
    assert cli.ok("branch", "-f", "side", "HEAD").err == f"Moved branch side to {new} (was {old})\n"
    cli.ok("undo")
    answer = cli.ok("switch", "-C", "side")
    assert answer.err == f"Moved branch side here (was {old}) and switched to it\n"
    cli.ok("undo")
    assert cli.ok("checkout", "-B", "side", "--json").json["created"] is False
    assert cli.ok("switch", "-C", "other", "--json").json["created"] is True


def test_words_that_ask_for_what_happens_anyway(cli: CommandLine) -> None:
    cli.ok("init", "project/../project")
    cli.ok("-C", "project", "config", "user.name", "Bo")
    assert cli.ok("-C", "project", "config", "--get", "user.name").out == "Bo\n"
    assert cli("-C", "project", "config", "--get", "user.name", "Al").code == 2
    cli.ok("-C", "project", "commit", "--allow-empty", "-m", "one")
    cli.ok("-C", "project", "merge", "--no-edit", "HEAD")
    cli.ok("-C", "project", "checkout", "--detach")
    assert cli.ok("-C", "project", "status", "-sb").out == "## HEAD (no branch)\n"


def test_changes_are_discarded_by_gits_word_too(cli: CommandLine) -> None:
    cli.ok("init")
    (cli.directory / "a").write_text("1")
    cli.ok("commit", "-m", "one")
    (cli.directory / "a").write_text("2")
    cli.ok("switch", "--discard-changes", "main")
    assert (cli.directory / "a").read_text() == "1"


def test_a_file_is_not_moved_into_a_folder_that_is_not_there(cli: CommandLine) -> None:
    cli.ok("init")
    (cli.directory / "a").write_text("1")
    (cli.directory / "d").mkdir()
    (cli.directory / "d" / "b").write_text("2")
    cli.ok("commit", "-m", "one")
    answer = cli("mv", "a", "nowhere/")
    assert answer.code == 3
    assert answer.err == "dsvc: there is no folder nowhere/\nhint: mkdir -p nowhere/\n"
    assert (cli.directory / "a").is_file()
    cli.ok("mv", "d", "e/")  # a folder may get a new name so, as in git
    assert (cli.directory / "e" / "b").is_file()


def test_a_clone_does_not_take_the_folder_it_makes_for_its_source(cli: CommandLine) -> None:
    answer = cli("clone", "nowhere")
    assert answer.code == 14
    assert "there is no repository at" in answer.err
    assert not (cli.directory / "nowhere").exists()


def test_a_time_before_all_names_head_as_people_do(cli: CommandLine) -> None:
    cli.ok("init")
    cli.ok("commit", "--allow-empty", "-m", "one")
    assert "': HEAD did not exist then" in cli("rev-parse", "HEAD@{1980-01-01}").err


def test_how_many_files_were_restored(cli: CommandLine) -> None:
    cli.ok("init")
    for name in ("a", "b", "c"):
        (cli.directory / name).write_text("1")
    cli.ok("commit", "-m", "one")
    (cli.directory / "a").write_text("2")
    (cli.directory / "b").unlink()
    assert cli.ok("restore", ".").err == "Restored 2 files; 'dsvc undo' takes it back\n"
    assert cli.ok("checkout", "--", ".").err == "Nothing to restore: all is as in HEAD\n"


def test_a_pattern_in_quotes_is_warned_of(cli: CommandLine) -> None:
    cli.ok("init")
    (cli.directory / "a.py").write_text("1")
    (cli.directory / "[b]").write_text("1")
    cli.ok("commit", "-m", "one")
    for words in (["log", "--", "*.py"], ["diff", "HEAD", "--", "*.py"], ["grep", "1", "--", "*.py"]):
        assert "*.py is taken as a name: dsvc expands no patterns" in cli(*words).err
    assert cli.ok("log", "--oneline", "--", "[b]").err == ""
