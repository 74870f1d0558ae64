"""What `~/.ssh/config` and the options say, as far as paramiko can follow: host, user, keys, hosts to go through."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsvc.errors import RequestError
from dsvc.remotes.ssh.settings import SshSettings

_MOST_JUMPS = 8
_ANY_VALUE = {"-F": None, "-i": "identityfile", "-c": "ciphers", "-p": "port", "-l": "user", "-J": "proxyjump"}


@dataclass(frozen=True, slots=True)
class SshConfig:
    """How to log in at one host; `jump` is the host to go through."""

    host: str
    port: int
    user: str
    identities: tuple[Path, ...]
    identities_only: bool
    known_hosts: tuple[Path, ...]
    accept_new: bool
    key_alias: str | None
    ciphers: tuple[str, ...]
    proxy_command: str | None
    jump: SshConfig | None


def read_config(paramiko: Any, settings: SshSettings, environment: Mapping[str, str]) -> SshConfig:
    """Return what the user's files, the machine's and `settings` say together.

    Raises:
        RequestError: for an option that only OpenSSH's program understands, and a file that cannot be read.
    """
    home = Path(environment.get("HOME") or "~").expanduser()
    files, options = _options(settings.options)
    if files is None:
        files = [home / ".ssh" / "config", Path("/etc/ssh/ssh_config")]
    config = paramiko.SSHConfig()
    for file in files:
        try:
            with open(file, encoding="utf-8", errors="surrogateescape") as stream:
                config.parse(stream)
        except FileNotFoundError:
            continue
        except (OSError, paramiko.SSHException) as error:
            hint = "dsvc config remote.NAME.client openssh"
            raise RequestError(f"{file} cannot be read: {error}", hint=hint) from error
    if settings.user:
        options["user"] = settings.user
    if settings.port:
        options["port"] = str(settings.port)
    return _resolve(config, settings.host, options, home, jumps=0)


def _resolve(config: Any, host: str, options: Mapping[str, Any], home: Path, *, jumps: int) -> SshConfig:
    found: dict[str, Any] = {**config.lookup(host), **options}
    if jumps > _MOST_JUMPS:
        raise RequestError(f"the way to {host} has too many jump hosts", hint="check ProxyJump in ~/.ssh/config")
    jump = None
    if str(found.get("proxyjump", "none")).lower() != "none":
        last = found["proxyjump"].split(",")[-1]
        before = ",".join(found["proxyjump"].split(",")[:-1])
        user, _, rest = last.rpartition("@")
        name, _, port = rest.removeprefix("ssh://").partition(":")
        way = {k: v for k, v in (("user", user), ("port", port), ("proxyjump", before)) if v}
        jump = _resolve(config, name, way, home, jumps=jumps + 1)
    proxy = found.get("proxycommand")
    return SshConfig(
        host=found.get("hostname", host),
        port=int(found.get("port", 22)),
        user=found.get("user") or getpass.getuser(),
        identities=tuple(path for path in _paths(found.get("identityfile", ()), home) if path.exists()),
        identities_only=_yes(found.get("identitiesonly")),
        known_hosts=(
            *_paths(found.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"), home),
            *_paths(found.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts"), home),
        ),
        accept_new=str(found.get("stricthostkeychecking", "ask")).lower() in {"no", "off", "accept-new"},
        key_alias=found.get("hostkeyalias"),
        ciphers=tuple(cipher for cipher in found.get("ciphers", "").split(",") if cipher[:1].isalnum()),
        proxy_command=None if proxy is None or proxy.lower() == "none" else proxy,
        jump=jump,
    )


def _options(words: tuple[str, ...]) -> tuple[list[Path] | None, dict[str, Any]]:
    files: list[Path] | None = None
    options: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, value = word[:2], word[2:] or (rest.pop(0) if rest else "")
        if flag == "-o":
            name, _, value = value.replace("=", " ", 1).partition(" ")
            name = name.lower()
        elif flag in _ANY_VALUE:
            name = _ANY_VALUE[flag] or ""
        else:
            raise RequestError(
                f"the SSH option {word!r} is for OpenSSH's program only", hint="dsvc config remote.NAME.client openssh"
            )
        if not name:
            files = [Path(value)]
        elif name == "identityfile":
            options.setdefault(name, []).append(value)
        else:
            options.setdefault(name, value.strip())
    return files, options


def _paths(value: Any, home: Path) -> list[Path]:
    names = value.split() if isinstance(value, str) else list(value)
    return [home / name[2:] if name.startswith("~/") else Path(name) for name in names if name.lower() != "none"]


def _yes(value: object) -> bool:
    return str(value).lower() in {"yes", "true"}
