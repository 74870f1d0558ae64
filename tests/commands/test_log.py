"""`dsvc log`."""

from __future__ import annotations

import inspect

import pytest


@pytest.fixture
def merged(history):
    """Two branches and their merge; `v1` tags the first commit."""
    cli = history.cli
    history.commit("first", {"a.txt": "a\n"})
    cli.ok("tag", "v1")
    cli.ok("switch", "-q", "-c", "side")
    history.commit("on side\n\nwith a body", {"side.txt": "s\n"})
    cli.ok("switch", "-q", "main")
    history.commit("second", {"a.txt": "a\nb\n"})
    history.hour += 1
    cli.environment["DSVC_DATE"] = "2026-01-01T04:00:00+01:00"
    cli.ok("merge", "-q", "-m", "join side", "side")
    return history


def text(block: str) -> str:
    return inspect.cleandoc(block) + "\n"


def test_medium(merged) -> None:
    assert merged.shown("log", "-1") == text(
        """
        commit <ID>
        Merge: <id> <id>
        Author: Ada Example <ada@example.com>
        Date:   Thu Jan 1 04:00:00 2026 +0100

            join side
        """
    )


def test_graph_of_all_branches(merged) -> None:
    assert merged.shown("log", "--oneline", "--graph", "--all", "--decorate") == text(
        r"""
        *   <id> (HEAD -> main) join side
        |\
        | * <id> (side) on side
        * | <id> second
        |/
        * <id> (tag: v1) first
        """
    )
    assert merged.shown("log", "--graph", "--stat", "-n", "3", "--format=%s") == text(
        r"""
        *   join side
        |\
        | * on side
        | |
        | |  side.txt | 1 +
        | |  1 file changed, 1 insertion(+)
        * | second
        |/
        |    a.txt | 1 +
        |    1 file changed, 1 insertion(+)
        """
    )


def test_graph_on_a_terminal_is_coloured_and_drawn_in_boxes(merged) -> None:
    cli = merged.cli
    cli.terminal = True
    cli.environment["DSVC_PAGER"] = "cat"
    shown = cli.ok("log", "--oneline", "--graph").out
    assert "\u25cf" in shown
    assert "\x1b[31m\u2502\x1b[m" in shown or "\x1b[32m\u2502\x1b[m" in shown
    assert "\x1b[36;1mHEAD -> \x1b[m\x1b[32;1mmain\x1b[m" in shown
    cli.environment["LANG"] = "C"
    assert cli.ok("log", "--oneline", "--graph").out.startswith("*")


def subjects(history, *words: str) -> list[str]:
    return history.cli.ok("log", "--format=%s", *words).out.splitlines()


def test_choosing_commits(merged) -> None:
    assert subjects(merged) == ["join side", "second", "on side", "first"]
    assert subjects(merged, "v1..") == ["join side", "second", "on side"]
    assert subjects(merged, "main", "^side") == ["join side", "second"]
    assert subjects(merged, "--first-parent") == ["join side", "second", "first"]
    assert subjects(merged, "--no-merges", "--reverse") == ["first", "on side", "second"]
    assert subjects(merged, "--merges") == ["join side"]
    assert subjects(merged, "-2", "--skip=1") == ["second", "on side"]
    assert subjects(merged, "--since=2026-01-01T03:00:00+01:00") == ["join side", "second"]
    assert subjects(merged, "--until", "2026-01-01 01:30") == ["first"]
    assert subjects(merged, "--grep", "body$") == ["on side"]
    assert subjects(merged, "--grep=SIDE", "-i") == ["join side", "on side"]
    assert subjects(merged, "--grep=side", "--invert-grep") == ["second", "first"]
    assert subjects(merged, "--author=ada@", "--grep", "first") == ["first"]
    assert subjects(merged, "--author=nobody") == []
    assert subjects(merged, "--", "side.txt") == ["on side"]
    assert subjects(merged, "a.txt") == ["second", "first"]
    assert subjects(merged, "-S", "b\n") == ["second"]
    assert subjects(merged, "-G", "^s$") == ["on side"]
    assert subjects(merged, "--tags") == ["first"]


