"""How a command ends, and what becomes of dsvc and of the record then: real processes, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.runs.conftest import files, until


@pytest.mark.parametrize("code", [0, 1, 3, 125, 255])
def test_the_exit_code_is_the_commands(project, code):
    assert project("run", "--", "sh", "-c", f"exit {code}").returncode == code
    run = project.shown()
    assert (run["exit_code"], run["state"]) == (code, "failed" if code else "done")


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
def test_a_command_that_a_signal_ends(project, name):
    number = getattr(signal, f"SIG{name}")
    assert project("run", "--", "sh", "-c", f"kill -{name} $$").returncode == 128 + number
    run = project.shown()
    assert (run["signal"], run["exit_code"], run["state"]) == (number, None, "killed")
    assert f"killed (SIG{name})" in project.ok("runs", "show")


def test_who_loses_the_race_for_the_commit_need_not_run_again(project):
    words = ("run", "-q", "--commit", "--", "sh", "-c")
    begun = [project.start(*words, f"sleep 0.3; echo {name} >{name}") for name in "abcdef"]
    told = [process.communicate(timeout=120)[1].decode() for process in begun]
    assert [process.returncode for process in begun] == [0] * len(begun)
    for text in told:
        assert "run the same command again" not in text
        assert "not committed" not in text or "hint: dsvc commit\n" in text
    assert len(project.runs()) == len(begun)
    project.sound()


def test_a_command_that_does_not_exist(project):
    done = project("run", "--", "no-such-command")
    assert done.returncode == 127
    assert b"no command no-such-command" in done.stderr
    assert project.runs() == []


@pytest.mark.parametrize("content", [None, "no program\n", "#!/no/such/interpreter\n"])
def test_a_command_that_cannot_be_executed(project, content):
    path = project.folder / "thing"
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
        path.chmod(0o644 if content == "no program\n" else 0o755)
    done = project("run", "--", "./thing")
    assert done.returncode == 126, done.stderr
    assert b"Traceback" not in done.stderr
    assert project.runs() == []


def test_what_fails_before_the_command_begins_is_125(project, tmp_path):
    assert project("run", "-i", "missing.csv", "--", "touch", "made").returncode == 125
    assert not (project.folder / "made").exists()
    outside = project("run", "--", "true", cwd=tmp_path)
    assert outside.returncode == 125
    assert b"no dsvc repository" in outside.stderr
    bare = {**project.environment, "PATH": "/nowhere"}
    no_strace = project("run", "--trace", "strace", "--", "/bin/true", env=bare)
    assert no_strace.returncode == 125
    assert b"strace is not installed" in no_strace.stderr


def test_a_command_line_that_makes_no_sense_is_125_as_well(project):
    for words in ([], ["--nonsense", "--", "true"], ["-p", "noequals", "--", "true"], ["-l", "=x", "--", "true"]):
        assert project("run", *words).returncode == 125  # 2 may be what the command says
    asked = project("run", "--json", "--trace", "none_such", "--", "true")
    assert (asked.returncode, json.loads(asked.stderr)["exit_code"]) == (125, 125)


def test_a_private_key_is_not_taken_along_unasked(project):
    line = "MIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aZz9MDkUxZ6Xb1kQ\n"
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{line * 4}-----END RSA PRIVATE KEY-----\n"
    project.write("notes.txt", key)
    done = project("run", "--", "touch", "made")
    assert done.returncode == 125
    assert b"notes.txt" in done.stderr
    assert not (project.folder / "made").exists()
    assert project("run", "--yes", "--", "touch", "made").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_signals_are_passed_on(project, number):
    script = (
        "import os, signal, sys, time\n"
        "def stop(number, frame):\n    os.write(1, b'got %d\\n' % number); sys.exit(7)\n"
        f"signal.signal({int(number)}, stop)\nos.write(1, b'ready\\n')\ntime.sleep(60)\n"
    )
    process = project.start("run", "--", sys.executable, "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert out == f"got {int(number)}\n".encode(), (process.returncode, err)
    assert process.returncode == 7
    assert project.shown()["exit_code"] == 7


def test_signals_are_passed_on_after_a_stop(project):
    script = (
        "import os, signal, sys, time\n"
        "def stop(number, frame):\n    os.write(1, b'got %d\\n' % number); sys.exit(7)\n"
        f"for number in {[int(one) for one in (signal.SIGTERM, signal.SIGUSR1)]}: signal.signal(number, stop)\n"
        "os.write(1, b'ready\\n')\ntime.sleep(60)\n"
    )
    process = project.start("run", "--", sys.executable, "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.7)
    process.send_signal(signal.SIGCONT)  # which interrupts a wait for signals, and is nothing to pass on
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert out == f"got {int(signal.SIGTERM)}\n".encode(), (process.returncode, err)
    assert b"Traceback" not in err
    assert process.returncode == 7


def test_the_command_has_no_signals_blocked_or_ignored(project):
    script = (
        "import signal\n"
        "assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()\n"
    )
    project.ok("run", "-q", "--", sys.executable, "-c", script)
    ignored = project.ok("run", "-q", "--", "grep", "SigIgn", "/proc/self/status").split()[1]
    assert int(ignored, 16) & 0x7FFFFFFF == 0


def test_output_comes_as_it_is_written(project):
    process = project.start("run", "--", "sh", "-c", "echo first; read line; echo $line", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"first\n"
    process.stdin.write(b"second\n")
    process.stdin.close()
    process.stdin = None
    assert process.communicate(timeout=60)[0] == b"second\n"
    run = project.shown()
    assert run["logs"]["stdout"]["size"] == len("first\nsecond\n")
    assert project.ok("runs", "show", "--log") == "first\nsecond\n"


def test_both_streams_are_kept_apart(project):
    done = project("run", "-q", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert project.ok("runs", "show", "--log") == "out\n"
    assert project.ok("runs", "show", "--err") == "err\n"


def test_a_reader_that_leaves(project):
    process = project.start("run", "--", "yes")
    assert process.stdout.read(4) == b"y\ny\n"
    process.stdout.close()
    process.stdout = None
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGPIPE
    assert project.shown()["signal"] == signal.SIGPIPE
    project.sound()


@pytest.mark.slow
def test_a_gigabyte_of_output(project):
    size = 1 << 30
    script = (
        f"import os\nblock = b'0123456789abcde\\n' * 65536\nfor _ in range({size} // len(block)): os.write(1, block)"
    )
    process = project.start("run", "-q", "--", sys.executable, "-c", script)
    seen = peak = 0
    while data := process.stdout.read(1 << 20):
        seen += len(data)
        # What wait4 tells is at least the size of the process that started it.
        with contextlib.suppress(StopIteration, OSError), open(f"/proc/{process.pid}/status") as file:
            peak = max(peak, int(next(line for line in file if line.startswith("VmHWM")).split()[1]))
    assert process.wait() == 0
    assert seen == size
    assert 0 < peak < 400 << 10, f"{peak >> 10} MiB"
    assert project.shown()["logs"]["stdout"]["size"] == size
    project.sound()


def test_a_daemon_that_leaves_is_not_waited_for(project):
    script = "(sleep 60; echo late) >daemon.log 2>&1 </dev/null & echo $! >pid; echo done"
    assert project.ok("run", "-q", "--", "sh", "-c", script) == "done\n"
    project.sound()
    os.kill(int((project.folder / "pid").read_text()), signal.SIGKILL)


def test_a_daemon_that_holds_the_output_is_not_waited_for(project):
    began = time.monotonic()
    assert project.ok("run", "-q", "--", "sh", "-c", "sleep 100 & echo $! >pid; echo done") == "done\n"
    assert time.monotonic() - began < 60
    run = project.shown()
    assert run["observation"]["left_running"] is True
    assert "; processes went on after it" in project.ok("runs", "show")
    os.kill(int((project.folder / "pid").read_text()), signal.SIGKILL)


def test_dsvc_killed_leaves_a_run_that_is_lost(project):
    script = "import time\nopen('half.txt', 'w').write('half')\nprint('ready', flush=True)\ntime.sleep(60)"
    process = project.start("run", "-p", "lr=0.1", "-o", "half.txt", "--", sys.executable, "-c", script)
    assert process.stdout.readline() == b"ready\n"
    (running,) = project.runs()
    assert running["state"] == "running"
    process.kill()
    process.communicate()
    (run,) = project.runs()
    assert (run["state"], run["params"]) == ("lost", {"lr": 0.1})
    shown = project.shown()
    assert files(shown["outputs"]) == {"half.txt": "pinned"}
    assert project.ok("runs", "show", "--log") == "ready\n"
    project.sound()


def test_dsvc_killed_loses_nothing_that_was_printed(project):
    block = '[[DOTSCIENCE-RUN:{0}]]{{"version": "1", "summary": {{"rows": "{1}"}}}}[[/DOTSCIENCE-RUN:{0}]]'
    for count in (1, 2):
        text = "".join(block.format(f"k{count}{number}", number) for number in range(count))
        process = project.start("run", "--", "sh", "-c", f"echo '{text}'; touch printed; exec sleep 20")
        until((project.folder / "printed").exists)
        until(lambda: project.journals() and any(
            (project.folder / ".dsvc/worktree/runs" / name / "stdout").read_bytes() for name in project.journals()
        ))  # fmt: skip
        process.kill()
        process.communicate()
        (project.folder / "printed").unlink()
        runs = project.runs("--where", "metrics.rows >= 0")
        if count == 1:
            assert [(run["state"], run["metrics"]["rows"]) for run in runs] == [("lost", 0)]
        else:
            assert sorted(run["metrics"]["rows"] for run in runs if run["parent"]) == [0, 1]
    project.sound()


def test_killed_at_any_moment_the_repository_is_sound(project):
    project.write("big.bin", os.urandom(3_000_000))
    for delay in (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
        process = project.start("run", "--", "sh", "-c", "date +%N >now; echo x")
        time.sleep(delay)
        process.kill()
        process.communicate()
    project.ok("run", "-q", "--", "true")
    assert {run["state"] for run in project.runs()} <= {"done", "lost"}
    project.ok("gc", "--prune=now")
    project.sound()


def test_a_command_that_deletes_its_inputs_and_the_journal(project):
    project.write("extra.txt", "x")
    done = project("run", "-i", "data.csv", "--", "sh", "-c", "rm data.csv extra.txt")
    assert done.returncode == 0
    run = project.shown()
    assert files(run["inputs"]) == {"data.csv": "changed"}
    assert files(run["outputs"]) == {"data.csv": "missing", "extra.txt": "missing"}
    done = project("run", "--", "sh", "-c", "rm -r .dsvc/worktree/runs; echo still; exit 4")
    assert (done.returncode, done.stdout) == (4, b"still\n")
    assert b"Traceback" not in done.stderr
    project.ok("fsck")


def test_a_command_that_deletes_everything(project):
    done = project("run", "--", "sh", "-c", "rm -rf .dsvc *; echo gone; exit 5")
    assert (done.returncode, done.stdout) == (5, b"gone\n")
    assert b"not recorded" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"bug in dsvc" not in done.stderr


@pytest.mark.parametrize(("hours", "state"), [(0, "pinned"), (1, "changed"), (-1, "changed")])
def test_a_clock_that_was_set(project, hours, state):
    """The clock of the machine is left alone: at the begin it is noted as if it had been another one."""
    project.write(".dsvcignore", "ignored.csv\n")
    os.utime(project.write("ignored.csv", "1\n"), (1_700_000_000, 1_700_000_000))
    script = (
        "import glob\n"
        "from dsvc.objects import codec\n"
        "(path,) = glob.glob('.dsvc/worktree/runs/*/begin')\n"
        "facts = codec.decode(open(path, 'rb').read())\n"
        "wall, steady = facts['clocks']\n"
        f"facts['clocks'] = wall + {hours} * 3600 * 10**9, steady\n"
        "open(path, 'wb').write(codec.encode(facts))\n"
        "open('ignored.csv').read()\n"
    )
    run = project.run("--", sys.executable, "-c", script)
    assert run["state"] == "done"
    assert files(run["inputs"])["ignored.csv"] == state, "times say nothing then"
    assert run["elapsed"] < 600
    project.sound()


def test_two_runs_at_once(project):
    script = "touch {0}; while [ ! -e {1} ]; do sleep 0.02; done; echo {0} >{0}.txt"
    first = project.start("run", "-q", "--", "sh", "-c", script.format("a", "b"))
    second = project.start("run", "-q", "--", "sh", "-c", script.format("b", "a"))
    assert [process.wait(timeout=60) for process in (first, second)] == [0, 0]
    for process in (first, second):
        process.communicate()
    runs = project.runs()
    assert [run["state"] for run in runs] == ["done", "done"]
    for run in runs:
        assert project.shown(run["run"])["observation"]["concurrent"] is True
    project.sound()


def test_many_runs_at_once(project):
    processes = [project.start("run", "-q", "-p", f"n={n}", "--", "sh", "-c", f"echo {n} >out{n}") for n in range(8)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert sorted(run["params"]["n"] for run in project.runs()) == list(range(8))
    project.sound()


def test_a_run_inside_a_run(project):
    project.ok("run", "-q", "--", sys.executable, "-m", "dsvc", "run", "-q", "--", "sh", "-c", "echo in >inner.txt")
    inner, outer = sorted(project.runs(), key=lambda run: run["parent"] is None)
    assert inner["parent"] == outer["run"]
    assert project.shown()["run"] == outer["run"]
    assert "inner.txt" in files(project.shown(inner["run"])["outputs"])
    project.sound()


def test_the_journal_is_waited_for(project):
    process = project.start("run", "-q", "--", "sh", "-c", "echo $$ >pid; sleep 60")
    until(lambda: (project.folder / "pid").exists() and (project.folder / "pid").read_text().strip())
    assert [run["state"] for run in project.runs()] == ["running"]
    os.kill(int((project.folder / "pid").read_text()), signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    process.communicate()
    project.sound()
