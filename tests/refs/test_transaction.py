"""A transaction publishes one operation, or nothing."""

import threading

import pytest

from dsvc.errors import BusyError
from dsvc.objects.ids import Kind
from dsvc.objects.values import Commit, Person
from dsvc.refs.moved import RefMovedError
from dsvc.refs.names import BadRefNameError
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.backend import SwapUncertainError
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend

WHO = Person("Ada", "ada@example.org", 0)


def commit(message):
    return Commit(tree=bytes(32), parents=(), author=WHO, committer=WHO, message=message)


def test_many_refs_move_at_once(repository, beside, act, point):
    transaction = repository.transaction()
    for n in range(1, 50):
        transaction.set(f"heads/{n}", point(n))
    assert dict(beside.view().items("heads/")) == {}
    repository.publish(transaction, act())
    assert dict(beside.view().items("heads/")) == {}  # until it looks again
    beside.refresh()
    assert dict(beside.view().items("heads/")) == {f"heads/{n}": point(n) for n in range(1, 50)}


def test_refs_that_others_moved_meanwhile_are_kept(repository, beside, act, point):
    mine, theirs = repository.transaction(), beside.transaction()
    mine.set("heads/mine", point(1))
    theirs.set("heads/theirs", point(2))
    beside.publish(theirs, act(1))
    waits = []
    operation, head = mine.publish(act(2), wait=waits.append)
    assert waits == [0]
    assert repository.log.get(operation).parents == (beside.head.operation,)
    assert dict(repository.log.view(head.operation).items("heads/")) == {
        "heads/mine": point(1),
        "heads/theirs": point(2),
    }


@pytest.mark.parametrize("their", ["set", "delete", "same"])
def test_a_ref_that_was_moved_meanwhile_stops_everything(repository, beside, act, point, their):
    start = repository.transaction()
    start.set("heads/main", point(1))
    repository.publish(start, act(1))
    beside.refresh()
    mine, theirs = repository.transaction(), beside.transaction()
    mine.set("heads/main", point(2))
    mine.set("heads/other", point(3))
    match their:
        case "set":
            theirs.set("heads/main", point(4))
        case "same":
            theirs.set("heads/main", point(2))
        case _:
            theirs.delete("heads/main")
    beside.publish(theirs, act(2))
    with pytest.raises(RefMovedError, match="main was changed by another process") as caught:
        repository.publish(mine, act(3))
    assert caught.value.exit_code == 11
    repository.refresh()
    assert repository.head == beside.head
    assert repository.view().get("heads/other") is None


def test_a_name_that_is_made_once_may_come_from_two_sides(repository, beside, act, point):
    mine, theirs = repository.transaction(), beside.transaction()
    for transaction in (mine, theirs):
        transaction.set("runs/same", point(1))
    mine.set("runs/mine", point(2))
    theirs.set("runs/theirs", point(3))
    beside.publish(theirs, act(1))
    repository.publish(mine, act(2))
    assert sorted(name for name, _ in repository.view().items("runs/")) == ["runs/mine", "runs/same", "runs/theirs"]
    other = beside.transaction()
    other.set("runs/mine", point(4))
    with pytest.raises(RefMovedError):
        beside.publish(other, act(3))


def test_a_ref_that_is_set_to_what_it_was_is_not_moved_back(repository, beside, act, point):
    start = repository.transaction()
    start.set("heads/main", point(1))
    repository.publish(start, act(1))
    beside.refresh()
    mine, theirs = repository.transaction(), beside.transaction()
    mine.set("heads/main", point(1))
    mine.set("heads/other", point(2))
    theirs.set("heads/main", point(3))
    beside.publish(theirs, act(2))
    repository.publish(mine, act(3))
    assert repository.view().get("heads/main") == point(3)


def test_nothing_is_lost_when_a_publish_fails_and_is_tried_again(repository, beside, act, tmp_path):
    """What the failed attempt had flushed is listed by the one that succeeds."""
    theirs = beside.transaction()
    theirs.set("heads/main", Direct(Kind.COMMIT, beside.put_commit(commit("theirs"))))
    mine = repository.transaction()
    wanted = repository.put_commit(commit("mine"))
    mine.set("heads/main", Direct(Kind.COMMIT, wanted))
    beside.publish(theirs, act(1))
    with pytest.raises(RefMovedError):
        repository.publish(mine, act(2))
    repository.refresh()
    again = repository.transaction()
    assert repository.put_commit(commit("mine")) == wanted
    again.set("heads/main", Direct(Kind.COMMIT, wanted))
    repository.publish(again, act(3))
    newcomer = Repository.open(repository.backend, lambda: tmp_path)
    assert newcomer.commit(newcomer.view().commit("heads/main")).message == "mine"


