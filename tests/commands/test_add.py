"""`dsvc add`: store ahead of a commit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / ".dsvcignore").write_text("*.log\nbuild/\n")
    (cli.directory / "a.txt").write_text("a\n")
    cli.ok("commit", "-m", "first")
    return cli.directory


def status(cli) -> list[str]:
    return cli.ok("status", "-s").out.splitlines()


def test_an_added_file_is_shown_as_added_and_committed(cli, project):
    (project / "new.txt").write_text("new\n")
    cli.ok("add", "new.txt")
    assert status(cli) == ["A  new.txt"]
    cli.ok("commit", "-m", "second")
    assert status(cli) == []
    assert "new.txt" in cli.ok("ls").out


def test_an_ignored_file_is_refused_and_taken_with_force(cli, project):
    (project / "train.log").write_text("loss\n")
    (project / "build").mkdir()
    (project / "build" / "x").write_text("x\n")
    refused = cli("add", "train.log", "build/x")
    assert refused.code == 3
    assert "train.log" in refused.err
    assert "build/x" in refused.err
    assert "dsvc add -f" in refused.err
    assert status(cli) == []
    cli.ok("add", "-f", "train.log", "build")
    assert status(cli) == ["A  build/x", "A  train.log"]
    (project / "train.log").write_text("loss 2\n")
    cli.ok("commit", "-m", "with the log")
    assert cli.ok("cat", "HEAD:train.log").out == "loss 2\n"
    (project / "train.log").write_text("loss 3\n")
    assert status(cli) == [" M train.log"]


def test_an_error_gives_the_bytes_of_a_name_that_is_not_utf8(cli, project):
    name = os.fsdecode(b"caf\xe9.log")
    (cli.directory / name).write_text("1")
    answer = cli("add", name, "--json")
    assert answer.error_json["details"] == {"paths": ["caf\ufffd.log"], "paths_b64": ["Y2Fm6S5sb2c="]}
    assert "\\351.log" in answer.error_json["message"]
    assert "caf\\351.log" in cli("add", name).err


def test_a_large_new_file_that_was_added_needs_no_further_word(cli, project):
    cli.ok("config", "commit.confirm", "1000")
    (project / "data.bin").write_bytes(bytes(range(256)) * 10)
    stopped = cli("commit", "-m", "data")
    assert (stopped.code, "1 new file has 2.5 KiB, more than commit.confirm (1000 B)" in stopped.err) == (3, True)
    cli.ok("add", "data.bin")
    cli.ok("commit", "-m", "data")
    assert status(cli) == []


def test_a_key_that_was_added_needs_no_further_word(cli, project):
    body = "\n".join(f"MIIEow{i}BAAKCAQEAz4vQxY7mJkLw9pRsTuVhGfDeCbNnMmXxZz{i}" for i in range(8))
    (project / "server.txt").write_text(f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
    one = cli("commit", "-m", "key")
    assert (one.code, "this new file looks like a PEM private key (RSA):" in one.err) == (3, True)
    (project / "sub").mkdir()
    shutil.copy(project / "server.txt", project / "sub" / "other")
    (project / "sub" / "public").write_text(body)
    several = cli("commit", "-m", "key")
    assert (several.code, "2 new files look like secrets:" in several.err) == (3, True)
    assert "sub/other (a PEM private key (RSA))" in several.err
    assert "public" not in several.err
    (project / "sub" / "other").unlink()
    cli.ok("add", "server.txt")
    cli.ok("commit", "-m", "key")


def test_a_key_that_comes_along_with_a_folder_is_warned_of(cli, project):
    (project / "deploy").mkdir()
    body = "b3BlbnNzaC1rZXktdjEA" * 5
    key = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"
    (project / "deploy" / "server").write_text(key)
    (project / "deploy" / "notes").write_text("plain\n")
    answer = cli.ok("add", ".")
    assert answer.err.splitlines() == [
        "warning: deploy/server looks like an OpenSSH private key, and a commit takes it now",
        "hint: 'dsvc undo' takes this back, and a line in .dsvcignore keeps it out",
    ]
    assert cli.ok("add", ".").err == ""
    cli.ok("undo")
    assert cli.ok("add", "deploy/server").err == ""  # named, so it is meant



def test_a_dry_run_stores_nothing(cli, project):
    (project / "new.txt").write_text("new\n")
    assert cli.ok("add", "-n", "new.txt").out == "add new.txt\n"
    assert status(cli) == ["?? new.txt"]


def test_a_path_that_is_nowhere_is_named(cli, project):
    answer = cli("add", "nothing.txt")
    assert answer.code == 3
    assert "nothing.txt" in answer.err


def test_a_removed_file_is_noted(cli, project):
    (project / "a.txt").unlink()
    assert cli.ok("add", "-v", "a.txt").out == "remove a.txt\n"
    assert status(cli) == [" D a.txt"]


def test_adding_everything_and_json(cli, project):
    (project / "sub").mkdir()
    (project / "sub" / "b.txt").write_text("b\n")
    (project / "a.txt").write_text("a2\n")
    answer = cli.ok("add", "-A", "--json").json
    assert answer["schema"] == "dsvc.add"
    assert [(c["path"], c["change"]) for c in answer["changes"]] == [("a.txt", "modified"), ("sub/b.txt", "added")]
    assert cli.ok("add", "-A", "--json").json["changes"] == []


def test_what_was_added_survives_gc_and_switches(cli, project):
    (project / "new.txt").write_text("new\n")
    cli.ok("add", "new.txt")
    cli.ok("switch", "-c", "other")
    assert status(cli) == ["A  new.txt"]
    cli.ok("commit", "-m", "second")
    assert cli.ok("cat", "HEAD:new.txt").out == "new\n"


def test_commit_of_one_path_leaves_other_added_files_added(cli, project):
    for name in ("one.txt", "two.log"):
        (project / name).write_text(name)
    cli.ok("add", "-f", "one.txt", "two.log")
    cli.ok("commit", "-m", "one", "one.txt")
    assert status(cli) == ["A  two.log"]
    cli.ok("commit", "-m", "two")
    assert cli.ok("cat", "HEAD:two.log").out == "two.log"


def test_without_paths_it_asks_which(cli, project):
    assert cli("add").code == 2


@pytest.mark.parametrize("words", [["add"], ["commit", "-m", "text"], ["restore"]])
def test_a_path_through_a_link_names_no_file(cli, project, words):
    (project / "real").mkdir()
    (project / "real" / "b.txt").write_text("b\n")
    (project / "link").symlink_to("real")
    answer = cli(*words, "link/b.txt")
    assert answer.code == 3
    assert answer.err.startswith("dsvc: link/b.txt lies behind the symbolic link link, ")
    assert status(cli) == ["?? link", "?? real/"]
