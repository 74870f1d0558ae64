"""Read throughput of `dsvc://` and of a mounted commit, beside the same files as plain ones.

    python bench/filesystem.py --mib 512

makes a repository with one large file of noise, one of text, many small files and a Parquet table, commits them, and
reads each in the same ways from the working copy and from the commit. Every way is run `--runs` times, in turn, and the
best is printed: MB of content a second, and for a process alone a second of its processor time, which other work on the
machine disturbs less. All of it is in the page cache by then, so what is compared is the work and not the disk.
`--mount` adds the commit as a folder (FUSE), as it is read first and as it is read from the kernel's cache later.
"""

# ruff: noqa: T201, S311

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import pandas as pd
from blake3 import blake3

MIB = 1 << 20
SMALL = 5_000
Way = Callable[[], int]


def make(project: Path, mib: int, environment: dict[str, str]) -> None:
    """Fill a working copy and commit it."""
    (project / "small").mkdir()
    with (project / "noise.bin").open("wb") as file:
        for piece in range(mib // 16):
            file.write(blake3(b"%d" % piece).digest(length=16 * MIB))
    rng = random.Random(1)
    with (project / "text.csv").open("w") as text:
        for number in range(mib * 12_000):
            colour, day = rng.choice(("red", "green", "blue")), number % 28 + 1
            text.write(f"{number},{rng.random():.6f},{colour},2026-01-{day:02}\n")
            if text.tell() > mib * MIB // 4:
                break
    for number in range(SMALL):
        (project / "small" / f"{number:05}.bin").write_bytes(rng.randbytes(rng.randrange(2_000, 40_000)))
    rows = mib * 4_000
    table = pd.DataFrame({f"c{n}": [rng.random() for _ in range(rows // 8)] * 8 for n in range(4)})
    table.to_parquet(project / "table.parquet", row_group_size=100_000)
    for words in (("init", "-q"), ("commit", "-qm", "data", "--yes")):
        subprocess.run([sys.executable, "-m", "dsvc", *words], cwd=project, env=environment, check=True)


def straight(opened: Callable[[str], object], name: str) -> Way:
    """Read a file from its beginning to its end, a MiB at a time."""

    def work() -> int:
        done = 0
        with opened(name) as file:  # type: ignore[attr-defined]
            while piece := file.read(MIB):
                done += len(piece)
        return done

    return work


def at_random(opened: Callable[[str], object], name: str, size: int) -> Way:
    """Read 64 KiB at two thousand places."""

    def work() -> int:
        rng, done = random.Random(2), 0
        with opened(name) as file:  # type: ignore[attr-defined]
            for _ in range(2_000):
                file.seek(rng.randrange(size - 65_536))
                done += len(file.read(65_536))
        return done

    return work


def each_small(opened: Callable[[str], object]) -> Way:
    """Read all small files, in an order of chance."""
    names = [f"small/{number:05}.bin" for number in range(SMALL)]
    random.Random(3).shuffle(names)

    def work() -> int:
        done = 0
        for name in names:
            with opened(name) as file:  # type: ignore[attr-defined]
                done += len(file.read())
        return done

    return work


def table(opened: Callable[[str], object], *, columns: list[str] | None) -> Way:
    """Read a Parquet table with pandas."""

    def work() -> int:
        with opened("table.parquet") as file:  # type: ignore[attr-defined]
            return int(pd.read_parquet(file, columns=columns).memory_usage(index=False).sum())

    return work


def main() -> int:
    """Measure and print a table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--mib", type=int, default=512)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--mount", action="store_true")
    chosen = options.parse_args()
    environment = {**os.environ, "DSVC_USER_NAME": "Bench", "DSVC_USER_EMAIL": "bench@example.com"}
    base = Path(tempfile.mkdtemp(prefix="dsvc-bench-"))
    project, seen = base / "project", base / "seen"
    project.mkdir()
    seen.mkdir()
    mounted: subprocess.Popen[str] | None = None
    try:
        make(project, chosen.mib, environment)
        files = fsspec.filesystem("dsvc", repo=str(project))
        places: dict[str, Callable[[str], object]] = {
            "plain files": lambda name: (project / name).open("rb"),
            "dsvc://": lambda name: files.open(f"HEAD/{name}"),
        }
        if chosen.mount:
            words = [sys.executable, "-m", "dsvc", "mount", "HEAD", str(seen)]
            mounted = subprocess.Popen(words, cwd=project, env=environment, stderr=subprocess.PIPE, text=True)
            assert mounted.stderr is not None
            mounted.stderr.readline()
            places["mounted"] = lambda name: (seen / name).open("rb")
        columns = [*places, "plain files, a CPU second", "dsvc://, a CPU second"]
        if chosen.mount:
            columns.insert(2, "mounted, first")
        print("| MB/s | " + " | ".join(columns) + " |\n| --- |" + " ---: |" * len(columns))
        size = (project / "noise.bin").stat().st_size
        ways: dict[str, Callable[[Callable[[str], object]], Way]] = {
            "noise, straight on": lambda opened: straight(opened, "noise.bin"),
            "text, straight on": lambda opened: straight(opened, "text.csv"),
            "noise, 64 KiB at random": lambda opened: at_random(opened, "noise.bin", size),
            f"{SMALL:,} small files": each_small,
            "Parquet, all columns": lambda opened: table(opened, columns=None),
            "Parquet, one of four": lambda opened: table(opened, columns=["c1"]),
        }
        for name, way in ways.items():
            best = dict.fromkeys(columns, 0.0)
            for run in range(chosen.runs):
                for place, opened in places.items():
                    files.close()  # what it keeps of the run before
                    work, started, busy = way(opened), time.perf_counter(), time.process_time()
                    done = work() / 1e6
                    speed, alone = done / (time.perf_counter() - started), done / (time.process_time() - busy)
                    best[place] = max(best[place], speed)
                    if f"{place}, a CPU second" in best:
                        best[f"{place}, a CPU second"] = max(best[f"{place}, a CPU second"], alone)
                    if run == 0 and f"{place}, first" in best:
                        best[f"{place}, first"] = speed
            print(f"| {name} | " + " | ".join(f"{speed:,.0f}" for speed in best.values()) + " |", flush=True)
    finally:
        if mounted is not None:
            mounted.send_signal(signal.SIGINT)
            mounted.wait()
        shutil.rmtree(base)
    return 0


if __name__ == "__main__":
    sys.exit(main())
