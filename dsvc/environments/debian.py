"""Which Debian packages own files, from dpkg's own lists: some hundred small files, faster than asking dpkg."""

from __future__ import annotations

import os
from collections.abc import Iterable

from dsvc.environments.environment import SystemPackage

ADMIN = "/var/lib/dpkg"


def owners(paths: Iterable[str], admin: str = ADMIN) -> dict[str, SystemPackage]:
    """Return the package that owns each of these files; nothing of a file that none owns, or where there is no dpkg.

    A file may be listed under /lib or /usr/lib, whichever its package was built with.
    """
    spelled: dict[bytes, str] = {}
    for path in paths:
        for name in (path, path.removeprefix("/usr"), f"/usr{path}"):
            spelled.setdefault(os.fsencode(name), path)
    found: dict[str, str] = {}
    folder = os.path.join(admin, "info")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".list"))
    except OSError:
        return {}
    wanted = spelled.keys()
    for name in names:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
        except OSError:
            continue
        if b".so" not in data:
            continue
        for line in wanted & set(data.split(b"\n")):
            found.setdefault(spelled[line], name.removesuffix(".list"))
        if len(found) == len(set(spelled.values())):
            break
    versions = _versions(set(found.values()), admin)
    return {path: versions[package] for path, package in found.items() if package in versions}


def _versions(packages: set[str], admin: str) -> dict[str, SystemPackage]:
    """Return name, version and architecture of packages by what their lists are called: `libc6:amd64`, `base-files`."""
    wanted = {package.partition(":")[0].encode() for package in packages}
    try:
        with open(os.path.join(admin, "status"), "rb") as file:
            data = file.read()
    except OSError:
        return {}
    found: dict[str, SystemPackage] = {}
    for paragraph in data.split(b"\n\n"):
        first = paragraph.lstrip(b"\n").partition(b"\n")[0]
        if not first.startswith(b"Package: ") or first[9:].strip() not in wanted:
            continue
        fields = {"Package": "", "Version": "", "Architecture": ""}
        for line in paragraph.decode("utf-8", "replace").splitlines():
            key, colon, value = line.partition(":")
            if colon and key in fields:
                fields[key] = value.strip()
        package = SystemPackage(fields["Package"], fields["Version"], fields["Architecture"])
        found[package.name] = found[f"{package.name}:{package.architecture}"] = package
    return found
