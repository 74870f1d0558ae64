"""What `dsvc commit` takes, what it refuses, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    cli.ok("init", "-q")
    for name in ("a", "b", "d/c"):
        (cli.directory / name).parent.mkdir(exist_ok=True)
        (cli.directory / name).write_text("one\n")
    cli.ok("commit", "-q", "-m", "first")
    return cli


def test_new_changed_and_gone_files_are_taken(project: CommandLine) -> None:
    (project.directory / "a").write_text("two\n")
    (project.directory / "new").write_text("new\n")
    (project.directory / "b").unlink()
    project.ok("commit", "-am", "second")
    assert project.ok("cat", "HEAD:a").out == "two\n"
    assert project.ok("cat", "HEAD:new").out == "new\n"
    assert project("cat", "HEAD:b").code == 3
    assert project.ok("status", "-s").out == ""


def test_only_paths(project: CommandLine) -> None:
    for name in ("a", "b", "d/c"):
        (project.directory / name).write_text("two\n")
    project.ok("commit", "-q", "-m", "second", "a", "d")
    assert project.ok("status", "-s").out == " M b\n"
    assert project.ok("cat", "HEAD:b").out == "one\n"
    (project.directory / "a").unlink()
    project.ok("commit", "-q", "-m", "third", "a")
    assert project.ok("status", "-s").out == " M b\n"


def test_a_path_that_is_nowhere(project: CommandLine) -> None:
    (project.directory / "a").write_text("two\n")
    answer = project("commit", "-m", "second", "a", "nowhere")
    assert answer.code == 3
    assert "there is no file or folder nowhere, and none was committed" in answer.err
    assert project.ok("status", "-s").out == " M a\n"


def test_nothing_to_commit(project: CommandLine) -> None:
    answer = project("commit", "-m", "again")
    assert answer.code == 3
    assert "nothing to commit" in answer.err
    project.ok("commit", "-q", "--allow-empty", "-m", "again")


def test_nothing_to_commit_where_it_was_asked_for(project: CommandLine) -> None:
    (project.directory / "b").write_text("new\n")
    answer = project("commit", "-m", "again", "a")
    assert (answer.code, answer.err.splitlines()) == (
        3,
        [
            "dsvc: nothing to commit in a: all is as the last commit has it",
            "hint: dsvc status shows what changed elsewhere",
        ],
    )
    assert "nothing to commit in d:" in project("commit", "d").err


def test_an_ignored_file_that_is_named_is_said_to_be_ignored(project: CommandLine) -> None:
    (project.directory / ".env").write_text("TOKEN=1\n")
    answer = project("commit", "-m", "settings", ".env")
    assert answer.code == 3
    assert answer.err.startswith("dsvc: these paths are ignored:\n  .env\nhint: dsvc check-ignore -v .env")
    project.ok("add", "-f", ".env")
    project.ok("commit", "-m", "settings", ".env")
    (project.directory / ".env").write_text("TOKEN=2\n")
    project.ok("commit", "-m", "tracked by now", ".env")


def test_a_key_is_named_where_the_size_is_asked_about(project: CommandLine) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXktdjEA" * 5 + "\n-----END OPENSSH PRIVATE KEY-----\n"
    (project.directory / "deploy").write_text(key)
    for number in range(20):
        (project.directory / f"big{number}").write_bytes(bytes(1000))
    answer = project("-c", "commit.confirm=10KB", "commit", "-m", "more")
    assert answer.code == 3
    first, second, *_ = answer.err.splitlines()
    assert "more than commit.confirm" in first
    assert second.endswith("deploy (looks like an OpenSSH private key)")


@pytest.mark.parametrize("message", ["", " \n"])
def test_an_empty_message_is_refused(project: CommandLine, message: str) -> None:
    (project.directory / "a").write_text("two\n")
    assert project("commit", "-m", message).code == 2
    assert project.ok("status", "-s").out == " M a\n"


def test_an_added_file_that_went_again(project: CommandLine) -> None:
    for name in ("x", "y"):
        (project.directory / name).write_text("new\n")
    project.ok("add", "-q", "x", "y")
    (project.directory / "x").unlink()
    assert project("commit", "-m", "only x", "x").code == 3
    assert project.ok("status", "-s").out == "A  y\n"
    project.ok("commit", "-q", "-m", "second")
    assert project("cat", "HEAD:x").code == 3
    assert project.ok("cat", "HEAD:y").out == "new\n"


def test_an_added_empty_file_survives_a_switch_that_empties_its_folder(project: CommandLine) -> None:
    project.ok("switch", "-q", "-c", "side")
    (project.directory / "d" / "c").unlink()
    (project.directory / "d").rmdir()
    project.ok("commit", "-q", "-m", "without d")
    project.ok("switch", "-q", "main")
    (project.directory / "d" / "__init__.py").write_text("")
    project.ok("add", "-q", "d/__init__.py")
    project.ok("switch", "-q", "side")
    assert project.ok("status", "-s").out == "A  d/__init__.py\n"
    project.ok("commit", "-q", "-m", "with it")
    assert project.ok("cat", "HEAD:d/__init__.py").out == ""


def test_json(project: CommandLine) -> None:
    (project.directory / "a").write_text("two\n")
    found = project.ok("commit", "-m", "second", "--json").json
    assert found["schema"] == "dsvc.commit"
    assert (found["branch"], found["message"], found["files_stored"], found["bytes_stored"]) == ("main", "second", 1, 4)
    assert found["commit"] == project.ok("rev-parse", "HEAD").out.strip()


def test_an_empty_message_must_be_meant(project: CommandLine) -> None:
    (project.directory / "a").write_text("two\n")
    before = project.ok("rev-parse", "HEAD").out
    answer = project("commit", "-m", "")
    assert answer.code == 2
    assert "the message is empty" in answer.err
    assert "--allow-empty-message" in answer.err
    assert project.ok("rev-parse", "HEAD").out == before
    project.ok("commit", "-m", "", "--allow-empty-message")
    assert project.ok("log", "-1", "--json").json["commits"][0]["message"] == ""


def test_a_message_that_is_not_utf8_is_refused_in_a_sentence(project: CommandLine) -> None:
    (project.directory / "a").write_text("two\n")
    answer = project("commit", "-m", "first line\nna\udcefve")
    assert answer.code == 2
    assert "line 2 of the message is not valid UTF-8" in answer.err
    assert "iconv" in answer.err
    (project.directory / "message").write_bytes(b"na\xefve")
    assert "line 1 of the message is not valid UTF-8" in project("commit", "-F", "message").err


def _hook(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_hooks_in_another_folder(project: CommandLine, tmp_path: Path) -> None:
    _hook(project.directory / ".dsvc/hooks/pre-commit", "exit 1")
    _hook(tmp_path / "hooks/commit-msg", 'echo "by the hook" > "$1"')
    (project.directory / "a").write_text("two\n")
    assert project("commit", "-m", "x").code == 1
    project.ok("config", "--user", "core.hooksPath", str(tmp_path / "hooks"))
    assert project.ok("commit", "-m", "x", "--json").json["message"] == "by the hook"


def test_a_folder_of_hooks_beside_the_files_needs_a_word(project: CommandLine) -> None:
    _hook(project.directory / "hooks/pre-commit", "exit 1")
    project.ok("commit", "-m", "x")
    project.ok("config", "core.hooksPath", "hooks")
    (project.directory / "a").write_text("two\n")
    assert project("commit", "-m", "y").code == 1


def test_a_hook_that_may_not_run_is_named(cli) -> None:
    cli.ok("init", "-q")
    hook = cli.directory / ".dsvc/hooks/pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    answer = cli.ok("commit", "-m", "one")
    assert f"the hook {hook} did not run: it is not executable" in answer.err
    assert "the hook" not in cli.ok("commit", "-n", "--allow-empty", "-m", "two").err


def test_renamed_files_are_counted_as_such(history) -> None:
    text = "".join(f"line {number}\n" for number in range(50))
    history.cli.ok("init", "-q")
    history.commit("one", {"a.txt": text, "b.txt": text.upper(), "c.txt": "c"})
    history.write({"a.txt": None, "a2.txt": text, "b.txt": None, "b2.txt": text.upper() + "more", "c.txt": None})
    assert history.cli.ok("commit", "-m", "two").out.splitlines()[1] == " 2 renamed, 1 deleted"


def test_a_dry_run_shows_what_it_would_take(history) -> None:
    cli = history.cli
    cli.ok("init", "-q")
    history.commit("one", {"a.txt": "a"})
    assert cli("commit", "--dry-run").code == 1
    history.write({"a.txt": "aa", "b.txt": "b"})
    answer = cli.ok("commit", "--dry-run", "-m", "two", "a.txt")
    assert "modified:   a.txt" in answer.out
    assert "b.txt" not in answer.out
    assert cli.ok("log", "--format=%s").out == "one\n"
    assert cli.ok("commit", "--dry-run", "--json").json["schema"] == "dsvc.status"


def test_the_editor_shows_what_the_commit_takes(history, tmp_path) -> None:
    cli = history.cli
    cli.ok("init", "-q")
    history.commit("one", {"a.txt": "a\n", "gone.txt": "x"})
    history.write({"a.txt": "aa\n", "gone.txt": None, "new.txt": "n"})
    seen = tmp_path / "seen.txt"
    cli.environment["DSVC_EDITOR"] = f"sh -c 'cp \"$0\" {seen} && sed -i \"1s/^/two/\" \"$0\"'"
    cli.ok("commit", "-v")
    text = seen.read_text()
    for line in ("#   modified:   a.txt", "#   deleted:    gone.txt", "#   new.txt", "-a", "+aa"):
        assert line in text.splitlines()
    assert cli.ok("log", "-1", "--format=%B").out.strip() == "two"
    cli.ok("commit", "-v", "--amend")
    assert {"-a", "+aa"} <= set(seen.read_text().splitlines())  # what the amended commit has
    history.write({"a.txt": "aaa\n"})
    cli.ok("commit")
    assert "+aaa" not in seen.read_text()


def test_no_editor_opens_where_nothing_can_be_committed(history) -> None:
    cli = history.cli
    cli.ok("init", "-q")
    history.commit("one", {"a.txt": "a\n"})
    cli.environment["DSVC_EDITOR"] = "sh -c 'echo opened >&2; exit 1'"
    assert "nothing to commit" in cli("commit").err
    assert "the editor" in cli("commit", "--allow-empty").err
    cli.ok("switch", "-q", "-c", "side")
    history.commit("side", {"a.txt": "b\n"})
    cli.ok("switch", "-q", "main")
    history.commit("main", {"a.txt": "c\n"})
    assert cli("merge", "side").code == 13
    answer = cli("commit")
    assert answer.code == 13
    assert "the editor" not in answer.err
