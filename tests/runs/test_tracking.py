"""`import dsvc` in programs of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.runs.conftest import files, until


def test_three_lines_record_a_run(project):
    done = project.python(
        "import dsvc, math\n"
        "with dsvc.start_run('baseline', params={'lr': 0.1, 'big': 2**80, 'deep': {'n': [1, None]}}) as run:\n"
        "    text = open(run.input('data.csv')).read()\n"
        "    for step in range(5): run.log(loss=1 / (step + 1), step=step)\n"
        "    assert run.metric('acc', .93) == .93\n"
        "    run.metric('worst', float('nan')); run.metric('best', math.inf); run.metric('ok', True)\n"
        "    run.label('kind', 'test'); run.description('about')\n"
        "    open(run.output('model.pt'), 'w').write(text)\n"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    run = project.shown()
    assert run["name"] == "baseline"
    assert run["params"] == {"lr": 0.1, "big": 2**80, "deep": {"n": [1, None]}}
    assert run["metrics"] == {"acc": 0.93, "worst": "NaN", "best": "Infinity", "ok": True}
    assert run["series"] == [{"name": "loss", "count": 5, "last": 0.2, "min": 0.2, "max": 1.0, "last_step": 4}]
    assert (run["labels"], run["description"], run["state"]) == ({"kind": "test"}, "about", "done")
    assert files(run["inputs"]) == {"data.csv": "pinned"}
    assert files(run["outputs"]) == {"model.pt": "pinned"}
    project.sound()


def test_the_script_and_modules_beside_it_are_inputs(project):
    project.write("near.py", "def half(x): return x / 2\n")
    script = "import near, dsvc\nfor n in (1, 2):\n    with dsvc.start_run(): dsvc.metric('half', near.half(n))\n"
    project.write("sub/work.py", "import sys; sys.path.append('.')\n" + script)
    subprocess.run([sys.executable, "sub/work.py"], cwd=project.folder, env=project.environment, check=True)
    for name in ("@", "@~1"):
        assert files(project.shown(name)["inputs"]) == {"near.py": "pinned", "sub/work.py": "pinned"}


def test_importing_dsvc_costs_nothing(project):
    done = project.python(
        "import sys; before = set(sys.modules); import dsvc; print(sorted(set(sys.modules) - before))"
    )
    assert done.stdout.decode().strip() == "['__future__', 'dsvc', 'dsvc.version']"


def test_functions_of_the_module_begin_a_run(project):
    done = project.python("import dsvc\ndsvc.param('a', 1)\ndsvc.log({'x': 2, 'y/z': 3})\nprint(dsvc.metric('m', 4))\n")
    assert done.stdout == b"4\n", done.stderr
    run = project.shown()
    assert (run["params"], run["metrics"], [s["name"] for s in run["series"]]) == ({"a": 1}, {"m": 4}, ["x", "y/z"])


def test_an_exception_is_recorded_and_raised(project):
    done = project.python("import dsvc\nwith dsvc.start_run(): raise ValueError('too bad')\n")
    assert done.returncode == 1
    assert b"ValueError: too bad" in done.stderr
    run = project.shown()
    assert run["state"] == "failed"
    assert "ValueError: too bad" in run["error"]
    done = project.python("import dsvc\ndsvc.param('n', 1)\n1 / 0\n")
    assert b"ZeroDivisionError" in done.stderr
    assert "ZeroDivisionError" in project.shown()["error"]
    project.python("import dsvc, sys\ndsvc.param('n', 1)\nsys.exit(0)\n")
    assert project.shown()["state"] == "done"


def test_outside_of_a_repository(project, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import dsvc\ndsvc.start_run()"],
        cwd=tmp_path,
        env=project.environment,
        capture_output=True,
        check=False,
    )
    assert b"NotARepositoryError" in done.stderr
    assert b"in no dsvc repository" in done.stderr


def test_inside_dsvc_run_it_joins(project):
    script = (
        "import dsvc\n"
        "with dsvc.start_run('joined', params={'lr': 0.5}) as run:\n"
        "    run.log(loss=1.0)\n"
        "    with dsvc.start_run('inner') as inner: inner.metric('m', 1)\n"
        "with dsvc.start_run('after'): pass\n"
    )
    project.write("train.py", script)
    project.ok("run", "-q", "-p", "seed=1", "--", sys.executable, "train.py")
    runs = {run["name"]: run for run in project.runs()}
    assert set(runs) == {"joined", "inner", "after"}
    assert runs["joined"]["params"] == {"lr": 0.5, "seed": 1}
    assert runs["joined"]["exit_code"] == 0
    assert runs["inner"]["parent"] == runs["after"]["parent"] == runs["joined"]["run"]
    assert project.shown()["name"] == "joined"
    project.sound()


def test_many_runs_of_one_process_are_published_together(project):
    before = project.ok("op", "log").count("    run:")
    done = project.python(
        "import dsvc\n"
        "for n in range(30):\n"
        "    with dsvc.start_run(f'trial {n}', params={'n': n}) as run:\n"
        "        run.metric('score', n * n)\n"
        "        open(f'out{n}.txt', 'w').write(str(n))\n"
    )
    assert done.returncode == 0, done.stderr
    runs = project.runs()
    assert sorted(run["params"]["n"] for run in runs) == list(range(30))
    assert all(run["outputs"] == 1 for run in runs)
    assert project.ok("op", "log").count("    run:") - before < 12
    (best,) = project.runs("--best", "metrics.score")
    assert best["name"] == "trial 29"
    project.sound()


def test_forks_and_threads_may_log(project):
    done = project.python(
        "import dsvc, os, threading\n"
        "run = dsvc.start_run()\n"
        "def work(n):\n"
        "    for i in range(200): run.log({f't{n}': i})\n"
        "threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    run.log(child=1); os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
    )
    assert done.returncode == 0, done.stderr
    (run,) = [project.shown()]
    assert {s["name"]: (s["count"], s["last"]) for s in run["series"]} == {
        **{f"t{n}": (200, 199) for n in range(4)},
        "child": (1, 1),
    }
    project.sound()


def test_a_forked_child_that_exits_does_not_end_the_run(project):
    done = project.python(
        "import dsvc, os, sys\n"
        "run = dsvc.start_run('parent')\n"
        "pid = os.fork()\n"
        "if pid == 0: sys.exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "run.metric('later', 1)\n"
    )
    assert done.returncode == 0, done.stderr
    assert project.shown()["metrics"] == {"later": 1}
    assert len(project.runs()) == 1


def test_a_killed_program_leaves_all_that_it_logged(project):
    script = (
        "import dsvc, time\n"
        "run = dsvc.start_run('gone')\n"
        "for i in range(1000): run.log(i=i)\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"ready\n"
    assert [run["state"] for run in project.runs()] == ["running"]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: [run["state"] for run in project.runs()] == ["lost"])
    (series,) = project.shown()["series"]
    assert (series["count"], series["last"]) == (1000, 999)
    project.sound()


def test_values_without_a_form_become_text(project):
    done = project.python(
        "import dsvc\n"
        "class Odd:\n    def __str__(self): raise RuntimeError\n"
        "class Scalar:\n    def item(self): return 1.5\n"
        "a = []; a.append(a)\n"
        "run = dsvc.start_run()\n"
        "run.params({'odd': Odd(), 'scalar': Scalar(), 'loop': a, 'surrogate': '\\udcff', 'bytes': b'\\xff',\n"
        "            'long': 'x' * 10**6, 'huge': 10**100000, 'set': {1}, 3: 'number'})\n"
        "run.log(x=Scalar(), y='text', z=None)\n"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    run = project.shown()
    assert run["params"]["odd"] == "<Odd>"
    assert run["params"]["scalar"] == 1.5
    assert run["params"]["set"] == [1]
    assert len(run["params"]["long"]) < 20_000
    assert run["params"]["3"] == "number"
    assert [(s["name"], s["last"]) for s in run["series"]] == [("x", 1.5), ("y", "text"), ("z", None)]
    project.sound()


def test_a_run_that_has_ended_takes_nothing_more(project):
    done = project.python("import dsvc\nrun = dsvc.start_run()\nrun.end(); run.end()\nrun.log(x=1)\n")
    assert b"RuntimeError" in done.stderr
    assert b"has ended" in done.stderr


@pytest.mark.slow
def test_ten_million_points(project):
    done = project.python(
        "import dsvc, msgpack, os, glob, time\n"
        "run = dsvc.start_run()\n"
        "run.log(loss=1.0)\n"
        "path, = glob.glob('.dsvc/worktree/runs/*/events-*')\n"
        "event = [msgpack.packb(('points', 1700000000000000 + i, None, 'loss', i / 3)) for i in range(10000)]\n"
        "block = b''.join(event)\n"
        "with open(path, 'ab') as file:\n"
        "    for _ in range(1000): file.write(block)\n"
        "run.end()\n"
        "peak, = (line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak) >> 10)\n"
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 500
    (series,) = project.shown()["series"]
    assert series["count"] == 10_000_001
    project.sound()


def test_a_large_output_at_the_very_end_of_a_process(project):
    project.write("big.bin", os.urandom(2_000_000))
    done = project.python(
        "import dsvc\n"
        "run = dsvc.start_run()\n"
        "open('big2.bin', 'wb').write(open('big.bin', 'rb').read()[::-1])\n"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert files(project.shown()["outputs"]) == {"big2.bin": "pinned"}
    project.sound()
