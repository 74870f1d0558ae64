"""Measure what a large history, a wide merge, one huge file and the start-up cost.

    python bench/scale.py CASE... [--base FOLDER] [--keep] [--runs N]

Cases: `startup`, `history` (100,000 commits, compared with git), `merge` (two branches of 300,000 files), `huge` (one
file of 10 GB), `flat` (a directory of 1,000,000 files; slow). Data is made below --base, through the Python interface
and in a process of its own, and deleted at the end; with --keep it stays and the next run uses it again. Each command
is a new `dsvc` process; times are medians of --runs runs, taken in turn with what they are compared with; memory is the
largest ru_maxrss of the command's process. The table is Markdown.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scale_data import (
    FILES,
    make_flat,
    make_git_history,
    make_history,
    make_huge,
    make_small,
    make_wide,
    make_wide_branches,
    pack_bytes,
)

DSVC = str(Path(sys.executable).with_name("dsvc"))
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "DSVC_USER_NAME": "Bench",
    "DSVC_USER_EMAIL": "bench@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_PAGER": "cat",
}


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took: seconds, seconds of processor time and MiB."""

    seconds: float
    busy: float
    memory: float


def run(folder: Path, *command: str) -> Run:
    """Run a command; its output is thrown away."""
    began = time.perf_counter()
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{errors.decode()}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each figure, of memory the largest."""
    return Run(
        statistics.median(r.seconds for r in runs),
        statistics.median(r.busy for r in runs),
        max(r.memory for r in runs),
    )


@dataclass(slots=True)
class Bench:
    """Where data lies, how often to run, and the rows so far."""

    base: Path
    runs: int
    arguments: argparse.Namespace
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def in_turn(self, *commands: tuple[Path, Sequence[str]]) -> list[Run]:
        """Run commands in turn, each once unmeasured; return the median of each."""
        found: list[list[Run]] = [[] for _ in commands]
        for at in range(self.runs + 1):
            for (folder, command), runs in zip(commands, found, strict=True):
                taken = run(folder, *command)
                if at:
                    runs.append(taken)
        return [median(runs) for runs in found]

    def row(self, what: str, taken: Run, compared: str = "", limit: str = "") -> None:
        """Print a row."""
        cells = (f"{taken.seconds:.3f} s", f"{taken.busy:.3f} s", f"{taken.memory:.0f} MiB", compared, limit)
        self.rows.append((what, *cells))
        print(f"| {what} | {' | '.join(cells)} |", flush=True)

    def make(self, folder: Path, work: Callable[..., None], *arguments: object) -> None:
        """Make data in a process of its own, so that this one stays small: its size counts in its children's."""
        if folder.exists():
            return
        process = multiprocessing.get_context("fork").Process(target=work, args=(folder, *arguments))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{folder} could not be made")


def startup(bench: Bench) -> None:
    """Time the bare start and `status` in a small repository."""
    folder = bench.base / "small"
    bench.make(folder, make_small)
    run(folder, DSVC, "commit", "-q", "-m", "ten files", "--allow-empty")
    python, version, status = bench.in_turn(
        (folder, (sys.executable, "-c", "pass")), (folder, (DSVC, "--version")), (folder, (DSVC, "status"))
    )
    bench.row("`python -c pass`", python)
    for name, taken, limit in (("--version", version, 110), ("status", status, 170)):
        over = (taken.seconds - python.seconds) * 1000, (taken.busy - python.busy) * 1000
        bench.row(f"`dsvc {name}`", taken, f"+{over[0]:.0f} ms (processor +{over[1]:.0f} ms)", f"+{limit} ms")


def history(bench: Bench) -> None:
    """Time what reads a long history, against git with a commit-graph."""
    count = bench.arguments.commits
    own, git = bench.base / "history" / "dsvc", bench.base / "history" / "git"
    bench.make(own, make_history, count)
    bench.make(git, make_git_history, count)
    graph = own / ".dsvc" / "cache" / "commit-graph"
    run(own, DSVC, "reset", "--hard")
    if graph.exists():
        graph.unlink()
    bench.row("reset --hard: without commit graph", run(own, DSVC, "reset", "--hard"))
    graph.unlink(missing_ok=True)
    bench.row("log -n 20 --graph --all: without commit graph", run(own, DSVC, "log", "-n", "20", "--graph", "--all"))
    graph.unlink(missing_ok=True)
    bench.row("gc: makes the graph", run(own, DSVC, "gc"))
    path, folder = FILES[123].decode(), FILES[123].decode().rpartition("/")[0]
    commands = {
        ("log", "-n", "20", "--graph", "--all"): "start-up + 0.4 s",
        ("merge-base", "old-a", "old-b"): "0.5 s",
        ("merge-base", "main", "old-a"): "0.5 s",
        ("merge-base", "main", "long"): "",
        ("log", "--", path): "3x git",
        ("log", "--", folder): "3x git",
        ("log", "--graph", "--oneline", "--", path): "",
        ("log", "-n", "1000"): "",
        ("status",): "",
        ("describe", "--tags"): "",
        ("branch", "--contains", "v1"): "",
        ("log", "--oneline", "-n", "1", "main..long"): "",
    }
    for command, limit in commands.items():
        version, own_run, git_run = bench.in_turn(
            (own, (DSVC, "--version")), (own, (DSVC, *command)), (git, ("git", *command))
        )
        over = own_run.seconds - version.seconds
        ratio = own_run.seconds / git_run.seconds
        compared = f"+{over:.2f} s over start-up; git {git_run.seconds:.3f} s: {ratio:.1f}x"
        bench.row(f"`dsvc {' '.join(command)}`", own_run, compared, limit)


