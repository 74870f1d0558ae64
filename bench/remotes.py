"""Push and clone beside other tools, on the loopback interface, in one run.

    python bench/remotes.py s3 --workloads FOLDER --load tiny --scale 0.1
    python bench/remotes.py ssh --workloads FOLDER --load model --scale 0.125 --rounds 3

FOLDER holds `workloads.py` with `make(name, root, scale)` and `edit(name, root, version, scale)`, which write the same
files each time; `--python` names an interpreter that can run it. Each tool takes its snapshot first, which is not
timed except where that is the transfer (restic, rsync). Steps: push everything to an empty place; bring it all to an
empty folder, files and all; change about a hundredth; push that. All tools take turns at each step; the best of each
counts. Files that come back are compared, and a difference prints WRONG. A tool that is missing is left out.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed, program
from tests.servers.sshd import DSVC, Sshd, start_sshd, stop_sshd
from tests.servers.tcp_proxy import TcpProxy

BIN = Path(sys.executable).parent
BOTO = """
import sys, os, boto3
way, bucket, path = sys.argv[1:]
client = boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL_S3'])
client.upload_file(path, bucket, 'tar') if way == 'up' else client.download_file(bucket, 'tar', path)
"""


@dataclass
class Cost:
    """Wall and processor seconds, and MiB of the largest process."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


@dataclass
class Bench:
    """Where everything is. `place` is the address of an empty bucket or folder for the tool that is at it."""

    base: Path
    environment: dict[str, str]
    server: Seaweed | Sshd
    place: str = ""
    log: Path = Path("bench.log")
    numbers: int = 0

    def renew(self) -> None:
        """Take an empty bucket or folder."""
        self.numbers += 1
        if isinstance(self.server, Seaweed):
            self.place = self.server.bucket()
        else:
            self.place = str(self.base / f"far-{self.numbers}")
            Path(self.place).mkdir()

    def run(self, *words: str | Path, at: Path, environment: dict[str, str] | None = None) -> Cost:
        """Run a command to its end."""
        start = time.perf_counter()
        with open(self.log, "ab") as log:
            log.write(f"$ {' '.join(map(str, words))}\n".encode())
            process = subprocess.Popen(
                list(map(str, words)), cwd=at, env=environment or self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{words[0]} ended with {process.returncode}; see {self.log}")
        return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@dataclass
class Tool:
    """One tool in its own folder; `work / "data"` are the files."""

    name: str
    bench: Bench
    work: Path
    binary: str = ""
    place: str = ""

    @property
    def s3(self) -> bool:
        return isinstance(self.bench.server, Seaweed)

    def run(self, *words: str | Path, at: Path | None = None) -> Cost:
        return self.bench.run(*words, at=at or self.work)

    def begin(self) -> None: ...
    def snapshot(self) -> None: ...
    def target(self) -> None: ...
    def push(self) -> list[Cost]: ...
    def clone(self, to: Path) -> list[Cost]: ...


class Dsvc(Tool):
    dsvc = str(BIN / "dsvc")

    def begin(self) -> None:
        self.run(self.dsvc, "init", "-q")
        (self.work / ".dsvcignore").unlink(missing_ok=True)

    def snapshot(self) -> None:
        self.run(self.dsvc, "commit", "-q", "--yes", "-m", "v")

    @property
    def address(self) -> str:
        return f"s3://{self.place}/dsvc" if self.s3 else f"ssh://far{self.place}"

    def target(self) -> None:
        self.place = self.bench.place
        subprocess.run([self.dsvc, "remote", "remove", "origin"], cwd=self.work, capture_output=True)  # noqa: PLW1510
        self.run(self.dsvc, "remote", "add", "origin", self.address)
        if not self.s3:
            self.run(self.dsvc, "config", "remote.origin.command", DSVC)

    def push(self, what: str = "main") -> list[Cost]:
        return [self.run(self.dsvc, "push", "-q", "origin", what)]

    def clone(self, to: Path) -> list[Cost]:
        return [self.run(self.dsvc, "-c", f"remote.origin.command={DSVC}", "clone", "-q", self.address, to)]

    def stored(self) -> int:
        text = subprocess.run(
            [self.dsvc, "remote", "show", "--json", "origin"], cwd=self.work, env=self.bench.environment, check=True,
            capture_output=True,
        ).stdout  # fmt: skip
        return int(json.loads(text)["bytes"])


class Tar(Tool):
    """A plain upload, or scp, of one tar; bringing it back includes unpacking, sending it not the packing."""

    def snapshot(self) -> None:
        self.run("tar", "cf", "all.tar", "data")

    def target(self) -> None:
        self.place = self.bench.place

    def push(self) -> list[Cost]:
        tar = self.work / "all.tar"
        if self.s3:
            return [self.run(sys.executable, "-c", BOTO, "up", self.place, tar)]
        return [self.run("scp", "-q", "-F", self.bench.server.config, tar, f"far:{self.place}/all.tar")]

    def clone(self, to: Path) -> list[Cost]:
        to.mkdir()
        if self.s3:
            first = self.run(sys.executable, "-c", BOTO, "down", self.place, to / "all.tar")
        else:
            first = self.run("scp", "-q", "-F", self.bench.server.config, f"far:{self.place}/all.tar", to / "all.tar")
        return [first, self.run("tar", "xf", "all.tar", at=to)]


class Dvc(Tool):
    def begin(self) -> None:
        self.run("git", "init", "-q", "-b", "main")
        self.run(self.binary, "init", "-q")

    def snapshot(self) -> None:
        self.run(self.binary, "add", "-q", "data")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "v")

    def target(self) -> None:
        self.place = self.bench.place
        self.run(self.binary, "remote", "add", "-q", "-f", "-d", "far", f"s3://{self.place}/dvc")
        url = self.bench.environment["AWS_ENDPOINT_URL_S3"]
        self.run(self.binary, "remote", "modify", "far", "endpointurl", url)
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", "remote")

    def push(self) -> list[Cost]:
        return [self.run(self.binary, "push", "-q")]

    def clone(self, to: Path) -> list[Cost]:
        return [self.run("git", "clone", "-q", self.work, to), self.run(self.binary, "pull", "-q", at=to)]


