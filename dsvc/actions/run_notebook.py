"""Run a notebook: find an interpreter that can, say what it shall do, and keep what came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsvc.actions.run_begin import ActiveRun
from dsvc.atomic import write_file
from dsvc.errors import CommandNotFoundError, RequestError
from dsvc.objects.codec import Value
from dsvc.runs import events, kernel
from dsvc.runs.journal import EventLog
from dsvc.runs.masking import Masker
from dsvc.runs.notebook import (
    LOG,
    META,
    BadNotebookError,
    NotebookCall,
    call_words,
    cell_of_values,
    defaults,
    failure,
    language,
    parse_call,
    read_notebook,
    report,
)

_NEEDS = ("nbclient", "nbformat", "ipykernel")
_PROBE = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {_NEEDS!r})))"


class NoNotebooksError(RequestError):
    """No interpreter here can execute notebooks."""


@dataclass(frozen=True, slots=True)
class NotebookRun:
    """A notebook that is to be executed: by which interpreter, what is in it, where it lies."""

    program: str
    call: NotebookCall
    document: Mapping[str, Any]
    directory: Path

    @property
    def words(self) -> list[str]:
        """The command line to record."""
        return call_words(self.call)

    @property
    def params(self) -> dict[str, Value]:
        """Its parameters: those that it sets itself, and those that are given."""
        return {**(defaults(self.document) if self._is_python else {}), **self.call.values}

    @property
    def _is_python(self) -> bool:
        return language(self.document) == "python"

    def order(self, active: ActiveRun) -> list[str]:
        """Write down what is to be done, and return the words that do it.

        Raises:
            OSError: when the disk refuses.
        """
        where = active.journal.path / "order"
        copy = self.call.executed
        order = {
            "notebook": os.path.abspath(self.directory / self.call.path),
            "kept": os.fspath(active.journal.path / LOG),
            "copy": os.path.abspath(self.directory / copy) if copy is not None else None,
            "cell": cell_of_values(self.call.values),
            "python": self._is_python,
        }
        write_file(where, json.dumps(order).encode(), durable=False)
        return [self.program, os.path.join(os.path.dirname(kernel.__file__), "execute_notebook.py"), os.fspath(where)]


def find_notebook(
    words: Sequence[str], params: Mapping[str, Value], *, directory: Path, environment: Mapping[str, str]
) -> NotebookRun:
    """Return what has to be done to run the notebook that the first word names.

    Raises:
        CommandNotFoundError: where it is not. BadNotebookError: when it is none. NoNotebooksError. UsageError: for
            values that it cannot be given.
    """
    call = parse_call(words)
    call = replace(call, values={**call.values, **params})
    call = parse_call(call_words(call))  # the names are looked at
    path = directory / call.path
    if not path.is_file():
        raise CommandNotFoundError(f"there is no notebook {call.path}", hint="dsvc run NOTEBOOK.ipynb")
    document = read_notebook(path)
    if call.values and language(document) != "python":
        raise BadNotebookError(
            f"{call.path} is in {language(document)}, and parameters are set in notebooks in Python alone",
            hint="leave them out, and let the notebook read variables of the environment",
        )
    return NotebookRun(find_interpreter(environment), call, document, directory)


def find_interpreter(environment: Mapping[str, str]) -> str:
    """Return the interpreter that executes notebooks: the one that `python` names, or the one of dsvc.

    Raises:
        NoNotebooksError: when neither has what is needed.
    """
    path = environment.get("PATH", os.defpath)
    found = [shutil.which(name, path=path) for name in ("python", "python3")]
    for program in dict.fromkeys([*found, sys.executable]):
        if program is None:
            continue
        with suppress(OSError):
            if subprocess.run([program, "-c", _PROBE], env=dict(environment), check=False).returncode == 0:
                return program
    raise NoNotebooksError(
        "notebooks need nbclient and ipykernel, which are not installed where python is",
        hint="pip install 'dsvc[notebook]'",
    )


def take_notebook(journal: Path, masker: Masker, *, path: str, failed: bool) -> list[str]:
    """Add what an executed notebook says to its run; credentials in it are masked. Return what is to be told.

    `journal` is its folder. It is safe to call it again. A notebook that cannot be read is not kept.
    """
    kept = journal / LOG
    try:
        if not kept.exists():
            return []
        try:
            document = read_notebook(kept)
        except RequestError:
            kept.unlink()
            raise
        masked = _masked(masker, document)
        if masked != document:
            write_file(kept, json.dumps(masked, indent=1, ensure_ascii=False).encode() + b"\n", durable=False)
        log = EventLog(journal)
        try:
            log.append((events.META, META, {"path": path, **report(masked)}))
            if failed and (text := failure(masked)):
                log.append((events.ERROR, text))
        finally:
            log.close()
    except (OSError, RequestError) as error:
        return [f"the executed notebook could not be read: {error}"]
    return []


def _masked(masker: Masker, value: Any) -> Any:
    if isinstance(value, str):
        return masker.text(value)
    if isinstance(value, list):
        return [_masked(masker, item) for item in value]
    if isinstance(value, dict):
        return {name: _masked(masker, item) for name, item in value.items()}
    return value
