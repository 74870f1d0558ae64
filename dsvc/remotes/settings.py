"""What the configuration says of remotes: `remote.NAME.url`, `.pushUrl`, `.fetch`, and options of its kind of place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dsvc.config.keys import Value, split_key
from dsvc.config.settings import Config
from dsvc.errors import UsageError
from dsvc.refs.names import check_name
from dsvc.remotes.bundle_file import SUFFIX
from dsvc.remotes.refspec import Refspec, fetch_refspecs, parse_refspec

SECTION = "remote"
KINDS = ("ssh", "s3")
SINGLE_WRITER = "singleWriter"  # the option of a bucket where this machine alone writes
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class UnknownRemoteError(UsageError):
    """A name that is no remote of the repository and no address."""


class BadRemoteNameError(UsageError):
    """A remote may not be named so."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """One remote. `name` is None for one that was given by its address; then nothing is tracked.

    `options` are its other keys as they stand, such as `region` or `client`; `by_kind` is what counts for every place
    of a kind, as `s3.region` and `ssh.client`.
    """

    name: str | None
    url: str
    push_url: str | None = None
    fetch: tuple[Refspec, ...] = ()
    options: Mapping[str, Value] = field(default_factory=dict)
    by_kind: Mapping[str, Value] = field(default_factory=dict)

    @property
    def place_options(self) -> dict[str, Value]:
        """All that says how its place is reached; a key of its own comes before one of the kind."""
        return {**self.by_kind, **self.options}

    @property
    def shown(self) -> str:
        """How messages call it."""
        return self.name or self.url

    @property
    def typed(self) -> str:
        """What one types to mean it."""
        return self.name or f"'{self.url}'"


def check_remote_name(name: str) -> str:
    """Return `name` when a remote may be named so.

    Raises:
        BadRemoteNameError: otherwise.
    """
    if not _NAME.fullmatch(name):
        raise BadRemoteNameError(
            f"{name!r} is not a valid name for a remote", hint="letters, digits, '.', '_' and '-', as in origin"
        )
    check_name(f"remotes/{name}/HEAD")
    return name


def read_kinds(config: Config) -> dict[str, Value]:
    """Return what the configuration says of all places of a kind: `ssh.KEY` and `s3.KEY`."""
    return {f"{kind}.{key}": value for kind in KINDS for key, value in config.section(kind).items()}


def read_remotes(config: Config) -> dict[str, RemoteSettings]:
    """Return the remotes that have an address, by name, in order of names."""
    found: dict[str, dict[str, Value]] = {}
    for key, value in config.section(SECTION).items():
        parts = split_key(f"{SECTION}.{key}")
        if len(parts) == 3:
            found.setdefault(parts[1], {})[parts[2]] = value
    kinds = read_kinds(config)
    return {name: _settings(name, values, kinds) for name, values in sorted(found.items()) if values.get("url")}


def _settings(name: str, values: dict[str, Value], kinds: Mapping[str, Value]) -> RemoteSettings:
    options = {key: value for key, value in values.items() if key not in ("url", "pushUrl", "fetch")}
    specs = values.get("fetch")
    listed = specs if isinstance(specs, tuple) else (str(specs),) if specs else ()
    fetch = tuple(map(parse_refspec, listed)) or fetch_refspecs(name)
    push_url = values.get("pushUrl")
    return RemoteSettings(name, str(values["url"]), str(push_url) if push_url else None, fetch, options, kinds)


def find_remote(config: Config, text: str) -> RemoteSettings:
    """Return the remote of that name, or one for an address.

    Raises:
        UnknownRemoteError: when it is neither; an address has a slash or a colon in it.
    """
    remotes = read_remotes(config)
    if text in remotes:
        return remotes[text]
    if "/" in text or ":" in text or text.startswith((".", "~")) or text.endswith(SUFFIX):
        return RemoteSettings(None, text, by_kind=read_kinds(config))
    known = ", ".join(remotes)
    raise UnknownRemoteError(
        f"there is no remote {text!r}",
        hint=f"there are: {known}" if known else f"dsvc remote add {text} ADDRESS",
    )