def merge(bench: Bench) -> None:
    """Time a merge of two branches that each changed one file in a hundred, and a switch between them."""
    count = bench.arguments.files
    folder = bench.base / "wide"
    if not folder.exists():
        bench.make(folder, make_wide, count)
        bench.row(f"commit of {count:,} files", run(folder, DSVC, "commit", "-q", "--yes", "-m", "base"))
        bench.make(folder / ".dsvc" / "made", make_wide_branches, count)
        run(folder, DSVC, "switch", "-q", "ours")
    bench.row(f"`dsvc status` of {count:,} files", run(folder, DSVC, "status"))
    there, back, merges = [], [], []
    for _ in range(bench.runs):
        there.append(run(folder, DSVC, "switch", "-q", "theirs"))
        back.append(run(folder, DSVC, "switch", "-q", "ours"))
        merges.append(run(folder, DSVC, "merge", "-q", "theirs"))
        run(folder, DSVC, "reset", "-q", "--hard", "HEAD^1")
    bench.row(f"`dsvc switch`: {count // 50:,} files differ", median([*there, *back]))
    bench.row(f"`dsvc merge`: {count // 100:,} files changed on each side", median(merges), limit="3 s, 300 MiB")


def huge(bench: Bench) -> None:
    """Take one huge file through commit, status and restore."""
    size = int(bench.arguments.gigabytes * 10**9)
    folder = bench.base / "huge"
    if shutil.disk_usage(bench.base).free < 3.2 * size:
        raise SystemExit("huge: not enough room on the disk")
    bench.make(folder, make_huge, size)
    limit = "300 MiB"
    what = f"{bench.arguments.gigabytes:g} GB"
    bench.row(f"`dsvc commit` of {what}", run(folder, DSVC, "commit", "-q", "--yes", "-m", "huge"), limit=limit)
    bench.row("`dsvc status`", run(folder, DSVC, "status"), limit=limit)
    (folder / "model.bin").unlink()
    bench.row(f"`dsvc restore` of {what}", run(folder, DSVC, "restore", "-q", "model.bin"), limit=limit)
    with (folder / "model.bin").open("r+b") as file:
        file.seek(size // 2)
        file.write(b"changed in the middle")
    bench.row("`dsvc commit` after a change inside", run(folder, DSVC, "commit", "-q", "-m", "changed"), limit=limit)
    bench.row("`dsvc switch` to the one before", run(folder, DSVC, "switch", "-q", "--detach", "HEAD~1"), limit=limit)


def flat(bench: Bench) -> None:
    """Change one file in a directory of very many."""
    count = bench.arguments.entries
    folder = bench.base / "flat"
    bench.make(folder, make_flat, count)
    bench.row(f"commit of {count:,} files", run(folder, DSVC, "commit", "-q", "--yes", "-m", "all"))
    bench.row("`dsvc status`", run(folder, DSVC, "status"))
    (folder / "d" / "f0000077.txt").write_bytes(b"changed\n")
    before = pack_bytes(folder)
    taken = run(folder, DSVC, "commit", "-q", "-m", "one")
    written = sum(size for name, size in pack_bytes(folder).items() if name not in before)
    bench.row("`dsvc commit` of one changed file", taken, f"{written / 1000:.0f} KB written", "1 MB")


CASES = {"startup": startup, "history": history, "merge": merge, "huge": huge, "flat": flat}


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=CASES, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--base", type=Path, help="a folder for the data (a temporary one)")
    parser.add_argument("--keep", action="store_true", help="leave the data there")
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each command (5)")
    parser.add_argument("--commits", type=int, default=100_000, help="of `history`")
    parser.add_argument("--files", type=int, default=300_000, help="of `merge`")
    parser.add_argument("--gigabytes", type=float, default=10, help="of `huge`")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of `flat`")
    arguments = parser.parse_args()
    if arguments.base is not None:
        arguments.base.mkdir(parents=True, exist_ok=True)
    base = Path(tempfile.mkdtemp(prefix="dsvc-scale-", dir=arguments.base)) if not arguments.keep else arguments.base
    if base is None:
        parser.error("--keep needs --base")
    bench = Bench(base.resolve(), arguments.runs, arguments)
    print("| what | time | processor | memory | compared | limit |\n| --- | ---: | ---: | ---: | --- | --- |")
    try:
        for case in arguments.cases:
            CASES[case](bench)
    finally:
        if not arguments.keep:
            shutil.rmtree(base)


if __name__ == "__main__":
    main()
