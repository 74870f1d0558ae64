"""What a partial clone lacks comes in few requests, however many files a command reads."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine, cli
from tests.remotes.test_everywhere import commit
from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed

__all__ = ["cli"]

FILES = 40
MOST = 30  # requests of a command: with one for each file and side it would be 80 and more


def lines(number: int, *, first: str = "", last: str = "", seed: int = 1) -> bytes:
    words = random.Random(f"{seed} {number}")
    middle = "".join(f"{words.random()}\n" for _ in range(30))
    return f"{first}\n{middle}{last}\n".encode()


@pytest.fixture
def visitor(cli: CommandLine, tmp_path: Path, seaweed: Seaweed, proxy: Proxy, bucket: str) -> CommandLine:
    """A clone of mere history, behind the proxy; of one file everybody has erased the content."""
    cli.environment |= seaweed.environment
    cli.ok("init", "-q")
    commit(cli, "first", {f"src/f{n:02}": lines(n) for n in range(FILES)} | {"src/key": b"a secret\n"})
    cli.ok("branch", "side")
    moved = {f"new/f{n:02}": lines(n, last="moved", seed=2) for n in range(FILES)}
    commit(cli, "second", {f"src/f{n:02}": lines(n, last="ours") for n in range(FILES)} | moved)
    cli.ok("switch", "-q", "side")
    commit(cli, "third", {f"src/f{n:02}": lines(n, first="theirs") for n in range(FILES)})
    cli.ok("switch", "-q", "main")
    cli.ok("remote", "add", "origin", f"s3://{bucket}/project")
    cli.ok("push", "-q", "--all")
    cli.ok("purge", "src/key", "--reason", "a key", "--yes", "--remote")
    environment = cli.environment | {"AWS_ENDPOINT_URL_S3": proxy.endpoint}
    CommandLine(tmp_path, environment).ok("clone", "-q", "--bare-history", f"s3://{bucket}/project", "visitor")
    proxy.requests.clear()
    return CommandLine(tmp_path / "visitor", environment)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("grep", "-l", "ours", "HEAD"), "src/f39"),
        (("diff", "HEAD~1", "HEAD"), "+ours"),
        (("diff", "--numstat", "HEAD~1", "HEAD"), "src/f39"),
        (("diff", "--json", "-p", "HEAD~1", "HEAD"), "src/f39"),
        (("log", "-p"), "+ours"),
        (("export", "--force", "HEAD", "../out", "new"), ""),
        (("merge", "origin/side"), ""),
    ],
    ids=" ".join,
)
def test_many_files(visitor: CommandLine, proxy: Proxy, words: tuple[str, ...], shown: str) -> None:
    assert shown in visitor.ok(*words).out
    assert 0 < len(proxy.requests) <= MOST
    assert visitor("fsck").code == 0
