"""`dsvc bundle`: history in one file, taken in by clone, fetch and pull like from any remote."""

from __future__ import annotations

import random

import pytest

from tests.commands.conftest import CommandLine

BIG = random.Random(3).randbytes(900_000)


def write(cli, name, data):
    path = cli.directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def ada(cli):
    cli.ok("init", "-q", "ada")
    ada = CommandLine(cli.directory / "ada", cli.environment)
    write(ada, "code/a.py", b"print(1)\n")
    write(ada, "big", BIG)
    ada.ok("commit", "-q", "-m", "first")
    ada.ok("tag", "-m", "the first", "v1")
    write(ada, "big", BIG[:400_000] + b"changed" + BIG[400_000:])
    ada.ok("commit", "-q", "-m", "second")
    ada.ok("branch", "side", "HEAD~1")
    return ada


def clone(ada, source, name="bob"):
    person = CommandLine(ada.directory.parent, ada.environment)
    person.ok("clone", "-q", str(source), name)
    return CommandLine(ada.directory.parent / name, ada.environment)


def test_everything_by_one_file(ada):
    made = ada.ok("bundle", "create", "../all.bundle", "--all", "--json").json
    assert [ref["ref"] for ref in made["refs"]] == ["heads/main", "heads/side", "tags/v1"]
    assert made["prerequisites"] == []
    file = ada.directory.parent / "all.bundle"
    assert made["bytes"] == file.stat().st_size
    assert made["bytes"] < 1_100_000, "what both versions share is in it once"
    checked = ada.ok("bundle", "verify", "../all.bundle")
    assert "is whole" in checked.out
    heads = ada.ok("bundle", "list-heads", "../all.bundle").out.split("\n")
    assert heads[0] == f"{ada.ok('rev-parse', 'main').out.strip()} heads/main"

    bob = clone(ada, file)
    assert (bob.directory / "big").read_bytes() == BIG[:400_000] + b"changed" + BIG[400_000:]
    assert bob.ok("rev-parse", "HEAD").out == ada.ok("rev-parse", "HEAD").out
    assert bob.ok("tag").out == "v1\n"
    assert "origin/side" in bob.ok("branch", "-r").out
    assert bob("fsck").code == 0
    assert CommandLine(ada.directory.parent, ada.environment)("clone", "-q", "all.bundle").code == 0
    empty = CommandLine(ada.directory.parent / "empty", ada.environment)
    empty.directory.mkdir()
    empty.ok("init", "-q")
    fetched = empty.ok("bundle", "fetch", "../all.bundle")
    assert [line for line in fetched.err.splitlines() if line.endswith("there (FETCH_HEAD)")] == [
        f"{name} is {ada.ok('rev-parse', name).out[:10]} there (FETCH_HEAD)" for name in ("main", "side")
    ]
    assert empty.ok("tag").out == ada.ok("tag").out
    empty.ok("bundle", "fetch", "../all.bundle", "side:mine")
    assert empty.ok("rev-parse", "mine").out == ada.ok("rev-parse", "side").out
    assert (ada.directory.parent / "all" / "big").exists()


def test_what_is_new_since(ada):
    ada.ok("bundle", "create", "../first.bundle", "v1..main", "side")
    bob = clone(ada, ada.directory)
    write(ada, "code/new.py", b"print(2)\n")
    (ada.directory / "big").rename(ada.directory / "moved")
    ada.ok("commit", "-q", "-m", "third")
    made = ada.ok("bundle", "create", "../new.bundle", "--since", "main~1", "--json").json
    assert made["bytes"] < 10_000, "content that the receiver has elsewhere is not in it"
    assert [p["subject"] for p in made["prerequisites"]] == ["second"]

    assert bob.ok("bundle", "verify", "../new.bundle").code == 0
    bob.ok("pull", "../new.bundle", "main")
    assert bob.ok("rev-parse", "HEAD").out == ada.ok("rev-parse", "HEAD").out
    assert (bob.directory / "code" / "new.py").read_bytes() == b"print(2)\n"
    assert bob("fsck").code == 0


