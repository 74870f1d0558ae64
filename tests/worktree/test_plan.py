"""From any tree to any other, with whatever the user did in between: exact on disk, or refused and untouched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from dsvc.worktree.plan import InTheWayError
from tests.worktree.working_states import FILES

PROPERTY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(FILES, FILES)
def test_from_a_tree_to_a_tree(make_copy, before, after):
    with tempfile.TemporaryDirectory() as folder:
        copy = make_copy(Path(folder))
        copy.put(before)
        copy.record()
        target = copy.tree_of(after)
        copy.move(target)
        assert copy.files() == after
        assert copy.scan(trusting=True) == {}
        recorded = copy.record()
        assert recorded.tree == target


@PROPERTY
@given(FILES, FILES, FILES)
def test_what_the_user_did_is_kept_or_nothing_happens(make_copy, before, after, mine):
    with tempfile.TemporaryDirectory() as folder:
        copy = make_copy(Path(folder))
        copy.put(before)
        copy.record()
        for path in os.listdir(copy.root):
            copy.remove(path)
        copy.put(mine)
        target = copy.tree_of(after)
        try:
            copy.move(target)
        except InTheWayError as error:
            assert copy.files() == mine
            for obstacle in error.obstacles:
                path = os.fsdecode(obstacle.path)
                assert path in mine, "something that is not there is in the way"
                assert mine[path] != before.get(path), f"{path} holds nothing of its own"
                assert mine[path] != after.get(path), f"{path} is as wanted"
            return
        found = copy.files()
        for path, content in mine.items():
            if content is None or content == before.get(path, ...):
                continue
            assert found.get(path) == content, f"{path} was lost"
        changed = {path for path in before.keys() | after.keys() if before.get(path, 0) != after.get(path, 0)}
        for path in changed & after.keys():
            if after[path] is not None:
                assert found.get(path) == after[path], f"{path} was not written"
        copy.record()
        assert copy.in_tree(copy.index.tree) == found, "the index does not tell what is on disk"


def test_a_file_that_became_an_empty_folder(copy):
    copy.put({"a": b"one"})
    copy.record()
    copy.move(copy.tree_of({"a": None}))
    assert copy.files() == {"a": None}


def test_a_changed_file_is_not_replaced_by_an_empty_folder(copy):
    copy.put({"a": b"one"})
    copy.record()
    copy.put({"a": b"mine"})
    with pytest.raises(InTheWayError, match="a: changed since the last commit"):
        copy.move(copy.tree_of({"a": None}))
    assert copy.files() == {"a": b"mine"}


def test_links_and_empty_folders_inside_a_folder_in_the_way(copy):
    copy.put({"keep": b"one"})
    copy.record()
    copy.put({"d/e/f": None, "keep": b"one"})
    target = copy.tree_of({"keep": b"one", "d": b"file"})
    plan = copy.plan(target)
    assert plan.obstacles == []
    copy.put({"d/link": ("link", "e")})
    with pytest.raises(InTheWayError, match="d/link: not part of any commit"):
        copy.move(target)
    (copy.root / "d" / "link").unlink()
    copy.move(target)
    assert copy.files() == {"keep": b"one", "d": b"file"}


def test_an_empty_folder_below_a_file_of_the_user(copy):
    copy.put({"a": b"mine"})
    with pytest.raises(InTheWayError, match="a: a file or link stands where a folder is needed"):
        copy.move(copy.tree_of({"a/e": None}))
    assert copy.files() == {"a": b"mine"}


def test_a_file_in_the_way_of_many_is_named_once(copy):
    copy.put({"a": b"mine"})
    with pytest.raises(InTheWayError) as caught:
        copy.move(copy.tree_of({f"a/{n}": b"%d" % n for n in range(20)}))
    assert [o.path for o in caught.value.obstacles] == [b"a"]


def test_a_link_that_leads_out_of_the_working_copy_is_not_followed(copy, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    copy.put({"d/f": b"one"})
    copy.record()
    copy.remove("d")
    copy.put({"d": ("link", str(outside))})
    with pytest.raises(InTheWayError):
        copy.move(copy.tree_of({"d/f": b"two", "d/g": b"new"}))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["a", "new", "gone"])
def test_a_file_changed_after_the_plan_was_made_is_not_overwritten(copy, path):
    copy.put({"a": b"one", "gone": b"one"})
    copy.record()
    plan = copy.plan(copy.tree_of({"a": b"two", "new": b"two"}))
    assert not plan.obstacles
    copy.put({path: b"written meanwhile"})
    with pytest.raises(InTheWayError, match=f"{path}: changed while"):
        copy.apply(plan)
    assert (copy.root / path).read_bytes() == b"written meanwhile"
    assert list((copy.private / "tmp").iterdir()) == []


def test_a_file_that_was_gone_before_is_forgotten(copy):
    copy.put({"d/a": b"one", "b": b"one"})
    copy.record()
    copy.remove("d")
    copy.move(copy.tree_of({"b": b"one"}))
    assert set(copy.index.blocks) == {b""}
    copy.put({"d/a": b"new"})
    assert copy.scan()[b""].new_directories == [b"d"]


def test_a_folder_of_a_gitlink_goes_when_it_is_empty(copy):
    from dsvc.objects import trees
    from dsvc.objects.tree import Entry, EntryKind

    empty = trees.empty_tree(copy.store)
    target = trees.edit_tree(copy.store, empty, {b"sub": Entry(EntryKind.GITLINK, b"\1" * 20, 0)}).id
    copy.move(target)
    assert copy.files() == {"sub": None}
    assert copy.scan(trusting=True) == {}
    copy.move(empty)
    assert copy.files() == {}
    copy.move(target)
    copy.put({"sub/f": b"mine"})
    copy.move(empty)
    assert copy.files() == {"sub/f": b"mine"}
    assert copy.scan()[b""].new_directories == [b"sub"]


def test_a_link_with_a_zero_byte_is_refused(copy):
    from dsvc.objects import trees
    from dsvc.objects.tree import Entry, EntryKind
    from dsvc.worktree.checkout import UnwritableError

    link = Entry(EntryKind.SYMLINK, copy.store.put_content(b"a\0b"), 3)
    with pytest.raises(UnwritableError, match="zero byte"):
        copy.move(trees.edit_tree(copy.store, trees.empty_tree(copy.store), {b"l": link}).id)
