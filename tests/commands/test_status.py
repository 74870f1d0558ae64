"""Whole outputs of `dsvc status`, and that it goes on telling the truth."""

from __future__ import annotations

import os
import re

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    cli.ok("init", "-q")
    (cli.directory / ".dsvcignore").write_text("*.log\n")
    for name in ("d/a", "tab\there", "mode", "gone", "folder/x", "folder/y"):
        path = cli.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("one\n")
    (cli.directory / "link").symlink_to("mode")
    cli.ok("commit", "-q", "-m", "first")
    return cli


@pytest.fixture
def changed(project: CommandLine) -> CommandLine:
    folder = project.directory
    (folder / "tab\there").write_text("longer\n")
    (folder / "mode").chmod(0o755)
    (folder / "gone").unlink()
    (folder / "link").unlink()
    (folder / "link").write_text("file\n")
    for name in ("x", "y"):
        (folder / "folder" / name).unlink()
    (folder / "folder").rmdir()
    (folder / "folder").write_text("a file now\n")
    (folder / "added").write_text("added\n")
    project.ok("add", "-q", "added")
    (folder / "new" / "empty").mkdir(parents=True)
    (folder / "new" / "f").write_text("")
    (folder / os.fsdecode(b"caf\xe9")).write_text("")
    (folder / "a.log").write_text("ignored\n")
    os.mkfifo(folder / "pipe")
    return project


def test_nothing_there(cli: CommandLine) -> None:
    cli.ok("init", "-q")
    (cli.directory / ".dsvcignore").unlink()
    assert cli.ok("status").out == "On branch main\n\nNo commits yet\n\nNothing to commit\n"
    assert cli.ok("status", "-s").out == ""


def test_long(changed: CommandLine) -> None:
    answer = changed.ok("status")
    assert answer.out == (
        "On branch main\n"
        "\n"
        "Changes that 'dsvc commit' takes (put back with 'dsvc restore PATH'):\n"
        "  added:      added\n"
        "  deleted:    folder/x\n"
        "  deleted:    folder/y\n"
        "  deleted:    gone\n"
        "  other kind: link\n"
        "  modified:   mode\n"
        '  modified:   "tab\\there"\n'
        "\n"
        "New files that 'dsvc commit' takes too (keep out with .dsvcignore):\n"
        '  "caf\\351"\n'
        "  folder\n"
        "  new/\n"
    )
    assert answer.err == "warning: pipe cannot be versioned: a FIFO\n"


def test_short(changed: CommandLine) -> None:
    lines = [
        "A  added",
        " D folder/x",
        " D folder/y",
        " D gone",
        " T link",
        " M mode",
        ' M "tab\\there"',
        '?? "caf\\351"',
        "?? folder",
        "?? new/",
    ]
    assert changed.ok("status", "-s").out.splitlines() == lines
    assert changed.ok("status", "--porcelain").out.splitlines() == lines
    assert changed.ok("status", "-s", "-b").out.splitlines() == ["## main", *lines]
    assert changed.ok("status", "-s", "-uno").out.splitlines() == lines[:7]
    assert changed.ok("status", "-s", "-uall").out.splitlines() == [*lines[:9], "?? new/empty", "?? new/f"]


def test_with_zeros(changed: CommandLine) -> None:
    assert changed.ok("status", "-z").raw == (
        b"A  added\0 D folder/x\0 D folder/y\0 D gone\0 T link\0 M mode\0 M tab\there\0?? caf\xe9\0?? folder\0?? new/\0"
    )


def test_json(changed: CommandLine) -> None:
    found = changed.ok("status", "--json").json
    assert (found["schema"], found["version"], found["branch"], found["clean"]) == ("dsvc.status", 1, "main", False)
    assert re.fullmatch("[0-9a-f]{64}", found["commit"])
    assert [(c["path"], c["change"], c["size"]) for c in found["changes"]] == [
        ("folder/x", "deleted", None),
        ("folder/y", "deleted", None),
        ("gone", "deleted", None),
        ("link", "type", 5),
        ("mode", "modified", 4),
        ("tab\there", "modified", 7),
    ]
    assert [(c["path"], c["change"], c["old"]) for c in found["added"]] == [("added", "added", None)]
    assert found["new"][0]["path_b64"] == "Y2Fm6Q=="
    assert [row["path"] for row in found["new"][1:]] == ["folder", "new/empty", "new/f"]
    assert found["skipped"] == [{"path": "pipe", "reason": "a FIFO"}]
    assert (found["conflicts"], found["under_way"]) == ([], None)


def test_paths(changed: CommandLine) -> None:
    assert changed.ok("status", "-s", "folder", "new").out == " D folder/x\n D folder/y\n?? folder\n?? new/\n"
    assert changed.ok("status", "d").out == "On branch main\nNothing to commit, working copy clean\n"


def test_detached(project: CommandLine) -> None:
    project.ok("switch", "-q", "--detach", "HEAD")
    head = project.ok("rev-parse", "HEAD").out[:10]
    assert project.ok("status").out == f"Detached at {head}\nNothing to commit, working copy clean\n"
    assert project.ok("status", "-s", "-b").out == "## HEAD (no branch)\n"


