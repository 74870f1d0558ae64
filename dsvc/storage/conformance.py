"""What every backend must do, as checks that run against one: in the tests of each, and where a user doubts a disk.

A check takes a function that opens the same, initially empty place again and again, and a folder for scratch files.
It raises ContractError. Each check uses keys of its own, so one place serves them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from dsvc.errors import DsvcError, IntegrityError
from dsvc.storage.backend import (
    Backend,
    BadKeyError,
    BlobDamagedError,
    BlobMissingError,
    SwapUncertainError,
)

Open = Callable[[], Backend]


class ContractError(IntegrityError):
    """A backend, or the disk or service behind it, does not do what dsvc relies on."""


def check_blobs_come_back(opened: Open, scratch: Path) -> None:
    """Blobs are read whole and in ranges, from bytes and from files, by another process too."""
    backend = opened()
    data = bytes(range(256)) * 300
    backend.put("packs/aa01", data)
    source = scratch / "source"
    source.write_bytes(data[::-1])
    backend.put("packs/aa02", source)
    _expect(not source.exists(), "a file that was put is gone from where it was")
    backend.put("lists/aa03", b"")
    for reader in (backend, opened()):
        _expect(reader.get("packs/aa01") == data, "a blob comes back as it was put")
        _expect(reader.get("packs/aa02") == data[::-1], "a blob put from a file comes back")
        _expect(reader.get("lists/aa03") == b"", "an empty blob comes back")
        _expect(reader.get("packs/aa01", offset=300, length=70_000) == data[300:70_300], "a range comes back")
        _expect(reader.get("packs/aa01", offset=76_799) == data[76_799:], "an open range comes back")
        _expect(reader.get("packs/aa01", offset=76_800) == b"", "the range behind the last byte is empty")
        _expect(reader.get("packs/aa01", offset=5, length=0) == b"", "an empty range comes back")


def check_damage_is_said(opened: Open, scratch: Path) -> None:
    """A blob that is not there and a range beyond the end are errors of their own."""
    del scratch
    backend = opened()
    backend.put("packs/bb01", b"0123456789")
    _raises(BlobMissingError, lambda: backend.get("packs/bb02"), "a blob that is not there")
    _raises(BlobMissingError, lambda: backend.get("packs/bb02", offset=1, length=2), "a range of no blob")
    _raises(BlobDamagedError, lambda: backend.get("packs/bb01", offset=5, length=6), "a range beyond the end")
    _raises(BlobDamagedError, lambda: backend.get("packs/bb01", offset=11, length=1), "a range behind the end")
    _raises(BlobDamagedError, lambda: backend.get("packs/bb01", offset=11), "an open range behind the end")


def check_put_again(opened: Open, scratch: Path) -> None:
    """Putting the same blob again changes nothing."""
    backend = opened()
    for _ in range(2):
        backend.put("packs/cc01", b"same")
        source = scratch / "again"
        source.write_bytes(b"same")
        backend.put("packs/cc01", source)
        _expect(not source.exists(), "a file that was put is gone, also where the blob was there")
    _expect(backend.get("packs/cc01") == b"same", "a blob that was put again is the same")


def check_missing_and_list(opened: Open, scratch: Path) -> None:
    """`missing` keeps the order, `list` sorts, knows sizes and finds no cells and no temporary files."""
    del scratch
    backend = opened()
    for number in (3, 1, 2):
        backend.put(f"packs/dd0{number}", b"x" * number)
    asked = ["packs/dd09", "packs/dd01", "lists/dd01", "packs/dd03"]
    _expect(backend.missing(asked) == ["packs/dd09", "lists/dd01"], "missing names exactly the absent, in order")
    _expect(backend.missing([]) == [], "nothing asked, nothing missing")
    wanted = [("packs/dd01", 1), ("packs/dd02", 2), ("packs/dd03", 3)]
    _expect(list(backend.list("packs/dd")) == wanted, "a listing is sorted and has sizes")
    _expect(list(backend.list("packs/dd02")) == wanted[1:2], "a prefix may be a whole key")
    _expect(list(backend.list("nothing/")) == [], "a listing of nothing is empty")
    backend.swap_cell("dd-cell", None, b"value")
    folders = {key.split("/")[0] for key, _ in backend.list("")}
    _expect(folders <= {"packs", "lists"}, "a listing shows blobs only")


def check_delete(opened: Open, scratch: Path) -> None:
    """A deleted blob is gone for everybody; deleting again is no error."""
    del scratch
    backend, other = opened(), opened()
    backend.put("packs/ee01", b"x")
    _expect(other.get("packs/ee01") == b"x", "another process sees a blob")
    backend.delete("packs/ee01")
    backend.delete("packs/ee01")
    _raises(BlobMissingError, lambda: backend.get("packs/ee01"), "a deleted blob")
    _expect(other.missing(["packs/ee01"]) == ["packs/ee01"], "another process misses a deleted blob")


def check_keys(opened: Open, scratch: Path) -> None:
    """No key leads out of the backend's place."""
    backend = opened()
    for key in ("../x", "/x", "packs/../x", "packs//x", "", "packs/.x", "a/b/c/d/e", "packs/X", "packs/x\0", "packs/ü"):
        _raises(BadKeyError, lambda key=key: backend.get(key), f"reading {key!r}")  # type: ignore[misc]
        _raises(BadKeyError, lambda key=key: backend.put(key, b""), f"writing {key!r}")  # type: ignore[misc]
        _raises(BadKeyError, lambda key=key: backend.delete(key), f"deleting {key!r}")  # type: ignore[misc]
    _expect(not (scratch.parent / "x").exists(), "nothing was written outside")


