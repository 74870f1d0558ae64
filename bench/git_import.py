"""Time the import of a generated git history against `git fast-export | git fast-import`.

    python bench/git_import.py [COMMITS]

The history has 600 files in 60 directories, three of them changed a commit, and a side branch every twenty commits
that is merged again. Both read the same repacked repository; dsvc imports into a new repository on disk. Peak memory
is this process's own (`ru_maxrss`), which runs nothing but the import.
"""

# ruff: noqa: S311, T201 -- a script that prints, and random data by a fixed seed

from __future__ import annotations

import cProfile
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from dsvc.gitbridge.importing import import_git
from dsvc.refs.transaction import Act
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

WORDS = [b"alpha", b"beta", b"gamma", b"delta", b"epsilon", b"zeta", b"eta", b"theta"]


def generate(out: BinaryIO, commits: int) -> None:
    """Write a history as a fast-import stream."""
    r = random.Random(7)

    def line() -> bytes:
        return b" ".join(r.choice(WORDS) for _ in range(8))

    files = [b"src/d%02d/s%d/f%03d.py" % (i % 20, i % 3, i) for i in range(600)]
    content = {name: [line() for _ in range(40)] for name in files}
    for i in range(1, commits + 1):
        side = i % 20 in (10, 11, 12)
        message = b"change number %d\n\n%s\n%s\n" % (i, line(), line())
        who = b"%d +0200" % (1_500_000_000 + i * 60)
        out.write(b"commit refs/heads/%s\nmark :%d\n" % (b"side" if side else b"main", i))
        out.write(b"author A U Thor <a@example.org> %s\ncommitter C O Mitter <c@example.org> %s\n" % (who, who))
        out.write(b"data %d\n%s\n" % (len(message), message))
        if i > 1:
            out.write(b"from :%d\n" % (i - 4 if i % 20 == 13 else i - 1))
        if i % 20 == 15:
            out.write(b"merge :%d\n" % (i - 3))
        for name in files if i == 1 else r.sample(files, 3):
            content[name][r.randrange(40)] = line()
            data = b"\n".join(content[name])
            out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(data), data))
    out.write(b"done\n")


def main() -> None:
    """Generate, time both sides, print the ratio, the peak memory and the profile."""
    commits = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target, store = folder / "source", folder / "target", folder / "store"
        for bare in (source, target):
            subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True)
        with subprocess.Popen(["git", "-C", source, "fast-import", "--quiet"], stdin=subprocess.PIPE) as git:
            assert git.stdin is not None
            generate(git.stdin, commits)  # type: ignore[arg-type]
            git.stdin.close()
        subprocess.run(["git", "-C", source, "repack", "-adq"], check=True)

        began = time.perf_counter()
        pipe = f"git -C {source} fast-export --all | git -C {target} fast-import --quiet"
        subprocess.run(["sh", "-c", pipe], check=True)
        git_time = time.perf_counter() - began

        staging = folder / "staging"
        staging.mkdir()
        act = Act("git import", "import", "bench", "bench", "", 0, 0)
        repo = Repository.create(LocalBackend(store), lambda: staging, act=act, refs={})
        profile = cProfile.Profile() if "--profile" in sys.argv else None
        began = time.perf_counter()
        if profile:
            profile.enable()
        result = import_git(repo, source, publish=lambda tx, *_: repo.publish(tx, act), map_path=folder / "git-map")
        if profile:
            profile.disable()
        own_time = time.perf_counter() - began
        assert repo.view().commit("heads/main") is not None
        assert result.commits == commits
        size = sum(p.stat().st_size for p in store.rglob("*") if p.is_file())
        again = time.perf_counter()
        import_git(repo, source, publish=lambda tx, *_: repo.publish(tx, act), map_path=folder / "git-map")
        print(f"git fast-export | git fast-import  {git_time:6.2f} s")
        print(f"dsvc git import                    {own_time:6.2f} s  ratio {own_time / git_time:.2f}")
        print(f"import again, nothing new          {time.perf_counter() - again:6.2f} s")
        print(f"store {size / 1e6:.1f} MB, peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
