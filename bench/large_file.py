"""Measure what the push and the clone of one large file take, and how much memory.

    python bench/large_file.py [--gigabytes 4] [--place ssh|s3|folder] [--random 1.0] [--base FOLDER]

The file is random bytes, so nothing gets smaller, or with --random 0.1 such that a tenth of it is stored. The place is
OpenSSH's server or SeaweedFS on the loopback interface, or a folder. Each command is a new `dsvc` process, and memory
is its largest ru_maxrss, that of `ssh` apart. The project is removed once it was pushed, what was cloned compared by
its BLAKE3, so that there need only be room for the file three times.
Prints rows of a Markdown table.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3
from measured import run

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.servers.seaweed import Seaweed, program
from tests.servers.sshd import DSVC as FAR
from tests.servers.sshd import start_sshd, stop_sshd


@contextlib.contextmanager
def place(kind: str, base: Path, environment: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Start what the file is pushed to; give its address and the options of the remote."""
    folder = base / "server"
    folder.mkdir()
    if kind == "folder":
        yield str(folder / "far"), {}
    elif kind == "ssh":
        server, process = start_sshd(folder)
        environment["DSVC_SSH_COMMAND"] = f"ssh -F {server.config}"
        try:
            yield f"ssh://far{folder}/far", {"command": FAR}
        finally:
            stop_sshd(process)
    else:
        weed = Seaweed(program("weed"), folder)
        weed.start()
        environment |= {**weed.environment, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{weed.port}"}
        try:
            yield f"s3://{weed.bucket()}/far", {}
        finally:
            weed.kill()


def main() -> None:
    """Make the file, push and clone it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--place", choices=("ssh", "s3", "folder"), default="ssh")
    parser.add_argument("--random", type=float, default=1.0, help="share of the bytes, others are zero")
    parser.add_argument("--base", type=Path)
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="dsvc-large-", dir=arguments.base))
    environment = {"PATH": os.environ["PATH"], "HOME": str(base), "LANG": "C.UTF-8"}
    environment |= {"DSVC_USER_NAME": "Bench", "DSVC_USER_EMAIL": "bench@example.org"}
    try:
        with place(arguments.place, base, environment) as (address, options):
            measure(base, address, options, environment, arguments)
    finally:
        shutil.rmtree(base)


def measure(
    base: Path, address: str, options: dict[str, str], environment: dict[str, str], arguments: argparse.Namespace
) -> None:
    """Commit, push, clone and compare."""
    project, clone = base / "project", base / "clone"
    project.mkdir()
    with open(project / "weights", "wb") as file:
        megabytes = int(arguments.gigabytes * 1000)
        for number in range(megabytes):
            file.seek(number * 1_000_000)
            file.write(os.urandom(int(1_000_000 * arguments.random)))
        file.truncate(megabytes * 1_000_000)
    content = digest(project / "weights")
    run(project, environment, "init", "-q")
    rows = {"commit": run(project, environment, "commit", "-q", "--yes", "-m", "weights")}
    run(project, environment, "remote", "add", "origin", address)
    for key, value in options.items():
        run(project, environment, "config", f"remote.origin.{key}", value)
    rows["push"] = run(project, environment, "push", "-q")
    shutil.rmtree(project)
    words = [word for key, value in options.items() for word in ("-c", f"remote.origin.{key}={value}")]
    rows["clone"] = run(base, environment, *words, "clone", "-q", address, str(clone))
    if digest(clone / "weights") != content:
        raise SystemExit("what was cloned is not what was pushed")
    for what, (seconds, busy, memory) in rows.items():
        print(
            f"| {what} of {arguments.gigabytes:g} GB, {arguments.place} | {seconds:.1f} s | {busy:.1f} s "
            f"| {memory:.0f} MiB | 300 MiB |",
            flush=True,
        )


def digest(path: Path) -> bytes:
    """Return the BLAKE3 of a file; by reads, since what this process maps counts as the memory of its children, too."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, blake3).digest()  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
