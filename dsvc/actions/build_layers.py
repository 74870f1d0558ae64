"""The layers that dsvc puts on a base image: the environment, the serving code, the model.

What is where in an image is said in docs/design/0034-images-and-deployments.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from dsvc.atomic import write_file
from dsvc.deployments.feedback import FOLDER as FEEDBACK
from dsvc.environments import Distribution, Environment, find_interpreter
from dsvc.environments.installed import find_distributions, normalized
from dsvc.environments.installed_files import InstalledFiles, find_files, record_text
from dsvc.environments.interpreter import InterpreterError, ask
from dsvc.environments.restoring import Sources, find_base, restore
from dsvc.errors import RequestError
from dsvc.images.blobs import Blobs
from dsvc.images.descriptor import LAYER, Descriptor
from dsvc.images.layers import EPOCH, Member, file_member, text_member, write_layer
from dsvc.version import __version__
from dsvc.workspace import Workspace

FOLDER = "opt/dsvc"
ENVIRONMENT, SERVING = f"{FOLDER}/env", f"{FOLDER}/serving"
USER = 65532  # nobody: what images without root call themselves
MODEL = "model"  # where `python -m dsvc.serving` looks
_FORM = 2  # of these layers; another number makes all of them anew
_CODE = ("serving", "monitoring", "__init__.py", "errors.py", "version.py")  # what serving needs of dsvc
_NEEDED = ("blake3",)  # packages that it needs beside those of the extra `serve`
_OWN = "dsvc"  # is never part of the environment: the serving code is that of the dsvc that builds
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_NAMED = 8  # packages that a message names


class MissingPackagesError(RequestError):
    """Packages of an environment are not here as they were recorded, and cannot be had."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A package of the environment that is not in the image, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class LayerCache:
    """Keeps which layer came of what, in a folder beside the blobs."""

    blobs: Blobs

    def layer(self, what: Sequence[str], make: Callable[[], Iterable[Member]], *, time: int = EPOCH) -> Descriptor:
        """Return the layer of what `what` names; it is made when it is not there yet."""
        told = json.dumps([_FORM, *what, time]).encode()
        file = self.blobs.folder / "layers" / f"{hashlib.sha256(told).hexdigest()}.json"
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(file.read_bytes())
            known = Descriptor(LAYER, str(said["digest"]), int(said["size"]))
            if self.blobs.has(known):
                return known
        made = write_layer(self.blobs, make(), time=time)
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_file(file, json.dumps({"digest": made.digest, "size": made.size}).encode(), durable=False)
        return made


def wanted_packages(environment: Environment) -> tuple[list[Distribution], list[LeftOut]]:
    """Return the packages of an environment that belong into an image, and those that cannot be there."""
    wanted, left = [], []
    for one in environment.distributions:
        if one.name == _OWN:
            continue
        if one.installer == "conda":
            left.append(LeftOut(one.name, "conda installed it"))
        elif one.source is not None and one.source.kind == "editable":
            left.append(LeftOut(one.name, "it is used from its source folder"))
        elif one.contents is None:
            left.append(LeftOut(one.name, "its files were not recorded"))
        else:
            wanted.append(one)
    return wanted, left


def environment_members(
    workspace: Workspace,
    environment: Environment,
    wanted: Sequence[Distribution],
    *,
    python: str,
    sources: Sources,
    scratch: Path,
    tell: Callable[[str], None],
) -> list[Member]:
    """Return the files of a virtual environment for the interpreter `python` of the image.

    Packages that the project's interpreter has as they were recorded are taken from there, others are installed by uv
    or pip into `scratch` first. Each file is checked against its digest when it is read.

    Raises:
        MissingPackagesError: when some cannot be had as they were recorded.
    """
    minor = minor_version(environment)
    found = find_files(_folders(workspace), wanted)
    lacking = [one for one in wanted if one.name not in found]
    if lacking:
        found |= _install(workspace, environment, lacking, sources=sources, scratch=scratch, tell=tell)
    settings = f"home = {os.path.dirname(python)}\ninclude-system-site-packages = false\n"
    members = [
        text_member(f"{ENVIRONMENT}/pyvenv.cfg", f"{settings}version = {environment.python.version}\n"),
        Member(f"{ENVIRONMENT}/bin/python", link=python),
    ]
    for name in sorted(found):
        members += _package(found[name], f"{ENVIRONMENT}/{site_packages(minor)}")
    return members


def serving_key(names: Iterable[str], needed: Sequence[Distribution]) -> list[str]:
    """Return what the serving layer depends on."""
    code = hashlib.sha256()
    for path, place in _own_files():
        code.update(f"{path}\0".encode() + place.read_bytes())
    return ["serving", __version__, code.hexdigest(), *sorted(names), *map(_told, needed)]


