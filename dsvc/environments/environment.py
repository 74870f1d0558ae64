"""What an environment object holds: docs/formats/environment.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from dsvc.objects.codec import Value
from dsvc.objects.ids import FileId, Kind, ObjectId

SourceKind = Literal["archive", "directory", "editable", "vcs"]


class Python(NamedTuple):
    """An interpreter: `tags` are those of wheels for it: interpreter, ABI and platform (cp311, cp311, linux_x86_64)."""

    implementation: str
    version: str
    build: str
    tags: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a distribution came from when it was not an index.

    `path` is relative to the root of the working copy, for what lies in it; anything else has a `url` without
    credentials. `commit` is the version control's own id, `requested` the revision that was asked for, `remote` where
    the repository of an editable installation was cloned from. `changed` says that files there were not committed;
    `patch` is the difference from that commit, a stored file. `hashes` are those of an archive, by algorithm.
    """

    kind: SourceKind
    url: str = ""
    path: str = ""
    subdirectory: str = ""
    vcs: str = ""
    requested: str = ""
    commit: str = ""
    remote: str = ""
    changed: bool = False
    patch: FileId | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)


class Distribution(NamedTuple):
    """An installed Python distribution; `name` is normalized, `contents` stands for the files of its RECORD.

    `wheel` are the tags of the wheel that it was installed from, `requires` the names of installed distributions that
    it needs (those of extras left out), `requested` says that somebody asked for it by name, `license` is an SPDX
    expression. Without `source` it came from an index, or nothing says where from.
    """

    name: str
    version: str
    contents: bytes | None = None
    installer: str = ""
    wheel: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    requested: bool = False
    license: str = ""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """A package that conda installed; `hashes` are those of its archive, by algorithm."""

    name: str
    version: str
    build: str
    channel: str = ""
    subdir: str = ""
    url: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)


class SystemPackage(NamedTuple):
    """A package of the operating system that owns a shared library which is loaded.

    `used_by` says by what: modules of installed distributions ("modules"), else the interpreter and its standard
    library ("python").
    """

    name: str
    version: str
    architecture: str = ""
    used_by: str = "python"


class Container(NamedTuple):
    """The container around it, as far as that can be known from inside."""

    engine: str
    image: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """The operating system below the interpreter.

    `libraries` are shared libraries that no package owns, with the id of their content; `accelerator` the libraries of
    CUDA and the like with their versions.
    """

    name: str
    architecture: str
    release: str = ""
    libc: str = ""
    packages: tuple[SystemPackage, ...] = ()
    libraries: Mapping[str, FileId] = field(default_factory=dict)
    accelerator: Mapping[str, str] = field(default_factory=dict)
    container: Container | None = None


class Machine(NamedTuple):
    """The hardware, and what runs it. `memory` is in MiB; nothing here changes from one moment to the next."""

    kernel: str
    cpu: str = ""
    cores: int = 0
    memory: int = 0
    gpus: tuple[str, ...] = ()
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """The interpreter, packages, system and hardware in which something runs.

    `variables` are the chosen environment variables, with None for a value that was masked. `notes` say what could not
    be read, or is not as it should be. `metadata` is for what later versions record.
    """

    python: Python
    distributions: tuple[Distribution, ...]
    system: System
    machine: Machine
    conda: tuple[CondaPackage, ...] = ()
    variables: Mapping[str, str | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Value] = field(default_factory=dict)

    def refs(self) -> tuple[tuple[Kind, ObjectId], ...]:
        """Return the objects that this one needs: the patches of its editable installations."""
        patches = (one.source.patch for one in self.distributions if one.source is not None)
        return tuple((Kind.CHUNK, ObjectId(patch)) for patch in patches if patch is not None)

    def distribution(self, name: str) -> Distribution | None:
        """Return the distribution of this normalized name, or None."""
        return next((one for one in self.distributions if one.name == name), None)
