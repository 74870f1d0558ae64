"""purge erases content everywhere and leaves history, ids and an explanation."""

import pytest

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.actions.purge import NothingToPurgeError, files_at, purge
from dsvc.objects.ids import content_id
from dsvc.objects.store import ObjectMissingError
from dsvc.repo.tombstones import PurgedError, explain_missing, tombstone_of


def test_content_is_gone_and_history_stays(project, noise):
    secret = noise(1, 500_000)
    commit = project.commit({b"keys": b"pass", b"dump": secret, b"code": b"print()"})
    project.commit({b"keys": None, b"dump": None})
    files = files_at(project.repo, [b"keys", b"dump"])
    assert files == {content_id(b"pass"), content_id(secret)}
    result = purge(project.repo, files, reason="leaked", act=project.act("purge"))
    assert result.shared == 0
    stored = b"".join(path.read_bytes() for path in project.packs())
    assert secret[1000:1100] not in stored
    fresh = project.open()
    assert fresh.commit(commit)
    report = check(fresh)
    assert report.damage == ()
    assert set(report.purged) == files
    with pytest.raises(ObjectMissingError) as caught:
        fresh.store.read_file(content_id(secret))
    error = explain_missing(fresh, caught.value)
    assert isinstance(error, PurgedError)
    assert error.exit_code == 3
    assert "ada" in error.message
    assert "leaked" in error.message
    collect(fresh, now=project.now, grace=0, prune_all=True)
    assert not check(project.open()).damage
    assert project.files() == {b"code": b"print()"}


def test_pieces_of_other_files_stay(project, noise):
    common, own = noise(1, 500_000), noise(2, 400_000)
    project.commit({b"kept": common, b"secret": common + own, b"small": b"same"})
    result = purge(project.repo, [content_id(common + own)], reason="why", act=project.act("purge"))
    assert result.shared > 0
    assert project.open().store.read_file(content_id(common)) == common
    assert check(project.open()).damage == ()


def test_other_missing_objects_are_not_explained(project, noise):
    project.commit({b"a": noise(1, 100)})
    repo = project.open()
    with pytest.raises(ObjectMissingError) as caught:
        repo.store.read_file(content_id(b"never"))
    assert explain_missing(repo, caught.value) is caught.value
    assert tombstone_of(repo, content_id(b"never")) is None


def test_twice_and_nothing(project, noise):
    project.commit({b"a": noise(1, 100)})
    wanted = [content_id(noise(1, 100))]
    purge(project.repo, wanted, reason="one", act=project.act("purge"))
    purge(project.repo, wanted, reason="two", act=project.act("purge"))
    assert tombstone_of(project.open(), wanted[0]).reason == "one"
    with pytest.raises(NothingToPurgeError):
        purge(project.repo, [], reason="x", act=project.act("purge"))
