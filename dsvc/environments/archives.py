"""From which archives distributions come: an installed one does not say, so an installer is asked.

pip and uv look where they are set up to look: the user's own indexes and folders of wheels. Nothing is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dsvc.environments.environment import Distribution
from dsvc.environments.interpreter import clean
from dsvc.environments.requirements import is_sound
from dsvc.environments.sources import local_path
from dsvc.environments.variables import without_login

_TIMEOUT = 600
_MISSING = re.compile(r"No matching distribution found for ([^\s=]+)==")


@dataclass(frozen=True, slots=True)
class Archive:
    """A wheel or sdist: its file's name, digests, where it is (`url` without credentials, or `path`), size in bytes."""

    name: str
    hashes: Mapping[str, str]
    url: str = ""
    path: str = ""
    size: int | None = None


def find_archives(
    distributions: Sequence[Distribution], *, interpreter: Path, variables: Mapping[str, str], offline: bool = False
) -> dict[str, tuple[Archive, ...]]:
    """Return the archives of distributions by name, as uv tells them where it is on PATH, else as pip does.

    The interpreter is the one that they are installed for. Those that cannot be found are left out; with `offline` no
    index is asked, and pip looks into the folders that it is set up with alone.
    """
    wanted = [one for one in distributions if one.source is None and is_sound(one)]
    found = _local(distributions)
    uv = shutil.which("uv", path=variables.get("PATH"))
    if uv is not None and wanted and not offline:
        found |= _ask_uv(uv, wanted, interpreter, variables)
    left = [one for one in wanted if one.name not in found]
    return {**found, **_ask_pip(left, interpreter, variables, offline=offline)} if left else found


def _local(distributions: Sequence[Distribution]) -> dict[str, tuple[Archive, ...]]:
    """Return the archives of distributions that were installed by a path without a digest being noted."""
    found: dict[str, tuple[Archive, ...]] = {}
    for one in distributions:
        path = local_path(one.source.url) if one.source is not None and one.source.kind == "archive" else ""
        if path and one.source is not None and not one.source.hashes:
            try:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                continue
            found[one.name] = (_archive("", {"sha256": digest}, path=path),)
    return found


def _ask_uv(
    uv: str, wanted: Sequence[Distribution], interpreter: Path, variables: Mapping[str, str]
) -> dict[str, tuple[Archive, ...]]:
    command = [uv, "pip", "compile", "-", "--no-deps", "--format", "pylock.toml", "--python", os.fspath(interpreter)]
    done = _run([*command, "--quiet", "--no-header", "--no-build", *as_pip_is_told(variables)], wanted, variables)
    if done is None or done.returncode:
        return {}
    try:
        packages = tomllib.loads(done.stdout.decode())["packages"]
        return {package["name"]: _of_lock(package) for package in packages}
    except (ValueError, KeyError, TypeError):
        return {}


def as_pip_is_told(variables: Mapping[str, str]) -> list[str]:
    """Return options that make uv look where pip's variables say; it does not read those by itself."""
    folders = variables.get("PIP_FIND_LINKS", "").split()
    options = [word for folder in folders for word in ("--find-links", folder)]
    if variables.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on", "y", "t"):
        options.append("--no-index")
    return options


def _of_lock(package: Mapping[str, Any]) -> tuple[Archive, ...]:
    entries = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
    return tuple(
        _archive(entry.get("url") or "", entry["hashes"], path=entry.get("path") or "", size=entry.get("size"))
        for entry in entries
    )


def _ask_pip(
    wanted: Sequence[Distribution], interpreter: Path, variables: Mapping[str, str], *, offline: bool
) -> dict[str, tuple[Archive, ...]]:
    command = [os.fspath(interpreter), "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--report", "-", "-r", "/dev/stdin"]
    left = list(wanted)
    while left:
        done = _run([*command, "--no-index"] if offline else command, left, variables)
        if done is None:
            return {}
        if done.returncode == 0:
            return _of_report(done.stdout)
        missing = set(_MISSING.findall(done.stderr.decode("utf-8", "replace")))
        known = [one for one in left if one.name not in missing]
        if len(known) == len(left):
            return {}
        left = known
    return {}


def _of_report(data: bytes) -> dict[str, tuple[Archive, ...]]:
    from dsvc.environments.installed import normalized

    found: dict[str, tuple[Archive, ...]] = {}
    try:
        for item in json.loads(data)["install"]:
            info = item["download_info"]
            hashes = info.get("archive_info", {}).get("hashes")
            if hashes:
                found[normalized(item["metadata"]["name"])] = (_archive(info["url"], hashes),)
    except (ValueError, KeyError, TypeError):
        return {}
    return found


def _archive(url: str, hashes: Mapping[str, str], *, path: str = "", size: int | None = None) -> Archive:
    path = path or local_path(url)
    name = os.path.basename(path) if path else unquote(os.path.basename(urlsplit(url).path))
    if size is None and path and os.path.isfile(path):
        size = os.path.getsize(path)
    digests = {clean(kind): clean(digest) for kind, digest in sorted(hashes.items())}
    return Archive(clean(name), digests, "" if path else without_login(clean(url)), clean(path), size)


def _run(
    command: Sequence[str], wanted: Sequence[Distribution], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes] | None:
    lines = "".join(f"{one.name}=={one.version}\n" for one in wanted)
    try:
        return subprocess.run(
            command, input=lines.encode(), env=dict(variables), capture_output=True, check=False, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