def serving_packages(have: Iterable[str]) -> list[Distribution]:
    """Return the packages that serving needs beside those that an image has, as this interpreter has them."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(_OWN) or []
    except PackageNotFoundError:
        lines = []
    names = [normalized(found[1]) for line in lines if _for_serving(line) and (found := _REQUIREMENT.match(line))]
    names += _NEEDED
    there, seen = set(have), set(names)
    needed: list[Distribution] = []
    while names:
        some = find_distributions(sys.path, None, names=names).distributions
        needed += (one for one in some if one.name not in there)
        names = [each for each in dict.fromkeys(name for one in some for name in one.requires) if each not in seen]
        seen.update(names)
    return sorted(needed, key=lambda one: one.name)


def serving_members(needed: Sequence[Distribution], minor: str) -> list[Member]:
    """Return the files of dsvc that serve, and of the packages that these need, on the path behind the environment's.

    Raises:
        MissingPackagesError: when a package is not as it was installed.
    """
    found = find_files(sys.path, needed)
    lacking = [one for one in needed if one.name not in found]
    if lacking:
        raise MissingPackagesError(
            f"what serving needs is not installed as wheels are: {_names(lacking)}",
            hint="install dsvc[serve] into an environment of its own, and build from there",
        )
    members = [text_member(f"{ENVIRONMENT}/{site_packages(minor)}/dsvc-serving.pth", f"/{SERVING}\n")]
    members += [Member(FEEDBACK.lstrip("/"), owner=USER)]  # a new volume there takes its owner over
    members += [file_member(f"{SERVING}/dsvc/{path}", place, executable=False) for path, place in _own_files()]
    for name in sorted(found):
        members += _package(found[name], SERVING)
    return members


def content_of(pieces: Iterator[bytes]) -> IO[bytes]:
    """Return a stream of content that comes in pieces; a read gets all that it asks for, until the end."""
    return cast("IO[bytes]", _Pieces(pieces))


def minor_version(environment: Environment) -> str:
    """Return the minor version of its interpreter, `3.11`."""
    return ".".join(environment.python.version.split(".")[:2])


def site_packages(minor: str) -> str:
    """Return where packages lie below a virtual environment."""
    return f"lib/python{minor}/site-packages"


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        taken: list[memoryview] = []
        while size < 0 or sum(map(len, taken)) < size:
            if not self._left:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._left = memoryview(piece)
                continue
            wanted = len(self._left) if size < 0 else size - sum(map(len, taken))
            taken.append(self._left[:wanted])
            self._left = self._left[wanted:]
        return b"".join(taken)


def _folders(workspace: Workspace) -> list[str]:
    """Return where the project's interpreter and this one have their packages."""
    variables = workspace.surroundings.environment
    folders = list(sys.path)
    with suppress(InterpreterError):
        folders = [*ask(find_interpreter(variables, workspace.root), variables).path, *folders]
    return list(dict.fromkeys(folder for folder in folders if folder))


def _install(
    workspace: Workspace,
    environment: Environment,
    lacking: Sequence[Distribution],
    *,
    sources: Sources,
    scratch: Path,
    tell: Callable[[str], None],
) -> dict[str, InstalledFiles]:
    variables = workspace.surroundings.environment
    folder = scratch / "env"
    shutil.rmtree(folder, ignore_errors=True)
    part = replace(environment, distributions=tuple(lacking))
    failed = restore(
        part, folder, base=find_base(environment, variables), variables=variables, root=workspace.root, sources=sources,
        installer="uv" if shutil.which("uv", path=variables.get("PATH")) else "pip", tell=tell,
    )  # fmt: skip
    answer = ask(folder / "bin" / "python", variables)
    found = find_files([each for each in answer.path if each.startswith(os.fspath(folder))], lacking)
    gone = [one for one in lacking if one.name not in found]
    if gone:
        reason = f": {failed[0].name}: {failed[0].reason}" if failed else ""
        raise MissingPackagesError(
            f"packages of the environment are not to be had as they were recorded: {_names(gone)}{reason}",
            hint="--find-links DIR names a folder of wheels; dsvc env check compares what is installed here",
        )
    return found


def _package(one: InstalledFiles, folder: str) -> Iterator[Member]:
    """Yield the files of a distribution, with a RECORD of them."""
    sizes = {}
    for file in one.files:
        plain = file.path.endswith((".py", ".so", ".pyi", ".txt")) or file.path.startswith(one.info)
        member = file_member(
            os.path.join(folder, file.path), file.place, sha256=file.sha256, executable=False if plain else None
        )
        sizes[file.path] = member.size
        yield member
    yield text_member(f"{folder}/{one.info}/RECORD", record_text(one, sizes))
    yield text_member(f"{folder}/{one.info}/INSTALLER", f"{_OWN}\n")


def _own_files() -> list[tuple[str, Path]]:
    top = Path(__file__).parents[1]
    places = [place for name in _CODE for place in ((top / name).rglob("*") if (top / name).is_dir() else [top / name])]
    found = [path for path in places if path.is_file() and path.suffix not in (".pyc", ".pyo")]
    return sorted((path.relative_to(top).as_posix(), path) for path in found)


def _for_serving(line: str) -> bool:
    return re.search(r"extra\s*==\s*['\"]serve['\"]", line.partition(";")[2]) is not None


def _told(one: Distribution) -> str:
    return f"{one.name}=={one.version}@{one.contents.hex() if one.contents is not None else ''}"


def _names(some: Sequence[Distribution]) -> str:
    more = f" and {len(some) - _NAMED:,} more" if len(some) > _NAMED else ""
    return ", ".join(f"{one.name} {one.version}" for one in some[:_NAMED]) + more
