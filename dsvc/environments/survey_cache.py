"""A survey kept on disk until something that it was read from changes. docs/formats/environment.md, "The cache"."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from dsvc.atomic import write_file
from dsvc.environments.encoding import decode_environment, encode_environment
from dsvc.environments.installed import info_names
from dsvc.environments.survey import Survey
from dsvc.errors import IntegrityError
from dsvc.objects import codec
from dsvc.objects.ids import content_id

_VERSION = 1
_SETTLED = 100_000_000  # nanoseconds: a folder that changed later than this before the look may change once more
_DECIDING = ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "PYTHONSAFEPATH", "PYENV_VERSION")


def cache_file(cache: Path, interpreter: Path, environment: Mapping[str, str], root: str | None) -> Path:
    """Return where the survey of an interpreter is kept, under these variables and for this working copy."""
    deciding = [environment.get(name) for name in _DECIDING]
    key = codec.encode([_VERSION, os.fsencode(interpreter), root and os.fsencode(root), *map(_bytes, deciding)])
    return cache / "environments" / content_id(key).hex()[:32]


def read_survey(file: Path) -> Survey | None:
    """Return the survey of a file, or None where there is none, or what it was read from is not as it was."""
    try:
        fields = cast("dict[str, object]", codec.decode(file.read_bytes()))
        watched = cast("tuple[tuple[bytes, tuple[int, ...], bytes], ...]", fields["watched"])
        if any(_look(os.fsdecode(path)) != (path, state, names) for path, state, names in watched):
            return None
        editable = cast("tuple[tuple[str, bytes], ...]", fields["editable"])
        return Survey(
            decode_environment(cast("bytes", fields["environment"])),
            {name: os.fsdecode(folder) for name, folder in editable},
            tuple(os.fsdecode(path) for path, _, _ in watched),
        )
    except (OSError, IntegrityError, KeyError, TypeError, ValueError):
        return None


def watch(paths: tuple[str, ...]) -> list[tuple[bytes, tuple[int, ...], bytes]]:
    """Look at what a survey is read from; to be done before it is read."""
    return [_look(path) for path in paths]


def write_survey(file: Path, survey: Survey) -> None:
    """Keep a survey, unless something that it was read from changed just now and may go on changing.

    A cache that cannot be written is done without.
    """
    watched = watch(survey.watched)
    data = codec.encode(
        {
            "watched": watched,
            "environment": encode_environment(survey.environment),
            "editable": [[name, os.fsencode(folder)] for name, folder in survey.editable.items()],
        }
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, data, durable=False)
        now = file.stat().st_mtime_ns
        if any(state and state[1] > now - _SETTLED for _, state, _ in watched):
            file.unlink()
    except OSError:
        pass


def _look(path: str) -> tuple[bytes, tuple[int, ...], bytes]:
    """Return what tells whether a path is as it was.

    Of a folder of installed packages and of files the stat. Other folders on the path, such as source trees, change
    all the time: of them the names of the distributions in it.
    """
    try:
        state = os.stat(path)
    except OSError:
        return os.fsencode(path), (), b""
    if os.path.isdir(path) and os.path.basename(path) not in ("site-packages", "dist-packages", "conda-meta"):
        return os.fsencode(path), (), "\n".join(info_names(path)).encode("utf-8", "surrogateescape")
    return os.fsencode(path), (state.st_size, state.st_mtime_ns, state.st_ino), b""


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)
