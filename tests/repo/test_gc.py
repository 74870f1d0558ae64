"""gc removes what nothing refers to, and nothing else, also while others write."""

import os

import pytest

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.reliance import CollectedError
from dsvc.objects.store import ObjectMissingError
from dsvc.refs.view import Direct
from dsvc.repo.garbage import UnsafeToCollectError
from dsvc.repo.repository import Repository

DAY = 24 * 3600 * 1_000_000


def test_what_a_ref_reaches_stays(project, noise):
    expected = {}
    for number in range(12):
        expected[b"small/%d" % number] = noise(number, 900)
        expected[b"big"] = noise(100 + number, 300_000)
        project.commit({b"small/%d" % number: noise(number, 900), b"big": expected[b"big"]})
    result = collect(project.repo, now=project.now + 60 * DAY)
    assert result.operations_kept == 1
    assert result.operations_removed == 12
    assert project.files() == expected
    report = check(project.open())
    assert not report.damage
    assert report.operations == 1


def test_a_deleted_branch_goes_after_the_grace_period_only(project, noise):
    project.commit({b"a": noise(1, 5000)})
    lost = project.commit({b"b": noise(2, 400_000)}, branch="other")
    project.delete("other")
    kept = collect(project.repo, now=project.now + 29 * DAY)
    assert kept.operations_removed == 0
    assert project.repo.commit(lost)
    before = sum(path.stat().st_size for path in project.packs())
    result = collect(project.repo, now=project.now + 31 * DAY)
    after = sum(path.stat().st_size for path in project.packs())
    assert result.objects_removed > 3
    assert before - after > 390_000
    with pytest.raises(ObjectMissingError):
        project.open().commit(lost)
    assert not check(project.open()).damage
    assert project.files() == {b"a": noise(1, 5000)}


def test_undo_reaches_back_as_far_as_it_says(project, noise):
    for number in range(5):
        project.commit({b"a": noise(number, 100)})
    third = [op.time for _, op in project.repo.log.walk(project.repo.head.operation)][2]
    result = collect(project.repo, now=third + 10_000_000, grace=10)
    assert result.undo_reaches == third
    times = [op.time for _, op in project.open().log.walk(project.repo.head.operation)]
    assert min(times) == third
    assert len(times) == 3


def test_dry_run_changes_nothing(project, noise):
    project.commit({b"b": noise(2, 400_000)}, branch="other")
    project.delete("other")
    before = [(path.name, path.stat().st_size) for path in project.packs()]
    result = collect(project.repo, now=project.now + 31 * DAY, dry_run=True)
    assert result.freed > 390_000
    assert [(path.name, path.stat().st_size) for path in project.packs()] == before


