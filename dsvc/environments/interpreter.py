"""Which interpreter is meant, and what it says of itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dsvc.environments.environment import Python
from dsvc.errors import RequestError

_PYTHON = re.compile(r"(python|pypy)[0-9.]*(\.exe)?")
TIMEOUT = 60  # seconds an interpreter has for its start: more than any disk takes
_HINT = "--python takes a path, a version such as 3.12, or a name on PATH"
_VERSION = re.compile(r"\d+\.\d+")
_NAMES = ("bin/python", "bin/python3", "Scripts/python.exe")


class InterpreterError(RequestError):
    """There is no Python interpreter where one was expected, or it does not start."""


class Answer(NamedTuple):
    """What an interpreter says of itself; see `probe`. `path` are the folders of sys.path without the current one."""

    python: Python
    libc: str
    path: tuple[str, ...]
    prefix: str
    base_prefix: str
    executable: str
    base_executable: str
    maps: tuple[str, ...]

    @property
    def own_modules(self) -> tuple[str, ...]:
        """The folders of the standard library's compiled modules."""
        return tuple(folder for folder in self.path if os.path.basename(folder) == "lib-dynload")

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The folders that belong to this installation as a whole: not /usr, where all kinds of things lie."""
        return tuple(p for p in dict.fromkeys((self.prefix, self.base_prefix)) if p not in ("/", "/usr", "/usr/local"))


def find_interpreter(
    environment: Mapping[str, str], root: Path, *, python: str | None = None, directory: Path | None = None
) -> Path:
    """Return the interpreter of a project: `python`, else that of its virtual environment, else the first on PATH.

    `python` is a program, a name to look up on PATH, or the folder of a virtual environment, relative to `directory`.
    Otherwise VIRTUAL_ENV, `.venv` and `venv` in `root`, and CONDA_PREFIX are looked at, in this order. `environment`
    are the variables of the process.

    Raises:
        InterpreterError: where there is none.
    """
    if python is not None:
        return _named(environment, python, directory or root)
    for folder in (environment.get("VIRTUAL_ENV"), root / ".venv", root / "venv", environment.get("CONDA_PREFIX")):
        found = _inside(Path(folder)) if folder else None
        if found is not None:
            return found
    for name in ("python3", "python"):
        program = shutil.which(name, path=environment.get("PATH"))
        if program is not None:
            return Path(program)
    raise InterpreterError(
        f"there is no Python: no virtual environment in {root}, and none on PATH",
        hint="python -m venv .venv makes one, --python PATH names one",
    )


def interpreter_of(program: str, environment: Mapping[str, str], root: Path) -> Path:
    """Return the interpreter that `program` is, or that runs it, else that of the project in `root`.

    A program is a path, or a name that is looked up on PATH. A script says in its first line what runs it, as those do
    that pip writes into `bin`. Of any other program, such as a shell that may start Python later, the project's
    interpreter is the best guess.

    Raises:
        InterpreterError: where there is none.
    """
    found = shutil.which(program, path=environment.get("PATH"))
    if found is not None:
        if _PYTHON.fullmatch(os.path.basename(found)):
            return Path(found)
        runs_it = _first_line(found)
        if runs_it is not None and _PYTHON.fullmatch(os.path.basename(runs_it)):
            named = shutil.which(runs_it, path=environment.get("PATH"))
            if named is not None:
                return Path(named)
    return find_interpreter(environment, root)


def _first_line(path: str) -> str | None:
    """Return the program that the first line of a script names, also behind `env`, or None."""
    try:
        with open(path, "rb") as file:
            line = file.read(512).partition(b"\n")[0]
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = os.fsdecode(line[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words[0] if words else None


def _named(environment: Mapping[str, str], python: str, directory: Path) -> Path:
    path = directory / python
    if path.is_dir():
        found = _inside(path)
        if found is None:
            raise InterpreterError(f"{path} is no virtual environment: it has no bin/python", hint=f"ls {path}")
        return found
    if os.sep in python or path.is_file():
        if not os.path.lexists(path):
            raise InterpreterError(f"there is no interpreter at {path}", hint=_HINT)
        return path
    name = f"python{python}" if _VERSION.fullmatch(python) else python
    program = shutil.which(name, path=environment.get("PATH"))
    if program is None:
        raise InterpreterError(f"there is no {name} on PATH", hint=_HINT)
    return Path(program)


def _inside(folder: Path) -> Path | None:
    """Return the interpreter of a virtual environment, also one whose base is gone, or None."""
    return next((folder / name for name in _NAMES if os.path.lexists(folder / name)), None)


def ask(interpreter: Path, environment: Mapping[str, str]) -> Answer:
    """Start an interpreter and let it say what it is.

    Raises:
        InterpreterError: when it is not there, does not start, or answers with something else.
    """
    mark = os.urandom(8).hex()
    probe = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    try:
        done = subprocess.run(
            [os.fspath(interpreter), "-c", probe, mark],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT,
        )
    except OSError as error:
        raise _does_not_start(interpreter, error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise _does_not_start(interpreter, f"it said nothing for {TIMEOUT} seconds") from error
    _, found, text = done.stdout.decode("utf-8", "surrogateescape").rpartition(mark)
    if done.returncode or not found:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _does_not_start(interpreter, said[-1] if said else f"it ended with code {done.returncode}")
    try:
        return _answer(json.loads(text.splitlines()[0]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _does_not_start(interpreter, "its answer is not that of a Python") from error


def _does_not_start(interpreter: Path, reason: str) -> InterpreterError:
    target = _dangling(interpreter)
    if target is not None:
        return InterpreterError(
            f"{interpreter} does not start: it links to {target}, which is not there",
            hint="make the virtual environment anew: dsvc env restore REV NEWFOLDER, or python -m venv",
        )
    return InterpreterError(f"{interpreter} does not start: {reason}", hint="--python PATH names another one")


def _dangling(path: Path) -> str | None:
    """Return where a chain of links leads to that is not there, or None for a file."""
    for _ in range(40):
        if not path.is_symlink():
            return None if path.exists() else os.fspath(path)
        path = path.parent / path.readlink()
    return os.fspath(path)


def _answer(said: Mapping[str, Any]) -> Answer:
    return Answer(
        python=Python(
            implementation=clean(said["implementation"]),
            version=clean(said["version"]),
            build=clean(" ".join(said["build"].split())),
            tags=_tags(said),
        ),
        libc=clean(said["libc"]),
        path=tuple(dict.fromkeys(said["path"])),
        prefix=said["prefix"],
        base_prefix=said["base_prefix"],
        executable=said["executable"],
        base_executable=said["base_executable"],
        maps=tuple(said["maps"]),
    )


def _tags(said: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the tags of wheels for an interpreter, without manylinux: (cp311, cp311, linux_x86_64)."""
    short = {"cpython": "cp", "pypy": "pp"}.get(said["implementation"], said["implementation"])
    interpreter = f"{short}{said['major']}{said['minor']}"
    if short == "cp":
        abi = interpreter + ("d" if said["debug"] else "") + ("t" if said["free_threaded"] else "")
    else:
        abi = "_".join(said["soabi"].split("-")[:2]) or "none"
    return interpreter, clean(abi), clean(said["platform"].replace("-", "_").replace(".", "_"))


def clean(text: str) -> str:
    """Return a text in which bytes that are not UTF-8 are replaced: objects hold proper texts alone."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
