"""`dsvc show`."""

from __future__ import annotations

import inspect


def text(block: str) -> str:
    return inspect.cleandoc(block) + "\n"


def test_a_commit_with_its_changes(history) -> None:
    history.commit("one", {"a": "1\n2\n"})
    history.commit("two\n\nwhy", {"a": "1\nzwei\n"})
    assert history.shown("show") == text(
        """
        commit <ID>
        Author: Ada Example <ada@example.com>
        Date:   Thu Jan 1 02:00:00 2026 +0100

            two

            why

        diff --git a/a b/a
        index <id>..<id> 100644
        --- a/a
        +++ b/a
        @@ -1,2 +1,2 @@
         1
        -2
        +zwei
        """
    )
    assert history.shown("show", "--oneline", "--name-status", "HEAD~1") == "<id> one\nA\ta\n"
    assert history.shown("show", "-s", "--format=%s", "HEAD~1..HEAD") == "two\n"


def test_tags_folders_and_files(history) -> None:
    cli = history.cli
    history.commit("one", {"src/a": "content\n", "b.bin": b"\0\1"})
    cli.ok("tag", "-m", "released", "v1")
    assert history.shown("show", "-s", "v1").startswith(
        "tag v1\nTagger: Ada Example <ada@example.com>\nDate:   Thu Jan 1 01:00:00 2026 +0100\n\n"
        "released\n\ncommit <ID>\n"
    )
    assert cli.ok("show", "HEAD:src").out == "tree HEAD:src\n\na\n"
    assert cli.ok("show", "HEAD:src/a").out == "content\n"
    assert cli.ok("show", "HEAD:b.bin").raw == b"\0\1"
    kinds = [found["kind"] for found in cli.ok("show", "--json", "v1", "HEAD:src", "HEAD:b.bin").json["objects"]]
    assert kinds == ["tag", "commit", "tree", "file"]
    cli.terminal = True
    cli.environment["DSVC_PAGER"] = "cat"
    assert "Binary file HEAD:b.bin, 2 B" in cli.ok("show", "HEAD:b.bin").out


def test_large_files_are_summed_up(history) -> None:
    import random

    data = random.Random(5).randbytes(2_000_000)
    history.commit("one", {"model.bin": b"\0" + data})
    history.commit("two", {"model.bin": b"\0" + data + b"more"})
    lines = history.cli.ok("show", "--format=%s").out.splitlines()
    assert lines[-2] == "Binary files a/model.bin and b/model.bin differ"
    assert lines[-1].startswith("  1.9 MiB -> 1.9 MiB, ")
    share = int(lines[-1].rpartition("(")[2].partition(" ")[0])
    assert share < 50


def test_a_merge_shows_what_it_settled(history) -> None:
    cli = history.cli
    history.commit("base", {"a": "1\n", "b": "1\n"})
    cli.ok("switch", "-q", "-c", "side")
    history.commit("side", {"a": "side\n", "b": "2\n"})
    cli.ok("switch", "-q", "main")
    history.commit("main", {"a": "main\n"})
    cli("merge", "side")
    history.write({"a": "both\n"})
    cli.ok("resolve", "a")
    cli.ok("commit", "-q", "-m", "join")
    assert cli.ok("show", "--format=%s", "--name-status").out == "join\n\nM\ta\n"
    assert cli.ok("show", "--format=%s", "--name-status", "-m").out == "join\n\nM\ta\nM\tb\n"
