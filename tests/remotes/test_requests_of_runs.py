"""What one more run costs on a remote that has many: requests and bytes, counted before a real bucket."""

from __future__ import annotations

import random

import pytest

from dsvc.objects import codec
from dsvc.objects.ids import Kind
from dsvc.refs.view import Direct
from tests.commands.conftest import CommandLine, cli
from tests.commands.test_runs_travel import act, opened, runs
from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed

__all__ = ["cli"]

COUNT = 30_000


def record(person: CommandLine, count: int, seed: int) -> None:
    """Record runs under names of all kinds, which lie anywhere among those that are there."""
    draw = random.Random(seed)
    repo = opened(person)
    tree = repo.commit(repo.view().commit("heads/main")).tree
    transaction = repo.transaction()
    for number in range(count):
        value = {"number": number, "seed": seed, "refs": [[int(Kind.TREE), tree]]}
        ref = Direct(Kind.RUN, repo.store.put(Kind.RUN, codec.encode(value)))
        transaction.set(f"runs/{draw.randbytes(16).hex()}", ref)
    repo.publish(transaction, act())
    repo.close()


@pytest.fixture
def people(cli: CommandLine, seaweed: Seaweed, proxy: Proxy) -> tuple[CommandLine, CommandLine]:
    """Ada, who has pushed many runs to a bucket, and Bob, who has cloned it, both with new caches."""
    cli.environment |= {**seaweed.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint}
    cli.ok("init", "-q")
    for number in range(300):
        (cli.directory / f"f{number}").write_text(str(number))
    cli.ok("commit", "-q", "-m", "first")
    cli.ok("remote", "add", "-q", "origin", f"s3://{seaweed.bucket()}/project")
    record(cli, COUNT, 0)
    cli.ok("push", "-q")
    cli.ok("clone", "-q", cli.ok("remote", "get-url", "origin").out.strip(), "bob")
    return cli, CommandLine(cli.directory / "bob", cli.environment)


def test_one_run_among_many(people: tuple[CommandLine, CommandLine], proxy: Proxy) -> None:
    ada, bob = people
    record(ada, 1, 1)
    ada.ok("push", "-q")
    costs = []
    for seed in range(2, 6):
        record(ada, 1, seed)
        proxy.requests.clear()
        ada.ok("push", "-q")
        costs.append((len(proxy.requests), sum(request.size for request in proxy.requests)))
    assert max(requests for requests, _ in costs) <= 6, costs
    assert max(size for _, size in costs) <= 64 << 10, costs
    record(bob, 1, 10)
    proxy.requests.clear()
    bob.ok("push", "-q")
    assert len(proxy.requests) <= 6 + 6, "a list, and one request a push of somebody else's"
    proxy.requests.clear()
    ada.ok("fetch", "-q")
    assert len(proxy.requests) <= 6
    bob.ok("fetch", "-q")
    assert len(runs(ada)) == COUNT + 6
    assert runs(ada) == runs(bob)
    proxy.requests.clear()
    ada.ok("fetch", "-q")
    bob.ok("push", "-q")
    assert len(proxy.requests) <= 8, "nobody lists what both have"
