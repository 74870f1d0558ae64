"""What a large data set costs on a disk that clones files: the first add, then commits and forks.

    sudo python bench/reflinks.py --system xfs --gib 20

makes an image in `--folder`, mounts it, fills a data set of files of 1 GiB with bytes that do not compress and are all
different, and prints a table: seconds of each command, those of a processor, and what the disk wrote until it was idle
(the sectors that the loop device counted, behind a sync). Then it removes everything. Only root may mount.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

PIECE = 64 << 20
FILE = 1 << 30
SECTOR = 512


@contextmanager
def disk(folder: Path, system: str, size: int) -> Iterator[Path]:
    """Yield a fresh file system of that many bytes, in a file that takes only what is written to it."""
    image, place = folder / f"reflinks.{system}.img", folder / f"reflinks.{system}"
    place.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(size)
        subprocess.run([f"mkfs.{system}", "-q", str(image)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True)
    finally:
        image.unlink(missing_ok=True)
        place.rmdir()


def written(place: Path) -> int:
    """Return the bytes that the device below a mounted folder has written since it was made."""
    source = subprocess.run(
        ["findmnt", "-no", "SOURCE", str(place)], check=True, capture_output=True, text=True
    ).stdout.strip()
    fields = Path("/sys/class/block", Path(source).name, "stat").read_text().split()
    return int(fields[6]) * SECTOR


def cpu() -> float:
    """Return the processor seconds of this process and of those that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def fill(project: Path, count: int, *, write: bool) -> None:
    """Write the data set; BLAKE3's output as long as wanted is noise, and fast to make.

    Without `write` the blocks are reserved only, and read as zeros: commits and forks see no difference.
    """
    (project / "data").mkdir()
    for number in range(count):
        if not write:
            with (project / "data" / f"part-{number:03}.bin").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, FILE)
            continue
        with (project / "data" / f"part-{number:03}.bin").open("wb") as file:
            for piece in range(FILE // PIECE):
                file.write(blake3(b"%d %d" % (number, piece)).digest(length=PIECE))
            os.fsync(file.fileno())


def main() -> int:
    """Measure, print the table, and leave nothing behind."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--folder", type=Path, default=Path("/tmp"))  # noqa: S108
    options.add_argument("--system", choices=("xfs", "btrfs"), default="xfs")
    options.add_argument("--gib", type=int, default=4)
    options.add_argument("--reserve", action="store_true", help="reserve the blocks of the data, and write nothing")
    options.add_argument("--runs", type=int, default=7)
    chosen = options.parse_args()
    environment = {**os.environ, "DSVC_USER_NAME": "Bench", "DSVC_USER_EMAIL": "bench@example.com"}
    program = [sys.executable, "-m", "dsvc"]

    with disk(chosen.folder, chosen.system, (chosen.gib + 2) * (1 << 30) + chosen.gib * (50 << 20)) as place:
        project = place / "project"
        project.mkdir()
        rows: list[tuple[str, float, float, int]] = []

        def measure(what: str, work: Callable[[], object]) -> None:
            rows.append((what, *once(work)))
            print(f"{what}: {rows[-1][1]:.2f} s, {rows[-1][3] / 1e6:.1f} MB", file=sys.stderr)

        def best(what: str, work: Callable[[int], object]) -> None:
            """Do it several times, of which other work on the machine disturbs the least one least."""
            found = sorted(once(lambda number=number: work(number)) for number in range(chosen.runs))
            most = max(size for _, _, size in found)
            rows.append((f"{what} (least of {chosen.runs}; {found[-1][0]:.2f} at most)", *found[0][:2], most))
            print(f"{what}: {[round(seconds, 2) for seconds, _, _ in found]} s, {most / 1e6:.1f} MB", file=sys.stderr)

        def once(work: Callable[[], object]) -> tuple[float, float, int]:
            os.sync()
            before, busy, started = written(place), cpu(), time.monotonic()
            work()
            seconds = time.monotonic() - started
            os.sync()
            return seconds, cpu() - busy, written(place) - before

        def dsvc(*words: str, folder: Path = project) -> None:
            subprocess.run([*program, *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)

        dsvc("init", "-q")
        write = not chosen.reserve
        measure(f"write the data set itself ({chosen.gib} GiB)", lambda: fill(project, chosen.gib, write=write))
        measure("first commit: reads, hashes and cuts all of it", lambda: dsvc("commit", "-qm", "first", "--yes"))

        def next_commit(number: int) -> None:
            (project / "notes.txt").write_text(f"line {number}\n")
            dsvc("commit", "-qm", f"next {number}")

        best("next commit, one small file differs", next_commit)
        best("fork, checked out", lambda number: dsvc("fork", "-q", ".", f"../fork-{number}"))
        fork = place / "fork-0"
        best("status of the fork", lambda _: dsvc("status", folder=fork))
        best("for comparison: dsvc version", lambda _: dsvc("version"))

        with (fork / "data/part-000.bin").open("r+b") as file:
            file.seek(FILE // 2)
            file.write(b"changed" * 100)
        measure(
            "commit in the fork, 700 bytes of a 1 GiB file differ", lambda: dsvc("commit", "-qm", "c", folder=fork)
        )
        measure(
            "switch the fork to the commit before", lambda: dsvc("switch", "-q", "--detach", "HEAD~1", folder=fork)
        )
        shutil.rmtree(project / "data")
        measure("restore of all, which was deleted", lambda: dsvc("restore", "-q", "data"))
        copy = place / "copy"
        words = ["cp", "-r", "--reflink=always", str(project / "data"), str(copy)]
        measure("for comparison: cp -r --reflink=always of the data", lambda: subprocess.run(words, check=True))
        print(f"| on {chosen.system}, {chosen.gib} GiB | seconds | CPU seconds | MB written |")
        print("| --- | ---: | ---: | ---: |")
        for what, seconds, busy, size in rows:
            print(f"| {what} | {seconds:.2f} | {busy:.2f} | {size / 1e6:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
