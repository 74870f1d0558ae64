"""What commits and forks of a large dataset of ZFS cost.

    sudo bash tests/tools/zfs-pool.sh 30G python bench/zfs_dataset.py --gib 20

runs beside a pool of its own, and in an emulated machine with OpenZFS, on a disk of its own

    export MACHINE_DISK=30G; pool=tests/tools/zfs-pool.sh
    sudo -E bash tests/tools/zfs-machine.sh 2.1 bash $pool /dev/vdb1 .venv/bin/python bench/zfs_dataset.py --gib 20

in a dataset that holds `--gib` files of 1 GiB. Their blocks are holes but for 1 MiB of
noise each: a snapshot does not look at them. Prints a table: seconds, processor seconds of dsvc and zfs, and what was
written: by the daemon of zfs-fuse, or to the disk, and into the repository.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

FILE = 1 << 30


def cpu() -> float:
    """Return the processor seconds of the processes that this one waited for."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def main() -> int:
    """Measure, and print the table; the pool is removed by the script that made it."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--gib", type=int, default=4)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    pool, disk, daemon = (os.environ[name] for name in ("POOL", "POOL_DISK", "POOL_DAEMON"))
    project = Path(disk).parent / "project"
    project.mkdir()
    environment = {**os.environ, "DSVC_USER_NAME": "Bench", "DSVC_USER_EMAIL": "bench@example.com"}

    def dsvc(*words: str, folder: Path = project) -> None:
        command = [sys.executable, "-m", "dsvc", *words]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)

    def written() -> int:
        os.sync()
        if daemon == "0":
            subprocess.run(["zpool", "sync"], check=True)
            disks = Path("/proc/diskstats").read_text().splitlines()
            daemons = 512 * next(int(line.split()[9]) for line in disks if " vdb1 " in line)
        else:
            lines = Path(f"/proc/{daemon}/io").read_text().splitlines()
            daemons = next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
        said = subprocess.run(
            ["du", "-sb", *map(str, Path(disk).parent.glob("*/.dsvc"))], check=True, capture_output=True, text=True
        )
        return daemons + sum(int(line.split()[0]) for line in said.stdout.splitlines())

    def several(what: str, work: Callable[[int], object]) -> None:
        found = []
        for number in range(chosen.runs):
            before, busy, started = written(), cpu(), time.monotonic()
            work(number)
            seconds, busy = time.monotonic() - started, cpu() - busy
            found.append((seconds, busy, written() - before))
        found.sort()
        most = max(size for _, _, size in found)
        print(f"| {what} | {found[0][0]:.2f} | {found[-1][0]:.2f} | {found[0][1]:.2f} | {most / 1e6:.1f} |", flush=True)

    def next_commit(number: int) -> None:
        with (project / "data" / "part-000.bin").open("r+b") as file:
            file.seek(number << 20)
            file.write(os.urandom(1 << 16))
        dsvc("commit", "-qm", f"next {number}")

    dsvc("init", "-q")
    dsvc("data", "add", "data", "--zfs", f"{pool}/data")
    for number in range(chosen.gib):
        with (project / "data" / f"part-{number:03}.bin").open("wb") as file:
            file.write(os.urandom(1 << 20))
            file.truncate(FILE)
    print(f"| {chosen.gib} GiB in a dataset | least seconds | most | CPU seconds | MB written |")
    print("| --- | ---: | ---: | ---: | ---: |")
    dsvc("commit", "-qm", "first")
    several("commit, 64 KiB of the dataset differ", next_commit)
    several("fork, checked out", lambda number: dsvc("fork", "-q", ".", f"../fork-{number}"))
    several("status", lambda _: dsvc("status"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
