"""`dsvc grep`."""

from __future__ import annotations


def test_search(history) -> None:
    cli = history.cli
    history.commit("one", {"a.txt": "one\nTwo two\nthree\r\n", "b/c.py": "import two\n", "d.bin": b"two\0"})
    history.commit("two", {"a.txt": "none\n"})
    assert cli.ok("grep", "two").out == "b/c.py:import two\n"
    assert cli.ok("grep", "-n", "-i", "TWO", "HEAD~1").out == ("HEAD~1:a.txt:2:Two two\nHEAD~1:b/c.py:1:import two\n")
    assert cli.ok("grep", "-l", "o", "HEAD", "HEAD~1", "--", "a.txt").out == "HEAD:a.txt\nHEAD~1:a.txt\n"
    assert cli.ok("grep", "-c", "-e", "one", "-e", "three", "HEAD~1").out == "HEAD~1:a.txt:2\n"
    assert cli.ok("grep", "-o", "-h", "t.o", "HEAD~1").out == "two\ntwo\n"
    assert cli.ok("grep", "-v", "-n", "one", "HEAD~1", "--", "a.txt").out.startswith("HEAD~1:a.txt:2:Two")
    assert cli.ok("grep", "^three$", "HEAD~1").raw == b"HEAD~1:a.txt:three\r\n"
    assert cli("grep", "-w", "tw").code == 1
    assert cli("grep", "-F", "t.o").code == 1
    assert (cli("grep", "-q", "import").code, cli("grep", "-q", "import").out) == (0, "")
    assert cli("grep", "(").code == 2
    below = cli("grep", "none", "..", directory=cli.directory / "b")
    assert below.out == "../a.txt:none\n"


def test_versioned_files_of_the_working_copy(history) -> None:
    history.commit("one", {"a": "x\n", "gone": "x\n"})
    history.write({"a": "y\n", "new": "y\n", "gone": None})
    assert history.cli.ok("grep", "y").out == "a:y\n"
    (found,) = history.cli.ok("grep", "--json", "y").json["files"]
    assert found == {"path": "a", "revision": None, "matches": [{"line": 1, "text": "y", "spans": [[0, 1]]}]}
    assert history.cli("grep", "x").code == 1
