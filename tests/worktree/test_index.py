"""The index under changes in which folders take the place of files and the other way round."""

from __future__ import annotations

import itertools

import pytest

from dsvc.worktree.index import DIRECTORY, Index, pack_signature

FILE = pack_signature(1, 2, 3, 4, 0o100644)


def index_of(*paths: bytes) -> Index:
    index = Index(b"\0" * 32, 0)
    index.update(dict.fromkeys(paths, FILE))
    return index


@pytest.mark.parametrize("order", list(itertools.permutations([b"a", b"x", b"x/one", b"x/two"])))
def test_a_folder_goes_in_any_order_of_its_parts(order):
    index = index_of(b"a", b"x/one", b"x/two")
    index.update(dict.fromkeys(order))
    assert set(index.blocks) == {b""}
    assert index.get(b"x") is None


@pytest.mark.parametrize("order", list(itertools.permutations([(b"x", None), (b"x/one", FILE), (b"a", None)])))
def test_a_folder_takes_the_place_of_a_file(order):
    index = index_of(b"a", b"x")
    index.update(dict(order))
    assert index.get(b"x") == DIRECTORY
    assert index.get(b"x/one") == FILE


@pytest.mark.parametrize("order", list(itertools.permutations([(b"x", FILE), (b"x/one", None), (b"a", None)])))
def test_a_file_takes_the_place_of_a_folder(order):
    index = index_of(b"a", b"x/one")
    index.update(dict(order))
    assert index.get(b"x") == FILE
    assert set(index.blocks) == {b""}
