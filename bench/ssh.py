"""How fast blobs travel over SSH, beside scp: `python bench/ssh.py [--mib 1024] [--rounds 3] [--client paramiko]`.

Starts a real sshd on the loopback interface. All ways take turns in each round, each with a connection of its own; the
best of each counts. The last columns are seconds of processors here (dsvc and ssh, or scp) and at the far end.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from dsvc.remotes.ssh.opening import open_ssh
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wire.client import WireBackend
from tests.servers.sshd import DSVC, Sshd, start_sshd, stop_sshd

PIECE = 8 << 20
THREADS = 4
KEY = "packs/aa"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", default="openssh", choices=["openssh", "paramiko"])
    parser.add_argument("--option", action="append", default=[], help="a word for ssh and scp, such as -c")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, process = start_sshd(folder)
        try:
            measure(server, process.pid, folder, args)
        finally:
            stop_sshd(process)


def measure(server: Sshd, sshd: int, folder: Path, args: argparse.Namespace) -> None:
    source = folder / "source"
    with open(source, "wb") as file:
        for _ in range(args.mib):
            file.write(os.urandom(1 << 20))
    size = args.mib << 20
    settings = SshSettings(
        server.host, str(folder / "store"), client=args.client, command=DSVC, options=(*server.options, *args.option)
    )

    def opened() -> WireBackend:
        return open_ssh(settings, environment=os.environ, create=True)

    scp = ["scp", "-q", *server.options, *args.option]
    ways: dict[str, Callable[[], None]] = {
        "scp up": lambda: run([*scp, str(source), f"{server.host}:{folder}/there"]),
        "dsvc up": lambda: put(opened(), source, folder),
        "scp down": lambda: run([*scp, f"{server.host}:{source}", str(folder / "here")]),
        "dsvc down": lambda: get(opened(), size),
    }
    best: dict[str, tuple[float, ...]] = {}
    for _ in range(args.rounds):
        for name, way in ways.items():
            if args.only not in name:
                continue
            if name == "dsvc up":
                (folder / "store" / KEY).unlink(missing_ok=True)
            before, start = processor_seconds(sshd), time.perf_counter()
            way()
            wall = time.perf_counter() - start
            time.sleep(0.3)  # sshd waits for its children
            took = (wall, *(after - b for after, b in zip(processor_seconds(sshd), before, strict=True)))
            best[name] = tuple(map(min, zip(best.get(name, took), took, strict=True)))
    for name, (wall, here, there) in best.items():
        print(f"{name:10} {wall:6.2f} s  {size / wall / 1e6:6.0f} MB/s  here {here:5.2f} s  there {there:5.2f} s")
    backend = opened()
    small = []
    for _ in range(200):
        start = time.perf_counter()
        backend.read_cell("head")
        small.append(time.perf_counter() - start)
    print(f"one small request: {sorted(small)[100] * 1e6:.0f} us")
    backend.close()


def run(words: list[str]) -> None:
    subprocess.run(words, check=True)


def put(backend: WireBackend, source: Path, folder: Path) -> None:
    copy = folder / "copy"
    os.link(source, copy)
    backend.put(KEY, copy)
    backend.close()


def get(backend: WireBackend, size: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        got = pool.map(
            lambda at: len(backend.get(KEY, offset=at, length=min(PIECE, size - at))), range(0, size, PIECE)
        )
        assert sum(got) == size
    backend.close()


def processor_seconds(sshd: int) -> tuple[float, float]:
    """Of this process and what it started and has ended, and of the sessions of the server that have ended."""
    here = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    with open(f"/proc/{sshd}/stat") as file:
        ticks = sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    return here, ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
