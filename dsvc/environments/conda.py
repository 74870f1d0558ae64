"""What conda installed in a prefix: a JSON file for each package in its folder conda-meta."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from dsvc.environments.environment import CondaPackage
from dsvc.environments.interpreter import clean
from dsvc.environments.variables import without_login

FOLDER = "conda-meta"
_TOKEN = re.compile(r"(://[^/\s]+)/t/[^/\s]+")


def conda_packages(prefix: str) -> tuple[tuple[CondaPackage, ...], list[str]]:
    """Return the packages of a prefix, sorted, and notes on damaged files; none where conda is not used."""
    folder = os.path.join(prefix, FOLDER)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError:
        return (), []
    packages, notes = [], []
    for name in names:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                packages.append(_package(json.load(file)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            notes.append(f"conda-meta/{clean(name)} cannot be read ({type(error).__name__})")
    return tuple(sorted(packages, key=lambda one: (one.name, one.version, one.build))), notes


def _without_token(url: str) -> str:
    """Return the address of a channel without login: a private one has its token in the path, `/t/TOKEN/`."""
    return without_login(_TOKEN.sub(r"\1", url))


def _package(said: dict[str, Any]) -> CondaPackage:
    url = _text(said, "url")
    channel = _text(said, "channel")
    return CondaPackage(
        name=clean(said["name"]),
        version=clean(said["version"]),
        build=clean(str(said.get("build") or said.get("build_string") or "")),
        channel=_without_token(channel.rstrip("/").removesuffix("/" + _text(said, "subdir"))),
        subdir=_text(said, "subdir"),
        url=_without_token(url),
        hashes={kind: _text(said, kind) for kind in ("md5", "sha256") if _text(said, kind)},
    )


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return clean(value) if isinstance(value, str) else ""
