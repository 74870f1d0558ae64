"""Many files in many folders: all are written, and a failure leaves no half of one."""

from __future__ import annotations

import os

import pytest

from dsvc.errors import IntegrityError
from dsvc.worktree.checkout import UnwritableError, Writer
from dsvc.worktree.creating import Creator
from dsvc.worktree.plan import InTheWayError

BEFORE = {f"kept{n % 3}/f{n:03}": b"old %d" % n for n in range(60)}
AFTER = {
    **{path: content + b", changed" for path, content in BEFORE.items()},
    **{f"new{n % 7}/in/{n % 5}/f{n:03}": b"%d\n" % n * (n % 40) for n in range(300)},
    "new1/program": (b"#!/bin/sh\n", "x"),
    "new2/in/link": ("link", "../program"),
    "new3/empty": None,
    "new4/large": os.urandom(700_000),
    "top": b"top",
}


def test_all_are_written_and_known(copy):
    copy.move(copy.tree_of(BEFORE))
    copy.move(copy.tree_of(AFTER))
    assert copy.files() == AFTER
    assert copy.scan(trusting=True) == {}
    copy.move(copy.tree_of(BEFORE))
    assert copy.files() == BEFORE


@pytest.mark.parametrize("limit", [0, 2_000])
def test_new_folders_with_much_in_them_are_filled_in_place(copy, monkeypatch, limit):
    monkeypatch.setattr("dsvc.worktree.checkout._STAGED_BYTES", limit)
    copy.move(copy.tree_of(AFTER))
    assert copy.files() == AFTER


@pytest.mark.parametrize("number", [1, 40, 200, 330])
def test_a_full_disk_leaves_no_half_folder(copy, monkeypatch, number):
    copy.move(copy.tree_of(BEFORE))
    real, left = Creator.create, [number]

    def create(self, *arguments, **options):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(28, "No space left on device")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Creator, "create", create)
    with pytest.raises(UnwritableError, match="No space left"):
        copy.move(copy.tree_of(AFTER))
    found = copy.files()
    assert all(content in (BEFORE.get(path), AFTER.get(path)) for path, content in found.items() if content is not None)
    assert BEFORE.keys() - found.keys() == set()
    assert os.listdir(copy.private / "tmp") == []
    monkeypatch.undo()
    Writer(copy.store, copy.root_bytes, copy.private / "tmp").apply(copy.plan(copy.tree_of(AFTER)))
    assert copy.files() == AFTER


def test_a_file_changed_meanwhile_is_not_overwritten(copy):
    copy.move(copy.tree_of(BEFORE))
    plan = copy.plan(copy.tree_of(AFTER))
    copy.put({"kept1/f040": b"mine"})
    with pytest.raises(InTheWayError, match="kept1/f040"):
        copy.apply(plan)
    assert copy.files()["kept1/f040"] == b"mine"


def test_a_folder_that_somebody_makes_meanwhile_is_filled_too(copy):
    plan = copy.plan(copy.tree_of(AFTER))
    copy.put({"new5/in/mine": b"mine"})
    copy.apply(plan)
    assert copy.files() == {**AFTER, "new5/in/mine": b"mine"}


def test_damaged_content_is_told(copy):
    target = copy.tree_of(AFTER)
    copy.store.flush()
    for key, _ in list(copy.store.backend.list("packs/")):
        data = bytearray(copy.store.backend.get(key))
        data[200:260] = bytes(60)
        copy.store.backend.delete(key)
        copy.store.backend.put(key, bytes(data))
    with pytest.raises(IntegrityError):
        copy.move(target)
