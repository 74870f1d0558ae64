"""An environment as a lock file that installers read: pylock.toml, by the specification of that name (PEP 751)."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dsvc.environments.archives import Archive
from dsvc.environments.environment import Distribution, Environment, Source
from dsvc.environments.sources import local_path

CREATOR = "dsvc"


@dataclass(frozen=True, slots=True)
class Pylock:
    """The text of a lock file, and the distributions that are not in it because no archive of them was found."""

    text: str
    unlocked: tuple[Distribution, ...]


def make_pylock(
    environment: Environment, archives: Mapping[str, tuple[Archive, ...]], digits: str, folder: str
) -> Pylock:
    """Return a lock file that lies in `folder`, the root of the working copy; `digits` is the environment's id.

    The specification wants a digest of the archive for each package that comes from an index, so only those with known
    `archives` can be in it. Equal environments with equal archives give equal bytes.
    """
    python = environment.python
    major_minor = ".".join(python.version.split(".")[:2])
    lines = [
        'lock-version = "1.0"',
        f"environments = [{_quoted(_marker(environment))}]",
        f"requires-python = {_quoted(f'=={major_minor}.*')}",
        f"created-by = {_quoted(CREATOR)}",
    ]
    unlocked = []
    body: list[str] = []
    for one in {one.name: one for one in environment.distributions}.values():
        entry = _entry(one, archives.get(one.name, ()), folder)
        if entry is None:
            unlocked.append(one)
        else:
            body += ["", "[[packages]]", *entry]
    if not body:
        lines.append("packages = []")
    lines += body
    lines += ["", "[tool.dsvc]", f"environment = {_quoted(digits)}", f"python = {_quoted(python.version)}"]
    if unlocked:
        lines.append(f"unlocked = [{', '.join(_quoted(f'{one.name}=={one.version}') for one in unlocked)}]")
    return Pylock("\n".join(lines) + "\n", tuple(unlocked))


def known_archives(text: str, environment: Environment, folder: str) -> dict[str, tuple[Archive, ...]] | None:
    """Return the archives in a lock file that dsvc wrote for installed files that are here too, by name.

    None for one that somebody else wrote, or that is damaged.
    """
    try:
        fields = tomllib.loads(text)
        if fields.get("created-by") != CREATOR:
            return None
        found = {}
        for package in fields.get("packages", ()):
            one = environment.distribution(package["name"])
            said = package.get("tool", {}).get("dsvc", {}).get("contents")
            if one is None or one.source is not None or one.contents is None or one.contents.hex() != said:
                continue
            if one.version == package.get("version"):
                entries = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
                found[one.name] = tuple(_known(entry, folder) for entry in entries)
        return found
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _known(entry: Mapping[str, object], folder: str) -> Archive:
    path, url = str(entry.get("path", "")), str(entry.get("url", ""))
    size, hashes = entry.get("size"), entry["hashes"]
    assert isinstance(hashes, dict)
    return Archive(
        str(entry["name"]),
        {str(kind): str(digest) for kind, digest in hashes.items()},
        url,
        os.path.normpath(os.path.join(folder, path)) if path else "",
        size if isinstance(size, int) else None,
    )


def _marker(environment: Environment) -> str:
    system = environment.system
    return (
        f"implementation_name == '{environment.python.implementation}' and sys_platform == '{system.name}' "
        f"and platform_machine == '{system.architecture}'"
    )


def _entry(one: Distribution, archives: tuple[Archive, ...], folder: str) -> list[str] | None:
    lines = [f"name = {_quoted(one.name)}"]
    source = one.source
    if source is None:
        wheels = [archive for archive in archives if archive.name.endswith(".whl")]
        sdists = [archive for archive in archives if not archive.name.endswith(".whl")]
        if not archives:
            return None
        lines.append(f"version = {_quoted(one.version)}")
        if sdists:
            lines.append(f"sdist = {_archive_table(sdists[0], folder)}")
        if wheels:
            lines += ["wheels = [", *(f"  {_archive_table(wheel, folder)}," for wheel in wheels), "]"]
    else:
        hashes = source.hashes or (archives[0].hashes if archives else {})
        table = _source_table(replace(source, hashes=hashes), folder)
        if table is None:
            return None
        lines.append(table)
    if one.requires:
        lines.append(f"dependencies = [{', '.join(f'{{ name = {_quoted(name)} }}' for name in one.requires)}]")
    if one.contents is not None:
        lines += ["[packages.tool.dsvc]", f"contents = {_quoted(one.contents.hex())}"]
    return lines


def _archive_table(archive: Archive, folder: str) -> str:
    fields = {"name": _quoted(archive.name)}
    if archive.path:
        fields["path"] = _quoted(_path(archive.path, folder))
    else:
        fields["url"] = _quoted(archive.url)
    if archive.size is not None:
        fields["size"] = str(archive.size)
    return _inline({**fields, "hashes": _hashes(archive.hashes)})


def _source_table(source: Source, folder: str) -> str | None:
    place = _place(source, folder)
    extra = {"subdirectory": _quoted(source.subdirectory)} if source.subdirectory else {}
    if source.kind in ("directory", "editable"):
        if "path" not in place:
            return None
        editable = {"editable": "true"} if source.kind == "editable" else {}
        return f"directory = {_inline({**place, **editable, **extra})}"
    if source.kind == "vcs":
        requested = {"requested-revision": _quoted(source.requested)} if source.requested else {}
        fields = {"type": _quoted(source.vcs), **place, **requested, "commit-id": _quoted(source.commit), **extra}
        return f"vcs = {_inline(fields)}"
    if not source.hashes:
        return None
    return f"archive = {_inline({**place, 'hashes': _hashes(source.hashes), **extra})}"


def _place(source: Source, folder: str) -> dict[str, str]:
    if source.path:
        return {"path": _quoted(source.path)}
    local = local_path(source.url)
    return {"path": _quoted(_path(local, folder))} if local else {"url": _quoted(source.url)}


def _path(path: str, folder: str) -> str:
    """Return a path as the lock file names it: from its own folder for what lies in there."""
    relative = os.path.relpath(path, folder)
    return path if relative.startswith("..") else relative


def _hashes(hashes: Mapping[str, str]) -> str:
    return _inline({kind: _quoted(digest) for kind, digest in hashes.items()})


def _inline(fields: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {value}" for key, value in fields.items()) + " }"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
