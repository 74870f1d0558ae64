"""How quickly a place answers, and how many bytes a second go there and come back."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dsvc.storage.backend import Backend

PARALLEL = 4  # blobs under way at once
_SMALL = 1024
_SIZES = (64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20)
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that a small request took: the median, the time that nine of ten kept within, and how many were made."""

    median: float
    p90: float
    count: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """Bytes a second, the best of several rounds; bytes that were moved in all of them; blobs under way at once."""

    rate: float
    size: int
    parallel: int


def measure_latency(backend: Backend, *, count: int, seconds: float) -> dict[str, Latency]:
    """Time small puts, gets and swaps, `count` of each or as many as fit into `seconds`."""
    data = os.urandom(_SMALL)
    value = b""
    backend.swap_cell("latency", None, value)

    def swap(number: int) -> None:
        nonlocal value
        before, value = value, b"%d" % number
        backend.swap_cell("latency", before, value)

    return {
        "put": _timed(lambda n: backend.put(f"packs/latency{n}", data), count, seconds),
        "get": _timed(lambda _: backend.get("packs/latency0"), count, seconds),
        "swap": _timed(swap, count, seconds),
    }


def _timed(call: Callable[[int], object], count: int, seconds: float) -> Latency:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < count and (not times or time.perf_counter() < end):
        start = time.perf_counter()
        call(len(times))
        times.append(time.perf_counter() - start)
    times.sort()
    return Latency(statistics.median(times), times[min(len(times) - 1, int(len(times) * 0.9))], len(times))


def measure_throughput(backend: Backend, *, most: int, seconds: float) -> tuple[Throughput, Throughput]:
    """Move blobs that do not compress, larger ones each round up to `most` bytes each; return the rates up and down.

    A direction takes about `seconds` at most: a round begins only when it will likely end in time.
    """
    stored: list[tuple[str, int]] = []

    def up(size: int, number: int) -> None:
        key = f"packs/size{size}-{number}"
        backend.put(key, blobs[number][:size])
        stored.append((key, size))

    def down(size: int, number: int) -> None:
        if (f"packs/size{size}-{number}", size) in stored:
            backend.get(f"packs/size{size}-{number}")

    block = os.urandom(min(most, _SIZES[-1]))
    blobs = [memoryview(block[n:] + block[:n]).tobytes() for n in range(PARALLEL)]  # none is like another
    sent = _rounds(up, most, seconds)
    return sent, _rounds(down, max((size for _, size in stored), default=0), seconds)


def _rounds(move: Callable[[int, int], None], most: int, seconds: float) -> Throughput:
    best, total = 0.0, 0
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="dsvc-check") as pool:
        for size in (size for size in _SIZES if size <= most):
            start = time.perf_counter()
            for done in [pool.submit(move, size, number) for number in range(PARALLEL)]:
                done.result()
            took = time.perf_counter() - start
            total += size * PARALLEL
            best = max(best, size * PARALLEL / took)
            if time.perf_counter() + took * _GROWTH > end:
                break
    return Throughput(best, total, PARALLEL)
