"""Two who collect one repository at once, and a swap of which one of them does not know whether it took place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dsvc.actions.gc import collect
from dsvc.objects import codec
from dsvc.objects.ids import Kind
from dsvc.refs.log import CELL
from dsvc.repo.gcrecord import read_record
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend, SwapUncertainError
from dsvc.storage.memory import MemoryBackend
from dsvc.storage.passing import PassingBackend
from tests.repo.pool import Pool


class Doubtful(PassingBackend):
    """Before the first swap of the head something else happens; the swap does not take place, and nobody says so."""

    def __init__(self, inner: Backend, happens: Callable[[], None]) -> None:
        super().__init__(inner)
        self.happens: Callable[[], None] | None = happens

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        if name == CELL and self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
            raise SwapUncertainError("another process moved the cell at the same moment")
        return super().swap_cell(name, expected, value)


def test_a_doubtful_swap_is_not_taken_for_that_of_another(tmp_path: Path) -> None:
    """The other one took the same packs from the list, but kept an operation of them, behind which the log is cut."""
    pool = Pool(MemoryBackend(), tmp_path / "staging")
    many = {b"a name that makes the pack so large that gc does not merge it, %d" % n: b"a" for n in range(400)}
    pool.commit("parent", {**many})
    first = pool.open("parent")
    first.store.put(Kind.STATE, codec.encode({"refs": []}))  # garbage in the pack of the operation that stays
    pool.commit("parent", {**many}, "side", repo=first)
    since = pool.now

    def gc(backend: Backend, *, cutoff: int, everything: bool) -> None:
        repo = Repository.open(backend, pool.staging, far=True)
        collect(repo, now=cutoff, grace=0, prune_all=everything)

    gc(pool.backend, cutoff=since, everything=False)
    assert read_record(pool.backend).cut
    pool.drop("parent", "side")
    pool.check()
    doubtful = Doubtful(pool.backend, lambda: gc(pool.backend, cutoff=since, everything=True))
    gc(doubtful, cutoff=pool.now + 1, everything=True)
    assert doubtful.happens is None
    pool.check()
    assert len(list(pool.open("parent").log.walk(pool.open("parent").head.operation))) == 1  # it collected after all