def test_packs_of_dead_writers_go_at_the_second_gc(project, noise):
    project.commit({b"a": noise(1, 100)})
    writer = project.open()
    writer.store.put_content(noise(9, 300_000))
    writer.store.flush()
    count = len(project.packs())
    assert collect(project.repo, now=project.now).leftovers.packs == 0
    assert collect(project.repo, now=project.now + DAY // 2).leftovers.packs == 0
    assert collect(project.repo, now=project.now + 2 * DAY).leftovers.packs == 1
    assert len(project.packs()) < count
    assert not check(project.open()).damage


def test_a_writer_whose_unlisted_pack_was_collected_is_told_and_can_repeat(project, noise):
    project.commit({b"a": noise(1, 100)})
    writer = project.open()
    transaction = writer.transaction()
    tag = Direct(Kind.CHUNK, writer.store.put_content(noise(9, 3000)))
    writer.store.flush()
    collect(project.repo, now=project.now, prune_all=True)
    collect(project.repo, now=project.now, prune_all=True)  # the second one forgets the condemned name
    transaction.set("tags/x", tag)
    with pytest.raises(CollectedError):
        writer.publish(transaction, project.act("tag"))
    writer.refresh()
    transaction = writer.transaction()
    transaction.set("tags/x", Direct(Kind.CHUNK, writer.store.put_content(noise(9, 3000))))
    writer.publish(transaction, project.act("tag"))
    assert not check(project.open()).damage
    assert project.open().store.read_file(tag.id) == noise(9, 3000)


def test_a_writer_that_relied_on_collected_content_is_told(project, noise):
    project.commit({b"a": noise(1, 100)})
    project.commit({b"b": noise(2, 5000)}, branch="other")
    project.delete("other")
    writer = project.open()
    transaction = writer.transaction()
    transaction.set("tags/x", Direct(Kind.CHUNK, writer.store.put_content(noise(2, 5000))))  # is there: not stored
    collect(project.repo, now=project.now + 31 * DAY)
    with pytest.raises(CollectedError):
        writer.publish(transaction, project.act("tag"))
    assert not check(project.open()).damage


def test_a_ref_to_a_collected_commit_cannot_be_made(project, noise):
    project.commit({b"a": noise(1, 100)})
    lost = project.commit({b"b": noise(2, 5000)}, branch="other")
    project.delete("other")
    writer = project.open()
    transaction = writer.transaction()
    transaction.set("heads/again", Direct(Kind.COMMIT, lost))
    collect(project.repo, now=project.now + 31 * DAY)
    with pytest.raises((CollectedError, ObjectMissingError)):
        writer.publish(transaction, project.act("branch"))
    assert not check(project.open()).damage


class Interrupting:
    """A progress that runs something in the middle of gc, once."""

    def __init__(self, label, action):
        self.label, self.action = label, action

    def start(self, label, **_):
        if label == self.label and self.action is not None:
            action, self.action = self.action, None
            action()

    def advance(self, **_):
        pass

    def finish(self):
        pass


def test_a_commit_between_mark_and_swap_that_revives_garbage_stays_whole(project, noise):
    project.commit({b"a": noise(1, 100)})
    lost = project.commit({b"dir/b": noise(2, 5000), b"big": noise(3, 400_000)}, branch="other")
    project.delete("other")

    def revive():
        other = project.open()
        transaction = other.transaction()
        transaction.set("heads/again", Direct(Kind.COMMIT, lost))
        other.publish(transaction, project.act("branch"))

    result = collect(project.repo, now=project.now + 31 * DAY, progress=Interrupting("Writing packs", revive))
    assert project.files("again")[b"big"] == noise(3, 400_000)
    assert not check(project.open()).damage
    assert result.after.packs >= 1


def test_a_merge_of_packs_between_mark_and_swap_is_no_harm(project, noise):
    for number in range(6):
        project.commit({b"a": noise(number, 3000)})
    project.delete("main")
    project.commit({b"c": noise(77, 3000)}, branch="kept")

    def commits():
        for number in range(12):
            project.commit({b"d": noise(200 + number, 300)}, branch="kept", repo=other)

    other = project.open()
    collect(project.repo, now=project.now + 31 * DAY, progress=Interrupting("Writing packs", commits))
    assert project.files("kept") == {b"c": noise(77, 3000), b"d": noise(211, 300)}
    assert not check(project.open()).damage


def test_readers_go_on_with_packs_that_were_replaced(project, noise):
    for number in range(6):
        project.commit({b"f%d" % number: noise(number, 300_000)})
    reader = project.open()
    tree = reader.commit(reader.view().commit("heads/main")).tree
    reader.backend.close()
    project.commit({b"x": b"x"}, branch="gone")
    project.delete("gone")
    collect(project.repo, now=project.now + 31 * DAY, prune_all=True)
    for path, entry in trees.walk(reader.store, tree):
        assert reader.store.read_file(entry.id) == noise(int(path[1:]), 300_000)


def test_gc_refuses_where_it_cannot_see(project, noise):
    project.commit({b"dir/a": noise(1, 100)})
    tree = trees.lookup(project.repo.store, project.repo.commit(project.repo.view().commit("heads/main")).tree, b"dir")
    from dsvc.repo.removal import drop_objects

    drop_objects(project.repo, [tree.id])
    fresh = project.open()
    with pytest.raises(UnsafeToCollectError) as caught:
        collect(fresh, now=project.now + 31 * DAY)
    assert caught.value.hint == "dsvc fsck"


def test_temporary_files_of_dead_processes_go(project, noise):
    project.commit({b"a": noise(1, 100)})
    old = project.root / "tmp" / "pack-small.999999999.00aa.tmp"
    mine = project.root / "tmp" / f"pack-small.{os.getpid()}.00aa.tmp"
    other = project.root / "tmp" / "a file of somebody"
    for path in (old, mine, other):
        path.write_bytes(b"xyz")
    collect(project.repo, now=int(old.stat().st_mtime * 1_000_000) + 2 * DAY // 24)
    assert not old.exists()
    assert mine.exists()
    assert other.exists()


def test_states_and_tags_keep_what_they_list(project, noise):
    from dsvc.objects import codec

    repo = project.repo
    kept = repo.store.put_content(noise(5, 2000))
    state = repo.store.put(Kind.STATE, codec.encode({"refs": [[int(Kind.CHUNK), kept]], "step": 1}))
    transaction = repo.transaction()
    transaction.set("worktrees/one/state", Direct(Kind.STATE, state))
    repo.publish(transaction, project.act("merge"))
    repo.store.put_content(noise(6, 2000))
    repo.publish(repo.transaction(), project.act("merge"))
    collect(repo, now=project.now + 31 * DAY, prune_all=True)
    fresh = project.open()
    assert fresh.store.read_file(kept) == noise(5, 2000)
    assert not check(fresh).damage


def test_gc_twice_finds_nothing_more(project, noise):
    for number in range(10):
        project.commit({b"a": noise(number, 3000)})
    collect(project.repo, now=project.now + 31 * DAY, prune_all=True)
    again = collect(project.repo, now=project.now + 31 * DAY, prune_all=True)
    assert again.freed == again.objects_removed == again.operations_removed == 0
    assert isinstance(project.open(), Repository)
