"""`dsvc run` in a terminal: the command has one too, Ctrl-C reaches it once, and it learns of another size."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest

from tests.runs.conftest import until

SCRIPT = """
import os, signal, sys, time
print(sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size(1).columns, flush=True)
count = 0
def stop(number, frame):
    global count
    count += 1
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGWINCH, lambda *_: None)
os.write(1, b'ready\\n')
for _ in range(600):
    time.sleep(0.05)
    if os.get_terminal_size(1).columns == 55: os.write(1, b'55 columns\\n'); break
for _ in range(600):
    time.sleep(0.05)
    if count: break
time.sleep(0.5)
os.write(1, b'interrupted %d\\n' % count)
sys.exit(count)
"""


class Terminal:
    """A process that has a terminal of its own, and what it wrote there."""

    def __init__(self, project, *words: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(project.folder)
            os.execve(sys.executable, [sys.executable, "-m", "dsvc", *words], project.environment)
        termios.tcsetwinsize(self.fd, (20, 77))
        self.text = b""

    def read(self) -> bool:
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            return False
        self.text += data
        return bool(data)

    def wait_for(self, text: bytes) -> None:
        while text not in self.text:
            assert self.read(), self.text

    def finish(self) -> int:
        while self.read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def terminal(project):
    return lambda *words: Terminal(project, *words)


def test_a_terminal_of_its_own(project, terminal):
    run = terminal("run", "--", sys.executable, "-c", SCRIPT)
    run.wait_for(b"ready")
    assert b"True True 77" in run.text
    termios.tcsetwinsize(run.fd, (20, 55))
    run.wait_for(b"55 columns")
    os.write(run.fd, b"\x03")
    run.wait_for(b"interrupted")
    assert run.finish() == 1
    assert b"interrupted 1\r\n" in run.text
    assert project.shown()["exit_code"] == 1
    assert "\r" not in project.ok("runs", "show", "--log")


def test_the_keyboard_reaches_the_command(project, terminal):
    run = terminal("run", "-q", "--", "sh", "-c", "echo name?; read name; echo hello $name")
    run.wait_for(b"name?")
    os.write(run.fd, b"Ada\n")
    assert run.finish() == 0
    assert b"hello Ada" in run.text


def test_a_command_that_ctrl_c_ends(project, terminal):
    run = terminal("run", "--", "sleep", "60")
    until(lambda: [one["state"] for one in project.runs()] == ["running"])
    time.sleep(0.3)
    os.write(run.fd, b"\x03")
    assert run.finish() == 128 + signal.SIGINT
    assert project.shown()["signal"] == signal.SIGINT


def test_bytes_are_not_changed(project, terminal):
    run = terminal("run", "-q", "--", sys.executable, "-c", r"import os; os.write(1, bytes(range(256)) + b'\r\n\n')")
    assert run.finish() == 0
    log = subprocess.run(
        [sys.executable, "-m", "dsvc", "runs", "show", "--log"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        check=True,
    )
    assert log.stdout == bytes(range(256)) + b"\r\n\n"
