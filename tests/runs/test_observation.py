"""What is found out of a run's inputs and outputs, by real programs."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runs.conftest import files

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None
    or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode != 0,
    reason="strace is not installed, or may not trace here",
)


def python(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(lines)]


def test_what_python_opens_is_found(project):
    project.write("more.bin", b"x" * 300_000)
    run = project.run(
        "--",
        *python(
            "import json, pathlib, sqlite3",
            "open('data.csv').read()",
            "pathlib.Path('more.bin').read_bytes()",
            "pathlib.Path('out').mkdir()",
            "open('out/a.txt', 'w').write('a')",
            "open('data.csv'); open('missing', 'r') if False else None",
            "sqlite3.connect('new.db').execute('create table t (a)')",
        ),
    )
    assert files(run["inputs"]) == {"data.csv": "pinned", "more.bin": "pinned"}
    assert files(run["outputs"]) == {"out/a.txt": "pinned", "new.db": "pinned"}
    seen = {pin["path"]: pin["seen"] for pin in run["outputs"]["files"]}
    assert seen["out/a.txt"] == ["python", "compared"]
    assert run["observation"] == {"processes": 1, "reads": "python", "writes": "compared"}
    assert project.ok("cat", run["inputs"]["files"][0]["id"]) == "1,2\n3,4\n"


def test_what_other_programs_write_is_found_by_comparison(project):
    run = project.run("--", "sh", "-c", "cp data.csv copy.csv; printf x >>data.csv; ln -s copy.csv link")
    assert files(run["inputs"]) == {}
    assert files(run["outputs"]) == {"copy.csv": "pinned", "data.csv": "pinned", "link": "pinned"}
    assert run["observation"]["reads"] == "declared"
    assert "nothing but what was declared" in project.ok("runs", "show")


def test_children_threads_and_forks_are_observed(project):
    for name in ("one", "two", "three", "four"):
        project.write(name, name)
    run = project.run(
        "--",
        *python(
            "import multiprocessing, os, subprocess, sys, threading",
            "subprocess.run([sys.executable, '-c', 'open(\"one\")'], check=True)",
            "pid = os.fork()",
            "if pid == 0: open('two'); os._exit(0)",
            "os.waitpid(pid, 0)",
            "multiprocessing.get_context('spawn').Process(target=open, args=('three',)).start()",
            "thread = threading.Thread(target=open, args=('four',)); thread.start(); thread.join()",
            "subprocess.run(['cat', 'data.csv'], stdout=subprocess.DEVNULL)",
        ),
    )
    assert set(files(run["inputs"])) == {"one", "two", "three", "four"}
    assert run["observation"]["programs"] == ["cat"]  # and not python: what it opened was seen
    assert "not what cat" in project.ok("runs", "show")


def test_an_interpreter_that_takes_no_hook_is_named(project):
    run = project.run(
        "--",
        *python(
            "import subprocess, sys",
            "subprocess.run([sys.executable, '-I', '-c', 'open(\"data.csv\")'], check=True)",
            "subprocess.run([sys.executable, '-c', ''], check=True)",
        ),
    )
    assert files(run["inputs"]) == {}
    assert run["observation"]["programs"] == [os.path.basename(sys.executable)]


def test_a_process_that_is_killed_has_left_its_notes(project):
    project.run("--", *python("import os, signal", "open('data.csv')", "os.kill(os.getpid(), signal.SIGKILL)"))
    assert files(project.shown()["inputs"]) == {"data.csv": "pinned"}


def test_folders_are_followed(project):
    project.write("sub/x.txt", "x")
    steps = ("import os", "os.chdir('sub')", "open('x.txt')", "os.chdir('..')", "open('data.csv')")
    run = project.run("--", *python(*steps))
    assert set(files(run["inputs"])) == {"sub/x.txt", "data.csv"}
    project.ok("run", "-q", "--", *python("open('x.txt'); open('../data.csv')"), cwd=project.folder / "sub")
    run = project.shown()
    assert run["directory"] == "sub"
    assert set(files(run["inputs"])) == {"sub/x.txt", "data.csv"}


def test_a_sitecustomize_of_the_user_is_not_lost(project, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import builtins, sys\nbuiltins.mine = __name__, sys.path[0]\n")
    words = python("import sitecustomize, sys; print(mine[0], sitecustomize.__file__); print(sys.path)")
    environment = {**project.environment, "PYTHONPATH": str(folder)}
    out = project.ok("run", "-q", "--", *words, env=environment)
    assert out.splitlines()[0] == f"sitecustomize {folder}/sitecustomize.py"
    plain = subprocess.run(words, env=environment, capture_output=True, cwd=project.folder, check=True).stdout.decode()
    assert out == plain, "sys.path is another one under dsvc run"


def test_a_sitecustomize_that_fails_fails_as_without(project, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("raise ValueError('mine')\n")
    environment = {**project.environment, "PYTHONPATH": str(folder)}
    done = project("run", "-q", "--", *python("print('on')"), env=environment)
    assert done.stdout == b"on\n"
    assert b"ValueError: mine" in done.stderr


def test_an_interpreter_without_mmap_is_observed(project, tmp_path):
    folder = tmp_path / "less"
    folder.mkdir()
    (folder / "mmap.py").write_text("raise ImportError('python3-minimal has none')\n")
    names = [f"{number:03}-{'x' * 60}.txt" for number in range(900)]  # notes of more than one window
    for name in names:
        project.write(name, name)
    script = f'PYTHONPATH=$PYTHONPATH:{folder} exec "$@"'
    lines = ("import glob, sys", "for name in glob.glob('*.txt'): open(name).read()", "print('mmap' in sys.modules)")
    words = python(*lines)
    assert project.ok("run", "-q", "--", "sh", "-c", script, "sh", *words) == "False\n"
    assert files(project.shown()["inputs"]) == dict.fromkeys(names, "pinned")


def test_no_sitecustomize_is_no_error(project):
    done = project("run", "-q", "--", *python("import sys", "print([m for m in sys.modules if 'dsvc_obs' in m])"))
    assert done.stderr == b""
    try_again = python("try: import sitecustomize", "except ModuleNotFoundError: print('none')")
    assert project("run", "-q", "--", *try_again).returncode == 0


def test_an_input_that_is_changed_while_it_is_used(project):
    run = project.run("--", *python("open('data.csv').read()", "open('data.csv', 'a').write('5,6\\n')"))
    assert files(run["inputs"]) == {"data.csv": "changed"}
    assert files(run["outputs"]) == {"data.csv": "pinned"}


def test_a_file_that_the_run_makes_and_reads_is_no_input(project):
    run = project.run("--", *python("open('x', 'w').write('x')", "open('x').read()"))
    assert files(run["inputs"]) == {}
    assert files(run["outputs"]) == {"x": "pinned"}


def test_ignored_files_are_pinned_and_stored_only_when_declared(project):
    project.write(".dsvcignore", "big/\nmodels/\n")
    project.write("big/a.csv", "aaa")
    project.write("big/b.csv", "bbb")
    words = python("import os", "open('big/a.csv')", "os.makedirs('models')", "open('models/m', 'w').write('m')")
    run = project.run("-i", "big/b.csv", "--", *words)
    assert files(run["inputs"]) == {"big/a.csv": "pinned", "big/b.csv": "pinned"}
    assert files(run["outputs"]) == {"models/m": "pinned"}
    ids = {pin["path"]: pin["id"] for pin in run["inputs"]["files"] + run["outputs"]["files"]}
    assert project.ok("cat", ids["big/b.csv"]) == "bbb"
    assert project("cat", ids["big/a.csv"]).returncode != 0
    shutil.rmtree(project.folder / "models")
    run = project.run("-o", "models", "-i", "big", "--", *words)
    assert {pin["path"]: pin["kind"] for pin in run["outputs"]["files"]} == {"models": "tree", "models/m": "file"}
    assert project.ok("cat", ids["models/m"]) == "m"
    project.sound()


def test_declared_paths_outside_of_the_project(project, tmp_path):
    data = tmp_path / "shared" / "data.bin"
    data.parent.mkdir()
    data.write_bytes(b"shared")
    target = tmp_path / "result"
    run = project.run("-i", str(data), "-o", str(target), "--", "cp", str(data), str(target))
    assert files(run["inputs"]) == {str(data): "pinned"}
    assert files(run["outputs"]) == {str(target): "pinned"}
    run = project.run("-i", str(data), "-o", str(target / "x"), "--", "sh", "-c", f"echo more >>{data}")
    assert files(run["inputs"]) == {str(data): "changed"}
    assert files(run["outputs"]) == {str(target / "x"): "missing"}


def test_a_folder_that_is_a_link_to_elsewhere(project, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "x.csv").write_text("x")
    (project.folder / "data").symlink_to(tmp_path / "store")
    run = project.run("--", *python("open('data/x.csv')"))
    assert files(run["inputs"]) == {"data/x.csv": "pinned"}
    run = project.run("-i", "data/x.csv", "--", *python("open('data/x.csv')"))
    assert files(run["inputs"]) == {"data/x.csv": "pinned"}
    (tmp_path / "alias").symlink_to(project.folder)
    run = project.run("-i", str(tmp_path / "alias" / "data.csv"), "--", "true")
    assert files(run["inputs"]) == {"data.csv": "pinned"}
    project.sound()


def test_a_folder_may_be_an_input(project):
    project.write("images/1.png", "1")
    project.write("images/2.png", "2")
    run = project.run("-i", "images", "--", "true")
    (pin,) = run["inputs"]["files"]
    assert (pin["path"], pin["kind"], pin["state"]) == ("images", "tree", "pinned")


@pytest.mark.parametrize(("command", "state"), [("cat data/*", "pinned"), ("echo 3 >data/c", "changed")])
def test_a_folder_while_others_work_beside(project, command, state):
    for name in "ab":
        project.write(f"data/{name}", name)
    record = project.run("--declared-outputs", "-i", "data", "--", "sh", "-c", command)
    assert files(record["inputs"]) == {"data": state}


def test_what_python_writes_is_stored_while_others_work_beside(project):
    project.write(".dsvcignore", "*.tmp\n")
    script = "for name in ('made.bin', 'scratch.tmp'): open(name, 'w').write('of ' + name)"
    record = project.run("--declared-outputs", "--", sys.executable, "-c", script)
    made, scratch = record["outputs"]["files"]
    (project.folder / "made.bin").unlink()
    assert project.ok("cat", made["id"]) == "of made.bin"
    assert project("cat", scratch["id"]).returncode != 0, "ignored, and not declared"


def test_thousands_of_inputs(project):
    for number in range(3000):
        project.write(f"many/{number}", str(number))
    run = project.run("--", *python("import os", "for name in os.listdir('many'): open(f'many/{name}').close()"))
    assert run["inputs"]["count"] == 3000
    assert len(run["inputs"]["files"]) == 3000
    assert {pin["state"] for pin in run["inputs"]["files"]} == {"pinned"}
    assert "and 2,900 more" in project.ok("runs", "show")
    project.sound()


def test_the_working_copy_is_as_it_was_for_status(project):
    project.write("new.txt", "new")
    before = project.ok("status", "-s")
    project.run("--", "true")
    project.run("--", "true")
    assert project.ok("status", "-s") == before
    project.write(".dsvcignore", "new.txt\n")
    assert "new.txt" not in project.ok("status", "-s")
    run = project.run("--", "true")
    assert "new.txt" not in project.ok("ls", run["source"])


def test_the_source_is_what_was_there_when_it_began(project):
    project.write("script.py", "v1")
    run = project.run("--", "sh", "-c", "echo v2 >script.py")
    assert project.ok("cat", f"{run['source']}:script.py") == "v1"
    project.ok("gc", "--prune=now")
    assert project.ok("cat", f"{run['source']}:script.py") == "v1"
    project.sound()


def test_nothing_is_observed_when_that_is_not_wanted(project):
    run = project.run("--trace", "none", "--", *python("open('data.csv')", "open('x', 'w')"))
    assert files(run["inputs"]) == {}
    assert files(run["outputs"]) == {"x": "pinned"}


@needs_strace
def test_strace_sees_every_program(project):
    project.write("ümlaut file", "x")
    script = "cat data.csv 'ümlaut file' >t; mv t copy; cd /; cat $OLDPWD/copy; exit 3"
    run = project.run("--trace", "strace", "--", "sh", "-c", script)
    assert run["exit_code"] == 3
    assert files(run["inputs"]) == {"data.csv": "pinned", "ümlaut file": "pinned"}
    assert files(run["outputs"]) == {"copy": "pinned"}
    assert run["outputs"]["files"][0]["seen"] == ["traced", "compared"]
    assert run["observation"]["reads"] == "strace"
    assert project("run", "--trace", "strace", "--", "sh", "-c", "cat data.csv; kill -TERM $$").returncode == 128 + 15
    killed = project.shown()
    assert files(killed["inputs"]) == {"data.csv": "pinned"}
    assert "trace_cut" not in killed["observation"]  # the tracer told of the end by a signal, too


def test_names_that_are_no_utf8(project):
    name = b"na\xffme"
    (project.folder / "x").write_text("x")
    run = project.run("--", *python("open(b'na\\xffme', 'w').write('y')", "open(b'na\\xffme')"), os.fsdecode(name))
    (pin,) = run["outputs"]["files"]
    assert base64.b64decode(pin["path_b64"]) == name
    assert run["command"][-1] == "na\\xffme"
    assert project("runs", "show").returncode == 0
    project.sound()


def test_in_a_linked_worktree(project, tmp_path):
    project.ok("worktree", "add", "-q", "-b", "side", "../other")
    other = type(project)(tmp_path / "other", project.environment)
    run = other.run("--", "sh", "-c", "echo x >x.txt")
    assert files(run["outputs"]) == {"x.txt": "pinned"}
    assert [one["run"] for one in project.runs()] == [run["run"]]
    other.sound()
    project.sound()


def test_in_a_partial_working_copy(project):
    project.write("big/a.bin", "a")
    project.write("small/b.txt", "b")
    project.ok("commit", "-qm", "two folders")
    project.ok("sparse", "set", "small")
    run = project.run("--", *python("open('small/b.txt')", "open('new', 'w')"))
    assert files(run["inputs"]) == {"small/b.txt": "pinned"}
    assert files(run["outputs"]) == {"new": "pinned"}
    assert project.ok("cat", f"{run['source']}:big/a.bin") == "a"
    project.sound()


def test_graphics_cards(project, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, NVIDIA Example, 1024'\necho 'nonsense'\n")
    program.chmod(0o755)
    environment = {**project.environment, "PATH": f"{folder}:{project.environment['PATH']}"}
    project.ok("run", "-q", "--", "true", env=environment)
    assert project.shown()["resources"]["graphics"] == {"0: NVIDIA Example": 1 << 30}
    assert "Graphics:     0: NVIDIA Example (1.0 GiB)\n" in project.ok("runs", "show")
    assert project.python("import dsvc; dsvc.metric('a', 1)", PATH=environment["PATH"]).returncode == 0
    assert project.shown()["resources"]["graphics"] == {"0: NVIDIA Example": 1 << 30}


def test_cards_that_do_not_tell_their_memory_are_named(project, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "nvidia-smi").write_text("#!/bin/sh\necho '0, NVIDIA GB10, [N/A]'\n")
    (folder / "nvidia-smi").chmod(0o755)
    path = f"{folder}:{project.environment['PATH']}"
    project.ok("run", "-q", "--", "true", env={**project.environment, "PATH": path})
    assert project.shown()["resources"]["graphics"] == {"0: NVIDIA GB10": 0}
    assert "Graphics:     0: NVIDIA GB10\n" in project.ok("runs", "show")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts in who started the program")
def test_the_peak_of_memory_of_a_small_program_is_not_that_of_dsvc(project):
    def run(*words):
        """As a process of its own, started by one that had more memory than the command will need."""
        line = [sys.executable, "-m", "dsvc", "run", "-q", "--", *words]
        start = f"import subprocess; filled = b'x' * (400 << 20); subprocess.run({line!r}, check=True)"
        subprocess.run([sys.executable, "-c", start], cwd=project.folder, env=project.environment, check=True)

    run("true")
    assert sorted(project.shown()["resources"]) == ["cpu_system", "cpu_user", "peak_memory_below"]
    assert "MiB of memory" in project.ok("runs", "show").split(", less than ")[1]
    run(*python("filled = b'x' * (200 << 20)"))
    assert 200 << 20 < project.shown()["resources"]["peak_memory"] < 300 << 20


def test_the_peak_of_graphics_cards_in_the_middle_of_a_run(project, tmp_path):
    """A program that records itself, and waits for all of its children, is followed while it goes on."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        "case \"$*\" in *--loop=1) ;; *) echo '0, NVIDIA Example, 100'; exit;; esac\n"
        f"echo $$ > {tmp_path}/pid\n"
        "echo '0, NVIDIA Example, 3000'\n"
        "while sleep 0.1; do echo '0, NVIDIA Example, 200' || exit; done\n"
    )
    program.chmod(0o755)
    script = """
import os, time
import dsvc
with dsvc.start_run("first"):
    try:
        while True:
            os.wait()
    except ChildProcessError:
        time.sleep(1)
with dsvc.start_run("second"):
    pass
"""
    path = f"{folder}:{project.environment['PATH']}"
    done = project.python(script, PATH=path)
    assert done.returncode == 0, done.stderr
    first = next(run for run in project.runs() if run["name"] == "first")
    assert project.shown(first["run"])["resources"]["graphics"] == {"0: NVIDIA Example": 3000 << 20}
    deadline = time.monotonic() + 30
    while Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists():
        assert time.monotonic() < deadline, "what followed the cards is left behind"
        time.sleep(0.1)


