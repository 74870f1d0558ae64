"""What a command imports decides how long people wait for it: the lists of modules are guarded here, not the time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Each of these costs between 2 and 200 ms.
SLOW = {
    "_hashlib", "asyncio", "boto3", "concurrent", "cryptography", "ctypes", "docker", "email", "hashlib", "http",
    "importlib.metadata", "logging", "markdown_it", "multiprocessing", "numpy", "paramiko", "pathspec", "pickle",
    "pydantic", "pydantic_core", "pyfastcdc", "pygit2", "pygments", "queue", "random", "rich", "secrets", "socket",
    "sqlite3", "ssl", "tempfile", "tomlkit", "tomllib", "unittest", "xml", "zipfile",
}  # fmt: skip
STORE = {"blake3", "msgpack", "zstandard"}

PROBE = """
import sys
before = set(sys.modules)
from dsvc.commands.start import main
try:
    main()
finally:
    print("\\n".join(sorted(set(sys.modules) - before)), file=open("modules", "w"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for number in range(10):
        (folder / f"file{number}.txt").write_text(f"{number}\n")
    dsvc(folder, "init", "-q")
    dsvc(folder, "commit", "-q", "-m", "ten files")
    return folder


def dsvc(folder: Path, *words: str, **more: str) -> set[str]:
    """Run a command line in a process of its own and return the modules it imported."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "DSVC_USER_NAME": "Ada Example",
        "DSVC_USER_EMAIL": "ada@example.com",
        **more,
    }
    list_of_modules = folder.parent / "modules"
    probe = PROBE.replace('"modules"', repr(str(list_of_modules)))
    subprocess.run(
        [sys.executable, "-c", probe, *words], cwd=folder, env=environment, check=True, capture_output=True, input=b""
    )
    return set(list_of_modules.read_text().split())


def named(modules: set[str], names: set[str]) -> set[str]:
    """Which of `names` were imported, themselves or a module below them."""
    return {name for name in names if any(module == name or module.startswith(name + ".") for module in modules)}


def test_version_imports_nothing_but_the_command_line(project):
    modules = dsvc(project, "--version")
    assert named(modules, SLOW | STORE | {"json", "typer", "unicodedata"}) == set()
    ours = {module for module in modules if module.startswith("dsvc.")}
    assert {module for module in ours if not module.startswith("dsvc.commands")} == {"dsvc.errors", "dsvc.version"}
    assert len(ours) < 20, ours


def test_help_imports_no_verb(project):
    modules = dsvc(project, "--help")
    assert named(modules, SLOW | STORE) == set()
    assert "dsvc.actions" not in modules


def test_status_imports_what_it_reads_with(project):
    modules = dsvc(project, "status")
    assert named(modules, SLOW | {"typer"}) <= {"tomllib"}
    assert named(modules, STORE) == STORE
    actions = {module for module in modules if module.startswith("dsvc.actions.")}
    assert actions == {"dsvc.actions.changes", "dsvc.actions.state", "dsvc.actions.status"}
    assert named(modules, {"dsvc.gitbridge", "dsvc.repo.garbage", "dsvc.worktree.checkout"}) == set()


def test_runs_cost_other_commands_nothing(project):
    dsvc(project, "run", "-q", "--", "true")
    modules = dsvc(project, "status")
    assert {module for module in modules if module.startswith("dsvc.runs")} == set()


def test_log_imports_no_library_for_text(project):
    modules = dsvc(project, "log", "--oneline")
    assert named(modules, SLOW - {"hashlib", "_hashlib"}) <= {"tomllib"}


def test_a_commit_of_small_files_needs_neither_libgit2_nor_the_chunker(project):
    (project / "file0.txt").write_text("changed\n")
    modules = dsvc(project, "commit", "-q", "-m", "one file")
    assert named(modules, {"pygit2", "pyfastcdc", "rich", "pydantic", "tomlkit", "asyncio", "email", "http"}) == set()


def test_the_far_end_of_a_connection_starts_without_a_parser(project):
    modules = dsvc(project, "hub", "serve", str(project))
    assert named(modules, SLOW | {"typer", "dsvc.commands.application"}) == set()


def test_the_door_of_a_hub_opens_without_a_parser(project):
    """Nor with what only a push or a fork needs."""
    dsvc(project, "hub", "init", "hub")
    line = ["hub", "shell", "--hub", "hub", "--user", "ada", "--key", "SHA256:x"]
    modules = dsvc(project, *line, SSH_ORIGINAL_COMMAND="dsvc hub serve team/vision")
    assert named(modules, SLOW | {"typer", "dsvc.commands.application"}) <= {"socket", "tomllib"}
    assert named(modules, {"dsvc.hub.publishing", "dsvc.hub.forks", "dsvc.contents", "dsvc.history"}) == set()


def test_the_short_way_through_the_door_ends_as_the_long_one(project, tmp_path):
    ends = []
    subprocess.run([sys.executable, "-m", "dsvc", "hub", "init", "-q", str(tmp_path / "hub")], check=True)
    for end in (["--user", "ada", "--key", "x"], ["--key", "x", "--user", "ada"]):
        process = subprocess.run(
            [sys.executable, "-m", "dsvc", "hub", "shell", "--hub", str(tmp_path / "hub"), *end], cwd=project,
            input=b"", capture_output=True, check=False, env={**os.environ, "SSH_ORIGINAL_COMMAND": "rm -rf /"},
        )  # fmt: skip
        ends.append((process.returncode, process.stderr))
    assert ends[0] == ends[1]
    assert ends[0][0] == 14
    assert b"this account runs nothing but" in ends[0][1]


def test_the_short_way_ends_as_the_long_one(project):
    ends = []
    for words in (["hub", "serve", "nothing"], ["hub", "serve", "--read-only", "nothing"], ["hub", "serve", "~else"]):
        process = subprocess.run(
            [sys.executable, "-m", "dsvc", *words], cwd=project, input=b"who is there, at the other end?",
            capture_output=True, check=False,
        )  # fmt: skip
        ends.append((process.returncode, process.stderr))
    assert ends[0] == ends[1]
    assert ends[0][0] == 14
    assert ends[2][0] == 3
    assert b"hint: write the whole path" in ends[2][1]
