"""`dsvc merge-base`."""

from __future__ import annotations


def test_best_common_ancestor(history) -> None:
    cli = history.cli
    base = history.commit("base")
    cli.ok("switch", "-q", "-c", "side")
    history.commit("side", {"s": "s"})
    cli.ok("switch", "-q", "main")
    top = history.commit("main", {"m": "m"})
    assert cli.ok("merge-base", "main", "side").out == base + "\n"
    assert cli.ok("merge-base", "--octopus", "main", "side", "HEAD~1").out == base + "\n"
    assert cli.ok("merge-base", "--independent", "main", "main~1").out == top + "\n"
    assert cli("merge-base", "--is-ancestor", "main~1", "side").code == 0
    assert cli("merge-base", "--is-ancestor", "main", "side").code == 1
    assert cli.ok("merge-base", "--json", "main", "side").json["commits"] == [base]
    assert cli("merge-base", "--is-ancestor", "main").code == 2
