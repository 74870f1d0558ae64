"""Where a distribution came from: its direct_url.json, by the specification of that file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from dsvc.environments.environment import Source
from dsvc.environments.interpreter import clean
from dsvc.environments.variables import without_login


class BadSourceError(ValueError):
    """A direct_url.json is not what its specification says."""


def read_source(data: bytes, root: str | None) -> tuple[Source, str]:
    """Return what a direct_url.json says, and the folder on disk of a local one (else an empty text).

    What lies in `root`, the folder of the working copy, is named by its path in there.

    Raises:
        BadSourceError: when it is damaged.
    """
    try:
        said = json.loads(data)
        url = said["url"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadSourceError("it is no JSON with a url") from error
    if not isinstance(url, str):
        raise BadSourceError("its url is no text")
    folder = local_path(url)
    place = _place(url, folder, root)
    subdirectory = clean(_text(said, "subdirectory"))
    vcs, archive, directory = said.get("vcs_info"), said.get("archive_info"), said.get("dir_info")
    if isinstance(vcs, dict):
        source = Source(
            "vcs",
            *place,
            vcs=clean(_text(vcs, "vcs")),
            requested=clean(_text(vcs, "requested_revision")),
            commit=clean(_text(vcs, "commit_id")),
        )
    elif isinstance(archive, dict):
        source = Source("archive", *place, hashes=_hashes(archive))
    elif isinstance(directory, dict):
        source = Source("editable" if directory.get("editable") is True else "directory", *place)
    else:
        raise BadSourceError("it says neither vcs_info nor archive_info nor dir_info")
    source = replace(source, subdirectory=subdirectory)
    return source, os.path.join(folder, subdirectory) if subdirectory and folder else folder


def editable_source(folder: str, root: str | None) -> Source:
    """Return the source of a distribution that is used from this folder, by an old installer that says no more."""
    return Source("editable", *_place("file://" + clean(folder), folder, root))


def local_path(url: str) -> str:
    """Return the path of a file: URL, an empty text for any other."""
    parts = urlsplit(url)
    return unquote(parts.path, errors="surrogateescape") if parts.scheme == "file" else ""


def _place(url: str, folder: str, root: str | None) -> tuple[str, str]:
    """Return url and path of a source, one of them empty."""
    if folder and root is not None:
        full, top = os.path.realpath(folder), os.path.realpath(root)
        if full == top or full.startswith(top + os.sep):
            return "", clean(os.path.relpath(full, top))
    return without_login(clean(url)), ""


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def _hashes(archive: dict[str, Any]) -> dict[str, str]:
    hashes = archive.get("hashes")
    if isinstance(hashes, dict) and hashes:
        return {clean(k.lower()): clean(v) for k, v in sorted(hashes.items()) if isinstance(v, str)}
    algorithm, _, digest = _text(archive, "hash").partition("=")
    return {clean(algorithm.lower()): clean(digest)} if digest else {}
