"""`dsvc reflog`: where a branch has pointed."""

from __future__ import annotations


def test_values_newest_first(history) -> None:
    history.commit("one")
    history.commit("two")
    history.cli.ok("switch", "-q", "-c", "side", "HEAD~1")
    assert history.shown("reflog") == (
        "<id> HEAD@{0}: switch: moving from main to side\n"
        "<id> HEAD@{1}: commit: two\n"
        "<id> HEAD@{2}: commit (initial): one\n"
    )
    assert history.shown("reflog", "main", "-1") == "<id> main@{0}: commit: two\n"
    entry = history.cli.ok("reflog", "--json", "main").json["entries"][0]
    assert (entry["selector"], entry["id"]) == ("main@{0}", history.cli.ok("rev-parse", "main").out.strip())


def test_a_branch_that_is_gone(history) -> None:
    one = history.commit("one")
    history.cli.ok("branch", "gone")
    history.cli.ok("branch", "-d", "gone")
    assert history.shown("reflog", "gone").splitlines()[0].endswith("gone@{0}: branch: deleted gone")
    assert history.cli.ok("reflog", "--json", "gone").json["entries"][1]["id"] == one
    assert history.cli("reflog", "never").code == 3
