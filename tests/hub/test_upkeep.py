"""Upkeep of a hub: refused from afar with the command that does it on the host, and what that command does."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dsvc.storage.local import LocalBackend
from tests.commands.conftest import Answer, CommandLine
from tests.hub.conftest import HubHost, Person


@pytest.fixture
def ada(host: HubHost) -> Person:
    mine = host.user("ada", "owner").start("bikes/demand")
    mine.commit("first", a=b"secret\n" * 100, b=b"b")
    mine.ok("push", "-q")
    return mine


@pytest.fixture
def there(host: HubHost, ada: Person) -> CommandLine:
    """A clone in a login on the host."""
    host.admin.ok("clone", "-q", str(host.repo("bikes/demand")), str(host.base / "on-the-host"))
    return CommandLine(host.base / "on-the-host", host.admin.environment)


def told(answer: Answer, host: HubHost) -> str:
    """Return the command of the hint."""
    assert answer.code == 14
    assert "is on a hub, where no account may" in answer.err
    found = re.search(r"^hint: on the host, where HUB is the folder of the hub: ([^,\n]+)", answer.err, re.MULTILINE)
    assert found is not None, answer.err
    return found[1].replace("HUB", str(host.folder))


def test_gc(host: HubHost, ada: Person) -> None:
    ada.ok("push", "-q", "origin", "main:side")
    ada.ok("push", "-q", "--delete", "origin", "side")
    assert ada("gc", "--remote", "origin", "--dry-run").code == 0
    change, _, command = told(ada("gc", "--remote", "origin"), host).partition(" && ")
    folder = change.removeprefix("cd ")
    assert command == "dsvc gc"
    answer = host.admin("gc", directory=host.base / folder)
    assert answer.code == 0, answer.err
    ada.ok("fetch", "-q")


def test_a_log_that_gc_cut_is_not_damaged(host: HubHost, ada: Person) -> None:
    ada.commit("second", a=b"more\n")
    ada.ok("push", "-q")
    # The hub itself tells the time by its clock.
    later = replace(host.admin, environment=host.admin.environment | {"DSVC_DATE": "2126-05-01T12:00:00+01:00"})
    assert later("gc", directory=host.repo("bikes/demand")).code == 0
    answer = ada("fsck", "--remote", "origin")
    assert answer.code == 0, answer.err
    ada.ok("fork", ada.address("bikes/demand"), ada.address("bikes/other"))
    ada.commit("third", a=b"most\n")
    ada.ok("push", "-q")
    later.environment["DSVC_DATE"] = "2126-08-01T12:00:00+01:00"
    assert later("gc", directory=host.repo("bikes/demand")).code == 0
    for name in ("demand", "other"):
        answer = ada("fsck", "--remote", ada.address(f"bikes/{name}"))
        assert answer.code == 0, answer.err
        assert ada("fsck", "--remote", ada.address(f"bikes/{name}"), "--full").code == 0


def test_purge(host: HubHost, ada: Person, there: CommandLine) -> None:
    command = told(ada("purge", "a", "--remote", "origin", "--reason", "published", "--yes"), host)
    assert ada("fsck").code == 0
    assert not ada.ok("purge", "--list").out, "nothing was erased here"
    words = command.replace("PATH", "a").replace("TEXT", "published").split()[1:]
    there.ok(*words, "--yes")
    assert "published" in ada("clone", ada.address("bikes/demand"), "../late").err


def test_mending(host: HubHost, ada: Person, there: CommandLine) -> None:
    assert ada("fsck", "--remote", "origin", "--full").code == 0
    for pack in host.repo("bikes/demand").rglob("packs/**/*"):
        if pack.is_file() and b"\x28\xb5\x2f\xfd" in pack.read_bytes():  # zstd: content that was compressed
            data = bytearray(pack.read_bytes())
            at = data.index(b"\x28\xb5\x2f\xfd")
            data[at + 8] ^= 1
            pack.chmod(0o644)
            pack.write_bytes(data)
    damaged = ada("fsck", "--remote", "origin", "--full")
    assert damaged.code == 15
    command = told(ada("fsck", "--remote", "origin", "--full", "--repair-from", "."), host)
    there.ok(*command.replace("OTHER", ".").split()[1:])
    assert ada("fsck", "--remote", "origin", "--full").code == 0


def test_the_check_of_a_place(host: HubHost, ada: Person, there: CommandLine) -> None:
    command = told(ada("remote", "check", "--quick"), host)
    there.ok(*command.split()[1:], "--quick")


def test_a_repository_of_a_newer_version(host: HubHost, ada: Person) -> None:
    """Whoever comes is told, with exit code 16, which program is too old: the hub's."""
    store = LocalBackend(host.repo("bikes/demand"))
    assert store.swap_cell("format", store.read_cell("format"), b'{"dsvc": 2}\n')
    for words in (("push", "origin", "main:other"), ("fetch",), ("clone", ada.address("bikes/demand"), "again")):
        answer = ada(*words)
        assert answer.code == 16
        assert "bikes/demand: the repository has format 2, which this version of dsvc does not know" in answer.err
        assert answer.err.endswith("hint: install a newer dsvc there\n")
