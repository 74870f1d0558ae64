"""A writer whose calls run beside each other, broken off or overtaken at every one: all repositories stay whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from dsvc.errors import BusyError, DsvcError
from dsvc.objects.reliance import CollectedError
from dsvc.objects.store import ObjectMissingError
from dsvc.repo.member import member_of
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend
from tests.crash.test_faulty_backend import WAYS, FaultyBackend
from tests.crash.test_pool import (
    Act,
    Overtaken,
    drop_and_collect,
    fork_and_go_on,
    gc,
    noise,
    start,
    sweep_all,
    write_parent,
)
from tests.repo.pool import Pool

__all__ = ["start"]


def write_far(pool: Pool, backend: Backend) -> None:
    """Commit new content, some that is there already, and some that is garbage so far; in two goes, one failing."""
    repo = Repository.open(member_of(backend, pool.ids["mine"]), pool.staging, far=True)
    repo.store.own.calls.far = True
    try:
        repo.store.put_content(noise(71, 4000))
        repo.store.flush()  # as the packs of a push, which are sent before the one with the operation
        pool.commit("mine", {b"new": noise(71, 4000), b"m0": noise(40, 700), b"again": noise(22, 5000)}, repo=repo)
    finally:
        repo.store.own.calls.close()


def write_much(pool: Pool, backend: Backend) -> None:
    """Let the head move, collect what is on no list, and let it move once more."""
    write_parent(pool, backend)
    sweep_all(pool, backend)
    pool.drop("mine", "side")


OTHERS = [gc, sweep_all, fork_and_go_on, write_parent, drop_and_collect, write_much]


@pytest.mark.parametrize("other", OTHERS, ids=lambda act: act.__name__)
def test_overtaken_at_each_call(start: Callable[[], Pool], other: Act) -> None:
    at, calls = 1, 1
    while at <= calls:
        pool = start()
        overtaken = Overtaken(pool.backend, at, lambda pool=pool: other(pool, pool.backend))
        where = f"overtaken at call {at} by {other.__name__}"
        try:
            write_far(pool, overtaken)
        except (BusyError, CollectedError, ObjectMissingError):
            pass  # says that it should be tried again
        except DsvcError as error:
            raise AssertionError(f"{where}: {error!r}") from error
        pool.check()
        gc(pool, pool.backend)
        pool.check()
        calls = overtaken.calls
        at += 1
    assert calls > 10


@pytest.mark.parametrize("way", WAYS)
def test_broken_off_at_each_write(start: Callable[[], Pool], way: str) -> None:
    fail_at, finished = 0, False
    while not finished:
        fail_at += 1
        pool = start()
        faulty = FaultyBackend(pool.backend, fail_at, way)
        with contextlib.suppress(DsvcError, OSError):
            write_far(pool, faulty)
        finished = faulty.writes < fail_at
        pool.check()
        write_far(pool, pool.backend)
        gc(pool, pool.backend)
        gc(pool, pool.backend)
        pool.check()
    assert fail_at > 4
