"""`dsvc rev-parse`: ids, names, places."""

from __future__ import annotations


def test_ids_and_ranges(history) -> None:
    one, two = history.commit("one"), history.commit("two")
    assert history.cli.ok("rev-parse", "HEAD", "main~1").out == f"{two}\n{one}\n"
    assert history.cli.ok("rev-parse", "HEAD~1..HEAD").out == f"{two}\n^{one}\n"
    assert history.cli.ok("rev-parse", "^HEAD~1").out == f"^{one}\n"
    assert history.cli.ok("rev-parse", "HEAD^-").out == f"{two}\n^{one}\n"
    assert history.cli.ok("rev-parse", "HEAD^-1").out == f"{two}\n^{one}\n"
    assert history.cli("rev-parse", "HEAD^-2").code == 3
    assert history.cli.ok("log", "--format=%s", "main^-").out == "two\n"
    assert history.cli.ok("rev-parse", "--short", "HEAD").out == two[:10] + "\n"
    assert history.cli.ok("rev-parse", "--json", "HEAD").json["ids"] == [{"id": two, "hidden": False}]


def test_names_and_places(history) -> None:
    history.commit("one")
    root = history.cli.directory
    (root / "src").mkdir()
    assert history.cli.ok("rev-parse", "--abbrev-ref", "HEAD", "@").out == "main\nmain\n"
    assert history.cli.ok("rev-parse", "--symbolic-full-name", "main").out == "heads/main\n"
    assert history.cli.ok("rev-parse", "--show-toplevel", "--dsvc-dir").out == f"{root}\n{root}/.dsvc\n"
    assert history.cli.ok("rev-parse", "--dsvc-dir", "--show-toplevel").out == f"{root}/.dsvc\n{root}\n"
    assert history.cli("rev-parse", "--show-prefix", directory=root / "src").out == "src/\n"
    history.cli.ok("switch", "--detach", "HEAD")
    assert history.cli.ok("rev-parse", "--abbrev-ref", "HEAD").out == "HEAD\n"


def test_verify(history) -> None:
    history.commit("one")
    assert history.cli("rev-parse", "--verify", "HEAD", "HEAD").code == 2
    quiet = history.cli("rev-parse", "-q", "--verify", "nope")
    assert (quiet.code, quiet.out, quiet.err) == (1, "", "")
    assert history.cli("rev-parse", "nope").code == 3
