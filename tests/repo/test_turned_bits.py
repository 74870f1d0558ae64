"""A bit that turns on its way here, while gc or purge looks for what is needed, makes nothing garbage."""

import contextlib
import random

import pytest

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.actions.purge import purge
from dsvc.objects import trees
from dsvc.objects.ids import Kind, content_id
from dsvc.objects.packlist import PackClass
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.remotes.transfer.gathered import GatheredBackend
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend
from tests.objects.test_sound import Flipping

SECOND = 1_000_000
CLOCK = iter(range(SECOND, 10**12, SECOND))


def act(verb="commit"):
    return Act(verb, "", "ada", "box", "one", time=next(CLOCK), zone=0)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


SHARED = noise(1, 600_000)
FILES = {b"large": SHARED + noise(2, 600_000), b"other": SHARED + noise(3, 600_000), b"small": noise(4, 900)}


class World:
    """A repository far away with two large files that share chunks, and a third that only an old operation reaches."""

    def __init__(self, folder):
        self.folder = folder
        self.inner = MemoryBackend()
        self.backend = Flipping(self.inner)
        repo = Repository.create(self.inner, lambda: folder, act=act("init"), refs={}, far=True)
        self.commit(repo, {b"large": FILES[b"large"], b"small": FILES[b"small"], b"gone": noise(5, 600_000)})
        self.commit(repo, FILES)  # so that each map of two that share chunks has a frame of its own
        repo.close()

    def commit(self, repo, files):
        transaction = repo.transaction()
        put = {path: Entry(EntryKind.FILE, repo.store.put_content(data), len(data)) for path, data in files.items()}
        tree = trees.edit_tree(repo.store, trees.empty_tree(repo.store), put).id
        done = act()
        person = Person("Ada", "", done.time)
        commit_id = repo.put_commit(Commit(tree, (), person, person, "change"))
        transaction.set("heads/main", Direct(Kind.COMMIT, commit_id))
        repo.publish(transaction, done)

    def open(self, backend):
        return contextlib.closing(Repository.open(backend, lambda: self.folder, far=True))

    def flip(self, wanted, kind, *, after=0):
        """Let a bit turn once in the next read of the middle of an object, where ids stand as they are."""
        with self.open(self.inner) as repo:
            ref, place = repo.store.packs.find(wanted, kind)
            frame = repo.store.packs.index(ref).frame(place.frame)
            middle = place.offset + place.length // 3
        self.backend.at, self.backend.times = (ref.key, frame.offset + middle * frame.stored // frame.plain + after), 1

    def assert_whole(self):
        """Nothing is damaged, and what is there is what was committed."""
        with self.open(self.inner) as repo:
            assert [damage.message for damage in check(repo, deep=True).damage] == []
            tree = repo.commit(repo.view().commit("heads/main")).tree
            there = [(path, e.id) for path, e in trees.walk(repo.store, tree) if e.id not in self.gone]
            found = {path: repo.store.read_file(file_id) for path, file_id in there}
            assert found == {path: data for path, data in FILES.items() if content_id(data) not in self.gone}

    gone = frozenset()

    def bulk(self):
        with self.open(self.inner) as repo:
            refs = [ref for ref in repo.head.packs.packs if ref.pack_class == PackClass.BULK]
            return sum(ref.size for ref in refs)


@pytest.fixture(params=["at hand", "gathered"])
def world(tmp_path, request):
    made = World(tmp_path)
    made.outer = made.backend if request.param == "at hand" else GatheredBackend(made.backend, tmp_path / "a", jobs=1)
    return made


@pytest.mark.parametrize("after", [-100, 0, 100])
def test_gc_keeps_what_a_map_lists_that_came_with_a_wrong_byte(world, after):
    world.flip(content_id(FILES[b"large"]), Kind.FILE_MAP, after=after)
    before = world.bulk()
    with world.open(world.outer) as repo:
        collect(repo, now=next(CLOCK) + 1, grace=0, prune_all=True)
    assert world.backend.times == 0, "nothing was turned"
    world.assert_whole()
    assert world.bulk() < before - 500_000, "what was garbage is gone"


def test_gc_goes_on_where_a_tree_came_with_a_wrong_byte(world):
    with world.open(world.inner) as repo:
        tree = repo.commit(repo.view().commit("heads/main")).tree
    world.flip(tree, Kind.TREE)
    with world.open(world.outer) as repo:
        collect(repo, now=next(CLOCK) + 1, grace=0, prune_all=True)
    assert world.backend.times == 0, "nothing was turned"
    world.assert_whole()


@pytest.mark.parametrize("what", ["map", "tree"])
def test_purge_keeps_what_another_file_needs(world, what):
    with world.open(world.inner) as repo:
        tree = repo.commit(repo.view().commit("heads/main")).tree
    kept, gone = content_id(FILES[b"other"]), content_id(FILES[b"large"])
    world.flip(*((kept, Kind.FILE_MAP) if what == "map" else (tree, Kind.TREE)))
    world.gone = frozenset([gone])
    with world.open(world.outer) as repo:
        purge(repo, [gone], reason="a key", act=act("purge"))
    assert world.backend.times == 0, "nothing was turned"
    world.assert_whole()


def test_purge_erases_what_a_map_lists_that_came_with_a_wrong_byte(world):
    gone = content_id(FILES[b"large"])
    world.flip(gone, Kind.FILE_MAP, after=150)
    world.gone = frozenset([gone])
    with world.open(world.outer) as repo:
        purge(repo, [gone], reason="a key", act=act("purge"))
    assert world.backend.times == 0, "nothing was turned"
    world.assert_whole()
    own = FILES[b"large"][700_000:]
    for key, _ in list(world.inner.list("packs/")):
        held = world.inner.get(key)
        assert not any(own[at : at + 64] in held for at in range(0, len(own) - 64, 1000)), "a piece of it is left"
