"""How environments and their differences are shown, as text and in JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dsvc.commands.count_text import counted
from dsvc.commands.output import Output
from dsvc.commands.ref_text import SHORT
from dsvc.environments import CondaPackage, Difference, Distribution, Environment, Source

_MASKED = "(masked)"
_CUDA = re.compile(r"nvidia-(cuda-runtime|cudnn|nccl)(-cu\d+)?$")


def summary(environment: Environment) -> str:
    """What an environment is, in a few words."""
    python = environment.python
    parts = [f"{_title(python.implementation)} {python.version}"]
    parts.append(counted(len(environment.distributions), "distribution"))
    if environment.conda:
        parts.append(counted(len(environment.conda), "conda package"))
    return ", ".join(parts)


def _title(implementation: str) -> str:
    return {"cpython": "CPython", "pypy": "PyPy"}.get(implementation, implementation)


def show(out: Output, environment: Environment) -> None:
    """Print everything that an environment records."""
    python, system, machine = environment.python, environment.system, environment.machine
    box = system.container
    around = "" if box is None else " ".join(part for part in (box.engine, box.image, box.digest) if part)
    size = f"{machine.memory} MiB of memory" if machine.memory else ""
    cores = counted(machine.cores, "core") if machine.cores else ""
    rows = [
        ("Python", f"{_title(python.implementation)} {python.version}, {'-'.join(python.tags)}"),
        ("Build", python.build),
        ("System", ", ".join(p for p in (f"{system.name} {system.architecture}", system.release, system.libc) if p)),
        ("Container", around),
        ("Machine", ", ".join(part for part in (machine.cpu, cores, size) if part)),
        ("Kernel", machine.kernel),
        ("GPU", ", ".join(part for part in (*machine.gpus, machine.driver and f"driver {machine.driver}") if part)),
        ("CUDA", _accelerator(environment)),
    ]
    out.table([(out.paint(name, "bold"), plain(text)) for name, text in rows if text])
    variables = [(name, _MASKED if value is None else value) for name, value in environment.variables.items()]
    _section(out, "Variables", variables)
    _section(out, "Distributions", [_distribution_row(one) for one in environment.distributions])
    _section(out, "Conda packages", [(one.name, one.version, one.build, one.channel) for one in environment.conda])
    unowned = [(name, f"file {id_.hex()[:SHORT]}", "", "of no package") for name, id_ in system.libraries.items()]
    owned = [(one.name, one.version, one.architecture, f"for {one.used_by}") for one in system.packages]
    _section(out, "Packages of the system with libraries that are loaded", [*owned, *unowned])
    _section(out, "Notes", [(note,) for note in environment.notes])


def _accelerator(environment: Environment) -> str:
    """The libraries of CUDA (or AMD's): those that lie outside of packages, and the packages that bring their own."""
    outside = [f"{name} {version}" for name, version in environment.system.accelerator.items()]
    packages = [f"{one.name} {one.version}" for one in environment.distributions if _CUDA.match(one.name)]
    parts = [f"{', '.join(outside)} of the system"] if outside else []
    return "; ".join([*parts, *([f"in packages {', '.join(packages)}"] if packages else [])])


def _section(out: Output, title: str, rows: Sequence[Sequence[str]]) -> None:
    if rows:
        out.line()
        out.line(out.paint(f"{title} ({len(rows)})", "bold"))
        out.table([("  " + plain(row[0]), *map(plain, row[1:])) for row in rows])


def plain(text: str) -> str:
    """`text` without what could move the cursor: an environment may come from somebody else."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _distribution_row(one: Distribution) -> tuple[str, str, str]:
    return one.name, one.version, "" if one.source is None else source_text(one.source)


def source_text(source: Source) -> str:
    """Where a distribution came from, in words."""
    where = source.path or source.url
    if source.kind == "vcs":
        asked = f" ({source.requested})" if source.requested and source.requested != source.commit else ""
        return f"{source.vcs} {where} at {source.commit[:SHORT]}{asked}"
    if source.kind == "editable":
        commit = f" at {source.commit[:SHORT]}" if source.commit else ""
        return f"editable from {where}{commit}{' with changes' if source.changed else ''}"
    return where


def difference_lines(out: Output, found: Iterable[Difference]) -> Iterator[str]:
    """One line for each difference: what is only on one side has a sign in front."""
    rows = [
        one._replace(subject=plain(one.subject), old=one.old and plain(one.old), new=one.new and plain(one.new))
        for one in found
    ]
    width = max((len(_subject(one)) for one in rows), default=0)
    for one in rows:
        subject = f"{_subject(one):<{width}}"
        if one.old is None:
            yield out.paint(f"+ {subject}  {one.new}", "green")
        elif one.new is None:
            yield out.paint(f"- {subject}  {one.old}", "red")
        else:
            yield f"{out.paint('~', 'yellow')} {subject}  {one.old} -> {one.new}"


def _subject(one: Difference) -> str:
    return one.subject if one.what in ("version", "files", "variable", "package", "library", "accelerator") else (
        f"{one.subject} ({one.what})"
    )


def difference_json(one: Difference) -> dict[str, object]:
    """A difference for a JSON document."""
    return {
        "level": one.level,
        "subject": one.subject,
        "what": one.what,
        "change": one.change,
        "old": one.old,
        "new": one.new,
    }


def environment_json(environment: Environment) -> dict[str, object]:
    """The fields of an environment for a JSON document."""
    python, system, machine = environment.python, environment.system, environment.machine
    container = system.container
    return {
        "python": {
            "implementation": python.implementation,
            "version": python.version,
            "build": python.build,
            "tags": list(python.tags),
        },
        "distributions": [_distribution_json(one) for one in environment.distributions],
        "conda": [_conda_json(one) for one in environment.conda],
        "system": {
            "name": system.name,
            "architecture": system.architecture,
            "release": system.release or None,
            "libc": system.libc or None,
            "packages": [
                {
                    "name": one.name,
                    "version": one.version,
                    "architecture": one.architecture,
                    "used_by": one.used_by,
                }
                for one in system.packages
            ],
            "libraries": {name: id_.hex() for name, id_ in system.libraries.items()},
            "accelerator": dict(system.accelerator),
            "container": None
            if container is None
            else {
                "engine": container.engine,
                "image": container.image or None,
                "digest": container.digest or None,
            },
        },
        "machine": {
            "kernel": machine.kernel,
            "cpu": machine.cpu or None,
            "cores": machine.cores or None,
            "memory": machine.memory << 20 or None,
            "gpus": list(machine.gpus),
            "driver": machine.driver or None,
        },
        "variables": dict(environment.variables),
        "notes": list(environment.notes),
    }


def _distribution_json(one: Distribution) -> dict[str, object]:
    return {
        "name": one.name,
        "version": one.version,
        "contents": one.contents.hex() if one.contents is not None else None,
        "installer": one.installer or None,
        "wheel": list(one.wheel),
        "requires": list(one.requires),
        "requested": one.requested,
        "license": one.license or None,
        "source": _source_json(one.source) if one.source is not None else None,
    }


def _source_json(source: Source) -> dict[str, object]:
    return {
        "kind": source.kind,
        "url": source.url or None,
        "path": source.path or None,
        "subdirectory": source.subdirectory or None,
        "vcs": source.vcs or None,
        "requested": source.requested or None,
        "commit": source.commit or None,
        "remote": source.remote or None,
        "changed": source.changed,
        "patch": source.patch.hex() if source.patch is not None else None,
        "hashes": dict(source.hashes),
    }


def _conda_json(one: CondaPackage) -> dict[str, object]:
    return {
        "name": one.name,
        "version": one.version,
        "build": one.build,
        "channel": one.channel or None,
        "subdir": one.subdir or None,
        "url": one.url or None,
        "hashes": dict(one.hashes),
    }
