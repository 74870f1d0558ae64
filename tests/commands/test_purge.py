"""`dsvc purge`: content goes from all of history, ids stay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "secret.txt").write_text("the first password\n")
    (cli.directory / "a.txt").write_text("a\n")
    cli.ok("commit", "-m", "first")
    (cli.directory / "secret.txt").write_text("the second password\n")
    cli.ok("commit", "-m", "second")
    cli.ok("rm", "secret.txt")
    cli.ok("commit", "-m", "third")
    return cli.directory


def test_a_path_goes_in_every_version(cli, project):
    first = cli.ok("rev-parse", "HEAD~2").out
    answer = cli.ok("purge", "secret.txt", "--reason", "published by mistake", "--yes")
    assert len(answer.out.splitlines()) == 2
    assert cli.ok("rev-parse", "HEAD~2").out == first
    for rev in ("HEAD~2", "HEAD~1"):
        gone = cli("cat", f"{rev}:secret.txt")
        assert gone.code != 0
        assert "password" not in gone.out
    for pack in (project / ".dsvc/store/packs").iterdir():
        assert b"password" not in pack.read_bytes()
    assert cli.ok("cat", "HEAD~2:a.txt").out == "a\n"
    assert cli.ok("fsck").code == 0


def test_one_version_by_revision_or_id(cli, project):
    cli.ok("purge", "HEAD~2:secret.txt", "--reason", "x", "--yes")
    assert cli("cat", "HEAD~2:secret.txt").code != 0
    assert cli.ok("cat", "HEAD~1:secret.txt").out == "the second password\n"
    file_id = cli.ok("rev-parse", "HEAD~1:secret.txt").out.strip()
    answer = cli.ok("purge", file_id, "--reason", "x", "--yes", "--json").json
    assert answer["files"] == [file_id]
    assert cli("cat", "HEAD~1:secret.txt").code != 0


def test_it_wants_a_reason_and_a_yes(cli, project):
    assert cli("purge", "secret.txt").code == 2
    refused = cli("purge", "secret.txt", "--reason", "x")
    assert refused.code == 3
    assert "2 files" in refused.err
    assert cli("cat", "HEAD~1:secret.txt").out == "the second password\n"


def test_what_is_not_there(cli, project):
    assert cli("purge", "nothing.txt", "--reason", "x", "--yes").code == 3
    assert cli("purge", "f" * 64, "--reason", "x", "--yes").code == 3


def test_it_cannot_be_undone(cli, project):
    cli.ok("purge", "secret.txt", "--reason", "x", "--yes")
    assert cli("undo").code == 3


def test_a_file_that_stands_in_head_is_pointed_out(cli, project):
    answer = cli.ok("purge", "a.txt", "--reason", "x", "--yes")
    assert "a.txt still stands in HEAD" in answer.err


@pytest.fixture
def purged(cli, project) -> Path:
    (project / "big.bin").write_bytes(bytes(range(256)) * 4000)
    cli.ok("commit", "-m", "fourth")
    (project / "big.bin").unlink()
    cli.ok("commit", "-m", "fifth")
    cli.ok("purge", "secret.txt", "big.bin", "--reason", "published by mistake", "--yes")
    return project


@pytest.mark.parametrize(
    "line",
    [
        "cat HEAD~4:secret.txt",
        "cat HEAD~1:big.bin",
        "restore --source HEAD~1 big.bin",
        "export HEAD~1 ../out big.bin",
    ],
)
def test_whoever_looks_for_the_content_learns_who_purged_it_and_why(cli, purged, line):
    answer = cli(*line.split())
    assert answer.code == 3
    assert "was purged by Ada Example" in answer.err
    assert "on 2026-01-31: published by mistake" in answer.err
    assert "dsvc fsck" not in answer.err


def test_scripts_learn_it_too(cli, purged):
    found = cli("restore", "--source", "HEAD~1", "big.bin", "--json").error_json
    assert (found["kind"], found["details"]["reason"]) == ("Purged", "published by mistake")


def test_fsck_knows_that_it_is_gone_on_purpose(cli, purged):
    answer = cli.ok("fsck")
    assert "3 files are absent on purpose: they were purged" in answer.out + answer.err


_WHO = "was purged by Ada Example <ada@example.com> on 2026-01-31: published by mistake"


@pytest.mark.parametrize(
    "line", ["diff HEAD~4 HEAD~3", "diff HEAD~4", "show HEAD~3", "log -p", "log -p --follow -- secret.txt"]
)
def test_a_difference_says_it_where_the_content_would_stand(cli, purged, line):
    answer = cli.ok(*line.split())
    assert "diff --git a/secret.txt b/secret.txt" in answer.out
    assert _WHO in answer.out
    assert "first password" not in answer.out


def test_lists_of_differences_mark_it(cli, purged):
    assert " secret.txt | Purged 19 -> 20 bytes\n" in cli.ok("diff", "--stat", "HEAD~4", "HEAD~3").out
    assert " big.bin | Purged 0 -> 1024000 bytes\n" in cli.ok("show", "--stat", "HEAD~1").out
    assert "-\t-\tsecret.txt\n" in cli.ok("diff", "--numstat", "HEAD~4", "HEAD~3").out
    assert "M\tsecret.txt\n" in cli.ok("diff", "--name-status", "HEAD~4", "HEAD~3").out
    (file,) = cli.ok("diff", "--json", "HEAD~4", "HEAD~3").json["files"]
    assert _WHO in file["purged"]
    assert "hunks" not in file


def test_a_purged_file_that_still_lies_in_the_working_copy(cli, project):
    (project / "secret.txt").write_text("the first password\n")
    cli.ok("commit", "-m", "again")
    cli.ok("purge", "secret.txt", "--reason", "published by mistake", "--yes")
    (project / "secret.txt").write_text("nothing\n")
    assert _WHO in cli.ok("diff").out
    assert " secret.txt | Purged 19 -> 8 bytes\n" in cli.ok("diff", "--stat").out
    cli.ok("commit", "-m", "replaced")
    assert cli.ok("blame", "secret.txt").out.endswith("nothing\n")
    (project / "secret.txt").write_text("the first password\n")
    assert "+the first password" in cli.ok("diff", "HEAD~2", "--", "secret.txt").out


def test_searches_pass_over_it(cli, purged):
    assert cli.ok("log", "-S", "second password").out == ""
    assert cli("grep", "first password", "HEAD~4").code == 1
    assert cli("log", "-G", "second password").out == ""


def test_renames_are_found_among_what_is_left(cli, purged):
    (purged / "b.txt").write_text("a\n")
    (purged / "a.txt").unlink()
    cli.ok("commit", "-m", "renamed")
    assert "R100\ta.txt\tb.txt\n" in cli.ok("diff", "--name-status", "HEAD~4", "HEAD").out


def test_a_switch_leaves_it_out_and_says_why(cli, purged):
    (purged / "secret.txt").write_text("a name of the place\n")
    cli.ok("commit", "-q", "-m", "something else there")
    answer = cli.ok("switch", "--detach", "HEAD~2")
    assert f"big.bin is left out: its content {_WHO}" in answer.err
    assert not (purged / "big.bin").exists()
    assert not (purged / "secret.txt").exists()
    assert "nothing to commit" in cli.ok("status").out.lower()
    (purged / "a.txt").write_text("more\n")
    cli.ok("commit", "-q", "-m", "beside it")
    assert "big.bin" in cli.ok("ls", "HEAD").out  # it is absent, not deleted
    answer = cli.ok("switch", "main")
    assert "left out" not in answer.err
    assert (purged / "secret.txt").read_text() == "a name of the place\n"
    cli.ok("undo")
    assert not (purged / "secret.txt").exists()
    assert "nothing to commit" in cli.ok("status").out.lower()


def test_the_last_copy_in_the_working_copy_is_not_written_over(cli, project):
    (project / "secret.txt").write_text("the first password\n")
    cli.ok("commit", "-m", "again")
    cli.ok("purge", "secret.txt", "--reason", "published by mistake", "--yes")
    answer = cli("switch", "--detach", "HEAD~1")
    assert answer.code == 3
    assert "its content was purged, and this may be the last copy" in answer.err
    assert (project / "secret.txt").read_text() == "the first password\n"
    (project / "secret.txt").unlink()
    cli.ok("switch", "--detach", "HEAD~1")
    assert not (project / "secret.txt").exists()


def test_a_fork_leaves_it_out(cli, project):
    cli.ok("purge", "a.txt", "--reason", "x", "--yes")
    cli.ok("fork", ".", "../fork")
    there = CommandLine(project.parent / "fork", cli.environment)
    assert not (project.parent / "fork" / "a.txt").exists()
    assert "nothing to commit" in there.ok("status").out.lower()


def test_git_gets_the_history_without_it(cli, purged):
    answer = cli.ok("git", "export", "../out.git")
    assert "git cannot hold what was purged: big.bin, secret.txt" in answer.err
    git = ["git", "-C", str(purged.parent / "out.git"), "log", "--format=%s", "--name-only", "main"]
    names = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    assert "first" in names
    assert "a.txt" in names
    assert "secret.txt" not in names


@pytest.mark.parametrize("place", ["../out", "../out.tar"])
def test_an_export_leaves_out_what_was_purged(cli, purged, place):
    answer = cli.ok("export", "HEAD~1", place, "--json")
    assert [row["path"] for row in answer.json["left_out"]] == ["big.bin"]
    assert "big.bin is left out: its content was purged by Ada Example" in answer.err
    assert "published by mistake" in answer.err
    assert answer.json["files"] == 2  # .dsvcignore and a.txt
    if place == "../out":
        assert sorted(path.name for path in (purged.parent / "out").iterdir()) == [".dsvcignore", "a.txt"]


@pytest.fixture
def half_purged(cli, project):
    """A hub whose branch still names what was purged, beside a file that is whole."""
    (project / "folder").mkdir()
    (project / "folder" / "key").write_text("a key\n")
    (project / "big.bin").write_bytes(bytes(range(256)) * 40_000)
    cli.ok("commit", "-q", "-m", "fourth")
    cli.ok("purge", "folder/key", "big.bin", "--reason", "published by mistake", "--yes")
    cli.ok("push", "-q", "./hub")
    return project / "hub"


@pytest.mark.parametrize("extra", [(), ("--no-data",)])
def test_a_clone_leaves_out_what_was_purged_and_says_why(cli, half_purged, extra):
    answer = cli.ok("clone", "hub", "copy", *extra)
    for name in ("folder/key", "big.bin"):
        assert f"{name} is left out: its content {_WHO}" in answer.err
    copy = cli.directory / "copy"
    assert (copy / "a.txt").read_text() == "a\n"
    assert not (copy / "folder").exists()
    assert not (copy / "big.bin").exists()
    there = CommandLine(copy, cli.environment)
    assert "nothing to commit" in there.ok("status").out.lower()
    gone = there("restore", "big.bin")
    assert (gone.code, _WHO in gone.err) == (3, True)
    (copy / "a.txt").write_text("more\n")
    there.ok("commit", "-q", "-m", "fifth")
    assert "folder/key" in there.ok("ls", "-r", "HEAD").out  # it is absent, not deleted
    there.ok("push", "-q")
    there.ok("fsck")


def test_what_takes_the_place_of_a_purged_file_comes_with_the_next_pull(cli, half_purged):
    cli.ok("clone", "-q", "hub", "copy")
    (cli.directory / "big.bin").write_text("small now\n")
    cli.ok("rm", "folder/key")
    cli.ok("commit", "-q", "-m", "without")
    cli.ok("push", "-q", "./hub")
    there = CommandLine(cli.directory / "copy", cli.environment)
    there.ok("pull", "-q")
    assert (cli.directory / "copy" / "big.bin").read_text() == "small now\n"
    assert "nothing to commit" in there.ok("status").out.lower()
    there.ok("switch", "-q", "--detach", "HEAD")
    answer = there.ok("switch", "-q", "--detach", "HEAD~1")
    assert f"big.bin is left out: its content {_WHO}" in answer.err


def test_a_clone_says_so_to_scripts(cli, half_purged):
    found = cli.ok("clone", "hub", "copy", "--json").json["left_out"]
    assert [(f["path"], f["reason"]) for f in found] == [
        ("big.bin", "published by mistake"), ("folder/key", "published by mistake")
    ]
