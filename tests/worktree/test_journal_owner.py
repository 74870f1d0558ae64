"""Whether the process that wrote a journal is still there."""

import os
import socket
import subprocess
import sys
import time

import pytest

from dsvc.objects.ids import ObjectId, TreeId
from dsvc.worktree import journal

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")


def write(path, pid):
    tree = TreeId(ObjectId(bytes(32)))
    record = journal.Journal(tree, tree, b"token", pid, socket.gethostname())
    journal.begin(path, record)
    return record


def test_one_that_runs_and_one_that_got_its_number_later(tmp_path):
    path = tmp_path / "journal"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        record = write(path, process.pid)
        assert journal.is_alive(path, record)
        long_ago = time.time() - 10_000
        os.utime(path, (long_ago, long_ago))
        assert not journal.is_alive(path, record)
        process.communicate(b"\n")
    assert not journal.is_alive(path, record)


def test_one_that_ended_and_that_nobody_waited_for(tmp_path):
    path = tmp_path / "journal"
    process = subprocess.Popen([sys.executable, "-c", ""])
    record = write(path, process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not journal.is_alive(path, record)
    process.wait()