class Restic(Tool):
    def words(self) -> list[str]:
        if self.s3:
            return ["restic", "-q", "--no-cache", "-r", f"s3:{self.bench.server.endpoint}/{self.place}/restic"]
        command = f"ssh -F {self.bench.server.config} far -s sftp"
        return ["restic", "-q", "--no-cache", "-o", f"sftp.command={command}", "-r", f"sftp:far:{self.place}/restic"]

    def target(self) -> None:
        self.place = self.bench.place
        self.run(*self.words(), "init")

    def push(self) -> list[Cost]:
        return [self.run(*self.words(), "backup", "data")]

    def clone(self, to: Path) -> list[Cost]:
        return [self.run(*self.words(), "restore", "latest", "--target", to)]


class Git(Tool):
    def begin(self) -> None:
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "config", "gc.auto", "0")

    def snapshot(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "v")

    def target(self) -> None:
        self.place = self.bench.place
        self.run("git", "init", "-q", "--bare", "-b", "main", self.place)

    def push(self) -> list[Cost]:
        return [self.run("git", "push", "-q", f"far:{self.place}", "main")]

    def clone(self, to: Path) -> list[Cost]:
        return [self.run("git", "clone", "-q", f"far:{self.place}", to)]


class Rsync(Tool):
    def words(self) -> list[str]:
        return ["rsync", "-a", "-e", f"ssh -F {self.bench.server.config}"]

    def target(self) -> None:
        self.place = self.bench.place

    def push(self) -> list[Cost]:
        return [self.run(*self.words(), "data", f"far:{self.place}/")]

    def clone(self, to: Path) -> list[Cost]:
        return [self.run(*self.words(), f"far:{self.place}/", to)]


TOOLS: dict[str, dict[str, tuple[type[Tool], str]]] = {
    "s3": {"dsvc": (Dsvc, ""), "tar by boto3": (Tar, "tar"), "restic": (Restic, "restic"), "dvc": (Dvc, "dvc")},
    "ssh": {
        "dsvc": (Dsvc, ""), "tar by scp": (Tar, "scp"), "rsync": (Rsync, "rsync"), "restic": (Restic, "restic"),
        "git": (Git, "git"),
    },
}  # fmt: skip


