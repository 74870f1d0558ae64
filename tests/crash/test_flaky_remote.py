"""Wherever the connection breaks: both sides are whole, and the same command again does the rest of the work."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flaky import Line, World, commit, over, tip

from tests.commands.conftest import CommandLine, cli

__all__ = ["cli"]

WAYS = {"before": Line(), "after": Line(done=True), "once": Line(once=True), "once, after": Line(once=True, done=True)}


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def world(cli: CommandLine, tmp_path: Path) -> World:
    """Ada and Bob share a hub; each has work that the other lacks: Bob's is in the hub already, on a branch."""
    world = World(tmp_path / "world", cli.environment)
    world.base.mkdir()
    ada = world.person()
    ada.directory.mkdir()
    ada.ok("init", "-q")
    ada.ok("config", "remote.origin.url", "../hub")
    commit(ada, "first", {"a": b"a", "big": noise(1, 600_000), "many/1": noise(2, 2000), "many/2": noise(3, 2000)})
    ada.ok("push", "-q")
    bob = world.join("bob")
    bob.ok("switch", "-q", "-c", "topic")
    commit(bob, "bob's", {"b": b"b", "big": noise(1, 600_000) + noise(4, 300_000), "many/3": noise(5, 2000)})
    bob.ok("push", "-q")
    commit(ada, "second", {"a": b"aa", "other": noise(6, 500_000), "many/4": noise(7, 3000)})
    commit(ada, "third", {"a": b"aaa", "many/1": None})
    ada.ok("tag", "-m", "a release", "v1")
    return world


def each_break(
    world: World, tmp_path: Path, way: str, work: Callable[[World], int]
) -> Iterator[tuple[World, Line, int]]:
    """Do the work in copies of the world, with the connection breaking at every call; yield the world afterwards."""
    for at in range(1, 200):
        copy = world.copy(tmp_path / "copy")
        with over(Line(at, WAYS[way].done, WAYS[way].once)) as line:
            code = work(copy)
        if line.calls < at:
            assert code == 0
            assert at > 5
            return
        yield copy, line, code
    raise AssertionError("the work never ends")


@pytest.mark.parametrize("way", WAYS)
def test_push(world: World, tmp_path: Path, way: str) -> None:
    wanted = world.person().ok("rev-parse", "main").out.strip()
    before = tip(world.person(), "main")
    for after, line, code in each_break(
        world, tmp_path, way, lambda copy: copy.person()("push", "-q", "--tags", "origin", "main").code
    ):
        where = f"broken at call {line.at}"
        assert code in (0, 14), where
        ada = after.person()
        after.assert_whole("ada")
        assert tip(ada, "main") in ((before, wanted) if code else (wanted,)), where
        arrived = after.packs()
        with over(Line()) as second:
            ada.ok("push", "-q", "--tags", "origin", "main")
        assert not arrived & set(second.puts), f"{where}: a pack that had arrived was sent again"
        if line.puts and any(key.startswith("packs/") for key in line.puts):
            assert sum(key.startswith("packs/") for key in (*line.puts, *second.puts)) <= 8, where
        assert tip(ada, "main") == wanted
        after.assert_whole("ada", "bob")
        assert not list((after.base / "ada" / ".dsvc" / "transfers").glob("*")), "nothing is left under way"
    bob = after.person("bob")
    bob.ok("fetch", "-q")
    assert bob.ok("cat", "origin/main:other").raw == noise(6, 500_000)
    assert bob.ok("rev-parse", "v1^{commit}").out.strip() == wanted


@pytest.mark.parametrize("way", ["before", "once"])
def test_fetch(world: World, tmp_path: Path, way: str) -> None:
    old = world.person()("rev-parse", "origin/topic").code
    assert old != 0
    for after, line, code in each_break(world, tmp_path, way, lambda copy: copy.person()("fetch", "-q").code):
        assert code == 14, f"broken at call {line.at}"
        ada = after.person()
        after.assert_whole("ada")
        assert ada("rev-parse", "origin/topic").code != 0, "a ref came without what it reaches"
        ada.ok("fetch", "-q")
        after.assert_whole("ada", "bob")
        assert ada.ok("cat", "origin/topic:big").raw == noise(1, 600_000) + noise(4, 300_000)
        assert ada.ok("cat", "origin/topic:many/3").raw == noise(5, 2000)


@pytest.mark.parametrize("way", ["before", "once"])
def test_clone(world: World, tmp_path: Path, way: str) -> None:
    def clone(copy: World) -> int:
        return copy.person(".")("clone", "-q", "hub", "eve").code

    for after, line, code in each_break(world, tmp_path, way, clone):
        assert code == 14, f"broken at call {line.at}"
        after.assert_whole("eve")
        assert clone(after) == 0, f"broken at call {line.at}"
        eve = after.person("eve")
        after.assert_whole("eve")
        assert (eve.directory / "big").read_bytes() == noise(1, 600_000)
        assert eve.ok("status", "--porcelain").out == ""
        assert eve.ok("branch", "-r").out.split() == ["origin/HEAD", "->", "origin/main", "origin/main", "origin/topic"]


@pytest.mark.parametrize("branch", ["main", "another"])
def test_somebody_pushes_in_between(world: World, tmp_path: Path, branch: str) -> None:
    """Before every call of Ada's push Bob has pushed the same branch, or another one."""
    wanted = world.person().ok("rev-parse", "main").out.strip()
    for at in range(1, 200):
        copy = world.copy(tmp_path / "copy")
        ada, bob = copy.person(), copy.person("bob")
        theirs: list[str] = []

        def interfere(number: int, _what: str) -> None:
            if number == at:  # noqa: B023
                theirs.append(push_as_bob(bob, branch))  # noqa: B023

        with over(Line(before=interfere)) as line:
            answer = ada("push", "-q", "origin", "main")
        if not theirs:
            assert line.calls < at
            break
        copy.assert_whole("ada", "bob")
        assert tip(ada, branch) == theirs[0] or tip(bob, branch) == wanted
        if branch == "another" or answer.code == 0:
            assert answer.code == 0, answer.err
            assert tip(ada, "main") == wanted
        else:
            assert answer.code == 12
            assert "dsvc pull origin" in answer.err
            assert tip(ada, "main") == theirs[0], "nothing of Bob's was overwritten"
            ada.ok("pull", "-q")
            ada.ok("push", "-q")
            bob.ok("fetch", "-q")
            assert bob.ok("merge-base", "--is-ancestor", theirs[0], "origin/main").code == 0
            assert bob.ok("merge-base", "--is-ancestor", wanted, "origin/main").code == 0
        copy.assert_whole("ada", "bob")
    assert at > 5


def push_as_bob(bob: CommandLine, branch: str) -> str:
    """Push something of Bob's, where it may be; return what is there then."""
    commit(bob, f"on {branch}", {"bob": b"b"})
    bob("push", "-q", "origin", f"HEAD:{branch}")
    found = tip(bob, branch)
    assert found is not None
    return found