def test_missing_prerequisites_are_named(ada, cli):
    ada.ok("bundle", "create", "../new.bundle", "--since", "v1")
    other = CommandLine(ada.directory.parent / "other", ada.environment)
    other.directory.mkdir()
    other.ok("init", "-q")
    refused = other("fetch", "../new.bundle")
    assert refused.code == 3
    assert "(first)" in refused.err
    verified = other("bundle", "verify", "../new.bundle")
    assert verified.code == 1
    assert "first (not here)" in verified.out
    person = CommandLine(ada.directory.parent, ada.environment)
    assert person("clone", "new.bundle", "fresh").code == 3
    assert not (ada.directory.parent / "fresh").exists()


def test_a_remote_that_is_a_file(ada):
    """The file is replaced by a newer one from time to time."""
    file = ada.directory.parent / "stick"
    ada.ok("bundle", "create", str(file), "main")
    bob = clone(ada, file)
    write(ada, "c", b"c")
    ada.ok("commit", "-q", "-m", "third")
    ada.ok("bundle", "create", str(file), "main")
    bob.ok("pull", "-q")
    assert (bob.directory / "c").read_bytes() == b"c"
    for words in (("push",), ("gc", "--remote", "origin"), ("push", str(file), "main")):
        refused = bob(*words)
        assert refused.code == 14
        assert "never changed" in refused.err
    assert bob.ok("remote", "show", "origin").code == 0


def test_damage_is_told_and_nothing_is_taken_in(ada):
    file = ada.directory.parent / "all.bundle"
    ada.ok("bundle", "create", str(file), "--all")
    data = file.read_bytes()
    bob = CommandLine(ada.directory.parent / "bob", ada.environment)
    bob.directory.mkdir()
    bob.ok("init", "-q")
    store = bob.directory / ".dsvc" / "store"
    before = sorted(path.name for path in store.rglob("*"))
    dice = random.Random(1)
    harmed = [data[:cut] for cut in (0, 5, 11, 40, len(data) // 2, len(data) - 33, len(data) - 1)]
    for _ in range(20):
        at = dice.randrange(len(data))
        harmed.append(data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :])
    for content in harmed:
        file.write_bytes(content)
        for words in (("fetch", str(file)), ("bundle", "verify", str(file))):
            answer = bob(*words)
            assert answer.code in (15, 16), (words, answer.err)
            assert str(file) in answer.err
    assert sorted(path.name for path in store.rglob("*")) == before


def test_nothing_to_bundle(ada):
    assert ada("bundle", "create", "../x.bundle", "--since", "main").code == 3
    assert ada("bundle", "create", "../x.bundle", "nosuch").code == 3
    assert ada("bundle", "create", "../x.bundle", "HEAD~1").code == 3
    assert ada("bundle", "create", "../x.bundle", "--all", "main").code == 2
    assert not list(ada.directory.parent.glob("*x.bundle*"))
    assert not list((ada.directory / ".dsvc" / "transfers").glob("*"))
    missing = ada("fetch", "../y.bundle")
    assert missing.code == 14
    assert "bundle create" in missing.err


def test_a_file_that_cannot_be_made(ada):
    (ada.directory / "folder").mkdir()
    (ada.directory / "one").write_bytes(b"a file")
    for name, why in (("folder", "is a folder"), ("none/b", "No such file or directory"), ("one/b", "Not a directory")):
        answer = ada("bundle", "create", name, "--all")
        assert (answer.code, why in answer.err) == (3, True), answer.err


def test_what_was_purged_is_missing_with_a_reason(ada):
    ada.ok("purge", "HEAD~1:big", "--reason", "a mistake", "--yes")
    ada.ok("bundle", "create", "../all.bundle", "--all")
    bob = clone(ada, ada.directory.parent / "all.bundle")
    assert "a mistake" in bob("cat", "HEAD~1:big").err
    assert bob("fsck").code == 0


def test_a_bundle_without_a_repository_around(ada):
    ada.ok("bundle", "create", "../all.bundle", "--all")
    outside = CommandLine(ada.directory.parent, ada.environment)
    assert outside.ok("bundle", "list-heads", "all.bundle").out
    assert outside.ok("bundle", "verify", "all.bundle", "--json").json["missing"] is None
