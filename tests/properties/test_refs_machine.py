"""Transactions of several processes interleave: each publishes whole or is told which ref was moved, and no other."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from dsvc.objects.ids import Kind
from dsvc.objects.values import Commit, Person
from dsvc.refs.moved import RefMovedError
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend

NAMES = ["heads/main", "heads/a", "heads/a.b", "tags/v1", "worktrees/one/HEAD", "remotes/o/heads/main"]
WHO = Person("Ada", "ada@example.org", 1_700_000_000_000_000)


def act(number, verb="test"):
    return Act(verb, f"step {number}", "ada", "box", "one", time=number, zone=0)


class Pending:
    """A transaction and what the model knows of it."""

    def __init__(self, repository, transaction, base):
        self.repository, self.transaction, self.base, self.changes = repository, transaction, base, {}


class RefsMachine(RuleBasedStateMachine):
    """`refs` is what was published last, `history` what each operation led to."""

    repositories = Bundle("repositories")
    transactions = Bundle("transactions")

    def backend(self):
        return MemoryBackend()

    @initialize(target=repositories)
    def create(self):
        self.folder = tempfile.TemporaryDirectory()
        self.place = self.backend()
        self.clock = 0
        first = Repository.create(
            self.place, self.staging, act=act(0, "init"), refs={"worktrees/one/HEAD": Symbolic("heads/main")}
        )
        self.refs = {"worktrees/one/HEAD": Symbolic("heads/main")}
        self.history = {first.head.operation: dict(self.refs)}
        self.order = [first.head.operation]
        self.opened = [first]
        return first

    def staging(self):
        return Path(self.folder.name)

    def tick(self):
        self.clock += 1
        return self.clock

    @rule(target=repositories)
    def open(self):
        repository = Repository.open(self.place, self.staging)
        self.opened.append(repository)
        assert dict(repository.view().items()) == self.refs
        return repository

    @rule(repository=repositories)
    def refresh(self, repository):
        repository.refresh()
        assert repository.head.operation == self.order[-1]
        assert dict(repository.view().items()) == self.refs

    @rule(target=transactions, repository=repositories)
    def begin(self, repository):
        return Pending(repository, repository.transaction(), self.history[repository.head.operation])

    @rule(pending=transactions, name=st.sampled_from(NAMES), number=st.integers(0, 3))
    def set_to_a_commit(self, pending, name, number):
        commit = Commit(tree=bytes(32), parents=(), author=WHO, committer=WHO, message=str(number))
        ref = Direct(Kind.COMMIT, pending.repository.put_commit(commit))
        pending.transaction.set(name, ref)
        pending.changes[name] = ref

    @rule(pending=transactions, name=st.sampled_from(NAMES), to=st.sampled_from(NAMES))
    def set_to_another_name(self, pending, name, to):
        pending.transaction.set(name, Symbolic(to))
        pending.changes[name] = Symbolic(to)

    @rule(pending=transactions, name=st.sampled_from(NAMES))
    def delete(self, pending, name):
        pending.transaction.delete(name)
        pending.changes[name] = None

    @rule(pending=transactions)
    def publish(self, pending):
        real = {name: ref for name, ref in pending.changes.items() if pending.base.get(name) != ref}
        moved = {name for name in real if self.refs.get(name) != pending.base.get(name)}
        before = self.order[-1]
        if moved:
            with pytest.raises(RefMovedError) as refused:
                pending.repository.publish(pending.transaction, act(self.tick()))
            assert refused.value.name in moved
            return
        operation = pending.repository.publish(pending.transaction, act(self.tick()))
        assert operation not in self.history
        for name, ref in real.items():
            if ref is None:
                self.refs.pop(name, None)
            else:
                self.refs[name] = ref
        self.history[operation] = dict(self.refs)
        self.order.append(operation)
        assert pending.repository.operation().parents == (before,)
        assert dict(pending.repository.view().items()) == self.refs

    @rule(pending=transactions, name=st.sampled_from(NAMES))
    def the_view_of_a_transaction_stays_what_it_began_from(self, pending, name):
        assert pending.transaction.view.get(name) == pending.base.get(name)

    @rule(repository=repositories)
    def views_of_old_operations_do_not_change(self, repository):
        for operation, _ in repository.log.walk(repository.head.operation):
            assert dict(repository.log.view(operation).items()) == self.history[operation]

    @invariant()
    def a_newcomer_sees_everything_that_was_published(self):
        if not hasattr(self, "order"):
            return
        newcomer = Repository.open(self.place, self.staging)
        walked = [operation for operation, _ in newcomer.log.walk(newcomer.head.operation)]
        assert walked == self.order[::-1]
        assert dict(newcomer.view().items()) == self.refs
        for ref in self.refs.values():
            if isinstance(ref, Direct):
                assert newcomer.commit(ref.id).author == WHO
        newcomer.close()

    def teardown(self):
        if hasattr(self, "opened"):
            for repository in self.opened:
                repository.close()
            left = list(Path(self.folder.name).glob("*.tmp"))
            self.folder.cleanup()
            assert left == []


class LocalRefsMachine(RefsMachine):
    """The same on a disk."""

    def backend(self):
        root = Path(self.folder.name) / "store"
        root.mkdir()
        return LocalBackend(root)


TestRefsInMemory = RefsMachine.TestCase
TestRefsInMemory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRefsOnDisk = LocalRefsMachine.TestCase
TestRefsOnDisk.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
