"""Let many writers push to one branch while many readers fetch it, each a process, and look at what came of it.

    python bench/one_branch.py [--writers 20] [--readers 50] [--commits 3] [--place folder|s3]

Each writer commits, and pulls and pushes until its commit is there; so often. Each reader fetches until all writers are
done, and reads the newest commit's file each time. At the end the history of the branch must be one line with every
commit in it once, readers must have seen only states of that line, each newer than the one before, and fsck must find
nothing. Prints a row of a Markdown table.
"""

# ruff: noqa: T201, S311 -- a script that prints, and makes data

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.commands.conftest import CommandLine
from tests.servers.seaweed import Seaweed, program

FORK = multiprocessing.get_context("fork")
_TRIES = 200  # of one commit


@contextlib.contextmanager
def place(kind: str, base: Path, environment: dict[str, str]) -> Iterator[str]:
    """Start what all push to; give its address."""
    if kind == "folder":
        yield str(base / "far")
        return
    (base / "server").mkdir()
    weed = Seaweed(program("weed"), base / "server")
    weed.start()
    environment |= {**weed.environment, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{weed.port}"}
    try:
        yield f"s3://{weed.bucket()}/far"
    finally:
        weed.kill()


def main() -> None:
    """Let them all run, and look at the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=20)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--commits", type=int, default=3, help="of each writer")
    parser.add_argument("--place", choices=("folder", "s3"), default="folder")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="dsvc-one-branch-"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(base), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}
    environment |= {"DSVC_USER_NAME": "w", "DSVC_USER_EMAIL": "w@example.com"}
    try:
        with place(arguments.place, base, environment) as address:
            print(measure(base, address, environment, arguments), flush=True)
    finally:
        shutil.rmtree(base)


def measure(base: Path, address: str, environment: dict[str, str], arguments: argparse.Namespace) -> str:
    """Make the clones, let all go at one moment, and check what came of it."""
    first = CommandLine(base / "first", environment)
    first.directory.mkdir()
    first.ok("init", "-q")
    (first.directory / "newest").write_text("first")
    first.ok("commit", "-q", "-m", "first")
    first.ok("remote", "add", "origin", address)
    first.ok("push", "-q")
    writers = [f"w{number}" for number in range(arguments.writers)]
    readers = [f"r{number}" for number in range(arguments.readers)]
    CommandLine(base, environment).ok("clone", "-q", address, "clone")
    for name in (*writers, *readers):
        shutil.copytree(base / "clone", base / name)
    said, start, done = FORK.SimpleQueue(), FORK.Barrier(len(writers) + len(readers) + 1), FORK.Event()

    def begun(name: str, work: Callable[[CommandLine], object]) -> None:
        person = CommandLine(base / name, environment)
        start.wait(600)
        try:
            said.put((name, work(person), ""))
        except BaseException:  # noqa: BLE001
            said.put((name, None, traceback.format_exc()))

    def write(person: CommandLine) -> int:
        name, tries = person.directory.name, 0
        for number in range(arguments.commits):
            (person.directory / f"{name}-{number}").write_bytes(random.Random(f"{name}-{number}").randbytes(2000))
            (person.directory / "of" / name).parent.mkdir(exist_ok=True)
            (person.directory / "of" / name).write_text(str(number))
            person.ok("commit", "-q", "-m", f"{name}-{number}")
            for _ in range(_TRIES):
                tries += 1
                answer = person("push", "-q")
                if answer.code == 0:
                    break
                assert answer.code in (11, 12), answer.err
                person.ok("pull", "-q", "--rebase")
            else:
                raise AssertionError("never landed")
        return tries

    def read(person: CommandLine) -> list[str]:
        seen: list[str] = []
        while True:
            last = done.is_set()
            person.ok("fetch", "-q")
            tip = person.ok("rev-parse", "origin/main").out.strip()
            if not seen or seen[-1] != tip:
                assert person.ok("cat", "origin/main:newest").out == "first"
                seen.append(tip)
            if last:
                return seen

    works = [(name, write) for name in writers] + [(name, read) for name in readers]
    processes = [FORK.Process(target=begun, args=(name, work)) for name, work in works]
    for process in processes:
        process.start()
    start.wait(600)
    began = time.monotonic()
    found: dict[str, object] = {}
    failures: list[str] = []
    for _ in processes:
        name, result, failure = said.get()
        found[name] = result
        failures += [f"{name}: {failure}"] if failure else []
        if all(writer in found for writer in writers):
            if not done.is_set():
                took = time.monotonic() - began
            done.set()
    for process in processes:
        process.join()
    if failures:
        raise SystemExit(f"{len(failures)} failed: {failures[0]}")
    return check(first, writers, readers, found, took=took, arguments=arguments)


def check(
    first: CommandLine,
    writers: list[str],
    readers: list[str],
    found: dict[str, object],
    *,
    took: float,
    arguments: argparse.Namespace,
) -> str:
    """Look at the branch and at what readers saw; return the row."""
    first.ok("pull", "-q")
    rows = [line.split(" ", 2) for line in first.ok("log", "--format=%H %s %P").out.splitlines()]
    line = [row[0] for row in reversed(rows)]
    assert all(len(row[2].split()) <= 1 for row in rows if len(row) == 3), "it is no line"
    wanted = {f"{name}-{number}" for name in writers for number in range(arguments.commits)} | {"first"}
    subjects = [row[1] for row in rows]
    assert len(subjects) == len(wanted), f"{len(subjects)} commits, not {len(wanted)}"
    assert set(subjects) == wanted, "a commit was lost or is there twice"
    for name in writers:
        for number in range(arguments.commits):
            data = (first.directory / f"{name}-{number}").read_bytes()
            assert data == random.Random(f"{name}-{number}").randbytes(2000), f"{name}-{number} holds something else"
    places = {commit: number for number, commit in enumerate(line)}
    states = 0
    for name in readers:
        seen = found[name]
        assert isinstance(seen, list)
        order = [places[commit] for commit in seen]
        assert order == sorted(set(order)), f"{name} saw the branch go back"
        assert seen[-1] == line[-1], f"{name} did not see the end"
        states += len(seen)
    first.ok("fsck")
    first.ok("fsck", "--remote", "origin")
    tries = sum(count for count in found.values() if isinstance(count, int))
    return (
        f"| {len(writers)} writers, {len(readers)} readers, {arguments.place} | {len(wanted) - 1} commits in one line "
        f"| {took:.0f} s | {tries} pushes tried | {states / max(1, len(readers)):.1f} states seen by each reader |"
    )


if __name__ == "__main__":
    main()