def test_an_attempt_to_open_what_is_not_there_is_no_input(project):
    project.write(".dsvcignore", "cache/\n")
    for name in ("build/one/a", "build/one/two/b"):
        project.write(name, "x")
    run = project.run(
        "--",
        *python(
            "import os, shutil",
            "for name in ('local.cfg', 'cache/known', 'no/such/folder'):",
            "    try: open(name)",
            "    except OSError: pass",
            "shutil.rmtree('build')  # opens folders as seen from others",
            "open('made', 'w').write(open('data.csv').read())",
        ),
    )
    assert files(run["inputs"]) == {"data.csv": "pinned"}
    project.ok("verify", "@")
    project.ok("rerun", "@", "--check", "--environment", "present")


def test_what_is_read_and_written_elsewhere_is_named(project, tmp_path):
    data, model = tmp_path / "big data" / "x.csv", tmp_path / "model.bin"
    data.parent.mkdir()
    data.write_text("x")
    code = [
        f"open({str(data)!r}); open({str(model)!r}, 'w'); open('/etc/passwd'); open({str(tmp_path / 'gone')!r}, 'w')",
        f"import os; os.remove({str(tmp_path / 'gone')!r}); os.chdir({str(tmp_path)!r}); open('big data/x.csv')",
    ]
    run = project.run("--", *python(*code))
    found = run["observation"]
    assert (found["read_elsewhere"], found["written_elsewhere"]) == ([str(data)], [str(model)])
    assert files(run["inputs"]) == {}
    shown = project.ok("runs", "show")
    assert f"read {data} (-i PATH records it); written {model} (-o PATH records it)" in shown
    assert "not 1 file read outside of the working copy" in shown
    run = project.run("-i", str(data), "-o", str(model), "--", *python(*code))
    assert files(run["inputs"]) == {str(data): "pinned"}
    assert not {"read_elsewhere", "written_elsewhere"} & run["observation"].keys()
    said = f"dsvc.input({str(data.parent)!r})"
    project.python(f"import dsvc; open(dsvc.input({str(data)!r})); open({str(model)!r}); {said}")
    assert project.shown()["observation"]["read_elsewhere"] == [str(model)]


@needs_strace
def test_strace_names_what_lies_elsewhere(project, tmp_path):
    (tmp_path / "far.csv").write_text("x")
    run = project.run("--trace", "strace", "--", "cat", str(tmp_path / "far.csv"))
    assert run["observation"]["read_elsewhere"] == [str(tmp_path / "far.csv")]
