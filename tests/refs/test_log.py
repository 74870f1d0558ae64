"""The head cell, the pack list behind it, and the operations behind that."""

import pytest

from dsvc.objects import codec
from dsvc.objects.packlist import PackList, decode_pack_list, encode_pack_list, pack_list_key
from dsvc.objects.segment import Segments
from dsvc.refs.log import (
    CELL,
    DamagedHeadError,
    contains_operation,
    encode_head,
    list_of,
    read_head,
    swap_head,
)
from dsvc.refs.view import Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend
from dsvc.storage.passing import PassingBackend


def publish(repository, act, point, number):
    transaction = repository.transaction()
    transaction.set("heads/main", point(number))
    return repository.publish(transaction, act(number))


def test_there_is_no_head_before_the_first_operation():
    assert read_head(MemoryBackend()) is None


def test_operations_are_walked_from_the_newest_back(repository, act, point):
    first = repository.head.operation
    made = [publish(repository, act, point, n) for n in range(1, 6)]
    walked = list(repository.log.walk(repository.head.operation))
    assert [operation for operation, _ in walked] == [*made[::-1], first]
    assert [o.time for _, o in walked] == [5, 4, 3, 2, 1, 0]
    assert contains_operation(repository.log, made[-1], first)
    assert not contains_operation(repository.log, first, made[0])
    assert not contains_operation(repository.log, made[-1], first, limit=5)


def test_an_operation_tells_who_did_what(repository, act, point):
    transaction = repository.transaction()
    transaction.set("heads/main", point(1))
    repository.publish(transaction, act(7, "commit", command=("commit", "-m", "x"), metadata={"k": 1}))
    operation = repository.operation()
    assert (operation.verb, operation.command, operation.metadata) == ("commit", ("commit", "-m", "x"), {"k": 1})
    assert (operation.user, operation.host, operation.worktree) == ("ada", "box", "one")
    assert (operation.time, operation.zone) == (7, 60)


def test_a_swap_from_an_old_head_changes_nothing(repository, beside, act, point):
    old = beside.head
    publish(repository, act, point, 1)
    assert swap_head(repository.backend, old, old.operation, PackList()) is None
    assert read_head(repository.backend) == repository.head


def test_old_pack_lists_go_but_the_one_before_stays(repository, act, point):
    for n in range(1, 8):
        publish(repository, act, point, n)
        kept = {key for key, _ in repository.backend.list("lists/")}
        assert len(kept) == 2
        assert pack_list_key(repository.head.packs.previous) in kept


def test_every_publish_adds_its_packs_to_those_before(repository, act, point):
    before = {p.id for p in repository.head.packs.packs}
    publish(repository, act, point, 1)
    after = {p.id for p in repository.head.packs.packs}
    assert before < after
    assert {key for key, _ in repository.backend.list("packs/")} == {p.key for p in repository.head.packs.packs}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"nothing",
        codec.encode_plain([2, bytes(32), bytes(32)]),
        codec.encode_plain([True, bytes(32), bytes(32)]),
        codec.encode_plain([1.0, bytes(32), bytes(32)]),
        codec.encode_plain([1, bytes(32)]),
        codec.encode_plain([1, bytes(31), bytes(32)]),
        codec.encode_plain([1, bytes(32), bytes(32), 0]),
        codec.encode_plain([1, bytes(32), bytes(32)]) + b"\0",
    ],
)
def test_a_head_of_another_form_is_an_error(value):
    backend = MemoryBackend()
    backend.swap_cell(CELL, None, value)
    with pytest.raises(DamagedHeadError) as caught:
        read_head(backend)
    assert caught.value.exit_code == 15


def test_a_damaged_or_missing_pack_list_is_an_error(repository):
    key = pack_list_key(codec.decode_plain(repository.head.value)[2])
    payload = repository.backend.get(key)
    assert decode_pack_list(payload, Segments(repository.backend).get) == repository.head.packs
    repository.backend.delete(key)
    with pytest.raises(Exception, match=key) as missing:
        read_head(repository.backend)
    assert missing.value.exit_code == 15
    repository.backend.put(key, payload + b"\0")
    with pytest.raises(DamagedHeadError, match=key.removeprefix("lists/")):
        read_head(repository.backend)


def test_a_walk_ends_where_old_operations_were_cut_off(repository, act, point):
    """The packs that hold the older operations are gone from the list, as after gc."""
    made = [publish(repository, act, point, n) for n in range(1, 4)]
    last = PackList(repository.head.packs.packs[-1:])
    assert swap_head(repository.backend, repository.head, made[-1], last) is not None
    repository.refresh()
    assert [operation for operation, _ in repository.log.walk(made[-1])] == made[-1:]


def test_an_unborn_branch(repository):
    assert repository.view().get("worktrees/one/HEAD") == Symbolic("heads/main")
    assert repository.view().commit("worktrees/one/HEAD") is None


class Counted(PassingBackend):
    """Notes which blobs are asked for."""

    def __init__(self, inner):
        super().__init__(inner)
        self.asked = []

    def get(self, key, **where):
        self.asked.append(key)
        return super().get(key, **where)


def test_who_opens_a_far_repository_asks_for_the_cell_alone(tmp_path, act, point):
    place = MemoryBackend()
    writer = Repository.create(place, lambda: tmp_path, act=act(0), refs={"heads/main": Symbolic("heads/x")}, far=True)
    writer.store.own.calls.far = True  # what it sends is kept until the cell is written
    publish(writer, act, point, 1)
    seen = Counted(place)
    reader = Repository.open(seen, lambda: tmp_path, far=True)
    assert reader.view().get("heads/main") == point(1)
    assert seen.asked == []
    place.delete(pack_list_key(list_of(reader.head)))  # a blob nobody needed
    publish(Repository.open(place, lambda: tmp_path, far=True), act, point, 2)
    reader.refresh()
    assert reader.view().get("heads/main") == point(2)
    writer.close()


def test_a_wrong_pack_in_the_cell_is_not_believed(tmp_path, act, point):
    place = MemoryBackend()
    writer = Repository.create(place, lambda: tmp_path, act=act(0), refs={"heads/main": Symbolic("heads/x")}, far=True)
    writer.store.own.calls.far = True
    publish(writer, act, point, 1)
    value = place.read_cell(CELL)
    head = read_head(place)
    for at in range(0, len(head.newest), 7):
        wrong = bytearray(head.newest)
        wrong[at] ^= 1
        cell = encode_head(head.operation, encode_pack_list(head.packs), carry=True, newest=bytes(wrong))
        assert place.swap_cell(CELL, value, cell)
        value = cell
        assert Repository.open(place, lambda: tmp_path, far=True).view().get("heads/main") == point(1)
    writer.close()


def test_a_head_without_room_stays_so(repository, act, point):
    publish(repository, act, point, 1)
    assert repository.backend.read_cell(CELL)[:2] == bytes.fromhex("9301")
