"""gc of a remote: beside people who push and fetch, over lines that break, without fetching what stays."""

from collections import Counter

import pytest

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.errors import DsvcError
from dsvc.objects.ids import Kind
from dsvc.objects.packlist import PackClass
from dsvc.objects.reliance import CollectedError
from dsvc.progress import Silent
from dsvc.refs.log import list_of, read_head
from dsvc.refs.view import Direct
from dsvc.repo.integrity import check_packs
from dsvc.storage.memory import MemoryBackend
from tests.remotes.far import DAY, Failing, Far, noise


class Measuring(MemoryBackend):
    """Counts bytes that are read, by key."""

    def __init__(self):
        super().__init__()
        self.read = Counter()

    def get(self, key, *, offset=0, length=None):
        data = super().get(key, offset=offset, length=length)
        self.read[key] += len(data)
        return data


@pytest.fixture
def far(tmp_path):
    return Far(tmp_path / "far")


def tend(far, *, inner=None, days=31, **options):
    """Collect as 'gc --remote' does, with reads ahead."""
    ahead = far.ahead(inner=inner)
    try:
        return collect(far.open(ahead), now=far.now + days * DAY, **options)
    finally:
        ahead.close()


def assert_whole(far):
    assert far.files() == far.expected
    assert [d.message for d in check(far.open()).damage] == []


def test_many_pushes_become_few_packs_and_a_short_list(far):
    for number in range(60):
        far.push(f"b{number}", {b"file": noise(number, 700)})
    far.push("gone", {b"big": noise(900, 2_000_000)})
    far.delete("gone")
    result = tend(far)
    assert result.before.packs > 100
    assert result.after.packs < 8
    assert result.before.size - result.after.size > 1_900_000
    assert_whole(far)
    head = read_head(far.backend)
    assert len(head.packs.packs) == result.after.packs
    assert head.packs.segments == ()
    assert head.packs.condemned == ()
    there = dict(far.backend.list(""))
    assert {key for key in there if key.startswith("packs/")} == {ref.key for ref in head.packs.packs}
    assert there[f"lists/{list_of(head).hex()}"] < 40_000
    far.push("b0", {b"more": b"it goes on"})
    again = tend(far)
    assert again.after.packs <= again.before.packs
    assert_whole(far)


def test_what_stays_is_not_fetched(tmp_path):
    far = Far(tmp_path / "far", Measuring())
    for number in range(6):
        far.push("main", {b"%d" % number: noise(number, 3_000_000)})
    far.push("main", {b"large": noise(99, 40_000_000)})
    far.push("gone", {b"gone": noise(77, 500_000)})
    far.delete("gone")
    bulk = [ref for ref in far.open().head.packs.packs if ref.pack_class == PackClass.BULK]
    largest = max(bulk, key=lambda ref: ref.size)
    assert largest.size > 39_000_000
    far.backend.read.clear()
    result = tend(far)
    assert result.after.packs < result.before.packs
    assert far.backend.read[largest.key] < 200_000
    assert_whole(far)


def test_dry_run_changes_nothing_and_says_about_what_would_be(far):
    for number in range(30):
        far.push(f"b{number}", {b"file": noise(number, 700)})
    far.push("gone", {b"big": noise(900, 2_000_000)})
    far.delete("gone")
    blobs, head = dict(far.backend.list("")), far.backend.read_cell("head")
    plan = tend(far, dry_run=True)
    assert dict(far.backend.list("")) == blobs
    assert far.backend.read_cell("head") == head
    result = tend(far)
    assert plan.before == result.before
    assert abs(plan.after.packs - result.after.packs) <= 3
    assert abs(plan.after.size - result.after.size) < 50_000


def test_operations_of_the_grace_period_stay(far):
    far.push("gone", {b"a": noise(1, 5000)})
    far.delete("gone")
    assert tend(far, days=29).objects_removed == 0
    assert tend(far, days=31).objects_removed > 2


def test_a_fetch_with_an_older_head_reads_on(far):
    for number in range(40):
        far.push(f"b{number}", {b"file": noise(number, 700)})
    reader = far.open()
    tend(far)
    tend(far, prune_all=True)
    assert far.files(reader) == far.expected


def test_packs_of_a_pusher_who_is_under_way_stay_and_those_of_a_dead_one_go(far):
    far.push("main", {b"a": noise(1, 700)})
    pusher = far.open()
    pusher.store.put_content(noise(8, 300_000))
    pusher.store.flush()
    dead = far.open()
    dead.store.put_content(noise(9, 300_000))
    dead.store.flush()
    del dead
    assert tend(far, days=0).leftovers.packs == 0
    far.push("theirs", {b"big": noise(8, 300_000)}, repo=pusher)
    assert tend(far, days=2).leftovers.packs == 1
    assert_whole(far)