def test_follow_a_renamed_file(history) -> None:
    lines = "".join(f"line {n}\n" for n in range(30))
    history.commit("one", {"old.txt": lines})
    history.commit("other", {"x": "x"})
    history.write({"old.txt": None})
    history.commit("rename", {"new.txt": lines + "more\n"})
    history.commit("edit", {"new.txt": lines})
    assert subjects(history, "new.txt") == ["edit", "rename"]
    assert subjects(history, "--follow", "new.txt") == ["edit", "rename", "one"]
    assert history.shown("log", "--follow", "--name-status", "--oneline", "new.txt").splitlines() == [
        "<id> edit", "M\tnew.txt", "<id> rename", "R097\told.txt\tnew.txt", "<id> one", "A\told.txt",
    ]  # fmt: skip
    assert history.cli("log", "--follow").code == 2


def test_formats(merged) -> None:
    cli = merged.cli
    one = cli.ok("rev-parse", "v1").out.strip()
    template = "%H|%h|%an|%ae|%ad|%ar|%s|%b|%d|%P|%x41%n%%|%<(6)%s|%as|%at"
    merged.cli.environment["DSVC_DATE"] = "2026-01-03T01:00:00+01:00"
    assert cli.ok("log", "--date=iso", f"--format={template}", "v1").out == (
        f"{one}|{one[:10]}|Ada Example|ada@example.com|2026-01-01 01:00:00 +0100|2 days ago|first|| (tag: v1)||A\n"
        "%|first |2026-01-01|1767225600\n"
    )
    assert cli.ok("log", "-1", "--format=%s%n%b", "side").out == "on side\nwith a body\n\n"
    assert merged.shown("log", "-1", "--pretty=reference") == "<id> (join side, 2026-01-01)\n"
    assert "CommitDate: Thu Jan 1 04:00:00 2026 +0100" in cli.ok("log", "-1", "--pretty=fuller").out
    assert cli.ok("log", "-z", "-2", "--format=%s").raw == b"join side\0second\0"
    assert cli("log", "--format=nonsense").code == 2
    assert cli("log", "--date=nonsense").code == 2


def test_json(merged) -> None:
    document = merged.cli.ok("log", "--json", "--name-status").json
    assert (document["schema"], document["version"]) == ("dsvc.log", 1)
    join, second, *_ = document["commits"]
    assert join["refs"] == [{"kind": "branch", "name": "main", "current": True}]
    assert len(join["parents"]) == 2
    assert [file["path"] for file in second["files"]] == ["a.txt"]
    assert second["author"]["time"] == "2026-01-01T03:00:00+01:00"
    assert merged.cli.ok("log", "--json", "--", "nope").json["commits"] == []


def test_words_that_mean_nothing(merged) -> None:
    answer = merged.cli("log", "nope")
    assert answer.code == 3
    assert "'nope' is unknown" in answer.err
    assert "there is no file nope" in answer.err
    merged.write({"side": "a file and a branch"})
    assert merged.cli("log", "side").code == 2
    assert merged.cli("log", "side", "--").code == 0
    assert merged.cli("log", "--merges", "--no-merges").code == 2


def test_before_the_first_commit(cli) -> None:
    cli.ok("init", "-q")
    answer = cli("log")
    assert (answer.code, "no commits yet" in answer.err) == (3, True)
    assert cli.ok("log", "--all").out == ""


def test_a_form_goes_before_oneline(history) -> None:
    history.commit("one")
    assert history.cli.ok("log", "--oneline", "--format=%s").out == "one\n"


def test_commits_that_changed_something_so(history) -> None:
    content = "".join(f"line {n}\n" for n in range(20))
    history.commit("one", {"a.txt": content})
    history.commit("two", {"a.txt": None, "b.txt": content})
    history.commit("three", {"b.txt": content + "more\n"})
    history.commit("four", {"b.txt": None, "c.txt": "other\n"})

    def subjects(*words: str) -> list[str]:
        return history.cli.ok("log", "--format=%s", *words).out.split()

    assert subjects("--diff-filter=D") == ["four"]
    assert subjects("--diff-filter=R") == ["two"]
    assert subjects("--diff-filter=D", "--no-renames") == ["four", "two"]
    assert subjects("--diff-filter=A", "-n", "1") == ["four"]
    assert subjects("--diff-filter=d") == ["four", "three", "two", "one"]
    assert subjects("--diff-filter=M", "--", "b.txt") == ["three"]
    assert subjects("-M", "--diff-filter=R") == ["two"]


@pytest.mark.parametrize("verb", ["log -n 1", "show", "diff HEAD~1"])
def test_renames_are_asked_for_without_a_number(history, verb: str) -> None:
    history.commit("one", {"a.txt": "a\n" * 20})
    history.commit("two", {"a.txt": None, "b.txt": "a\n" * 20})
    assert "R100\ta.txt\tb.txt\n" in history.cli.ok(*verb.split(), "-M", "--name-status").out
