"""`dsvc describe`."""

from __future__ import annotations


def test_nearest_tag(history) -> None:
    cli = history.cli
    history.commit("one", {"a": "a"})
    cli.ok("tag", "light")
    assert "no tag with a message" in cli("describe").err
    assert cli.ok("describe", "--tags").out == "light\n"
    cli.ok("tag", "-m", "first", "v1")
    assert cli.ok("describe").out == "v1\n"
    two = history.commit("two", {"a": "b"})
    assert cli.ok("describe").out == f"v1-1-g{two[:10]}\n"
    assert cli.ok("describe", "--abbrev", "0").out == "v1\n"
    assert cli.ok("describe", "--abbrev", "4").out == f"v1-1-g{two[:4]}\n"
    assert cli("describe", "--exact-match").code == 3
    assert cli.ok("describe", "--match", "x*", "--always").out == two[:10] + "\n"
    assert cli.ok("describe", "--all").out == "heads/main\n"
    assert cli.ok("describe", "--dirty").out == f"v1-1-g{two[:10]}\n"
    history.write({"a": "c"})
    assert cli.ok("describe", "--dirty").out == f"v1-1-g{two[:10]}-dirty\n"
    assert cli.ok("describe", "--json").json["distance"] == 1
    assert cli.ok("rev-parse", f"v1-1-g{two[:10]}").out == two + "\n"