@dataclass
class Results:
    """Step -> tool -> the best of all rounds."""

    rows: dict[str, dict[str, Cost]] = field(default_factory=dict)
    wrong: set[tuple[str, str]] = field(default_factory=set)

    def note(self, step: str, tool: str, costs: Sequence[Cost]) -> None:
        cost = Cost(sum(c.wall for c in costs), sum(c.cpu for c in costs), max(c.memory for c in costs))
        best = self.rows.setdefault(step, {}).get(tool)
        if best is None or cost.wall < best.wall:
            self.rows[step][tool] = cost
        print(f"# {step}, {tool}: {cost.wall:.2f} s, {cost.cpu:.2f} s of processor", file=sys.stderr, flush=True)
        subprocess.run(["sync"], check=True)

    def show(self, title: str, tools: Sequence[str]) -> None:
        print(title.ljust(28) + "".join(name.rjust(20) for name in tools))
        for step, row in self.rows.items():
            cells = []
            ours = row.get("dsvc")
            for name in tools:
                cost = row.get(name)
                text = "-" if cost is None else f"{cost.wall:.2f}s"
                if cost is not None and ours is not None and name != "dsvc":
                    text += f" {cost.wall / ours.wall:.2f}x"
                cells.append((text + (" WRONG" if (step, name) in self.wrong else "")).rjust(20))
            print(step.ljust(28) + "".join(cells))
            times = (f"{row[name].cpu:.2f}s" if name in row else "-" for name in tools)
            print("  processor".ljust(28) + "".join(text.rjust(20) for text in times))
        most = {name: max(row[name].memory for row in self.rows.values() if name in row) for name in tools}
        print("peak memory, MiB".ljust(28) + "".join(f"{most[name]:.0f}".rjust(20) for name in tools))


def measure(args: argparse.Namespace, bench: Bench) -> None:
    tools: dict[str, Tool] = {}
    for name, (kind, needed) in TOOLS[args.place].items():
        if args.tools and name not in args.tools.split(","):
            continue
        binary = args.dvc if needed == "dvc" else needed
        if binary and shutil.which(binary) is None:
            print(f"# {name}: {binary} is not installed, left out")
            continue
        work = bench.base / name.replace(" ", "-")
        work.mkdir()
        tools[name] = kind(name, bench, work, binary)
    source = bench.base / "source"
    workload(args, "make", source, 1)
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    count = sum(path.is_file() for path in source.rglob("*"))
    results = Results()
    for tool in tools.values():
        shutil.copytree(source, tool.work / "data", symlinks=True)
        tool.begin()
        tool.snapshot()
    subprocess.run(["sync"], check=True)
    wanted = digest(source)
    for _ in range(args.rounds):
        for name, tool in tools.items():
            bench.renew()
            tool.target()
            results.note("push all", name, tool.push())
        for name, tool in tools.items():
            to = tool.work.with_name(tool.work.name + "-copy")
            results.note("clone", name, tool.clone(to))
            if digest(to / "data") != wanted:
                results.wrong.add(("clone", name))
            shutil.rmtree(to)
    for name, tool in tools.items():
        workload(args, "edit", tool.work / "data", 2)
        tool.snapshot()
        results.note("push a change", name, tool.push())
    for tool in tools.values():
        if isinstance(tool, Dsvc):
            sent = count_push(bench, tool)
    results.show(f"{args.load} x{args.scale:g}, {args.place}", list(tools))
    print(f"{count:,} files, {size / 1e6:.1f} MB")
    if "dsvc" in tools:
        sent.show()


@dataclass
class Sent:
    """What a push sent, through a proxy that counts: bytes, those newly stored there, requests, those with packs."""

    size: int
    new: int
    requests: int | None
    parts: int

    def show(self) -> None:
        print(f"dsvc, push a change: {self.size:,} bytes sent, {self.new:,} stored newly", end="")
        print(f" ({self.size / max(1, self.new):.2f}x)", end="")
        print("" if self.requests is None else f"; {self.requests} requests, {self.parts} of them with packs")


