"""`dsvc mv`: move versioned files; nothing is lost and nothing is read again."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    for name in ("a.txt", "data/one.csv", "data/deep/two.csv", "src/main.py"):
        file = cli.directory / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(name)
    cli.ok("commit", "-m", "first")
    return cli.directory


def status(cli) -> list[str]:
    return cli.ok("status", "-s").out.splitlines()


def test_a_file_gets_a_new_name(cli, project):
    cli.ok("mv", "a.txt", "b.txt")
    assert (project / "b.txt").read_text() == "a.txt"
    assert not (project / "a.txt").exists()
    assert status(cli) == ["R  a.txt -> b.txt"]
    cli.ok("commit", "-m", "moved")
    assert status(cli) == []


def test_a_folder_moves_with_all_that_is_in_it(cli, project):
    (project / "data" / "new.csv").write_text("new")
    cli.ok("mv", "data", "src")
    assert (project / "src/data/deep/two.csv").read_text() == "data/deep/two.csv"
    assert status(cli) == [
        "R  data/deep/two.csv -> src/data/deep/two.csv",
        "R  data/one.csv -> src/data/one.csv",
        "?? src/data/new.csv",
    ]
    cli.ok("commit", "-m", "moved")
    assert cli.ok("cat", "HEAD:src/data/one.csv").out == "data/one.csv"
    assert status(cli) == []


def test_undo_brings_back_what_no_commit_has_too(cli, project):
    (project / ".dsvcignore").write_text("*.cache\n")
    for name in ("data/new.csv", "data/deep/x.cache", "data/more/y.cache"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(name)
    before = sorted(path.relative_to(project) for path in project.rglob("*") if ".dsvc" not in path.parts)
    shown = status(cli)
    cli.ok("mv", "data", "src")
    after = status(cli)
    (project / "src" / "data" / "deep" / "x.cache").write_text("changed since")
    cli.ok("undo")
    assert sorted(path.relative_to(project) for path in project.rglob("*") if ".dsvc" not in path.parts) == before
    assert (project / "data/deep/x.cache").read_text() == "changed since"
    assert status(cli) == shown
    cli.ok("redo")
    assert (project / "src/data/more/y.cache").read_text() == "data/more/y.cache"
    assert not (project / "data").exists()
    assert status(cli) == after
    cli.ok("undo")
    assert status(cli) == shown


def test_several_go_into_a_folder_and_undo_brings_them_back(cli, project):
    (project / "a.txt").write_text("changed")
    cli.ok("mv", "a.txt", "src/main.py", "data")
    assert (project / "data/a.txt").read_text() == "changed"
    cli.ok("undo")
    assert (project / "a.txt").read_text() == "changed"
    assert (project / "src/main.py").exists()
    assert not (project / "data/a.txt").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("a.txt", "data/one.csv"), "there is a file already"),
        (("new.txt", "b.txt"), "not versioned"),
        (("gone.txt", "b.txt"), "not there"),
        (("data", "data/deep"), "in itself"),
        (("a.txt", "no/where.txt"), "folder for it is not there"),
        (("a.txt", "src/.git"), "no repository may hold that name"),
        (("a.txt", "src/main.py", "b.txt"), "no folder"),
    ],
)
def test_what_cannot_be_moved_is_said_and_nothing_is_changed(cli, project, words, reason):
    (project / "new.txt").write_text("new")
    before = status(cli)
    answer = cli("mv", *words)
    assert answer.code == 3
    assert reason in answer.err
    assert status(cli) == before


def test_force_replaces_a_file_and_undo_brings_it_back(cli, project):
    (project / ".dsvcignore").write_text("*.log\n")
    (project / "run.log").write_text("not stored anywhere")
    cli.ok("mv", "-f", "a.txt", "run.log")
    assert (project / "run.log").read_text() == "a.txt"
    cli.ok("undo")
    assert (project / "run.log").read_text() == "not stored anywhere"
    assert (project / "a.txt").read_text() == "a.txt"


def test_k_leaves_out_what_cannot_go(cli, project):
    (project / "new.txt").write_text("new")
    answer = cli.ok("mv", "-k", "--json", "a.txt", "new.txt", "data")
    assert answer.json["moved"] == [{"from": {"path": "a.txt"}, "to": {"path": "data/a.txt"}}]
    assert "new.txt" in answer.err


def test_dry_run_and_usage(cli, project):
    assert cli.ok("mv", "-n", "a.txt", "b.txt").out == "a.txt -> b.txt\n"
    assert status(cli) == []
    assert cli("mv", "a.txt").code == 2


def test_references_move_without_being_fetched(cli, web):
    web.files |= {"/a.bin": b"a" * 1000, "/b.bin": b"b" * 1000}
    cli.ok("init", "-q")
    cli.ok("import-url", "--reference", f"{web.url}/a.bin", "images/a.bin")
    cli.ok("import-url", "--reference", f"{web.url}/b.bin", "images/b.bin")
    (cli.directory / "kept").mkdir()
    (cli.directory / "kept" / "code.py").write_text("code\n")
    cli.ok("commit", "-q", "-m", "references")
    web.requests.clear()
    cli.ok("mv", "images/a.bin", "kept")  # into a folder on disk
    cli.ok("mv", "images", "pictures")  # a whole folder that is nowhere on disk
    cli.ok("mv", "kept/a.bin", "pictures")  # and into that
    cli.ok("mv", "pictures/a.bin", "pictures/c.bin")
    assert "renamed" in cli.ok("status").out
    assert cli("mv", "pictures/c.bin", "pictures/b.bin").code == 3
    assert cli("mv", "pictures/c.bin", "nowhere/c.bin").code == 3
    assert cli("mv", "pictures/none", "x").code == 3
    cli.ok("commit", "-q", "-m", "moved")
    assert cli.ok("ls", "-r").out.split() == [".dsvcignore", "kept/code.py", "pictures/b.bin", "pictures/c.bin"]
    assert "clean" in cli.ok("status").out
    assert web.requests == []
    cli.ok("undo")
    cli.ok("undo")
    assert "pictures/a.bin" in cli.ok("data", "list").out
    cli.ok("commit", "-q", "-m", "moved, but for the last")
    cli.ok("data", "get", "-q")
    assert (cli.directory / "pictures/a.bin").read_bytes() == b"a" * 1000
