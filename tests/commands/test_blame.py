"""`dsvc blame`: the commit of each line."""

from __future__ import annotations


def test_lines_through_a_rename(history) -> None:
    cli = history.cli
    text = "".join(f"{n}\n" for n in range(1, 8))
    one = history.commit("one", {"old.txt": text})
    (cli.directory / "old.txt").rename(cli.directory / "new.txt")
    two = history.commit("two", {"new.txt": text.replace("3\n", "three\n")})
    history.write({"new.txt": text.replace("3\n", "three\n").replace("5\n", "five\n")})
    lines = cli.ok("blame", "--json", "new.txt").json["lines"]
    commits = [one, one, two, one, None, one, one]
    assert [line["commit"] for line in lines] == commits
    assert [line["path"] for line in lines[:3]] == ["old.txt", "old.txt", "new.txt"]
    assert cli.ok("blame", "-s", "-L", "3,+1", "HEAD", "new.txt").out == f"{two[:10]} 3) three\n"
    assert history.shown("blame", "-L", "4,5", "new.txt").splitlines() == [
        "^" + one[:9] + " old.txt (Ada Example       2026-01-01 01:00:00 +0100 4) 4",
        "<id> new.txt (Not Committed Yet not committed             5) five",
    ]


def test_what_cannot_be_blamed(history) -> None:
    cli = history.cli
    history.commit("one", {"a": "a\n", "bin": b"\0", "folder/b": "b\n"})
    for words in (["folder"], ["HEAD", "folder"]):
        assert cli("blame", *words).err == "dsvc: folder is a folder\nhint: dsvc log -- folder\n"
    assert cli("blame", "bin").code == 3
    assert cli("blame", "nope").code == 3
    assert cli("blame", "-L", "9", "a").code == 2
    assert cli("blame", "-L", "x", "a").code == 2