def test_a_changed_file_stays_changed_when_another_is_looked_at(project: CommandLine) -> None:
    """Both written in the tick of the commit, with the size they had: only a comparison tells."""
    index = project.directory / ".dsvc" / "worktree" / "index"
    from dsvc.worktree.index import read_index, signature, write_index

    (project.directory / "gone").write_text("two\n")
    (project.directory / "mode").write_text("one\n")
    known = read_index(index)
    assert known is not None
    for name in ("gone", "mode"):
        known.update({name.encode(): signature((project.directory / name).lstat())})
    (project.directory / "d" / "a").touch()
    known.stamp = min((project.directory / name).lstat().st_ctime_ns for name in ("gone", "mode"))
    write_index(index, known)
    for _ in range(3):
        assert project.ok("status", "-s").out == " M gone\n"
    assert project.ok("commit", "-q", "-m", "second").err == ""
    assert project.ok("cat", "HEAD:gone").out == "two\n"


def test_a_damaged_index(project: CommandLine) -> None:
    index = project.directory / ".dsvc" / "worktree" / "index"
    index.write_bytes(index.read_bytes()[:-3])
    answer = project("status")
    assert answer.code == 15
    assert "is damaged" in answer.err
    assert "remove that file" in answer.err
    index.unlink()
    assert project.ok("status", "-s").out == ""
    (project.directory / "gone").write_text("two\n")
    assert project.ok("status", "-s").out == " M gone\n"


def test_a_read_only_private_folder(project: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    from dsvc.workspace import Workspace

    def clock(_: Workspace) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Workspace, "clock", clock)
    (project.directory / "gone").write_text("two\n")
    assert project.ok("status", "-s").out == " M gone\n"


def test_a_bisection_names_commands_that_exist(project: CommandLine) -> None:
    for number in range(3):
        (project.directory / "gone").write_text(str(number))
        project.ok("commit", "-q", "-m", "next")
    project.ok("bisect", "start", "HEAD", "HEAD~3")
    shown = project.ok("status").out
    assert "'dsvc bisect reset' ends it" in shown
    assert "--abort" not in shown
    assert project.ok("status", "--json").json["under_way"] == "bisect"
    project.ok("bisect", "reset")
    assert "bisect" not in project.ok("status").out
    assert project.ok("status", "--json").json["under_way"] is None


@pytest.mark.parametrize(("verb", "begin"), [("merge", "merge side"), ("cherry-pick", "cherry-pick side"),
    ("revert", "revert HEAD~1"), ("rebase", "rebase side"), ("stash", "stash pop")])  # fmt: skip
def test_what_is_under_way_is_taken_back_as_the_hint_says(project: CommandLine, verb: str, begin: str) -> None:
    def change(text: str, *, commit: bool = True) -> None:
        (project.directory / "gone").write_text(text)
        if commit:
            project.ok("commit", "-q", "-m", text)

    project.ok("switch", "-q", "-c", "side")
    change("theirs")
    project.ok("switch", "-q", "main")
    if verb == "stash":
        change("put aside", commit=False)
        project.ok("stash", "-q")
    change("ours")
    change("ours again")
    assert project(*begin.split()).code == 13
    refused = project("bisect", "start")
    assert f"a {verb} is under way" in refused.err
    hint = refused.err.partition("hint: ")[2]
    commands = [part.split() for part in hint.split("'")[1::2]]
    assert [verb, "--abort"] in [words[1:] for words in commands]
    for words in commands:
        assert project(*words[1:]).code != 2, words
    assert project.ok("status", "--json").json["under_way"] is None


def test_a_renamed_file(cli: CommandLine, project: CommandLine) -> None:
    text = "".join(f"line {number}\n" for number in range(50))
    (cli.directory / "old.txt").write_text(text)
    (cli.directory / "gone.txt").write_text("unlike")
    cli.ok("commit", "-m", "texts")
    cli.ok("mv", "old.txt", "new name.txt")
    (cli.directory / "new name.txt").write_text(text + "more\n")
    cli.ok("rm", "gone.txt")
    assert "  renamed:    old.txt -> new name.txt\n" in cli.ok("status").out
    assert cli.ok("status", "-s").out == " D gone.txt\nR  old.txt -> new name.txt\n"
    assert cli.ok("status", "-z").out == " D gone.txt\0R  new name.txt\0old.txt\0"
    found = cli.ok("status", "--json").json
    (renamed,) = found["renamed"]
    assert (renamed["path"], renamed["old_path"], found["added"]) == ("new name.txt", "old.txt", [])
    assert [change["path"] for change in found["changes"]] == ["gone.txt"]


def test_new_and_resized_files_are_told_without_reading_them(cli: CommandLine, project: CommandLine) -> None:
    (cli.directory / "a.bin").write_bytes(b"a" * 1000)
    cli.ok("commit", "-m", "a file")
    (cli.directory / "a.bin").write_bytes(b"b" * 2000)
    with open(cli.directory / "new.bin", "wb") as file:
        file.truncate(1 << 40)  # nobody waits until that is read
    assert cli.ok("status", "-s").out == " M a.bin\n?? new.bin\n"
    (cli.directory / "new.bin").write_bytes(b"c" * 1000)
    seen = cli.ok("status", "--json").json
    assert [change["size"] for change in seen["changes"]] == [2000]
    assert seen["changes"][0]["new"] == cli.ok("diff", "--json").json["files"][0]["new"]["id"]
    cli.ok("add", "a.bin")
    (cli.directory / "a.bin").write_bytes(b"a" * 1000)
    assert cli.ok("status", "-s").out == "?? new.bin\n"
