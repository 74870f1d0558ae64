"""A folder on a disk of a network that fails now and then: nobody notices, and nothing is lost."""

from __future__ import annotations

import random

from tests.commands.conftest import Clones, CommandLine, cli
from tests.servers.flaky_disk import FlakyDisk, disk

__all__ = ["cli", "disk"]

RULES = {
    "open": ("ETIMEDOUT", 7),
    "read": ("EIO", 7),
    "readdir": ("ENOTCONN", 7),
    "rename": ("ETIMEDOUT", 3),
    "link": ("EEXIST", 2, "done"),
}


def test_two_people_push_and_pull(cli: CommandLine, disk: FlakyDisk) -> None:
    place = str(disk.mount / "project")
    files = {f"data/{number}": random.Random(number).randbytes(20_000) for number in range(40)}
    cli.ok("init", "-q")
    first = Clones.commit(cli, "first", files)
    cli.ok("remote", "add", "origin", place)
    disk.fail(**RULES)
    cli.ok("push", "-q", "-u", "origin", "main")
    cli.ok("clone", "-q", place, "../bo")
    bo = CommandLine(cli.directory.parent / "bo", cli.environment)
    assert {name: (bo.directory / name).read_bytes() for name in files} == files
    for turn in range(2):
        for person in (cli, bo):
            Clones.commit(person, "more", {f"of-{person.directory.name}-{turn}": str(turn)})
            person.ok("pull", "-q")
            person.ok("push", "-q", "origin", "main")
    cli.ok("pull", "-q")
    cli.ok("gc", "--remote", "origin")
    cli.ok("fsck", "--remote", "origin", "--full")
    assert set(disk.failed()) == set(RULES)
    assert len([*cli.directory.glob("of-*")]) == 4
    assert bo.ok("rev-parse", "HEAD").out == cli.ok("rev-parse", "HEAD").out
    assert first in cli.ok("log", "--json").out
