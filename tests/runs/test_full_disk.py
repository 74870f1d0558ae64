"""A disk that fills up before, while and after a command runs: the command goes on, and the record is made later."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.runs.conftest import Project

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
SIZE = 16 << 20
FILL = (
    "import os, sys\n"
    "with open(sys.argv[1], 'ab', buffering=0) as file:\n"
    "    try:\n"
    "        while True: file.write(bytes(65536))\n"
    "    except OSError: pass\n"
    "    try:\n"
    "        while True: file.write(b'0')\n"
    "    except OSError: pass\n"
)


@pytest.fixture
def disk(project, tmp_path):
    mount = tmp_path / "mount"
    mount.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", mount]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        found = Project(mount / "project", project.environment)
        found.folder.mkdir()
        found.ok("init", "-q")
        found.write("data.csv", "1,2\n")
        found.ok("commit", "-qm", "first")
        yield found
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def fill(disk: Project) -> None:
    subprocess.run([sys.executable, "-c", FILL, disk.folder / ".." / "filler"], check=True)


def free(disk: Project) -> None:
    (disk.folder / ".." / "filler").unlink()


def test_full_before_it_begins(disk):
    disk.write("new.bin", os.urandom(100_000))
    fill(disk)
    done = disk("run", "--", "echo", "ran")
    assert done.returncode == 125
    assert done.stdout == b""
    assert b"space" in done.stderr
    assert b"Traceback" not in done.stderr
    free(disk)
    disk.ok("run", "--", "echo", "ran")
    disk.sound()


def test_full_while_it_runs(disk):
    rest = "print('still running', flush=True)\nfor n in range(1000): os.write(1, b'x' * 1000)\nsys.exit(3)\n"
    script = FILL + rest
    done = disk("run", "--", sys.executable, "-c", script, str(disk.folder.parent / "filler"))
    assert done.returncode == 3
    assert done.stdout == b"still running\n" + b"x" * 1_000_000
    assert b"not recorded yet" in done.stderr
    assert b"Traceback" not in done.stderr
    assert disk("status").returncode == 0
    free(disk)
    (run,) = disk.runs()
    assert (run["state"], run["exit_code"]) == ("failed", 3), "how it ended has room of its own"
    assert "; not all of its output was kept" in disk.ok("runs", "show")
    disk.sound()


def test_an_output_that_is_longer_than_the_disk(disk):
    script = "import os, sys\nfor _ in range(40): os.write(int(sys.argv[1]), os.urandom(500_000).hex().encode())\n"
    for stream in "12":
        done = disk("run", "--", sys.executable, "-c", script, stream)
        assert (done.returncode, len(done.stdout + done.stderr) >= 40_000_000) == (0, True)
        assert b"not recorded yet" not in done.stderr
    assert [run["state"] for run in disk.runs()] == ["done", "done"]
    assert "; not all of its output was kept" in disk.ok("runs", "show")
    disk.sound()


def test_full_while_python_logs(disk):
    script = (
        "import dsvc, subprocess, sys\n"
        "run = dsvc.start_run('logs', params={'a': 1})\n"
        "run.log(loss=1.0)\n"
        f"subprocess.run([sys.executable, '-c', {FILL!r}, '../filler'])\n"
        "for n in range(50000): run.log(loss=n)\n"
        "open('data.csv').read()\n"
        "print('done')\n"
    )
    done = disk.python(script)
    assert (done.returncode, done.stdout) == (0, b"done\n"), done.stderr
    assert done.stderr.count(b"the run loses what is logged") == 1
    assert b"Traceback" not in done.stderr
    free(disk)
    (run,) = disk.runs()
    assert (run["name"], run["params"]) == ("logs", {"a": 1})
    assert disk.shown()["series"][0]["count"] >= 1
    disk.sound()


def test_points_that_are_more_than_the_disk_holds(disk):
    script = (
        "import dsvc\n"
        "with dsvc.start_run() as run:\n"
        "    for n in range(600_000): run.log(loss=n / 7, gain=n * 3.3)\n"
        "    run.metric('last', 1)\n"
        "print('done')\n"
    )
    done = disk.python(script)
    assert (done.returncode, done.stdout) == (0, b"done\n"), done.stderr
    assert done.stderr.count(b"the run loses what is logged") == 1
    run = disk.shown()
    assert (run["state"], run["metrics"]["last"]) == ("done", 1)
    assert 10_000 < run["series"][0]["count"] < 600_000
    disk.sound()


def test_full_before_python_begins_a_run(disk):
    disk.write("new.bin", os.urandom(100_000))
    fill(disk)
    done = disk.python("import dsvc\ndsvc.start_run('x')\n")
    assert done.returncode == 1
    assert b"the run cannot be recorded: No space left on device" in done.stderr.splitlines()[-1]
    free(disk)
    disk.python("import dsvc\ndsvc.start_run('x')\n")
    disk.sound()


def test_read_only_afterwards(disk):
    mount = disk.folder.parent
    process = disk.start("run", "--", "sh", "-c", "echo begun; read line; exit 4", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    process.kill()
    process.communicate()
    subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
    try:
        assert disk("log").returncode == 0
        assert disk("runs").returncode == 0
    finally:
        subprocess.run(["mount", "-o", "remount,rw", mount], check=True)
    assert [run["state"] for run in disk.runs()] == ["lost"]
    disk.sound()
