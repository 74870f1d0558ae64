"""The one encoding of environments, and what of one decides equality. docs/formats/environment.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from dsvc.environments.environment import (
    CondaPackage,
    Container,
    Distribution,
    Environment,
    Machine,
    Python,
    Source,
    SourceKind,
    System,
    SystemPackage,
)
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.objects.ids import ID_LENGTH, FileId, ObjectId, content_id

_SOURCES = ("archive", "directory", "editable", "vcs")


def encode_environment(environment: Environment) -> bytes:
    """Return the canonical bytes of an environment."""
    fields: dict[str, object] = {
        "python": _python(environment.python),
        "distributions": [_distribution(one) for one in environment.distributions],
        "system": _system(environment.system),
        "machine": _machine(environment.machine),
    }
    return codec.encode(
        fields
        | _present(
            conda=[_conda(one) for one in environment.conda],
            variables=dict(environment.variables),
            notes=environment.notes,
            metadata=dict(environment.metadata),
            refs=[[int(kind), target] for kind, target in environment.refs()],
        )
    )


def decode_environment(payload: bytes) -> Environment:
    """Return the environment that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not an environment's, or have fields that this version does not know.
    """
    fields = _Map(codec.decode(payload), "environment")
    environment = Environment(
        python=_read_python(fields.map("python")),
        distributions=tuple(_read_distribution(one) for one in fields.maps("distributions", needed=True)),
        system=_read_system(fields.map("system")),
        machine=_read_machine(fields.map("machine")),
        conda=tuple(_read_conda(one) for one in fields.maps("conda")),
        variables=fields.masked("variables"),
        notes=fields.texts("notes"),
        metadata=fields.map("metadata").values if "metadata" in fields.values else {},
    )
    if encode_environment(environment) != payload:
        raise BadEncodingError("an environment has unknown or empty fields")
    return environment


def packages_key(environment: Environment) -> ObjectId:
    """Return what two environments have in common when the same interpreter runs the same packages.

    It leaves out the operating system, the hardware and where packages came from.
    """
    python = environment.python
    distributions = [
        [one.name, one.version, *(_state_of(one.source) if one.contents is None else [one.contents])]
        for one in environment.distributions
    ]
    conda = [[one.name, one.version, one.build] for one in environment.conda]
    return content_id(
        codec.encode(
            [[python.implementation, python.version, *python.tags], distributions, conda, dict(environment.variables)]
        )
    )


def _state_of(source: Source | None) -> list[object]:
    return [] if source is None else [source.commit, source.changed, source.patch]


def _present(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, "", (), [], {}, False, 0)}


def _python(python: Python) -> dict[str, object]:
    return {
        "implementation": python.implementation,
        "version": python.version,
        "build": python.build,
        "tags": python.tags,
    }


def _distribution(one: Distribution) -> dict[str, object]:
    return {"name": one.name, "version": one.version} | _present(
        contents=one.contents,
        installer=one.installer,
        wheel=one.wheel,
        requires=one.requires,
        requested=one.requested,
        license=one.license,
        source=_source(one.source) if one.source is not None else None,
    )


def _source(source: Source) -> dict[str, object]:
    return {"kind": source.kind} | _present(
        url=source.url,
        path=source.path,
        subdirectory=source.subdirectory,
        vcs=source.vcs,
        requested=source.requested,
        commit=source.commit,
        remote=source.remote,
        changed=source.changed,
        patch=source.patch,
        hashes=dict(source.hashes),
    )


def _conda(one: CondaPackage) -> dict[str, object]:
    return {"name": one.name, "version": one.version, "build": one.build} | _present(
        channel=one.channel, subdir=one.subdir, url=one.url, hashes=dict(one.hashes)
    )


def _system(system: System) -> dict[str, object]:
    container = system.container
    return {"name": system.name, "architecture": system.architecture} | _present(
        release=system.release,
        libc=system.libc,
        packages=[[one.name, one.version, one.architecture, one.used_by] for one in system.packages],
        libraries=dict(system.libraries),
        accelerator=dict(system.accelerator),
        container=None
        if container is None
        else {"engine": container.engine} | _present(image=container.image, digest=container.digest),
    )


def _machine(machine: Machine) -> dict[str, object]:
    return {"kernel": machine.kernel} | _present(
        cpu=machine.cpu, cores=machine.cores, memory=machine.memory, gpus=machine.gpus, driver=machine.driver
    )


def _read_python(fields: _Map) -> Python:
    tags = fields.texts("tags")
    if len(tags) != 3:
        raise fields.bad("tags")
    return Python(fields.text("implementation"), fields.text("version"), fields.text("build"), (*tags[:2], tags[2]))


def _read_distribution(fields: _Map) -> Distribution:
    return Distribution(
        name=fields.text("name"),
        version=fields.text("version"),
        contents=fields.optional_id("contents"),
        installer=fields.optional_text("installer"),
        wheel=fields.texts("wheel"),
        requires=fields.texts("requires"),
        requested=fields.values.get("requested") is True,
        license=fields.optional_text("license"),
        source=_read_source(fields.map("source")) if "source" in fields.values else None,
    )


def _read_source(fields: _Map) -> Source:
    kind = fields.text("kind")
    if kind not in _SOURCES:
        raise fields.bad("kind")
    patch = fields.optional_id("patch")
    return Source(
        kind=cast("SourceKind", kind),
        url=fields.optional_text("url"),
        path=fields.optional_text("path"),
        subdirectory=fields.optional_text("subdirectory"),
        vcs=fields.optional_text("vcs"),
        requested=fields.optional_text("requested"),
        commit=fields.optional_text("commit"),
        remote=fields.optional_text("remote"),
        changed=fields.values.get("changed") is True,
        patch=FileId(ObjectId(patch)) if patch is not None else None,
        hashes=fields.text_map("hashes"),
    )


def _read_conda(fields: _Map) -> CondaPackage:
    return CondaPackage(
        fields.text("name"),
        fields.text("version"),
        fields.text("build"),
        fields.optional_text("channel"),
        fields.optional_text("subdir"),
        fields.optional_text("url"),
        fields.text_map("hashes"),
    )


def _read_system(fields: _Map) -> System:
    libraries = fields.values.get("libraries", {})
    if not isinstance(libraries, dict) or not all(_is_id(value) for value in libraries.values()):
        raise fields.bad("libraries")
    container = _Map(fields.values["container"], "container") if "container" in fields.values else None
    return System(
        name=fields.text("name"),
        architecture=fields.text("architecture"),
        release=fields.optional_text("release"),
        libc=fields.optional_text("libc"),
        packages=tuple(SystemPackage(*row) for row in fields.rows("packages", 4)),
        libraries=cast("dict[str, FileId]", libraries),
        accelerator=fields.text_map("accelerator"),
        container=None
        if container is None
        else Container(
            container.text("engine"), container.optional_text("image"), container.optional_text("digest")
        ),
    )


def _read_machine(fields: _Map) -> Machine:
    return Machine(
        kernel=fields.text("kernel"),
        cpu=fields.optional_text("cpu"),
        cores=fields.optional_integer("cores"),
        memory=fields.optional_integer("memory"),
        gpus=fields.texts("gpus"),
        driver=fields.optional_text("driver"),
    )


def _is_id(value: Value) -> bool:
    return isinstance(value, bytes) and len(value) == ID_LENGTH


class _Map:
    """A decoded map of fields, each read with its type checked."""

    __slots__ = ("values", "what")

    def __init__(self, values: Value, what: str) -> None:
        if not isinstance(values, dict):
            raise BadEncodingError(f"an environment's {what} is not a map of fields")
        self.values, self.what = values, what

    def bad(self, name: str) -> BadEncodingError:
        return BadEncodingError(f"an environment has no valid field '{name}' in its {self.what}")

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str):
            raise self.bad(name)
        return value

    def optional_text(self, name: str) -> str:
        return self.text(name) if name in self.values else ""

    def optional_integer(self, name: str) -> int:
        value = self.values.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(name)
        return value

    def optional_id(self, name: str) -> bytes | None:
        value = self.values.get(name)
        if value is not None and not _is_id(value):
            raise self.bad(name)
        return cast("bytes | None", value)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name, ())
        if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
            raise self.bad(name)
        return cast("tuple[str, ...]", value)

    def text_map(self, name: str) -> dict[str, str]:
        value = self.values.get(name, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self.bad(name)
        return cast("dict[str, str]", value)

    def masked(self, name: str) -> Mapping[str, str | None]:
        value = self.values.get(name, {})
        if not isinstance(value, dict) or not all(one is None or isinstance(one, str) for one in value.values()):
            raise self.bad(name)
        return cast("dict[str, str | None]", value)

    def map(self, name: str) -> _Map:
        if name not in self.values:
            raise self.bad(name)
        return _Map(self.values[name], name)

    def maps(self, name: str, *, needed: bool = False) -> tuple[_Map, ...]:
        value = self.values.get(name, None if needed else ())
        if not isinstance(value, tuple):
            raise self.bad(name)
        return tuple(_Map(one, name) for one in value)

    def rows(self, name: str, width: int) -> tuple[tuple[str, ...], ...]:
        value = self.values.get(name, ())
        if not isinstance(value, tuple):
            raise self.bad(name)
        for row in value:
            if not isinstance(row, tuple) or len(row) != width or not all(isinstance(one, str) for one in row):
                raise self.bad(name)
        return cast("tuple[tuple[str, ...], ...]", value)
