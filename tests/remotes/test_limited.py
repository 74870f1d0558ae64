"""Bytes go to a place and come back no faster than they may: each is on its way no earlier than the limit says."""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wrappers.limited import BadRateError, LimitedBackend, Limits, Pace, PacedBody, parse_rate
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import CommandLine, cli
from tests.servers.seaweed import Seaweed
from tests.servers.sshd import DSVC, Sshd, sshd
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["cli", "sshd"]

RATE = 2 << 20
DATA = random.Random(3).randbytes(3 << 20)
SLACK = 0.2 * RATE + (64 << 10)  # the burst, and heads of requests

Place = tuple[Callable[[Limits], Backend], TcpProxy]


@pytest.fixture(params=["s3", "ssh"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """What opens a place behind a proxy, and the proxy."""
    if request.param == "s3":
        weed: Seaweed = request.getfixturevalue("seaweed")
        settings = S3Settings(weed.bucket(), part_size=5 << 20)
        with TcpProxy(weed.port).running() as proxy:
            environment = weed.environment | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{proxy.port}"}
            yield lambda limits: open_s3(settings, environment=environment, limits=limits), proxy
        return
    server: Sshd = request.getfixturevalue("sshd")
    (tmp_path / "store").mkdir()
    with TcpProxy(server.port).running() as proxy:
        options = (*server.options, "-o", f"Port={proxy.port}", "-o", "HostKeyAlias=far")
        known = tmp_path / "known_hosts"
        known.write_text("far " + server.known_hosts.read_text().split(" ", 1)[1])
        options = ("-o", f"UserKnownHostsFile={known}", *options)
        ssh = SshSettings(server.host, str(tmp_path / "store"), command=DSVC, options=options)
        yield lambda limits: open_ssh(ssh, environment=os.environ, limits=limits), proxy


def test_sent_and_read_at_the_rate(place: Place, tmp_path: Path) -> None:
    opened, proxy = place
    backend = opened(Limits(RATE))
    source = tmp_path / "pack"
    source.write_bytes(DATA)
    begun, before = time.monotonic(), proxy.up
    with ThreadPoolExecutor(2) as pool:  # both together keep to it
        other = pool.submit(backend.put, "packs/ab", DATA[: 1 << 20])
        backend.put("packs/aa", source)
        other.result()
    for moment, up in (noted for noted in proxy.log if noted[0] >= begun):
        assert up - before <= (moment - begun) * RATE + SLACK
    begun = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda n: backend.get("packs/aa", offset=n << 20, length=1 << 20), range(3)))
    assert b"".join(parts) == DATA
    assert time.monotonic() - begun >= len(DATA) / RATE - 0.3
    backend.close()


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    backend = LimitedBackend(LocalBackend(tmp_path / "store"), Limits(RATE))
    source = tmp_path / "pack"
    source.write_bytes(DATA[: 1 << 20])
    begun = time.monotonic()
    backend.put("packs/aa", source)
    assert backend.get("packs/aa") == DATA[: 1 << 20]
    assert time.monotonic() - begun >= 2 * (0.5 - 0.2) - 0.05
    assert not source.exists()


def test_a_body_can_be_sent_again() -> None:
    for body in (DATA, io.BytesIO(DATA)):
        paced = PacedBody(body, Pace(1 << 30))
        for _ in range(2):
            assert b"".join(iter(paced.read, b"")) == DATA
            assert paced.tell() == len(DATA)
            paced.seek(0)


def test_who_gave_up_waits_no_longer() -> None:
    pace = Pace(1)
    begun = time.monotonic()
    pace.take(10_000_000, over=lambda: True)
    assert time.monotonic() - begun < 1000


def test_rates() -> None:
    assert parse_rate("2M") == 2 << 20
    assert parse_rate("500k") == 500 << 10
    assert parse_rate(1000) == 1000
    assert parse_rate("0") is None
    for wrong in ("fast", "-1", "2 parsecs"):
        with pytest.raises(BadRateError):
            parse_rate(wrong)


def test_on_the_command_line(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("init", "-q")
    (cli.directory / "big").write_bytes(DATA)
    cli.ok("commit", "-q", "-m", "first")
    cli.ok("remote", "add", "origin", str(tmp_path / "shared"))
    assert cli("push", "--limit-rate", "fast").code == 2
    begun = time.monotonic()
    cli.ok("push", "-q", "--limit-rate", "2M")
    assert time.monotonic() - begun >= 1.0
    begun = time.monotonic()
    cli.ok("clone", "-q", "--limit-rate", "2M", str(tmp_path / "shared"), "copy")
    assert time.monotonic() - begun >= 1.0
    assert (cli.directory / "copy" / "big").read_bytes() == DATA
    cli.ok("config", "remote.origin.limitRate", "2M")
    (cli.directory / "big").write_bytes(DATA[::-1])
    cli.ok("commit", "-q", "-m", "second")
    begun = time.monotonic()
    cli.ok("sync", "-q")
    assert time.monotonic() - begun >= 1.0
    cli.ok("fetch", "--limit-rate", "0")
    cli.ok("pull", "--limit-rate", "1G")