def test_a_pusher_whose_packs_were_taken_is_told_and_pushes_again(far):
    far.push("main", {b"a": noise(1, 700)})
    pusher = far.open()
    pusher.store.put_content(noise(8, 300_000))
    pusher.store.flush()
    tend(far, prune_all=True)
    with pytest.raises(CollectedError):
        far.push("theirs", {b"big": noise(8, 300_000)}, repo=pusher)
    far.expected.pop("theirs", None)
    far.push("theirs", {b"big": noise(8, 300_000)})
    assert_whole(far)


class Between:
    """A progress that does something at the beginning of a phase, once."""

    def __init__(self, label, action):
        self.label, self.action = label, action

    def start(self, label, **_):
        if label == self.label and self.action is not None:
            action, self.action = self.action, None
            action()

    def expect(self, count):
        pass

    def advance(self, **_):
        pass

    def finish(self):
        pass


@pytest.mark.parametrize("phase", ["Reading history", "Looking for what is needed", "Writing packs", "Merging packs"])
def test_pushes_between_two_steps(far, phase):
    for number in range(30):
        far.push(f"b{number}", {b"file": noise(number, 700)})
    gone = far.push("gone", {b"big": noise(900, 400_000)})
    far.push("gone-too", {b"other": noise(901, 400_000)})
    far.delete("gone", "gone-too")

    def push():
        for number in range(20):
            far.push("new", {b"%d" % number: noise(2000 + number, 500)})
        repo = far.open()
        if repo.store.has(gone, Kind.COMMIT):  # somebody pushes what was about to go
            transaction = repo.transaction()
            transaction.set("heads/again", Direct(Kind.COMMIT, gone))
            repo.publish(transaction, far.act("push"))
            far.expected["again"] = {b"big": noise(900, 400_000)}
        else:
            assert phase == "Merging packs"

    tend(far, progress=Between(phase, push))
    assert_whole(far)


def test_two_at_once(far):
    for number in range(30):
        far.push(f"b{number}", {b"file": noise(number, 700)})
    far.push("gone", {b"big": noise(900, 400_000)})
    far.delete("gone")

    def other():
        ahead = far.ahead("other")
        collect(far.open(ahead), now=far.now + 31 * DAY)
        ahead.close()

    tend(far, progress=Between("Writing packs", other))
    assert_whole(far)
    assert len(read_head(far.backend).packs.packs) < 12


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    far = Far(tmp_path_factory.mktemp("start") / "far")
    for number in range(22):
        far.push(f"b{number}", {b"file": noise(number, 300)})
    far.push("b0", {b"big": noise(500, 270_000)})
    far.push("gone", {b"big": noise(900, 270_000), b"small": noise(901, 300)})
    far.delete("gone", "b1", "b2")
    assert far.open().head.packs.segments
    dead = far.open()
    dead.store.put_content(noise(9, 3000))
    dead.store.flush()
    return far


def test_a_line_that_breaks_at_any_call(start):
    """Each way, at every call: whole afterwards, and the next gc ends the work."""
    for way in ("before", "after", "unsure"):
        at = 0
        while True:
            at += 1 if way != "before" else 2
            far = start.copy()
            failing = Failing(far.backend, at, way)
            try:
                tend(far, inner=failing, prune_all=True)
            except (OSError, DsvcError):
                pass
            if failing.calls < at:
                break
            assert far.files() == far.expected, (way, at)
            repo = far.open()
            assert check_packs(repo.store, repo.head, deep=True, progress=Silent()) == []
            if at % 5 == 0:
                far.push("next", {b"next": b"it works"})
                tend(far, prune_all=True)
                assert_whole(far)
                head = read_head(far.backend)
                assert {key for key, _ in far.backend.list("packs/")} == {ref.key for ref in head.packs.packs}
                named = {s.ref.key for s in head.packs.segments} | {ref.key for ref in head.packs.retired}
                assert {key for key, _ in far.backend.list("segments/")} <= named
                assert len(list(far.backend.list("lists/"))) <= 2
        assert at > 30


def test_a_line_that_breaks_once_and_comes_back(start):
    for at in range(3, 60, 4):
        far = start.copy()
        try:
            tend(far, inner=Failing(far.backend, at, "after", dead=False), prune_all=True)
        except (OSError, DsvcError):
            tend(far, prune_all=True)
        assert_whole(far)