def check_cells(opened: Open, scratch: Path) -> None:
    """A cell moves from the expected value only, and everybody sees the newest one."""
    del scratch
    backend, other = opened(), opened()
    _expect(backend.read_cell("ff") is None, "a cell that was never set has no value")
    _expect(not backend.swap_cell("ff", b"old", b"new"), "a cell that was never set is not what is expected")
    _expect(backend.swap_cell("ff", None, b""), "a cell can be set to nothing")
    _expect(other.read_cell("ff") == b"", "an empty value is a value")
    _expect(not other.swap_cell("ff", None, b"x"), "a cell that was set is not unset")
    for number in range(40):
        before = b"" if not number else b"%d" % (number - 1)
        _expect((other if number % 3 else backend).swap_cell("ff", before, b"%d" % number), "a cell moves")
        _expect(not backend.swap_cell("ff", before, b"late"), "a cell does not move from an older value")
        _expect(backend.read_cell("ff") == other.read_cell("ff") == b"%d" % number, "all see the newest value")
    _expect(opened().read_cell("ff") == b"39", "a cell's value stays")


def check_races(opened: Open, scratch: Path) -> None:
    """Of writers that swap at once each step has one winner: four threads that add words to a cell lose none."""
    del scratch
    opened().swap_cell("gg", None, b"")
    failures: list[Exception] = []

    def write(name: str) -> None:
        backend = opened()
        try:
            for number in range(15):
                _add_word(backend, f"{name}{number} ".encode())
        except Exception as error:  # noqa: BLE001
            failures.append(error)  # the thread that waits reports it

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise ContractError(f"a backend fails when several use it: {failures[0]}") from failures[0]
    words = (opened().read_cell("gg") or b"").split()
    _expect(len(set(words)) == len(words), "no swap takes place twice")
    _expect(len(words) == 60, f"each of 60 swaps takes place, not {len(words)}")


def _add_word(backend: Backend, word: bytes) -> None:
    while True:
        value = backend.read_cell("gg") or b""
        if word in value:
            return  # a swap whose answer was lost took place
        try:
            if backend.swap_cell("gg", value, value + word):
                return
        except SwapUncertainError:
            continue


CHECKS: Mapping[str, Callable[[Open, Path], None]] = {
    "blobs come back": check_blobs_come_back,
    "damage is said": check_damage_is_said,
    "put again": check_put_again,
    "missing and list": check_missing_and_list,
    "delete": check_delete,
    "keys": check_keys,
    "cells": check_cells,
    "races": check_races,
}


def _expect(condition: bool, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise ContractError(f"a backend breaks its contract: {what}")


def _raises(wanted: type[DsvcError], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except wanted:
        return
    raise ContractError(f"a backend breaks its contract: {what} should raise {wanted.__name__}")


__all__ = ["CHECKS", "ContractError"]
