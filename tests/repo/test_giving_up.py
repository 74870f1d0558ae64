"""Who is overtaken gives up the packs that it made, and takes none away that somebody else lists meanwhile."""

from dataclasses import dataclass, field

import pytest

from dsvc.actions.fsck import check
from dsvc.objects.packlist import PackClass
from dsvc.progress import Silent
from dsvc.refs.log import read_head, swap_head
from dsvc.refs.salvage import _unnamed
from dsvc.repo.garbage import find_garbage, remove_garbage
from dsvc.repo.maintenance import exchange, give_up, merge_packs
from dsvc.repo.mending import Harm, mend
from dsvc.repo.removal import drop_objects
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.storage.passing import PassingBackend


@dataclass
class Race(PassingBackend):
    """Others act before the first list is written, and before the next one is or the first pack goes."""

    inner: LocalBackend
    happens: list = field(default_factory=list)
    sent: list = field(default_factory=list)

    def put(self, key, source):
        if key.startswith("lists/"):
            self._let_others()
        super().put(key, source)
        if key.startswith("packs/"):
            self.sent.append(key)

    def delete(self, key):
        if key.startswith("packs/"):
            self._let_others()
        super().delete(key)

    def _let_others(self):
        if self.happens:
            self.happens.pop(0)()


def of_class(repo, pack_class):
    return [ref for ref in repo.head.packs.packs if ref.pack_class == pack_class]


def merge(repo, _source):
    repo.head = merge_packs(repo.store, repo.head, of_class(repo, PackClass.SMALL))


def gc(repo, _source):
    garbage = find_garbage(repo, cutoff=repo.operation().time + 1, everything=True, progress=Silent())
    remove_garbage(repo, garbage, progress=Silent())


def drop(repo, _source):
    ref = of_class(repo, PackClass.SMALL)[0]
    drop_objects(repo, [repo.store.packs.index(ref).id_at(0)], since=repo.head.operation)


def mend_small(repo, source):
    ref = of_class(repo, PackClass.SMALL)[0]
    index = repo.store.packs.index(ref)
    place = index.place_at(0)
    harm = Harm(frozenset(), frozenset([(ref.id, index.id_at(0))]), ((place.kind, index.id_at(0)),))
    mend(repo, harm, source.store, source.head.packs.packs, progress=Silent())


ACTS = [merge, gc, drop, mend_small]


@pytest.fixture
def history(project, noise):
    for number in range(3):
        project.commit({b"f%d" % number: noise(number, 2000), b"g%d" % number: noise(20 + number, 2000)})
    project.commit({b"gone": noise(9, 2000)}, branch="other")
    project.delete("other")
    return project


def overtake(project):
    """Merge all packs of each class, as another process may at any time."""
    other = project.open()
    for pack_class in PackClass:
        group = of_class(other, pack_class)
        if len(group) > 1:
            other.head = merge_packs(other.store, other.head, group)


def list_what_lies_there(project):
    """As `mend_list` does, which cannot know what a lost segment named."""
    backend = project.open().backend
    head = read_head(backend)
    known = {ref.id for ref in head.packs.packs} | set(head.packs.condemned)
    taken = _unnamed(backend, known)
    assert swap_head(backend, head, head.operation, head.packs.adding(taken)) is not None
    return taken


@pytest.mark.parametrize("act", ACTS)
def test_a_pack_that_somebody_lists_meanwhile_stays(history, act, tmp_path_factory):
    repo, taken = opened(history), []
    repo.backend.happens = [
        lambda: overtake(history),
        lambda: taken.extend(list_what_lies_there(history)),
    ]
    act(repo, history.open())
    assert {ref.key for ref in taken} & set(repo.backend.sent)
    fresh = history.open()
    assert not fresh.backend.missing([ref.key for ref in fresh.head.packs.packs])
    if act is not drop:
        assert [damage.message for damage in check(fresh).damage] == []


@pytest.mark.parametrize("act", ACTS)
def test_packs_that_nobody_lists_go(history, act):
    repo = opened(history)
    repo.backend.happens = [lambda: overtake(history)]
    act(repo, history.open())
    vain = repo.backend.sent[0]
    assert repo.backend.missing([vain]) == [vain]
    if act is not drop:
        assert [damage.message for damage in check(history.open()).damage] == []


def test_a_pack_given_up_cannot_be_listed_late(history):
    """The answer to the swap that listed it was lost; by the time it arrives its pack is condemned."""
    repo = opened(history)
    late = history.open().head
    repo.store.put_content(b"late" * 100)
    made = tuple(repo.store.flush())
    give_up(repo.store, made)
    assert swap_head(history.backend, late, late.operation, late.packs.adding(made)) is None
    fresh = history.open()
    assert not fresh.backend.missing([ref.key for ref in fresh.head.packs.packs])
    assert set(fresh.head.packs.condemned) >= {ref.id for ref in made}


def test_packs_that_were_only_listed_are_no_sign_of_the_exchange(history):
    """Who mends a list takes new packs for listed ones; the old ones still have to leave it."""
    repo = opened(history)
    repo.store.put_content(b"new" * 100)
    made = tuple(repo.store.flush())
    repo.backend.happens = [lambda: list_what_lies_there(history)]
    old = (of_class(repo, PackClass.SMALL)[0].id,)
    moved = exchange(
        repo.store, repo.head, lambda packs: packs.replacing(old, ()).adding(made), old=old, new=made
    )
    assert moved is not None
    assert old[0] not in {ref.id for ref in history.open().head.packs.packs}


def opened(project):
    backend = Race(LocalBackend(project.root))
    return Repository.open(backend, backend.inner.staging)