def count_push(bench: Bench, tool: Dsvc) -> Sent:
    """Push the version before to another empty place, then the change, through a proxy."""
    usual = dict(bench.environment)
    bench.renew()
    tool.target()
    tool.push("HEAD~1:main")
    if isinstance(bench.server, Seaweed):
        with Proxy(bench.server.port).running() as proxy:
            bench.environment["AWS_ENDPOINT_URL_S3"] = proxy.endpoint
            tool.push("HEAD~1:other")  # whether conditions are kept is tried once at an endpoint; this one is new
            before = tool.stored()
            proxy.requests.clear()
            tool.push("main:main")
            taken = list(proxy.requests)
            new = tool.stored() - before
        for one in taken:
            print(f"#   {one.method} {one.target[:60]} {one.size}", file=sys.stderr)
        parts = sum("/packs/" in one.target and one.size > 0 for one in taken)
        sent = Sent(sum(one.size for one in taken), new, len(taken), parts)
    else:
        with TcpProxy(bench.server.port).running() as proxy:
            known = bench.base / "known_hosts"
            known.write_text("far " + bench.server.known_hosts.read_text().split(" ", 1)[1])
            way = f"ssh -o Port={proxy.port} -o HostKeyAlias=far -o UserKnownHostsFile={known} -F {bench.server.config}"
            bench.environment["DSVC_SSH_COMMAND"] = way
            before = tool.stored()
            up = proxy.up
            tool.push("main:main")
            size = proxy.up - up
            new = tool.stored() - before
        sent = Sent(size, new, None, 0)
    bench.environment.clear()
    bench.environment.update(usual)
    return sent


def workload(args: argparse.Namespace, step: str, root: Path, version: int) -> None:
    """Make or change the files in a process of its own."""
    rest = f"{args.scale}" if step == "make" else f"{version}, {args.scale}"
    code = f"import workloads, pathlib; workloads.{step}({args.load!r}, pathlib.Path({str(root)!r}), {rest})"
    subprocess.run([args.python, "-c", code], cwd=args.workloads, check=True)


def digest(root: Path) -> str:
    """A hash of every path and content."""
    command = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum"
    return subprocess.run(["sh", "-c", command], cwd=root, check=True, capture_output=True, text=True).stdout


@contextmanager
def server_for(place: str, folder: Path, environment: dict[str, str]) -> Iterator[Seaweed | Sshd]:
    folder.mkdir()
    if place == "s3":
        weed = Seaweed(program("weed"), folder)
        weed.start()
        environment.update(weed.environment)
        try:
            yield weed
        finally:
            weed.kill()
        return
    # A login's shell reads no start files: they may take longer than all else, and `scp` has no shell.
    (folder / "home").mkdir()
    server, process = start_sshd(folder, home=folder / "home")
    environment["DSVC_SSH_COMMAND"] = environment["GIT_SSH_COMMAND"] = f"ssh -F {server.config}"
    try:
        yield server
    finally:
        stop_sshd(process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", choices=["s3", "ssh"])
    parser.add_argument("--workloads", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable, help="that can run workloads.py")
    parser.add_argument("--dvc", default="dvc", help="the program dvc, with dvc-s3")
    parser.add_argument("--load", default="tiny")
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tools", default="", help="names with commas between; else all")
    parser.add_argument("--base", type=Path)
    args = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="dsvc-bench-", dir=args.base))
    (base / "home").mkdir()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(base / "home"), "LANG": "C.UTF-8", "RESTIC_PASSWORD": "b",
        "DSVC_USER_NAME": "b", "DSVC_USER_EMAIL": "b@example.org", "GIT_AUTHOR_NAME": "b", "GIT_COMMITTER_NAME": "b",
        "GIT_AUTHOR_EMAIL": "b@example.org", "GIT_COMMITTER_EMAIL": "b@example.org", "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_NO_ANALYTICS": "1", "NO_COLOR": "1",
    }  # fmt: skip
    try:
        with server_for(args.place, base / "server", environment) as server:
            measure(args, Bench(base, environment, server, log=base / "log"))
    except RuntimeError:
        print((base / "log").read_text(errors="replace")[-2000:], file=sys.stderr)
        raise
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
