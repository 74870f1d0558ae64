"""How two environments differ, each difference with what it means for results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from dsvc.environments.environment import Container, Distribution, Environment, Source

Level = Literal["packages", "system", "machine"]
Change = Literal["added", "removed", "changed"]


class Difference(NamedTuple):
    """One thing that differs: `subject` is a package or a fact, `what` the part of it, `old` and `new` the two values.

    `level` says where: in the interpreter and its packages, in the system below them, or in the machine.
    """

    level: Level
    subject: str
    what: str
    old: str | None
    new: str | None

    @property
    def change(self) -> Change:
        """Whether it is only in the second one, only in the first one, or in both."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"


def differences(old: Environment, new: Environment) -> tuple[Difference, ...]:
    """Return how `new` differs from `old`: packages first, then the system, then the machine."""
    return (*_packages(old, new), *_system(old, new), *_machine(old, new))


def _packages(old: Environment, new: Environment) -> Iterator[Difference]:
    yield from _facts(
        "packages",
        "python",
        {
            "implementation": (old.python.implementation, new.python.implementation),
            "version": (old.python.version, new.python.version),
            "interpreter tag": (old.python.tags[0], new.python.tags[0]),
            "ABI": (old.python.tags[1], new.python.tags[1]),
            "platform": (old.python.tags[2], new.python.tags[2]),
        },
    )
    yield from _distributions(old, new)
    conda = [{one.name: f"{one.version} {one.build}" for one in side.conda} for side in (old, new)]
    yield from _mapping("packages", *conda, what="conda")
    masked = [{k: "(masked)" if v is None else v for k, v in side.variables.items()} for side in (old, new)]
    yield from _mapping("packages", *masked, what="variable")


def _distributions(old: Environment, new: Environment) -> Iterator[Difference]:
    before, after = _by_name(old), _by_name(new)
    for name in sorted(before.keys() | after.keys()):
        first, second = before.get(name, []), after.get(name, [])
        if len(first) == len(second) == 1:
            yield from _distribution(first[0], second[0])
        elif _versions(first) != _versions(second):
            yield Difference("packages", name, "version", _versions(first), _versions(second))


def _by_name(environment: Environment) -> dict[str, list[Distribution]]:
    found: dict[str, list[Distribution]] = {}
    for one in environment.distributions:
        found.setdefault(one.name, []).append(one)
    return found


def _versions(found: list[Distribution]) -> str | None:
    return ", ".join(one.version for one in found) if found else None


def _distribution(old: Distribution, new: Distribution) -> Iterator[Difference]:
    if old.version != new.version:
        yield Difference("packages", old.name, "version", old.version, new.version)
        return
    before, after = _state(old), _state(new)
    if before != after:
        yield Difference("packages", old.name, "files", before, after)


def _state(one: Distribution) -> str:
    """Return what the installed files of a distribution are, in words; equal texts stand for equal files."""
    if one.contents is not None:
        tags = f" from {one.wheel[0]}" if one.wheel else ""
        return f"files {one.contents.hex()[:10]}{tags}"
    source = one.source
    if source is None or source.kind != "editable":
        return "files not known"
    if source.path:
        return f"editable from {source.path}"
    return f"editable at {_commit_of(source)}"


def _commit_of(source: Source) -> str:
    commit = source.commit[:10] or "no commit"
    if source.patch is not None:
        return f"{commit} with changes {source.patch.hex()[:10]}"
    return f"{commit} with changes" if source.changed else commit


def _system(old: Environment, new: Environment) -> Iterator[Difference]:
    first, second = old.system, new.system
    yield from _facts(
        "system",
        "system",
        {
            "name": (first.name, second.name),
            "architecture": (first.architecture, second.architecture),
            "release": (first.release, second.release),
            "libc": (first.libc, second.libc),
            "container": (_container(first.container), _container(second.container)),
        },
    )
    yield from _facts("system", "python", {"build": (old.python.build, new.python.build)})
    packages = [{one.name: one.version for one in side.packages} for side in (first, second)]
    yield from _mapping("system", *packages, what="package")
    libraries = [{name: id_.hex()[:10] for name, id_ in side.libraries.items()} for side in (first, second)]
    yield from _mapping("system", *libraries, what="library")
    yield from _mapping("system", first.accelerator, second.accelerator, what="accelerator")


def _container(container: Container | None) -> str:
    if container is None:
        return ""
    return " ".join(part for part in (container.engine, container.image, container.digest) if part)


def _machine(old: Environment, new: Environment) -> Iterator[Difference]:
    first, second = old.machine, new.machine
    yield from _facts(
        "machine",
        "machine",
        {
            "kernel": (first.kernel, second.kernel),
            "CPU": (first.cpu, second.cpu),
            "cores": (_number(first.cores), _number(second.cores)),
            "memory": (_number(first.memory, " MiB"), _number(second.memory, " MiB")),
            "GPUs": (", ".join(first.gpus), ", ".join(second.gpus)),
            "driver": (first.driver, second.driver),
        },
    )


def _number(value: int, unit: str = "") -> str:
    return f"{value}{unit}" if value else ""


def _facts(level: Level, subject: str, facts: Mapping[str, tuple[str, str]]) -> Iterator[Difference]:
    for what, (old, new) in facts.items():
        if old != new:
            yield Difference(level, subject, what, old or None, new or None)


def _mapping(level: Level, old: Mapping[str, str], new: Mapping[str, str], *, what: str) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Difference(level, name, what, old.get(name), new.get(name))
