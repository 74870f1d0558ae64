"""Shallow clones of a bucket: rounds of requests, not a request an object."""

from __future__ import annotations

from tests.commands.conftest import CommandLine, cli
from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed

__all__ = ["cli"]


def test_a_shallow_clone_asks_for_what_it_takes(cli: CommandLine, seaweed: Seaweed, proxy: Proxy) -> None:
    cli.environment |= {**seaweed.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint}
    cli.ok("init", "-q")
    for folder in ("a", "a/b", "c"):
        (cli.directory / folder).mkdir()
        for number in range(200):
            (cli.directory / folder / str(number)).write_text(f"{folder} {number}\n")
    for number in range(40):
        (cli.directory / "a/b/0").write_text(f"{number}\n" * 50)
        cli.ok("commit", "-q", "-m", str(number))
    cli.ok("remote", "add", "-q", "origin", f"s3://{seaweed.bucket()}/project")
    cli.ok("push", "-q")
    address = cli.ok("remote", "get-url", "origin").out.strip()
    proxy.requests.clear()
    cli.ok("clone", "-q", "--depth", "5", address, "copy")
    assert len(proxy.requests) <= 25, [(request.method, request.target) for request in proxy.requests]
    copy = CommandLine(cli.directory / "copy", cli.environment)
    assert copy.ok("log", "--format=%s").out.split() == ["39", "38", "37", "36", "35"]
    assert (copy.directory / "a/b/0").read_text() == "39\n" * 50
    proxy.requests.clear()
    copy.ok("fetch", "-q", "--unshallow")
    assert len(proxy.requests) <= 25, [(request.method, request.target) for request in proxy.requests]
    assert len(copy.ok("log", "--format=%s").out.split()) == 40
    (copy.directory / "new").write_text("new\n")
    copy.ok("commit", "-q", "-m", "new")
    copy.ok("push", "-q")
