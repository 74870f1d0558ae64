"""`dsvc diff`."""

from __future__ import annotations

import inspect
import os

import pytest


def text(block: str) -> str:
    return inspect.cleandoc(block) + "\n"


@pytest.fixture
def project(history):
    numbers = "".join(f"{n}\n" for n in range(1, 41))
    history.commit("one", {"a.txt": "1\n2\n3\n", "old.txt": numbers, "d.bin": b"\0abc", "run": "x\n", "gone": "g\n"})
    history.commit("two", {"b.txt": "new"})
    history.write({"a.txt": "1\nzwei\n3\n", "d.bin": b"\0abcd", "gone": None})
    history.write({"old.txt": None, "new.txt": numbers + "41\n"})
    os.chmod(history.cli.directory / "run", 0o755)
    (history.cli.directory / "empty").mkdir()
    return history


def test_working_copy(project) -> None:
    assert project.shown("diff") == text(
        """
        diff --git a/a.txt b/a.txt
        index <id>..<id> 100644
        --- a/a.txt
        +++ b/a.txt
        @@ -1,3 +1,3 @@
         1
        -2
        +zwei
         3
        diff --git a/d.bin b/d.bin
        index <id>..<id> 100644
        Binary files a/d.bin and b/d.bin differ
          4 B -> 5 B, 5 B of it new (100 %)
        diff --git a/empty b/empty
        new empty folder
        diff --git a/gone b/gone
        deleted file mode 100644
        index <id>..<id>
        --- a/gone
        +++ /dev/null
        @@ -1 +0,0 @@
        -g
        diff --git a/old.txt b/new.txt
        similarity index 97%
        rename from old.txt
        rename to new.txt
        index <id>..<id> 100644
        --- a/old.txt
        +++ b/new.txt
        @@ -38,3 +38,4 @@
         38
         39
         40
        +41
        diff --git a/run b/run
        old mode 100644
        new mode 100755
        """
    )


def test_lists(project) -> None:
    assert project.cli.ok("diff", "--name-status").out == (
        "M\ta.txt\nM\td.bin\nA\tempty/\nD\tgone\nR097\told.txt\tnew.txt\nM\trun\n"
    )
    assert project.cli.ok("diff", "--stat").out == (
        " a.txt              |   2 +-\n"
        " d.bin              | Bin 4 -> 5 bytes\n"
        " empty              |   0\n"
        " gone               |   1 -\n"
        " old.txt => new.txt |   1 +\n"
        " run                |   0\n"
        " 6 files changed, 2 insertions(+), 2 deletions(-)\n"
    )
    assert project.cli.ok("diff", "--numstat", "--", "a.txt", "d.bin").out == "1\t1\ta.txt\n-\t-\td.bin\n"
    assert project.cli.ok("diff", "--summary", "--no-renames", "--diff-filter=AD").out == (
        " create mode 040000 empty\n delete mode 100644 gone\n"
        " create mode 100644 new.txt\n delete mode 100644 old.txt\n"
    )
    assert project.cli.ok("diff", "-z", "--name-status", "--diff-filter=R").raw == b"R097\0old.txt\0new.txt\0"
    assert project.cli.ok("diff", "-M99%", "--name-only", "--diff-filter=A").out == "empty/\nnew.txt\n"


def test_between_commits(project) -> None:
    cli = project.cli
    for words in (("HEAD~1", "HEAD"), ("HEAD~1..HEAD",), ("HEAD~1..",), ("HEAD~1...HEAD",)):
        assert cli.ok("diff", "--name-status", *words).out == "A\tb.txt\n"
    assert cli.ok("diff", "--name-status", "-R", "HEAD~1", "HEAD").out == "D\tb.txt\n"
    assert cli.ok("diff", "HEAD:a.txt", "HEAD~1:a.txt").out == ""
    assert "-1\n" in cli.ok("diff", "HEAD:a.txt", "HEAD:gone").out
    assert cli.ok("diff", "HEAD~1", "HEAD", "--", "a.txt").out == ""
    assert "No newline at end of file" in cli.ok("diff", "HEAD~1", "HEAD").out


def test_exit_codes(project) -> None:
    cli = project.cli
    assert cli("diff", "--exit-code", "--stat").code == 1
    assert cli("diff", "--exit-code", "HEAD", "HEAD").code == 0
    assert (cli("diff", "-q").code, cli("diff", "-q").out) == (1, "")
    assert cli("diff", "--cached").code == 2
    assert cli("diff", "a", "b", "c").code == 3
    assert cli("diff", "-M200%").code == 2
    assert cli("diff", "-R").code == 2


def test_json(project) -> None:
    document = project.cli.ok("diff", "--json", "--patch").json
    assert document["schema"] == "dsvc.diff"
    files = {file["path"]: file for file in document["files"]}
    assert files["a.txt"]["hunks"][0]["lines"] == [" 1\n", "-2\n", "+zwei\n", " 3\n"]
    assert files["new.txt"]["old_path"] == "old.txt"
    assert files["d.bin"]["binary"] is True


def test_bars_fit_the_width(history) -> None:
    history.commit("one", {"long/folder/name/of/a/file.txt": "x\n", "b": "y\n"})
    history.write({"long/folder/name/of/a/file.txt": "z\n" * 500, "b": "y\ny\n"})
    history.cli.environment["COLUMNS"] = "40"
    lines = history.cli.ok("diff", "--stat").out.splitlines()
    assert max(map(len, lines[:-1])) <= 40
    assert lines[1].startswith(" .../")
    assert lines[1].count("+") > lines[0].count("+") == 1


def test_large_texts_are_compared_on_request(history) -> None:
    history.commit("one", {"big.txt": "x\n" * 5_000_000})
    history.write({"big.txt": "x\n" * 5_000_000 + "y\n"})
    lines = history.cli.ok("diff").out.splitlines()
    assert lines[2] == "Files a/big.txt and b/big.txt differ; texts above 8 MiB are compared with --full"
    assert history.cli.ok("diff", "--full").out.endswith("+y\n")
