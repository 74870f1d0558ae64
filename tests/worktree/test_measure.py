"""What a commit will store is counted from listings."""

from __future__ import annotations

import os
from pathlib import Path

from dsvc.worktree.ignore import IgnoreRules
from dsvc.worktree.measure import measure_folder


def test_it_counts_what_a_commit_takes(tmp_path: Path) -> None:
    (tmp_path / ".dsvc").mkdir()
    (tmp_path / ".dsvc/store").write_bytes(b"x" * 1000)
    (tmp_path / ".dsvcignore").write_bytes(b"*.log\n")
    (tmp_path / "a").write_bytes(b"a" * 10)
    (tmp_path / "a.log").write_bytes(b"a" * 1000)
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder/empty").mkdir(parents=True)
    (tmp_path / "folder/b").write_bytes(b"b" * 20)
    (tmp_path / "other/.dsvc").mkdir(parents=True)
    (tmp_path / "other/c").write_bytes(b"c" * 1000)
    root = os.fsencode(tmp_path)
    rules = IgnoreRules(root).in_directory(b"")
    assert measure_folder(root, b"", rules) == (4, 6 + 10 + 20)
    assert measure_folder(root, b"", rules, lambda path: path.startswith(b"folder")) == (1, 20)
    assert measure_folder(root + b"/nothing", b"nothing", rules) == (0, 0)
