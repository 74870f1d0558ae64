"""Many processes push, fetch and collect at once: each push lands or says why, and nothing is lost or there twice."""

from __future__ import annotations

import multiprocessing
import random
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from flaky import World, commit, tip

from dsvc.actions.gc import collect
from dsvc.errors import BusyError
from tests.commands.conftest import Answer, cli

__all__ = ["cli"]

FORK = multiprocessing.get_context("fork")
PEOPLE = [f"p{number}" for number in range(10)]


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def world(cli, tmp_path: Path) -> World:
    world = World(tmp_path / "world", cli.environment)
    world.base.mkdir()
    ada = world.person()
    ada.directory.mkdir()
    ada.ok("init", "-q")
    ada.ok("config", "remote.origin.url", "../hub")
    commit(ada, "first", {"a": b"a", "big": noise(1, 400_000)})
    ada.ok("push", "-q")
    return world


def at_once(works: list[Callable[[], Answer]]) -> list[Answer]:
    """Run each in a process of its own, all let go at the same moment; return their answers."""
    answers = FORK.SimpleQueue()
    start = FORK.Barrier(len(works))

    def run(number: int) -> None:
        start.wait(30)
        try:
            answers.put((number, works[number]()))
        except BaseException:
            answers.put((number, Answer(-1, b"", traceback.format_exc())))
            raise

    processes = [FORK.Process(target=run, args=(number,)) for number in range(len(works))]
    for process in processes:
        process.start()
    found = dict(answers.get() for _ in works)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(works), [a.err for a in found.values() if a.code]
    return [found[number] for number in range(len(works))]


def test_ten_branches(world: World) -> None:
    wanted = {}
    for number, name in enumerate(PEOPLE):
        person = world.join(name)
        person.ok("switch", "-q", "-c", name)
        wanted[name] = commit(person, f"of {name}", {name: noise(number, 20_000), "shared": noise(99, 5000)})
    answers = at_once([lambda name=name: world.person(name)("push", "-q") for name in PEOPLE])
    assert [(answer.code, answer.err) for answer in answers] == [(0, "")] * len(PEOPLE)
    assert {name: tip(world.person(), name) for name in PEOPLE} == wanted
    world.assert_whole("ada", *PEOPLE)
    reader = world.join("reader")
    for number, name in enumerate(PEOPLE):
        assert reader.ok("cat", f"origin/{name}:{name}").raw == noise(number, 20_000)


def test_five_on_one_branch(world: World) -> None:
    wanted = [commit(world.join(name), f"of {name}", {name: b"x"}) for name in PEOPLE[:5]]
    waiting = PEOPLE[:5]
    while waiting:
        answers = at_once([lambda name=name: world.person(name)("push", "-q") for name in waiting])
        landed = [name for name, answer in zip(waiting, answers, strict=True) if answer.code == 0]
        assert len(landed) == 1, "the same branch moves forward for one of them"
        for name, answer in zip(waiting, answers, strict=True):
            if answer.code:
                assert answer.code == 12
                assert "main" in answer.err
                assert "dsvc pull origin" in answer.err
                world.person(name).ok("pull", "-q")
        waiting = [name for name in waiting if name not in landed]
    world.assert_whole("ada", *PEOPLE[:5])
    ada = world.person()
    ada.ok("pull", "-q")
    subjects = ada.ok("log", "--format=%s").out.splitlines()
    assert sorted(line for line in subjects if line.startswith("of ")) == [f"of {name}" for name in PEOPLE[:5]]
    for commit_id in wanted:
        assert ada("merge-base", "--is-ancestor", commit_id, "HEAD").code == 0


def test_first_pushes_to_an_empty_place(world: World) -> None:
    for name in PEOPLE[:6]:
        person = world.join(name)
        person.ok("config", "remote.origin.url", "../new")
        person.ok("branch", name)
    answers = at_once([lambda name=name: world.person(name)("push", "-q", "origin", name) for name in PEOPLE[:6]])
    assert [(answer.code, answer.err) for answer in answers] == [(0, "")] * 6
    assert all(tip(world.person(PEOPLE[0]), name) for name in PEOPLE[:6])


