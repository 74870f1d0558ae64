"""Make a virtual environment with exactly the distributions that were recorded.

Python's own venv and pip do it, or uv: with their settings, indexes and folders of wheels, which are the user's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsvc.environments.archives import as_pip_is_told
from dsvc.environments.environment import Distribution, Environment
from dsvc.environments.installed import find_distributions
from dsvc.environments.interpreter import InterpreterError, ask
from dsvc.environments.requirements import is_sound, lines_for, requirement
from dsvc.errors import RequestError

Installer = Literal["pip", "uv"]
_OF_OTHERS = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")  # variables that would show packages from elsewhere


class RestoreError(RequestError):
    """A virtual environment cannot be made."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A distribution that could not be installed, and what the installer said."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Where an installer looks beside its own settings: folders of wheels, and whether in those alone."""

    find_links: tuple[str, ...] = ()
    no_index: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """The options of pip and uv that say so."""
        folders = [word for folder in self.find_links for word in ("--find-links", folder)]
        return (*folders, *(["--no-index"] if self.no_index else []))


def own_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which an interpreter sees what is installed for it alone."""
    return {name: value for name, value in variables.items() if name not in _OF_OTHERS}


def find_base(environment: Environment, variables: Mapping[str, str]) -> Path:
    """Return an interpreter for a virtual environment: of the recorded version, else of the same minor version.

    Looked at are the names `python3.12`, `python3` and `python` on PATH, the versions that pyenv has, and the
    interpreter that runs dsvc.

    Raises:
        InterpreterError: where there is none.
    """
    python = environment.python
    minor = ".".join(python.version.split(".")[:2])
    names = ["pypy3"] if python.implementation == "pypy" else [f"python{minor}", "python3", "python"]
    candidates = [shutil.which(name, path=variables.get("PATH")) for name in names]
    pyenv = variables.get("PYENV_ROOT") or os.path.join(variables.get("HOME", ""), ".pyenv")
    candidates.insert(0, os.path.join(pyenv, "versions", python.version, "bin", "python"))
    candidates.append(sys.executable)
    close: Path | None = None
    for candidate in dict.fromkeys(path for path in candidates if path is not None and os.path.exists(path)):
        try:
            answer = ask(Path(candidate), variables)
        except InterpreterError:
            continue
        if answer.python.implementation != python.implementation:
            continue
        base = Path(answer.base_executable)
        if answer.python.version == python.version:
            return base
        if close is None and re.match(rf"{re.escape(minor)}\b", answer.python.version):
            close = base
    if close is None:
        raise InterpreterError(
            f"there is no {python.implementation} {python.version}, nor another {minor}, on PATH",
            hint="install it, or name an interpreter with --python",
        )
    return close


def restore(
    environment: Environment,
    folder: Path,
    *,
    base: Path,
    variables: Mapping[str, str],
    root: Path,
    sources: Sources = Sources(),
    installer: Installer = "pip",
    tell: Callable[[str], None] = lambda _line: None,
) -> tuple[Failed, ...]:
    """Make a virtual environment in `folder`, which must not be there or be empty; return what could not be installed.

    `root` is the working copy, for what is installed from it. What cannot be had is left out and the rest installed, so
    that the folder is there to be completed.

    Raises:
        RestoreError: when the folder is not empty, or no virtual environment can be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RestoreError(f"{folder} is not empty", hint="name another folder, or remove it first")
    quiet = own_variables(variables)
    wanted = {one.name: one for one in environment.distributions if one.installer != "conda"}
    uv = shutil.which("uv", path=variables.get("PATH")) if installer == "uv" else None
    if installer == "uv" and uv is None:
        raise RestoreError("there is no uv on PATH", hint="leave --installer out to use pip")
    tell(f"Making a virtual environment with {base}")
    if uv is not None:
        _make([uv, "venv", "--quiet", "--python", os.fspath(base), os.fspath(folder)], quiet)
    else:
        _make([os.fspath(base), "-m", "venv", os.fspath(folder)], quiet)
    program = os.fspath(folder / "bin" / "python")
    command = [uv, "pip", "install", "--quiet", "--python", program] if uv is not None else [
        program, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet",
    ]  # fmt: skip
    command += ["--no-deps", *sources.options, *(as_pip_is_told(variables) if uv is not None else ())]
    before = _installed(Path(program), quiet)
    missing = [one for one in wanted.values() if not _is_there(one, before.get(one.name))]
    tell(f"Installing {len(missing)} distribution{'' if len(missing) == 1 else 's'}")
    failed = _install(command, missing, quiet, root)
    extra = [name for name in before if name not in wanted]
    if extra:
        words = [uv, "pip", "uninstall", "--quiet", "--python", program] if uv is not None else [
            program, "-m", "pip", "--disable-pip-version-check", "uninstall", "--quiet", "--yes",
        ]  # fmt: skip
        _run([*words, *sorted(extra)], quiet)
    return failed


def _make(command: Sequence[str], variables: Mapping[str, str]) -> None:
    done = _run(command, variables)
    if done.returncode:
        raise RestoreError(
            f"'{' '.join(command)}' failed: {_last_words(done)}",
            hint="on Debian the module venv is in the package python3-venv; --python names another interpreter",
        )


def _installed(program: Path, variables: Mapping[str, str]) -> dict[str, Distribution]:
    return {one.name: one for one in find_distributions(ask(program, variables).path, None).distributions}


def _is_there(wanted: Distribution, found: Distribution | None) -> bool:
    return found is not None and wanted.source is None and (found.version, found.contents) == (
        wanted.version, wanted.contents,
    )  # fmt: skip


def _install(
    command: Sequence[str], wanted: Sequence[Distribution], variables: Mapping[str, str], root: Path
) -> tuple[Failed, ...]:
    """Install all at once, which is fast; when that fails, one after the other, to see which cannot be had."""
    unsound = [one for one in wanted if not is_sound(one)]
    wanted = [one for one in wanted if is_sound(one)]
    here = os.fspath(root)
    text = "".join(f"{line}\n" for line in lines_for(wanted, root=here))
    if not unsound and (not wanted or _run([*command, "-r", "/dev/stdin"], variables, text).returncode == 0):
        return ()
    failed = [Failed(one.name, "its name or version is none that a package can have") for one in unsound]
    for one in wanted:
        done = _run([*command, "-r", "/dev/stdin"], variables, requirement(one, root=here) + "\n")
        if done.returncode:
            failed.append(Failed(one.name, _last_words(done)))
    return tuple(failed)


def _run(command: Sequence[str], variables: Mapping[str, str], text: str = "") -> subprocess.CompletedProcess[bytes]:
    try:
        data = text.encode("utf-8", "surrogateescape")
        return subprocess.run(command, env=dict(variables), input=data, capture_output=True, check=False)
    except OSError as error:
        raise RestoreError(f"{command[0]} cannot be run: {error.strerror}") from error


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the line of an installer's output that says what went wrong."""
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.partition("ERROR:")[2].strip() for line in lines if "ERROR:" in line]
    return (errors or lines or [f"code {done.returncode}"])[-1].strip()
