"""The logins of `docker login`: in its file, or in the keychain to which one of its helpers speaks.

https://docs.docker.com/reference/cli/docker/login/#credential-stores, and for helpers
https://github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_HUB: Final = "index.docker.io"
_HUB_KEY: Final = "https://index.docker.io/v1/"  # by which Docker keeps the login of its own registry
_HELPER: Final = re.compile(r"[\w.-]+")
_PATIENCE: Final = 60  # seconds that a helper has: some ask a service, or a person to unlock a keychain
_OTHER_WAY: Final = "<token>"  # the user of a token that is for another way of logging in


@dataclass(frozen=True, slots=True)
class Login:
    """Name and password for a registry."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Access:
    """How registries are reached: logins by host, and hosts that speak HTTP without TLS, as loopback ones do.

    `helpers` are the programs `docker-credential-NAME` that keep logins, by host; the one for `""` is asked for all
    others. They are run with `variables`.
    """

    logins: Mapping[str, Login]
    plain: tuple[str, ...] = ()
    helpers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path | None, plain: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> Access:
        """Read the `config.json` of Docker in a folder; a file that cannot be read has no logins."""
        logins: dict[str, Login] = {}
        helpers: dict[str, str] = {}
        try:
            said = json.loads((folder / "config.json").read_bytes()) if folder is not None else {}
            named = {**(said.get("credHelpers") or {}), "": said.get("credsStore") or ""}
            helpers = {_host(host): name for host, name in named.items() if name and _HELPER.fullmatch(name)}
            for host, fields in (said.get("auths") or {}).items():
                user, colon, password = base64.b64decode(fields.get("auth", "")).decode().partition(":")
                if colon:
                    logins[_host(host)] = Login(user, password)
        except (OSError, ValueError, AttributeError, TypeError):
            logins, helpers = {}, {}
        return cls(logins, plain, helpers, dict(variables or {}))

    def login(self, host: str) -> Login | None:
        """Return the login for a host: what its helper knows, else what stands in the file."""
        helper = self.helpers.get(host) or self.helpers.get("", "")
        found = self._asked(helper, _HUB_KEY if host == _HUB else host) if helper else None
        return found or self.logins.get(host)

    def _asked(self, helper: str, host: str) -> Login | None:
        program = shutil.which(f"docker-credential-{helper}", path=self.variables.get("PATH"))
        if program is None:
            return None
        try:
            answer = subprocess.run(
                [program, "get"], input=host.encode(), capture_output=True, timeout=_PATIENCE, check=True,
                env=dict(self.variables),
            )  # fmt: skip
            said = json.loads(answer.stdout)
            found = Login(str(said["Username"]), str(said["Secret"]))
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
            return None  # it knows no such host, and exits with 1
        return found if found.user != _OTHER_WAY else None


def _host(key: str) -> str:
    return urllib.parse.urlsplit(key).netloc or key
