"""Files of what arrives from a source: what a killed process left is gone on with as far as it is proven."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from blake3 import blake3

from dsvc.worktree import arriving
from dsvc.worktree.arriving import Arriving, remove_old

DATA = os.urandom(3_000_000)
KEY, OTHER = f"{1:032x}.{2:064x}", f"{1:032x}.{3:064x}"
FILE = blake3(DATA).digest()
LATER = 1 << 60


@pytest.fixture(autouse=True)
def noted_often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arriving, "_NOTE_EVERY", 1)


def leave(folder: Path, size: int, *, noted: tuple[int, ...], key: str = KEY) -> Path:
    """Leave what a killed process would have left; the folder of it."""
    left = Arriving(folder)
    file = left.begin(key)
    assert file is not None
    file.write(DATA[:size])
    for at in noted:
        file.note(at, blake3(DATA[:at]).digest())
    file.finish()
    os.close(left._lock)  # the end of the process
    return file.path


def test_what_is_proven_is_gone_on_with(tmp_path: Path):
    leave(tmp_path, 2_500_000, noted=(1_000_000, 2_000_000))
    with Arriving(tmp_path) as now:
        file = now.begin(KEY)
        assert file is not None
        assert (file.held, b"".join(file.kept())) == (2_000_000, DATA[:2_000_000])
        file.write(DATA[2_000_000:])
        now.came(file, FILE, len(DATA))
        claimed = now.claim(FILE)
        assert claimed is not None
        assert claimed.read_bytes() == DATA
        assert now.claim(FILE) is None
        claimed.rename(tmp_path / "taken")
    assert os.listdir(tmp_path) == ["taken"]


@pytest.mark.parametrize(("hit", "proven"), [(1_500_000, 1_000_000), (10, 0)])
def test_what_a_crash_of_the_machine_spoiled_is_not_believed(tmp_path: Path, hit: int, proven: int):
    path = leave(tmp_path, 2_500_000, noted=(1_000_000, 2_000_000))
    with path.open("r+b") as file:
        file.seek(hit)
        file.write(b"\0\0\0\0\0\0\0\0")
    with Arriving(tmp_path) as now:
        found = now.begin(KEY)
        assert found is not None
        assert found.held == proven


@pytest.mark.parametrize("journal", [b"", b"12", b"x" * 100, b"9999999 " + b"0" * 64 + b"\n"])
def test_a_journal_that_says_nothing(tmp_path: Path, journal: bytes):
    path = leave(tmp_path, 2_500_000, noted=(1_000_000,))
    path.with_name(path.name + ".journal").write_bytes(journal)
    with Arriving(tmp_path) as now:
        found = now.begin(KEY)
        assert found is not None
        assert found.held == 0


def test_what_a_running_command_has_is_left_alone(tmp_path: Path):
    with Arriving(tmp_path) as first, Arriving(tmp_path) as second:
        one = first.begin(KEY)
        assert one is not None
        one.write(DATA)
        one.note(1_000_000, blake3(DATA[:1_000_000]).digest())
        two = second.begin(KEY)
        assert two is not None
        assert two.held == 0
        assert remove_old(tmp_path, before=LATER) == (0, 0)
        two.write(DATA)
        for which, file in ((first, one), (second, two)):
            which.came(file, FILE, len(DATA))
            claimed = which.claim(FILE)
            assert claimed is not None
            assert claimed.read_bytes() == DATA


def test_other_versions_and_old_ones_go(tmp_path: Path):
    old = leave(tmp_path, 1_000, noted=(1_000,), key=OTHER)
    with Arriving(tmp_path) as now:
        file = now.begin(KEY)
        assert file is not None
        assert not old.exists()
    path = leave(tmp_path, 1_000, noted=(1_000,))
    assert remove_old(tmp_path, before=int((time.time() - 3600) * 1_000_000)) == (0, 0)
    assert remove_old(tmp_path, before=LATER, dry_run=True)[0] == 2
    assert path.exists()
    assert remove_old(tmp_path, before=LATER)[0] == 2
    assert not path.parent.exists()


def test_a_disk_that_refuses_is_no_error(tmp_path: Path):
    (tmp_path / "taken").write_text("no folder")
    with Arriving(tmp_path / "taken") as now:
        assert now.begin(KEY) is None
    with Arriving(tmp_path / "full") as now:
        file = now.begin(KEY)
        assert file is not None
        os.close(file._fd)
        file._fd = os.open("/dev/full", os.O_RDWR)
        file.write(DATA)
        now.came(file, FILE, len(DATA))
        assert file.error is not None
        assert now.claim(FILE) is None
