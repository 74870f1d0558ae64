"""Names on disk that differ from those in the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.worktree.name_map import DamagedNamesError, NameMap, read_names, write_names


def test_an_empty_map_changes_nothing():
    names = NameMap()
    assert not names
    assert names.on_disk(b"a/b") == names.true_path(b"a/b") == b"a/b"
    assert names.disk_names(b"") is names.true_names(b"") is None


def test_folders_and_files_below_them():
    names = NameMap({b"data": b"data~1", b"data/Read": b"Read~1"}, enabled=True)
    assert names.on_disk(b"data/Read") == b"data~1/Read~1"
    assert names.true_path(b"data~1/Read~1") == b"data/Read"
    assert names.true_path(b"data/Read") == b"data/Read"
    assert names.on_disk(b"Data/Read") == b"Data/Read"


def test_no_two_names_of_a_folder_have_one_name_on_disk():
    names = NameMap({b"a": b"b", b"b": b"c"})
    assert sorted(names.on_disk(name) for name in (b"a", b"b", b"c", b"d")) == [b"a", b"b", b"c", b"d"]


def test_kept_in_a_file_and_removed_with_it(tmp_path: Path):
    path = tmp_path / "names"
    assert not read_names(path).enabled
    names = NameMap({b"a/x\n": b"x~1\n"}, enabled=True)
    write_names(path, names)
    assert read_names(path) == names
    path.write_bytes(b"\xc1")
    with pytest.raises(DamagedNamesError):
        read_names(path)
    write_names(path, NameMap())
    assert not path.exists()
