"""A folder keeps the contract on a disk of a network whose calls fail now and then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.errors import DsvcError
from dsvc.remotes.wrappers.retrying import RetryingBackend
from dsvc.storage.backend import Backend, BlobDamagedError, SwapUncertainError
from dsvc.storage.conformance import CHECKS
from dsvc.storage.local import LocalBackend
from tests.servers.flaky_disk import FlakyDisk, disk

__all__ = ["disk"]

SHORT = (0.01, 0.02, 0.05)
READING = {"read": ("EIO", 3), "open": ("ETIMEDOUT", 7), "readdir": ("ENOTCONN", 5), "unlink": ("EIO", 7)}


def opened_at(folder: Path) -> Callable[[], Backend]:
    return lambda: RetryingBackend(LocalBackend(folder), delays=SHORT)


@pytest.mark.parametrize("name", CHECKS)
def test_on_a_disk_that_works(name: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    CHECKS[name](opened_at(tmp_path / "store"), tmp_path)


# A swap that fails is left to whoever swaps (below), which the checks of cells alone do not expect.
@pytest.mark.parametrize("name", [name for name in CHECKS if name not in ("cells", "races")])
def test_on_a_disk_that_fails_now_and_then(name: str, disk: FlakyDisk, tmp_path: Path) -> None:
    disk.fail(**READING)
    CHECKS[name](opened_at(disk.mount), tmp_path)


def test_the_second_time_it_is_there(disk: FlakyDisk, tmp_path: Path) -> None:
    backend = opened_at(disk.mount)()
    data = os.urandom(300_000)
    source = disk.mount / "tmp" / "pack"
    source.parent.mkdir()
    source.write_bytes(data)
    disk.fail(**READING, rename=("ETIMEDOUT", 2))
    backend.put("packs/aa", data[::-1])
    backend.put("packs/bb", source)
    for _ in range(10):
        assert (backend.get("packs/aa"), backend.get("packs/bb", offset=9)) == (data[::-1], data[9:])
        assert [*backend.list("packs/")] == [("packs/aa", 300_000), ("packs/bb", 300_000)]
        backend.close()
        backend = opened_at(disk.mount)()
    assert set(disk.failed()) == {"open", "read", "readdir", "rename"}


def test_what_cannot_be_looked_up_is_not_missing(disk: FlakyDisk) -> None:
    backend = opened_at(disk.mount)()
    backend.put("packs/aa", b"1")
    disk.fail(getattr=("EIO", 7))
    for _ in range(10):
        assert backend.missing(["packs/aa", "packs/bb"]) == ["packs/bb"]
    assert disk.failed()["getattr"]


def test_a_disk_that_stays_away_is_told(disk: FlakyDisk) -> None:
    backend = opened_at(disk.mount)()
    backend.put("packs/aa", b"1")
    disk.fail(open=("EIO", 1), readdir=("EIO", 1))
    with pytest.raises((OSError, BlobDamagedError)):
        backend.get("packs/aa")
    with pytest.raises(OSError, match="nput"):
        [*backend.list("packs/")]
    disk.fail()
    assert backend.get("packs/aa") == b"1"


def test_a_swap_is_not_sent_again(disk: FlakyDisk) -> None:
    backend = opened_at(disk.mount)()
    assert backend.swap_cell("head", None, b"1")
    disk.fail(link=("ETIMEDOUT", 1, "done"))
    with pytest.raises(SwapUncertainError) as raised:
        backend.swap_cell("head", b"1", b"2")
    assert isinstance(raised.value, DsvcError)
    assert backend.read_cell("head") == b"2", "it took place"


def test_a_link_that_was_sent_twice_is_ones_own(disk: FlakyDisk) -> None:
    backend = opened_at(disk.mount)()
    disk.fail(link=("EEXIST", 1, "done"))
    assert backend.swap_cell("head", None, b"1")
    assert not backend.swap_cell("head", None, b"2")
    assert backend.read_cell("head") == b"1"
