"""An environment's distributions as requirements that pip and uv read, each with its exact version or commit."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from urllib.parse import quote

from dsvc.environments.environment import Distribution, Environment, Source
from dsvc.environments.sources import local_path

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")


def is_sound(one: Distribution) -> bool:
    """Say whether a distribution can be written as a requirement: an environment may come from somebody else.

    Names and versions are those that packages may have, and nothing has a line end or begins like an option.
    """
    texts = [one.version]
    if one.source is not None:
        source = one.source
        texts = [source.url, source.path, source.subdirectory, source.vcs, source.commit, source.remote]
        texts += [text for pair in source.hashes.items() for text in pair]
    elif not _VERSION.fullmatch(one.version):
        return False
    return bool(_NAME.fullmatch(one.name)) and all(text.isprintable() and not text.startswith("-") for text in texts)


def is_local(one: Distribution) -> bool:
    """Say whether a distribution is to be had on the machine alone on which it was recorded, and not from a project.

    That is a folder, file or repository there, unless the commit of an editable one is at a remote.
    """
    source = one.source
    if source is None or source.path or (source.kind == "editable" and source.remote):
        return False
    return source.kind in ("editable", "directory") or _address(source, None).startswith("file:")


def requirement(one: Distribution, *, root: str | None = None, elsewhere: bool = False) -> str:
    """Return the line of a requirements file that installs a distribution again, when it `is_sound`.

    What lies in the working copy is named by its path from the file's folder, with `root` by its full path. `elsewhere`
    says that folders of this machine are not there.
    """
    source = one.source
    if source is None:
        return f"{one.name}=={one.version}"
    gone = elsewhere or not os.path.isdir(_folder(source))
    if source.kind == "editable" and not source.path and source.remote and gone:
        return _at_commit(one, "git", _pip_url(source.remote))
    if source.kind in ("editable", "directory"):
        where = _inside(source, root) if source.path else _folder(source)
        if source.kind == "editable":
            return f"-e {where if ' ' not in where else shlex.quote(where)}"
        return f"{one.name} @ {_file_url(where)}" if where.startswith("/") else where
    if source.kind == "vcs":
        return _at_commit(one, source.vcs, _address(source, root))
    digest = source.hashes.get("sha256")
    parts = [f"sha256={digest}"] if digest else []
    if source.subdirectory:
        parts.append(f"subdirectory={source.subdirectory}")
    return f"{one.name} @ {_address(source, root)}{'#' + '&'.join(parts) if parts else ''}"


def requirements_text(environment: Environment, digits: str) -> str:
    """Return a requirements file; `digits` is the environment's id. To be installed with `pip install --no-deps -r`."""
    python = environment.python
    lines = [
        f"# Environment {digits}",
        "# " + " ".join(f"{python.implementation} {python.version}, {'-'.join(python.tags)}".split()),
        "# pip install --no-deps -r THIS",
    ]
    lines += lines_for(environment.distributions)
    return "\n".join(lines) + "\n"


def lines_for(
    distributions: Iterable[Distribution], *, root: str | None = None, elsewhere: bool = False
) -> list[str]:
    """Return a line for each distribution that is sound; of two with one name the later version."""
    sound = (one for one in distributions if is_sound(one))
    return list({one.name: requirement(one, root=root, elsewhere=elsewhere) for one in sound}.values())


def _folder(source: Source) -> str:
    folder = local_path(source.url)
    return os.path.join(folder, source.subdirectory) if source.subdirectory else folder


def _inside(source: Source, root: str | None) -> str:
    path = os.path.join(source.path, source.subdirectory) if source.subdirectory else source.path
    if root is not None:
        return os.path.normpath(os.path.join(root, path))
    return path if path.startswith(".") else f"./{path}"


def _address(source: Source, root: str | None) -> str:
    if not source.path:
        return _pip_url(source.url) if source.kind == "vcs" else source.url
    return _file_url(os.path.normpath(os.path.join(root or ".", source.path)))


def _file_url(path: str) -> str:
    return f"file://{quote(path, errors='surrogateescape')}" if path.startswith("/") else f"file:{quote(path)}"


def _pip_url(url: str) -> str:
    """Return an address as pip wants it: `user@host:path`, which git takes too, has no place in a URL."""
    host, colon, path = url.partition(":")
    if "://" in url or not colon or url.startswith("/"):
        return url if "://" in url else _file_url(url)
    return f"ssh://{host}/{path.lstrip('/')}"


def _at_commit(one: Distribution, vcs: str, address: str) -> str:
    """Return the line for a commit; older versions of pip refuse `NAME @` before an address without a host."""
    assert one.source is not None
    subdirectory = [f"subdirectory={one.source.subdirectory}"] if one.source.subdirectory else []
    if address.startswith("file:"):
        return f"{vcs}+{address}@{one.source.commit}#{'&'.join([f'egg={one.name}', *subdirectory])}"
    return f"{one.name} @ {vcs}+{address}@{one.source.commit}{'#' + subdirectory[0] if subdirectory else ''}"
