"""Bytes that came damaged and were kept so are asked for again by the next command."""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3

from tests.commands.conftest import CommandLine, cli
from tests.servers.seaweed import Seaweed

__all__ = ["cli"]


def test_damaged_bytes_do_not_stay(cli: CommandLine, seaweed: Seaweed) -> None:
    cli.environment |= seaweed.environment
    cli.ok("init", "-q")
    (cli.directory / "a").write_text("a")
    cli.ok("commit", "-q", "-m", "first")
    cli.ok("remote", "add", "origin", f"s3://{seaweed.bucket()}/project")
    cli.ok("push", "-q")
    cli.ok("clone", "-q", cli.ok("remote", "get-url", "origin").out.strip(), "copy")
    copy = CommandLine(cli.directory / "copy", cli.environment)
    copy.ok("fsck", "--remote", "origin")
    kept = [path for path in Path(copy.directory / ".dsvc/cache/remotes/origin.d").iterdir() if path.is_file()]
    assert kept
    wrongs = {}
    for path in kept:
        wrong = bytearray(path.read_bytes()[32:])
        wrong[len(wrong) // 2] ^= 1
        wrongs[path] = blake3(wrong).digest() + wrong  # as it came over the wire
        path.write_bytes(wrongs[path])
    assert copy("gc", "--remote", "origin", "--grace", "0").code == 15
    assert copy("gc", "--remote", "origin", "--grace", "0").code == 0
    for path, content in wrongs.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    assert copy("fsck", "--remote", "origin").code == 0  # that looks at what lies there
