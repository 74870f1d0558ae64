"""What an interpreter has, read from the disk once: everything of an environment that stays until something changes.

What may be another at any moment (variables, the commits of editable installations, the kernel) is added by `lock`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from blake3 import blake3

from dsvc.environments.conda import FOLDER, conda_packages
from dsvc.environments.debian import ADMIN, owners
from dsvc.environments.environment import Environment, Machine, System, SystemPackage
from dsvc.environments.installed import find_distributions
from dsvc.environments.interpreter import Answer, clean
from dsvc.environments.libraries import Linker, loaded_libraries, mapped_libraries, read_linker_cache
from dsvc.environments.machine import system_release
from dsvc.objects.ids import FileId, ObjectId

LINKER_CACHE = "/etc/ld.so.cache"
CUDA = "/usr/local/cuda/version.json"
_ACCELERATOR = re.compile(
    r"lib(cudart|cudnn|cublas|cusolver|cusparse|cufft|nccl|nvinfer|cupti|amdhip64|rocblas|MIOpen)\.so\.(\d[\d.]*)"
)
_NO_MACHINE = Machine("")


class Survey(NamedTuple):
    """An environment without what is volatile, and the folders of its editable distributions."""

    environment: Environment
    editable: Mapping[str, str]


def survey(answer: Answer, root: str | None) -> Survey:
    """Read what is installed for an interpreter that answered; `root` is the folder of the working copy."""
    found = find_distributions(answer.path, root)
    conda, notes = conda_packages(answer.prefix)
    inside = (*answer.prefixes, *(p for p in answer.path if os.path.basename(p) in ("site-packages", "dist-packages")))
    linker = read_linker_cache(LINKER_CACHE)
    own = [file for folder in answer.own_modules for file in _shared_objects(folder)]
    by_modules = set(loaded_libraries(found.modules, linker, inside=inside))
    by_python = loaded_libraries([answer.base_executable, *own], linker, inside=inside)
    libraries = sorted({*by_modules, *by_python, *mapped_libraries(answer.maps, inside=inside)})
    packages, unowned, more = _owned(libraries, by_modules)
    environment = Environment(
        python=answer.python,
        distributions=tuple(found.distributions),
        system=System(
            name=clean(os.uname().sysname.lower()),
            architecture=clean(os.uname().machine),
            release=system_release(),
            libc=answer.libc,
            packages=packages,
            libraries=unowned,
            accelerator=_accelerator(libraries, linker),
        ),
        machine=_NO_MACHINE,
        conda=conda,
        notes=(*found.notes, *notes, *more),
    )
    return Survey(environment, dict(sorted(found.editable.items())))


def _shared_objects(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if ".so" in name]
    except OSError:
        return []


def _owned(
    libraries: list[str], by_modules: set[str]
) -> tuple[tuple[SystemPackage, ...], dict[str, FileId], list[str]]:
    owned = owners(libraries)
    used = {owned[path] for path in by_modules if path in owned}
    packages = tuple(
        one._replace(used_by="modules" if one in used else "python")
        for one in sorted(set(owned.values()), key=lambda one: (one.name, one.architecture))
    )
    unowned, notes = {}, []
    for path in libraries:
        if path in owned:
            continue
        try:
            digest = blake3(max_threads=blake3.AUTO).update_mmap(path).digest()
            unowned[clean(os.path.basename(path))] = FileId(ObjectId(digest))
        except OSError:
            notes.append(f"the library {clean(path)} cannot be read")
    return packages, unowned, notes


def _accelerator(libraries: list[str], linker: Linker) -> dict[str, str]:
    """Return the versions of CUDA's libraries and the like: loaded ones, and those that can be loaded by name."""
    listed = (path for name, paths in linker.cache.items() if _ACCELERATOR.match(name) for path in paths)
    found: dict[str, str] = {}
    toolkit = re.search(rb'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"([\d.]+)"', _content(CUDA))
    if toolkit is not None:
        found["cuda"] = toolkit[1].decode()
    for path in (*libraries, *map(os.path.realpath, listed)):
        match = _ACCELERATOR.fullmatch(os.path.basename(path))
        if match is not None:
            found.setdefault(match[1], match[2])
    return dict(sorted(found.items()))


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""


def watched_paths(answer: Answer, interpreter: str, root: str | None) -> tuple[str, ...]:
    """Return what a survey is read from, as far as it takes to see that something was installed or upgraded."""
    paths = [interpreter, answer.executable, answer.base_executable, os.path.join(answer.prefix, "pyvenv.cfg")]
    for folder in answer.path:
        paths.append(folder)
        try:
            paths += [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".pth")]
        except OSError:
            pass
    paths += _version_files(interpreter, root)
    paths += [os.path.join(answer.prefix, FOLDER), os.path.join(ADMIN, "status"), LINKER_CACHE, CUDA]
    return tuple(dict.fromkeys(paths))




def _version_files(interpreter: str, root: str | None) -> list[str]:
    """Return the files by which a script that stands for an interpreter, such as pyenv's, chooses the real one."""
    try:
        with open(interpreter, "rb") as file:
            if file.read(2) != b"#!":
                return []
    except OSError:
        return []
    folders = [os.path.dirname(os.path.dirname(interpreter)), *([root] if root is not None else [])]
    names = ("version", ".python-version", ".tool-versions")
    return [os.path.join(folder, name) for folder in folders for name in names]
