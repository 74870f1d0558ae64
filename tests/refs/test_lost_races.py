"""A writer that others overtake again and again lists one small pack, and takes nothing from anybody."""

import pytest

from dsvc.actions.fsck import check
from dsvc.objects import codec
from dsvc.objects.ids import Kind
from dsvc.objects.reliance import CollectedError
from dsvc.refs.log import read_head, swap_head
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct
from dsvc.remotes.transfer.patience import Patience
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend
from dsvc.storage.passing import PassingBackend

LOSSES = 5


class Overtaken(PassingBackend):
    """Right before each of the first lists is written something else happens; `sent` are the packs that were stored."""

    def __init__(self, inner):
        super().__init__(inner)
        self.happens = []
        self.sent = []

    def put(self, key, source):
        if key.startswith("lists/") and self.happens:
            self.happens.pop(0)()
        super().put(key, source)
        if key.startswith("packs/"):
            self.sent.append(key)


@pytest.fixture(params=[False, True], ids=["at hand", "far"])
def writer(repository, tmp_path, request):
    made = Repository.open(Overtaken(repository.backend), lambda: tmp_path, far=True)
    made.store.own.calls.far = request.param
    yield made
    made.close()


def put_run(repo, name):
    return Direct(Kind.RUN, repo.store.put(Kind.RUN, codec.encode({"name": name, "refs": []})))


def add_run(repo, name, act):
    repo.refresh()
    transaction = repo.transaction()
    transaction.set(f"runs/{name}", put_run(repo, name))
    repo.publish(transaction, act())


def assert_whole(backend, tmp_path):
    repo = Repository.open(backend, lambda: tmp_path)
    assert [d.message for d in check(repo).damage] == []
    assert not backend.missing([ref.key for ref in repo.head.packs.packs])
    return repo


def test_one_pack_is_listed_however_many_races_were_lost(writer, beside, act, tmp_path):
    transaction = writer.transaction()
    ref = put_run(writer, "mine")
    transaction.set("runs/mine", ref)
    theirs = [f"theirs-{number}" for number in range(LOSSES)]
    writer.backend.happens = [lambda name=name: add_run(beside, name, act) for name in theirs]
    before = len(writer.head.packs.packs)
    writer.publish(transaction, act())
    repo = assert_whole(writer.backend, tmp_path)
    assert {name for name, _ in repo.view().items("runs/")} == {f"runs/{name}" for name in ("mine", *theirs)}
    assert len(repo.head.packs.packs) == before + LOSSES + 1
    assert len(writer.backend.sent) == LOSSES + 1
    assert codec.decode(repo.store.get(ref.id, Kind.RUN))["name"] == "mine"


def test_much_metadata_is_not_sent_again(writer, beside, act, tmp_path):
    """It stays where it is and is listed, and beside it one small pack."""
    transaction = writer.transaction()
    for number in range(40):
        transaction.set(f"runs/mine-{number}", put_run(writer, f"{number}" * 5000))
    theirs = [f"theirs-{number}" for number in range(3)]
    writer.backend.happens = [lambda name=name: add_run(beside, name, act) for name in theirs]
    before = len(writer.head.packs.packs)
    writer.publish(transaction, act())
    repo = assert_whole(writer.backend, tmp_path)
    assert len(list(repo.view().items("runs/mine-"))) == 40
    assert len(repo.head.packs.packs) == before + 3 + 2
    assert sum(ref.objects >= 40 for ref in repo.head.packs.packs) == 1


def test_a_pack_that_somebody_lists_meanwhile_stays(writer, beside, act, tmp_path):
    """As who mends a lost segment does, who cannot know which packs a list named; then others rely on it."""
    transaction = writer.transaction()
    ref = put_run(writer, "mine")
    transaction.set("runs/mine", ref)

    def mend():
        head = read_head(beside.backend)
        vain = tuple(writer.store.own.refs.values())
        assert [pack.key for pack in vain] == writer.backend.sent
        assert swap_head(beside.backend, head, head.operation, head.packs.adding(vain)) is not None
        beside.refresh()
        transaction = beside.transaction()
        transaction.set("runs/theirs", put_run(beside, "mine"))
        beside.publish(transaction, act())

    def wait_until_it_is_there():
        writer.store.own.calls.drain()
        mend()

    writer.backend.happens = [wait_until_it_is_there]
    writer.publish(transaction, act())
    repo = assert_whole(writer.backend, tmp_path)
    assert repo.view().get("runs/mine") == repo.view().get("runs/theirs") == ref


def test_a_writer_whose_pack_was_collected_is_stopped(writer, beside, act, tmp_path):
    """Also where it lost a race at that moment: what is gone of its own does not come back."""
    transaction = writer.transaction()
    transaction.set("runs/mine", put_run(writer, "mine"))
    (pack,) = writer.store.flush()
    head = read_head(beside.backend)
    condemned = head.packs.adding((pack,)).replacing((pack.id,), ())
    assert swap_head(beside.backend, head, head.operation, condemned) is not None
    beside.backend.delete(pack.key)
    with pytest.raises(CollectedError):
        transaction.publish(act(), known=writer.head)
    assert_whole(writer.backend, tmp_path)
    writer.refresh()
    again = writer.transaction()
    again.set("runs/mine", put_run(writer, "mine"))
    writer.publish(again, act())
    assert assert_whole(writer.backend, tmp_path).view().get("runs/mine") is not None


class Refusing(PassingBackend):
    """A place that takes no packs, or no lists."""

    def __init__(self, inner, prefix):
        super().__init__(inner)
        self.prefix, self.full = prefix, False

    def put(self, key, source):
        if self.full and key.startswith(self.prefix):
            raise OSError(28, "No space left on device")
        super().put(key, source)


@pytest.mark.parametrize("prefix", ["packs/", "lists/"])
@pytest.mark.parametrize("far", [False, True])
def test_a_place_that_is_full(tmp_path, act, far, prefix):
    backend = Refusing(MemoryBackend(), prefix)
    repo = Repository.create(backend, lambda: tmp_path, act=act(0), refs={}, far=True)
    repo.store.own.calls.far = far
    transaction: Transaction = repo.transaction()
    transaction.set("runs/mine", put_run(repo, "mine"))
    head = backend.read_cell("head")
    backend.full = True
    with pytest.raises(OSError, match="No space"):
        repo.publish(transaction, act())
    assert backend.read_cell("head") == head
    backend.full = False
    again = repo.transaction()
    again.set("runs/mine", put_run(repo, "mine"))
    repo.publish(again, act())
    assert assert_whole(backend, tmp_path).view().get("runs/mine") is not None
    assert not list(tmp_path.glob("*.tmp"))
    repo.close()


def test_the_wait_grows_with_the_losses(monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("time.monotonic", iter(range(1000)).__next__)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    patience = Patience()
    for attempt in range(20):
        patience(attempt)
    assert slept[:8] == sorted(slept[:8])
    assert slept[7:] == [slept[7]] * 13
    assert slept[-1] <= 8
