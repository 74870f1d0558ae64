"""`dsvc check-ignore`."""

from __future__ import annotations


def test_which_rule_ignores_a_path(history) -> None:
    cli = history.cli
    history.write({"tracked.log": "x"})
    history.commit("one")
    history.write({".dsvcignore": "*.log\n!keep.log\nout/\n"})
    assert cli.ok("check-ignore", "a.log", "a.txt", "keep.log", "out/x").out == "a.log\nout/x\n"
    verbose = cli.ok("check-ignore", "-v", "a.log", "a.txt", "keep.log").out
    assert verbose == ".dsvcignore:1:*.log\ta.log\n.dsvcignore:2:!keep.log\tkeep.log\n"
    assert cli.ok("check-ignore", "-v", "-n", "a.log", "a.txt").out == ".dsvcignore:1:*.log\ta.log\n::\ta.txt\n"
    assert cli("check-ignore", "a.txt").code == 1
    assert cli("check-ignore", "tracked.log").code == 1
    assert cli("check-ignore", "--no-index", "tracked.log").code == 0
    assert cli.ok("check-ignore", "--json", "a.log").json["paths"][0]["rule"]["line"] == 1


def test_paths_from_stdin(history) -> None:
    cli = history.cli
    history.write({".dsvcignore": "*.log\n"})
    cli.stdin = b"a.log\0b\nc.log\0d\0"
    assert cli.ok("check-ignore", "-z", "--stdin").raw == b"a.log\0b\nc.log\0"
    assert cli("check-ignore", "--stdin", "a").code == 2
    assert cli("check-ignore", "-n", "a").code == 2
