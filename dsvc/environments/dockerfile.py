"""An environment as a Dockerfile that makes an image with the same interpreter, packages and libraries."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from dsvc.environments.environment import CondaPackage, Distribution, Environment
from dsvc.environments.requirements import is_local, is_sound, lines_for

# What the official images of Python are called by the release of Debian below them.
_DEBIAN = {"10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BASE = re.compile(r"^(libc6|libcrypt1|libgcc-s1|zlib1g|liblzma5|libbz2-1\.0|libffi\d+|libexpat1|libuuid1|libtinfo6)$")


def dockerfile_text(environment: Environment, digits: str, *, base: str | None = None) -> str:
    """Return the text of a Dockerfile; `base` is the image to begin with, `digits` the environment's id.

    Without `base` it is the recorded container by its digest, else the official image of this Python. The versions of
    Debian packages stand in comments: a mirror keeps only the newest ones. What the interpreter itself loads comes with
    the image. Editable packages come from their repositories, and `not_in_image` says what cannot come at all.
    """
    python, system = environment.python, environment.system
    lines = [f"# Environment {digits}: {_one_line(f'{python.implementation} {python.version}')}"]
    lines.append(f"FROM {base or _one_line(base_image(environment))}")
    sound = [one for one in system.packages if _PACKAGE.fullmatch(one.name) and one.version.isprintable()]
    names = [one for one in sound if one.used_by == "modules" and not _BASE.match(one.name)]
    if names and system.release.startswith(("debian", "ubuntu")):
        lines += [
            "",
            "# Libraries that installed packages load; where this was recorded they had the versions",
            *(f"#   {one.name} {one.version}" for one in names),
            "RUN apt-get update && apt-get install -y --no-install-recommends \\",
            *(f"        {one.name} \\" for one in names),
            "    && rm -rf /var/lib/apt/lists/*",
        ]
    values = [(name, value) for name, value in environment.variables.items() if _VARIABLE.fullmatch(name)]
    settings = [f"ENV {name}={_quoted(value)}" for name, value in values if value is not None]
    if settings:
        lines += ["", *settings]
    if environment.conda:
        lines += ["", *_conda_lines(environment.conda)]
    lines += ["", "WORKDIR /project"]
    here = [one for one in environment.distributions if one.source is not None and one.source.path and is_sound(one)]
    left = not_in_image(environment)
    lines += [f"# Not in this image: {_one_line(one.name)}, which came from a folder of a machine" for one in left]
    others = [one for one in environment.distributions if one not in (*here, *left) and one.installer != "conda"]
    requirements = lines_for(others, elsewhere=True)
    if any("git+" in line for line in requirements):
        lines += [
            "RUN apt-get update && apt-get install -y --no-install-recommends git \\",
            "    && rm -rf /var/lib/apt/lists/*",
        ]
    if requirements:
        lines.append("RUN python -m pip install --no-cache-dir --no-deps \\")
        words = [shlex.quote(word) for line in requirements for word in _words(line)]
        lines += [f"        {word} \\" for word in words[:-1]] + [f"        {words[-1]}"]
    if here:
        lines.append("COPY . /project")
        places = " ".join(shlex.quote(word) for line in lines_for(here) for word in _words(line))
        lines.append(f"RUN python -m pip install --no-cache-dir --no-deps {places}")
    return "\n".join(lines) + "\n"


def not_in_image(environment: Environment) -> tuple[Distribution, ...]:
    """Return the distributions that an image cannot have: they came from the machine that recorded them."""
    return tuple(one for one in environment.distributions if one.installer != "conda" and is_local(one))


def base_image(environment: Environment) -> str:
    """Return the image to begin with: the recorded container by its digest, else the official one of this Python."""
    container = environment.system.container
    if container is not None and container.image and container.digest:
        return f"{container.image}@{container.digest}"
    if environment.conda:
        return "condaforge/miniforge3"
    name, _, version = environment.system.release.partition(" ")
    codename = _DEBIAN.get(version) if name == "debian" else None
    image = "pypy" if environment.python.implementation == "pypy" else "python"
    return f"{image}:{environment.python.version}-slim" + (f"-{codename}" if codename else "")


def _conda_lines(packages: Iterable[CondaPackage]) -> list[str]:
    found = [one for one in packages if f"{one.name}{one.version}{one.build}{one.channel}".isprintable()]
    channels = dict.fromkeys(one.channel for one in found if one.channel)
    words = [f"-c {shlex.quote(channel)}" for channel in channels]
    words += [shlex.quote(f"{one.name}={one.version}={one.build}") for one in found]
    return ["RUN conda install -y \\", *(f"        {word} \\" for word in words[:-1]), f"        {words[-1]}"]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _words(line: str) -> list[str]:
    return ["-e", line[3:]] if line.startswith("-e ") else [line]


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    escaped = "".join(c if c.isprintable() else " " for c in escaped)
    return f'"{escaped}"'
