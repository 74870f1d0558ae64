"""A repository in memory and what its tests say of themselves."""

import pytest

from dsvc.objects.ids import Kind
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Symbolic
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend

HEAD = "worktrees/one/HEAD"


@pytest.fixture
def act():
    def make(time=1, verb="test", **fields):
        return Act(verb, fields.pop("description", "a test"), "ada", "box", "one", time=time, zone=60, **fields)

    return make


@pytest.fixture
def repository(tmp_path, act):
    made = Repository.create(MemoryBackend(), lambda: tmp_path, act=act(0, "init"), refs={HEAD: Symbolic("heads/main")})
    yield made
    made.close()


@pytest.fixture
def beside(repository, tmp_path):
    """The same repository, opened by another process."""
    other = Repository.open(repository.backend, lambda: tmp_path)
    yield other
    other.close()


@pytest.fixture
def point():
    """A ref to a commit that is named by one number."""
    return lambda number: Direct(Kind.COMMIT, bytes([number]) * 32)