def test_one_clone_pushes_and_fetches_several_times_at_once(world: World) -> None:
    """As the runs on one machine do."""
    bob = world.join("bob")
    theirs = commit(bob, "bob's", {"theirs": noise(50, 900_000)})
    bob.ok("push", "-q", "origin", "main:theirs")
    ada = world.person()
    for name in PEOPLE[:6]:
        ada.ok("switch", "-q", "-c", name, "main")
        commit(ada, f"of {name}", {name: noise(int(name[1:]), 300_000)})
    pushes = [lambda name=name: ada("push", "-q", "origin", name) for name in PEOPLE[:6]]
    fetches = [lambda: ada("fetch", "-q")] * 3
    answers = at_once([*pushes, *fetches])
    for answer in answers:
        assert answer.code in (0, 11), answer.err
        assert answer.code == 0 or "run the same command again" in answer.err
    for push in pushes:
        assert push().code == 0
    ada.ok("fetch", "-q")
    world.assert_whole("ada")
    assert all(tip(ada, name) == ada.ok("rev-parse", name).out.strip() for name in PEOPLE[:6])
    assert ada.ok("rev-parse", "origin/theirs").out.strip() == theirs
    assert ada.ok("cat", "origin/theirs:theirs").raw == noise(50, 900_000)
    assert not list((ada.directory / ".dsvc" / "transfers").glob("*"))


def test_a_fetch_beside_one_that_has_taken_in_the_same_and_not_published(world: World) -> None:
    """The other one notes over and over what it looked through; this one cannot see its objects."""
    ada = world.person()
    bob = world.join("bob")
    theirs = commit(bob, "bob's", {"theirs": b"theirs"})
    bob.ok("push", "-q")
    hub = world.hub()
    names = b"".join(sorted(ref.id for ref in hub.head.packs.packs))
    hub.close()
    noted = ada.directory / ".dsvc" / "cache" / "remotes" / "origin"
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_bytes(names)
    begun, stop = FORK.Event(), FORK.Event()

    def keep_noting() -> None:
        while not stop.is_set():
            noted.with_name("new").write_bytes(names)
            noted.with_name("new").replace(noted)
            begun.set()

    other = FORK.Process(target=keep_noting)
    other.start()
    assert begun.wait(10)
    try:
        ada.ok("fetch", "-q")
    finally:
        stop.set()
        other.join(10)
    assert ada.ok("rev-parse", "origin/main").out.strip() == theirs
    world.assert_whole("ada")


def test_gc_on_the_remote_meanwhile(world: World) -> None:
    """Pushes that rely on what lies there, on garbage too, and clones, while everything old is collected again."""
    for name in PEOPLE[:4]:
        world.join(name)
    stop = FORK.Event()

    def keep_collecting() -> None:
        while not stop.is_set():
            repo = world.hub()
            try:
                collect(repo, now=time.time_ns() // 1000, grace=0, prune_all=random.random() < 0.3)
            except BusyError:
                pass
            finally:
                repo.close()

    def push_often(name: str) -> Answer:
        person = world.person(name)
        for number in range(5):
            shared = noise(number, 30_000)  # what others push too, and what lost its only branch
            commit(person, f"{number} of {name}", {"own": f"{number} {name}".encode(), f"shared{number % 2}": shared})
            for words in (("push", "-q", "origin", f"HEAD:{name}"), ("push", "-q", "origin", f"+HEAD:junk/{name}")):
                repeat(person, *words)
            repeat(person, "push", "-q", "-d", "origin", f"junk/{name}")
        return person("status")

    def clone_often() -> Answer:
        for number in range(4):
            repeat(world.person("."), "clone", "-q", "hub", f"reader{number}")
        return world.person("reader0")("status")

    collector = FORK.Process(target=keep_collecting)
    collector.start()
    at_once([*(lambda name=name: push_often(name) for name in PEOPLE[:4]), clone_often])
    stop.set()
    collector.join(60)
    assert collector.exitcode == 0
    world.assert_whole("ada", *PEOPLE[:4], *(f"reader{number}" for number in range(4)))
    last = world.join("last")
    for name in PEOPLE[:4]:
        assert last.ok("cat", f"origin/{name}:own").out == f"4 {name}"
        subjects = last.ok("log", "--format=%s", f"origin/{name}").out.splitlines()
        assert subjects == [*(f"{number} of {name}" for number in (4, 3, 2, 1, 0)), "first"]


def repeat(person, *words: str) -> None:
    """Run a command, and again as long as it says that this is what to do."""
    for _ in range(30):
        answer = person(*words)
        if answer.code == 0:
            return
        assert answer.code in (11, 12, 14), answer.err
        assert "again" in answer.err, answer.err
    raise AssertionError(f"told to repeat thirty times: {answer.err}")
