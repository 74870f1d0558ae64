"""With which key commits are signed and who may sign: from the settings, or git's own configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsvc.config.identity import read_git_settings
from dsvc.config.settings import Config
from dsvc.errors import RequestError

_GIT_KEYS = r"^(user\.signingkey|gpg\.format|gpg\.ssh\..*)$"


class NoSigningKeyError(RequestError):
    """Nothing says which key signs."""

    def __init__(self) -> None:
        super().__init__(
            "no key to sign with is known",
            hint="dsvc config --user user.signingKey ~/.ssh/id_ed25519.pub (or another key of yours)",
        )


class BadSignersFileError(RequestError):
    """The file that says who may sign, or which keys are revoked, cannot be read."""


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """What signing and checking need to know.

    `key` is a path or `key::` and a public key; `key_command` is git's, asked where there is no `key`. `environment`
    is that of the command: ssh-keygen finds the agent by it.
    """

    key: str | None = None
    program: str = "ssh-keygen"
    allowed_signers: Path | None = None
    revoked: Path | None = None
    key_command: str | None = None
    environment: Mapping[str, str] | None = field(default=None, repr=False)

    def signing_key(self) -> str:
        """Return the key to sign with; raises NoSigningKeyError where nothing says it."""
        if self.key:
            return self.key
        found = _ask_for_key(self.key_command, self.environment) if self.key_command else None
        if found is None:
            raise NoSigningKeyError
        return found

    def allowed_content(self) -> bytes | None:
        """Return who may sign, None where no file says it; raises BadSignersFileError."""
        return _read(self.allowed_signers, "the allowed signers", "sign.allowedSigners")

    def revoked_content(self) -> bytes | None:
        """Return which keys are revoked, None where no file says it; raises BadSignersFileError."""
        return _read(self.revoked, "the revoked keys", "sign.revokedKeys")


def find_signing(
    config: Config, environment: Mapping[str, str], *, root: Path, git_settings: Callable[[], Mapping[str, str]]
) -> SigningSettings:
    """Return the settings for signing, each from the first place that has it: dsvc's settings, then git's.

    `git_settings` gives git's `gpg.*` and `user.signingkey`; its key counts where its `gpg.format` is ssh. Paths may
    begin with `~/`; relative ones count from `root`, the working copy.
    """
    git = git_settings()
    over_ssh = git.get("gpg.format") == "ssh"
    key = config.get_str("user.signingKey") or (git.get("user.signingkey") if over_ssh else None)
    allowed = config.get_str("sign.allowedSigners") or git.get("gpg.ssh.allowedsignersfile")
    revoked = config.get_str("sign.revokedKeys") or git.get("gpg.ssh.revocationfile")
    program = config.get_str("sign.program") or git.get("gpg.ssh.program") or "ssh-keygen"
    return SigningSettings(
        key=key_of(key, environment, root) if key else None,
        program=os.fspath(_path(program, environment, root)) if "/" in program else program,
        allowed_signers=_path(allowed, environment, root) if allowed else None,
        revoked=_path(revoked, environment, root) if revoked else None,
        key_command=git.get("gpg.ssh.defaultkeycommand") if over_ssh else None,
        environment=environment,
    )


def key_of(text: str, environment: Mapping[str, str], root: Path) -> str:
    """Return a key as it is given in settings or options, with its path, if it is one, made absolute."""
    return text if " " in text.strip() else os.fspath(_path(text, environment, root))


def read_git_signing(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return what git's configuration says of signing in `directory`, keys in lower case; empty without git."""
    return read_git_settings(_GIT_KEYS, environment, directory)


def _path(text: str, environment: Mapping[str, str], root: Path) -> Path:
    home = environment.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home + text[1:])
    return root / text


def _read(path: Path | None, what: str, key: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSignersFileError(
            f"{what} in {path} cannot be read: {error.strerror}",
            hint=f"dsvc config --show-origin {key}",
            details={"path": os.fspath(path)},
        ) from error


def _ask_for_key(command: str, environment: Mapping[str, str] | None) -> str | None:
    """Return the first key that git's gpg.ssh.defaultKeyCommand prints, as git takes it."""
    import shlex

    try:
        done = subprocess.run(
            shlex.split(command), env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, ValueError):
        return None
    lines = done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return next((line.strip() for line in lines if line.startswith(("key::", "ssh-", "ecdsa-", "sk-"))), None)
