"""A survey kept on disk until something that it was read from changes. docs/formats/environment.md, "The cache"."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from dsvc.atomic import temporary_name, write_file
from dsvc.environments.encoding import decode_environment, encode_environment
from dsvc.environments.installed import info_names
from dsvc.environments.survey import Survey
from dsvc.errors import IntegrityError
from dsvc.objects import codec
from dsvc.objects.ids import content_id

Look = tuple[bytes, tuple[int, ...], bytes]
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
        watched = cast("tuple[Look, ...]", fields["watched"])
        if any(_look(os.fsdecode(look[0])) != look for look in watched):
            return None
        editable = cast("tuple[tuple[str, bytes], ...]", fields["editable"])
        return Survey(
            decode_environment(cast("bytes", fields["environment"])),
            {name: os.fsdecode(folder) for name, folder in editable},
        )
    except (OSError, IntegrityError, KeyError, TypeError, ValueError):
        return None


class Watch:
    """Sees whether a survey may be kept: not when something changed while it was made, or just before.

    A change right after a look can leave the same time on a folder as one right before it.
    """

    def __init__(self, file: Path) -> None:
        """Begin, before anything is looked at; the survey is to be kept in `file`."""
        self._file = file
        self._looks: list[Look] = []
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            marker = file.parent / temporary_name("look")
            marker.touch()
            self._begun = marker.stat().st_mtime_ns
            marker.unlink()
        except OSError:
            self._begun = 0  # then nothing counts as settled

    def look(self, paths: Iterable[str]) -> None:
        """Look at what the survey will be read from."""
        self._looks = [_look(path) for path in paths]

    def keep(self, survey: Survey) -> None:
        """Keep the survey if all is as it was; a cache that cannot be written is done without."""
        if any(_look(os.fsdecode(look[0])) != look or self._is_fresh(look) for look in self._looks):
            return
        fields = {
            "watched": self._looks,
            "environment": encode_environment(survey.environment),
            "editable": [[name, os.fsencode(folder)] for name, folder in survey.editable.items()],
        }
        with suppress(OSError):
            write_file(self._file, codec.encode(fields), durable=False)

    def _is_fresh(self, look: Look) -> bool:
        return bool(look[1]) and look[1][1] > self._begun - _SETTLED


def _look(path: str) -> Look:
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
