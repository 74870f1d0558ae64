"""Measure transfers to a real S3 server beside plain boto3, round after round of the same bytes.

    python -m bench.s3 [--size MIB] [--rounds N]

It starts a server of its own on this machine, so the server's work is part of every time; what the client itself costs
is the processor time. Prints a row a method: best and median MB/s, least seconds of processor time. docs/design has the
results that the defaults of `S3Settings` were chosen by.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import botocore.session
from botocore.config import Config

from dsvc.remotes.s3.backend import S3Backend, open_s3
from dsvc.remotes.s3.settings import S3Settings
from tests.servers.seaweed import Seaweed, program

MIB = 1 << 20
SMALL = 200  # objects of 1 KiB


def measure(rounds: int, methods: dict[str, Callable[[], None]], size: int) -> None:
    """Run every method once a round and print what each reached."""
    speed: dict[str, list[float]] = {name: [] for name in methods}
    cost: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            began, worked = time.perf_counter(), time.process_time()
            method()
            speed[name].append(size / 1e6 / (time.perf_counter() - began))
            cost[name].append(time.process_time() - worked)
    for name in methods:
        sys.stdout.write(
            f"{name:32} best {max(speed[name]):7.1f}  median {statistics.median(speed[name]):7.1f} MB/s"
            f"  cpu {min(cost[name]):6.2f} s\n"
        )


def in_ranges(backend: S3Backend, key: str, size: int, *, step: int, threads: int, target: Path) -> None:
    """Read a blob in ranges from several threads, and write them to a file."""
    with target.open("wb") as file, ThreadPoolExecutor(threads) as pool:

        def fetch(start: int) -> None:
            os.pwrite(file.fileno(), backend.get(key, offset=start, length=min(step, size - start)), start)

        list(pool.map(fetch, range(0, size, step)))


def large(server: Seaweed, folder: Path, size: int, rounds: int) -> None:
    """One large file, up and down."""
    source, target = folder / "source", folder / "target"
    with source.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    bucket = server.bucket()
    client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    backend = open_s3(S3Settings(bucket), environment=server.environment)

    def put(backend: S3Backend) -> None:
        backend.delete("packs/a")
        os.link(source, folder / "link")
        backend.put("packs/a", folder / "link")

    methods: dict[str, Callable[[], None]] = {
        "up: boto3 upload_file": lambda: client.upload_file(str(source), bucket, "plain"),
        "up: put": lambda: put(backend),
    }
    for part, parallel in ((8, 4), (8, 10), (16, 4), (16, 8), (32, 4), (32, 8)):
        other = open_s3(
            S3Settings(bucket, part_size=part * MIB, parallel_parts=parallel), environment=server.environment
        )
        methods[f"up: put, {parallel} parts of {part} MiB"] = lambda other=other: put(other)  # type: ignore[misc]
    measure(rounds, methods, size)
    methods = {
        "down: boto3 download_file": lambda: client.download_file(bucket, "plain", str(target)),
        "down: get, whole": lambda: target.write_bytes(backend.get("packs/a")) and None,
    }
    for step, threads in ((8, 4), (16, 4), (16, 8)):
        methods[f"down: get, {threads} ranges of {step} MiB"] = lambda step=step, threads=threads: in_ranges(  # type: ignore[misc]
            backend, "packs/a", size, step=step * MIB, threads=threads, target=target
        )
    measure(rounds, methods, size)


def small(server: Seaweed, rounds: int) -> None:
    """Many small objects from eight threads, and swaps of one cell."""
    bucket = server.bucket()
    plain = botocore.session.Session().create_client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1", config=Config(max_pool_connections=8)
    )
    backend = open_s3(S3Settings(bucket), environment=server.environment)
    backend.swap_cell("cell", None, b"0")
    count = iter(range(10**9))
    content = os.urandom(1024)

    def from_threads(call: Callable[[str], object]) -> None:
        began = next(count)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(call, (f"packs/{began}-{number}" for number in range(SMALL))))

    def swaps() -> None:
        for _ in range(SMALL):
            value = backend.read_cell("cell") or b""
            backend.swap_cell("cell", value, b"%d" % (int(value) + 1))

    measure(
        rounds,
        {
            f"{SMALL} x 1 KiB: botocore": lambda: from_threads(
                lambda key: plain.put_object(Bucket=bucket, Key=key, Body=content)
            ),
            f"{SMALL} x 1 KiB: put": lambda: from_threads(lambda key: backend.put(key, content)),
            f"{SMALL} reads and swaps of a cell": swaps,
        },
        SMALL * 1024,
    )


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=256, help="of the large file, in MiB")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        server = Seaweed(program("weed"), Path(name))
        server.start()
        try:
            os.environ.update(server.environment)
            small(server, given.rounds)
            large(server, Path(name), given.size * MIB, given.rounds)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