def test_a_name_that_is_not_allowed_is_refused(repository):
    transaction = repository.transaction()
    for name in ("main", "heads/..", "heads/a.lock"):
        with pytest.raises(BadRefNameError):
            transaction.set(name, Symbolic("heads/main"))
        with pytest.raises(BadRefNameError):
            transaction.delete(name)


class LosesAnswers(MemoryBackend):
    """A backend whose swaps take place, or not, while their answers are lost."""

    def __init__(self, lose):
        super().__init__()
        self.lose = lose

    def swap_cell(self, name, expected, value):
        plan = self.lose.pop(0) if name == "head" and expected is not None and self.lose else "answer"
        if plan == "refuse":
            raise SwapUncertainError("no answer")
        done = super().swap_cell(name, expected, value)
        if plan == "lose":
            raise SwapUncertainError("no answer")
        return done


@pytest.mark.parametrize("lose", [["lose"], ["refuse"], ["refuse", "refuse", "lose"], ["refuse", "lose"]])
def test_a_swap_whose_answer_was_lost_is_settled(tmp_path, act, point, lose):
    repository = Repository.create(LosesAnswers(list(lose)), lambda: tmp_path, act=act(0), refs={})
    transaction = repository.transaction()
    transaction.set("heads/main", point(1))
    operation = repository.publish(transaction, act(1))
    repository.refresh()
    walked = [i for i, _ in repository.log.walk(repository.head.operation)]
    assert walked.count(operation) == 1
    assert len(walked) == 2
    assert repository.view().get("heads/main") == point(1)


def test_processes_that_move_different_refs_all_succeed(tmp_path, act, point):
    (tmp_path / "store").mkdir()

    def backend():
        return LocalBackend(tmp_path / "store")

    Repository.create(backend(), lambda: tmp_path, act=act(0), refs={}).close()
    failures, rounds, writers = [], 6, 4

    def write(number):
        try:
            repository = Repository.open(backend(), lambda: tmp_path)
            for n in range(rounds):
                transaction = repository.transaction()
                ref = Direct(Kind.COMMIT, repository.put_commit(commit(f"{number} {n}")))
                transaction.set(f"heads/{number}", ref)
                repository.publish(transaction, act(n))
            repository.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    repository = Repository.open(backend(), lambda: tmp_path)
    assert len(list(repository.log.walk(repository.head.operation))) == 1 + rounds * writers
    for n in range(writers):
        assert repository.commit(repository.view().commit(f"heads/{n}")).message == f"{n} {rounds - 1}"
    repository.close()


def test_a_repository_is_created_once(repository, act, tmp_path):
    with pytest.raises(BusyError):
        Repository.create(repository.backend, lambda: tmp_path, act=act(), refs={})


def test_what_is_removed_wins_whoever_comes_first(repository, beside, act, point):
    run, other = "runs/" + "a" * 32, "runs/" + "b" * 32
    note, removed = f"{run}/{'c' * 32}", f"{run}/removed"
    late = beside.transaction()
    late.set(note, point(1))
    late.set(other, point(2))
    first = repository.transaction()
    for name in (run, f"{run}/{'d' * 32}", other + "/other"):
        first.set(name, point(4))
    repository.publish(first, act())
    removal = repository.transaction()
    removal.set(removed, point(3))
    repository.publish(removal, act())
    beside.publish(late, act())
    again = repository.transaction()
    again.set(run, point(4))
    again.set(f"{run}x", point(4))
    repository.publish(again, act())
    repository.refresh()
    assert [name for name, _ in repository.view().items("runs/")] == [removed, f"{run}x", other, f"{other}/other"]
    back = repository.transaction()  # as 'undo' does it
    back.delete(removed)
    back.set(run, point(4))
    repository.publish(back, act())
    assert [name for name, _ in repository.view().items(run + "/")] == []
    assert repository.view().get(run) is not None


def test_what_a_worktree_keeps_for_itself_is_not_named_to_people():
    error = RefMovedError("worktrees/main/moving/to")
    assert error.message.startswith("this working copy was changed by another process at the same time;")
    assert error.details == {"ref": "worktrees/main/moving/to"}
