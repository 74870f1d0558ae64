"""`dsvc ls`: what a commit holds."""

from __future__ import annotations

import os


def test_folders_files_and_names_as_they_are_written_here(history) -> None:
    history.commit("one", {"a.txt": "a", "src/m.py": "mm", "src/deep/n.py": "n"})
    (history.cli.directory / "empty").mkdir()
    history.commit("two")
    assert history.cli.ok("ls").out == "a.txt\nempty/\nsrc/\n"
    assert history.cli.ok("ls", "HEAD~1").out == "a.txt\nsrc/\n"
    assert history.cli.ok("ls", "-r").out == "a.txt\nempty/\nsrc/deep/n.py\nsrc/m.py\n"
    assert history.cli.ok("ls", "src").out == "src/deep/\nsrc/m.py\n"
    assert history.cli.ok("ls", "HEAD:src").out == "deep/\nm.py\n"
    below = history.cli("ls", "..", directory=history.cli.directory / "src")
    assert below.out == "../a.txt\n../empty/\n./\n"


def test_long_form_and_json(history) -> None:
    history.commit("one", {"a.txt": "a" * 2048, "bin": "x"})
    os.chmod(history.cli.directory / "bin", 0o755)
    history.commit("two")
    assert history.shown("ls", "-l") == "file               2048  <id>  a.txt\nexecutable            1  <id>  bin\n"
    assert "2.0 KiB" in history.cli.ok("ls", "-l", "-h").out
    document = history.cli.ok("ls", "--json").json
    assert document["schema"] == "dsvc.ls"
    assert [(e["path"], e["kind"], e["size"]) for e in document["entries"]] == [
        ("a.txt", "file", 2048),
        ("bin", "executable", 1),
    ]


def test_names_that_are_not_utf8(history) -> None:
    (history.cli.directory / os.fsdecode(b"b\xff")).write_text("x")
    history.commit("one")
    assert history.cli.ok("ls").out == '"b\\377"\n'
    assert history.cli.ok("ls", "-z").raw == b"b\xff\0"
    assert history.cli.ok("ls", "--json").json["entries"][0]["path_b64"] == "Yv8="


def test_what_is_not_there(history) -> None:
    history.commit("one", {"a": "a"})
    answer = history.cli("ls", "HEAD", "--", "nope")
    assert answer.code == 3
    assert answer.err == "dsvc: there is no nope in HEAD\nhint: dsvc ls HEAD\n"
    assert history.cli("ls", "nope").code == 3
