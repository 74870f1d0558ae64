"""Forks, writers and gc of one pool, each broken off or overtaken at every call: all repositories stay whole."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.errors import BusyError, DsvcError
from dsvc.objects.reliance import CollectedError
from dsvc.objects.store import ObjectMissingError
from dsvc.refs.log import RepositoryDeletedError
from dsvc.repo.family import Family, read_family
from dsvc.repo.forking import TakenError
from dsvc.repo.member import member_of
from dsvc.repo.repository import Repository
from dsvc.repo.sweeping import sweep
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend
from dsvc.storage.passing import PassingBackend
from tests.crash.test_faulty_backend import WAYS, FaultyBackend
from tests.repo.pool import DAY, Pool

Act = Callable[[Pool, Backend], None]


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


class Overtaken(PassingBackend):
    """Before the n-th call, reads too, something else happens."""

    def __init__(self, inner: Backend, at: int, happens: Callable[[], None]) -> None:
        super().__init__(inner)
        self.at, self.happens, self.calls = at, happens, 0

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.happens()

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self._count()
        return super().get(key, offset=offset, length=length)

    def put(self, key: str, source: bytes | Path) -> None:
        self._count()
        super().put(key, source)

    def missing(self, keys: list[str]) -> list[str]:
        self._count()
        return super().missing(keys)

    def list(self, prefix: str):
        self._count()
        return iter(list(super().list(prefix)))

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)

    def read_cell(self, name: str) -> bytes | None:
        self._count()
        return super().read_cell(name)

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        self._count()
        return super().swap_cell(name, expected, value)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pool]:
    """Return a function that gives a fresh copy of a parent with a fork, which have packs together and garbage each."""
    made = Pool(MemoryBackend(), tmp_path_factory.mktemp("pool"))
    for number in range(3):
        made.commit("parent", {b"f%d" % number: noise(number, 700)})
    made.commit("parent", {b"old": noise(20, 5000), b"shared": noise(21, 3000)}, "side")
    made.commit("parent", {b"gone": noise(22, 5000)}, "gone")
    made.fork("mine")
    made.drop("parent", "side")
    made.commit("parent", {b"theirs": noise(30, 800)})
    for number in range(3):
        made.commit("mine", {b"m%d" % number: noise(40 + number, 700)})
    made.drop("mine", "gone")
    made.drop("parent", "gone")
    made.check()

    return lambda: copied(made)


def copied(made: Pool) -> Pool:
    pool = copy.copy(made)
    pool.backend = MemoryBackend()
    assert isinstance(made.backend, MemoryBackend)
    pool.backend._blobs = dict(made.backend._blobs)
    pool.backend._cells = dict(made.backend._cells)
    pool.ids = dict(made.ids)
    pool.states = dict(made.states)
    return pool


def gc(pool: Pool, backend: Backend, name: str = "parent", *, everything: bool = True) -> None:
    repo = Repository.open(member_of(backend, pool.ids[name]), pool.staging, far=True)
    collect(repo, now=pool.now + 60 * DAY, grace=0, prune_all=everything)


def gc_mine(pool: Pool, backend: Backend) -> None:
    gc(pool, backend, "mine")


def gc_of_all(pool: Pool, backend: Backend) -> None:
    """Let go of what only one branch of the fork has, and collect."""
    pool.drop("mine", "side")
    gc(pool, backend)


def fork(pool: Pool, backend: Backend) -> None:
    pool.fork("new", parent="mine", backend=backend)


def fork_and_go_on(pool: Pool, backend: Backend) -> None:
    """Fork, commit to the fork, and collect: what was suspended meanwhile wakes up in another world."""
    fork(pool, backend)
    pool.commit("new", {b"of new": noise(60, 900)})
    gc(pool, backend)


def write(pool: Pool, backend: Backend, name: str = "mine") -> None:
    """Commit new content, some that is there already, and some that is garbage so far."""
    repo = Repository.open(member_of(backend, pool.ids[name]), pool.staging, far=True)
    pool.commit(name, {b"new": noise(70, 900), b"m0": noise(40, 700), b"again": noise(22, 5000)}, repo=repo)


def write_parent(pool: Pool, backend: Backend) -> None:
    write(pool, backend, "parent")


def drop_side(pool: Pool, backend: Backend) -> None:
    pool.drop("mine", "side", backend)


def drop_and_collect(pool: Pool, backend: Backend) -> None:
    pool.drop("mine", "side", backend)
    gc(pool, backend)


def fork_first(pool: Pool, backend: Backend) -> None:
    """Fork what was never forked, commit to the fork, and let the parent drop a branch that the fork keeps."""
    pool.fork("mine", backend=backend)
    pool.commit("mine", {b"of mine": noise(80, 900)}, "side")
    pool.drop("parent", "side")
    gc(pool, backend)


def drop_parents_side(pool: Pool, backend: Backend) -> None:
    pool.drop("parent", "side")
    gc(pool, backend)


def sweep_all(pool: Pool, backend: Backend) -> None:
    """Collect what is on no list, as a gc does that has nothing else to do."""
    sweep(backend, now=pool.now + 60 * DAY, at_once=True, dry_run=False)


MAIN_ACTS = [gc, gc_mine, fork, write]
CLOSE = {(gc, fork_and_go_on), (gc, write), (gc, sweep_all), (fork, gc), (fork, drop_and_collect), (write, gc)}
OTHERS = [gc, sweep_all, fork, fork_and_go_on, write, write_parent, drop_side, drop_and_collect]


@pytest.mark.parametrize("other", OTHERS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("act", MAIN_ACTS, ids=lambda act: act.__name__)
def test_overtaken_at_each_call(start: Callable[[], Pool], act: Act, other: Act) -> None:
    at, calls, step = 1, 1, 1 if (act, other) in CLOSE else 4
    while at <= calls:
        pool = start()
        overtaken = Overtaken(pool.backend, at, lambda pool=pool: other(pool, pool.backend))
        where = f"{act.__name__}, overtaken at call {at} by {other.__name__}"
        try:
            act(pool, overtaken)
        except (BusyError, CollectedError):
            pass  # says that it should be tried again
        except ObjectMissingError:
            assert act is write, where  # what it began from was collected: it begins anew, as push does
        except TakenError:
            assert act is fork
            assert other in (fork, fork_and_go_on)
        except DsvcError as error:
            raise AssertionError(f"{where}: {error!r}") from error
        pool.check()
        gc(pool, pool.backend)
        pool.check()
        calls = overtaken.calls
        at += step


def test_a_writer_beside_a_gc_that_finds_no_garbage(start: Callable[[], Pool]) -> None:
    """No head moves but to condemn the packs that the writer has stored and not published."""
    clean = start()
    gc(clean, clean.backend)
    at, calls, stopped = 1, 1, 0
    while at <= calls:
        pool = copied(clean)
        overtaken = Overtaken(pool.backend, at, lambda pool=pool: gc(pool, pool.backend))
        try:
            write(pool, overtaken)
        except BusyError:
            stopped += 1
        pool.check()
        calls = overtaken.calls
        at += 1
    assert stopped


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pool]:
    """The same of one repository that was never forked; its branch `gone` is garbage."""
    made = Pool(MemoryBackend(), tmp_path_factory.mktemp("alone"))
    for number in range(3):
        made.commit("parent", {b"f%d" % number: noise(number, 700)})
    made.commit("parent", {b"old": noise(20, 5000)}, "side")
    made.commit("parent", {b"gone": noise(22, 5000)}, "gone")
    made.drop("parent", "gone")
    return lambda: copied(made)


@pytest.mark.parametrize(
    ("act", "other"),
    [
        (gc, fork_first), (drop_parents_side, fork_first), (fork_first, gc), (fork_first, drop_parents_side),
        (gc, gc), (gc, drop_parents_side), (drop_parents_side, gc),
    ],
    ids=lambda act: act.__name__,
)
def test_the_first_fork_beside_gc(alone: Callable[[], Pool], act: Act, other: Act) -> None:
    """The gc of a repository that had no forks when it began deletes nothing that the first one has."""
    at, calls = 1, 1
    while at <= calls:
        pool = alone()
        overtaken = Overtaken(pool.backend, at, lambda pool=pool: other(pool, pool.backend))
        with contextlib.suppress(BusyError, TakenError, KeyError):
            act(pool, overtaken)
        pool.check()
        gc(pool, pool.backend)
        pool.check()
        calls = overtaken.calls
        at += 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("act", [*MAIN_ACTS, drop_and_collect], ids=lambda act: act.__name__)
def test_broken_off_at_each_write(start: Callable[[], Pool], act: Act, way: str) -> None:
    fail_at, finished = 0, False
    while not finished:
        fail_at += 1
        pool = start()
        faulty = FaultyBackend(pool.backend, fail_at, way)
        try:
            act(pool, faulty)
        except (DsvcError, OSError):
            pass
        finished = faulty.writes < fail_at
        pool.check()
        if act is fork:
            with contextlib.suppress(TakenError):  # its answer was lost
                fork(pool, pool.backend)  # which makes it anew
        else:
            act(pool, pool.backend)
        gc(pool, pool.backend)
        gc(pool, pool.backend)
        pool.check()


def test_a_repository_that_is_deleted_meanwhile(start: Callable[[], Pool]) -> None:
    """Whoever writes to it is told so; the others keep everything."""
    from dsvc.refs.log import CELL, DELETED

    at, calls = 1, 1
    while at <= calls:
        pool = start()

        def delete(pool: Pool = pool) -> None:
            backend = member_of(pool.backend, pool.ids["mine"])
            backend.swap_cell(CELL, backend.read_cell(CELL), DELETED)
            gc(pool, pool.backend)

        overtaken = Overtaken(pool.backend, at, delete)
        try:
            write(pool, overtaken)
        except (RepositoryDeletedError, BusyError):
            pass
        except DsvcError as error:
            raise AssertionError(f"at call {at}: {error!r}") from error
        if overtaken.calls >= at:
            del pool.ids["mine"]
        pool.check()
        calls = overtaken.calls
        at += 1


class Paused(Overtaken):
    """The n-th call waits until it is let go on, as a process does that sleeps."""

    def __init__(self, inner: Backend, at: int) -> None:
        super().__init__(inner, at, self._sleep)
        self.asleep, self.awake = threading.Event(), threading.Event()

    def _sleep(self) -> None:
        self.asleep.set()
        assert self.awake.wait(60)


class Sleeper:
    """Somebody who does something, falls asleep at the n-th call, and wakes up when told to."""

    def __init__(self, pool: Pool, act: Act, at: int) -> None:
        self.backend = Paused(pool.backend, at)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(pool, act))
        self.thread.start()
        while not self.backend.asleep.wait(0.002) and self.thread.is_alive():
            pass

    def _run(self, pool: Pool, act: Act) -> None:
        try:
            act(pool, self.backend)
        except BaseException as error:
            self.error = error

    def wake(self) -> None:
        self.backend.awake.set()
        self.thread.join(60)
        if not isinstance(self.error, BusyError | ObjectMissingError | None):
            raise self.error


@pytest.mark.parametrize("first", [fork, write], ids=lambda act: act.__name__)
@pytest.mark.parametrize("waker", ["the first", "gc"])
def test_two_that_sleep(start: Callable[[], Pool], first: Act, waker: str) -> None:
    """Somebody falls asleep in the middle, then gc in its middle; one wakes up and finishes, then the other."""
    at, calls = 1, 2
    while at <= calls:
        gc_at, gc_calls = 1 + at % 4, 2
        while gc_at <= gc_calls:
            pool = start()
            one, other = Sleeper(pool, first, at), Sleeper(pool, gc_of_all, gc_at)
            for sleeper in (one, other) if waker == "the first" else (other, one):
                sleeper.wake()
            pool.check()
            gc_calls = other.backend.calls
            gc_at += 4
        calls = one.backend.calls
        at += 1


FORK = multiprocessing.get_context("fork")
WRITERS, ROUNDS = 4, 6


def test_many_processes(tmp_path: Path) -> None:
    """Writers to two forks, one who forks and forks again, and two who collect: nothing is lost."""
    folder = tmp_path / "pool"
    folder.mkdir()
    pool = Pool(LocalBackend(folder), tmp_path / "staging")
    for number in range(4):
        pool.commit("parent", {b"f%d" % number: noise(number, 20_000)})
    names = ("parent", "mine")
    pool.fork("mine")
    done = FORK.Value("i", 0)

    def keep_trying(work: Callable[[], object]) -> None:
        for _ in range(200):
            try:
                work()
                return
            except (BusyError, ObjectMissingError):
                continue
        raise AssertionError("never done")

    def writer(number: int) -> None:
        name, branch = names[number % 2], f"b{number}"
        for turn in range(ROUNDS):
            files = {b"n%d" % turn: noise(100 * number + turn, 3000), b"same": noise(7000 + turn, 9000)}
            keep_trying(lambda files=files: here.commit(name, files, branch))
        done.value += 1

    def forker() -> None:
        turn = 0
        while done.value < WRITERS or turn < 3:
            keep_trying(lambda turn=turn: here.fork(f"x{turn}", ("parent", "mine")[turn % 2]))
            turn += 1
            time.sleep(0.2)

    def collector() -> None:
        while done.value < WRITERS:
            keep_trying(lambda: gc(here, here.backend))

    works = [*(lambda number=number: writer(number) for number in range(WRITERS)), collector, collector, forker]

    def run(number: int) -> None:
        nonlocal here
        here = Pool.__new__(Pool)
        here.__dict__.update(pool.__dict__, backend=LocalBackend(folder), folder=tmp_path / f"staging{number}")
        here.now += number * 1000 * 1_000_000
        works[number]()

    here = pool
    processes = [FORK.Process(target=run, args=(number,)) for number in range(len(works))]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * len(works)
    after = Pool.__new__(Pool)
    after.__dict__.update(pool.__dict__, backend=LocalBackend(folder))
    family = read_family(after.backend) or Family()
    for member in family.members.values():
        assert member.ready
        report = check(Repository.open(member_of(after.backend, member.id), after.staging, far=True))
        assert not report.damage, member
    assert len(family.members) > 3
    for number in range(WRITERS):
        files = after.files(names[number % 2], f"b{number}")
        assert files is not None
        assert files[b"same"] == noise(7000 + ROUNDS - 1, 9000)
        assert all(files[b"n%d" % turn] == noise(100 * number + turn, 3000) for turn in range(ROUNDS))
