"""`dsvc tag`: list, make, delete."""

from __future__ import annotations


def test_make_and_list(history) -> None:
    one = history.commit("one")
    history.commit("two")
    cli = history.cli
    cli.ok("tag", "v1", "HEAD~1")
    cli.ok("tag", "-m", "The second\nand more", "v2")
    cli.ok("tag", "-a", "-m", "a", "-m", "b", "v10")
    assert cli.ok("tag").out == "v1\nv10\nv2\n"
    assert cli.ok("tag", "--sort=version", "-l", "v*").out == "v1\nv2\nv10\n"
    assert cli.ok("tag", "-n2", "-l", "v2").out == "v2              The second\n    and more\n"
    assert cli.ok("tag", "--contains", "HEAD").out == "v10\nv2\n"
    assert cli.ok("tag", "--points-at", "HEAD~1").out == "v1\n"
    assert cli.ok("rev-parse", "v1", "v2^{}").out.splitlines()[0] == one
    tags = {tag["name"]: tag for tag in cli.ok("tag", "--json").json["tags"]}
    assert tags["v10"]["message"] == "a\n\nb"
    assert tags["v10"]["tagger"]["name"] == "Ada Example"
    assert "tagger" not in tags["v1"]


def test_move_and_delete(history) -> None:
    history.commit("one")
    cli = history.cli
    cli.ok("tag", "v1")
    two = history.commit("two")
    taken = cli("tag", "v1")
    assert (taken.code, taken.err.splitlines()[0]) == (3, "dsvc: there is already a tag v1")
    cli.ok("tag", "-f", "v1")
    assert cli.ok("rev-parse", "v1").out == two + "\n"
    assert cli("tag", "-d", "v1", "v2").code == 3
    assert cli.ok("tag", "-d", "v1").err.startswith("Deleted tag v1 (was ")
    assert cli.ok("tag").out == ""
    cli.ok("undo")
    assert cli.ok("tag").out == "v1\n"


def test_messages_from_files_and_editors(history) -> None:
    history.commit("one")
    cli = history.cli
    (cli.directory / "note").write_text("from a file\n")
    cli.ok("tag", "-F", "note", "v1")
    assert cli.ok("tag", "--json").json["tags"][0]["message"] == "from a file"
    cli.environment["DSVC_EDITOR"] = cli.environment["EDITOR"] = "true"
    empty = cli("tag", "-a", "v2")
    assert (empty.code, "the message is empty" in empty.err) == (3, True)


def test_lines_of_the_message_without_a_number(history) -> None:
    history.commit("one")
    history.cli.ok("tag", "-m", "The first\n\nand more", "v1")
    assert history.cli.ok("tag", "-n").out == "v1              The first\n"
    assert history.cli.ok("tag", "-n", "-l", "v*").out == "v1              The first\n"
    assert history.cli.ok("tag", "-n2").out.count("\n") == 2


def test_a_message_without_a_name_is_no_list(history) -> None:
    history.commit("one")
    for words in (["-m", "text"], ["-a"], ["-s"], ["-F", "-"]):
        answer = history.cli("tag", *words)
        assert (answer.code, answer.out) == (2, "")
        assert "the name of the tag is missing" in answer.err
